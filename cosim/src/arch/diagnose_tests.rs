// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A wrong answer built by hand names the one rule that it breaks.

use vmsa::{
    Descriptor, El, Fsc, Granule, Mair, Sctlr, SysReg, Tcr, Tlbi, TlbiScope, Ttbr, VaRange,
};

use crate::arch::access::{Access, AccessKind, Outcome};
use crate::arch::context::Profile;
use crate::arch::permitted::Permitted;
use crate::arch::program::Operation;
use crate::arch::words::Words;

const ROOT: u64 = 0x1_0000;
const MIDDLE: u64 = 0x2_0000;
const LEAVES: u64 = 0x3_0000;
const VA: u64 = 0x3000;
const SLOT: u64 = LEAVES + 8 * 3;
const PA: u64 = 0xa000;
const LOWER: VaRange = VaRange::Lower;

/// 4K pages below tables of levels 1 and 2 (TxSZ = 30), everything Normal Write-Back.
#[derive(Clone)]
struct Bench {
    tcr: Tcr,
    sctlr: Sctlr,
    mair: Mair,
    ttbr1: u64,
    memory: Words,
    /// What happens during the access.
    meanwhile: fn(&mut Permitted, &mut Words),
}

fn page() -> Descriptor {
    Descriptor::leaf(Granule::K4, 3, PA)
        .with_af(true)
        .with_ng(true)
}

fn bench() -> Bench {
    let mut memory = Words::new();
    memory.set(ROOT, Descriptor::table(MIDDLE).0);
    memory.set(MIDDLE, Descriptor::table(LEAVES).0);
    memory.set(SLOT, page().with_ap(1).0);
    Bench {
        tcr: Tcr(0)
            .with_tsz(LOWER, 30)
            .with_tsz(VaRange::Upper, 30)
            .with_ips(5),
        sctlr: Sctlr(0).with_m(true).with_c(true).with_i(true),
        mair: Mair(u64::MAX),
        ttbr1: 0,
        memory,
        meanwhile: |_, _| (),
    }
}

impl Bench {
    fn tcr(mut self, change: impl FnOnce(Tcr) -> Tcr) -> Self {
        self.tcr = change(self.tcr);
        self
    }

    fn sctlr(mut self, change: impl FnOnce(Sctlr) -> Sctlr) -> Self {
        self.sctlr = change(self.sctlr);
        self
    }

    fn word(mut self, address: u64, descriptor: Descriptor) -> Self {
        self.memory.set(address, descriptor.0);
        self
    }

    fn leaf(self, descriptor: Descriptor) -> Self {
        self.word(SLOT, descriptor)
    }

    /// The requirement named when `access` is answered by `observed`.
    fn names(mut self, access: Access, observed: Outcome) -> &'static str {
        let mut judge = Permitted::new(Profile::default());
        for (register, value) in [
            (SysReg::Ttbr0, Ttbr::new(1, ROOT).0),
            (SysReg::Ttbr1, self.ttbr1),
            (SysReg::Tcr, self.tcr.0),
            (SysReg::Mair, self.mair.0),
            (SysReg::Sctlr, self.sctlr.0),
        ] {
            judge.issue(0, 1, 1, Operation::Msr(register, value));
            judge.complete(0, 1, 1);
        }
        judge.issue(0, 2, 2, Operation::Isb);
        judge.complete(0, 3, 2);
        // Nothing of the contexts on the way is left.
        judge.issue(0, 4, 4, Operation::Tlbi(Tlbi::vmalle1(TlbiScope::Local)));
        judge.complete(0, 5, 4);
        judge.issue(0, 6, 5, Operation::Dsb(vmsa::DsbKind::SY));
        judge.complete(0, 7, 5);
        judge.issue(0, 10, 3, Operation::Access(access));
        (self.meanwhile)(&mut judge, &mut self.memory);
        match judge.judge(0, &self.memory, 30, 3, observed) {
            Some(Err(rejection)) => rejection.requirement,
            other => panic!("not rejected: {other:?}"),
        }
    }
}

fn access(kind: AccessKind, el: El) -> Access {
    Access::new(kind, el, VA)
}

