// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Groups of walks, updates, races and edits.

use super::*;
use crate::check::feed::{change_fill, commit, effect};
use crate::dut::ports::CommitKind;
use crate::dut::ports::TlbStructure::{L2, WalkCache};
use crate::dut::ports::WalkKind::Swap;
use vmsa::{FaultKind, Fsc};

/// An access under way that has begun a walk.
fn begun(events: &[Event]) -> Vec<Event> {
    let mut all = context();
    all.push(issue(10, load(5, VA)));
    all.extend_from_slice(events);
    all
}

fn in_slot(event: Event, slot: u8) -> Event {
    change_walk(event, |step| step.slot = slot)
}

#[test]
fn begins_count_by_level_and_start_and_company() {
    let events = begun(&[
        walk(11, 5, VA, Begin, 0, SLOT, 0),
        in_slot(
            change_walk(walk(12, 6, !0xfff, Begin, 2, SLOT, 0), |step| {
                (step.cached_start, step.instruction) = (true, true);
            }),
            1,
        ),
    ]);
    let starts = [
        "4K.level0.ttbr0.at-table-base",
        "4K.level2.ttbr1.at-walk-cache",
    ];
    assert_eq!(reached("walk-start", &events), starts);
    let company = ["data.alone", "instruction.beside-another"];
    assert_eq!(reached("walk-company", &events), company);
    assert!(reached("walk-again", &events).is_empty());
}

#[test]
fn a_walk_repeated_after_a_fault_or_a_cancel_counts() {
    let fault = Some(Fsc::encode(FaultKind::Translation, 3));
    let again = walk(30, 5, VA, Begin, 3, SLOT, 0);
    let mut faulted = begun(&reading(11, 5, VA, Descriptor(0)));
    faulted.push(walk_end(16, 5, VA, fault));
    faulted.push(again.clone());
    assert_eq!(reached("walk-again", &faulted), ["dtlb.after-fault"]);
    let mut cancelled = begun(&reading(11, 5, VA, page()));
    cancelled.push(effect(16, 0, Some(0), 0));
    cancelled.push(again);
    assert_eq!(reached("walk-again", &cancelled), ["dtlb.after-cancel"]);
}

#[test]
fn prefetches_count_by_end_and_never_as_an_access() {
    let fault = Some(Fsc::encode(FaultKind::AccessFlag, 3));
    let mut events = context();
    events.extend(reading(11, 5, VA, page()).into_iter().map(prefetch));
    events.push(prefetch(walk_end(16, 5, VA, None)));
    events.push(prefetch(walk(20, 5, VA, Begin, 3, SLOT, 0)));
    events.push(prefetch(walk_end(26, 5, VA, fault)));
    assert_eq!(
        reached("prefetch-end", &events),
        ["found", "access-flag-fault"]
    );
    assert_eq!(reached("walk-company", &events), ["prefetch.alone"]);
}

#[test]
fn fills_count_by_structure_leaf_and_source() {
    let mut events = context();
    events.extend(loaded(10, 5, VA, 0));
    let entry = fill(20, 0, VA, PA, PAGE);
    events.push(change_fill(entry.clone(), |fill| fill.structure = L2));
    events.push(change_fill(entry.clone(), |fill| {
        (fill.structure, fill.level) = (WalkCache, 2);
    }));
    // The same page again, from the second level: it displaces the first entry.
    events.push(change_fill(entry, |fill| {
        (fill.from_l2, fill.index, fill.count) = (true, 1, 1);
    }));
    assert_eq!(
        reached("fill-l1", &events),
        ["dtlb.4K.page.from-walk", "dtlb.4K.page.from-l2"]
    );
    assert_eq!(reached("fill-l2", &events), ["4K.page.data"]);
    assert_eq!(reached("fill-walk-cache", &events), ["4K.level2.data"]);
    assert_eq!(reached("displaced", &events), ["dtlb.page.old-page"]);
}

#[test]
fn updates_count_by_what_they_set_and_what_became_of_them() {
    let old = page().with_af(false);
    let other = Descriptor(old.0 | 1 << 55);
    let swap = |cycle, held: Descriptor| walk(cycle, 5, VA, Swap, 3, SLOT, held.0);
    let mut events = begun(&reading(11, 5, VA, old));
    events.extend([swap(20, other), swap(30, other)]);
    assert_eq!(
        reached("update", &events),
        ["af.4K.page.lost", "af.4K.page.done-after-loss"]
    );
    let mut events = begun(&reading(11, 5, VA, old));
    events.extend([effect(16, 0, Some(0), 0), swap(20, old)]);
    assert_eq!(reached("update", &events), ["af.4K.page.cancelled"]);
    let clean = page().with_dbm(true).with_ap_read_only(true);
    let mut events = context();
    events.push(issue(10, store(5, VA)));
    events.extend(reading(11, 5, VA, clean));
    events.push(swap(20, clean));
    assert_eq!(reached("update", &events), ["dirty.4K.page.done"]);
}

