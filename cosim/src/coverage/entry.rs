// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a TLB or walk cache holds, as far as coverage asks: enough to tell which leaf an access hit,
//! which entries an operation names, and which descriptor an entry stands for.

use vmsa::{Granule, Tlbi, TlbiOp, geometry};

use super::axis;
use crate::dut::ports::{TlbFill, TlbStructure};

/// The bit that selects the half of the VA space.
const HALF: u64 = 1 << 55;
/// Address bits that a lookup may compare.
const VA_BITS: u64 = (1 << 56) - (1 << 12);

/// One entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// Whether it is there. One that has left is kept until another takes its place: the answer to an
    /// access that hit it may come later.
    pub(super) live: bool,
    /// First byte, sign extended.
    pub(super) va: u64,
    /// Address bits compared, bit 55 among them.
    mask: u64,
    /// Bytes that its descriptor maps, if more than it matches itself.
    reach: u64,
    asid: u16,
    pub(super) global: bool,
    pub(super) table: bool,
    pub(super) level: u8,
    pub(super) run: bool,
    pub(super) granule: usize,
    /// First descriptor that it stands for, and bytes of descriptors; no bytes if unknown.
    pub(super) descriptor: (u64, u64),
}

impl Entry {
    pub(super) fn new(change: &TlbFill, granule: Granule, descriptor: u64) -> Self {
        let run = change.contiguous;
        let count = if run {
            geometry::contiguous_run(granule, change.level).map_or(1, u64::from)
        } else {
            1
        };
        let bytes = 8 * count;
        Self {
            live: true,
            va: change.va,
            mask: change.mask & VA_BITS | HALF,
            reach: geometry::level_bytes(granule, change.level) * count,
            asid: change.asid,
            global: change.global && change.structure != TlbStructure::WalkCache,
            table: change.structure == TlbStructure::WalkCache,
            level: change.level,
            run,
            granule: axis::granule(granule),
            descriptor: match descriptor {
                0 => (0, 0),
                address => (address & !(bytes - 1), bytes),
            },
        }
    }

    /// Bytes that it translates.
    pub(super) fn span(&self) -> u64 {
        1 << self.mask.trailing_zeros()
    }

    /// Whether both translate as many bytes.
    pub(super) fn span_is(&self, other: &Self) -> bool {
        self.mask == other.mask
    }

    /// Whether it translates `va` for `asid`.
    pub(super) fn translates(&self, va: u64, asid: u16) -> bool {
        self.mask != 0 && (self.va ^ va) & self.mask == 0 && self.of(asid)
    }

    /// Whether it belongs to `asid`.
    pub(super) fn of(&self, asid: u16) -> bool {
        self.global || self.asid == asid
    }