fn user(kind: AccessKind) -> Access {
    access(kind, El::El0)
}

fn kernel(kind: AccessKind) -> Access {
    access(kind, El::El1)
}

use AccessKind::{Cas, Execute, Read, Write};

fn at(pa: u64) -> Outcome {
    Outcome::Translated {
        pa,
        attr: 0xff,
        sh: 0,
    }
}

const GOOD: Outcome = Outcome::Translated {
    pa: PA,
    attr: 0xff,
    sh: 0,
};

fn fault(fsc: u8) -> Outcome {
    Outcome::Fault {
        fsc: Fsc(fsc),
        wnr: false,
    }
}

fn write_fault(fsc: u8) -> Outcome {
    Outcome::Fault {
        fsc: Fsc(fsc),
        wnr: true,
    }
}

#[test]
fn pan_and_epan() {
    // VMSA-27.
    let blocked = Access {
        pan: true,
        ..kernel(Read)
    };
    assert_eq!(bench().names(blocked, GOOD), "VMSA-27");
    assert_eq!(bench().names(kernel(Read), fault(0x0f)), "VMSA-27");
    let executable = bench().leaf(page().with_ap(0));
    let epan = executable.clone().sctlr(|sctlr| sctlr.with_epan(true));
    assert_eq!(epan.names(blocked, GOOD), "VMSA-27");
    assert_eq!(executable.names(blocked, fault(0x0f)), "VMSA-27");
}

#[test]
fn table_limits() {
    // VMSA-23, VMSA-24, VMSA-26, VMSA-28.
    let upper = bench().word(ROOT, Descriptor::table(MIDDLE).with_ap_table(2));
    let lower = bench().word(MIDDLE, Descriptor::table(LEAVES).with_ap_table(2));
    for limited in [upper.clone(), lower] {
        assert_eq!(limited.clone().names(user(Write), GOOD), "VMSA-24");
        assert_eq!(
            limited.clone().names(user(Write), write_fault(0x0e)),
            "VMSA-28"
        );
        let ignored = limited.tcr(|tcr| tcr.with_hpd(LOWER, true));
        assert_eq!(ignored.names(user(Write), write_fault(0x0f)), "VMSA-23");
    }
    let fetch = bench().word(ROOT, Descriptor::table(MIDDLE).with_uxn_table(true));
    assert_eq!(fetch.names(user(Execute), GOOD), "VMSA-24");
    let managed = upper
        .tcr(|tcr| tcr.with_ha(true).with_hd(true))
        .leaf(page().with_ap(3).with_dbm(true));
    assert_eq!(managed.names(user(Write), GOOD), "VMSA-26");
}

#[test]
fn execution() {
    // VMSA-20, VMSA-21, VMSA-22, VMSA-29.
    let wxn = bench().sctlr(|sctlr| sctlr.with_wxn(true));
    assert_eq!(wxn.names(user(Execute), GOOD), "VMSA-20");
    assert_eq!(bench().names(kernel(Execute), GOOD), "VMSA-21");
    let unread = bench().leaf(page().with_ap(0));
    assert_eq!(unread.names(user(Execute), fault(0x0f)), "VMSA-22");
    assert_eq!(bench().names(user(Execute), fault(0x0f)), "VMSA-20");
    let mut device = bench();
    device.mair = Mair(0);
    let fetched = Outcome::Translated {
        pa: PA,
        attr: 0,
        sh: 2,
    };
    assert_eq!(device.names(user(Execute), fetched), "VMSA-29");
}

#[test]
fn byte_order() {
    // WALK-02.
    let big = bench().sctlr(|sctlr| sctlr.with_ee(true));
    assert_eq!(big.names(user(Read), GOOD), "WALK-02");
    let mut twice = bench();
    twice.ttbr1 = ROOT;
    assert_eq!(twice.names(user(Read), fault(0x05)), "WALK-02");
    assert_eq!(bench().names(user(Read), fault(0x07)), "WALK-03");
}

