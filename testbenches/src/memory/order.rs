// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Ordering between nodes: what a barrier orders, what nothing orders, and what holds for every
//! location, near or far, under injected delays (section 5).

use cosim::dut::memory::{MemoryConfig, node_base};
use cosim::dut::ports::{CoreRequest, Delays, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use rand::Rng;
use vmsa::{DsbKind, El};

use super::setting::{CLOCK_PS, first_cores, info, load, quiet, quiet_node, store, with};
use crate::invalidation::record::{Record, cores};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "order-message",
        purpose: "data and a flag on two nodes: a reader of the flag sees the data if both sides have barriers, not always without",
        requirements: &["ORD-21", "ORD-23", "ORD-25", "NOC-07"],
        run: message,
    },
    Testbench {
        name: "order-store-buffering",
        purpose: "two cores store and then, behind a DSB, read what the other stored: one of them sees it",
        requirements: &["ORD-21", "ORD-22", "ORD-23"],
        run: store_buffering,
    },
    Testbench {
        name: "order-independent-writes",
        purpose: "two observers of two writers agree on which came first",
        requirements: &["ORD-21", "NOC-07"],
        run: independent_writes,
    },
    Testbench {
        name: "order-acknowledgement",
        purpose: "a store is acknowledged after it is visible, later the further its home is, and a DSB waits for that",
        requirements: &["ORD-22", "ORD-23"],
        run: acknowledgement,
    },
    Testbench {
        name: "order-of-a-line",
        purpose: "accesses of one core to one line arrive in program order, through links, limits and delays",
        requirements: &["NOC-06", "NOC-07", "MEM-12", "ORD-20"],
        run: line_order,
    },
];

/// `config` with the distances of the contract.
fn far(mut config: MemoryConfig) -> MemoryConfig {
    config.latency_unit_ps = 9_000;
    config
}

async fn barrier(core: &CoreHandle) {
    core.access(CoreRequest::dsb(DsbKind::SY)).await;
}

/// How often the reader saw the flag and not the data.
fn stale(bench: &mut Bench, barriers: bool, delay: Delays) -> Result<u64, Failure> {
    const ROUNDS: u64 = 40;
    let shape = info(bench)?;
    let config = far(quiet(bench)?);
    bench.restart()?;
    bench.setup().straps.delay = delay;
    with(bench, config)?;
    let handle = bench.handle()?;
    bench.run(async move |writer| {
        let all = cores(&handle);
        let reader = all.last().cloned().unwrap_or(writer.clone());
        let (data, flag) = (node_base(shape.nodes - 1), node_base(0));
        let now = handle.clone();
        let reads = handle.spawn(async move {
            let mut stale = 0;
            for round in 1..=ROUNDS {
                // Until the flag of this round, then the data of it.
                loop {
                    let flagged = reader.issue(load(flag + 64 * round));
                    let data = load(data + 64 * round);
                    let (flagged, seen) = if barriers {
                        let flagged = flagged.await;
                        barrier(&reader).await;
                        (flagged, reader.access(data).await)
                    } else {
                        let seen = reader.issue(data);
                        (flagged.await, seen.await)
                    };
                    stale += u64::from(flagged.data == 1 && seen.data == 0);
                    if flagged.data == 1 {
                        break;
                    }
                }
            }
            stale
        });
        for round in 1..=ROUNDS {
            let first = writer.issue(store(data + 64 * round, 1));
            let fence = barriers.then(|| writer.issue(CoreRequest::dsb(DsbKind::SY)));
            let second = writer.issue(store(flag + 64 * round, 1));
            first.await.succeeds("ORD-22")?;
            if let Some(fence) = fence {
                fence.await.succeeds("ORD-23")?;
            }
            second.await.succeeds("ORD-22")?;
            now.sleep(round * 7 % 61).await;
        }
        Ok(reads.await)
    })
}

fn message(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    if shape.cores < 2 {
        return Ok(());
    }
    for delay in [Delays::NONE, Delays::ALL] {
        let with_barriers = stale(bench, true, delay)?;
        expect("ORD-23", with_barriers == 0, || {
            format!("{with_barriers} readers saw the flag and not the data")
        })?;
        let without = stale(bench, false, delay)?;
        // The flag's home is near to the writer, the data's far.
        expect("ORD-25", without > 0 || shape.nodes < 2, || {
            "without a barrier the flag never passed the data".to_owned()
        })?;
        bench.count("flag before data without barriers", without);
    }
    Ok(())
}

