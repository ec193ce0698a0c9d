// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of the rules across accesses (section 13.6), of replaced contexts, and of what holds of every
//! permitted set.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use vmsa::DsbKind;
use vmsa::TlbiScope::InnerShareable;

use super::*;
use crate::arch::enumerate::Instants;

#[test]
fn a_store_uses_no_descriptor_written_after_its_effect() {
    // ORD-04.
    let mut bench = Bench::plain();
    let id = bench.issue(Operation::Access(store(VA)));
    bench.now += 1;
    bench.judge.became_visible(Some(0), bench.now, 0xa000);
    bench.store(SLOT, page(0xb000).0);
    assert_eq!(bench.answer(id, at(0xb000)), no("ORD-04"));
    let id = bench.issue(Operation::Access(store(VA)));
    assert_eq!(bench.answer(id, at(0xb000)), Ok(Accepted::Current));
}

#[test]
fn an_error_of_another_access_is_not_taken_for_the_effect_of_a_store() {
    // The error of a read at the same offset, then the effect of the older store; the younger store at
    // that offset is still to be translated.
    let mut bench = Bench::plain();
    bench.issue(Operation::Access(store(VA + 0x1000)));
    let younger = bench.issue(Operation::Access(store(VA)));
    bench.judge.became_visible(None, bench.now, 0x7000);
    bench.now += 1;
    bench.judge.became_visible(Some(0), bench.now, 0xa000);
    bench.store(SLOT, page(0xb000).0);
    assert_eq!(bench.answer(younger, at(0xb000)), Ok(Accepted::Current));
}

#[test]
fn the_effect_in_the_next_word_is_not_that_of_a_short_store() {
    // A store of one byte touches one word, however near the next one is.
    let mut bench = Bench::plain();
    let id = bench.issue(Operation::Access(store(VA + 4).sized(0)));
    bench.now += 1;
    bench.judge.became_visible(Some(0), bench.now, 0xa008);
    bench.store(SLOT, page(0xb000).0);
    assert_eq!(bench.answer(id, at(0xb004)), Ok(Accepted::Current));
}

#[test]
fn an_access_uses_nothing_that_a_younger_store_of_its_pe_writes() {
    // ORD-05: the younger store, to the descriptor, is visible before the load is answered.
    for (seen, expected) in [(0xb000, no("ORD-05")), (0xa000, Ok(Accepted::Lawful))] {
        let mut bench = Bench::plain();
        let read = bench.issue(Operation::Access(load(VA)));
        bench.issue(Operation::Access(store(0x5000 | SLOT & 0xfff)));
        bench.now += 1;
        bench.judge.became_visible(Some(0), bench.now, SLOT);
        bench.store(SLOT, page(0xb000).0);
        assert_eq!(bench.answer(read, at(seen)), expected);
    }
}

#[test]
fn an_older_access_is_translated_before_an_isb_or_a_full_dsb_completes() {
    // ORD-10, ORD-07.
    for (barrier, expected) in [
        (Operation::Isb, no("ORD-10")),
        (Operation::Dsb(DsbKind::SY), no("ORD-07")),
        (Operation::Dsb(DsbKind::ISHST), Ok(Accepted::Current)),
    ] {
        let mut bench = Bench::plain();
        let read = bench.issue(Operation::Access(load(VA)));
        bench.run(barrier);
        bench.store(SLOT, page(0xb000).0);
        assert_eq!(bench.answer(read, at(0xb000)), expected);
    }
}

#[test]
fn new_then_old_across_a_completed_invalidation_is_seen_out_of_order_too() {
    // ORD-02: the younger of two loads of one address is answered first, with the old page.
    for (va, invalidated, expected) in [
        (VA, true, no("ORD-02")),
        (VA, false, Ok(Accepted::Current)),
        // Another word of the page: not the same address.
        (VA + 8, true, Ok(Accepted::Current)),
    ] {
        let mut bench = Bench::plain();
        bench.pe = 1;
        for (register, value) in registers(tcr()) {
            bench.run(Operation::Msr(register, value));
        }
        bench.run(Operation::Isb);
        let older = bench.issue(Operation::Access(load(VA)));
        let younger = bench.issue(Operation::Access(load(va)));
        let old = at(0xa000 | va & 0xfff);
        assert_eq!(bench.answer(younger, old), Ok(Accepted::Current));
        bench.pe = 0;
        bench.store(SLOT, 0);
        if invalidated {
            bench.tlbi(Tlbi::vae1(InnerShareable, VA, 1, None));
        }
        bench.store(SLOT, page(0xb000).0);
        bench.pe = 1;
        assert_eq!(bench.answer(older, at(0xb000)), expected);
    }
}

