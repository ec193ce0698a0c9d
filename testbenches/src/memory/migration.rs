// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Moving a page from node to node while other cores write and read it: break-before-make and a copy
//! lose no store and show no old value (ORD-29).

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::memory::{MemorySystem, node_base};
use cosim::dut::ports::{CoreRequest, Delays};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, Granule, Tlbi, TlbiScope};

use super::setting::{info, load, quiet, store};
use crate::invalidation::record::cores;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, unmet};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "page-migration",
    purpose: "a page moves between nodes under writers and readers on all cores, for several timings",
    requirements: &["ORD-29", "ORD-23", "NOC-07"],
    run: migration,
}];

const TABLES: u64 = 0x5000_0000;
/// The page that moves.
const PAGE: u64 = 0x4000_0000;
/// Its place on each node, as the mover sees it.
const COPIES: u64 = 0x4010_0000;
/// The table with its descriptor, as the mover sees it.
const TABLE: u64 = 0x4020_0000;
const MOVES: u64 = 5;
/// Words that each core has of the page.
const WORDS: u64 = 2;

/// Writes ever greater values to its words until told to stop, and reads them back. Returns the
/// last value of each that was stored.
async fn writer(core: CoreHandle, stop: Rc<Cell<bool>>) -> Result<[u64; WORDS as usize], Failure> {
    let mut last = [0; WORDS as usize];
    let place = |word: usize| PAGE + 64 * u64::from(core.index()) + 8 * word as u64;
    let mut value = 0;
    while !stop.get() {
        value += 1;
        let word = (value % WORDS) as usize;
        let stored = core.access(store(place(word), value)).await;
        if stored.fault.is_none() {
            last[word] = value;
        }
        let read = core.access(load(place(word))).await;
        if read.fault.is_none() && read.data != last[word] {
            let came = format!(
                "core {} stored {} and reads {}",
                core.index(),
                last[word],
                read.data
            );
            return Err(unmet("ORD-29", came));
        }
    }
    Ok(last)
}

fn migration(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    let nodes = u64::from(shape.nodes);
    let mut far = quiet(bench)?;
    far.latency_unit_ps = 20_000;
    let far = MemorySystem::Custom(Box::new(far));
    let drawn = MemorySystem::Random.resolve(&shape, 7);
    let drawn = MemorySystem::Custom(Box::new(drawn));
    for (system, delay) in [
        (MemorySystem::Flat, Delays::NONE),
        (MemorySystem::Ddr4, Delays::NONE),
        (far, Delays::NONE),
        (MemorySystem::Ddr5, Delays::ALL),
        (drawn, Delays::DVM),
    ] {
        bench.restart()?;
        bench.setup().memory_system = system;
        bench.setup().straps.delay = delay;
        // Flat memory has no spans of nodes: pages next to each other are on different ones.
        let spans = bench.handle()?.home(node_base(1)) == Some(1 % shape.nodes);
        let frame = move |node: u64| match spans {
            true => node_base(node as u8),
            false => 0x8000_0000 + (node << 12),
        };
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        let slot = tree.map(PAGE, 3, user_rw(Granule::K4, 3, frame(0)));
        for node in 0..nodes {
            tree.map(
                COPIES + (node << 12),
                3,
                user_rw(Granule::K4, 3, frame(node)),
            );
        }
        tree.map(TABLE, 3, user_rw(Granule::K4, 3, slot & !0xfff));
        tree.load(bench)?;
        let handle = bench.handle()?;
        let stores = bench.run(async move |mover| {
            let regime = Regime::default().with(&tree, 1);
            let stop = Rc::new(Cell::new(false));
            let mut tasks = Vec::new();
            for core in cores(&handle).split_off(1) {
                let stop = Rc::clone(&stop);
                tasks.push(handle.spawn(async move {
                    regime.enter(&core).await;
                    writer(core, stop).await
                }));
            }
            regime.enter(&mover).await;
            let entry = TABLE + (slot & 0xfff);
            let dsb = CoreRequest::dsb(DsbKind::SY);
            for step in 0..MOVES {
                handle.sleep(700).await;
                let (from, to) = (step % nodes, (step + 1) % nodes);
                mover.access(store(entry, 0)).await.succeeds("ORD-29")?;
                mover.access(dsb).await;
                let operation = Tlbi::vaae1(TlbiScope::InnerShareable, PAGE, None);
                mover.access(CoreRequest::tlbi(operation)).await;
                mover.access(dsb).await;
                // From here on nobody can write the old copy.
                for offset in (0..64 * u64::from(shape.cores)).step_by(8) {
                    let word = mover.access(load(COPIES + (from << 12) + offset)).await;
                    word.succeeds("ORD-29")?;
                    let copy = store(COPIES + (to << 12) + offset, word.data);
                    mover.access(copy).await.succeeds("ORD-29")?;
                }
                mover.access(dsb).await;
                let leaf = user_rw(Granule::K4, 3, frame(to)).0;
                mover.access(store(entry, leaf)).await.succeeds("ORD-29")?;
                mover.access(dsb).await;
                mover.access(CoreRequest::isb()).await;
            }
            handle.sleep(700).await;
            stop.set(true);
            let mut written = Vec::new();
            for task in tasks {
                written.push(task.await?);
            }
            let mut stores = 0;
            for (core, last) in (1u64..).zip(written) {
                for (word, value) in (0u64..).zip(last) {
                    let place = frame(MOVES % nodes) + 64 * core + 8 * word;
                    let held = handle.peek(place);
                    expect("ORD-29", held == value && value > 0, || {
                        format!("core {core} stored {value} last, the page holds {held}")
                    })?;
                    stores += value;
                }
            }
            Ok(stores)
        })?;
        bench.count("stores during moves", stores);
    }
    Ok(())
}
