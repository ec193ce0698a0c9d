// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Links between nodes: bandwidth, classes of messages that do not wait for each other, and turns at a
//! home that everybody wants.

use cosim::dut::memory::{LinkLimit, node_base};
use cosim::dut::ports::{CoreRequest, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{DsbKind, Tlbi, TlbiScope};

use super::setting::{first_cores, info, load, quiet, store, with};
use super::stream::Streams;
use crate::invalidation::record::{Record, cores};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "link-bandwidth",
        purpose: "a stream through a link takes what its rate says, in each direction, and nothing is lost",
        requirements: &["NOC-04"],
        run: bandwidth,
    },
    Testbench {
        name: "link-classes",
        purpose: "a choked request channel holds up neither answers nor invalidation messages",
        requirements: &["NOC-05"],
        run: classes,
    },
    Testbench {
        name: "home-turns",
        purpose: "when all cores want one home, each gets its turn",
        requirements: &["NOC-08"],
        run: turns,
    },
];

fn bandwidth(bench: &mut Bench) -> Result<(), Failure> {
    const COUNT: u64 = 120;
    const BURST: u64 = 256;
    let shape = info(bench)?;
    if shape.nodes < 2 {
        return Ok(());
    }
    let far = usize::from(shape.nodes - 1);
    let base = node_base(far as u8);
    // Who limits: the way there (writes carry data) or the way back (reads do).
    for writes in [false, true] {
        for rate in [0u64, 256, 700, 2048] {
            let mut config = quiet(bench)?;
            config.nodes = Default::default();
            let limit = LinkLimit {
                rate: rate as u16,
                burst: BURST as u16,
            };
            match writes {
                true => config.links[0][far] = limit,
                false => config.links[far][0] = limit,
            }
            with(bench, config)?;
            bench.setup().memory.latency = 1;
            if !writes {
                let words: Vec<u64> = (0..COUNT).map(|i| i * i + 1).collect();
                bench.load(base, &words)?;
            }
            let record = Record::on(bench)?;
            let handle = bench.handle()?;
            bench.run(async move |core| {
                // The bucket fills.
                handle.sleep(1000).await;
                let request = |i: u64| match writes {
                    true => store(base + 8 * i, i * i + 1),
                    false => load(base + 8 * i),
                };
                let pending: Vec<_> = (0..COUNT).map(|i| core.issue(request(i))).collect();
                for (i, access) in (0..).zip(pending) {
                    let answer = access.await;
                    match writes {
                        true => answer.succeeds("NOC-04")?,
                        false => answer.reads("NOC-04", i * i + 1)?,
                    }
                }
                for i in 0..COUNT {
                    let held = handle.peek(base + 8 * i);
                    expect("NOC-04", held == i * i + 1, || {
                        format!("word {i} holds {held:#x}")
                    })?;
                }
                let code = if writes { OpCode::Store } else { OpCode::Load };
                let ends: Vec<u64> = record.answers(0, code).iter().map(|a| a.at).collect();
                let lasted = ends[ends.len() - 1] - ends[0];
                // The first goes at once and what the bucket holds behind it; then debts are paid.
                let paid = (COUNT * 64).saturating_sub(BURST + 64);
                let least = (paid * 256).checked_div(rate).unwrap_or(0);
                let most = match rate {
                    0 => 8 * COUNT,
                    _ => (COUNT * 64 * 256).div_ceil(rate) + 8,
                };
                expect("NOC-04", (least..=most).contains(&lasted), || {
                    format!("{COUNT} lines took {lasted} clocks at {rate} of 256 bytes a clock: {least} to {most}")
                })
            })?;
        }
    }
    Ok(())
}