    /// Whether one access could match both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        (self.va ^ other.va) & self.mask & other.mask == 0
            && (self.global || other.global || self.asid == other.asid)
    }

    /// Whether it stands for the descriptor at `address`.
    pub(super) fn stands_for(&self, address: u64) -> bool {
        address.wrapping_sub(self.descriptor.0) < self.descriptor.1
    }

    /// Whether `tlbi` names it, hints apart, when bits `asid_mask` of an ASID count.
    pub(super) fn named_by(&self, tlbi: &Tlbi, asid_mask: u16) -> bool {
        let asid = tlbi.asid() & asid_mask == self.asid;
        match tlbi.op {
            TlbiOp::Vmalle1 => true,
            TlbiOp::Aside1 => !self.global && asid,
            op => {
                (!op.by_asid() || self.global || asid)
                    && !(self.table && op.last_level())
                    && self.lies_at(tlbi)
            }
        }
    }

    fn lies_at(&self, tlbi: &Tlbi) -> bool {
        let bytes = self.span().max(self.reach);
        match tlbi.range() {
            None => (self.va ^ tlbi.va()) & (VA_BITS & !(bytes - 1) | HALF) == 0,
            Some(range) => range.overlaps(self.va & !(bytes - 1), bytes),
        }
    }

    /// Whether the level hint of `tlbi` lets it go: place on [`axis::HINT`].
    pub(super) fn hint(&self, tlbi: &Tlbi) -> usize {
        const NONE: usize = 0;
        const RIGHT: usize = 1;
        const WRONG_LEVEL: usize = 2;
        const WRONG_GRANULE: usize = 3;
        let (granule, level) = match tlbi.range() {
            Some(range) => match (range.granule, range.level) {
                (Some(granule), Some(level)) => (axis::granule(granule), level),
                _ => return NONE,
            },
            None => match (tlbi.ttl() >> 2, tlbi.ttl() & 3) {
                // Codes that hint at nothing, 16K level 1 among them.
                (0, _) | (_, 0) | (2, 1) => return NONE,
                (code, level) => (usize::from(code) - 1, level),
            },
        };
        match (granule == self.granule, level == self.level) {
            (false, _) => WRONG_GRANULE,
            (true, false) => WRONG_LEVEL,
            (true, true) => RIGHT,
        }
    }

    /// Its place on [`axis::RANGE_PLACE`] with respect to a range of its granule.
    pub(super) fn place_in_range(&self, start: u64, bytes: u64) -> Option<usize> {
        let (first, last) = (self.va, self.va.wrapping_add(self.span() - 1));
        let end = start.wrapping_add(bytes - 1);
        let inside = |va: u64| va.wrapping_sub(start) < bytes;
        Some(match (inside(first), inside(last)) {
            (true, true) if first == start => 0,
            (true, true) if last == end => 2,
            (true, true) => 1,
            (true, false) | (false, true) => 5,
            (false, false) if start.wrapping_sub(first) < self.span() => 5,
            (false, false) if last.wrapping_add(1) == start => 3,
            (false, false) if end.wrapping_add(1) == first => 4,
            (false, false) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::TlbiScope::Local;

    fn entry(level: u8, va: u64, asid: u16) -> Entry {
        let change = TlbFill {
            structure: TlbStructure::L2,
            id: 0,
            instruction: false,
            from_l2: false,
            prefetch: false,
            level,
            global: false,
            contiguous: false,
            count: 0,
            index: 0,
            asid,
            va,
            pa: 0,
            mask: !(geometry::level_bytes(Granule::K4, level) - 1),
        };
        Entry::new(&change, Granule::K4, 0x5000_0008)
    }

    #[test]
    fn an_operation_names_what_the_table_of_operations_says() {
        let page = entry(3, 0x4000_1000, 7);
        assert!(page.named_by(&Tlbi::vae1(Local, 0x4000_1000, 7, None), !0));
        assert!(!page.named_by(&Tlbi::vae1(Local, 0x4000_2000, 7, None), !0));
        assert!(!page.named_by(&Tlbi::vae1(Local, 0x4000_1000, 8, None), !0));
        assert!(page.named_by(&Tlbi::vae1(Local, 0x4000_1000, 0x107, None), 0xff));
        assert!(page.named_by(&Tlbi::vaale1(Local, 0x4000_1000, None), !0));
        let global = Entry {
            global: true,
            ..page
        };
        assert!(global.named_by(&Tlbi::vae1(Local, 0x4000_1000, 8, None), !0));
        assert!(!global.named_by(&Tlbi::aside1(Local, 7), !0));
        let table = Entry {
            table: true,
            ..entry(2, 0x4000_0000, 7)
        };
        assert!(!table.named_by(&Tlbi::vale1(Local, 0x4000_1000, 7, None), !0));
        assert!(table.named_by(&Tlbi::vae1(Local, 0x4000_1000, 7, None), !0));
        let block = entry(2, 0x4020_0000, 7);
        let range = Tlbi::rvale1(Local, Granule::K4, 0x403f_f000, 0, 0, None, 7);
        assert!(block.named_by(&range, !0));
        assert!(!page.named_by(&range, !0));
    }

    #[test]
    fn hints_are_told_apart() {
        let page = entry(3, 0x4000_1000, 7);
        let hint = |leaf| page.hint(&Tlbi::vae1(Local, 0x4000_1000, 7, leaf));
        assert_eq!(hint(None), 0);
        assert_eq!(hint(Some((Granule::K4, 3))), 1);
        assert_eq!(hint(Some((Granule::K4, 2))), 2);
        assert_eq!(hint(Some((Granule::K64, 3))), 3);
        assert_eq!(hint(Some((Granule::K16, 1))), 0, "a reserved code");
        let range = |granule, level| page.hint(&Tlbi::rvae1(Local, granule, 0, 0, 0, level, 7));
        assert_eq!(range(Granule::K4, None), 0);
        assert_eq!(range(Granule::K4, Some(3)), 1);
        assert_eq!(range(Granule::K4, Some(1)), 2);
        assert_eq!(range(Granule::K16, Some(3)), 3);
    }

    #[test]
    fn positions_in_a_range_are_told_apart() {
        let at = |level, va| entry(level, va, 7).place_in_range(0x4000_2000, 0x4000);
        let pages =
            [0x2000, 0x3000, 0x5000, 0x1000, 0x6000, 0x8000].map(|o| at(3, 0x4000_0000 + o));
        assert_eq!(pages, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
        assert_eq!(at(2, 0x4000_0000), Some(5));
        assert!(entry(3, 0x4000_1000, 7).stands_for(0x5000_0008));
        assert!(!entry(3, 0x4000_1000, 7).stands_for(0x5000_0010));
    }
}
