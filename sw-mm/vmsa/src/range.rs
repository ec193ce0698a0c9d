// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The operand of the range forms of TLBI: a start, and a length in powers of 32 pages (section 11.1
//! of the VMSA contract, DS = 0).

use crate::bits::{get, set};
use crate::geometry::Granule;

/// What a range form names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RangeOperand {
    /// TG; `None` is the reserved code, with which no entry need be removed (TLBI-09) and the range
    /// is empty.
    pub granule: Option<Granule>,
    /// First byte, sign extended from BaseADDR bit 36 (TLBI-10).
    pub start: u64,
    /// Bytes, cut off at the top of the address space: a range does not wrap.
    pub bytes: u64,
    /// Leaf level hinted at; `None` is any.
    pub level: Option<u8>,
}

impl RangeOperand {
    /// The greatest NUM.
    pub const NUM_MAX: u8 = 31;
    /// The greatest SCALE.
    pub const SCALE_MAX: u8 = 3;

    /// Pages that SCALE and NUM stand for (TLBI-11).
    ///
    /// ```
    /// assert_eq!(vmsa::RangeOperand::pages(0, 0), 2);
    /// assert_eq!(vmsa::RangeOperand::pages(3, 31), 1 << 21);
    /// ```
    pub const fn pages(scale: u8, num: u8) -> u64 {
        (num as u64 + 1) << (5 * scale + 1)
    }

    /// Whether the `bytes` at `va` (sign extended from bit 55) have a byte in common with the range
    /// (TLBI-08). `va` is a multiple of `bytes`, a power of two.
    pub const fn overlaps(self, va: u64, bytes: u64) -> bool {
        va.wrapping_sub(self.start) < self.bytes
            || self.start.wrapping_sub(va) < bytes && self.bytes > 0
    }
}

pub(crate) const fn pack(
    granule: Granule,
    start: u64,
    scale: u8,
    num: u8,
    level: Option<u8>,
    asid: u16,
) -> u64 {
    let tg = match granule {
        Granule::K4 => 1,
        Granule::K16 => 2,
        Granule::K64 => 3,
    };
    let ttl = match level {
        None => 0,
        Some(level) => level as u64,
    };
    let mut operand = set(0, 0, 37, start >> granule.shift());
    operand = set(operand, 37, 2, ttl);
    operand = set(operand, 39, 5, num as u64);
    operand = set(operand, 44, 2, scale as u64);
    operand = set(operand, 46, 2, tg);
    set(operand, 48, 16, asid as u64)
}

pub(crate) const fn unpack(operand: u64) -> RangeOperand {
    let granule = match get(operand, 46, 2) {
        1 => Some(Granule::K4),
        2 => Some(Granule::K16),
        3 => Some(Granule::K64),
        _ => None,
    };
    let level = match get(operand, 37, 2) {
        0 => None,
        level => Some(level as u8),
    };
    let Some(tg) = granule else {
        return RangeOperand {
            granule,
            start: 0,
            bytes: 0,
            level,
        };
    };
    let base = (get(operand, 0, 37) << 27) as i64 >> 27;
    let start = (base as u64) << tg.shift();
    let pages = RangeOperand::pages(get(operand, 44, 2) as u8, get(operand, 39, 5) as u8);
    let length = pages << tg.shift();
    let room = if base < 0 {
        start.wrapping_neg()
    } else {
        length
    };
    RangeOperand {
        granule,
        start,
        bytes: if length < room { length } else { room },
        level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tlbi, TlbiScope};

    #[test]
    fn the_worked_example_of_the_contract() {
        // Section 11.1: 4K, VA 0x40_0020_0000, SCALE 1, NUM 2.
        let start = 0x0000_0040_0020_0000;
        let op = Tlbi::rvae1(TlbiScope::Local, Granule::K4, start, 1, 2, None, 7);
        assert_eq!(op.operand & ((1 << 37) - 1), 0x400_0200);
        assert_eq!(op.asid(), 7);
        let range = op.range().unwrap();
        assert_eq!(range.granule, Some(Granule::K4));
        assert_eq!((range.start, range.bytes), (start, 0xc_0000));
        assert_eq!(range.start + range.bytes, 0x0000_0040_002c_0000);
        assert_eq!(range.level, None);
        assert_eq!(op.to_string(), "TLBI RVAE1 0x0007510004000200");
        assert_eq!(Tlbi::vmalle1(TlbiScope::Local).range(), None);
    }

    #[test]
    fn all_fields_round_trip_for_every_scale_num_and_granule() {
        // TLBI-11.
        for granule in Granule::ALL {
            for (scale, num) in (0..4).flat_map(|scale| (0..32).map(move |num| (scale, num))) {
                let start = 0x12_3456_0000;
                let op = Tlbi::rvaale1(
                    TlbiScope::InnerShareable,
                    granule,
                    start,
                    scale,
                    num,
                    Some(2),
                );
                let range = op.range().unwrap();
                let pages = (u64::from(num) + 1) * 2u64.pow(5 * u32::from(scale) + 1);
                assert_eq!((range.granule, range.level), (Some(granule), Some(2)));
                assert_eq!(
                    (range.start, range.bytes),
                    (start, pages * granule.bytes()),
                    "{granule} SCALE {scale} NUM {num}"
                );
            }
        }
    }

    #[test]
    fn bit_36_of_the_base_chooses_the_upper_half_and_ranges_do_not_wrap() {
        // TLBI-10.
        let top = 0xffff_ffff_ffff_0000;
        for granule in Granule::ALL {
            let range = Tlbi::rvaae1(TlbiScope::Local, granule, top, 3, 31, None)
                .range()
                .unwrap();
            assert_eq!((range.start, range.bytes), (top, 0x1_0000));
            assert!(range.overlaps(top, 0x1000) && !range.overlaps(0, 0x1000));
        }
        let base = 0xffff_8000_0000_0000;
        let range = Tlbi::rvaae1(TlbiScope::Local, Granule::K4, base, 0, 0, None)
            .range()
            .unwrap();
        assert_eq!((range.start, range.bytes), (base, 0x2000));
    }

    #[test]
    fn the_reserved_granule_names_nothing() {
        // TLBI-09.
        let range = unpack(0x3_ffff_ffff);
        assert_eq!((range.granule, range.bytes), (None, 0));
        assert!(!range.overlaps(0, 1 << 39));
    }

    #[test]
    fn leaves_that_overlap_only_partly_count() {
        // TLBI-08.
        let range = Tlbi::rvae1(TlbiScope::Local, Granule::K4, 0x3000, 0, 0, None, 0)
            .range()
            .unwrap();
        let pages = [0x2000, 0x3000, 0x4000, 0x5000].map(|va| range.overlaps(va, 0x1000));
        assert_eq!(pages, [false, true, true, false]);
        assert!(range.overlaps(0, 0x20_0000) && !range.overlaps(0x20_0000, 0x20_0000));
    }
}