fn classes(bench: &mut Bench) -> Result<(), Failure> {
    const STORES: u64 = 6;
    /// Clocks that a line takes: bytes of 256 clocks go at this rate.
    const RATE: u64 = 4;
    const LINE: u64 = 64 * 256 / RATE;
    let shape = info(bench)?;
    if shape.cpu_nodes < 2 {
        return Ok(());
    }
    let mut config = quiet(bench)?;
    config.links[0][1] = LinkLimit {
        rate: RATE as u16,
        burst: 64,
    };
    with(bench, config)?;
    bench.load(node_base(0), &[7; 8])?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let other = first_cores(&handle)
            .pop()
            .ok_or_else(|| Failure::setup("there is no second node"))?;
        handle.sleep(64 * 256 / RATE).await;
        let begun = handle.now();
        let stores: Vec<_> = (0..STORES)
            .map(|i| core.issue(store(node_base(1) + 64 * i, i)))
            .collect();
        handle.sleep(100).await;
        // The other node's load of this node's memory: its answer passes the requests that wait.
        let asked = handle.now();
        other.access(load(node_base(0))).await.reads("NOC-05", 7)?;
        let answered = handle.now() - asked;
        expect("NOC-05", answered < 400, || {
            format!("an answer took {answered} clocks beside a choked request channel")
        })?;
        // Its invalidation reaches this node.
        let asked = handle.now();
        let operation = Tlbi::vmalle1(TlbiScope::InnerShareable);
        other
            .access(CoreRequest::tlbi(operation))
            .await
            .succeeds("NOC-05")?;
        handle.sleep(60).await;
        let effects = record.effects(core.index());
        let soon = effects
            .first()
            .is_some_and(|&(cycle, _)| cycle < asked + 60);
        expect("NOC-05", soon, || {
            format!("the INV of cycle {asked} took effect at {effects:?}")
        })?;
        // All the while the requests waited, and none is lost. The SYNC waits for them (DVM-03).
        other
            .access(CoreRequest::dsb(DsbKind::SY))
            .await
            .succeeds("NOC-05")?;
        for access in stores {
            access.await.succeeds("NOC-04")?;
        }
        let lasted = handle.now() - begun;
        expect("NOC-04", lasted >= (STORES - 2) * LINE, || {
            format!("{STORES} stores passed a choked link in {lasted} clocks")
        })?;
        for i in 0..STORES {
            let held = handle.peek(node_base(1) + 64 * i);
            expect("NOC-04", held == i, || format!("store {i} left {held:#x}"))?;
        }
        Ok(())
    })
}

fn turns(bench: &mut Bench) -> Result<(), Failure> {
    const CLOCKS: u64 = 6000;
    let shape = info(bench)?;
    for timed in [false, true] {
        let mut config = quiet(bench)?;
        if !timed {
            config.nodes = Default::default();
        }
        with(bench, config)?;
        bench.setup().memory.latency = 1;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |_| {
            let streams = Streams::default();
            let running: Vec<_> = (cores(&handle).into_iter())
                .map(|core| {
                    let own = 0x1_0000 * u64::from(core.index());
                    streams.start(&handle, core, move |i| {
                        // Each its own words of rows that all use.
                        load(node_base(0) + own + 8 * (i % 128))
                    })
                })
                .collect();
            handle.sleep(CLOCKS).await;
            let now = handle.now();
            let served: Vec<u64> = (0..shape.cores)
                .map(|core| {
                    let answers = record.answers(core, OpCode::Load);
                    answers.iter().filter(|answer| answer.at <= now).count() as u64
                })
                .collect();
            let longest: Vec<u64> = (0..shape.cores)
                .map(|core| {
                    let answers = record.answers(core, OpCode::Load);
                    let gaps = answers.windows(2).map(|pair| pair[1].at - pair[0].at);
                    gaps.max().unwrap_or(u64::MAX)
                })
                .collect();
            streams.stop();
            for stream in running {
                stream.await?;
            }
            let total: u64 = served.iter().sum();
            let share = total / u64::from(shape.cores);
            // Turns are by node and then by core of a node, and nodes have as many cores each.
            let fair = served.iter().all(|&count| count >= share * 3 / 4);
            expect("NOC-08", fair, || {
                format!("the cores were served {served:?} times, timed {timed}")
            })?;
            // Each other core's eight in flight may come first; an activation may be in the way.
            let bound = 8 * u64::from(shape.cores) * 10 + 200;
            expect("NOC-08", longest.iter().all(|&gap| gap <= bound), || {
                format!("longest waits {longest:?}, timed {timed}")
            })
        })?;
    }
    Ok(())
}
