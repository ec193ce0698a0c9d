// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The TLB monitor on hand-made sequences, clean and planted.

use super::*;
use crate::check::feed::{
    assert_fires, assert_quiet, at_core, change_fill, change_walk, commit, dvm, effect, fill,
    issue, judge, response, walk, walk_end,
};
use crate::dut::ports::WalkKind::{Begin, Step};
use crate::dut::ports::{HitPlace, TlbStructure};
use vmsa::{Descriptor, DsbKind, El, Fsc, Sctlr, SysReg, Tcr, Tlbi, TlbiScope, Ttbr};

const VA: u64 = 0x4000_3000;
const PA: u64 = 0x9000_3000;
const SLOT: u64 = 0x8000_0018;
const PAGE: u64 = 4096;
const RUN: u64 = 16 * PAGE;

fn page() -> Descriptor {
    Descriptor::leaf(Granule::K4, 3, PA)
        .with_af(true)
        .with_ng(true)
}

fn load(id: u16, va: u64) -> CoreRequest {
    CoreRequest {
        id,
        ..CoreRequest::load(va, 3, El::El0)
    }
}

/// Translation on with ASID 1.
fn context() -> Vec<Event> {
    let tcr = Tcr(0).with_tsz(VaRange::Lower, 16).with_asid16(true);
    vec![
        issue(
            1,
            CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(1, 0x8000_0000).0),
        ),
        issue(2, CoreRequest::msr(SysReg::Tcr, tcr.0)),
        issue(3, CoreRequest::msr(SysReg::Sctlr, Sctlr(0).with_m(true).0)),
        issue(4, CoreRequest::isb()),
        response(6, CoreRequest::isb(), |_| ()),
    ]
}

/// A load that walks, reads `leaf` and fills `fill`.
fn walked(leaf: Descriptor, fill: Event) -> Vec<Event> {
    let mut events = context();
    events.extend([
        issue(10, load(5, VA)),
        walk(11, 5, VA, Begin, 3, 0, 0),
        walk(15, 5, VA, Step, 3, SLOT, leaf.0),
        walk_end(16, 5, VA, None),
        fill,
        at(
            response(20, load(5, VA), |r| (r.place, r.pa) = (HitPlace::Walk, PA)),
            10,
        ),
    ]);
    events
}

/// `event`, a response, to a request of cycle `issued`.
fn at(mut event: Event, issued: u64) -> Event {
    if let EventKind::Response { issued_at, .. } = &mut event.kind {
        *issued_at = issued;
    }
    event
}

fn hit(cycle: u64, va: u64, pa: u64) -> [Event; 2] {
    let answer = response(cycle + 2, load(6, va), |r| {
        (r.place, r.pa) = (HitPlace::L1, pa)
    });
    [issue(cycle, load(6, va)), at(answer, cycle)]
}

/// TLBI and DSB from cycle 30 to 40, by which `removed` first-level entries go.
fn invalidate(tlbi: Tlbi, removed: u16) -> Vec<Event> {
    let dsb = CoreRequest::dsb(DsbKind::ISH);
    vec![
        issue(30, CoreRequest::tlbi(tlbi)),
        effect(32, 0, None, removed),
        at(response(33, CoreRequest::tlbi(tlbi), |_| ()), 30),
        issue(34, dsb),
        at(response(40, dsb, |_| ()), 34),
    ]
}

fn vae1(va: u64) -> Tlbi {
    Tlbi::vae1(TlbiScope::Local, va, 1, None)
}

fn judged(parts: &[Vec<Event>]) -> Violations {
    judged_with(Straps::default(), parts)
}

fn judged_with(straps: Straps, parts: &[Vec<Event>]) -> Violations {
    judge(
        &mut TlbMonitor::new(straps),
        &Memory::default(),
        &parts.concat(),
    )
}

#[test]
fn a_hit_on_a_live_entry_is_quiet() {
    let filled = walked(page(), fill(17, 0, VA, PA, PAGE));
    assert_quiet(&judged(&[filled, hit(25, VA + 8, PA + 8).to_vec()]));
}

