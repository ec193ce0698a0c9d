// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Fields of TTBRx_EL1 and TCR_EL1. Fields that exist once per VA range take a [`VaRange`].

use crate::bits::{flags, get, mask, set};
use crate::geometry::Granule;

/// Half of the VA space, chosen by VA\[55\] (VMSA-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VaRange {
    /// TTBR0_EL1, addresses that begin with zeros.
    Lower,
    /// TTBR1_EL1, addresses that begin with ones.
    Upper,
}

impl VaRange {
    /// Range that `va` belongs to.
    pub const fn of(va: u64) -> Self {
        if va >> 55 & 1 == 1 {
            VaRange::Upper
        } else {
            VaRange::Lower
        }
    }

    /// 0 or 1: the x of TTBRx, TxSZ, EPDx.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// TTBR0_EL1 or TTBR1_EL1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ttbr(pub u64);

impl Ttbr {
    /// A register that holds `asid`, the table base `pa` (bytes) and CnP = 0.
    pub const fn new(asid: u16, pa: u64) -> Self {
        Self(0).with_asid(asid).with_base(pa)
    }

    /// ASID, 16 bits.
    pub const fn asid(self) -> u16 {
        get(self.0, 48, 16) as u16
    }

    /// Copy with the ASID replaced.
    #[must_use]
    pub const fn with_asid(self, asid: u16) -> Self {
        Self(set(self.0, 48, 16, asid as u64))
    }

    /// BADDR as a byte address: bits 47:1, not yet aligned to the table size.
    pub const fn base(self) -> u64 {
        self.0 & mask(48) & !1
    }

    /// Copy with bits 47:1 of the table base replaced.
    #[must_use]
    pub const fn with_base(self, pa: u64) -> Self {
        Self(set(self.0, 1, 47, pa >> 1))
    }

    /// Common not Private.
    pub const fn cnp(self) -> bool {
        get(self.0, 0, 1) == 1
    }

