// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The TLB monitor on hand-made sequences, clean and planted.

use super::*;
use crate::check::feed::{
    assert_fires, assert_quiet, fill, issue, judge, response, walk, walk_end,
};
use crate::dut::ports::WalkKind::{Begin, Step};
use vmsa::{Descriptor, Granule, Sctlr, SysReg, Tcr, Ttbr, VaRange};

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

/// TLBI and DSB from cycle 30 to 40, during which the TLB reports `removed` entries gone.
fn invalidate(tlbi: Tlbi, removed: u8) -> Vec<Event> {
    let mut change = fill(32, 0, 0, 0, PAGE);
    if let EventKind::Tlb { change, .. } = &mut change.kind {
        (change.kind, change.count) = (TlbKind::Invalidate, removed);
    }
    vec![
        issue(30, CoreRequest::tlbi(tlbi)),
        change,
        at(response(33, CoreRequest::tlbi(tlbi), |_| ()), 30),
        issue(34, CoreRequest::dsb()),
        at(response(40, CoreRequest::dsb(), |_| ()), 34),
    ]
}

fn vae1(va: u64) -> Tlbi {
    Tlbi::vae1(TlbiScope::Local, va, 1, None)
}

fn judged(parts: &[Vec<Event>]) -> Violations {
    judge(
        &mut TlbMonitor::new(Straps::default()),
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
    let mut entry = fill(17, 0, VA, PA, PAGE);
    if let EventKind::Tlb { change, .. } = &mut entry.kind {
        change.asid = 9;
    }
    assert_fires(&judged(&[walked(page(), entry)]), "TLB-24");
}

#[test]
fn an_entry_of_the_other_half_fires_tlb_31() {
    // Only the low VA bits take part in the match of this entry.
    let mut entry = fill(17, 0, 0xffff_0000_4000_3000, PA, PAGE);
    if let EventKind::Tlb { change, .. } = &mut entry.kind {
        change.mask = 0x0000_ffff_ffff_f000;
        change.va = 0xffff_0000_4000_3000;
    }
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
        issue(20, tlbi),
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
fn a_hit_without_any_entry_fires_tlb_20() {
    assert_fires(&judged(&[context(), hit(10, VA, PA).to_vec()]), "TLB-20");
}

#[test]
fn a_hit_with_translation_off_fires_vmsa_01() {
    assert_fires(&judged(&[hit(10, VA, PA).to_vec()]), "VMSA-01");
}