#[test]
fn a_run_entry_from_a_contiguous_descriptor_is_quiet() {
    let filled = walked(
        page().with_contiguous(true),
        fill(17, 0, 0x4000_0000, 0x9000_0000, RUN),
    );
    assert_quiet(&judged(&[
        filled,
        hit(25, 0x4000_f000, 0x9000_f000).to_vec(),
    ]));
}

#[test]
fn a_fill_from_an_invalid_descriptor_fires_tlb_20() {
    let filled = walked(page().with_valid(false), fill(17, 0, VA, PA, PAGE));
    assert_fires(&judged(&[filled]), "TLB-20");
}

#[test]
fn a_fill_with_af_clear_fires_haf_01() {
    let filled = walked(page().with_af(false), fill(17, 0, VA, PA, PAGE));
    assert_fires(&judged(&[filled]), "HAF-01");
}

#[test]
fn a_fill_after_a_faulting_walk_fires_vmsa_47() {
    let mut events = context();
    events.extend([
        issue(10, load(5, VA)),
        walk(11, 5, VA, Begin, 3, 0, 0),
        walk(15, 5, VA, Step, 3, SLOT, page().0),
        walk_end(16, 5, VA, Some(vmsa::Fsc(0x03))),
        fill(17, 0, VA, PA, PAGE),
    ]);
    assert_fires(&judged(&[events]), "VMSA-47");
}

#[test]
fn an_entry_larger_than_its_leaf_or_run_fires() {
    let plain = walked(page(), fill(17, 0, 0x4000_0000, 0x9000_0000, RUN));
    assert_fires(&judged(&[plain]), "TLB-30");
    let run = walked(
        page().with_contiguous(true),
        fill(17, 0, 0x4000_0000, 0x9000_0000, 2 * RUN),
    );
    assert_fires(&judged(&[run]), "TLB-01");
}

#[test]
fn a_wrong_output_address_fires_tlb_02() {
    let filled = walked(
        page().with_contiguous(true),
        fill(17, 0, 0x4000_0000, PA, RUN),
    );
    assert_fires(&judged(&[filled]), "TLB-02");
}

#[test]
fn an_entry_under_another_asid_fires_tlb_24() {
    let entry = change_fill(fill(17, 0, VA, PA, PAGE), |change| change.asid = 9);
    assert_fires(&judged(&[walked(page(), entry)]), "TLB-24");
}

#[test]
fn an_entry_of_the_other_half_fires_tlb_31() {
    // Only the low VA bits take part in the match of this entry.
    let entry = change_fill(fill(17, 0, 0xffff_0000_4000_3000, PA, PAGE), |change| {
        change.mask = 0x0000_ffff_ffff_f000;
    });
    assert_fires(&judged(&[walked(page(), entry)]), "TLB-31");
}

#[test]
fn a_hit_after_a_tlbi_and_dsb_fires_tlbi_01() {
    let filled = walked(page(), fill(17, 0, VA, PA, PAGE));
    let gone = [filled, invalidate(vae1(VA), 1), hit(50, VA, PA).to_vec()];
    assert_fires(&judged(&gone), "TLBI-01");
}

#[test]
fn a_tlbi_that_reports_too_few_entries_removed_fires_tlbi_01() {
    let filled = walked(page(), fill(17, 0, VA, PA, PAGE));
    assert_quiet(&judged(&[filled.clone(), invalidate(vae1(VA), 1)]));
    assert_fires(&judged(&[filled, invalidate(vae1(VA), 0)]), "TLBI-01");
}

#[test]
fn a_tlbi_of_any_page_of_a_run_removes_the_run() {
    let run = walked(
        page().with_contiguous(true),
        fill(17, 0, 0x4000_0000, 0x9000_0000, RUN),
    );
    let named_elsewhere = invalidate(vae1(0x4000_f000), 1);
    let gone = [run, named_elsewhere, hit(50, VA, PA).to_vec()];
    assert_fires(&judged(&gone), "TLB-05");
}

#[test]
fn entries_that_a_tlbi_does_not_name_may_serve() {
    let filled = walked(page(), fill(17, 0, VA, PA, PAGE));
    for other in [vae1(VA + PAGE), Tlbi::aside1(TlbiScope::Local, 2)] {
        assert_quiet(&judged(&[
            filled.clone(),
            invalidate(other, 0),
            hit(50, VA, PA).to_vec(),
        ]));
    }
}