fn store_buffering(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 60;
    let shape = info(bench)?;
    if shape.cores < 2 {
        return Ok(());
    }
    for (barriers, delay) in [
        (true, Delays::NONE),
        (true, Delays::ALL),
        (false, Delays::NONE),
    ] {
        let config = far(quiet(bench)?);
        bench.restart()?;
        bench.setup().straps.delay = delay;
        with(bench, config)?;
        let handle = bench.handle()?;
        let neither = bench.run(async move |_| {
            let all = cores(&handle);
            let pair = [all[0].clone(), all[all.len() - 1].clone()];
            let places = [node_base(0), node_base(1 % shape.nodes) + 0x1000];
            let mut neither = 0;
            for round in 0..ROUNDS {
                // Each stores where the other is at home: the way there is long.
                let tasks: Vec<_> = (0..2usize)
                    .map(|own| {
                        let (core, clock) = (pair[own].clone(), handle.clone());
                        let (mine, other) =
                            (places[1 - own] + 64 * round, places[own] + 64 * round);
                        handle.spawn(async move {
                            clock.sleep(round * (own as u64 + 1) % 5).await;
                            let stored = core.issue(store(mine, 1));
                            let fence = barriers.then(|| core.issue(CoreRequest::dsb(DsbKind::SY)));
                            let seen = core.issue(load(other)).await.data;
                            stored.await;
                            if let Some(fence) = fence {
                                fence.await;
                            }
                            seen
                        })
                    })
                    .collect();
                let mut seen = Vec::new();
                for task in tasks {
                    seen.push(task.await);
                }
                neither += u64::from(seen == [0, 0]);
            }
            Ok(neither)
        })?;
        // Without a barrier nothing forbids it, and the distance makes it common.
        let fits = if barriers {
            neither == 0
        } else {
            neither > 0 || shape.nodes < 2
        };
        expect("ORD-23", fits, || {
            format!("both read 0 in {neither} of {ROUNDS} rounds, barriers {barriers}")
        })?;
    }
    Ok(())
}

fn independent_writes(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 60;
    let shape = info(bench)?;
    if shape.cores < 4 {
        return Ok(());
    }
    let mut opposite = [0u64; 2];
    for delay in [Delays::NONE, Delays::ALL] {
        let config = far(quiet(bench)?);
        bench.restart()?;
        bench.setup().straps.delay = delay;
        with(bench, config)?;
        let handle = bench.handle()?;
        let mut rng = bench.rng("pauses");
        // Writers spread wider than observers, so that these often look between two stores.
        let longest = [800, 800, 400, 400].into_iter().cycle();
        let longest = longest.take(4 * ROUNDS as usize);
        let pauses: Vec<u64> = longest.map(|most| rng.random_range(0..most)).collect();
        let (disagreed, one_sided) = bench.run(async move |_| {
            let all = cores(&handle);
            // Cores 0 and 3 write, 1 and 2 observe, near one writer and far from the other.
            let places = [node_base(0), node_base(1)];
            let (mut disagreed, mut one_sided) = (0, [0u64; 2]);
            for round in 0..ROUNDS {
                let at = [places[0] + 64 * round, places[1] + 64 * round];
                let pause = |who: usize| pauses[4 * round as usize + who];
                let mut writers = Vec::new();
                for (who, core, place) in [(0, &all[0], at[0]), (1, &all[3], at[1])] {
                    let (core, clock, pause) = (core.clone(), handle.clone(), pause(who));
                    writers.push(handle.spawn(async move {
                        clock.sleep(pause).await;
                        core.access(store(place, 1)).await;
                    }));
                }
                let mut readers = Vec::new();
                for (who, core) in [(0usize, &all[1]), (1, &all[2])] {
                    let (core, clock, pause) = (core.clone(), handle.clone(), pause(2 + who));
                    let (first, second) = (at[who], at[1 - who]);
                    readers.push(handle.spawn(async move {
                        clock.sleep(pause).await;
                        let one = core.access(load(first)).await.data;
                        barrier(&core).await;
                        (one, core.access(load(second)).await.data)
                    }));
                }
                for writer in writers {
                    writer.await;
                }
                let mut saw = Vec::new();
                for reader in readers {
                    saw.push(reader.await);
                }
                disagreed += u64::from(saw == [(1, 0), (1, 0)]);
                for (sided, saw) in one_sided.iter_mut().zip(&saw) {
                    *sided += u64::from(*saw == (1, 0));
                }
            }
            Ok((disagreed, one_sided))
        })?;
        expect("ORD-21", disagreed == 0, || {
            format!("in {disagreed} rounds two observers saw two stores in opposite orders")
        })?;
        opposite = [opposite[0] + one_sided[0], opposite[1] + one_sided[1]];
    }
    expect("ORD-21", opposite[0] > 0 && opposite[1] > 0, || {
        format!("one store and not the other was seen {opposite:?} times")
    })
}

