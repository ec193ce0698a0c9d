// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How many operations of the kernel the functional machine does in a second. An operation is a system
//! call, an access of user memory, or something that the kernel does to a page by itself, such as a
//! migration.
//!
//! * `kernel`: calls and accesses of one kind, on 256 pages.
//! * `model`: random operations as the model tests make them, one at a time and by threads at once, from
//!   the boot of each machine to its last audit. What audits and children read is not counted.
//!
//! `cargo bench -p sw-mm --bench mm_operations -- model` is what "a million operations a minute" means.

#![allow(dead_code, reason = "the tests that the model is for use more of it")]

#[path = "../tests/mm_model/calls.rs"]
mod calls;
#[path = "../tests/mm_model/memory.rs"]
mod memory;
#[path = "../tests/mm_model/model.rs"]
mod model;
#[path = "../tests/mm_model/quiescence.rs"]
mod quiescence;
#[path = "../tests/mm_model/run.rs"]
mod run;
#[path = "../tests/mm_model/step.rs"]
mod step;
#[path = "../tests/mm_model/threads/mod.rs"]
mod threads;
#[path = "../tests/mm_model/world.rs"]
mod world;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use run::Counts;
use std::rc::Rc;
use step::Setup;
use sw_mm::AccessSize::Double;
use sw_mm::boot::HardwareUpdate;
use sw_mm::folio::Owner;
use sw_mm::functional::Core;
use sw_mm::mm::{Error, Map, Protection};
use sw_mm::thread::Thread;
use sw_mm::{block_on, contpte};
use vmsa::Granule;
use world::World;

const VA: u64 = 0x7000_0000;
const PAGES: u64 = 256;
const PAGE: u64 = Granule::K4.bytes();

fn setup(orders: &[u8]) -> Setup {
    Setup {
        granule: Granule::K4,
        update: HardwareUpdate::AccessFlag,
        contpte: contpte::Config::default(),
        batched: true,
        range_tlbi: true,
        spare_asids: None,
        orders: orders.to_vec(),
        cores: 2,
        contiguous: true,
        ets2: true,
        bbm2: false,
        swap_slots: 1024,
        mapped: false,
        huge: false,
    }
}

fn world(orders: &[u8]) -> World<Core> {
    World::new(&setup(orders), |core| core)
}

async fn map(thread: &Thread<Core>) -> Result<(), Error> {
    let map = Map::anonymous(VA, PAGES * PAGE, Protection::READ_WRITE);
    thread.mmap(&map).await
}

async fn touch(thread: &Thread<Core>, value: u64) -> Result<(), Error> {
    for page in 0..PAGES {
        thread.user_store(VA + page * PAGE, Double, value).await?;
    }
    Ok(())
}

/// A world in which all pages are touched.
fn touched(orders: &[u8]) -> World<Core> {
    let world = world(orders);
    let thread = &world.threads[0];
    block_on(async {
        map(thread).await?;
        touch(thread, 1).await
    })
    .expect("no error");
    world
}

fn kernel(c: &mut Criterion) {
    let mut group = c.benchmark_group("kernel");
    for (name, orders) in [("page by page", vec![]), ("by 16 pages", vec![4])] {
        let world = world(&orders);
        let thread = &world.threads[0];
        group.throughput(Throughput::Elements(PAGES + 2));
        group.bench_function(format!("map, touch, unmap {name}"), |b| {
            b.iter(|| {
                block_on(async {
                    map(thread).await?;
                    touch(thread, 1).await?;
                    thread.munmap(VA, PAGES * PAGE).await
                })
            });
        });
        let world = touched(&orders);
        let thread = &world.threads[0];
        group.bench_function(format!("fork, copy on write, exit {name}"), |b| {
            b.iter(|| {
                block_on(async {
                    let child = thread.fork().await?;
                    touch(thread, 2).await?;
                    thread.exit_space(&child).await
                })
            });
        });
        group.throughput(Throughput::Elements(2));
        group.bench_function(format!("fork and exit {name}"), |b| {
            b.iter(|| {
                block_on(async {
                    let child = thread.fork().await?;
                    thread.exit_space(&child).await
                })
            });
        });
        group.bench_function(format!("protect and back {name}"), |b| {
            b.iter(|| {
                block_on(async {
                    let bytes = PAGES * PAGE;
                    thread.mprotect(VA, bytes, Protection::READ).await?;
                    thread.mprotect(VA, bytes, Protection::READ_WRITE).await
                })
            });
        });
    }
    let world = touched(&[]);
    let thread = &world.threads[0];
    group.throughput(Throughput::Elements(2 * PAGES));
    group.bench_function("out to swap and back", |b| {
        b.iter(|| {
            block_on(async {
                for owner in world.kernel.frames.all() {
                    if let Owner::Folio(folio) = owner {
                        thread.swap_out(&Rc::clone(&folio)).await?;
                    }
                }
                touch(thread, 3).await
            })
        });
    });
    group.finish();
}

/// The same values in every run.
fn values<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    });
    let value = |_| strategy.new_tree(&mut runner).expect("a value").current();
    (0..count).map(value).collect()
}

fn models(c: &mut Criterion) {
    /// Machines that each measurement boots.
    const RUNS: usize = 40;
    let mut group = c.benchmark_group("model");
    group.sample_size(10);
    let runs = (step::setup(), prop::collection::vec(step::step(), 1..400));
    let runs = values(&runs, RUNS);
    let operations = runs.iter().map(|(_, steps)| steps.len() as u64).sum();
    group.throughput(Throughput::Elements(operations));
    group.bench_function("one at a time", |b| {
        b.iter(|| {
            for (setup, steps) in &runs {
                run::run(setup, steps, &mut Counts::new()).expect("agrees with the model");
            }
        });
    });
    let races = values(&threads::op::race(200), RUNS);
    let operations = races.iter().map(|race| race.operations()).sum();
    group.throughput(Throughput::Elements(operations));
    group.bench_function("by threads at once", |b| {
        b.iter(|| {
            for race in &races {
                let counts = &mut Counts::new();
                threads::race::run(race, None, |core| core, counts)
                    .expect("agrees with the shadow");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, kernel, models);
criterion_main!(benches);