#[test]
fn an_entry_filled_after_the_tlbi_may_serve() {
    let mut again = walked(page(), fill(67, 0, VA, PA, PAGE)).split_off(5);
    again
        .iter_mut()
        .filter(|event| event.cycle < 60)
        .for_each(|event| event.cycle += 50);
    let filled = walked(page(), fill(17, 0, VA, PA, PAGE));
    let parts = [
        filled,
        invalidate(vae1(VA), 1),
        again,
        hit(80, VA, PA).to_vec(),
    ];
    assert_quiet(&judged(&parts));
}

#[test]
fn a_fill_read_before_a_tlbi_that_names_it_fires_tlbi_07() {
    let mut events = context();
    let tlbi = CoreRequest::tlbi(vae1(VA));
    events.extend([
        issue(10, load(5, VA)),
        walk(11, 5, VA, Begin, 3, 0, 0),
        walk(15, 5, VA, Step, 3, SLOT, page().0),
        walk_end(16, 5, VA, None),
        issue(20, tlbi),
        effect(21, 0, None, 0),
        at(response(22, tlbi, |_| ()), 20),
        fill(25, 0, VA, PA, PAGE),
    ]);
    assert_fires(&judged(&[events]), "TLBI-07");
}

#[test]
fn a_hit_on_an_entry_of_another_asid_fires_tlb_21() {
    let filled = walked(page(), fill(17, 0, VA, PA, PAGE));
    let switch = vec![
        issue(
            30,
            CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(2, 0x8000_0000).0),
        ),
        issue(31, CoreRequest::isb()),
        response(33, CoreRequest::isb(), |_| ()),
    ];
    assert_fires(
        &judged(&[filled, switch, hit(50, VA, PA).to_vec()]),
        "TLB-21",
    );
}

#[test]
fn tables_on_the_way_to_a_global_leaf_go_by_the_asid_of_the_walk() {
    let global = page().with_ng(false);
    let aside1 = |asid| CoreRequest::tlbi(Tlbi::aside1(TlbiScope::Local, asid));
    let events = |asid| {
        let mut events = context();
        events.extend([
            issue(10, load(5, VA)),
            walk(11, 5, VA, Begin, 2, 0, 0),
            walk(
                12,
                5,
                VA,
                Step,
                2,
                0x8100_0000,
                Descriptor::table(0x8000_0000).0,
            ),
            issue(13, aside1(asid)),
            change_effect(effect(14, 0, None, 0)),
            at(response(14, aside1(asid), |_| ()), 13),
            walk(15, 5, VA, Step, 3, SLOT, global.0),
            walk_end(16, 5, VA, None),
            change_fill(fill(17, 0, VA, PA, PAGE), |change| {
                (change.global, change.asid) = (true, 0);
            }),
        ]);
        events
    };
    // ASID 1 is that of the walk, which went on below a table that had to go; ASID 0 is nobody's.
    assert_fires(&judged(&[events(1)]), "TLBI-07");
    assert_quiet(&judged(&[events(0)]));
}

/// `event`, the effect of an operation, that cancels no walk.
fn change_effect(mut event: Event) -> Event {
    if let EventKind::Invalidate { change, .. } = &mut event.kind {
        change.cancelled = 0;
    }
    event
}

#[test]
fn a_hit_without_any_entry_fires_tlb_20() {
    assert_fires(&judged(&[context(), hit(10, VA, PA).to_vec()]), "TLB-20");
}

#[test]
fn a_hit_with_translation_off_fires_vmsa_01() {
    assert_fires(&judged(&[hit(10, VA, PA).to_vec()]), "VMSA-01");
}

/// The second-level entry of the walk of `walked`.
fn l2_entry(cycle: u64) -> Event {
    change_fill(fill(cycle, 3, VA, PA, PAGE), |change| {
        change.structure = TlbStructure::L2;
    })
}

/// A first-level fill of VA from the second level.
fn copied(cycle: u64) -> Event {
    change_fill(fill(cycle, 1, VA, PA, PAGE), |change| change.from_l2 = true)
}

