// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of the judge: it accepts every lawful interleaving and rejects each unlawful one.

use vmsa::TlbiScope::Local;
use vmsa::{Descriptor, El, Fsc, Granule, SysReg, Tcr, Tlbi, Ttbr, VaRange};

use super::*;
use crate::arch::access::AccessKind;
use crate::arch::words::Words;

const ROOT: u64 = 0x1_0000;
const LEAVES: u64 = 0x2_0000;
const VA: u64 = 0x3000;
const SLOT: u64 = LEAVES + 8 * 3;

/// A PE, its judge, and memory: 4K pages below one level 2 table (TxSZ = 39).
struct Bench {
    judge: Permitted,
    memory: Words,
    now: u64,
    next: u16,
    /// The PE that acts.
    pe: u8,
}

fn tcr() -> Tcr {
    Tcr(0)
        .with_tsz(VaRange::Lower, 39)
        .with_ips(5)
        .with_asid16(true)
}

fn page(pa: u64) -> Descriptor {
    Descriptor::leaf(Granule::K4, 3, pa)
        .with_af(true)
        .with_ap(1)
        .with_ng(true)
}

fn registers(tcr: Tcr) -> [(SysReg, u64); 4] {
    [
        (SysReg::Ttbr0, Ttbr::new(1, ROOT).0),
        (SysReg::Tcr, tcr.0),
        (SysReg::Mair, 0xff),
        (SysReg::Sctlr, 0x1005),
    ]
}

impl Bench {
    fn new(tcr: Tcr, profile: Profile) -> Self {
        let mut bench = Self {
            judge: Permitted::new(profile),
            memory: Words::new(),
            now: 0,
            next: 0,
            pe: 0,
        };
        bench.memory.set(ROOT, Descriptor::table(LEAVES).0);
        bench.memory.set(SLOT, page(0xa000).0);
        for (register, value) in registers(tcr) {
            bench.run(Operation::Msr(register, value));
        }
        bench.run(Operation::Isb);
        bench.run(Operation::Tlbi(Tlbi::vmalle1(Local)));
        bench.run(Operation::Dsb(vmsa::DsbKind::SY));
        bench
    }

    fn plain() -> Self {
        Self::new(tcr(), Profile::default())
    }

    fn issue(&mut self, operation: Operation) -> u16 {
        self.now += 10;
        self.next += 1;
        self.judge.issue(self.pe, self.now, self.next, operation);
        self.next
    }

    fn run(&mut self, operation: Operation) {
        let id = self.issue(operation);
        self.now += 5;
        self.judge.complete(self.pe, self.now, id);
    }

    fn store(&mut self, address: u64, value: u64) {
        self.now += 10;
        let before = self.memory.get(address);
        self.memory.set(address, value);
        self.judge.commit(self.now, address, before, value);
    }

    fn tlbi(&mut self, tlbi: Tlbi) {
        self.run(Operation::Tlbi(tlbi));
        self.run(Operation::Dsb(vmsa::DsbKind::SY));
    }

    fn answer(&mut self, id: u16, observed: Outcome) -> Result<Accepted, String> {
        self.now += 10;
        let verdict = self
            .judge
            .judge(self.pe, &self.memory, self.now, id, observed)
            .expect("under way");
        verdict.map_err(|rejection| match rejection.related {
            Some(related) => format!("{} {related}", rejection.requirement),
            None => rejection.requirement.to_owned(),
        })
    }

    fn access(&mut self, access: Access, observed: Outcome) -> Result<Accepted, String> {
        let id = self.issue(Operation::Access(access));
        self.answer(id, observed)
    }

    fn read(&mut self, observed: Outcome) -> Result<Accepted, String> {
        self.access(load(VA), observed)
    }
}

fn load(va: u64) -> Access {
    Access::new(AccessKind::Read, El::El0, va)
}

fn store(va: u64) -> Access {
    Access::new(AccessKind::Write, El::El0, va)
}

fn at(pa: u64) -> Outcome {
    Outcome::Translated {
        pa,
        attr: 0xff,
        sh: 0,
    }
}

fn fault(fsc: u8) -> Outcome {
    Outcome::Fault {
        fsc: Fsc(fsc),
        wnr: false,
    }
}

fn no(requirement: &str) -> Result<Accepted, String> {
    Err(requirement.to_owned())
}

#[test]
fn break_before_make_permits_the_old_page_until_the_invalidation_completes() {
    // BBM-01, TLBI-01, ORD-01, ORD-02.
    let mut bench = Bench::plain();
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Current));
    bench.store(SLOT, 0);
    // Unmapped in memory, perhaps alive in a TLB.
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful));
    assert_eq!(bench.read(fault(0x07)), Ok(Accepted::Current));
    assert_eq!(bench.read(at(0xb000)), no("WALK-03"));
    bench.run(Operation::Tlbi(Tlbi::vae1(Local, VA, 1, None)));
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful), "no DSB yet");
    bench.run(Operation::Dsb(vmsa::DsbKind::SY));
    assert_eq!(bench.read(at(0xa000)), no("TLBI-01"));
    assert_eq!(bench.read(fault(0x07)), Ok(Accepted::Current));
    bench.store(SLOT, page(0xb000).0);
    assert_eq!(bench.read(at(0xb000)), Ok(Accepted::Current));
    // WALK-28: the fault of the invalid value is past.
    assert_eq!(bench.read(fault(0x07)), no("WALK-28"));
    assert_eq!(bench.read(at(0xa000)), no("TLBI-01"));
}