#[test]
fn a_write_counts_as_a_race_by_writer_and_stage() {
    let old = page().with_af(false).0;
    let write = |kind| commit(17, kind, SLOT, old, old | 1 << 55);
    let swap = walk(20, 5, VA, Swap, 3, SLOT, old | 1 << 55);
    let mut events = begun(&reading(11, 5, VA, Descriptor(old)));
    events.extend([write(CommitKind::Store), swap]);
    assert_eq!(reached("race", &events), ["store.own-core.swap-due"]);
    let mut events = begun(&reading(11, 5, VA, Descriptor(old)));
    let mut foreign = write(CommitKind::Cas);
    if let EventKind::Commit { source, .. } = &mut foreign.kind {
        *source = 1;
    }
    events.extend([foreign, walk_end(18, 5, VA, None)]);
    assert_eq!(reached("race", &events), ["cas.other-core.read"]);
    // The update of the walk itself is no race.
    let mut events = begun(&reading(11, 5, VA, Descriptor(old)));
    let update = commit(17, CommitKind::Update, SLOT, old, old | 1 << 10);
    events.extend([update, walk(20, 5, VA, Swap, 3, SLOT, old)]);
    assert!(reached("race", &events).is_empty());
    assert_eq!(reached("update", &events), ["af.4K.page.done"]);
}

#[test]
fn a_cancelled_walk_counts_by_what_was_under_way() {
    let cancelled = |before: &[Event], after: &[Event], local: bool| {
        let mut events = begun(before);
        events.push(effect(16, 0, (!local).then_some(0), 0));
        events.extend_from_slice(after);
        reached("cancel", &events)
    };
    let begin = walk(11, 5, VA, Begin, 2, SLOT, 0);
    let step = walk(15, 5, VA, Step, 2, SLOT, table().0);
    let vain = |kind, level| {
        change_walk(walk(30, 5, VA, kind, level, SLOT, 0), |step| {
            step.discarded = true;
        })
    };
    let begin_only = [begin.clone()];
    assert_eq!(
        cancelled(&begin_only, &[], false),
        ["start.own-broadcast.demand"]
    );
    assert_eq!(
        cancelled(&begin_only, &[vain(Step, 2)], true),
        ["read-level2.local.demand"]
    );
    let stepped = [begin, step];
    assert_eq!(
        cancelled(&stepped, &[], false),
        ["table-level2.own-broadcast.demand"]
    );
    let leaf = reading(11, 5, VA, page().with_af(false));
    assert_eq!(
        cancelled(&leaf, &[vain(Swap, 3)], false),
        ["swap-level3.own-broadcast.demand"]
    );
    let prefetches: Vec<Event> = leaf.into_iter().map(prefetch).collect();
    assert_eq!(cancelled(&prefetches, &[], true), ["leaf.local.prefetch"]);
}

#[test]
fn an_edit_counts_by_kind_and_by_who_holds_the_descriptor() {
    let (word, gone) = (page().0, 0);
    let moved = commit(40, CommitKind::Store, SLOT, word, word + 0x1000);
    let broken = commit(50, CommitKind::Backdoor, SLOT, word, gone);
    let one = [context(), loaded(10, 5, VA, 0), vec![moved.clone()]].concat();
    assert_eq!(reached("edit", &one), ["move.l1-of-one"]);
    let many = [
        one,
        on_core(1, [context(), loaded(45, 5, VA, 0)].concat()),
        vec![broken.clone()],
    ]
    .concat();
    let hits = collect_on(2, &many);
    assert_eq!(of("edit", &hits), ["break.l1-of-many", "move.l1-of-one"]);
    let read = begun(&[reading(11, 5, VA, page()), vec![broken.clone()]].concat());
    assert_eq!(reached("edit", &read), ["break.walk-read"]);
    let mut gone = [context(), loaded(10, 5, VA, 0)].concat();
    let all = CoreRequest::tlbi(vmsa::Tlbi::vmalle1(vmsa::TlbiScope::Local));
    gone.extend([issue(30, all), effect(31, 0, None, 1), broken]);
    assert_eq!(reached("edit", &gone), ["break.nowhere"]);
}
