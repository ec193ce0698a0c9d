// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A memory controller under load: bandwidth, and how long at most a request waits for others.

use cosim::dut::memory::{NodeTiming, Port, Tail, node_base};
use cosim::dut::ports::OpCode;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::EventKind;

use super::setting::{BESIDE, Rows, clocks, info, lasts, load, quiet, quiet_node, store, with};
use super::stream::Streams;
use crate::invalidation::record::{Record, cores};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "memory-peak",
        purpose: "reads of open rows use at least nine tenths of the bandwidth of the channels",
        requirements: &["MEM-09"],
        run: peak,
    },
    Testbench {
        name: "memory-age-cap",
        purpose: "a read of another row waits behind an endless stream of row hits until AGE_CAP and no longer",
        requirements: &["MEM-06"],
        run: age_cap,
    },
    Testbench {
        name: "memory-drain",
        purpose: "endless writes hold a read up for one drain at most; endless reads do not hold writes up",
        requirements: &["MEM-06", "MEM-07"],
        run: drain,
    },
    Testbench {
        name: "memory-full",
        purpose: "full queues and ports without credits hold requests up and lose, repeat and change none",
        requirements: &["MEM-12", "MEM-04"],
        run: full,
    },
    Testbench {
        name: "memory-refresh",
        purpose: "refresh comes in time under an endless stream of row hits",
        requirements: &["MEM-08"],
        run: refresh,
    },
];

/// Writes that a channel queues.
const WRITES: u64 = 32;

fn peak(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    if shape.cores < 2 {
        // One core has too little in flight.
        return Ok(());
    }
    const EACH: u64 = 600;
    let config = quiet(bench)?;
    let channels = u64::from(shape.channels);
    with(bench, config)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let used = bench.run(async move |_| {
        let all = cores(&handle);
        let mut tasks = Vec::new();
        for core in all.clone() {
            tasks.push(handle.spawn(async move {
                // Cores begin in different bank groups.
                let first = u64::from(core.index()) * 8;
                let line = |i: u64| node_base(0) + 64 * ((first + i) % (16 * channels));
                let pending: Vec<_> = (0..EACH).map(|i| core.issue(load(line(i)))).collect();
                for access in pending {
                    access.await.succeeds("MEM-09")?;
                }
                Ok::<(), Failure>(())
            }));
        }
        for task in tasks {
            task.await?;
        }
        let mut ends: Vec<u64> = (all.iter())
            .flat_map(|core| record.answers(core.index(), OpCode::Load))
            .map(|answer| answer.at)
            .collect();
        ends.sort_unstable();
        // Between the first tenth and the last one, when every core is at it.
        let (from, to) = (ends.len() / 10, ends.len() * 9 / 10);
        let busy = (to - from) as u64 * clocks(quiet_node().dram.burst) * 1000;
        let used = busy / (channels * (ends[to] - ends[from]));
        expect("MEM-09", (900..=1000).contains(&used), || {
            format!("{used} thousandths of the bandwidth")
        })?;
        Ok(used)
    })?;
    bench.count("thousandths of peak", used);
    Ok(())
}