#[test]
fn an_invalidation_binds_only_what_it_names() {
    // TLBI-02 to TLBI-05, TLBI-15.
    for (tlbi, binds) in [
        (Tlbi::vae1(Local, VA, 1, None), true),
        (Tlbi::vae1(Local, VA, 2, None), false),
        (Tlbi::vae1(Local, VA + 0x1000, 1, None), false),
        (Tlbi::vaale1(Local, VA, None), true),
        (Tlbi::vale1(Local, VA, 1, Some((Granule::K4, 3))), true),
        (Tlbi::vale1(Local, VA, 1, Some((Granule::K4, 2))), false),
        (Tlbi::aside1(Local, 1), true),
        (Tlbi::aside1(Local, 2), false),
        (Tlbi::vmalle1(Local), true),
    ] {
        let mut bench = Bench::plain();
        bench.store(SLOT, page(0xb000).0);
        bench.tlbi(tlbi);
        let expected = if binds {
            no("TLBI-01")
        } else {
            Ok(Accepted::Lawful)
        };
        assert_eq!(bench.read(at(0xa000)), expected, "{tlbi}");
        assert_eq!(bench.read(at(0xb000)), Ok(Accepted::Current), "{tlbi}");
    }
}

#[test]
fn a_last_level_invalidation_leaves_table_entries() {
    // TLBI-05, BBM-10: the old table may still lead to its leaf; VAE1 ends that.
    let other = 0x3_0000;
    let mut bench = Bench::plain();
    bench.memory.set(other + 8 * 3, page(0xc000).0);
    bench.store(ROOT, Descriptor::table(other).0);
    bench.tlbi(Tlbi::vale1(Local, VA, 1, None));
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vae1(Local, VA, 1, None));
    assert_eq!(bench.read(at(0xa000)), no("TLBI-01"));
    assert_eq!(bench.read(at(0xc000)), Ok(Accepted::Current));
}

#[test]
fn a_walk_reads_its_levels_in_order() {
    // Section 13.4 point 4: a leaf value older than the table value that led to it is out.
    let other = 0x3_0000;
    let mut bench = Bench::plain();
    bench.memory.set(other + 8 * 3, page(0xd000).0);
    // The other table held 0xd000 only before the root pointed there.
    bench.store(other + 8 * 3, page(0xe000).0);
    bench.store(ROOT, Descriptor::table(other).0);
    assert!(bench.read(at(0xd000)).is_err());
    assert_eq!(bench.read(at(0xe000)), Ok(Accepted::Current));
    assert_eq!(bench.read(at(0xa000)), Ok(Accepted::Lawful));
}

#[test]
fn a_fault_needs_a_value_current_during_the_access() {
    // WALK-28, section 13.3.
    let mut bench = Bench::plain();
    bench.store(SLOT, 0);
    let id = bench.issue(Operation::Access(load(VA)));
    bench.store(SLOT, page(0xb000).0);
    // Invalid while the access was under way: either way is right.
    assert_eq!(bench.answer(id, fault(0x07)), Ok(Accepted::Lawful));
    assert_eq!(bench.read(fault(0x07)), no("WALK-28"));
}

#[test]
fn a_fault_waits_for_the_older_accesses() {
    // WALK-27.
    let mut bench = Bench::plain();
    let older = bench.issue(Operation::Access(store(0x5000)));
    let younger = bench.issue(Operation::Access(load(0x6000)));
    assert_eq!(bench.answer(younger, fault(0x07)), no("WALK-27"));
    let outcome = Outcome::Fault {
        fsc: Fsc(7),
        wnr: true,
    };
    assert_eq!(bench.answer(older, outcome), Ok(Accepted::Current));
}

#[test]
fn a_store_of_the_same_pe_ends_the_faults_of_what_it_replaced() {
    // Section 13.3: coWRExpNExp is forbidden with ETS = 2.
    let mut bench = Bench::plain();
    bench.store(SLOT, 0);
    let write = bench.issue(Operation::Access(store(0x3000)));
    let read = bench.issue(Operation::Access(load(VA)));
    bench.store(SLOT, page(0xb000).0);
    // The store was performed at its answer, so the load's fault is from before that.
    let _ = bench.answer(
        write,
        Outcome::Translated {
            pa: 0xb000,
            attr: 0xff,
            sh: 0,
        },
    );
    assert_eq!(bench.answer(read, fault(0x07)), no("WALK-28"));
}

