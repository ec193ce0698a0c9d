// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the harness costs: the bare C++ loop, the harness, and the harness with every check, on one
//! stimulus in one run, in cycles per second.
//!
//! `bare` replays what the harness drove, in a loop that is all C++ and looks at no output: the
//! speed of the model alone. Ratios to it are the figures that count; they hold on a busy machine.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use cosim::check;
use cosim::dut::memory::MemorySystem;
use cosim::dut::ports::{CoreRequest, Info, Straps};
use cosim::dut::{self, Socket};
use cosim::sim::{CoreHandle, MemoryTiming, RunEnd, SimConfig, SimHandle, Simulation};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::Rng;
use vmsa::{Descriptor, El, Granule, SysReg, Tcr, VaRange};

/// Hardware measured, as far as this build has it: a name, the configuration, and its memory system.
/// The last two are the same hardware with links and memory controllers at work and without.
const HARDWARE: [(&str, &str, MemorySystem); 6] = [
    ("1x1", "1x1", MemorySystem::Default),
    ("2x1", "2x1", MemorySystem::Default),
    ("2x2", "2x2", MemorySystem::Default),
    ("4x2", "4x2", MemorySystem::Default),
    ("numa", "numa", MemorySystem::Default),
    ("numa-flat", "numa", MemorySystem::Flat),
];
/// Tasks that share a core.
const TASKS: u64 = 4;
const PAGES: u64 = 256;
const HOT_PAGES: u64 = 32;
const TABLES: u64 = 0x10_0000;
const DATA: u64 = 0x4000_0000;

type Hardware = (&'static str, &'static str, MemorySystem);

/// How hard the cores work.
#[derive(Clone, Copy)]
enum Load {
    /// Four tasks that load, store and rest: most cycles wait for DRAM.
    Mixed,
    /// Translations back to back that mostly hit the TLB: hardly a cycle without a request, the
    /// worst case for the harness.
    Dense,
}

fn config((_, config, memory): &Hardware) -> SimConfig {
    SimConfig {
        config: (*config).to_owned(),
        memory_system: memory.clone(),
        ..SimConfig::default()
    }
}

/// Maps `PAGES` 4 KiB pages from VA 0 on to `DATA`, with all four levels.
fn build_tables(simulation: &mut Simulation) {
    let mut word = |address: u64, value: Descriptor| {
        simulation.load_memory(address, &value.0.to_le_bytes());
    };
    for level in 0..3 {
        word(
            TABLES + level * 0x1000,
            Descriptor::table(TABLES + (level + 1) * 0x1000),
        );
    }
    for page in 0..PAGES {
        let leaf = Descriptor::leaf(Granule::K4, 3, DATA + page * 0x1000).with_af(true);
        word(
            TABLES + 0x3000 + page * 8,
            leaf.with_ap_el0(true).with_sh(3),
        );
    }
}

async fn boot(core: &CoreHandle) {
    let tcr = Tcr(0)
        .with_tsz(VaRange::Lower, 16)
        .with_tsz(VaRange::Upper, 16)
        .with_granule(VaRange::Upper, Granule::K4)
        .with_ips(5);
    for (register, value) in [
        (SysReg::Mair, 0xff),
        (SysReg::Tcr, tcr.0),
        (SysReg::Ttbr0, TABLES),
        (SysReg::Sctlr, 1),
    ] {
        core.access(CoreRequest::msr(register, value)).await;
    }
    core.access(CoreRequest::isb()).await;
}