fn acknowledgement(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    let config = far(quiet(bench)?);
    let (distance, unit) = (config.distance, config.latency_unit_ps);
    with(bench, config)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |_| {
        let dram = quiet_node().dram;
        let service: u64 = [dram.t_rcd, dram.cl, dram.burst]
            .map(|ps| ps.div_ceil(CLOCK_PS))
            .iter()
            .sum();
        for (from, core) in first_cores(&handle).into_iter().enumerate() {
            for to in 0..shape.nodes {
                handle.sleep(200).await;
                record.clear();
                let place = node_base(to) + 64;
                let stored = core.issue(store(place, 3));
                let fence = core.issue(CoreRequest::dsb(DsbKind::SY));
                stored.await.succeeds("ORD-22")?;
                fence.await.succeeds("ORD-23")?;
                let visible = record.collect(|kind| match kind {
                    EventKind::Commit { address, .. } if *address == place => Some(()),
                    _ => None,
                });
                let visible = visible.first().map_or(u64::MAX, |&(cycle, ())| cycle);
                let [stored] = record.answers(core.index(), OpCode::Store)[..] else {
                    return Err(Failure::expectation("no answer was recorded"));
                };
                let fence = record.answers(core.index(), OpCode::Dsb)[0].at;
                // A queued write is acknowledged: what the way takes, and a clock for the queue.
                let whole = u64::from(distance[from][usize::from(to)]) * unit / CLOCK_PS;
                let wanted = whole - service + 1;
                let came = stored.at - stored.asked;
                expect("ORD-22", came == wanted, || {
                    format!("node {from} stores to node {to} in {came} clocks, not {wanted}")
                })?;
                // Half of the way back lies between the instant and its acknowledgement.
                let back = (whole - service - super::setting::BESIDE).div_ceil(2);
                expect("ORD-22", stored.at >= visible + back, || {
                    format!("visible at {visible}, acknowledged at {}", stored.at)
                })?;
                expect("ORD-23", fence > stored.at, || {
                    format!("the DSB ended at {fence}, the store at {}", stored.at)
                })?;
            }
        }
        Ok(())
    })
}

fn line_order(bench: &mut Bench) -> Result<(), Failure> {
    const EACH: u64 = 200;
    let shape = info(bench)?;
    for (seed, delay) in [
        (1, Delays::NONE),
        (2, Delays::ALL),
        (3, Delays::MEM_REQ),
        (4, Delays::ALL),
    ] {
        let mut config = far(quiet(bench)?);
        for (number, link) in config.links.iter_mut().flatten().enumerate() {
            link.rate = [0, 1024, 3000][(number + seed as usize) % 3];
            link.burst = 128;
        }
        for node in config.nodes.iter_mut().flatten() {
            node.drain = (4, 2);
        }
        bench.restart()?;
        bench.setup().straps.delay = delay;
        bench.setup().straps.delay_seed = seed;
        with(bench, config)?;
        let mut rng = bench.rng("order");
        // Four lines a node; cores have words of their own in each.
        let programs: Vec<Vec<CoreRequest>> = (0..u64::from(shape.cores))
            .map(|core| {
                let mut draw = |i| {
                    let (node, line) = (rng.random_range(0..shape.nodes), rng.random_range(0..4));
                    let word = core % 4 * 2 + rng.random_range(0..2u64);
                    let place = node_base(node) + 64 * line + 8 * word;
                    match rng.random_range(0..5) {
                        0 | 1 => store(place, i + 1),
                        2 => CoreRequest::store(place + 4, 1, El::El1, i),
                        _ => load(place),
                    }
                };
                (0..EACH).map(&mut draw).collect()
            })
            .collect();
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let asked = programs.clone();
        bench.run(async move |_| {
            let mut tasks = Vec::new();
            for (core, program) in cores(&handle).into_iter().zip(programs) {
                tasks.push(handle.spawn(async move {
                    let pending: Vec<_> = program.iter().map(|&r| core.issue(r)).collect();
                    for access in pending {
                        access.await.succeeds("NOC-06")?;
                    }
                    Ok::<(), Failure>(())
                }));
            }
            for task in tasks {
                task.await?;
            }
            let served = record.collect(|kind| match kind {
                EventKind::DramRead { address, .. } => Some((*address, false, 0)),
                EventKind::DramWrite { address, data, .. } => Some((*address, true, *data)),
                _ => None,
            });
            for (core, program) in (0u64..).zip(&asked) {
                for node in 0..shape.nodes {
                    for line in 0..4 {
                        let line = node_base(node) + 64 * line;
                        let own = line + core % 4 * 16..line + core % 4 * 16 + 16;
                        let came: Vec<(u64, bool)> = (served.iter())
                            .filter(|(_, (address, ..))| own.contains(address))
                            .map(|&(_, (address, write, _))| (address, write))
                            .collect();
                        let wanted: Vec<(u64, bool)> = (program.iter())
                            .filter(|request| own.contains(&request.va))
                            .map(|r| (r.va & !7, r.op.code() == OpCode::Store))
                            .collect();
                        expect("NOC-06", came == wanted, || {
                            format!("core {core}, line {line:#x}: {came:x?}, asked {wanted:x?}")
                        })?;
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
