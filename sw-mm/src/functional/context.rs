// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the translation registers of a core amount to, worked out when one is written rather than at
//! every access.

use vmsa::{Granule, Mair, Sctlr, SysReg, Tcr, Ttbr, VaRange, geometry};

/// Bits of output address.
pub(super) const ADDRESS_BITS: u32 = 48;

/// One VA range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    pub granule: Granule,
    /// VA bits.
    pub iasize: u32,
    /// TxSZ is one that the granule has (VMSA-10).
    pub legal: bool,
    /// VA\[63:56\] is a tag, of data accesses and of fetches (VMSA-07).
    pub tagged: [bool; 2],
    pub e0pd: bool,
    pub epd: bool,
    pub hpd: bool,
    /// Table of the start level, aligned.
    pub root: u64,
    pub start_level: u8,
    /// The bits of a VA above the range, and what they have to be (VMSA-05).
    above: u64,
    ones: u64,
}

impl Half {
    fn new(range: VaRange, tcr: Tcr, ttbr: Ttbr) -> Self {
        let granule = tcr.granule(range).unwrap_or(Granule::K4);
        let tsz = tcr.tsz(range);
        let largest = if granule == Granule::K64 { 47 } else { 48 };
        let legal = (16..=largest).contains(&tsz);
        // What is not legal faults before a table is looked at.
        let iasize = if legal { 64 - u32::from(tsz) } else { 48 };
        let above = if tsz == 0 { 0 } else { !(u64::MAX >> tsz) };
        let shift = geometry::base_table_shift(granule, iasize);
        Self {
            granule,
            iasize,
            legal,
            tagged: [tcr.tbi(range), tcr.tbi(range) && !tcr.tbid(range)],
            e0pd: tcr.e0pd(range),
            epd: tcr.epd(range),
            hpd: tcr.hpd(range),
            root: ttbr.base() >> shift << shift,
            start_level: geometry::start_level(granule, iasize),
            above,
            ones: match range {
                VaRange::Lower => 0,
                VaRange::Upper => above,
            },
        }
    }

    /// Whether the bits of `va` above the range are all copies of VA\[55\].
    #[inline]
    pub const fn holds(&self, va: u64) -> bool {
        va & self.above == self.ones
    }
}

/// All of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    ttbr: [Ttbr; 2],
    tcr: Tcr,
    mair: Mair,
    sctlr: Sctlr,
    /// The ASID in force (VMSA-11).
    pub asid: u16,
    pub asid16: bool,
    /// Bits of output address in force (VMSA-45).
    pub pa_bits: u32,
    pub halves: [Half; 2],
    /// Attributes by MAIR index, of data accesses and of fetches (1.3, 1.4).
    attributes: [[u8; 8]; 2],
    /// Hardware sets the access flag, and manages dirty state.
    pub ha: bool,
    pub hd: bool,
    /// SCTLR_EL1.M, A, WXN, EPAN and EE.
    pub on: bool,
    pub aligned: bool,
    pub wxn: bool,
    pub epan: bool,
    pub big_endian: bool,
    /// What fetches get while the MMU is off (VMSA-03).
    pub off_fetch: u8,
}

impl Default for Context {
    fn default() -> Self {
        Self::new([Ttbr::default(); 2], Tcr(0), Mair(0), Sctlr(0))
    }
}

impl Context {
    fn new(ttbr: [Ttbr; 2], tcr: Tcr, mair: Mair, sctlr: Sctlr) -> Self {
        let asid = if tcr.a1() { ttbr[1] } else { ttbr[0] }.asid();
        let attributes = [sctlr.c(), sctlr.i()].map(|cached| {
            std::array::from_fn(|index| match mair.attr(index as u8) {
                byte if byte >> 4 == 0 && byte & 0xf3 == 0 => byte,
                byte if byte >> 4 == 0 || byte & 0xf == 0 => Mair::DEVICE_NGNRNE,
                _ if !cached => Mair::NORMAL_NC,
                byte => byte,
            })
        });
        Self {
            ttbr,
            tcr,
            mair,
            sctlr,
            asid: if tcr.asid16() { asid } else { asid & 0xff },
            asid16: tcr.asid16(),
            pa_bits: tcr.ips_bits().unwrap_or(ADDRESS_BITS).min(ADDRESS_BITS),
            halves: [
                Half::new(VaRange::Lower, tcr, ttbr[0]),
                Half::new(VaRange::Upper, tcr, ttbr[1]),
            ],
            attributes,
            ha: tcr.ha(),
            hd: tcr.ha() && tcr.hd(),
            on: sctlr.m(),
            aligned: sctlr.a(),
            wxn: sctlr.wxn(),
            epan: sctlr.epan(),
            big_endian: sctlr.ee(),
            off_fetch: if sctlr.i() { 0xaa } else { Mair::NORMAL_NC },
        }
    }

    /// The same with `register` written.
    #[must_use]
    pub fn with(&self, register: SysReg, value: u64) -> Self {
        let (mut ttbr, mut tcr, mut mair, mut sctlr) = (self.ttbr, self.tcr, self.mair, self.sctlr);
        match register {
            SysReg::Ttbr0 => ttbr[0] = Ttbr(value),
            SysReg::Ttbr1 => ttbr[1] = Ttbr(value),
            SysReg::Tcr => tcr = Tcr(value),
            SysReg::Mair => mair = Mair(value),
            SysReg::Sctlr => sctlr = Sctlr(value),
        }
        Self::new(ttbr, tcr, mair, sctlr)
    }

    /// Attributes, coded as a MAIR byte, and shareability of memory with this MAIR index and SH.
    #[inline]
    pub fn memory_type(&self, index: u8, sh: u8, fetch: bool) -> (u8, u8) {
        let attr = self.attributes[usize::from(fetch)][usize::from(index & 7)];
        let uncached = attr >> 4 == 0 || attr == Mair::NORMAL_NC;
        (attr, if uncached || sh == 1 { 2 } else { sh })
    }
}