#[test]
fn what_precedes_the_walk() {
    // VMSA-04, VMSA-05, VMSA-07, VMSA-08, VMSA-09, VMSA-10, VMSA-41.
    let tagged = |kind| Access {
        va: VA | 0x5a << 56,
        ..user(kind)
    };
    let tbi = bench().tcr(|tcr| tcr.with_tbi(LOWER, true));
    let data_only = tbi.clone().tcr(|tcr| tcr.with_tbid(LOWER, true));
    assert_eq!(data_only.names(tagged(Execute), GOOD), "VMSA-07");
    assert_eq!(tbi.clone().names(tagged(Execute), fault(0x04)), "VMSA-07");
    assert_eq!(tbi.names(tagged(Read), fault(0x04)), "VMSA-05");
    assert_eq!(bench().names(tagged(Read), GOOD), "VMSA-05");
    assert_eq!(bench().names(tagged(Read), fault(0x05)), "VMSA-41");
    let e0pd = bench().tcr(|tcr| tcr.with_e0pd(LOWER, true));
    assert_eq!(e0pd.clone().names(user(Read), GOOD), "VMSA-08");
    assert_eq!(e0pd.names(kernel(Read), fault(0x04)), "VMSA-08");
    let epd = bench().tcr(|tcr| tcr.with_epd(LOWER, true));
    assert_eq!(epd.names(user(Read), GOOD), "VMSA-09");
    let other = bench().tcr(|tcr| tcr.with_epd(VaRange::Upper, true));
    assert_eq!(other.names(user(Read), fault(0x04)), "VMSA-09");
    // 16 is the least; the level 0 table of 48 bits is where the level 1 table was.
    let long = bench()
        .tcr(|tcr| tcr.with_tsz(LOWER, 15))
        .word(LEAVES, Descriptor::table(0x4_0000))
        .word(0x4_0000 + 8 * 3, page().with_ap(1));
    assert_eq!(long.names(user(Read), GOOD), "VMSA-10");
    let mut halves = bench()
        .word(0x5_0000, Descriptor::table(0x6_0000))
        .word(0x6_0000, Descriptor::table(0x7_0000))
        .word(0x7_0000 + 8 * 3, Descriptor(page().with_ap(1).0 + 0x5000));
    halves.ttbr1 = 0x5_0000;
    assert_eq!(halves.names(user(Read), at(PA + 0x5000)), "VMSA-04");
}

#[test]
fn output_size() {
    // VMSA-42, VMSA-45: 32 bits.
    let far = 1 << 40;
    let small = bench().tcr(|tcr| tcr.with_ips(0));
    let table = small
        .clone()
        .word(MIDDLE, Descriptor::table(far))
        .word(far + 8 * 3, page().with_ap(1));
    assert_eq!(table.clone().names(user(Read), GOOD), "VMSA-42");
    assert_eq!(table.names(user(Read), fault(0x03)), "VMSA-42");
    let leaf = small.leaf(Descriptor(page().with_ap(1).0 | far));
    assert_eq!(leaf.names(user(Read), at(PA | far)), "VMSA-45");
}

#[test]
fn hardware_management() {
    // HAF-01, HAF-12, VMSA-25.
    let clean = page().with_ap(3).with_dbm(true);
    let managed = |tcr: Tcr| tcr.with_ha(true).with_hd(true);
    assert_eq!(bench().leaf(clean).names(user(Write), GOOD), "HAF-12");
    let on = bench().leaf(clean).tcr(managed);
    assert_eq!(on.clone().names(user(Write), GOOD), "HAF-12");
    assert_eq!(on.clone().names(user(Write), write_fault(0x0f)), "VMSA-25");
    assert_eq!(on.clone().names(kernel(Execute), GOOD), "VMSA-21");
    let wxn = on.sctlr(|sctlr| sctlr.with_wxn(true));
    assert_eq!(wxn.names(user(Execute), GOOD), "VMSA-20");
    let young = bench().leaf(page().with_ap(1).with_af(false));
    assert_eq!(young.clone().names(user(Read), GOOD), "HAF-01");
    assert_eq!(young.tcr(managed).names(user(Read), GOOD), "HAF-01");
}