async fn work(handle: SimHandle, core: usize, task: u64, load: Load, rounds: u64) {
    let stream = core as u64 * TASKS + task;
    let Some(core) = handle.core(core) else {
        return;
    };
    let mut rng = handle.seed().child("bench").indexed(stream).rng();
    for round in 0..rounds {
        let page = match rng.random_range(0..32) {
            0 => rng.random_range(0..PAGES),
            _ => rng.random_range(0..HOT_PAGES),
        };
        let va = page * 0x1000 + rng.random_range(0..512u64) * 8;
        let request = match (load, round % 4) {
            (Load::Dense, _) => CoreRequest::at(va, El::El0, false, false),
            (Load::Mixed, 0) => CoreRequest::store(va, 3, El::El0, round),
            (Load::Mixed, _) => CoreRequest::load(va, 3, El::El0),
        };
        black_box(core.access(request).await);
        if matches!(load, Load::Mixed) && round % 16 == 0 {
            handle.sleep(rng.random_range(0..40)).await;
        }
    }
}

/// A simulation with everything loaded and spawned, before its first cycle.
fn prepare(mut simulation: Simulation, load: Load) -> Simulation {
    build_tables(&mut simulation);
    let handle = simulation.handle();
    let rounds = match load {
        Load::Mixed => 300,
        Load::Dense => 2500,
    };
    for index in 0..handle.cores() {
        let handle = handle.clone();
        simulation.spawn(async move {
            let Some(core) = handle.core(index) else {
                return;
            };
            boot(&core).await;
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| handle.spawn(work(handle.clone(), index, task, load, rounds)))
                .collect();
            for task in tasks {
                task.await;
            }
        });
    }
    simulation
}

fn open(hardware: &Hardware, checks: bool, load: Load) -> Simulation {
    let mut simulation = Simulation::new(SimConfig {
        checks,
        ..config(hardware)
    })
    .expect("the configuration is built in");
    if checks {
        check::attach(&mut simulation, Straps::default());
    }
    prepare(simulation, load)
}

fn run(simulation: &mut Simulation) -> u64 {
    let end = simulation.run(10_000_000).expect("no file is written");
    assert_eq!(
        end,
        RunEnd::TasksDone,
        "{:?}",
        simulation.violations().first()
    );
    simulation.now()
}

fn open_socket((_, name, memory): &Hardware, assertions: bool) -> Socket {
    let config = dut::configs().iter().find(|config| config.name == *name);
    let info = Info::of_config(config.expect("the configuration is built in"));
    let memory = memory.resolve(&info, 1);
    let mut socket = dut::open(name, &Straps::default(), &memory, None, 1)
        .expect("the configuration is built in");
    socket.set_assertions(assertions);
    socket
}

fn harness(criterion: &mut Criterion) {
    let built = |hardware: &&Hardware| {
        dut::configs()
            .iter()
            .any(|config| config.name == hardware.1)
    };
    for hardware in HARDWARE.iter().filter(built) {
        measure(criterion, hardware);
    }
}

fn measure(criterion: &mut Criterion, hardware: &Hardware) {
    let called = hardware.0;
    for (name, load) in [("mixed", Load::Mixed), ("dense", Load::Dense)] {
        let socket = Rc::new(RefCell::new(open_socket(hardware, false)));
        socket.borrow_mut().start_recording();
        let simulation = Simulation::with_dut(
            Box::new(Rc::clone(&socket)),
            SimConfig {
                checks: false,
                memory: MemoryTiming::default(),
                ..config(hardware)
            },
        );
        let mut simulation = prepare(simulation.expect("the socket of this build"), load);
        let cycles = run(&mut simulation);
        println!("{called} {name}: {:?}", simulation.figures());
        let recording = socket
            .borrow_mut()
            .take_recording()
            .expect("it was started");

        let mut group = criterion.benchmark_group(format!("{called}-{name}"));
        group.throughput(Throughput::Elements(cycles));
        for (name, assertions) in [("bare", false), ("bare-assertions", true)] {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || open_socket(hardware, assertions),
                    |mut socket| {
                        assert_eq!(socket.bare_loop(&recording), cycles);
                        socket
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        for (name, checks) in [("harness", false), ("harness-checks", true)] {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || open(hardware, checks, load),
                    |mut simulation| {
                        assert_eq!(run(&mut simulation), cycles);
                        simulation
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, harness);
criterion_main!(benches);
