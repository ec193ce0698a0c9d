// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a memory system may not change, and what makes a run repeat: one program without races, under
//! many timings.

use cosim::dut::memory::{MemoryConfig, MemorySystem};
use cosim::dut::ports::{CoreRequest, Delays};
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use super::setting::{info, load, store};
use crate::invalidation::record::cores;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "memory-invariance",
        purpose: "a program without races reads the same values and leaves the same memory under every timing",
        requirements: &["MEM-14", "MEM-23", "NOC-07"],
        run: same_results,
    },
    Testbench {
        name: "memory-repeats",
        purpose: "one seed and one configuration give the same values in the same cycles; another seed does not",
        requirements: &["MEM-15"],
        run: same_cycles,
    },
];

const TABLES: u64 = 0x5000_0000;
/// Eight pages, dealt out to the nodes.
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;
const PAGES: u64 = 8;
/// The lock, and beside it what it guards.
const LOCK: u64 = VA;
const GUARDED: u64 = VA + 0x1040;
/// Words of a core's own.
const OWN: u64 = VA + 0x2000;
const ROUNDS: u64 = 10;
/// Table of the page with what is guarded.
const GUARDED_PAGE: u64 = GUARDED & !0xfff;

/// What one core does; returns everything that it read and that no race decides.
async fn program(core: CoreHandle) -> Vec<u64> {
    let number = u64::from(core.index());
    let mut read = Vec::new();
    for round in 0..ROUNDS {
        // Its own words, on every node: store, load back, also in parts.
        let mut pending = Vec::new();
        for page in 0..4 {
            let place = OWN + (page << 12) + 0x100 * number + 8 * (round % 4);
            let value = number << 32 | round << 8 | page;
            pending.push(core.issue(store(place, value)));
            pending.push(core.issue(CoreRequest::store(place + 6, 1, El::El1, round)));
            pending.push(core.issue(load(place)));
            pending.push(core.issue(CoreRequest::load(place + 4, 2, El::El1)));
        }
        for access in pending {
            read.push(access.await.data);
        }
        // A lock taken by compare-and-swap guards a sum of all cores.
        loop {
            let swap = CoreRequest::cas(LOCK, El::El1, 0, number + 1);
            if core.access(swap).await.data == 0 {
                break;
            }
        }
        let sum = core.access(load(GUARDED)).await.data;
        core.access(store(GUARDED, sum + number + 1)).await;
        let steps = core.access(load(GUARDED + 8)).await.data;
        core.access(store(GUARDED + 8, steps + 1)).await;
        core.access(CoreRequest::dsb(DsbKind::SY)).await;
        core.access(store(LOCK, 0)).await;
        // Its translation goes away and comes back.
        if round % 3 == number % 3 {
            let operation = Tlbi::vaae1(TlbiScope::InnerShareable, GUARDED_PAGE, None);
            core.access(CoreRequest::tlbi(operation)).await;
            core.access(CoreRequest::dsb(DsbKind::SY)).await;
        }
    }
    read
}

/// Values read by each core, memory in the end, and the cycle of the end.
type Outcome = (Vec<Vec<u64>>, Vec<u64>, u64);

fn run(bench: &mut Bench, system: MemorySystem, delay: Delays) -> Result<Outcome, Failure> {
    bench.restart()?;
    bench.setup().memory_system = system;
    bench.setup().straps.delay = delay;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..PAGES {
        tree.map(
            VA + (page << 12),
            3,
            user_rw(Granule::K4, 3, PA + (page << 12)),
        );
    }
    tree.load(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |_| {
        let regime = Regime::default().with(&tree, 1);
        let mut tasks = Vec::new();
        for core in cores(&handle) {
            tasks.push(handle.spawn(async move {
                regime.enter(&core).await;
                program(core).await
            }));
        }
        let mut read = Vec::new();
        for task in tasks {
            read.push(task.await);
        }
        let words = (0..PAGES << 12).step_by(8);
        let memory = words.map(|offset| handle.peek(PA + offset)).collect();
        Ok((read, memory, handle.now()))
    })
}

/// A memory system drawn from `seed`, whatever the seed of the run is.
fn drawn(bench: &Bench, seed: u64) -> Result<MemoryConfig, Failure> {
    Ok(MemorySystem::Random.resolve(&info(bench)?, seed))
}

fn same_results(bench: &mut Bench) -> Result<(), Failure> {
    const DRAWS: u64 = 10;
    let shape = info(bench)?;
    let (read, memory, flat) = run(bench, MemorySystem::Flat, Delays::NONE)?;
    let cores = u64::from(shape.cores);
    let word = |place: u64| memory[((place - VA) / 8) as usize];
    let sums = (word(LOCK), word(GUARDED), word(GUARDED + 8));
    let wanted = (0, ROUNDS * cores * (cores + 1) / 2, ROUNDS * cores);
    expect("MEM-10", sums == wanted, || {
        format!("lock, sum and steps {sums:?}, not {wanted:?}")
    })?;
    let mut ends = vec![flat];
    let mut systems = vec![MemorySystem::Ddr4, MemorySystem::Ddr5];
    for seed in 0..DRAWS {
        systems.push(MemorySystem::Custom(Box::new(drawn(bench, seed)?)));
    }
    for (number, system) in systems.into_iter().enumerate() {
        let delay = [Delays::NONE, Delays::ALL][number % 2];
        let came = run(bench, system, delay)?;
        for (core, (came, wanted)) in came.0.iter().zip(&read).enumerate() {
            expect("MEM-14", came == wanted, || {
                let place = came
                    .iter()
                    .zip(wanted)
                    .position(|(came, wanted)| came != wanted);
                format!("system {number}: core {core} reads other values from {place:?} on")
            })?;
        }
        let differs = came
            .1
            .iter()
            .zip(&memory)
            .position(|(came, wanted)| came != wanted);
        expect("MEM-14", differs.is_none(), || {
            format!("system {number}: word {differs:?} of memory differs in the end")
        })?;
        ends.push(came.2);
    }
    // The timings did differ.
    ends.sort_unstable();
    ends.dedup();
    expect("MEM-23", ends.len() as u64 > DRAWS, || {
        format!("runs ended at {ends:?} only")
    })
}

fn same_cycles(bench: &mut Bench) -> Result<(), Failure> {
    let mut ends = Vec::new();
    for seed in [3, 4] {
        let system = MemorySystem::Custom(Box::new(drawn(bench, seed)?));
        let first = run(bench, system.clone(), Delays::ALL)?;
        let second = run(bench, system, Delays::ALL)?;
        expect("MEM-15", first == second, || {
            format!("two runs of one seed ended at {} and {}", first.2, second.2)
        })?;
        ends.push(first.2);
    }
    expect("MEM-15", ends[0] != ends[1], || {
        format!("two memory systems end at {} both", ends[0])
    })
}
