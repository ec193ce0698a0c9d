// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Groups of invalidations, context switches, barriers and messages.

use super::*;
use crate::check::feed::{at_core, dvm, effect};
use vmsa::TlbiScope::{InnerShareable, Local};
use vmsa::{DsbKind, Granule, Tlbi};

/// A page in the DTLB, then `operation` and its effect, which removes `removed` entries.
fn invalidated(operation: Tlbi, removed: u16) -> Vec<Event> {
    let mut events = [context(), loaded(10, 5, VA, 0)].concat();
    let local = operation.scope == Local;
    events.push(issue(30, CoreRequest::tlbi(operation)));
    events.push(effect(32, 0, (!local).then_some(0), removed));
    events
}

#[test]
fn an_operation_counts_by_the_entries_that_it_removes_and_keeps() {
    let hit = invalidated(Tlbi::vae1(InnerShareable, VA, 1, None), 1);
    assert_eq!(reached("tlbi", &hit), ["vae1.is.l1-page.removed"]);
    assert_eq!(reached("tlbi-hint", &hit), ["vae1.no-hint"]);
    let missed = invalidated(Tlbi::vale1(Local, VA + PAGE, 1, None), 0);
    assert_eq!(reached("tlbi", &missed), ["vale1.local.l1-page.kept"]);
    assert!(reached("tlbi-hint", &missed).is_empty());
    // What the hardware does not report removed is not counted so.
    let unseen = invalidated(Tlbi::vae1(Local, VA, 1, None), 0);
    assert!(reached("tlbi", &unseen).is_empty());
}

#[test]
fn hints_count_against_the_entry() {
    let hinted = |leaf| {
        let operation = Tlbi::vae1(Local, VA, 1, Some(leaf));
        reached("tlbi-hint", &invalidated(operation, 1))
    };
    assert_eq!(hinted((Granule::K4, 3)), ["vae1.right-hint"]);
    assert_eq!(hinted((Granule::K4, 2)), ["vae1.wrong-level"]);
    assert_eq!(hinted((Granule::K64, 3)), ["vae1.wrong-granule"]);
}

#[test]
fn ranges_count_by_operand_and_by_the_place_of_entries() {
    let range = Tlbi::rvaae1(Local, Granule::K4, VA - PAGE, 0, 1, None);
    let events = invalidated(range, 1);
    assert_eq!(reached("tlbi-range", &events), ["rvaae1.4K.scale0"]);
    assert_eq!(reached("tlbi-range-entry", &events), ["l1.4K.inside"]);
    assert!(reached("tlbi-range-form", &events).is_empty());
    let longest = Tlbi::rvae1(Local, Granule::K64, !0 << 48, 3, 31, None, 1);
    let forms = ["other-granule", "upper-half", "longest"];
    assert_eq!(reached("tlbi-range-form", &invalidated(longest, 0)), forms);
    let reserved = Tlbi {
        operand: 0,
        ..longest
    };
    let events = invalidated(reserved, 0);
    assert_eq!(reached("tlbi-range-form", &events), ["reserved-granule"]);
    assert!(reached("tlbi-range", &events).is_empty());
}

#[test]
fn context_switches_count_by_what_changes_and_what_is_held() {
    let mut events = [context(), loaded(10, 5, VA, 0)].concat();
    events.extend(msr(30, SysReg::Ttbr0, Ttbr::new(2, 0x7000_0000).0));
    events.extend(msr(31, SysReg::Ttbr0, Ttbr::new(1, 0x7100_0000).0));
    let switches = [
        "ttbr0.asid.no-entries",
        "ttbr0.asid-and-base.no-entries",
        "ttbr0.asid-and-base.entries",
    ];
    assert_eq!(reached("context-switch", &events), switches);
    assert_eq!(reached("asid-reuse", &events), ["left-here"]);
}

#[test]
fn barriers_count_by_what_is_outstanding() {
    let tlbi = CoreRequest::tlbi(Tlbi::vmalle1(InnerShareable));
    let dsb = |cycle, kind| issue(cycle, CoreRequest::dsb(kind));
    let events = [
        issue(1, tlbi),
        dsb(2, DsbKind::NSH),
        dsb(3, DsbKind::ISH),
        dsb(4, DsbKind::SY),
    ];
    assert_eq!(
        reached("barrier", &events),
        ["nsh.is-tlbi", "ish.is-tlbi", "sy.no-tlbi"]
    );
    assert_eq!(
        reached("barrier-walk", &events),
        ["dsb.no-walk", "broadcast-tlbi.no-walk"]
    );
    let mut walking = context();
    walking.push(prefetch(walk(10, 5, VA, Begin, 3, SLOT, 0)));
    walking.push(issue(11, CoreRequest::isb()));
    let walks = reached("barrier-walk", &walking);
    assert_eq!(walks, ["isb.prefetch-walk", "msr.no-walk"]);
}

#[test]
fn messages_count_by_how_they_meet() {
    let tlbi = || issue(1, CoreRequest::tlbi(Tlbi::vmalle1(InnerShareable)));
    let mut foreign = effect(9, 0, Some(0), 0);
    if let EventKind::Invalidate { change, .. } = &mut foreign.kind {
        change.source = 1;
    }
    let sent = |cycle, core| dvm(cycle, core, |event| event.inv_sent = Some(0));
    let events = [
        tlbi(),
        at_core(tlbi(), 1),
        sent(5, 0),
        sent(5, 1),
        dvm(6, 0, |event| event.sync_sent = true),
        effect(8, 0, Some(0), 0),
        effect(8, 1, Some(0), 0),
        foreign,
        dvm(10, 0, |event| event.answered = Some(0)),
        dvm(30, 1, |event| event.answered = Some(0)),
    ];
    let met = [
        "inv-crosses-inv",
        "inv-with-inv",
        "sync-crosses-inv",
        "inv-meets-own-sync",
        "one-inv-outstanding",
        "answer-at-once",
        "answer-waits",
        "other-answer-last",
        "effects-together",
    ];
    assert_eq!(of("dvm", &collect_on(2, &events)), met);
}

#[test]
fn a_barrier_that_sends_no_sync_counts() {
    let dsb = CoreRequest::dsb(DsbKind::ISH);
    let events = [issue(1, dsb), response(3, dsb, |_| ())];
    assert_eq!(reached("dvm", &events), ["sync-skipped"]);
}
