// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of several PEs: broadcast invalidations, walk caches, several accesses under way, FEAT_ETS2
//! and conflict aborts.

use vmsa::DsbKind;
use vmsa::TlbiScope::{InnerShareable, OuterShareable};

use super::*;

/// PE 1 translates with the tables of PE 0.
fn two() -> Bench {
    let mut bench = Bench::plain();
    bench.join(1, tcr());
    bench
}

impl Bench {
    fn on(&mut self, pe: u8) -> &mut Self {
        self.pe = pe;
        self
    }

    /// `pe` gets the registers of PE 0, with another TCR.
    fn join(&mut self, pe: u8, tcr: Tcr) {
        self.pe = pe;
        for (register, value) in registers(tcr) {
            self.run(Operation::Msr(register, value));
        }
        self.run(Operation::Isb);
        self.pe = 0;
    }

    fn effect(&mut self, pe: u8, source: u8, tag: u8) {
        self.now += 1;
        self.judge.took_effect(pe, self.now, source, tag, false);
    }
}

#[test]
fn a_broadcast_invalidation_binds_every_pe_once_it_completed() {
    // Section 13.2, TLBI-01, TLBI-20.
    for scope in [InnerShareable, OuterShareable] {
        let mut bench = two();
        bench.store(SLOT, 0);
        bench.run(Operation::Tlbi(Tlbi::vaae1(scope, VA, None)));
        assert_eq!(bench.on(1).read(at(0xa000)), Ok(Accepted::Lawful));
        assert_eq!(bench.on(0).read(at(0xa000)), Ok(Accepted::Lawful));
        bench.run(Operation::Dsb(DsbKind::SY));
        assert_eq!(bench.read(at(0xa000)), no("TLBI-01"));
        assert_eq!(bench.on(1).read(at(0xa000)), no("TLBI-01 TLBI-20"));
        assert_eq!(bench.on(1).read(fault(0x07)), Ok(Accepted::Current));
    }
}

#[test]
fn a_local_invalidation_binds_its_own_pe_only() {
    // TLBI-12.
    let mut bench = two();
    bench.store(SLOT, 0);
    bench.tlbi(Tlbi::vmalle1(Local));
    assert_eq!(bench.on(1).read(at(0xa000)), Ok(Accepted::Lawful));
    assert_eq!(bench.on(0).read(at(0xa000)), no("TLBI-01"));
}

#[test]
fn barriers_that_complete_no_invalidation_bind_nobody() {
    // TLBI-24, TLBI-27.
    for (pe, kind) in [
        (0, DsbKind::ISHST),
        (0, DsbKind::ISHLD),
        (0, DsbKind::NSH),
        (1, DsbKind::SY),
    ] {
        let mut bench = two();
        bench.store(SLOT, 0);
        bench.run(Operation::Tlbi(Tlbi::vmalle1(InnerShareable)));
        bench.on(pe).run(Operation::Dsb(kind));
        for pe in [0, 1] {
            let read = bench.on(pe).read(at(0xa000));
            assert_eq!(read, Ok(Accepted::Lawful), "{kind} {pe}");
        }
    }
}

#[test]
fn an_access_under_way_may_not_outlive_the_barrier() {
    // TLBI-21, TLBI-22, ORD-03: t_done(A) > t_complete(op) binds, whenever A was issued.
    let mut bench = two();
    bench.store(SLOT, 0);
    let id = bench.on(1).issue(Operation::Access(load(VA)));
    bench.on(0).tlbi(Tlbi::vmalle1(InnerShareable));
    assert_eq!(bench.on(1).answer(id, at(0xa000)), no("TLBI-21 TLBI-20"));
    // One that is answered before may be older than the operation.
    let mut other = two();
    other.store(SLOT, 0);
    let id = other.on(1).issue(Operation::Access(load(VA)));
    other
        .on(0)
        .run(Operation::Tlbi(Tlbi::vmalle1(InnerShareable)));
    assert_eq!(other.on(1).answer(id, at(0xa000)), Ok(Accepted::Lawful));
}

