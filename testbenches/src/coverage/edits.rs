// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Edits of a live descriptor, one of each kind, while its old value is held nowhere, by the second
//! level, by one core or by all, or is being read by a walk: old or new until the invalidation, new
//! from then on.

use cosim::dut::ports::{CoreRequest, WalkKind};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, DsbKind, El, Granule, Tlbi, TlbiScope};

use super::leaf::{PA, TABLES, user, with_short_sweeps};
use crate::invalidation::record::{Record, cores_in};
use crate::stage1::activity::within;
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::{NON_CACHEABLE, Regime};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "edit-states",
    purpose: "each kind of edit of a descriptor that is held nowhere, in the L2, by one core, by all, or is being read",
    requirements: &["BBM-02", "BBM-03", "BBM-04", "TLBI-01", "TLBI-07"],
    run: edits,
}];

const X: u64 = 0x4000_0000;
const OTHER: u64 = 0x6000_0000;
const NEW: u64 = PA + 0x20_0000;

/// Where the old descriptor is when it is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Nowhere,
    L2,
    One,
    All,
    Reading,
    Read,
}

const STATES: [State; 6] = [
    State::Nowhere,
    State::L2,
    State::One,
    State::All,
    State::Reading,
    State::Read,
];

/// An edit of the descriptors from `slot` on, which stand for [`X`].
#[derive(Debug, Clone)]
struct Edit {
    name: &'static str,
    level: u8,
    /// Descriptors edited: a run is edited whole.
    count: u64,
    /// What is cached; differs from `before` where `before` cannot be.
    cached: Descriptor,
    before: Descriptor,
    after: Descriptor,
    /// Where accesses go before and after; `None` is a translation fault.
    reach: (Option<u64>, u64),
    states: &'static [State],
}

fn leaf_edits() -> Vec<Edit> {
    let page = Descriptor(Descriptor::leaf(Granule::K4, 3, PA).0 | user().0);
    let block = Descriptor(Descriptor::leaf(Granule::K4, 2, PA).0 | user().0);
    let edit = |name, before: Descriptor, after: Descriptor| Edit {
        name,
        level: 3,
        count: 1,
        cached: before,
        before,
        after,
        reach: (Some(PA), PA),
        states: &STATES,
    };
    let read_only = page.with_ap_read_only(true);
    let moved = Descriptor(Descriptor::leaf(Granule::K4, 3, NEW).0 | user().0);
    let run = |edit: Edit| Edit { count: 16, ..edit };
    let run_of = page.with_contiguous(true);
    let tracked = page.with_dbm(true);
    let never = page.with_af(false);
    vec![
        Edit {
            reach: (Some(PA), NEW),
            ..edit("move", page, moved)
        },
        edit("relax", read_only, page),
        edit("restrict", page, read_only),
        edit("af-clear", page, never),
        // A TLB holds no such descriptor: the flag was clear for a moment only.
        Edit {
            cached: page,
            states: &[State::L2, State::One, State::All],
            ..edit("af-set", never, page)
        },
        edit("clean", tracked, tracked.with_ap_read_only(true)),
        edit("dirty", tracked.with_ap_read_only(true), tracked),
        run(edit("contiguous-set", page, run_of)),
        run(edit("contiguous-clear", run_of, page)),
        edit("ng", page, page.with_ng(false)),
        edit("attributes", page, page.with_attr_index(NON_CACHEABLE)),
        Edit {
            level: 2,
            ..edit("split", block, Descriptor::table(TABLES + 0x10_0000))
        },
        // The table stood there for a moment only; FEAT_BBM level 2 needs no invalidation between.
        Edit {
            level: 2,
            cached: block,
            states: &[State::L2, State::One, State::All],
            ..edit("join", Descriptor::table(TABLES + 0x10_0000), block)
        },
        Edit {
            reach: (None, PA),
            states: &[State::Read],
            ..edit("make", Descriptor(0), page)
        },
    ]
}

/// The limits of the table above a page.
fn table_edit(table: Descriptor) -> Edit {
    Edit {
        name: "limits",
        level: 2,
        count: 1,
        cached: table,
        before: table,
        after: table.with_pxn_table(true),
        reach: (Some(PA), PA),
        states: &[State::Reading, State::Read],
    }
}

