// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Counters that tell time: durations at the edges of the histogram's classes, and cycles in which the
//! head of program order waits for a translation.

use cosim::dut::ports::{CoreRequest, Counter as C};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Granule};

use super::reading::Reading;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;
use crate::walker::record::Record;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "counter-histogram-edges",
        purpose: "a walk of as many cycles as a class begins with is in that class, one cycle less in the one below",
        requirements: &["PMU-09"],
        run: edges,
    },
    Testbench {
        name: "counter-stalls",
        purpose: "only cycles in which the head waits for a translation count as such a stall",
        requirements: &["PMU-01"],
        run: stalls,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;

/// Where each class but the first begins, with the counter of the class.
const EDGES: [(u64, C); 7] = [
    (16, C::WalkCycles32),
    (32, C::WalkCycles64),
    (64, C::WalkCycles128),
    (128, C::WalkCycles256),
    (256, C::WalkCycles512),
    (512, C::WalkCycles1024),
    (1024, C::WalkCyclesMore),
];

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// Cycles of a walk of one step, and what the histogram counts for it, with this latency of memory.
fn walk(bench: &mut Bench, fetches: bool, latency: u64) -> Result<(u64, [u64; 8]), Failure> {
    bench.restart()?;
    bench.setup().memory.latency = latency;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    tree.map(VA + 0x1000, 3, user_rw(Granule::K4, 3, PA));
    tree.load(bench)?;
    let (record, handle) = (Record::on(bench)?, bench.handle()?);
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        // The second walk begins below the tables of the first.
        let ask = |va| match fetches {
            true => CoreRequest::fetch(va, El::El0),
            false => load(va),
        };
        core.access(ask(VA)).await.succeeds("PMU-09")?;
        let reading = Reading::start(&handle, 0).await;
        record.clear();
        core.access(ask(VA + 0x1000)).await.succeeds("PMU-09")?;
        let counted = reading.since().await;
        let walks = record.walks();
        let lasted = walks
            .first()
            .and_then(|walk| Some(walk.ended? - walk.begun));
        // One walk under way in each of these cycles.
        let percyc = [C::DtlbWalkPercyc, C::ItlbWalkPercyc].map(|counter| counted.get(counter));
        let (own, other) = (percyc[usize::from(fetches)], percyc[usize::from(!fetches)]);
        let fits = other == 0 && lasted.is_some_and(|lasted| own.abs_diff(lasted) <= 2);
        expect("PMU-09", fits, || {
            format!("WALK_PERCYC of data and fetches {percyc:?}, one walk of {lasted:?} cycles")
        })?;
        let mut classes = [0; 8];
        classes[0] = counted.get(C::WalkCycles16);
        for (class, (_, counter)) in classes[1..].iter_mut().zip(EDGES) {
            *class = counted.get(counter);
        }
        lasted
            .map(|lasted| (lasted, classes))
            .ok_or_else(|| Failure::expectation(format!("no walk ended: {walks:x?}")))
    })
}

fn edges(bench: &mut Bench) -> Result<(), Failure> {
    const SAMPLE: u64 = 40;
    for fetches in [false, true] {
        let beside = walk(bench, fetches, SAMPLE)?.0 - SAMPLE;
        for (class, (edge, _)) in (1..).zip(EDGES) {
            for (cycles, class) in [(edge - 1, class - 1), (edge, class), (edge + 1, class)] {
                let (lasted, counted) = walk(bench, fetches, cycles - beside)?;
                let mut wanted = [0; 8];
                wanted[class] = 1;
                expect("PMU-09", lasted == cycles && counted == wanted, || {
                    format!("a walk of {lasted} cycles (of {cycles}) counts as {counted:?}")
                })?;
            }
        }
    }
    Ok(())
}

fn stalls(bench: &mut Bench) -> Result<(), Failure> {
    const LATENCY: u64 = 200;
    for fetches in [false, true] {
        bench.restart()?;
        bench.setup().memory.latency = LATENCY;
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        for page in 0..4u64 {
            let leaf = user_rw(Granule::K4, 3, PA + (page << 12)).with_ap_el0(true);
            tree.map(VA + (page << 12), 3, leaf);
        }
        tree.load(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            let ask = |va| match fetches {
                true => CoreRequest::fetch(va, El::El0),
                false => load(va),
            };
            let (own, other) = match fetches {
                true => (C::StallFrontendTlb, C::StallBackendTlb),
                false => (C::StallBackendTlb, C::StallFrontendTlb),
            };
            core.access(ask(VA)).await.succeeds("PMU-01")?;
            // Hits that pass a miss do not wait.
            let reading = Reading::start(&handle, 0).await;
            let miss = core.issue(ask(VA + 0x1000));
            let hits: Vec<_> = (1..6).map(|i| core.issue(ask(VA + 8 * i))).collect();
            for hit in hits {
                hit.await.succeeds("PMU-01")?;
            }
            miss.await.succeeds("PMU-01")?;
            let counted = reading.since().await;
            let came = [own, other].map(|counter| counted.get(counter));
            expect("PMU-01", came == [0, 0], || {
                format!("hits under a miss, fetches {fetches}: stalls {came:?}")
            })?;
            // One to the same word, and behind it, wait for the walk: from the cycle behind the miss
            // until the walk of one step has ended.
            let reading = Reading::start(&handle, 0).await;
            let miss = core.issue(ask(VA + 0x2000));
            let same = core.issue(ask(VA));
            miss.await.succeeds("PMU-01")?;
            same.await.succeeds("PMU-01")?;
            let counted = reading.since().await;
            let came = [own, other].map(|counter| counted.get(counter));
            let fits = (LATENCY..LATENCY + 30).contains(&came[0]) && came[1] == 0;
            expect("PMU-01", fits, || {
                format!("the same word behind a miss, fetches {fetches}: stalls {came:?}")
            })?;
            Ok(())
        })?;
    }
    Ok(())
}
