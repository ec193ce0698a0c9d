// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Counters of walks: by the size of what they end in, for a prefetch, and shared by several accesses.

use cosim::dut::ports::{CoreRequest, Counter as C};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Granule};

use super::parts::{HIT_RD, READ, data_walk, sum};
use super::reading::Reading;
use crate::stage1::contiguous::{RUNS, invalidate_all};
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "counter-leaf-size",
        purpose: "literal counts of large and small walks, runs and walk-cache hits, by granule",
        requirements: &["PMU-03", "PMU-04"],
        run: sizes_of_leaves,
    },
    Testbench {
        name: "counter-prefetch",
        purpose: "prefetch walks, their fills and the use of them are counted apart from demand",
        requirements: &["PMU-07"],
        run: prefetches,
    },
    Testbench {
        name: "counter-merged",
        purpose: "accesses that join a walk count as merged; the walk counts once",
        requirements: &["PMU-02", "PMU-04"],
        run: merged_walks,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;

fn sizes_of_leaves(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, leaf, run) in RUNS {
        for (is_run, walk_caches) in [(false, true), (true, true), (false, false), (true, false)] {
            bench.restart()?;
            bench.setup().straps.walk_caches = walk_caches;
            let (va, pa) = (0x0040_0000_0000, 0x2000_0000_0000);
            let mut tree = Tree::new(Lower, granule, 48, TABLES);
            if is_run {
                tree.map_run(va, level, pa, user_rw(granule, level, 0));
            } else {
                tree.map(va, level, user_rw(granule, level, pa));
            }
            let span = if is_run { run } else { leaf };
            let steps = u64::from(level - tree.start_level() + 1);
            let start = tree.start_level();
            tree.load(bench)?;
            let handle = bench.handle()?;
            let info = *handle.info();
            let homes: Vec<bool> = (start..=level)
                .map(|level| handle.home(tree.slot(va, level)) == Some(info.node_of_core(0)))
                .collect();
            let regime = Regime::default().with(&tree, 1);
            bench.run(async move |core| {
                regime.enter(&core).await;
                let large = level < 3 || is_run;
                let run_of = |count: u64| if is_run { count } else { 0 };
                // Of the last descriptors on the way down, those at home or not.
                let at_home = |steps: u64, home: bool| {
                    let last = homes.iter().rev().take(steps as usize);
                    last.filter(|&&local| local == home).count() as u64
                };
                let walk = |steps: u64, from: Option<u8>| {
                    let cached = |level| u64::from(from == Some(level));
                    vec![
                        (C::L1dTlb, 2),
                        (C::L1dTlbRd, 2),
                        (C::L2dTlb, 1),
                        (C::L2dTlbRd, 1),
                        (C::L1dTlbRefill, 1),
                        (C::L1dTlbRefillRd, 1),
                        (C::L2dTlbRefill, 1),
                        (C::L2dTlbRefillRd, 1),
                        (C::DtlbWalk, 1),
                        (C::DtlbWalkBegun, 1),
                        (C::DtlbWalkLarge, u64::from(large)),
                        (C::DtlbWalkSmall, u64::from(!large)),
                        (C::DtlbStep, steps),
                        (C::BusAccess, steps),
                        (C::BusAccessRd, steps),
                        (C::ContiguousFill, run_of(1)),
                        (C::ContiguousHit, run_of(1)),
                        (C::WalkCacheHitL0, cached(0)),
                        (C::WalkCacheHitL1, cached(1)),
                        (C::WalkCacheHitL2, cached(2)),
                        (C::WalkReadLocal, at_home(steps, true)),
                        (C::WalkReadRemote, at_home(steps, false)),
                    ]
                };
                // The second access, at the far end, hits the entry of the first.
                let both = [va, va + span - 8].map(|va| CoreRequest::at(va, El::El1, false, false));
                let reading = Reading::start(&handle, 0).await;
                for access in both {
                    core.access(access).await.succeeds("PMU-04")?;
                }
                let what = format!("{granule} level {level}, run {is_run}");
                let expected = walk(steps, None);
                reading.exactly("PMU-04", &what, &expected).await?;
                // The leaf is forgotten, its tables are not.
                let leaves = vmsa::Tlbi::vale1(vmsa::TlbiScope::Local, va, 1, None);
                core.access(CoreRequest::tlbi(leaves)).await;
                handle.sleep(600).await;
                let reading = Reading::start(&handle, 0).await;
                for access in both {
                    core.access(access).await.succeeds("PMU-04")?;
                }
                let below = (walk_caches && level > start).then(|| level - 1);
                let steps = if below.is_some() { 1 } else { steps };
                let expected = walk(steps, below);
                reading.exactly("PMU-03", &what, &expected).await?;
                invalidate_all(&core).await;
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn prefetches(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.prefetch = true;
    let page = 0x1_0000u64;
    let mut tree = Tree::new(Lower, Granule::K64, 48, TABLES);
    for i in 0..2 {
        tree.map(
            0x4000_0000 + i * page,
            3,
            user_rw(Granule::K64, 3, PA + i * page),
        );
    }
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |core| {
        regime.enter(&core).await;
        let at = |i: u64| CoreRequest::load(0x4000_0000 + i * page, 3, El::El1);
        let prefetched = |begun: u64, steps: u64| {
            [
                (C::DtlbWalkBegun, begun),
                (C::DtlbWalkPrfm, begun),
                (C::DtlbStep, steps),
                (C::WalkReadLocal, steps),
                (C::BusAccess, steps),
                (C::BusAccessRd, steps),
            ]
        };
        // Behind the first walk comes one for the next page, which finds no table cached yet.
        let reading = Reading::start(&handle, 0).await;
        core.access(at(0)).await.reaches("PMU-07", PA)?;
        let small = [(C::DtlbWalkSmall, 1), (C::PrefetchFill, 1)];
        let walks = [data_walk(3, false), prefetched(1, 3).to_vec()].concat();
        let expected = sum(&[&HIT_RD, &READ, &walks, &small]);
        reading
            .exactly("PMU-07", "a walk and its prefetch", &expected)
            .await?;
        // The second level serves the next page, for which no access walks.
        let reading = Reading::start(&handle, 0).await;
        core.access(at(1)).await.reaches("PMU-07", PA + page)?;
        let expected = sum(&[
            &HIT_RD,
            &READ,
            &[
                (C::L2dTlb, 1),
                (C::L2dTlbRd, 1),
                (C::L1dTlbRefill, 1),
                (C::L1dTlbRefillRd, 1),
                (C::PrefetchUsed, 1),
            ],
        ]);
        reading
            .exactly("PMU-07", "use of the prefetch", &expected)
            .await?;
        // A page behind which nothing is mapped: the prefetch ends in a fault that nobody sees.
        invalidate_all(&core).await;
        handle.sleep(600).await;
        core.access(at(0)).await.reaches("PMU-07", PA)?;
        let leaf = vmsa::Tlbi::vale1(vmsa::TlbiScope::Local, 0x4000_0000 + page, 1, None);
        core.access(CoreRequest::tlbi(leaf)).await;
        handle.sleep(600).await;
        let reading = Reading::start(&handle, 0).await;
        core.access(at(1)).await.reaches("PMU-07", PA + page)?;
        let expected = sum(&[
            &HIT_RD,
            &READ,
            &data_walk(1, false),
            &prefetched(1, 1),
            &[(C::DtlbWalkFault, 1), (C::WalkCacheHitL2, 1)],
        ]);
        reading
            .exactly("PMU-07", "a prefetch of nothing", &expected)
            .await?;
        Ok(())
    })
}

fn merged_walks(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().memory.latency = 60;
    let mut tree = Tree::new(Lower, Granule::K64, 48, TABLES);
    tree.map(0x4000_0000, 3, user_rw(Granule::K64, 3, PA));
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |core| {
        regime.enter(&core).await;
        let reading = Reading::start(&handle, 0).await;
        let loads =
            [0, 8, 16].map(|at| core.issue(CoreRequest::load(0x4000_0000 + at, 3, El::El1)));
        for load in loads {
            load.await.succeeds("PMU-02")?;
        }
        // Three lookups that miss both levels, one walk, one refill.
        let expected = [
            (C::L1dTlb, 3),
            (C::L1dTlbRd, 3),
            (C::L2dTlb, 3),
            (C::L2dTlbRd, 3),
            (C::DtlbWalkBegun, 1),
            (C::DtlbWalk, 1),
            (C::DtlbWalkSmall, 1),
            (C::DtlbStep, 3),
            (C::WalkReadLocal, 3),
            (C::WalkMerged, 2),
            (C::L1dTlbRefill, 1),
            (C::L1dTlbRefillRd, 1),
            (C::L2dTlbRefill, 1),
            (C::L2dTlbRefillRd, 1),
            (C::MemAccess, 3),
            (C::MemAccessRd, 3),
            (C::BusAccess, 6),
            (C::BusAccessRd, 6),
        ];
        reading
            .exactly("PMU-02", "three loads of one page", &expected)
            .await?;
        Ok(())
    })
}