#[test]
fn entries_of_a_replaced_context_lead_on_but_no_walk_begins_there() {
    // Section 13.5, WALK-22: the same ASID with other tables, in which the page is not mapped.
    let (other, leaves) = (0x5_0000, 0x6_0000);
    let mut bench = Bench::plain();
    bench.memory.set(other, Descriptor::table(leaves).0);
    bench.run(Operation::Msr(SysReg::Ttbr0, Ttbr::new(1, other).0));
    bench.run(Operation::Isb);
    assert_eq!(bench.read(fault(0x07)), Ok(Accepted::Current));
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful));
    // The old level 2 entry may be held: what it leads to is read now.
    bench.store(SLOT, page(0xb000).0);
    assert_eq!(bench.read(at(0xb000)), Ok(Accepted::Lawful));
    // The old level 2 entry itself is not read any more.
    bench.memory.set(0x7_0000 + 8 * 3, page(0xc000).0);
    bench.store(ROOT, Descriptor::table(0x7_0000).0);
    assert!(bench.read(at(0xc000)).is_err());
    bench.tlbi(Tlbi::vae1(Local, VA, 1, None));
    assert_eq!(bench.read(at(0xb000)), no("TLBI-01"));
}

/// What the last access of a random run may come to. Every TLBI but those left out is executed.
fn set_of(seed: u64, ets: u8, left_out: Option<usize>) -> (Vec<String>, String) {
    let profile = Profile {
        ets,
        ..Profile::default()
    };
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut bench = Bench::new(tcr(), profile);
    let values = [0, page(0xa000).0, page(0xb000).0, page(0xc000).with_ap(3).0];
    let operations = [
        Tlbi::vmalle1(Local),
        Tlbi::vae1(Local, VA, 1, None),
        Tlbi::vale1(InnerShareable, VA, 1, None),
        Tlbi::vae1(Local, VA + 0x1000, 1, None),
        Tlbi::aside1(Local, 2),
    ];
    for number in 0..rng.random_range(1..12) {
        match rng.random_range(0..6) {
            0..3 => bench.store(SLOT, *values.choose(&mut rng).unwrap()),
            3 => {
                let tlbi = *operations.choose(&mut rng).unwrap();
                match left_out == Some(number) {
                    true => bench.now += 15,
                    false => bench.run(Operation::Tlbi(tlbi)),
                }
            }
            4 => bench.run(Operation::Dsb(DsbKind::SY)),
            _ => bench.run(Operation::Isb),
        }
    }
    let access = store(VA);
    let id = bench.issue(Operation::Access(access));
    let now = Instants {
        used: bench.now + 5,
        done: bench.now + 5,
    };
    let set = bench.judge.candidates(0, &bench.memory, now, id, false);
    let context = Context {
        registers: *bench.judge.program(0).unwrap().latest_at(u64::MAX).unwrap(),
        profile,
    };
    let current = match translate(&bench.memory, &context, &access).outcome {
        Ok(translation) => Candidate::Translation(translation),
        Err(fault) => Candidate::Fault(fault),
    };
    (
        set.iter().map(Candidate::to_string).collect(),
        current.to_string(),
    )
}

#[test]
fn every_permitted_set_holds_what_is_current_and_grows_with_fewer_rules() {
    // Section 13.4: memory as it is, is always permitted; an invalidation less, or FEAT_ETS2 less,
    // takes nothing away.
    let mut larger = [0, 0];
    for seed in 0..800 {
        let (with, current) = set_of(seed, 2, None);
        assert!(with.contains(&current), "{seed}: {current} in {with:?}");
        let (without, _) = set_of(seed, 0, None);
        assert!(with.iter().all(|one| without.contains(one)), "{seed}");
        larger[0] += usize::from(without.len() > with.len());
        for number in 0..12 {
            let (fewer, _) = set_of(seed, 2, Some(number));
            assert!(
                with.iter().all(|one| fewer.contains(one)),
                "{seed} {number}"
            );
            larger[1] += usize::from(fewer.len() > with.len());
        }
    }
    assert!(
        larger.iter().all(|count| *count > 20),
        "{larger:?} say nothing"
    );
}
