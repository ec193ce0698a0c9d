// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The monitor of hardware updates on hand-made sequences, clean and planted.

use super::*;
use crate::check::feed::{
    assert_fires, assert_quiet, change_walk, commit, effect, issue, judge, response, walk, walk_end,
};
use crate::dut::ports::WalkKind::{Begin, Step, Swap};
use vmsa::{El, Fsc, SysReg};

const VA: u64 = 0x4000_1000;
const SLOT: u64 = 0x8000_0008;
/// A writable-clean page with AF = 0.
const CLEAN: u64 = Descriptor(0x9000_0003).with_dbm(true).with_ap(3).0;

/// The monitor's verdict on `request`, whose walk reads `CLEAN`, with `commits` between the walk
/// and the answer.
fn judged(request: CoreRequest, commits: &[Event], fault: Option<Fsc>) -> Violations {
    let tcr = Tcr(0).with_ha(true).with_hd(true).0;
    let request = CoreRequest { id: 5, ..request };
    let mut events = vec![
        issue(1, CoreRequest::msr(SysReg::Tcr, tcr)),
        issue(2, CoreRequest::isb()),
        response(3, CoreRequest::isb(), |_| ()),
        issue(4, request),
        walk(5, 5, VA, Begin, 3, SLOT, 0),
        walk(9, 5, VA, Step, 3, SLOT, CLEAN),
    ];
    events.extend_from_slice(commits);
    events.push(walk_end(30, 5, VA, fault));
    events.push(response(31, request, |r| r.fault = fault));
    judge(&mut HafMonitor::new(), &Memory::default(), &events)
}

fn store() -> CoreRequest {
    CoreRequest::store(VA, 3, El::El0, 1)
}

fn update(before: u64, after: u64) -> Event {
    commit(12, CommitKind::Update, SLOT, before, after)
}

#[test]
fn one_swap_that_sets_af_and_clears_ap2_for_a_store_is_quiet() {
    assert_quiet(&judged(
        store(),
        &[update(CLEAN, (CLEAN | AF) & !AP2)],
        None,
    ));
}

#[test]
fn clearing_ap2_of_a_page_that_the_store_does_not_write_fires_haf_08() {
    let elsewhere = CoreRequest::store(VA + 0x3ff8, 3, El::El0, 1);
    let both = update(CLEAN, (CLEAN | AF) & !AP2);
    assert_fires(
        &judged(elsewhere, std::slice::from_ref(&both), None),
        "HAF-08",
    );
    // The last byte of a store may lie in the page that is walked.
    let across = CoreRequest::store(VA - 4, 3, El::El0, 1);
    assert_quiet(&judged(across, &[both], None));
}

#[test]
fn setting_af_for_a_load_or_an_at_is_quiet() {
    let load = CoreRequest::load(VA, 3, El::El0);
    assert_quiet(&judged(load, &[update(CLEAN, CLEAN | AF)], None));
    let at = CoreRequest::at(VA, El::El0, true, false);
    assert_quiet(&judged(at, &[update(CLEAN, CLEAN | AF)], None));
}

#[test]
fn a_change_of_any_other_bit_fires_haf_05() {
    for bit in (0..64).filter(|bit| ![7, 10].contains(bit)) {
        let out = judged(store(), &[update(CLEAN, (CLEAN | AF) ^ 1 << bit)], None);
        assert!(
            out.iter().any(|violation| violation.breaks("HAF-05")),
            "bit {bit}"
        );
    }
    assert_fires(
        &judged(store(), &[update(CLEAN, CLEAN ^ 1 << 55)], None),
        "HAF-05",
    );
}

#[test]
fn a_write_over_a_value_that_the_walk_did_not_read_fires_haf_02() {
    let other = CLEAN ^ 0x1000;
    assert_fires(
        &judged(store(), &[update(other, other | AF)], None),
        "HAF-02",
    );
}

#[test]
fn an_update_of_a_slot_that_no_walk_read_fires_haf_07() {
    let stray = commit(12, CommitKind::Update, SLOT + 8, CLEAN, CLEAN | AF);
    assert_fires(&judged(store(), &[stray], None), "HAF-07");
}

#[test]
fn dirty_state_from_a_load_fires_haf_08_and_from_an_at_haf_14() {
    let dirty = [update(CLEAN, (CLEAN | AF) & !AP2)];
    assert_fires(
        &judged(CoreRequest::load(VA, 3, El::El0), &dirty, None),
        "HAF-08",
    );
    assert_fires(
        &judged(CoreRequest::at(VA, El::El0, true, false), &dirty, None),
        "HAF-14",
    );
}

#[test]
fn af_and_dirty_state_in_two_swaps_fire_haf_06() {
    let halves = [
        update(CLEAN, CLEAN | AF),
        walk(13, 5, VA, Step, 3, SLOT, CLEAN | AF),
        update(CLEAN | AF, (CLEAN | AF) & !AP2),
    ];
    assert_fires(&judged(store(), &halves, None), "HAF-06");
}