#[test]
fn a_copy_of_a_live_second_level_entry_is_quiet_and_one_of_a_removed_entry_fires() {
    let filled = walked(page(), l2_entry(18));
    assert_quiet(&judged(&[filled.clone(), vec![copied(25)]]));
    assert_fires(&judged(&[context(), vec![copied(25)]]), "TLB-20");
    let removed = [filled, invalidate(vae1(VA), 0), vec![copied(50)]];
    assert_fires(&judged(&removed), "TLBI-07");
}

#[test]
fn too_few_entries_removed_from_the_second_level_fire() {
    let filled = walked(page(), l2_entry(18));
    let done = |count| {
        vec![Event {
            cycle: 45,
            kind: EventKind::L2Invalidated { core: 0, count },
        }]
    };
    assert_quiet(&judged(&[filled.clone(), invalidate(vae1(VA), 0), done(1)]));
    assert_fires(
        &judged(&[filled, invalidate(vae1(VA), 0), done(0)]),
        "TLBI-01",
    );
}

#[test]
fn a_prefetch_that_fills_the_first_level_fires() {
    let prefetch = |event| change_walk(event, |step| step.prefetch = true);
    let walked = |entry| {
        let mut events = context();
        events.extend([
            prefetch(walk(11, 5, VA, Begin, 3, SLOT, 0)),
            prefetch(walk(15, 5, VA, Step, 3, SLOT, page().0)),
            prefetch(walk_end(16, 5, VA, None)),
            change_fill(entry, |change| change.prefetch = true),
        ]);
        events
    };
    assert_quiet(&judged(&[walked(l2_entry(18))]));
    assert_fires(&judged(&[walked(fill(18, 0, VA, PA, PAGE))]), "PMU-07");
}

#[test]
fn range_forms_remove_what_they_overlap_in_the_granule_in_use() {
    let filled = walked(page(), fill(17, 0, VA, PA, PAGE));
    let range = |granule, start| Tlbi::rvale1(TlbiScope::Local, granule, start, 0, 0, None, 1);
    let gone = |tlbi| judged(&[filled.clone(), invalidate(tlbi, 0)]);
    assert_fires(&gone(range(Granule::K4, VA - PAGE)), "TLBI-01");
    assert_quiet(&gone(range(Granule::K4, VA - 2 * PAGE)));
    assert_quiet(&gone(range(Granule::K4, VA + PAGE)));
    // TLBI-09.
    assert_quiet(&gone(range(Granule::K16, VA & !0x3fff)));
}

#[test]
fn a_conflict_abort_needs_the_strap_and_two_matches() {
    let abort = |cycle| {
        let answer = response(cycle + 2, load(6, VA), |r| r.fault = Some(Fsc(0x30)));
        vec![issue(cycle, load(6, VA)), at(answer, cycle)]
    };
    let conflicts = Straps {
        conflict_abort: true,
        ..Straps::default()
    };
    let one = walked(page(), fill(17, 0, VA, PA, PAGE));
    assert_fires(&judged(&[one.clone(), abort(60)]), "TLB-11");
    assert_fires(&judged_with(conflicts, &[one, abort(60)]), "TLB-10");
    // A page, then the run that holds it.
    let run = page().with_contiguous(true);
    let mut two = walked(run, fill(17, 0, VA, PA, PAGE));
    two.push(fill(25, 1, 0x4000_0000, 0x9000_0000, RUN));
    assert_quiet(&judged_with(conflicts, &[two, abort(60)]));
}

#[test]
fn an_overlap_that_a_fill_leaves_fires_tlb_11() {
    let run = page().with_contiguous(true);
    let filled = |count| {
        let mut events = walked(run, fill(17, 0, VA, PA, PAGE));
        let second = fill(25, 1, 0x4000_0000, 0x9000_0000, RUN);
        events.push(change_fill(second, |change| change.count = count));
        judged(&[events])
    };
    assert_quiet(&filled(1));
    assert_fires(&filled(0), "TLB-11");
}

const ROOT: u64 = 0x8000_2000;

