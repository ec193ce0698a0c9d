// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which access each kind of operation and barrier binds, on which PE.

use vmsa::Granule;
use vmsa::TlbiScope::{InnerShareable, Local, OuterShareable};

use super::*;

const PAGE: Held = Held {
    va: 0x40_2000,
    span: 12,
    granule: Granule::K4,
    level: 3,
    asid: 7,
    table: false,
    global: false,
};

fn op(source: u8, order: u64, cycle: u64, tlbi: Tlbi) -> Issued {
    Issued {
        source,
        order,
        cycle,
        tlbi,
        asids: [tlbi.asid(); 2],
        number: order,
    }
}

fn access(order: u64, performed: u64) -> Bound {
    Bound {
        order,
        performed,
        remote: true,
    }
}

fn since(ops: &Invalidations, access: Bound) -> u64 {
    ops.bound(&access, &PAGE, u64::MAX)
}

#[test]
fn own_operations_bind_what_follows_the_barrier_in_program_order() {
    // Section 13.2, c = p.
    let mut ops = Invalidations::new(0, true);
    ops.issue(op(0, 2, 100, Tlbi::vmalle1(Local)));
    assert_eq!(since(&ops, access(5, 900)), 0);
    ops.fence(3, DsbKind::NSH);
    assert_eq!(since(&ops, access(3, 900)), 0);
    assert_eq!(since(&ops, access(4, 900)), 100);
    assert_eq!(ops.bound(&access(4, 900), &PAGE, 99), 0);
}

#[test]
fn without_ets2_a_context_synchronisation_event_has_to_follow() {
    // Section 13.2, section 11.3 point 4, ORD-07.
    let mut ops = Invalidations::new(0, false);
    ops.issue(op(0, 2, 100, Tlbi::vmalle1(Local)));
    ops.synchronise(3);
    ops.fence(4, DsbKind::SY);
    assert_eq!(since(&ops, access(5, 900)), 0);
    ops.synchronise(6);
    assert_eq!(since(&ops, access(6, 900)), 0);
    assert_eq!(since(&ops, access(7, 900)), 100);
}

#[test]
fn broadcast_operations_bind_other_pes_once_they_completed() {
    // Section 13.2, c != p; TLBI-20.
    for scope in [InnerShareable, OuterShareable] {
        let mut ops = Invalidations::new(1, true);
        ops.issue(op(0, 2, 100, Tlbi::vmalle1(scope)));
        assert_eq!(since(&ops, access(5, 900)), 0);
        ops.completed(200, 0, 3, DsbKind::SY);
        assert_eq!(since(&ops, access(1, 200)), 0, "done by then");
        assert_eq!(since(&ops, access(1, 201)), 100);
    }
    let mut ops = Invalidations::new(1, true);
    ops.issue(op(0, 2, 100, Tlbi::vmalle1(Local)));
    ops.completed(200, 0, 3, DsbKind::SY);
    assert_eq!(since(&ops, access(1, 201)), 0, "TLBI-12");
}

#[test]
fn only_full_barriers_of_the_issuer_with_sufficient_domain_complete() {
    // TLBI-24, TLBI-27.
    for (scope, source, order, kind, binds) in [
        (InnerShareable, 0, 3, DsbKind::ISH, true),
        (InnerShareable, 0, 3, DsbKind::ISHST, false),
        (InnerShareable, 0, 3, DsbKind::ISHLD, false),
        (InnerShareable, 0, 3, DsbKind::NSH, false),
        (OuterShareable, 0, 3, DsbKind::ISH, false),
        (OuterShareable, 0, 3, DsbKind::OSH, true),
        (InnerShareable, 0, 1, DsbKind::SY, false),
        (InnerShareable, 1, 3, DsbKind::SY, false),
    ] {
        let mut ops = Invalidations::new(2, true);
        ops.issue(op(0, 2, 100, Tlbi::vmalle1(scope)));
        ops.completed(200, source, order, kind);
        assert_eq!(
            since(&ops, access(9, 900)) != 0,
            binds,
            "{scope:?} {kind} of {source}"
        );
        let mut own = Invalidations::new(0, true);
        own.issue(op(0, 2, 100, Tlbi::vmalle1(scope)));
        own.fence(3, kind);
        assert_eq!(
            since(&own, access(9, 900)) != 0,
            kind.completes_tlbi(scope),
            "{scope:?} {kind}"
        );
    }
}

#[test]
fn the_instant_of_the_effect_replaces_the_one_of_issue() {
    // Section 13.2.
    let mut ops = Invalidations::new(1, true);
    for order in [2, 3] {
        ops.issue(op(0, order, 100, Tlbi::vmalle1(InnerShareable)));
    }
    ops.took_effect(150, 0, 2, false);
    ops.took_effect(155, 2, 3, false);
    ops.completed(200, 0, 9, DsbKind::SY);
    assert_eq!(since(&ops, access(1, 300)), 150);
    ops.took_effect(160, 0, 3, false);
    assert_eq!(since(&ops, access(1, 300)), 160);
}

#[test]
fn a_local_operation_takes_effect_by_its_answer_or_unseen() {
    let mut ops = Invalidations::new(0, true);
    ops.issue(op(0, 1, 100, Tlbi::vmalle1(Local)));
    ops.answered(1);
    ops.issue(op(0, 2, 110, Tlbi::vae1(Local, 0, 0, None)));
    ops.took_effect(115, 0, 0, true);
    ops.fence(3, DsbKind::NSH);
    assert_eq!(since(&ops, access(4, 300)), 100);
}

#[test]
fn an_asid_cut_in_two_ways_names_what_both_name() {
    // TLBI-13: TCR_EL1.AS was written and not synchronised.
    let tlbi = Tlbi::aside1(Local, 0xab07);
    for (asids, binds) in [([7, 7], true), ([0xab07, 7], false)] {
        let mut ops = Invalidations::new(0, true);
        ops.issue(Issued {
            asids,
            ..op(0, 1, 100, tlbi)
        });
        ops.fence(2, DsbKind::NSH);
        assert_eq!(since(&ops, access(4, 300)) != 0, binds);
    }
}

#[test]
fn compaction_keeps_the_bounds() {
    let mut ops = Invalidations::new(0, true);
    for cycle in 1..=90 {
        ops.issue(op(0, cycle, cycle, Tlbi::vae1(Local, 0x40_2000, 7, None)));
        ops.fence(cycle, DsbKind::SY);
    }
    assert_eq!(ops.compact(91, 91), None);
    assert!(ops.len() < 3);
    assert_eq!(since(&ops, access(91, 91)), 90);
    ops.issue(op(0, 200, 200, Tlbi::vmalle1(Local)));
    assert_eq!(ops.compact(201, 201), None, "not completed");
    ops.fence(202, DsbKind::SY);
    assert_eq!(ops.compact(202, 300), None, "the barrier itself is to come");
    assert_eq!(ops.compact(203, 300), Some(200));
    assert_eq!((ops.len(), since(&ops, access(203, 300))), (1, 200));
}
