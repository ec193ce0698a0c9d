// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How fast the architectural model translates and judges, on the tables of a Linux kernel.

use std::hint::black_box;
use std::path::PathBuf;

use cosim::arch::permitted::Permitted;
use cosim::arch::program::Operation;
use cosim::arch::{Access, Outcome, Profile};
use cosim::vectors::{Answer, ModelEngine, Scene, read_scenes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vmsa::SysReg;

fn scene() -> Scene {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "testbenches",
        "vectors",
        "linux-6.12-4k.jsonl.gz",
    ]
    .iter()
    .collect();
    read_scenes(&path)
        .expect("the vectors are in the repository")
        .remove(0)
}

fn model(criterion: &mut Criterion) {
    let scene = scene();
    let machine = ModelEngine::new(Profile::default()).machine(&scene);
    let accesses: Vec<(Access, Outcome)> = scene
        .queries
        .iter()
        .map(|query| {
            let access = query.access(&scene);
            let outcome = match query.expected {
                Answer::Translated { pa, attr, sh } => Outcome::Translated { pa, attr, sh },
                Answer::Fault(fsc) => Outcome::Fault {
                    fsc,
                    wnr: access.at,
                },
            };
            (access, outcome)
        })
        .collect();
    let mut group = criterion.benchmark_group("model");
    group.throughput(Throughput::Elements(accesses.len() as u64));
    group.bench_function("translate", |bencher| {
        bencher.iter(|| {
            accesses
                .iter()
                .filter(|(access, _)| black_box(machine.walk(access)).outcome.is_ok())
                .count()
        });
    });
    let mut judge = Permitted::new(Profile::default());
    for register in SysReg::ALL {
        judge.issue(
            0,
            0,
            0,
            Operation::Msr(register, scene.registers.get(register)),
        );
        judge.complete(0, 1, 0);
    }
    judge.issue(0, 2, 0, Operation::Isb);
    judge.complete(0, 3, 0);
    let mut cycle = 3;
    group.bench_function("judge", |bencher| {
        bencher.iter(|| {
            for (access, outcome) in &accesses {
                cycle += 2;
                judge.issue(0, cycle, 1, Operation::Access(*access));
                let verdict = judge.judge(0, machine.memory(), cycle + 1, 1, *outcome);
                assert!(matches!(verdict, Some(Ok(_))));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, model);
criterion_main!(benches);
