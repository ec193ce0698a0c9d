// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The walk monitor on hand-made sequences, clean and planted.

use super::*;
use crate::check::feed::{
    assert_fires, assert_quiet, change_walk, commit, effect, issue, judge, response, walk, walk_end,
};
use crate::dut::ports::WalkKind::{Begin, Step};
use crate::dut::ports::{CommitKind, CoreRequest};
use vmsa::{Descriptor, El, Fsc, Sctlr, SysReg, Ttbr};

const VA: u64 = 0x40_3000;
const ROOT: u64 = 0x8000_0000;
const TABLE: u64 = 0x8000_1000;
const PAGE: u64 = 0x9000_0403;

/// Two levels: TxSZ 34 starts at level 2.
fn memory() -> Memory {
    let mut memory = Memory::default();
    memory.write_u64(ROOT + 2 * 8, Descriptor::table(TABLE).0);
    memory.write_u64(TABLE + 3 * 8, PAGE);
    memory
}

fn context(tcr: Tcr) -> Vec<Event> {
    vec![
        issue(1, CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(1, ROOT).0)),
        issue(
            2,
            CoreRequest::msr(SysReg::Tcr, tcr.with_tsz(VaRange::Lower, 34).0),
        ),
        issue(3, CoreRequest::msr(SysReg::Sctlr, Sctlr(0).with_m(true).0)),
        issue(4, CoreRequest::isb()),
        response(6, CoreRequest::isb(), |_| ()),
        issue(
            9,
            CoreRequest {
                id: 5,
                ..CoreRequest::load(VA, 3, El::El0)
            },
        ),
    ]
}

fn walked(steps: &[Event]) -> Violations {
    let mut events = context(Tcr(0));
    events.push(walk(10, 5, VA, Begin, 2, ROOT + 16, 0));
    events.extend_from_slice(steps);
    events.push(walk_end(40, 5, VA, None));
    judge(&mut WalkMonitor::new(), &memory(), &events)
}

fn step(cycle: u64, level: u8, address: u64, value: u64) -> Event {
    walk(cycle, 5, VA, Step, level, address, value)
}

fn root() -> Event {
    step(15, 2, ROOT + 16, Descriptor::table(TABLE).0)
}

#[test]
fn a_walk_down_the_tables_is_quiet() {
    assert_quiet(&walked(&[root(), step(20, 3, TABLE + 24, PAGE)]));
}

#[test]
fn a_read_elsewhere_fires_walk_20() {
    assert_fires(&walked(&[root(), step(20, 3, TABLE + 32, 0)]), "WALK-20");
    assert_fires(&walked(&[step(15, 2, ROOT + 24, 0)]), "WALK-20");
    // The level below the one reached, and the same one again.
    assert_fires(&walked(&[step(15, 3, TABLE + 24, PAGE)]), "WALK-20");
    assert_fires(&walked(&[root(), root()]), "WALK-20");
}

#[test]
fn a_walk_begun_elsewhere_fires_walk_22() {
    let begins = |level, address| {
        let mut events = context(Tcr(0));
        events.push(walk(10, 5, VA, Begin, level, address, 0));
        judge(&mut WalkMonitor::new(), &memory(), &events)
    };
    assert_quiet(&begins(2, ROOT + 16));
    assert_fires(&begins(2, TABLE + 16), "WALK-22");
    assert_fires(&begins(3, TABLE + 24), "WALK-22");
}

#[test]
fn a_cancelled_walk_shows_one_answer_and_nothing_more() {
    let late = |event| change_walk(event, |step| step.discarded = true);
    let cancelled = |steps: &[Event]| {
        let mut events = context(Tcr(0));
        events.push(walk(10, 5, VA, Begin, 2, ROOT + 16, 0));
        events.push(effect(12, 0, None, 0));
        events.extend_from_slice(steps);
        judge(&mut WalkMonitor::new(), &memory(), &events)
    };
    assert_quiet(&cancelled(&[late(root())]));
    assert_fires(&cancelled(&[root()]), "DVM-13");
    let goes_on = [late(root()), late(step(20, 3, TABLE + 24, PAGE))];
    assert_fires(&cancelled(&goes_on), "DVM-13");
}

#[test]
fn an_error_response_ends_the_walk_with_its_abort() {
    let fails = |fault, more: &[Event]| {
        let mut events = context(Tcr(0));
        events.push(walk(10, 5, VA, Begin, 2, ROOT + 16, 0));
        events.push(change_walk(root(), |step| {
            (step.error, step.value) = (true, 0)
        }));
        events.extend_from_slice(more);
        events.push(walk_end(40, 5, VA, fault));
        judge(&mut WalkMonitor::new(), &memory(), &events)
    };
    assert_quiet(&fails(Some(Fsc(0x16)), &[]));
    assert_fires(&fails(Some(Fsc(0x06)), &[]), "WALK-10");
    assert_fires(&fails(Some(Fsc(0x17)), &[]), "WALK-10");
    assert_fires(&fails(None, &[]), "WALK-10");
    let on = step(20, 3, TABLE + 24, PAGE);
    assert_fires(&fails(Some(Fsc(0x16)), &[on]), "WALK-10");
}

#[test]
fn an_unaligned_read_fires_walk_01() {
    assert_fires(&walked(&[step(15, 2, ROOT + 20, 0)]), "WALK-01");
}

#[test]
fn a_value_that_memory_never_held_fires_walk_28() {
    assert_fires(
        &walked(&[root(), step(20, 3, TABLE + 24, PAGE | 1 << 7)]),
        "WALK-28",
    );
}

#[test]
fn a_value_in_the_wrong_byte_order_fires_walk_02() {
    let turned = step(20, 3, TABLE + 24, PAGE.swap_bytes());
    assert_fires(&walked(&[root(), turned]), "WALK-02");
}

#[test]
fn a_value_replaced_during_the_read_is_quiet_and_one_replaced_before_fires() {
    let change = |cycle| commit(cycle, CommitKind::Store, TABLE + 24, 0x77, PAGE);
    let stale = step(20, 3, TABLE + 24, 0x77);
    assert_quiet(&walked(&[root(), change(17), stale.clone()]));
    assert_fires(&walked(&[change(12), root(), stale]), "WALK-28");
}

#[test]
fn a_walk_with_translation_off_or_epd_fires_walk_21() {
    let read = [walk(10, 5, VA, Begin, 2, ROOT + 16, 0), root()];
    let mut off = vec![issue(9, CoreRequest::load(VA, 3, El::El0))];
    off.extend_from_slice(&read);
    assert_fires(&judge(&mut WalkMonitor::new(), &memory(), &off), "WALK-21");
    let mut disabled = context(Tcr(0).with_epd(VaRange::Lower, true));
    disabled.extend_from_slice(&read);
    assert_fires(
        &judge(&mut WalkMonitor::new(), &memory(), &disabled),
        "WALK-21",
    );
}