    /// Copy with CnP replaced.
    #[must_use]
    pub const fn with_cnp(self, cnp: bool) -> Self {
        Self(set(self.0, 0, 1, cnp as u64))
    }
}

macro_rules! paired {
    ($($(#[$doc:meta])* $name:ident, $with:ident, $bit0:literal, $bit1:literal;)*) => {
        $(
            $(#[$doc])*
            pub const fn $name(self, range: VaRange) -> bool {
                get(self.0, [$bit0, $bit1][range as usize], 1) == 1
            }

            #[doc = concat!("Copy with [`Self::", stringify!($name), "`] of `range` replaced.")]
            #[must_use]
            pub const fn $with(self, range: VaRange, value: bool) -> Self {
                Self(set(self.0, [$bit0, $bit1][range as usize], 1, value as u64))
            }
        )*
    };
}

macro_rules! paired_field {
    ($($(#[$doc:meta])* $name:ident, $with:ident, $lsb0:literal, $lsb1:literal, $width:literal;)*) => {
        $(
            $(#[$doc])*
            pub const fn $name(self, range: VaRange) -> u8 {
                get(self.0, [$lsb0, $lsb1][range as usize], $width) as u8
            }

            #[doc = concat!("Copy with [`Self::", stringify!($name), "`] of `range` replaced.")]
            #[must_use]
            pub const fn $with(self, range: VaRange, value: u8) -> Self {
                Self(set(self.0, [$lsb0, $lsb1][range as usize], $width, value as u64))
            }
        )*
    };
}

/// TCR_EL1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tcr(pub u64);

impl Tcr {
    paired_field! {
        /// TxSZ: the range has 64 - TxSZ VA bits.
        tsz, with_tsz, 0, 16, 6;
        /// Walk inner cacheability: 0 NC, 1 WB RA WA, 2 WT RA, 3 WB RA.
        irgn, with_irgn, 8, 24, 2;
        /// Walk outer cacheability, coded as IRGN.
        orgn, with_orgn, 10, 26, 2;
        /// Walk shareability: 0 NSH, 2 OSH, 3 ISH, 1 reserved.
        sh, with_sh, 12, 28, 2;
        /// TGx as coded; the two ranges use different codes, see [`Tcr::granule`].
        tg, with_tg, 14, 30, 2;
    }

    paired! {
        /// EPDx: a TLB miss in the range faults without a walk.
        epd, with_epd, 7, 23;
        /// TBIx: VA\[63:56\] is a tag.
        tbi, with_tbi, 37, 38;
        /// HPDx: table limits of the range are ignored.
        hpd, with_hpd, 41, 42;
        /// TBIDx: TBI applies to data accesses only.
        tbid, with_tbid, 51, 52;
        /// NFDx; no function in this profile.
        nfd, with_nfd, 53, 54;
        /// E0PDx: EL0 accesses to the range fault.
        e0pd, with_e0pd, 55, 56;
        /// TCMAx; no function in this profile.
        tcma, with_tcma, 57, 58;
    }

    flags! {
        /// A1: the ASID comes from TTBR1_EL1.
        a1, with_a1, 22;
        /// AS: ASIDs have 16 bits.
        asid16, with_asid16, 36;
        /// HA: hardware sets the access flag.
        ha, with_ha, 39;
        /// HD: hardware manages dirty state.
        hd, with_hd, 40;
        /// DS: LPA2 descriptor formats.
        ds, with_ds, 59;
    }

    /// IPS as coded, 3 bits.
    pub const fn ips(self) -> u8 {
        get(self.0, 32, 3) as u8
    }

    /// Copy with IPS replaced.
    #[must_use]
    pub const fn with_ips(self, ips: u8) -> Self {
        Self(set(self.0, 32, 3, ips as u64))
    }

    /// Output address bits that IPS names: 32 to 52; `None` for the reserved code 7.
    pub const fn ips_bits(self) -> Option<u32> {
        match self.ips() {
            0 => Some(32),
            1 => Some(36),
            2 => Some(40),
            3 => Some(42),
            4 => Some(44),
            5 => Some(48),
            6 => Some(52),
            _ => None,
        }
    }

    /// Granule that TGx names; `None` for the reserved code.
    pub const fn granule(self, range: VaRange) -> Option<Granule> {
        match (range, self.tg(range)) {
            (VaRange::Lower, 0) | (VaRange::Upper, 2) => Some(Granule::K4),
            (VaRange::Lower, 2) | (VaRange::Upper, 1) => Some(Granule::K16),
            (VaRange::Lower, 1) | (VaRange::Upper, 3) => Some(Granule::K64),
            _ => None,
        }
    }

    /// Copy with TGx naming `granule`.
    #[must_use]
    pub const fn with_granule(self, range: VaRange, granule: Granule) -> Self {
        let code = match (range, granule) {
            (VaRange::Lower, Granule::K4) => 0,
            (VaRange::Lower, Granule::K64) => 1,
            (VaRange::Lower, Granule::K16) => 2,
            (VaRange::Upper, Granule::K16) => 1,
            (VaRange::Upper, Granule::K4) => 2,
            (VaRange::Upper, Granule::K64) => 3,
        };
        self.with_tg(range, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VaRange::{Lower, Upper};

    #[test]
    fn ttbr_fields_sit_at_their_bits() {
        let ttbr = Ttbr::new(0xabcd, 0x1234_5678_9abe).with_cnp(true);
        assert_eq!(ttbr.0, 0xabcd_1234_5678_9abf);
        assert_eq!(ttbr.asid(), 0xabcd);
        assert_eq!(ttbr.base(), 0x1234_5678_9abe);
        assert!(ttbr.cnp());
    }

    #[test]
    fn tcr_flags_sit_at_their_bits() {
        let z = Tcr(0);
        let cases = [
            (z.with_epd(Lower, true), 7),
            (z.with_epd(Upper, true), 23),
            (z.with_a1(true), 22),
            (z.with_asid16(true), 36),
            (z.with_tbi(Lower, true), 37),
            (z.with_tbi(Upper, true), 38),
            (z.with_ha(true), 39),
            (z.with_hd(true), 40),
            (z.with_hpd(Lower, true), 41),
            (z.with_hpd(Upper, true), 42),
            (z.with_tbid(Lower, true), 51),
            (z.with_tbid(Upper, true), 52),
            (z.with_nfd(Lower, true), 53),
            (z.with_nfd(Upper, true), 54),
            (z.with_e0pd(Lower, true), 55),
            (z.with_e0pd(Upper, true), 56),
            (z.with_tcma(Lower, true), 57),
            (z.with_tcma(Upper, true), 58),
            (z.with_ds(true), 59),
        ];
        for (tcr, bit) in cases {
            assert_eq!(tcr.0, 1 << bit);
        }
        assert_eq!(z.with_tsz(Lower, 63).0, 0x3f);
        assert_eq!(z.with_tsz(Upper, 63).0, 0x3f << 16);
        assert_eq!(z.with_irgn(Upper, 3).0, 3 << 24);
        assert_eq!(z.with_orgn(Upper, 3).0, 3 << 26);
        assert_eq!(z.with_sh(Upper, 3).0, 3 << 28);
        assert_eq!(z.with_irgn(Lower, 3).0, 3 << 8);
        assert_eq!(z.with_orgn(Lower, 3).0, 3 << 10);
        assert_eq!(z.with_sh(Lower, 3).0, 3 << 12);
        assert_eq!(z.with_ips(7).0, 7 << 32);
    }

    #[test]
    fn the_two_granule_codes_differ() {
        // Section 1.2: TG0 00 4K 01 64K 10 16K; TG1 01 16K 10 4K 11 64K.
        let lower = [
            Some(Granule::K4),
            Some(Granule::K64),
            Some(Granule::K16),
            None,
        ];
        let upper = [
            None,
            Some(Granule::K16),
            Some(Granule::K4),
            Some(Granule::K64),
        ];
        for code in 0..4u8 {
            let tcr = Tcr(0).with_tg(Lower, code).with_tg(Upper, code);
            assert_eq!(tcr.granule(Lower), lower[usize::from(code)]);
            assert_eq!(tcr.granule(Upper), upper[usize::from(code)]);
        }
        for range in [Lower, Upper] {
            for granule in Granule::ALL {
                assert_eq!(
                    Tcr(0).with_granule(range, granule).granule(range),
                    Some(granule)
                );
            }
        }
    }

    #[test]
    fn ips_names_output_sizes() {
        let bits: Vec<_> = (0..8).map(|ips| Tcr(0).with_ips(ips).ips_bits()).collect();
        let expected = [
            Some(32),
            Some(36),
            Some(40),
            Some(42),
            Some(44),
            Some(48),
            Some(52),
            None,
        ];
        assert_eq!(bits, expected);
    }

    #[test]
    fn the_range_follows_bit_55_alone() {
        // VMSA-04.
        assert_eq!(VaRange::of(1 << 55), Upper);
        assert_eq!(VaRange::of(!(1 << 55)), Lower);
    }
}
