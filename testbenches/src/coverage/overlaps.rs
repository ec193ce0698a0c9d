// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! First-level entries that overlap: a global leaf of one address space and a private one of another,
//! of every size. The fill of one removes the other, or a lookup that finds both aborts.

use cosim::check::Expectation;
use cosim::dut::ports::{CoreRequest, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, FaultKind, Fsc, Granule, SysReg};

use super::leaf::{PA, TABLES, accesses, user};
use crate::invalidation::record::Record;
use crate::stage1::activity::of;
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::Regime;
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "overlap-sizes",
        purpose: "the fill of a page, block or run removes a page, block or run that overlaps it, on either side",
        requirements: &["TLB-11", "TLB-27", "TLB-22"],
        run: sizes,
    },
    Testbench {
        name: "conflict-accesses",
        purpose: "with conflict aborts, every kind of access that finds two entries aborts",
        requirements: &["TLB-10"],
        run: conflicts,
    },
];

const X: u64 = 0x4000_0000;
const OTHER: u64 = PA + (1 << 30);

/// Sizes of leaves: a page, a block, a run of pages.
const SIZES: [(u8, bool); 3] = [(3, false), (2, false), (3, true)];

/// A tree that maps [`X`] to `pa` with a leaf of `size`.
fn tree(base: u64, pa: u64, size: (u8, bool), global: bool) -> Tree {
    let mut tree = Tree::new(Lower, Granule::K4, 48, base);
    let like = user().with_ng(!global);
    let (level, run) = size;
    match run {
        true => {
            tree.map_run(X, level, pa, like);
        }
        false => {
            let leaf = Descriptor::leaf(Granule::K4, level, pa).0 | like.0;
            tree.map(X, level, Descriptor(leaf));
        }
    }
    tree
}

async fn switch(core: &CoreHandle, tree: &Tree, asid: u16) {
    let ttbr = tree.ttbr(asid).0;
    core.access(CoreRequest::msr(SysReg::Ttbr0, ttbr)).await;
    core.access(CoreRequest::isb()).await;
}

fn sizes(bench: &mut Bench) -> Result<(), Failure> {
    for old in SIZES {
        for new in SIZES {
            bench.restart()?;
            let private = tree(TABLES, PA, old, false);
            let global = tree(TABLES + 0x10_0000, OTHER, new, true);
            private.load(bench)?;
            global.load(bench)?;
            let record = Record::on(bench)?;
            // A run of one mapping meets a page of the other.
            bench.expect_violation(Expectation::of("TLB-06").by("contiguous runs").if_any())?;
            let regime = Regime::default().with(&private, 1);
            bench.run(async move |core| {
                regime.enter(&core).await;
                for (request, tlb) in [
                    (CoreRequest::load(X, 3, El::El0), TlbStructure::Dtlb),
                    (CoreRequest::fetch(X, El::El0), TlbStructure::Itlb),
                ] {
                    invalidate_all(&core).await;
                    switch(&core, &private, 1).await;
                    let answer = core.access(request).await;
                    of(&request, &answer, answer.reaches("TLB-22", PA))?;
                    switch(&core, &global, 2).await;
                    record.clear();
                    let answer = core.access(request).await;
                    of(&request, &answer, answer.reaches("TLB-22", OTHER))?;
                    let fills = record.fills(0);
                    let removed = fills.iter().find(|(_, fill)| fill.structure == tlb);
                    expect(
                        "TLB-11",
                        removed.is_some_and(|(_, fill)| fill.count == 1),
                        || format!("{new:?} over {old:?}: {removed:?}"),
                    )?;
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn conflicts(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.conflict_abort = true;
    let private = tree(TABLES, PA, SIZES[0], false);
    let global = tree(TABLES + 0x10_0000, OTHER, SIZES[1], true);
    private.load(bench)?;
    global.load(bench)?;
    let regime = Regime::default().with(&private, 1);
    bench.run(async move |core| {
        regime.enter(&core).await;
        let abort = Fsc::encode(FaultKind::TlbConflict, 0);
        for request in accesses(X + 0x40, El::El0, false) {
            invalidate_all(&core).await;
            switch(&core, &private, 1).await;
            for probe in [
                CoreRequest::load(X, 3, El::El0),
                CoreRequest::fetch(X, El::El0),
            ] {
                core.access(probe).await.reaches("TLB-10", PA)?;
            }
            switch(&core, &global, 2).await;
            for probe in [
                CoreRequest::load(X, 3, El::El0),
                CoreRequest::fetch(X, El::El0),
            ] {
                core.access(probe).await.reaches("TLB-10", OTHER)?;
            }
            switch(&core, &private, 1).await;
            let answer = core.access(request).await;
            of(&request, &answer, answer.faults("TLB-10", abort))?;
        }
        Ok(())
    })
}
