// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The data monitor on hand-made sequences, clean and planted.

use super::*;
use crate::check::feed::{assert_fires, assert_quiet, commit, issue, judge, response};
use vmsa::{El, Fsc};

const VA: u64 = 0x1004;
const PA: u64 = 0x8000_1004;
const WORD: u64 = 0x8000_1000;

fn store(data: u64) -> CoreRequest {
    CoreRequest {
        id: 1,
        ..CoreRequest::store(VA, 2, El::El0, data)
    }
}

fn load() -> CoreRequest {
    CoreRequest {
        id: 2,
        ..CoreRequest::load(VA, 2, El::El0)
    }
}

fn answer(cycle: u64, request: CoreRequest, data: u64, fault: Option<Fsc>) -> Event {
    response(cycle, request, |answer| {
        (answer.data, answer.fault) = (data, fault);
        answer.pa = if fault.is_none() { PA } else { 0 };
    })
}

fn effect(cycle: u64, data: u64) -> Event {
    let mut event = commit(cycle, CommitKind::Store, WORD, 0, data << 32);
    if let EventKind::Commit { strobe, .. } = &mut event.kind {
        *strobe = 0xf0;
    }
    event
}

fn judged(events: &[Event]) -> Violations {
    let mut memory = Memory::default();
    memory.write_u64(WORD, 0x55 << 32);
    judge(&mut DataMonitor::new(), &memory, events)
}

#[test]
fn a_store_with_one_effect_before_or_after_its_answer_is_quiet() {
    assert_quiet(&judged(&[
        issue(1, store(7)),
        effect(5, 7),
        answer(8, store(7), 0, None),
    ]));
    assert_quiet(&judged(&[
        issue(1, store(7)),
        answer(8, store(7), 0, None),
        effect(9, 7),
    ]));
}

#[test]
fn a_store_without_effect_fires() {
    assert_fires(
        &judged(&[issue(1, store(7)), answer(8, store(7), 0, None)]),
        "TLBI-22",
    );
}

#[test]
fn a_second_effect_or_one_of_other_data_fires() {
    let twice = [
        issue(1, store(7)),
        effect(5, 7),
        effect(6, 7),
        answer(8, store(7), 0, None),
    ];
    assert_fires(&judged(&twice), "ORD-09");
    let other = [
        issue(1, store(7)),
        effect(5, 6),
        answer(8, store(7), 0, None),
    ];
    assert_fires(&judged(&other), "ORD-09");
}

#[test]
fn an_effect_of_a_faulting_store_fires_ord_09() {
    let events = [
        issue(1, store(7)),
        effect(5, 7),
        answer(8, store(7), 0, Some(Fsc(0x0f))),
    ];
    assert_fires(&judged(&events), "ORD-09");
}

#[test]
fn a_failed_compare_and_swap_has_no_effect() {
    let cas = CoreRequest {
        op: Op::Cas,
        compare: 3,
        ..store(7)
    };
    assert_quiet(&judged(&[issue(1, cas), answer(8, cas, 4, None)]));
    assert_quiet(&judged(&[
        issue(1, cas),
        effect(5, 7),
        answer(8, cas, 3, None),
    ]));
    assert_fires(
        &judged(&[issue(1, cas), effect(5, 7), answer(8, cas, 4, None)]),
        "ORD-09",
    );
}

#[test]
fn a_load_brings_what_memory_held_during_it() {
    assert_quiet(&judged(&[issue(1, load()), answer(8, load(), 0x55, None)]));
    let mut changed = commit(4, CommitKind::Backdoor, WORD, 0x44 << 32, 0x55 << 32);
    if let EventKind::Commit { source, .. } = &mut changed.kind {
        *source = crate::sim::BACKDOOR;
    }
    let old = [issue(1, load()), changed, answer(8, load(), 0x44, None)];
    assert_quiet(&judged(&old));
    assert_fires(
        &judged(&[issue(1, load()), answer(8, load(), 0x44, None)]),
        "MEM-14",
    );
}

#[test]
fn an_access_across_words_has_two_parts() {
    let both: Vec<Part> = parts(0x8000_0006, 3, 0x8877_6655_4433_2211).collect();
    assert_eq!(
        (both[0].strobe, both[0].data),
        (0xc0, 0x2211_0000_0000_0000)
    );
    assert_eq!(
        (both[1].strobe, both[1].data),
        (0x3f, 0x0000_8877_6655_4433)
    );
    assert_eq!(both[1].address, Some(0x8000_0008));
    let beyond: Vec<Part> = parts(0x8000_0ffc, 3, 0).collect();
    assert_eq!(beyond[1].address, None);
}
