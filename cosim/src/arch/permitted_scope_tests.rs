// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of what else may answer: other contexts, other descriptors of a run, the second page of an
//! access, and error responses.

use super::*;

#[test]
fn a_register_write_acts_between_itself_and_the_isb() {
    // Section 13.5, WALK-22.
    let other = 0x5_0000;
    let mut bench = Bench::plain();
    bench.memory.set(other, Descriptor::table(0x6_0000).0);
    bench.memory.set(0x6_0000 + 8 * 3, page(0xf000).0);
    bench.run(Operation::Msr(SysReg::Ttbr0, Ttbr::new(2, other).0));
    assert_eq!(bench.read(at(0xf000)), Ok(Accepted::Current));
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful));
    bench.run(Operation::Isb);
    assert_eq!(bench.read(at(0xf000)), Ok(Accepted::Current));
    // TLB-21: the entries of ASID 1 are not those of ASID 2.
    assert_eq!(bench.read(at(0xa000)), no("TLB-21"));
    // Back to ASID 1: what was cached then may answer, and so may a walk.
    bench.run(Operation::Msr(SysReg::Ttbr0, Ttbr::new(1, ROOT).0));
    bench.run(Operation::Isb);
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Current));
    assert_eq!(bench.read(at(0xf000)), no("TLB-21"));
}

#[test]
fn a_global_entry_outlives_its_context() {
    // TLB-22, section 13.5.
    let mut bench = Bench::plain();
    bench.memory.set(SLOT, page(0xa000).with_ng(false).0);
    bench.run(Operation::Msr(SysReg::Ttbr0, Ttbr::new(2, 0x5_0000).0));
    bench.run(Operation::Isb);
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::aside1(Local, 2));
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vaae1(Local, VA, None));
    assert_eq!(bench.read(at(0xa000)), no("TLBI-01"));
}

#[test]
fn a_run_may_answer_for_each_of_its_pages() {
    // TLB-01, TLB-02, TLB-03, section 13.4 point 3.
    let run = |pa: u64| page(pa).with_contiguous(true);
    let make = |profile| {
        let mut bench = Bench::new(tcr(), profile);
        for i in 0..16 {
            bench
                .memory
                .set(LEAVES + 8 * i, run(0x40_0000 + 0x1000 * i).0);
        }
        // Misprogrammed: page 5 belongs elsewhere.
        bench.memory.set(LEAVES + 8 * 5, run(0x80_5000).0);
        bench
    };
    let mut bench = make(Profile::default());
    assert_eq!(bench.read(at(0x40_3000)), Ok(Accepted::Current));
    assert_eq!(bench.read(at(0x80_3000)), Ok(Accepted::Lawful));
    assert_eq!(bench.read(at(0x80_5000)), no("TLB-02"));
    assert_eq!(
        bench.access(load(0x1_3000), at(0x41_3000)),
        no("TLB-01"),
        "outside the run"
    );
    // An invalid descriptor is answered for by the rest of the run until that is invalidated.
    bench.store(SLOT, 0);
    assert_eq!(bench.read(at(0x40_3000)), Ok(Accepted::Lawful));
    let mut single = make(Profile {
        contiguous: false,
        ..Profile::default()
    });
    assert_eq!(single.read(at(0x80_3000)), no("TLB-02"));
}

#[test]
fn naming_any_page_of_a_run_ends_its_other_entries() {
    // TLB-05, TLBI-06.
    let run = |pa: u64| page(pa).with_contiguous(true);
    let mut bench = Bench::plain();
    for i in 0..16 {
        bench
            .memory
            .set(LEAVES + 8 * i, run(0x40_0000 + 0x1000 * i).0);
    }
    for i in 0..16 {
        bench.store(LEAVES + 8 * i, page(0x90_0000 + 0x1000 * i).0);
    }
    // Page 7 is named: entries made from other descriptors of the run are gone for page 3, one made
    // from page 3's own descriptor alone may have survived.
    bench.tlbi(Tlbi::vae1(Local, 0x7000, 1, None));
    assert_eq!(bench.read(at(0x40_3000)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vae1(Local, VA, 1, None));
    assert_eq!(bench.read(at(0x40_3000)), no("TLBI-01"));
    assert_eq!(bench.read(at(0x90_3000)), Ok(Accepted::Current));
}

#[test]
fn both_pages_of_a_crossing_access_count() {
    // Section 7: two translations.
    let crossing = load(VA + 0xffc).sized(3);
    let mut bench = Bench::plain();
    assert_eq!(bench.access(crossing, fault(0x07)), Ok(Accepted::Current));
    assert_eq!(bench.access(crossing, at(0xaffc)), no("WALK-03"));
    bench.store(SLOT + 8, page(0xc000).0);
    assert_eq!(bench.access(crossing, at(0xaffc)), Ok(Accepted::Current));
    bench.store(SLOT + 8, 0);
    assert_eq!(bench.access(crossing, at(0xaffc)), Ok(Accepted::Lawful));
}

#[test]
fn an_external_abort_needs_an_error_response() {
    // WALK-10, section 13.4 point 8.
    let mut bench = Bench::plain();
    assert_eq!(bench.read(fault(0x17)), no("WALK-10"));
    let id = bench.issue(Operation::Access(load(VA)));
    bench.now += 1;
    bench.judge.error_response(bench.now, SLOT);
    assert_eq!(bench.answer(id, fault(0x17)), Ok(Accepted::Lawful));
    let id = bench.issue(Operation::Access(load(VA)));
    bench.now += 1;
    bench.judge.error_response(bench.now, 0xa000);
    assert_eq!(bench.answer(id, fault(0x10)), Ok(Accepted::Lawful));
    assert_eq!(bench.read(fault(0x10)), no("WALK-10"));
}
