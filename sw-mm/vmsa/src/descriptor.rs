// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The 64-bit translation table descriptor (48-bit output addresses, no LPA2).

use crate::bits::{flags, get, mask, set};
use crate::geometry::{FINAL_LEVEL, Granule, level_lsb};
use std::fmt;

/// A translation table descriptor in the byte order the walker decodes (little endian unless
/// SCTLR_EL1.EE). Any value is representable; the getters only cut fields.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// Bit 0: valid.
    pub const VALID: u32 = 0;
    /// Bit 1: table (levels 0-2) or page (level 3); 0 is a block.
    pub const TYPE: u32 = 1;
    /// Lowest bit of AttrIndx (3 bits).
    pub const ATTR_INDEX: u32 = 2;
    /// AP\[1\]: accessible at EL0.
    pub const AP1: u32 = 6;
    /// AP\[2\]: read-only, or writable-clean when DBM = 1.
    pub const AP2: u32 = 7;
    /// Lowest bit of SH (2 bits).
    pub const SH: u32 = 8;
    /// Access flag.
    pub const AF: u32 = 10;
    /// Not global.
    pub const NG: u32 = 11;
    /// nT of a block entry (FEAT_BBM).
    pub const NT: u32 = 16;
    /// Guarded page.
    pub const GP: u32 = 50;
    /// Dirty bit modifier.
    pub const DBM: u32 = 51;
    /// Contiguous hint.
    pub const CONTIGUOUS: u32 = 52;
    /// Privileged execute-never.
    pub const PXN: u32 = 53;
    /// Unprivileged execute-never.
    pub const UXN: u32 = 54;
    /// Lowest of the software bits 58:55.
    pub const SOFTWARE: u32 = 55;
    /// PXNTable of a table descriptor.
    pub const PXN_TABLE: u32 = 59;
    /// UXNTable of a table descriptor.
    pub const UXN_TABLE: u32 = 60;
    /// Lowest bit of APTable of a table descriptor (2 bits).
    pub const AP_TABLE: u32 = 61;
    /// Bits of output address in a descriptor.
    pub const ADDRESS_BITS: u32 = 48;

    /// The all-zero invalid descriptor.
    pub const INVALID: Descriptor = Descriptor(0);

    flags! {
        /// Bit 0. Invalid descriptors belong to software.
        valid, with_valid, Self::VALID;
        /// Bit 1: 1 table or page, 0 block.
        is_table_bit, with_table_bit, Self::TYPE;
        /// Access flag.
        af, with_af, Self::AF;
        /// Not global: the translation belongs to one ASID.
        ng, with_ng, Self::NG;
        /// nT, meaningful in block entries only.
        nt, with_nt, Self::NT;
        /// Guarded page.
        gp, with_gp, Self::GP;
        /// Dirty bit modifier.
        dbm, with_dbm, Self::DBM;
        /// Contiguous hint.
        contiguous, with_contiguous, Self::CONTIGUOUS;
        /// Privileged execute-never.
        pxn, with_pxn, Self::PXN;
        /// Unprivileged execute-never.
        uxn, with_uxn, Self::UXN;
        /// AP\[1\]: EL0 may access.
        ap_el0, with_ap_el0, Self::AP1;
        /// AP\[2\]: read-only (clean, when DBM = 1).
        ap_read_only, with_ap_read_only, Self::AP2;
        /// PXNTable limit of a table descriptor.
        pxn_table, with_pxn_table, Self::PXN_TABLE;
        /// UXNTable limit of a table descriptor.
        uxn_table, with_uxn_table, Self::UXN_TABLE;
    }

    /// A table descriptor that points at the table at byte address `pa`, without limits.
    pub const fn table(pa: u64) -> Self {
        Self(pa & mask(Self::ADDRESS_BITS) & !0xfff | 0b11)
    }

    /// A leaf at `level` (page at 3, else block) that maps the region at byte address `pa`, which is
    /// aligned down to the leaf size; all attributes and the access flag are 0.
    pub const fn leaf(granule: Granule, level: u8, pa: u64) -> Self {
        let kind = if level == FINAL_LEVEL { 0b11 } else { 0b01 };
        Self(pa & Self::address_mask(level_lsb(granule, level)) | kind)
    }

    /// AttrIndx, 0 to 7.
    pub const fn attr_index(self) -> u8 {
        get(self.0, Self::ATTR_INDEX, 3) as u8
    }

    /// Copy with AttrIndx replaced by the low 3 bits of `index`.
    #[must_use]
    pub const fn with_attr_index(self, index: u8) -> Self {
        Self(set(self.0, Self::ATTR_INDEX, 3, index as u64))
    }

    /// AP\[2:1\], bits 7:6.
    pub const fn ap(self) -> u8 {
        get(self.0, Self::AP1, 2) as u8
    }

    /// Copy with AP\[2:1\] replaced by the low 2 bits of `ap`.
    #[must_use]
    pub const fn with_ap(self, ap: u8) -> Self {
        Self(set(self.0, Self::AP1, 2, ap as u64))
    }

    /// SH: 0 non, 2 outer, 3 inner shareable, 1 reserved.
    pub const fn sh(self) -> u8 {
        get(self.0, Self::SH, 2) as u8
    }

    /// Copy with SH replaced by the low 2 bits of `sh`.
    #[must_use]
    pub const fn with_sh(self, sh: u8) -> Self {
        Self(set(self.0, Self::SH, 2, sh as u64))
    }

    /// Software bits 58:55.
    pub const fn software(self) -> u8 {
        get(self.0, Self::SOFTWARE, 4) as u8
    }

    /// Copy with the software bits 58:55 replaced by the low 4 bits of `value`.
    #[must_use]
    pub const fn with_software(self, value: u8) -> Self {
        Self(set(self.0, Self::SOFTWARE, 4, value as u64))
    }

    /// APTable limit of a table descriptor: bit 0 removes EL0 access, bit 1 removes write.
    pub const fn ap_table(self) -> u8 {
        get(self.0, Self::AP_TABLE, 2) as u8
    }

    /// Copy with APTable replaced by the low 2 bits of `limit`.
    #[must_use]
    pub const fn with_ap_table(self, limit: u8) -> Self {
        Self(set(self.0, Self::AP_TABLE, 2, limit as u64))
    }

    /// Byte address of the region that a leaf of `level` maps; bits below the leaf size are not part
    /// of it (WALK-05).
    pub const fn output_address(self, granule: Granule, level: u8) -> u64 {
        self.0 & Self::address_mask(level_lsb(granule, level))
    }

    /// Byte address of the next table; bits below the granule are not part of it (WALK-07).
    pub const fn next_table(self, granule: Granule) -> u64 {
        self.0 & Self::address_mask(granule.shift())
    }

    /// Descriptor bits 47:`lsb`.
    const fn address_mask(lsb: u32) -> u64 {
        mask(Self::ADDRESS_BITS) & !mask(lsb)
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Descriptor({:#018x})", self.0)
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl fmt::LowerHex for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl From<u64> for Descriptor {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_sits_at_its_bit() {
        let zero = Descriptor(0);
        let cases = [
            (zero.with_valid(true), 0),
            (zero.with_table_bit(true), 1),
            (zero.with_ap_el0(true), 6),
            (zero.with_ap_read_only(true), 7),
            (zero.with_af(true), 10),
            (zero.with_ng(true), 11),
            (zero.with_nt(true), 16),
            (zero.with_gp(true), 50),
            (zero.with_dbm(true), 51),
            (zero.with_contiguous(true), 52),
            (zero.with_pxn(true), 53),
            (zero.with_uxn(true), 54),
            (zero.with_pxn_table(true), 59),
            (zero.with_uxn_table(true), 60),
        ];
        for (descriptor, bit) in cases {
            assert_eq!(descriptor.0, 1 << bit);
        }
        assert_eq!(zero.with_attr_index(7).0, 7 << 2);
        assert_eq!(zero.with_ap(3).0, 3 << 6);
        assert_eq!(zero.with_sh(3).0, 3 << 8);
        assert_eq!(zero.with_software(15).0, 15 << 55);
        assert_eq!(zero.with_ap_table(3).0, 3 << 61);
    }

    #[test]
    fn setters_touch_nothing_but_their_field() {
        let ones = Descriptor(u64::MAX);
        assert_eq!(ones.with_ap(0).0, !(3 << 6));
        assert_eq!(ones.with_af(false).0, !(1 << 10));
        assert_eq!(ones.with_attr_index(0).attr_index(), 0);
        assert_eq!(ones.with_attr_index(0).with_attr_index(7), ones);
    }

    #[test]
    fn addresses_drop_bits_outside_the_leaf() {
        // WALK-04, WALK-05, WALK-07.
        let ones = Descriptor(u64::MAX);
        assert_eq!(ones.output_address(Granule::K4, 3), 0xffff_ffff_f000);
        assert_eq!(ones.output_address(Granule::K4, 1), 0xffff_c000_0000);
        assert_eq!(ones.output_address(Granule::K16, 2), 0xffff_fe00_0000);
        assert_eq!(ones.output_address(Granule::K64, 2), 0xffff_e000_0000);
        assert_eq!(ones.next_table(Granule::K64), 0xffff_ffff_0000);
        assert_eq!(Descriptor::table(0x4000_1000).0, 0x4000_1003);
        assert_eq!(Descriptor::leaf(Granule::K4, 2, 0x40_1fff).0, 0x40_0001);
    }
}