/// The walk-cache entry of a level 2 table that a walk read.
fn cached_table() -> Vec<Event> {
    let mut events = context();
    let table = Descriptor::table(SLOT & !0xfff);
    let entry = change_fill(fill(16, 2, 0x4000_0000, SLOT & !0xfff, 1 << 21), |change| {
        (change.structure, change.level) = (TlbStructure::WalkCache, 2);
    });
    events.extend([
        issue(10, load(5, VA)),
        walk(11, 5, VA, Begin, 2, ROOT, 0),
        walk(15, 5, VA, Step, 2, ROOT, table.0),
        entry,
        walk(17, 5, VA, Step, 3, SLOT, page().0),
        walk_end(18, 5, VA, None),
    ]);
    events
}

fn begins_below(cycle: u64, address: u64) -> Event {
    change_walk(walk(cycle, 6, VA, Begin, 3, address, 0), |step| {
        step.cached_start = true;
    })
}

#[test]
fn a_walk_begins_below_a_live_table_of_its_asid_only() {
    assert_quiet(&judged(&[cached_table(), vec![begins_below(60, SLOT)]]));
    let elsewhere = vec![begins_below(60, SLOT + 8)];
    assert_fires(&judged(&[cached_table(), elsewhere]), "WALK-20");
    let gone = invalidate(vae1(VA), 0);
    let removed = judged(&[cached_table(), gone, vec![begins_below(60, SLOT)]]);
    assert!(removed.iter().any(|violation| violation.breaks("BBM-09")));
    // TLBI-05, BBM-10: the last-level form leaves the table.
    let leaf_only = Tlbi::vale1(TlbiScope::Local, VA, 1, None);
    let kept = [
        cached_table(),
        invalidate(leaf_only, 0),
        vec![begins_below(60, SLOT)],
    ];
    assert_quiet(&judged(&kept));
    let switch = vec![
        issue(
            30,
            CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(2, 0x8000_0000).0),
        ),
        issue(31, CoreRequest::isb()),
        response(33, CoreRequest::isb(), |_| ()),
        begins_below(60, SLOT),
    ];
    assert_fires(&judged(&[cached_table(), switch]), "TLB-23");
}

#[test]
fn a_table_entry_from_a_leaf_or_an_unread_level_fires() {
    let mut events = cached_table();
    let entry = change_fill(events[8].clone(), |change| change.level = 1);
    events[8] = entry;
    assert_fires(&judged(&[events]), "TLB-20");
}

/// Core 1 stores through a page that core 0 removes; the store commits at `commits`, core 1 answers
/// the SYNC at cycle 50.
fn shot_down(commits: u64) -> Violations {
    let store = CoreRequest {
        id: 6,
        ..CoreRequest::store(VA, 3, El::El0, 1)
    };
    let mut setup: Vec<Event> = walked(page(), fill(17, 0, VA, PA, PAGE));
    for event in &mut setup {
        match &mut event.kind {
            EventKind::Issue { core, .. }
            | EventKind::Response { core, .. }
            | EventKind::Walk { core, .. }
            | EventKind::Fill { core, .. } => *core = 1,
            _ => {}
        }
    }
    let tlbi = CoreRequest::tlbi(Tlbi::vae1(TlbiScope::InnerShareable, VA, 1, None));
    let mut written = commit(commits, CommitKind::Store, PA, 0, 1);
    if let EventKind::Commit { source, .. } = &mut written.kind {
        *source = 1;
    }
    let answer = response(70, store, |r| (r.place, r.pa) = (HitPlace::L1, PA));
    let mut events = vec![
        at_core(issue(30, store), 1),
        issue(31, tlbi),
        dvm(35, 0, |event| event.inv_sent = Some(0)),
        effect(40, 0, Some(0), 0),
        effect(41, 1, Some(0), 1),
        dvm(42, 0, |event| event.sync_sent = true),
        dvm(50, 1, |event| event.answered = Some(0)),
        written,
        at_core(at(answer, 30), 1),
    ];
    // The registers of core 0: the operand's ASID has 16 bits.
    let mut all = context();
    all.append(&mut setup);
    events.sort_by_key(|event| event.cycle);
    judged(&[all, events])
}

#[test]
fn a_store_through_a_removed_entry_commits_before_the_core_answers() {
    assert_quiet(&shot_down(45));
    assert_fires(&shot_down(60), "TLBI-22");
}