#[test]
fn a_store_is_done_when_it_is_visible() {
    // TLBI-22: visible before the barrier completed, answered after it.
    let mut bench = two();
    bench.store(SLOT, 0);
    let id = bench.on(1).issue(Operation::Access(store(VA)));
    bench.now += 1;
    bench.judge.became_visible(Some(1), bench.now, 0xa000);
    bench.on(0).tlbi(Tlbi::vmalle1(InnerShareable));
    assert_eq!(bench.on(1).answer(id, at(0xa000)), Ok(Accepted::Lawful));
    let id = bench.on(1).issue(Operation::Access(store(VA)));
    assert_eq!(bench.answer(id, at(0xa000)), no("TLBI-01 TLBI-20"));
}

#[test]
fn a_fault_read_before_the_effect_may_not_come_after_the_barrier() {
    // S_any of section 13.2, TLBI-07.
    let make = |named: bool| {
        let mut bench = two();
        bench.store(SLOT, 0);
        let id = bench.on(1).issue(Operation::Access(load(VA)));
        bench.store(SLOT, page(0xb000).0);
        let asid = if named { 1 } else { 2 };
        bench.on(0).tlbi(Tlbi::vae1(InnerShareable, VA, asid, None));
        bench.on(1).answer(id, fault(0x07))
    };
    assert_eq!(make(true), no("TLBI-07 TLBI-20"));
    assert_eq!(make(false), Ok(Accepted::Lawful));
}

#[test]
fn the_instant_of_the_effect_is_the_bound_where_it_is_told() {
    // Section 13.2: between issue and effect the old value was still read.
    for told in [false, true] {
        let mut bench = two();
        bench.run(Operation::Tlbi(Tlbi::vmalle1(InnerShareable)));
        bench.store(SLOT, page(0xb000).0);
        if told {
            bench.effect(1, 0, 0);
        }
        bench.run(Operation::Dsb(DsbKind::ISH));
        let expected = match told {
            true => no("TLBI-01 TLBI-20"),
            false => Ok(Accepted::Lawful),
        };
        assert_eq!(bench.on(1).read(at(0xa000)), expected);
        assert_eq!(bench.on(1).read(at(0xb000)), Ok(Accepted::Current));
    }
}

#[test]
fn the_asid_of_the_operand_is_cut_by_the_issuer() {
    // TLBI-13.
    for (asid16, binds) in [(false, true), (true, false)] {
        let mut bench = two();
        bench.join(2, tcr().with_asid16(asid16));
        bench.store(SLOT, 0);
        bench.on(2).tlbi(Tlbi::aside1(InnerShareable, 0xab01));
        let expected = match binds {
            true => no("TLBI-01 TLBI-20"),
            false => Ok(Accepted::Lawful),
        };
        assert_eq!(bench.on(1).read(at(0xa000)), expected);
    }
}

#[test]
fn ranges_bind_their_pages_in_their_granule() {
    // TLBI-08, TLBI-09.
    for (granule, start, binds) in [
        (Granule::K4, VA - 0x1000, true),
        (Granule::K4, VA - 0x2000, false),
        (Granule::K4, VA + 0x1000, false),
        (Granule::K16, 0, false),
    ] {
        let mut bench = two();
        bench.store(SLOT, 0);
        let range = Tlbi::rvaale1(InnerShareable, granule, start, 0, 0, None);
        bench.tlbi(range);
        for pe in [0, 1] {
            let read = bench.on(pe).read(at(0xa000));
            assert_eq!(read.is_err(), binds, "{range} {pe}");
        }
    }
}

#[test]
fn an_old_table_in_a_walk_cache_may_lead_to_a_leaf_read_now() {
    // Section 13.4 point 2, BBM-09, BBM-10.
    let other = 0x3_0000;
    let mut bench = two();
    bench.store(ROOT, Descriptor::table(other).0);
    bench.tlbi(Tlbi::vale1(InnerShareable, VA, 1, None));
    // Written only now, into the table that is not linked any more.
    bench.store(SLOT, page(0xd000).0);
    for pe in [0, 1] {
        assert_eq!(bench.on(pe).read(at(0xd000)), Ok(Accepted::Lawful));
    }
    bench.on(0).tlbi(Tlbi::vae1(InnerShareable, VA, 2, None));
    // TLBI-04: tagged with another ASID.
    assert_eq!(bench.on(1).read(at(0xd000)), Ok(Accepted::Lawful));
    bench.on(0).tlbi(Tlbi::vae1(InnerShareable, VA, 1, None));
    assert_eq!(bench.on(1).read(at(0xd000)), no("TLBI-01 TLBI-20"));
    assert_eq!(bench.on(0).read(at(0xd000)), no("TLBI-01"));
}