#[test]
fn relaxation_may_fault_spuriously_and_restriction_may_lag() {
    // BBM-02, section 13.4 point 5.
    let mut bench = Bench::plain();
    bench.store(SLOT, page(0xa000).with_ap(3).0);
    let denied = Outcome::Fault {
        fsc: Fsc(0x0f),
        wnr: true,
    };
    assert_eq!(bench.access(store(VA), denied), Ok(Accepted::Current));
    assert_eq!(bench.access(store(VA), at(0xa000)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vale1(Local, VA, 1, None));
    assert_eq!(bench.access(store(VA), at(0xa000)), no("TLBI-01"));
    bench.store(SLOT, page(0xa000).0);
    assert_eq!(bench.access(store(VA), denied), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vale1(Local, VA, 1, None));
    assert_eq!(bench.access(store(VA), denied), no("TLBI-01"));
    // VMSA-51: a store's fault says WnR = 1.
    bench.store(SLOT, page(0xa000).with_ap(3).0);
    bench.tlbi(Tlbi::vmalle1(Local));
    assert_eq!(bench.access(store(VA), fault(0x0f)), no("VMSA-51"));
}

#[test]
fn success_through_af_0_needs_the_update() {
    // HAF-01, HAF-09.
    let mut bench = Bench::new(tcr().with_ha(true), Profile::default());
    let fresh = page(0xb000).with_af(false);
    bench.store(SLOT, fresh.0);
    bench.tlbi(Tlbi::vmalle1(Local));
    assert_eq!(bench.read(at(0xb000)), no("HAF-01"));
    assert_eq!(bench.read(fault(0x0b)), no("VMSA-40"));
    let id = bench.issue(Operation::Access(load(VA)));
    bench.store(SLOT, fresh.with_af(true).0);
    assert_eq!(bench.answer(id, at(0xb000)), Ok(Accepted::Current));
    // Cleared again by software: the entry may live until its invalidation.
    bench.store(SLOT, fresh.0);
    assert_eq!(bench.read(at(0xb000)), Ok(Accepted::Lawful));
    bench.tlbi(Tlbi::vale1(Local, VA, 1, None));
    assert!(bench.read(at(0xb000)).is_err());
    // HAF-10: a Permission fault leaves AF alone.
    bench.store(SLOT, fresh.with_ap(3).0);
    bench.tlbi(Tlbi::vmalle1(Local));
    let denied = Outcome::Fault {
        fsc: Fsc(0x0f),
        wnr: true,
    };
    assert_eq!(bench.access(store(VA), denied), Ok(Accepted::Current));
}

#[test]
fn a_write_through_a_clean_entry_needs_the_update() {
    // HAF-12, HAF-14.
    let mut bench = Bench::new(tcr().with_ha(true).with_hd(true), Profile::default());
    let clean = page(0xb000).with_ap(3).with_dbm(true);
    bench.store(SLOT, clean.0);
    bench.tlbi(Tlbi::vmalle1(Local));
    assert_eq!(bench.read(at(0xb000)), Ok(Accepted::Current));
    assert_eq!(
        bench.access(store(VA).as_at(), at(0xb000)),
        Ok(Accepted::Current)
    );
    assert_eq!(bench.access(store(VA), at(0xb000)), no("HAF-12"));
    let id = bench.issue(Operation::Access(store(VA)));
    bench.store(SLOT, clean.with_ap(1).0);
    assert_eq!(bench.answer(id, at(0xb000)), Ok(Accepted::Current));
}

#[test]
fn a_rejection_tells_what_was_permitted_and_draws_the_walk() {
    let mut bench = Bench::plain();
    bench.store(SLOT, page(0xb000).0);
    let id = bench.issue(Operation::Access(load(VA)));
    bench.now += 9;
    let verdict = bench
        .judge
        .judge(0, &bench.memory, bench.now, id, at(0xdead_0000));
    let rejection = verdict.unwrap().unwrap_err();
    assert_eq!(
        rejection.permitted,
        [
            "PA 0xb000, attributes 0xff, SH 0",
            "PA 0xa000, attributes 0xff, SH 0"
        ]
    );
    assert!(
        rejection.walk.contains("level 3: VA[20:12] = 0x3"),
        "{}",
        rejection.walk
    );
    assert_eq!(rejection.requirement, "VMSA-15");
}

#[test]
fn history_is_dropped_once_nobody_may_use_it() {
    let mut bench = Bench::plain();
    for i in 0..100 {
        bench.store(SLOT, page(0x1000 * i).0);
    }
    assert_eq!(bench.judge.history().past(SLOT).len(), 100);
    bench.tlbi(Tlbi::vmalle1(Local));
    bench.tlbi(Tlbi::vmalle1(Local));
    assert!(bench.judge.history().is_empty());
}

#[path = "permitted_scope_tests.rs"]
mod scope;

#[path = "several_tests.rs"]
mod several;

#[path = "order_tests.rs"]
mod order;
