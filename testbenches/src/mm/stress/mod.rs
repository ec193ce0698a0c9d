// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Random system calls and user accesses on all cores at once, against a flat shadow of user memory.
//!
//! Every core runs a thread that goes on in one address space after the other, forks them, shares them
//! with other threads, and takes them down. Nothing keeps an access and a call apart that are about the
//! same page: the shadow says what may come of it. At the end everything exits, and every frame has to
//! be back.

mod background;
mod calls;
mod judge;
mod layout;
mod log;
mod mistake;
mod shadow;
mod worker;
mod world;

use std::rc::Rc;

use cosim::dut::memory::{MemoryConfig, MemorySystem};
use cosim::regress::{Bench, Failure, Testbench};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use sw_mm::boot::HardwareUpdate;
use sw_mm::contpte;
use vmsa::Granule;

use self::mistake::Mistake;
use self::worker::Worker;
use self::world::World;
use super::os::{Os, OsConfig};
use crate::memory::setting::info;
use crate::random::setup;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-stress",
        purpose: "random system calls and user accesses on every core, every word against a shadow; --cycles sets the length",
        requirements: &[
            "MM-02", "MM-06", "MM-08", "MM-14", "MM-15", "MM-16", "MM-17", "MM-18", "MM-23",
            "MM-24", "MM-26", "MM-27", "MM-28", "MM-30", "MM-34", "MM-35",
        ],
        run: stress,
    },
    Testbench {
        name: "mm-stress-mistakes",
        purpose: "the same load with a kernel that loses what a page held, once in a migration, once on the way to swap: noticed",
        requirements: &["MM-24", "MM-26"],
        run: mistake::noticed,
    },
];

/// Cycles of calls and accesses unless `--cycles` says otherwise.
const CYCLES: u64 = 300_000;
/// Cycles in which everything has to have exited after that.
const WIND_UP: u64 = 20_000_000;

/// ASIDs of a run: often so few that they roll over again and again.
fn asids(bench: &mut Bench) -> Result<u32, Failure> {
    let cores = u32::from(info(bench)?.cores);
    let mut rng = bench.rng("asids");
    Ok(match rng.random_range(0..4) {
        0 | 1 => cores + rng.random_range(2..8),
        2 => 256,
        _ if bench.setup().straps.asid8 => 256,
        _ => 65536,
    })
}

/// Draws what the kernel is like, for hardware strapped already.
fn config(bench: &mut Bench, rng: &mut Pcg64Mcg) -> Result<OsConfig, Failure> {
    let straps = bench.setup().straps;
    let granule = match rng.random_range(0..16) {
        0 => Granule::K64,
        1..4 => Granule::K16,
        _ => Granule::K4,
    };
    Ok(OsConfig {
        granule,
        va_bits: rng.random_range(42..=48),
        kernel_granule: Granule::ALL[rng.random_range(0..3)],
        hardware_update: match rng.random_range(0..4) {
            0 => HardwareUpdate::None,
            1 => HardwareUpdate::AccessFlag,
            _ => HardwareUpdate::AccessFlagAndDirty,
        },
        asids: asids(bench)?,
        range_tlbi: rng.random_bool(0.7),
        batched: rng.random_bool(0.8),
        contpte: contpte::Config {
            enabled: rng.random_bool(0.8),
            bbm2_noabort: straps.bbml == 2 && !straps.conflict_abort && rng.random_bool(0.5),
            eager: rng.random_bool(0.3),
        },
        huge: false,
        anonymous_orders: match rng.random_range(0..4) {
            0 => vec![4],
            1 => vec![1, 2],
            _ => Vec::new(),
        },
        pages: 1536,
        ..OsConfig::default()
    })
}

fn stress(bench: &mut Bench) -> Result<(), Failure> {
    let cycles = bench.cycles_or(CYCLES);
    let mut rng = bench.rng("setup");
    setup::hardware(bench, &mut rng);
    let config = config(bench, &mut rng)?;
    if bench.setup().memory_system == MemorySystem::Default {
        bench.setup().memory_system = match rng.random_range(0..4) {
            0 => MemorySystem::Default,
            1 => MemorySystem::Ddr4,
            2 => MemorySystem::Random,
            _ => flat_nodes(bench)?,
        };
    }
    load(bench, &config, cycles, None)?.0
}

/// Memory that takes no time of its own, with a span of each node, so that the kernel has nodes.
fn flat_nodes(bench: &mut Bench) -> Result<MemorySystem, Failure> {
    let info = info(bench)?;
    let config = MemoryConfig {
        map: MemorySystem::Ddr4.resolve(&info, 0).map,
        ..MemoryConfig::flat(usize::from(info.nodes))
    };
    Ok(MemorySystem::Custom(Box::new(config)))
}

/// Runs the load on a kernel that makes `mistake`; returns how it ended, and what it left.
fn load(
    bench: &mut Bench,
    config: &OsConfig,
    cycles: u64,
    mistake: Option<Mistake>,
) -> Result<(Result<(), Failure>, Rc<World>), Failure> {
    let os = Os::boot(bench, config)?;
    let world = World::new(Rc::clone(&os), cycles, mistake);
    let workers: Vec<_> = (0..os.threads.len())
        .map(|core| Worker::new(&world, core, bench.rng(&format!("worker {core}"))))
        .collect();
    let load = Rc::clone(&world);
    let done = os.run_within(bench, cycles + WIND_UP, async move |os| {
        load.prepare().await?;
        let mut running = Vec::new();
        for worker in workers {
            running.push(os.handle.spawn(async move { worker.run().await }));
        }
        for task in running {
            task.await;
        }
        if let Some(failure) = load.failure() {
            return Err(failure);
        }
        load.clean();
        os.all_freed()
    });
    // A run that is cut short after the failure does not wait for what else is under way.
    let done = done.map_err(|ended| world.failure().unwrap_or(ended));
    for (name, count) in world.figures() {
        bench.count(name, count);
    }
    let counters = &os.kernel.counters;
    for (name, count) in counters.all().filter(|(_, count)| *count > 0) {
        bench.count(&format!("kernel {}", name.replace('_', " ")), count);
    }
    bench.count("loads compared", world.shadow.borrow().compared);
    Ok((done, world))
}
