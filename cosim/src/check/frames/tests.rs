// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Each rule of the checker of frames on hand-made events, fired and quiet.

use super::*;
use crate::check::feed::{
    assert_fires, assert_quiet, at_core, change_fill, change_walk, effect, fill, issue, response,
    walk,
};
use crate::dut::ports::Straps;
use vmsa::{Descriptor, El, Granule, SysReg, Tcr, Tlbi, TlbiScope, Ttbr};

const VA: u64 = 0x4000_3000;
const PA: u64 = 0x9000_3000;
const TABLE: u64 = 0x8000_5000;
const PAGE: u64 = 4096;
const IS: TlbiScope = TlbiScope::InnerShareable;

/// What the checker says of `events`, which the checker of TLB contents sees first.
fn judged(parts: &[Vec<Event>]) -> Violations {
    let tlb = Rc::new(RefCell::new(TlbMonitor::new(Straps::default())));
    let mut frames = FramesMonitor::new(Rc::clone(&tlb), false);
    let memory = Memory::default();
    let (mut elsewhere, mut out) = (Violations::new(), Violations::new());
    for event in parts.iter().flatten() {
        tlb.borrow_mut().event(event, &memory, &mut elsewhere);
        frames.event(event, &memory, &mut out);
    }
    out
}

fn os(cycle: u64, activity: Activity, pa: u64, bytes: u64) -> Vec<Event> {
    let event = OsEvent {
        core: 1,
        phase: Phase::Instant,
        activity,
        space: 2,
        va: 0,
        pa,
        bytes,
    };
    let kind = EventKind::Os(event);
    vec![Event { cycle, kind }]
}

fn freed(cycle: u64, pa: u64) -> Vec<Event> {
    os(cycle, Activity::FrameFreed, pa, PAGE)
}

fn handed_out(cycle: u64, pa: u64) -> Vec<Event> {
    os(cycle, Activity::FrameAllocated, pa, PAGE)
}

/// An entry for the page of VA in `structure` of `core`.
fn cached(cycle: u64, core: u8, structure: TlbStructure) -> Vec<Event> {
    let mut event = change_fill(fill(cycle, 0, VA, PA, PAGE), |change| {
        change.structure = structure;
    });
    if let EventKind::Fill { core: place, .. } = &mut event.kind {
        *place = core;
    }
    vec![event]
}

/// A walk-cache entry for the table at TABLE, which spans 2 MiB.
fn cached_table(cycle: u64, va: u64) -> Vec<Event> {
    let entry = change_fill(fill(cycle, 2, va, TABLE, 1 << 21), |change| {
        (change.structure, change.level) = (TlbStructure::WalkCache, 2);
    });
    vec![entry]
}

/// `tlbi` from core 0, which takes effect on both cores.
fn invalidate(cycle: u64, tlbi: Tlbi) -> Vec<Event> {
    let tcr = Tcr(0).with_asid16(true);
    vec![
        issue(cycle, CoreRequest::msr(SysReg::Tcr, tcr.0)),
        issue(cycle, CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(1, 0).0)),
        issue(cycle + 1, CoreRequest::isb()),
        response(cycle + 2, CoreRequest::isb(), |_| ()),
        issue(cycle + 3, CoreRequest::tlbi(tlbi)),
        effect(cycle + 5, 0, Some(0), 1),
        effect(cycle + 6, 1, Some(0), 1),
    ]
}

fn page_flush(cycle: u64) -> Vec<Event> {
    invalidate(cycle, Tlbi::vale1(IS, VA, 1, None))
}

#[test]
fn a_frame_freed_while_any_tlb_holds_it_fires_mm_06() {
    use TlbStructure::{Dtlb, Itlb, L2};
    for core in [0, 1] {
        for structure in [Itlb, Dtlb, L2] {
            let out = judged(&[cached(10, core, structure), freed(20, PA)]);
            assert_fires(&out, "MM-06");
            let violation = out.first().expect("it fired");
            assert_eq!((violation.core, violation.va), (Some(core), Some(VA)));
        }
    }
    let all = [cached(10, 0, Dtlb), cached(11, 0, L2), cached(12, 1, L2)].concat();
    let out = judged(&[all, freed(20, PA)]);
    assert_eq!(out.total(), 1);
    let came = &out.first().expect("it fired").came;
    assert_eq!(
        came,
        "core 1 gave back frame 0x000090003000 +0x1000 while the DTLB of core 0 holds \
         0x0000000040003000 (4 KiB) -> 0x000090003000 of cycle 10, and 2 more entries lead there"
    );
}