#[test]
fn an_update_for_a_faulting_access_fires() {
    let set = [update(CLEAN, CLEAN | AF)];
    assert_fires(&judged(store(), &set, Some(Fsc(0x07))), "HAF-09");
    assert_fires(&judged(store(), &set, Some(Fsc(0x0f))), "HAF-10");
}

#[test]
fn a_prefetch_may_set_af_and_nothing_else() {
    let prefetched = |leaf: u64, after: u64| {
        let tcr = Tcr(0).with_ha(true).with_hd(true).0;
        let prefetch = |event| change_walk(event, |step| step.prefetch = true);
        let events = vec![
            issue(1, CoreRequest::msr(SysReg::Tcr, tcr)),
            issue(2, CoreRequest::isb()),
            response(3, CoreRequest::isb(), |_| ()),
            prefetch(walk(5, 5, VA, Begin, 3, SLOT, 0)),
            prefetch(walk(9, 5, VA, Step, 3, SLOT, leaf)),
            update(leaf, after),
            prefetch(walk_end(30, 5, VA, None)),
        ];
        judge(&mut HafMonitor::new(), &Memory::default(), &events)
    };
    assert_quiet(&prefetched(CLEAN, CLEAN | AF));
    assert_fires(&prefetched(CLEAN, (CLEAN | AF) & !AP2), "WALK-23");
    // Not valid, and no leaf.
    assert_fires(&prefetched(CLEAN & !1, CLEAN & !1 | AF), "HAF-07");
    assert_fires(&prefetched(CLEAN & !2, CLEAN & !2 | AF), "HAF-07");
}

#[test]
fn of_two_walks_that_read_one_descriptor_the_prefetch_may_have_set_af() {
    let tcr = Tcr(0).with_ha(true).with_hd(true).0;
    let request = CoreRequest { id: 5, ..store() };
    let prefetch = |event| {
        change_walk(event, |step| {
            (step.prefetch, step.slot) = (true, 1);
        })
    };
    let events = |dirty: u64| {
        vec![
            issue(1, CoreRequest::msr(SysReg::Tcr, tcr)),
            issue(2, CoreRequest::isb()),
            response(3, CoreRequest::isb(), |_| ()),
            issue(4, request),
            walk(5, 5, VA, Begin, 3, SLOT, 0),
            prefetch(walk(6, 5, VA + 0x1000, Begin, 3, SLOT, 0)),
            prefetch(walk(8, 5, VA + 0x1000, Step, 3, SLOT, CLEAN)),
            walk(9, 5, VA, Step, 3, SLOT, CLEAN),
            update(CLEAN, CLEAN | AF),
            walk(14, 5, VA, Swap, 3, SLOT, CLEAN | AF),
            commit(18, CommitKind::Update, SLOT, CLEAN | AF, dirty),
            walk_end(30, 5, VA, None),
            response(31, request, |_| ()),
        ]
    };
    let good = events((CLEAN | AF) & !AP2);
    assert_quiet(&judge(&mut HafMonitor::new(), &Memory::default(), &good));
    let bad = events((CLEAN | AF) ^ 1 << 55);
    assert_fires(
        &judge(&mut HafMonitor::new(), &Memory::default(), &bad),
        "HAF-05",
    );
}

#[test]
fn a_walk_cancelled_long_ago_made_no_update() {
    // Its slot has walked again since, for the same request and then for another one.
    let tcr = Tcr(0).with_ha(true).0;
    let first = CoreRequest { id: 5, ..store() };
    let second = CoreRequest {
        id: 6,
        ..CoreRequest::load(VA, 3, El::El0)
    };
    let fault = Some(Fsc::encode(FaultKind::Permission, 3));
    let events = [
        issue(1, CoreRequest::msr(SysReg::Tcr, tcr)),
        issue(2, CoreRequest::isb()),
        response(3, CoreRequest::isb(), |_| ()),
        issue(4, first),
        walk(5, 5, VA, Begin, 3, SLOT, 0),
        walk(6, 5, VA, Step, 3, SLOT, CLEAN),
        effect(7, 0, None, 0),
        walk(8, 5, VA, Begin, 3, SLOT, 0),
        walk(9, 5, VA, Step, 3, SLOT, CLEAN),
        walk_end(10, 5, VA, fault),
        response(11, first, |r| r.fault = fault),
        issue(12, second),
        walk(13, 6, VA, Begin, 3, SLOT, 0),
        walk(14, 6, VA, Step, 3, SLOT, CLEAN),
        commit(15, CommitKind::Update, SLOT, CLEAN, CLEAN | AF),
        walk_end(18, 6, VA, None),
        response(19, second, |_| ()),
    ];
    let quiet = judge(&mut HafMonitor::new(), &Memory::default(), &events);
    assert_quiet(&quiet);
    // The walk that did make it is still held to account.
    let mut faulted = events;
    if let EventKind::Response { response, .. } = &mut faulted[16].kind {
        response.fault = fault;
    }
    let out = judge(&mut HafMonitor::new(), &Memory::default(), &faulted);
    assert_fires(&out, "HAF-10");
}