#[test]
fn a_descriptor_replaced_before_its_update() {
    // HAF-04: the update met another value, and the access went on with the stale one.
    let old = page().with_ap(1).with_af(false);
    for new in [0, old.0 + 0x1000, old.0 | 1 << 55] {
        let mut raced = bench().leaf(Descriptor(new)).tcr(|tcr| tcr.with_ha(true));
        raced.meanwhile = |judge, memory| {
            let old = page().with_ap(1).with_af(false);
            judge.commit(20, SLOT, old.0, memory.get(SLOT));
        };
        assert_eq!(raced.names(user(Read), GOOD), "HAF-04", "{new:#x}");
    }
}

#[test]
fn priority() {
    // VMSA-43, VMSA-44, VMSA-40.
    let young = bench().leaf(page().with_ap(0).with_af(false));
    assert_eq!(young.names(user(Read), fault(0x0f)), "VMSA-43");
    let mut device = bench().leaf(page().with_ap(0));
    device.mair = Mair(0);
    let unaligned = Access {
        va: VA + 1,
        ..user(Read)
    }
    .sized(1);
    assert_eq!(device.names(unaligned, fault(0x0f)), "VMSA-44");
    assert_eq!(
        bench().leaf(Descriptor(0)).names(user(Read), fault(0x0b)),
        "VMSA-40"
    );
}

#[test]
fn status() {
    // VMSA-28, VMSA-30, VMSA-50, VMSA-51.
    let read_only = || bench().leaf(page().with_ap(3));
    assert_eq!(read_only().names(user(Write), write_fault(0x0e)), "VMSA-28");
    assert_eq!(read_only().names(user(Write), fault(0x0f)), "VMSA-51");
    assert_eq!(read_only().names(user(Cas), fault(0x0f)), "VMSA-30");
    assert_eq!(
        bench().leaf(Descriptor(0)).names(user(Read), fault(0x06)),
        "VMSA-50"
    );
}

#[test]
fn error_responses() {
    // WALK-10, WALK-12.
    let mut bad = bench();
    bad.meanwhile = |judge, _| judge.error_response(20, MIDDLE);
    assert_eq!(bad.names(user(Read), fault(0x06)), "WALK-10");
    let mut update = bench()
        .leaf(page().with_ap(1).with_af(false))
        .tcr(|tcr| tcr.with_ha(true));
    update.meanwhile = |judge, _| judge.error_response(20, SLOT);
    assert_eq!(update.names(user(Read), GOOD), "WALK-12");
}

#[test]
fn attributes() {
    // VMSA-60, VMSA-61, VMSA-62, VMSA-03.
    let uncached = Outcome::Translated {
        pa: PA,
        attr: 0x44,
        sh: 2,
    };
    let other = Outcome::Translated {
        pa: PA,
        attr: 0xbb,
        sh: 0,
    };
    assert_eq!(bench().names(user(Read), other), "VMSA-60");
    for kind in [Read, Execute] {
        assert_eq!(bench().names(user(kind), uncached), "VMSA-61");
        let off = bench().sctlr(|sctlr| sctlr.with_c(false).with_i(false));
        assert_eq!(off.names(user(kind), GOOD), "VMSA-61");
    }
    let unaligned = Access {
        va: VA + 1,
        ..user(Read)
    }
    .sized(1);
    assert_eq!(bench().names(unaligned, fault(0x21)), "VMSA-62");
    let off = bench().sctlr(|sctlr| sctlr.with_m(false));
    assert_eq!(off.clone().names(user(Read), at(VA)), "VMSA-03");
    assert_eq!(off.names(user(Read), GOOD), "VMSA-01");
}

#[test]
fn runs() {
    // TLB-01, TLB-02.
    let run = |pa| {
        Descriptor::leaf(Granule::K4, 3, pa)
            .with_af(true)
            .with_ap(1)
            .with_contiguous(true)
    };
    let mut table = bench();
    for i in 0..16 {
        table = table.word(LEAVES + 8 * i, run(0x40_0000 + 0x1000 * i));
    }
    let beyond = Access {
        va: 0x1_3000,
        ..user(Read)
    };
    assert_eq!(table.clone().names(beyond, at(0x41_3000)), "TLB-01");
    assert_eq!(table.names(user(Read), at(0x40_7000)), "TLB-02");
}