#[test]
fn flushed_first_it_is_quiet() {
    let entries = [
        cached(10, 0, TlbStructure::Dtlb),
        cached(11, 1, TlbStructure::L2),
    ];
    let order = [entries.concat(), page_flush(20), freed(30, PA)];
    assert_quiet(&judged(&order));
    assert_quiet(&judged(&[order.concat(), handed_out(40, PA)]));
    // On one core only, or for another page, is not enough.
    let local = invalidate(20, Tlbi::vale1(TlbiScope::Local, VA, 1, None));
    let local = local.into_iter().filter(|event| event.cycle < 25);
    let there = Event {
        cycle: 25,
        ..effect(25, 0, None, 1)
    };
    let parts = [
        entries.concat(),
        local.chain([there]).collect(),
        freed(30, PA),
    ];
    assert_fires(&judged(&parts), "MM-06");
    let other = invalidate(20, Tlbi::vale1(IS, VA + PAGE, 1, None));
    assert_fires(&judged(&[entries.concat(), other, freed(30, PA)]), "MM-06");
}

/// Core `core` runs ASID `asid` from now on.
fn runs(cycle: u64, core: u8, asid: u16) -> Vec<Event> {
    let tcr = Tcr(0).with_asid16(true);
    let events = [
        issue(cycle, CoreRequest::msr(SysReg::Tcr, tcr.0)),
        issue(cycle, CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(asid, 0).0)),
        issue(cycle + 1, CoreRequest::isb()),
        response(cycle + 2, CoreRequest::isb(), |_| ()),
    ];
    events.map(|event| at_core(event, core)).into()
}

fn rollover(cycle: u64) -> Vec<Event> {
    let mut events = os(cycle, Activity::AsidRollover, 0, 0);
    for event in &mut events {
        if let EventKind::Os(told) = &mut event.kind {
            told.phase = Phase::Begin;
        }
    }
    events
}

#[test]
fn what_a_core_holds_of_another_generation_is_out_of_its_reach() {
    // MM-18. The entry has the ASID 1 that `fill` gives.
    let entry = || cached(20, 1, TlbStructure::L2);
    let scene = |asid, parts: &[Vec<Event>]| {
        let events = [runs(1, 0, 9), runs(10, 1, asid), entry()].concat();
        judged(&[&[events], parts].concat())
    };
    assert_quiet(&scene(2, &[rollover(30), freed(40, PA)]));
    assert_quiet(&scene(2, &[rollover(30), handed_out(40, PA)]));
    assert_fires(&scene(2, &[freed(40, PA)]), "MM-06");
    assert_fires(&scene(1, &[rollover(30), freed(40, PA)]), "MM-06");
    // One that says it has thrown its TLB away is believed no more than any other.
    let local = CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local));
    let flushed = vec![at_core(response(35, local, |_| ()), 1)];
    assert_fires(&scene(2, &[rollover(30), flushed, freed(40, PA)]), "MM-06");
    // As soon as it runs it again, it meets what it holds.
    assert_fires(
        &scene(2, &[rollover(30), runs(35, 1, 1), freed(40, PA)]),
        "MM-06",
    );
}

#[test]
fn a_frame_handed_out_while_a_tlb_holds_it_fires_mm_02() {
    let parts = [cached(10, 1, TlbStructure::L2), handed_out(20, PA)];
    assert_fires(&judged(&parts), "MM-02");
    // Whoever missed it when it was given back hears of it again.
    let parts = [
        cached(10, 1, TlbStructure::L2),
        freed(20, PA),
        handed_out(30, PA),
    ];
    let out = judged(&parts);
    let second = out.iter().nth(1).expect("two of them");
    assert!(second.breaks("MM-02"));
    assert!(
        second
            .came
            .ends_with("; core 1 gave it back at cycle 20 for mm2"),
        "{}",
        second.came
    );
}

#[test]
fn part_of_a_larger_frame_or_entry_counts() {
    let block = vec![fill(10, 0, VA & !0xf_ffff, PA & !0xf_ffff, 1 << 20)];
    assert_fires(&judged(&[block, freed(20, PA + 7 * PAGE)]), "MM-06");
    let folio = os(20, Activity::FrameFreed, PA & !0xffff, 0x1_0000);
    assert_fires(
        &judged(&[cached(10, 0, TlbStructure::Dtlb), folio]),
        "MM-06",
    );
    for next in [PA - PAGE, PA + PAGE] {
        assert_quiet(&judged(&[
            cached(10, 0, TlbStructure::Dtlb),
            freed(20, next),
        ]));
    }
}

#[test]
fn the_upper_range_reaches_every_frame() {
    let linear = 0xffff_8000_0000_3000;
    let mapped = vec![fill(10, 0, linear, PA, PAGE)];
    let later = vec![fill(30, 1, linear, PA, PAGE)];
    let access = reach(40, 41, linear);
    assert_quiet(&judged(&[
        mapped,
        freed(20, PA),
        later,
        access,
        handed_out(50, PA),
    ]));
}

