// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Compare-and-swap, partial stores and whole words that meet at one home.

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::memory::{MemorySystem, node_base};
use cosim::dut::ports::{CommitKind, CoreRequest, Delays};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::EventKind;
use vmsa::El;

use super::setting::{info, load, store};
use crate::invalidation::record::{Record, cores};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "atomic-counter",
        purpose: "all cores count in one word by compare-and-swap while others store beside it: no step and no store is lost",
        requirements: &["MEM-05", "MEM-10", "MEM-20", "MEM-21", "ORD-20"],
        run: counter,
    },
    Testbench {
        name: "atomic-words",
        purpose: "words of 1, 2, 4 and 8 bytes are seen whole, near and far",
        requirements: &["MEM-05", "ORD-28"],
        run: whole_words,
    },
];

const SYSTEMS: [MemorySystem; 4] = [
    MemorySystem::Flat,
    MemorySystem::Ddr4,
    MemorySystem::Ddr5,
    MemorySystem::Random,
];

fn counter(bench: &mut Bench) -> Result<(), Failure> {
    const STEPS: u64 = 24;
    let shape = info(bench)?;
    for (system, delay) in
        SYSTEMS
            .into_iter()
            .zip([Delays::NONE, Delays::ALL, Delays::NONE, Delays::MEM_REQ])
    {
        bench.restart()?;
        bench.setup().memory_system = system;
        bench.setup().straps.delay = delay;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |_| {
            for node in 0..shape.nodes {
                record.clear();
                // The low half is a counter, the upper bytes belong to a storing core each.
                let place = 0x9000_0000 + 0x1000 * u64::from(node);
                let mut tasks = Vec::new();
                let mut others = Vec::new();
                for core in cores(&handle) {
                    let storing = core.clone();
                    let byte = place + 4 + u64::from(core.index() % 4);
                    others.push(handle.spawn(async move {
                        for step in 1..=STEPS {
                            storing.access(CoreRequest::store(byte, 0, El::El1, step)).await;
                        }
                    }));
                    tasks.push(handle.spawn(async move {
                        let mut held = core.access(load(place)).await.data;
                        let mut tries = 0u64;
                        for _ in 0..STEPS {
                            loop {
                                tries += 1;
                                let swap = CoreRequest::cas(place, El::El1, held, held + 1);
                                let found = core.access(swap).await.data;
                                let won = found == held;
                                held = if won { held + 1 } else { found };
                                if won {
                                    break;
                                }
                            }
                        }
                        tries
                    }));
                }
                let mut tries = 0;
                for task in tasks {
                    tries += task.await;
                }
                for other in others {
                    other.await;
                }
                let count = u64::from(shape.cores) * STEPS;
                let upper: u64 = (0..u64::from(shape.cores.min(4)))
                    .map(|byte| STEPS << (32 + 8 * byte))
                    .sum();
                let held = handle.peek(place);
                expect("MEM-10", held == upper | count, || {
                    format!("{held:#x} after {count} steps and stores of {upper:#x}")
                })?;
                // The history of the word, as the home reports it: one chain from 0 to the end, in
                // which each swap adds one to what was there.
                let history = record.collect(|kind| match kind {
                    EventKind::Commit {
                        node, source, kind, address, strobe, before, after, ..
                    } if *address == place => {
                        Some((*node, *source, *kind, *strobe, *before, *after))
                    }
                    _ => None,
                });
                let (mut word, mut swaps, mut stores) = (0, vec![0; 256], vec![0; 256]);
                for &(cycle, (at, source, kind, strobe, before, after)) in &history {
                    let chained = before == word && Some(at) == handle.home(place);
                    let step = match kind {
                        CommitKind::Cas => after == before + 1 && strobe == 0xff,
                        _ => strobe == 0x10 << (source % 4),
                    };
                    expect("MEM-21", chained && step, || {
                        format!("cycle {cycle}: {kind:?} of core {source} on node {at}, bytes {strobe:#x}: {before:#x} -> {after:#x}, held {word:#x}")
                    })?;
                    word = after;
                    let counts = if kind == CommitKind::Cas { &mut swaps } else { &mut stores };
                    counts[usize::from(source)] += 1;
                }
                for core in 0..usize::from(shape.cores) {
                    let counted = (swaps[core], stores[core]);
                    expect("MEM-21", counted == (STEPS, STEPS), || {
                        format!("core {core}: swaps and stores reported {counted:?}")
                    })?;
                }
                // Somebody did lose a race, or nothing was shown.
                expect("MEM-10", tries > count || shape.cores == 1, || {
                    "no compare-and-swap ever failed".to_owned()
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn whole_words(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 60;
    let shape = info(bench)?;
    if shape.cores < 2 {
        return Ok(());
    }
    for system in SYSTEMS {
        for node in [0, shape.nodes - 1] {
            bench.restart()?;
            bench.setup().memory_system = system.clone();
            let handle = bench.handle()?;
            bench.run(async move |writer| {
                let all = cores(&handle);
                let reader = all.last().cloned().unwrap_or(writer.clone());
                // One word of each size, in one line; the pages of a node are dealt out or its own.
                let page = match handle.home(node_base(node)) == Some(node) {
                    true => node_base(node),
                    false => 0x9000_0000 + 0x1000 * u64::from(node),
                };
                let places = [page + 1, page + 10, page + 20, page + 24];
                let stop = Rc::new(Cell::new(false));
                let stopped = Rc::clone(&stop);
                let written = handle.spawn(async move {
                    for round in 0u64.. {
                        if round >= ROUNDS && stopped.get() {
                            break;
                        }
                        let ones = if round % 2 == 0 { u64::MAX } else { 0 };
                        let pending: Vec<_> = (places.into_iter().zip(0u8..))
                            .map(|(at, size)| {
                                writer.issue(CoreRequest::store(at, size, El::El1, ones))
                            })
                            .collect();
                        for access in pending {
                            access.await.succeeds("ORD-28")?;
                        }
                    }
                    // What nobody wrote is as it was.
                    let around = writer.access(load(page)).await.data;
                    expect("MEM-05", around & !0xff00 == 0, || {
                        format!("beside a byte: {around:#x}")
                    })?;
                    writer.access(store(page + 40, 5)).await.succeeds("MEM-05")
                });
                let mut seen = [[false; 2]; 4];
                for round in 0..40 * ROUNDS {
                    let both = seen.iter().all(|seen| *seen == [true, true]);
                    if both && round >= 4 * ROUNDS {
                        break;
                    }
                    handle.sleep(round * 7 % 53).await;
                    let size = (round % 4) as u8;
                    let at = places[usize::from(size)];
                    let came = reader
                        .access(CoreRequest::load(at, size, El::El1))
                        .await
                        .data;
                    let ones = u64::MAX >> (64 - (8 << size));
                    expect("ORD-28", came == 0 || came == ones, || {
                        format!("{} bytes at {at:#x} read {came:#x}", 1 << size)
                    })?;
                    seen[usize::from(size)][usize::from(came != 0)] = true;
                }
                stop.set(true);
                written.await?;
                let both = seen.iter().all(|seen| *seen == [true, true]);
                expect("ORD-28", both, || format!("values seen: {seen:?}"))
            })?;
        }
    }
    Ok(())
}
