// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Groups of answers.

use super::*;
use vmsa::{FaultKind, Fsc};

#[test]
fn a_good_answer_counts_by_leaf_context_and_size() {
    let mut events = context();
    events.extend(loaded(10, 5, VA, 0));
    events.push(issue(30, store(6, VA + 2)));
    let place = |answer: &mut crate::dut::ports::CoreResponse| answer.place = HitPlace::L1;
    let short = |request| CoreRequest { size: 1, ..request };
    events.push(response(33, short(store(6, VA + 3)), place));
    assert_eq!(
        reached("answer", &events),
        ["4K.page.load.walk", "4K.page.store.l1"]
    );
    let context = ["ttbr0.el0.load.walk", "ttbr0.el0.store.l1"];
    assert_eq!(reached("context", &events), context);
    let size = ["load.8B.aligned.walk", "store.2B.unaligned.l1"];
    assert_eq!(reached("size", &events), size);
}

#[test]
fn a_walk_that_begins_below_a_cached_table_and_one_that_is_joined_are_told_apart() {
    let mut events = context();
    let mut cached = loaded(10, 5, VA, 0);
    cached[1] = change_walk(cached[1].clone(), |step| step.cached_start = true);
    events.extend(cached);
    events.push(issue(11, load(6, VA + 8)));
    events.push(response(20, load(6, VA + 8), |answer| {
        answer.place = HitPlace::Walk;
    }));
    assert_eq!(
        reached("answer", &events),
        ["4K.page.load.walk-cache", "4K.page.load.joined"]
    );
}

#[test]
fn a_run_is_told_from_a_page() {
    let mut events = context();
    let mut walked = loaded(10, 5, VA, 0);
    walked[2] = walk(15, 5, VA, Step, 3, SLOT, page().with_contiguous(true).0);
    if let EventKind::Fill { change, .. } = &mut walked[4].kind {
        (change.contiguous, change.mask) = (true, !(16 * PAGE - 1));
    }
    events.extend(walked);
    assert_eq!(reached("answer", &events), ["4K.run3.load.walk"]);
    assert_eq!(reached("fill-l1", &events), ["dtlb.4K.run3.from-walk"]);
}

#[test]
fn a_fault_counts_by_kind_level_and_place() {
    let fault = |kind, level| Some(Fsc::encode(kind, level));
    let mut events = context();
    events.push(issue(10, load(5, VA)));
    events.extend(reading(11, 5, VA, Descriptor(0)));
    events.push(walk_end(16, 5, VA, fault(FaultKind::Translation, 3)));
    events.push(response(20, load(5, VA), |answer| {
        (answer.place, answer.walked) = (HitPlace::Walk, true);
        answer.fault = fault(FaultKind::Translation, 3);
    }));
    events.push(issue(30, load(6, VA + 1)));
    events.push(response(33, load(6, VA + 1), |answer| {
        answer.fault = fault(FaultKind::Alignment, 0);
    }));
    assert_eq!(
        reached("fault", &events),
        ["translation-fault.level3.4K.load"]
    );
    assert_eq!(
        reached("fault-place", &events),
        ["translation-fault.walk", "alignment-fault.none"]
    );
    assert_eq!(reached("plain-fault", &events), ["alignment-fault.load"]);
    assert_eq!(reached("alignment-fault", &events), ["load.8B"]);
    assert!(reached("answer", &events).is_empty());
}

#[test]
fn a_clean_entry_of_a_range_without_walks_faults_at_the_first_level() {
    let mut events = context();
    events.push(issue(10, load(5, VA)));
    events.push(response(14, load(5, VA), |answer| {
        answer.place = HitPlace::L1;
        answer.fault = Some(Fsc::encode(FaultKind::Translation, 0));
    }));
    assert_eq!(reached("fault-place", &events), ["translation-fault.l1"]);
}

#[test]
fn the_half_that_faults_is_told_by_its_walk() {
    let across = VA + PAGE - 4;
    let fault = Some(Fsc::encode(FaultKind::Translation, 3));
    let faulting = |va: u64| {
        let mut events = context();
        events.push(issue(10, load(5, across)));
        events.extend(reading(11, 5, va, Descriptor(0)));
        events.push(walk_end(16, 5, va, fault));
        events.push(response(20, load(5, across), |answer| answer.fault = fault));
        reached("crossing", &events)
    };
    assert_eq!(faulting(across), ["load.8B.page.first-faults"]);
    assert_eq!(faulting(VA + PAGE), ["load.8B.page.second-faults"]);
    let mut good = context();
    good.push(issue(10, load(5, VA + 4)));
    good.push(response(20, load(5, VA + 4), |_| ()));
    assert_eq!(reached("crossing", &good), ["load.8B.word.good"]);
}

#[test]
fn without_translation_only_that_counts() {
    let events = [issue(1, load(5, VA)), response(4, load(5, VA), |_| ())];
    assert_eq!(reached("untranslated", &events), ["load.el0.good"]);
    assert!(reached("context", &events).is_empty());
}