#[test]
fn a_table_freed_while_a_walk_cache_holds_it_fires_mm_05() {
    for va in [0x4000_0000, 0xffff_8000_0000_0000] {
        let parts = [cached_table(10, va), freed(20, TABLE)];
        assert_fires(&judged(&parts), "MM-05");
        assert_quiet(&judged(&[cached_table(10, va), freed(20, TABLE + PAGE)]));
    }
    let out = judged(&[cached_table(10, 0x4000_0000), handed_out(20, TABLE)]);
    assert_fires(&out, "MM-02");
    assert_fires(&out, "MM-05");
}

#[test]
fn a_table_needs_more_than_a_last_level_flush() {
    let table = || cached_table(10, 0x4000_0000);
    let leaf_only = [table(), page_flush(20), freed(30, TABLE)];
    assert_fires(&judged(&leaf_only), "MM-05");
    let whole = invalidate(20, Tlbi::vae1(IS, VA, 1, None));
    assert_quiet(&judged(&[table(), whole, freed(30, TABLE)]));
}

#[test]
fn a_fill_for_a_free_frame_fires_until_it_is_handed_out() {
    for structure in [TlbStructure::Itlb, TlbStructure::Dtlb, TlbStructure::L2] {
        let late = cached(30, 0, structure);
        assert_fires(&judged(&[freed(20, PA), late.clone()]), "MM-06");
        assert_quiet(&judged(&[freed(20, PA), handed_out(25, PA), late]));
    }
    let late = cached_table(30, 0x4000_0000);
    assert_fires(&judged(&[freed(20, TABLE), late.clone()]), "MM-05");
    assert_quiet(&judged(&[freed(20, TABLE), handed_out(25, TABLE), late]));
    // Nothing is known of memory of which the kernel never spoke.
    assert_quiet(&judged(&[cached(30, 0, TlbStructure::Dtlb)]));
}

#[test]
fn the_report_of_a_fill_names_who_freed_the_frame_and_when() {
    let out = judged(&[freed(20, PA), cached(30, 0, TlbStructure::L2)]);
    let violation = out.first().expect("it fired");
    assert_eq!(
        violation.came,
        "the L2 TLB of core 0 was filled with 0x0000000040003000 (4 KiB) -> 0x000090003000 of \
         cycle 30 in frame 0x000090003000 +0x1000, which is free: core 1 gave it back at cycle 20 \
         for mm2"
    );
    assert_eq!((violation.core, violation.va), (Some(0), Some(VA)));
}

#[test]
fn a_walk_through_a_free_table_fires_mm_05() {
    let slot = TABLE + 0x18;
    let page = Descriptor::leaf(Granule::K4, 3, PA).0;
    let step = walk(30, 5, VA, WalkKind::Step, 3, slot, page);
    assert_fires(&judged(&[freed(20, TABLE), vec![step.clone()]]), "MM-05");
    let discarded = change_walk(step.clone(), |step| step.discarded = true);
    assert_quiet(&judged(&[freed(20, TABLE), vec![discarded]]));
    assert_quiet(&judged(&[freed(20, TABLE + PAGE), vec![step]]));
}

/// A load of `va`, issued and answered at these cycles, that reaches PA.
fn reach(issued: u64, answered: u64, va: u64) -> Vec<Event> {
    let request = CoreRequest::load(va, 3, El::El0);
    let mut answer = response(answered, request, |answer| {
        (answer.place, answer.pa) = (HitPlace::L1, PA + 8);
    });
    if let EventKind::Response { issued_at, .. } = &mut answer.kind {
        *issued_at = issued;
    }
    vec![at_core(issue(issued, request), 1), at_core(answer, 1)]
}

#[test]
fn an_access_made_after_the_frame_was_freed_fires_g1() {
    assert_fires(&judged(&[freed(20, PA), reach(21, 30, VA)]), "G1");
    // Its translation may have been made before.
    assert_quiet(&judged(&[freed(20, PA), reach(20, 30, VA)]));
    assert_quiet(&judged(&[
        freed(20, PA),
        handed_out(25, PA),
        reach(21, 30, VA),
    ]));
    let faults = |mut events: Vec<Event>, change: fn(&mut CoreResponse)| {
        if let Some(EventKind::Response { response, .. }) =
            events.last_mut().map(|event| &mut event.kind)
        {
            change(response);
        }
        events
    };
    let untranslated = faults(reach(21, 30, VA), |answer| answer.place = HitPlace::None);
    assert_quiet(&judged(&[freed(20, PA), untranslated]));
    let fault = faults(reach(21, 30, VA), |answer| {
        answer.fault = Some(vmsa::Fsc(7))
    });
    assert_quiet(&judged(&[freed(20, PA), fault]));
}