#[test]
fn answers_out_of_order_are_judged_each_by_its_place() {
    // WALK-27: the older load is answered last, the younger fault reads what was there then.
    let mut bench = Bench::plain();
    let older = bench.issue(Operation::Access(load(VA)));
    let younger = bench.issue(Operation::Access(load(VA + 0x1000)));
    assert_eq!(bench.answer(younger, fault(0x07)), Ok(Accepted::Current));
    assert_eq!(bench.answer(older, at(0xa000)), Ok(Accepted::Current));
}

#[test]
fn without_ets2_a_fault_may_ignore_an_earlier_store() {
    // Section 13.3: coWRExpNExp is allowed without ETS2, with DSB and ISB it is not.
    let without = Profile {
        ets: 0,
        ..Profile::default()
    };
    let answer = |profile: Profile, between: &[Operation]| {
        let mut bench = Bench::new(tcr(), profile);
        bench.store(SLOT, 0);
        bench.run(Operation::Isb);
        bench.store(SLOT, page(0xb000).0);
        for operation in between {
            bench.run(*operation);
        }
        bench.read(fault(0x07))
    };
    let dsb = Operation::Dsb(DsbKind::SY);
    assert_eq!(answer(without, &[]), Ok(Accepted::Lawful));
    assert_eq!(answer(without, &[dsb]), Ok(Accepted::Lawful), "ORD-07");
    assert_eq!(answer(without, &[dsb, Operation::Isb]), no("WALK-28"));
    assert_eq!(answer(Profile::default(), &[]), no("WALK-28"));
}

#[test]
fn without_ets2_an_invalidation_binds_after_an_isb() {
    // Section 13.2, c = p; section 11.3 point 4.
    for (ets, expected) in [(0, Ok(Accepted::Lawful)), (2, no("TLBI-01"))] {
        let mut bench = Bench::new(
            tcr(),
            Profile {
                ets,
                ..Profile::default()
            },
        );
        bench.store(SLOT, page(0xb000).0);
        bench.tlbi(Tlbi::vmalle1(Local));
        assert_eq!(bench.read(at(0xa000)), expected);
        bench.run(Operation::Isb);
        assert_eq!(bench.read(at(0xa000)), no("TLBI-01"));
    }
}

#[test]
fn a_conflict_abort_needs_two_values_that_break_before_make_was_due_for() {
    // TLB-10, TLB-11, TLB-12, BBM-03.
    let aborting = Profile {
        conflict_abort: true,
        ..Profile::default()
    };
    let moved = page(0xb000);
    for (profile, new, expected) in [
        (aborting, moved, Ok(Accepted::Lawful)),
        (Profile::default(), moved, no("TLB-11")),
        (aborting, page(0xa000).with_sh(3), Ok(Accepted::Lawful)),
        (aborting, page(0xa000).with_ap(3), no("TLB-10")),
        (aborting, page(0xa000), no("TLB-10")),
        (aborting, Descriptor(0), no("TLB-10")),
    ] {
        let mut bench = Bench::new(tcr(), profile);
        bench.store(SLOT, new.0);
        assert_eq!(bench.read(fault(0x30)), expected, "{new}");
    }
    let mut bench = Bench::new(tcr(), aborting);
    bench.store(SLOT, moved.0);
    bench.tlbi(Tlbi::vaale1(InnerShareable, VA, None));
    assert_eq!(bench.read(fault(0x30)), no("TLB-10"), "one is gone");
}