fn age_cap(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    for cap in [100, 400, 1600] {
        let mut config = quiet(bench)?;
        let node = NodeTiming {
            age_cap_ps: cap * super::setting::CLOCK_PS,
            ..quiet_node()
        };
        config.nodes.iter_mut().for_each(|slot| *slot = Some(node));
        with(bench, config)?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            let rows = Rows::of(&shape, 0);
            let others = cores(&handle).split_off(1);
            // With one core, the stream is its own, and what it waits for its own too.
            let streams = Streams::default();
            let running: Vec<_> = (others.into_iter())
                .map(|other| streams.start(&handle, other, move |i| load(rows.line(0, i % 4))))
                .collect();
            let several = !running.is_empty();
            let dram = node.dram;
            let alone: u64 = [dram.t_rp, dram.t_rcd, dram.cl, dram.burst]
                .map(clocks)
                .iter()
                .sum();
            for round in 1..4 {
                handle.sleep(400).await;
                let came = lasts(&handle, &core, load(rows.line(round, 0))).await;
                // What was queued before it, the time from the last column command to PRECHARGE.
                let before = 8 * (u64::from(shape.cores) - 1);
                let slack = before * clocks(dram.t_ccd_l) + clocks(dram.t_rtp);
                let least = BESIDE + alone + if several { cap } else { 0 };
                expect(
                    "MEM-06",
                    (least..=least + slack).contains(&came) || !several,
                    || {
                        format!(
                            "{came} clocks with AGE_CAP {cap}: {least} to {}",
                            least + slack
                        )
                    },
                )?;
            }
            streams.stop();
            for stream in running {
                stream.await?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Clocks that `writes` take at most, each in another row of one bank.
fn longest(writes: u64) -> u64 {
    let dram = quiet_node().dram;
    let each: u64 = [dram.t_rcd, dram.cwl, dram.burst, dram.t_wr, dram.t_rp]
        .map(clocks)
        .iter()
        .sum();
    writes * (each + 4)
}

fn drain(bench: &mut Bench) -> Result<(), Failure> {
    const READS: u64 = 12;
    const STORES: u64 = 120;
    let shape = info(bench)?;
    // The queue, what each core has in flight in front of it, and then the oldest request goes first.
    let writes = WRITES + 8 * u64::from(shape.cores);
    let bound = BESIDE + longest(writes) + clocks(quiet_node().age_cap_ps);
    let most = |record: &Record, core: u8| {
        let answers = record.answers(core, OpCode::Load);
        let lasted = answers.iter().map(|answer| answer.at - answer.asked);
        lasted.max().unwrap_or(0)
    };
    // One core reads, the others write.
    let config = quiet(bench)?;
    with(bench, config)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let waited = bench.run(async move |core| {
        let rows = Rows::of(&shape, 0);
        let streams = Streams::default();
        let running: Vec<_> = (cores(&handle).split_off(1).into_iter())
            .map(|other| {
                let number = u64::from(other.index());
                // Rows of one bank, no line twice.
                streams.start(&handle, other, move |i| {
                    store(rows.line(64 * i + number, 0), i)
                })
            })
            .collect();
        handle.sleep(6000).await;
        for i in 0..READS {
            core.access(load(rows.line(i, 2) + 1024))
                .await
                .succeeds("MEM-07")?;
        }
        streams.stop();
        for stream in running {
            stream.await?;
        }
        let waited = most(&record, 0);
        expect("MEM-07", waited <= bound, || {
            format!("a read waited {waited} clocks under writes, a drain takes {bound} at most")
        })?;
        Ok(waited)
    })?;
    bench.count("clocks of a read under writes", waited);
    // One core writes, the others read.
    let config = quiet(bench)?;
    with(bench, config)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let rows = Rows::of(&shape, 0);
        let streams = Streams::default();
        let others = cores(&handle).split_off(1);
        let running: Vec<_> = (others.iter().cloned())
            .map(|other| streams.start(&handle, other, move |i| load(rows.line(0, i % 4) + 1024)))
            .collect();
        handle.sleep(1000).await;
        let begun = handle.now();
        let pending: Vec<_> = (0..STORES)
            .map(|i| core.issue(store(rows.line(i, 0), i)))
            .collect();
        for access in pending {
            access.await.succeeds("MEM-07")?;
        }
        let lasted = handle.now() - begun;
        streams.stop();
        for stream in running {
            stream.await?;
        }
        // Every 16 writes past the high mark begin a drain of their own.
        let drains = STORES.div_ceil(16) + 1;
        expect("MEM-07", lasted <= drains * bound, || {
            format!("{STORES} writes took {lasted} clocks under reads")
        })?;
        for other in others {
            let waited = most(&record, other.index());
            expect("MEM-07", waited <= bound, || {
                format!("a read waited {waited} clocks under drains, one takes {bound} at most")
            })?;
        }
        Ok(())
    })
}

fn full(bench: &mut Bench) -> Result<(), Failure> {
    const LINES: u64 = 70;
    let shape = info(bench)?;
    for credits in [0, 1, 3] {
        let mut config = quiet(bench)?;
        let mut node = quiet_node();
        // Writes wait until the queue is full.
        node.drain = (WRITES as u8, 0);
        node.write_age_ps = super::setting::LONGEST_PS / 4;
        node.port = (credits > 0).then_some(Port {
            delay_ps: 5_000,
            credits,
            read_rate: 2048,
            write_rate: 1024,
            tail: Tail::default(),
        });
        config.nodes.iter_mut().for_each(|slot| *slot = Some(node));
        with(bench, config)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |_| {
            let rows = Rows::of(&shape, 0);
            let place = move |core: u64, i: u64| rows.line(i / 4, i % 4) + 16 * core;
            let mut tasks = Vec::new();
            for core in cores(&handle) {
                let number = u64::from(core.index());
                tasks.push(handle.spawn(async move {
                    let mut pending = Vec::new();
                    for i in 0..LINES {
                        let value = number << 32 | (i + 1);
                        pending.push((core.issue(store(place(number, i), value)), None));
                        // A line written before, which may be queued or under way.
                        let back = i - i % 8;
                        let wanted = number << 32 | (back + 1);
                        pending.push((core.issue(load(place(number, back))), Some(wanted)));
                    }
                    for (access, wanted) in pending {
                        let answer = access.await;
                        match wanted {
                            Some(wanted) => answer.reads("MEM-04", wanted)?,
                            None => answer.succeeds("MEM-12")?,
                        }
                    }
                    Ok::<(), Failure>(())
                }));
            }
            for task in tasks {
                task.await?;
            }
            let count = u64::from(shape.cores) * LINES;
            for (core, i) in (0..count).map(|n| (n / LINES, n % LINES)) {
                let held = handle.peek(place(core, i));
                expect("MEM-12", held == core << 32 | (i + 1), || {
                    format!("store {i} of core {core} left {held:#x}")
                })?;
            }
            let mut requests = [0; 2];
            record
                .collect(|kind| match kind {
                    EventKind::DramRead { .. } => Some(0),
                    EventKind::DramWrite { .. } => Some(1),
                    _ => None,
                })
                .iter()
                .for_each(|&(_, kind): &(u64, usize)| requests[kind] += 1);
            expect("MEM-12", requests == [count, count], || {
                format!("{requests:?} reads and writes reached memory, {count} were asked for each")
            })?;
            // A write found the queue full: it waited for a drain.
            let answers = record.answers(0, OpCode::Store);
            let most = answers.iter().map(|answer| answer.at - answer.asked).max();
            expect("MEM-12", most > Some(100), || {
                format!("no store waited longer than {most:?} clocks")
            })
        })?;
    }
    Ok(())
}

