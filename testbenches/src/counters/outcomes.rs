// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Counters of what goes wrong or far: faults, errors of memory, accesses to other nodes, and walks by
//! how long they take.

use cosim::dut::ports::{CoreRequest, Counter as C};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::ErrorOn;
use vmsa::VaRange::Lower;
use vmsa::{El, Fsc, Granule, SysReg};

use super::parts::Counted;
use super::reading::Reading;
use crate::invalidation::record::cores;
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "counter-faults",
        purpose: "literal counts of faults by kind of access, of walks that fault, and of errors",
        requirements: &["PMU-02", "PMU-04"],
        run: faults,
    },
    Testbench {
        name: "counter-remote",
        purpose: "REMOTE_ACCESS counts the accesses of each core whose home is another node",
        requirements: &["PMU-06"],
        run: remote_accesses,
    },
    Testbench {
        name: "counter-histogram",
        purpose: "each walk is in the one class of the histogram in which its duration lies",
        requirements: &["PMU-09"],
        run: histogram,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;
const PAGE: u64 = 0x1_0000;

fn faults(bench: &mut Bench) -> Result<(), Failure> {
    // Granule 64K: all tables and the first 4 KiB of each page are on node 0.
    let mut tree = Tree::new(Lower, Granule::K64, 48, TABLES);
    tree.map(VA, 3, user_rw(Granule::K64, 3, PA).with_ap_el0(false));
    tree.map(VA + 3 * PAGE, 3, user_rw(Granule::K64, 3, PA + 3 * PAGE));
    tree.load(bench)?;
    let leaf = tree.slot(VA + 3 * PAGE, 3);
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    let ttbr1 = regime.ttbr1.0;
    bench.run(async move |core| {
        regime.enter(&core).await;
        core.access(CoreRequest::at(VA, El::El1, false, false))
            .await
            .succeeds("PMU-02")?;
        let unmapped = VA + PAGE;
        let data_walk = |write: bool| {
            let (l1, l2) = if write {
                (C::L1dTlbWr, C::L2dTlbWr)
            } else {
                (C::L1dTlbRd, C::L2dTlbRd)
            };
            vec![
                (C::L1dTlb, 1),
                (l1, 1),
                (C::L2dTlb, 1),
                (l2, 1),
                (C::DtlbWalk, 1),
                (C::DtlbWalkBegun, 1),
                (C::DtlbWalkFault, 1),
                (C::DtlbStep, 1),
                (C::WalkCacheHitL2, 1),
                (C::WalkReadLocal, 1),
                (C::BusAccess, 1),
                (C::BusAccessRd, 1),
            ]
        };
        let data_abort = [(C::ExcTaken, 1), (C::ExcDabort, 1)];
        let fetch_abort = [(C::ExcTaken, 1), (C::ExcPabort, 1)];
        let fetch_walk = [
            (C::L1iTlb, 1),
            (C::L2dTlb, 1),
            (C::L2dTlbRd, 1),
            (C::ItlbWalk, 1),
            (C::ItlbWalkBegun, 1),
            (C::ItlbWalkFault, 1),
            (C::ItlbStep, 1),
            (C::WalkCacheHitL2, 1),
            (C::WalkReadLocal, 1),
            (C::BusAccess, 1),
            (C::BusAccessRd, 1),
        ];
        let el0 = El::El0;
        let cases: Vec<(&str, CoreRequest, u8, Counted)> = vec![
            (
                "a load of nothing",
                CoreRequest::load(unmapped, 3, el0),
                0x07,
                [data_walk(false), data_abort.to_vec()].concat(),
            ),
            (
                "a store to nothing",
                CoreRequest::store(unmapped, 3, el0, 1),
                0x07,
                [data_walk(true), data_abort.to_vec()].concat(),
            ),
            (
                "a fetch of nothing",
                CoreRequest::fetch(unmapped, el0),
                0x07,
                [fetch_walk.to_vec(), fetch_abort.to_vec()].concat(),
            ),
            (
                "an AT of nothing, which takes no exception",
                CoreRequest::at(unmapped, El::El1, false, false),
                0x07,
                data_walk(false),
            ),
            (
                "a store that may not, to a page that the TLB holds",
                CoreRequest::store(VA, 3, el0, 1),
                0x0f,
                [vec![(C::L1dTlb, 1), (C::L1dTlbWr, 1)], data_abort.to_vec()].concat(),
            ),
            (
                "a load of a range without walks, which looks up and misses",
                CoreRequest::load(0xffff_0000_0000_0000, 3, el0),
                0x04,
                [vec![(C::L1dTlb, 1), (C::L1dTlbRd, 1)], data_abort.to_vec()].concat(),
            ),
            (
                "a load of an address of no range, which looks up nothing",
                CoreRequest::load(0x00ff_0000_0000_0000, 3, el0),
                0x04,
                data_abort.to_vec(),
            ),
        ];
        for (what, request, fsc, expected) in cases {
            let reading = Reading::start(&handle, 0).await;
            core.access(request).await.faults("PMU-02", Fsc(fsc))?;
            reading.exactly("PMU-04", what, &expected).await?;
        }
        // Errors of memory, of data and of a descriptor.
        handle.mark_error(PA + 64, ErrorOn::Both, None);
        let reading = Reading::start(&handle, 0).await;
        let access = CoreRequest::load(VA + 64, 3, El::El1);
        core.access(access).await.faults("PMU-02", Fsc(0x10))?;
        let expected = [
            (C::L1dTlb, 1),
            (C::L1dTlbRd, 1),
            (C::MemAccess, 1),
            (C::MemAccessRd, 1),
            (C::BusAccess, 1),
            (C::BusAccessRd, 1),
            (C::MemoryError, 1),
            (C::ExcTaken, 1),
            (C::ExcDabort, 1),
        ];
        reading
            .exactly("PMU-02", "an error of data", &expected)
            .await?;
        handle.mark_error(leaf, ErrorOn::Both, None);
        let reading = Reading::start(&handle, 0).await;
        // VMSA-54: of an AT only this is an exception.
        let access = CoreRequest::at(VA + 3 * PAGE, El::El1, false, false);
        core.access(access).await.faults("PMU-02", Fsc(0x17))?;
        let error = vec![(C::MemoryError, 1)];
        let expected = [data_walk(false), data_abort.to_vec(), error].concat();
        reading
            .exactly("PMU-04", "an error of a descriptor", &expected)
            .await?;
        let reading = Reading::start(&handle, 0).await;
        core.access(CoreRequest::msr(SysReg::Ttbr1, ttbr1)).await;
        core.access(CoreRequest::isb()).await;
        let written = [(C::TtbrWriteRetired, 1)];
        reading
            .exactly("PMU-02", "a write of TTBR1_EL1", &written)
            .await?;
        Ok(())
    })
}

fn remote_accesses(bench: &mut Bench) -> Result<(), Failure> {
    // Sixteen pages of 4 KiB in one block of 2 MiB: they follow each other over the nodes.
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    tree.map(VA, 2, user_rw(Granule::K4, 2, PA));
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |_| {
        let nodes = u64::from(handle.info().nodes);
        for core in cores(&handle) {
            regime.enter(&core).await;
            core.access(CoreRequest::load(VA, 3, El::El1))
                .await
                .reaches("PMU-06", PA)?;
            core.access(CoreRequest::fetch(VA, El::El0))
                .await
                .reaches("PMU-06", PA)?;
            let reading = Reading::start(&handle, core.index().into()).await;
            for page in 0..16 {
                let va = VA + (page << 12);
                for request in [
                    CoreRequest::load(va, 3, El::El1),
                    CoreRequest::load(va + 5, 3, El::El1),
                    CoreRequest::store(va, 3, El::El1, page),
                    CoreRequest::cas(va, El::El1, page, page + 1),
                    CoreRequest::fetch(va, El::El0),
                ] {
                    core.access(request).await.succeeds("PMU-06")?;
                }
            }
            // Four reads and two writes a page; one page of `nodes` is at home.
            let remote = 16 - 16 / nodes;
            let expected = [
                (C::RemoteAccess, 6 * remote),
                (C::RemoteAccessRd, 4 * remote),
                (C::MemAccess, 6 * 16),
                (C::MemAccessRd, 4 * 16),
                (C::MemAccessWr, 2 * 16),
                (C::BusAccess, 6 * 16),
                (C::BusAccessRd, 4 * 16),
                (C::BusAccessWr, 2 * 16),
                (C::L1dTlb, 4 * 16),
                (C::L1dTlbRd, 2 * 16),
                (C::L1dTlbWr, 2 * 16),
                (C::L1iTlb, 16),
            ];
            let what = format!("core {} of {nodes} nodes", core.index());
            reading.exactly("PMU-06", &what, &expected).await?;
        }
        Ok(())
    })
}