#[test]
fn a_block_and_the_table_that_replaced_it_may_conflict_unless_nt_kept_it_out() {
    // BBM-05, BBM-06, section 12.3.
    for (bbml, nt, expected) in [
        (2, false, Ok(Accepted::Lawful)),
        (1, true, no("TLB-10")),
        (0, true, Ok(Accepted::Lawful)),
    ] {
        let profile = Profile {
            conflict_abort: true,
            bbml,
            ..Profile::default()
        };
        let mut bench = Bench::new(tcr(), profile);
        bench.memory.set(SLOT, page(0x20_3000).0);
        let block = Descriptor(page(0x20_0000).0 & !2 | u64::from(nt) << 16);
        bench.store(ROOT, block.0);
        bench.tlbi(Tlbi::vmalle1(Local));
        bench.store(ROOT, Descriptor::table(LEAVES).0);
        assert_eq!(bench.read(fault(0x30)), expected, "BBML {bbml} nT {nt}");
        assert_eq!(bench.read(at(0x20_3000)), Ok(Accepted::Current));
    }
}

#[test]
fn an_update_of_any_walker_makes_the_leaf_usable() {
    // HAF-07, section 14: PE 1 set the access flag for PE 0, by a prefetch or for itself.
    let mut bench = Bench::new(tcr().with_ha(true), Profile::default());
    bench.join(1, tcr().with_ha(true));
    let fresh = page(0xb000).with_af(false);
    bench.store(SLOT, fresh.0);
    bench.tlbi(Tlbi::vmalle1(InnerShareable));
    assert!(bench.read(at(0xb000)).is_err());
    bench.store(SLOT, fresh.with_af(true).0);
    assert_eq!(bench.read(at(0xb000)), Ok(Accepted::Current));
    assert_eq!(bench.on(1).read(at(0xb000)), Ok(Accepted::Current));
}

#[test]
fn history_is_kept_until_no_pe_may_use_it() {
    let mut bench = two();
    for i in 0..100 {
        bench.store(SLOT, page(0x1000 * i).0);
    }
    for _ in 0..3 {
        bench.tlbi(Tlbi::vmalle1(Local));
    }
    assert_eq!(bench.judge.history().past(SLOT).len(), 100);
    for _ in 0..3 {
        bench.tlbi(Tlbi::vmalle1(InnerShareable));
    }
    assert!(bench.judge.history().is_empty());
}

#[test]
fn removing_an_upper_table_leaves_the_deeper_one_that_a_walk_cache_holds() {
    // TLBI-15, section 13.2: an operation for another VA names the level 1 table that both share, and
    // not the level 2 table, which stands for the whole walk down to it.
    let (leaves, shared) = (0x3_0000, 0x20_0000);
    let mut bench = Bench::new(tcr().with_tsz(VaRange::Lower, 30), Profile::default());
    bench.store(leaves + 8 * 3, page(0xa000).0);
    bench.store(LEAVES, Descriptor::table(leaves).0);
    bench.tlbi(Tlbi::vmalle1(Local));
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Current));
    bench.store(LEAVES, 0);
    bench.tlbi(Tlbi::vae1(Local, VA + shared, 1, None));
    bench.store(leaves + 8 * 3, page(0xd000).0);
    assert_eq!(bench.read(at(0xd000)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vae1(Local, VA, 1, None));
    assert_eq!(bench.read(at(0xd000)), no("TLBI-01"));
    assert_eq!(bench.read(fault(0x06)), Ok(Accepted::Current));
}

#[test]
fn an_entry_cached_under_old_controls_is_checked_by_the_new_ones() {
    // Section 13.5: limits by HPD are those of the walk, E0PD is that of the access.
    let (limited, open) = (tcr().with_e0pd(VaRange::Lower, true), tcr());
    let open = open.with_hpd(VaRange::Lower, true);
    let mut bench = Bench::new(limited, Profile::default());
    // APTable[0]: EL0 is kept out of what lies below.
    bench.store(ROOT, Descriptor::table(LEAVES).with_ap_table(1).0);
    bench.tlbi(Tlbi::vmalle1(Local));
    let translated = Fsc::encode(vmsa::FaultKind::Permission, 3).0;
    bench.run(Operation::Msr(SysReg::Tcr, open.0));
    bench.run(Operation::Isb);
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Current));
    // As an EL1 access cached it before.
    assert_eq!(bench.read(fault(translated)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vmalle1(Local));
    assert!(bench.read(fault(translated)).is_err());
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Current));
}