fn refresh(bench: &mut Bench) -> Result<(), Failure> {
    const INTERVALS: u64 = 40;
    /// Refreshes that may be postponed.
    const OWED: u64 = 8;
    let shape = info(bench)?;
    let mut config = quiet(bench)?;
    let mut node = quiet_node();
    (node.dram.t_refi, node.dram.t_rfc) = (1_000_000, 350_000);
    config.nodes.iter_mut().for_each(|slot| *slot = Some(node));
    with(bench, config)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |_| {
        let rows = Rows::of(&shape, 0);
        let streams = Streams::default();
        let running: Vec<_> = (cores(&handle).into_iter())
            .map(|core| streams.start(&handle, core, move |i| load(rows.line(0, i % 4))))
            .collect();
        handle.sleep(INTERVALS * clocks(node.dram.t_refi)).await;
        streams.stop();
        for stream in running {
            stream.await?;
        }
        let mut ends: Vec<u64> = (0..shape.cores)
            .flat_map(|core| record.answers(core, OpCode::Load))
            .map(|answer| answer.at)
            .collect();
        ends.sort_unstable();
        // While the rank is refreshed nothing is read.
        let pause = clocks(node.dram.t_rfc);
        let pauses = || ends.windows(2).filter(|pair| pair[1] - pair[0] >= pause);
        let came = pauses().count() as u64;
        expect(
            "MEM-08",
            (INTERVALS - OWED - 1..=INTERVALS).contains(&came),
            || format!("{came} refreshes in {INTERVALS} intervals"),
        )?;
        // And never are nine owed: the n-th is over before interval n + 9 is.
        for (nth, pair) in pauses().enumerate() {
            let interval = pair[0] / clocks(node.dram.t_refi);
            expect("MEM-08", interval <= nth as u64 + OWED + 1, || {
                format!("refresh {nth} came in interval {interval}")
            })?;
        }
        Ok(())
    })
}