fn histogram(bench: &mut Bench) -> Result<(), Failure> {
    const CLASSES: [C; 8] = [
        C::WalkCycles16,
        C::WalkCycles32,
        C::WalkCycles64,
        C::WalkCycles128,
        C::WalkCycles256,
        C::WalkCycles512,
        C::WalkCycles1024,
        C::WalkCyclesMore,
    ];
    // A walk of four levels takes four times the latency of memory and some ten cycles more; of one
    // level, below cached tables, once.
    let cases = [
        (1, 1, C::WalkCycles16),
        (1, 4, C::WalkCycles32),
        (8, 4, C::WalkCycles64),
        (20, 4, C::WalkCycles128),
        (45, 4, C::WalkCycles256),
        (90, 4, C::WalkCycles512),
        (90, 1, C::WalkCycles128),
        (180, 4, C::WalkCycles1024),
        (300, 4, C::WalkCyclesMore),
        (1100, 1, C::WalkCyclesMore),
    ];
    for (latency, steps, class) in cases {
        bench.restart()?;
        bench.setup().memory.latency = latency;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
        tree.load(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            let at = |page: u64| CoreRequest::at(VA + (page << 12), El::El1, false, false);
            if steps == 1 {
                core.access(at(0)).await.succeeds("PMU-09")?;
            }
            for walk in 1..=3 {
                if steps == 4 {
                    invalidate_all(&core).await;
                }
                let reading = Reading::start(&handle, 0).await;
                // One level: a fault, which nothing keeps.
                let page = if steps == 1 { walk } else { 0 };
                let answer = core.access(at(page)).await;
                expect("PMU-09", answer.walked, || format!("no walk: {answer}"))?;
                let counted = reading.since().await;
                let came = CLASSES.map(|class| counted.get(class));
                let wanted = CLASSES.map(|other| u64::from(other == class));
                expect("PMU-09", came == wanted, || {
                    format!("latency {latency}, {steps} steps: {came:?}, not {wanted:?}")
                })?;
                let percyc = counted.get(C::DtlbWalkPercyc);
                let fits = (steps * latency..steps * (latency + 8) + 8).contains(&percyc);
                expect("PMU-09", fits, || {
                    format!("latency {latency}, {steps} steps: DTLB_WALK_PERCYC counts {percyc}")
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
