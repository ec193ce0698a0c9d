// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a walk depends on besides memory: the system registers it samples and the profile built.

use vmsa::{Mair, Sctlr, SysReg, Tcr, Ttbr, VaRange};

/// Snapshot of the registers that steer stage 1, all zero after reset (translation off).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registers {
    /// TTBR0_EL1.
    pub ttbr0: Ttbr,
    /// TTBR1_EL1.
    pub ttbr1: Ttbr,
    /// TCR_EL1.
    pub tcr: Tcr,
    /// MAIR_EL1.
    pub mair: Mair,
    /// SCTLR_EL1.
    pub sctlr: Sctlr,
}

impl Registers {
    /// Value of one register.
    #[must_use]
    pub const fn get(&self, register: SysReg) -> u64 {
        match register {
            SysReg::Ttbr0 => self.ttbr0.0,
            SysReg::Ttbr1 => self.ttbr1.0,
            SysReg::Tcr => self.tcr.0,
            SysReg::Mair => self.mair.0,
            SysReg::Sctlr => self.sctlr.0,
        }
    }

    /// Replaces one register.
    pub const fn set(&mut self, register: SysReg, value: u64) {
        match register {
            SysReg::Ttbr0 => self.ttbr0 = Ttbr(value),
            SysReg::Ttbr1 => self.ttbr1 = Ttbr(value),
            SysReg::Tcr => self.tcr = Tcr(value),
            SysReg::Mair => self.mair = Mair(value),
            SysReg::Sctlr => self.sctlr = Sctlr(value),
        }
    }

    /// The registers of a walk, with the controls that each access is checked by from `checked`: those
    /// of SCTLR_EL1 but the byte order of tables, and the tag bits and E0PD of TCR_EL1. EPD is that of
    /// the walk: entries of a range that was disabled only later serve on (TLB-34).
    #[must_use]
    pub fn checked_by(&self, checked: &Self) -> Self {
        let mut tcr = self.tcr;
        for range in [VaRange::Lower, VaRange::Upper] {
            tcr = tcr
                .with_tbi(range, checked.tcr.tbi(range))
                .with_tbid(range, checked.tcr.tbid(range))
                .with_e0pd(range, checked.tcr.e0pd(range));
        }
        Self {
            tcr,
            sctlr: checked.sctlr.with_ee(self.sctlr.ee()),
            ..*self
        }
    }

    /// TTBR of `range`.
    #[must_use]
    pub const fn ttbr(&self, range: VaRange) -> Ttbr {
        match range {
            VaRange::Lower => self.ttbr0,
            VaRange::Upper => self.ttbr1,
        }
    }
}

/// Implementation choices of section 0 that can differ between builds or straps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Bits of physical address, at most 48.
    pub pamax: u32,
    /// Bits of ASID implemented, 8 or 16.
    pub asid_bits: u32,
    /// Hardware updates: 0 none, 1 access flag, 2 access flag and dirty state.
    pub hafdbs: u8,
    /// Whether a TLB may use the Contiguous hint.
    pub contiguous: bool,
    /// 2 with FEAT_ETS2, 0 without (section 13.3).
    pub ets: u8,
    /// FEAT_BBM level, 0 to 2 (section 12.3).
    pub bbml: u8,
    /// Whether a lookup that matches several entries may abort: BBM_NOABORT = 0 (TLB-11).
    pub conflict_abort: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            pamax: 48,
            asid_bits: 16,
            hafdbs: 2,
            contiguous: true,
            ets: 2,
            bbml: 2,
            conflict_abort: false,
        }
    }
}

/// Registers and profile: everything a translation depends on except memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    /// Register snapshot.
    pub registers: Registers,
    /// Implementation choices.
    pub profile: Profile,
}

impl Context {
    /// The current ASID (VMSA-11): from the TTBR that A1 names, 8 bits if AS = 0 or if only 8 are
    /// implemented.
    #[must_use]
    pub const fn asid(&self) -> u16 {
        let ttbr = if self.registers.tcr.a1() {
            self.registers.ttbr1
        } else {
            self.registers.ttbr0
        };
        ttbr.asid() & self.asid_mask()
    }

    /// Bits of an ASID that count under the current TCR_EL1.AS (TLBI-13).
    #[must_use]
    pub const fn asid_mask(&self) -> u16 {
        if self.registers.tcr.asid16() && self.profile.asid_bits == 16 {
            0xffff
        } else {
            0xff
        }
    }

    /// Whether hardware sets the access flag.
    #[must_use]
    pub const fn ha(&self) -> bool {
        self.profile.hafdbs >= 1 && self.registers.tcr.ha()
    }

    /// Whether hardware manages dirty state: HD counts only together with HA (section 6).
    #[must_use]
    pub const fn hd(&self) -> bool {
        self.profile.hafdbs >= 2 && self.ha() && self.registers.tcr.hd()
    }

    /// Bits of output address: the least of IPS, PAMAX and 48 (VMSA-45).
    #[must_use]
    pub const fn output_bits(&self) -> u32 {
        let ips = match self.registers.tcr.ips_bits() {
            Some(bits) => bits,
            None => 48,
        };
        let bits = if ips < self.profile.pamax {
            ips
        } else {
            self.profile.pamax
        };
        if bits < 48 { bits } else { 48 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asid_comes_from_the_ttbr_that_a1_names() {
        // VMSA-11.
        let mut context = Context::default();
        context.registers.ttbr0 = Ttbr::new(0x1234, 0);
        context.registers.ttbr1 = Ttbr::new(0xabcd, 0);
        assert_eq!(context.asid(), 0x34);
        context.registers.tcr = Tcr(0).with_asid16(true);
        assert_eq!(context.asid(), 0x1234);
        context.registers.tcr = Tcr(0).with_asid16(true).with_a1(true);
        assert_eq!(context.asid(), 0xabcd);
        context.profile.asid_bits = 8;
        assert_eq!(context.asid(), 0xcd);
    }

    #[test]
    fn dirty_management_needs_access_flag_management() {
        // Section 6: HD = 1 with HA = 0 behaves as HD = 0.
        let mut context = Context::default();
        context.registers.tcr = Tcr(0).with_hd(true);
        assert!(!context.hd() && !context.ha());
        context.registers.tcr = Tcr(0).with_hd(true).with_ha(true);
        assert!(context.hd() && context.ha());
        context.profile.hafdbs = 1;
        assert!(!context.hd() && context.ha());
        context.profile.hafdbs = 0;
        assert!(!context.ha());
    }

    #[test]
    fn the_output_size_is_the_least_of_its_limits() {
        // VMSA-45.
        let mut context = Context::default();
        for (ips, bits) in [
            (0, 32),
            (1, 36),
            (2, 40),
            (3, 42),
            (4, 44),
            (5, 48),
            (6, 48),
            (7, 48),
        ] {
            context.registers.tcr = Tcr(0).with_ips(ips);
            assert_eq!(context.output_bits(), bits);
        }
        context.profile.pamax = 40;
        assert_eq!(context.output_bits(), 40);
    }
}
