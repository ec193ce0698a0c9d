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
fn a_store_with_one_effect_before_its_answer_is_quiet_and_after_it_fires() {
    assert_quiet(&judged(&[
        issue(1, store(7)),
        effect(5, 7),
        answer(8, store(7), 0, None),
    ]));
    let late = [
        issue(1, store(7)),
        answer(8, store(7), 0, None),
        effect(9, 7),
    ];
    assert_fires(&judged(&late), "ORD-22");
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
    let out = judged(&other);
    assert_fires(&out, "ORD-22");
    assert!(out.iter().any(|violation| violation.breaks("ORD-09")));
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
    assert_quiet(&judged(&[issue(1, cas), answer(8, cas, 0x55, None)]));
    assert_quiet(&judged(&[
        issue(1, cas),
        effect(5, 7),
        answer(8, cas, 3, None),
    ]));
    assert_fires(
        &judged(&[issue(1, cas), effect(5, 7), answer(8, cas, 0x55, None)]),
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

/// A load of `id` in flight from cycle `issued` that brings `data`.
fn read(id: u16, issued: u64, answered: u64, data: u64) -> [Event; 2] {
    let request = CoreRequest { id, ..load() };
    let mut event = answer(answered, request, data, None);
    if let EventKind::Response { issued_at, .. } = &mut event.kind {
        *issued_at = issued;
    }
    [issue(issued, request), event]
}

#[test]
fn reads_of_one_core_to_one_word_do_not_go_back_in_time() {
    // Another core stores 0x55 over 0x44 at cycle 10.
    let mut change = commit(10, CommitKind::Backdoor, WORD, 0x44 << 32, 0x55 << 32);
    if let EventKind::Commit { source, .. } = &mut change.kind {
        *source = crate::sim::BACKDOOR;
    }
    let both = |older, younger, younger_first: bool| {
        let [older_issue, older_answer] = read(2, 1, 20, older);
        let [younger_issue, younger_answer] = read(3, 2, 21, younger);
        let mut events = vec![older_issue, younger_issue, change.clone()];
        match younger_first {
            true => events.extend([younger_answer, older_answer]),
            false => events.extend([older_answer, younger_answer]),
        }
        judged(&events)
    };
    for first in [false, true] {
        assert_quiet(&both(0x44, 0x44, first));
        assert_quiet(&both(0x44, 0x55, first));
        assert_quiet(&both(0x55, 0x55, first));
        assert_fires(&both(0x55, 0x44, first), "ORD-30");
    }
}

#[test]
fn a_load_behind_a_store_of_its_core_to_the_word_sees_it() {
    let old = commit(5, CommitKind::Store, WORD, 0, 0x55 << 32);
    let mut old = old;
    if let EventKind::Commit { strobe, data, .. } = &mut old.kind {
        (*strobe, *data) = (0xf0, 0x55 << 32);
    }
    let [issued, good] = read(2, 2, 9, 0x55);
    let stale = read(2, 2, 9, 0)[1].clone();
    let stored = [
        issue(1, store(0x55)),
        issued,
        old,
        answer(8, store(0x55), 0, None),
    ];
    assert_quiet(&judged(&[&stored[..], &[good]].concat()));
    assert_fires(&judged(&[&stored[..], &[stale]].concat()), "ORD-30");
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

#[test]
fn of_two_stores_that_are_alike_the_older_has_the_first_effect() {
    // By two addresses of one page, answered out of order.
    let younger = CoreRequest {
        id: 3,
        va: VA + 0x2000,
        ..store(7)
    };
    let both = [issue(1, store(7)), issue(2, younger), effect(5, 7)];
    let answers = [answer(8, younger, 0, None), answer(9, store(7), 0, None)];
    let twice = [&both[..], &[effect(6, 7)], &answers].concat();
    assert_quiet(&judged(&twice));
    let once = [&both[..], &answers].concat();
    assert_fires(&judged(&once), "ORD-22");
}
