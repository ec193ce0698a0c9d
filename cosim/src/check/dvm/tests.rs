// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The monitor of messages on hand-made sequences, clean and planted.

use super::*;
use crate::check::feed::{
    assert_fires, assert_quiet, at_core, dvm, effect, issue, judge, response,
};
use vmsa::{El, Tlbi};

fn tlbi(id: u16) -> CoreRequest {
    CoreRequest {
        id,
        ..CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::InnerShareable))
    }
}

fn local(id: u16) -> CoreRequest {
    CoreRequest {
        id,
        ..CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local))
    }
}

fn dsb(kind: DsbKind) -> CoreRequest {
    CoreRequest {
        id: 9,
        ..CoreRequest::dsb(kind)
    }
}

fn judged(events: &[Event]) -> Violations {
    judge(&mut DvmMonitor::new(2), &Memory::default(), events)
}

/// A broadcast TLBI and a DSB of core 0 on two cores, with the events that `keep` accepts by number.
fn shootdown(kind: DsbKind, keep: impl Fn(usize) -> bool) -> Violations {
    let events = [
        issue(1, tlbi(1)),
        response(3, tlbi(1), |_| ()),
        issue(4, dsb(kind)),
        dvm(5, 0, |event| event.inv_sent = Some(0)),
        effect(8, 0, Some(0), 0),
        effect(9, 1, Some(0), 0),
        dvm(10, 0, |event| event.sync_sent = true),
        dvm(12, 0, |event| event.answered = Some(0)),
        dvm(15, 1, |event| event.answered = Some(0)),
        dvm(15, 0, |event| event.sync_done = true),
        response(16, dsb(kind), |_| ()),
    ];
    let kept = events.into_iter().enumerate().filter(|(i, _)| keep(*i));
    let kept: Vec<Event> = kept.map(|(_, event)| event).collect();
    judged(&kept)
}

#[test]
fn a_complete_shootdown_is_quiet() {
    assert_quiet(&shootdown(DsbKind::ISH, |_| true));
    assert_quiet(&shootdown(DsbKind::SY, |_| true));
}

#[test]
fn a_dsb_that_completes_early_fires_tlbi_20() {
    // Nothing was sent; no effect on core 1; no SYNC at all.
    assert_fires(
        &shootdown(DsbKind::ISH, |i| !(3..=9).contains(&i)),
        "TLBI-20",
    );
    assert_fires(&shootdown(DsbKind::ISH, |i| i != 5 && i != 8), "TLBI-20");
    assert_fires(
        &shootdown(DsbKind::ISH, |i| !(6..=9).contains(&i)),
        "TLBI-20",
    );
    assert_fires(&shootdown(DsbKind::ISH, |i| i != 8), "TLBI-20");
    // TLBI-24: these complete nothing.
    for kind in [DsbKind::ISHST, DsbKind::ISHLD, DsbKind::NSH] {
        assert_quiet(&shootdown(kind, |i| !(3..=9).contains(&i)));
    }
}

#[test]
fn an_answer_before_the_effect_fires_dvm_02() {
    assert_fires(&shootdown(DsbKind::ISH, |i| i != 5), "DVM-02");
}

#[test]
fn an_effect_without_an_operation_or_twice_fires_dvm_01() {
    assert_fires(&judged(&[effect(8, 1, Some(0), 0)]), "DVM-01");
    let twice = [
        issue(1, tlbi(1)),
        dvm(5, 0, |event| event.inv_sent = Some(0)),
        effect(8, 1, Some(0), 0),
        effect(9, 1, Some(0), 0),
    ];
    assert_fires(&judged(&twice), "DVM-01");
    // TLBI-14: from EL0 it does nothing.
    let unprivileged = CoreRequest {
        el: El::El0,
        ..tlbi(1)
    };
    assert_fires(
        &judged(&[issue(1, unprivileged), effect(8, 0, Some(0), 0)]),
        "TLBI-14",
    );
}

#[test]
fn a_local_operation_sends_nothing_and_acts_on_its_core_only() {
    let acts = |core| [issue(1, local(1)), effect(3, core, None, 0)];
    assert_quiet(&judged(&acts(0)));
    assert_fires(&judged(&acts(1)), "DVM-11");
    let sent = [
        issue(1, local(1)),
        dvm(5, 0, |event| event.inv_sent = Some(0)),
    ];
    assert_fires(&judged(&sent), "DVM-11");
}

#[test]
fn a_dsb_waits_for_local_operations() {
    let ended = |shown: bool| {
        let mut events = vec![issue(1, local(1))];
        events.extend(shown.then(|| effect(3, 0, None, 0)));
        events.extend([
            issue(4, dsb(DsbKind::NSH)),
            response(9, dsb(DsbKind::NSH), |_| ()),
        ]);
        judged(&events)
    };
    assert_quiet(&ended(true));
    assert_fires(&ended(false), "TLBI-20");
}

#[test]
fn too_many_invs_or_syncs_outstanding_fire_dvm_07() {
    let many = |count: u8| {
        let mut events = Vec::new();
        for i in 0..count {
            events.push(issue(u64::from(i), tlbi(u16::from(i))));
            events.push(dvm(10 + u64::from(i), 0, |event| event.inv_sent = Some(i)));
        }
        judged(&events)
    };
    assert_quiet(&many(14));
    assert_fires(&many(15), "DVM-07");
    let twice = [
        issue(1, tlbi(1)),
        issue(2, dsb(DsbKind::ISH)),
        dvm(5, 0, |event| event.inv_sent = Some(0)),
        dvm(6, 0, |event| event.sync_sent = true),
        dvm(7, 0, |event| event.sync_sent = true),
    ];
    assert_fires(&judged(&twice), "DVM-07");
}

#[test]
fn a_sync_with_no_inv_since_the_last_fires_dvm_14() {
    let events = [
        issue(2, dsb(DsbKind::ISH)),
        dvm(6, 0, |event| event.sync_sent = true),
    ];
    assert_fires(&judged(&events), "DVM-14");
}

#[test]
fn an_access_answered_before_an_older_dsb_fires_ord_23() {
    let load = CoreRequest {
        id: 3,
        ..CoreRequest::load(0x1000, 3, El::El0)
    };
    let barrier = dsb(DsbKind::ISH);
    let [a, b] = [response(5, load, |_| ()), response(6, barrier, |_| ())];
    let issued = [issue(1, barrier), issue(2, load)];
    assert_fires(
        &judged(&[&issued[..], &[a.clone(), b.clone()]].concat()),
        "ORD-23",
    );
    assert_quiet(&judged(&[&issued[..], &[b, a]].concat()));
}

#[test]
fn what_never_ends_is_reported_when_the_run_does() {
    let idle = |cycle| at_core(issue(cycle, CoreRequest::isb()), 1);
    let sent = [
        issue(1, tlbi(1)),
        dvm(5, 0, |event| event.inv_sent = Some(0)),
        effect(8, 0, Some(0), 0),
    ];
    assert_quiet(&judged(&[&sent[..], &[idle(100)]].concat()));
    assert_fires(
        &judged(&[&sent[..], &[idle(PROGRESS + 100)]].concat()),
        "DVM-01",
    );
    let blocked = [issue(1, dsb(DsbKind::ISH)), idle(PROGRESS + 100)];
    assert_fires(&judged(&blocked), "TLBI-28");
}