fn edits(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    let page = Descriptor(Descriptor::leaf(Granule::K4, 3, PA).0 | user().0);
    tree.map(X, 3, page);
    let table = Descriptor(tree.word(tree.slot(X, 2)));
    for edit in leaf_edits().into_iter().chain([table_edit(table)]) {
        let name = edit.name;
        one(bench, edit).map_err(|failure| within(failure, name))?;
    }
    Ok(())
}

fn load(offset: u64) -> CoreRequest {
    CoreRequest::load(X + offset, 3, El::El0)
}

fn one(bench: &mut Bench, edit: Edit) -> Result<(), Failure> {
    bench.restart()?;
    with_short_sweeps(bench);
    // One entry, so that a second page drives the first one out of the first level.
    bench.setup().straps.dtlb_entries = Some(1);
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    let slot = if edit.name == "limits" {
        let page = Descriptor::leaf(Granule::K4, 3, PA).0 | user().0;
        tree.map(X, 3, Descriptor(page));
        tree.slot(X, edit.level)
    } else {
        tree.map(X, edit.level, edit.before)
    };
    tree.map(
        OTHER,
        3,
        Descriptor(Descriptor::leaf(Granule::K4, 3, PA + 0x40_0000).0 | user().0),
    );
    let above = tree.slot(X, edit.level - 1);
    // The table that a block becomes maps what the block mapped.
    for i in 0..512 {
        let page = Descriptor::leaf(Granule::K4, 3, PA + i * 0x1000).0 | user().0;
        bench.load(TABLES + 0x10_0000 + 8 * i, &[page])?;
    }
    tree.load(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&tree, 1);
    regime.tcr = regime.tcr.with_ha(true);
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let write = |word: Descriptor| {
            for i in 0..edit.count {
                let step = if edit.count > 1 { i * 0x1000 } else { 0 };
                handle.poke(slot + 8 * i, word.0 + step);
            }
        };
        for &state in edit.states {
            handle.sleep(100).await;
            for core in &all {
                invalidate_all(core).await;
            }
            write(edit.cached);
            prepare(&all, &handle, state).await?;
            if edit.cached != edit.before {
                write(edit.before);
            }
            let walking = matches!(state, State::Reading | State::Read);
            if walking {
                record.clear();
                let access = issuer.issue(load(0x40));
                let awaited = if state == State::Read { slot } else { above };
                let seen = step(&handle, &record, awaited).await;
                expect("TLBI-07", seen, || format!("{state:?}: no walk reads it"))?;
                write(edit.after);
                let answer = access.await;
                let old = match edit.reach.0 {
                    Some(pa) => answer.fault.is_none() && answer.pa == pa + 0x40,
                    None => answer.fault.is_some(),
                };
                let new = answer.fault.is_none() && answer.pa == edit.reach.1 + 0x40;
                expect("BBM-04", old || new, || format!("{state:?}: {answer}"))?;
            } else {
                write(edit.after);
            }
            let everything = Tlbi::vmalle1(TlbiScope::InnerShareable);
            issuer.access(CoreRequest::tlbi(everything)).await;
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
            for core in &all {
                let answer = core.access(load(0x80)).await;
                answer
                    .reaches("TLBI-01", edit.reach.1 + 0x80)
                    .map_err(|failure| within(failure, &format!("{state:?}")))?;
            }
        }
        Ok(())
    })
}

/// Brings the descriptor to where `state` says.
async fn prepare(all: &[CoreHandle], handle: &SimHandle, state: State) -> Result<(), Failure> {
    let first = &all[..1];
    let holders = match state {
        State::All => all,
        State::Reading | State::Read => &[],
        State::Nowhere | State::L2 | State::One => first,
    };
    for core in holders {
        core.access(load(0)).await.reaches("BBM-02", PA)?;
    }
    handle.sleep(40).await;
    match (state, first.first()) {
        (State::L2, Some(core)) => {
            let other = CoreRequest::load(OTHER, 3, El::El0);
            core.access(other).await.succeeds("BBM-02")?;
        }
        (State::Nowhere, Some(core)) => invalidate_all(core).await,
        _ => {}
    }
    Ok(())
}

/// Waits until a walk of core 0 has read the descriptor at `slot`; false if none does.
async fn step(handle: &SimHandle, record: &Record, slot: u64) -> bool {
    for _ in 0..2000 {
        let walks = record.walks(0);
        let seen = |kind, address| kind == WalkKind::Step && address == slot;
        if walks.iter().any(|(_, step)| seen(step.kind, step.address)) {
            return true;
        }
        handle.sleep(1).await;
    }
    false
}
