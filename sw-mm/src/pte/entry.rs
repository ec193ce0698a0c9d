// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One entry of a last-level table: a page, or, not valid for hardware, what software keeps in its
//! place (section 1).
//!
//! | bits | not valid for hardware |
//! | --- | --- |
//! | 0 | 0 |
//! | 58 | 1: a page that hardware shall not use (PROT_NONE), all other bits as in a valid entry |
//! | 6:2 | else the type: 1 swap, 2 migration |
//! | 7 | exclusive: the page belongs to one address space only |
//! | 9 | migration: writable |
//! | 10 | migration: young; 55: dirty |
//! | 11 | userfaultfd mark |
//! | 54:12 | slot of the swap area, or frame number of the folio that moves |

use crate::page::Pfn;
use std::fmt;
use vmsa::{Descriptor, Granule};

const TABLE_OR_PAGE: u64 = 1 << 1;
const SOFTWARE_DIRTY: u64 = 1 << 55;
const SPECIAL: u64 = 1 << 56;
const PROT_NONE: u64 = 1 << 58;
const TYPE: u32 = 2;
const TYPE_MASK: u64 = 0x1f << TYPE;
const TYPE_SWAP: u64 = 1 << TYPE;
const TYPE_MIGRATION: u64 = 2 << TYPE;
const EXCLUSIVE: u64 = 1 << 7;
const MIGRATION_WRITE: u64 = 1 << 9;
const MIGRATION_YOUNG: u64 = 1 << 10;
const OFFSET: u32 = 12;
const OFFSET_MASK: u64 = (1 << 43) - 1;

/// A place in the swap area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwapEntry(pub u64);

/// What a page that is being moved leaves behind (section 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The frame that moves.
    pub pfn: Pfn,
    /// The mapping was writable.
    pub writable: bool,
    /// The page belongs to one address space only.
    pub exclusive: bool,
    /// It was accessed.
    pub young: bool,
    /// It was written.
    pub dirty: bool,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    None,
    /// A page that hardware may use.
    Present,
    /// A page that hardware may not use: NUMA hinting, or a mapping without any permission.
    ProtNone,
    /// A page in the swap area; `exclusive` as in [`Migration`].
    Swap {
        /// Where.
        entry: SwapEntry,
        /// The page belonged to one address space only.
        exclusive: bool,
    },
    /// A page on its way.
    Migration(Migration),
    /// Bits that mean nothing.
    Unknown,
}

/// An entry of a last-level table.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Pte(pub u64);

impl Pte {
    /// Nothing.
    pub const NONE: Pte = Pte(0);

    /// A page of user memory without any right yet: Normal write-back memory, inner shareable, not
    /// global, read-only for both levels, never executable.
    pub const fn page(granule: Granule, pfn: Pfn) -> Self {
        let leaf = Descriptor::leaf(
            granule,
            vmsa::geometry::FINAL_LEVEL,
            pfn.0 << granule.shift(),
        )
        .with_attr_index(0)
        .with_sh(3)
        .with_ng(true)
        .with_ap_el0(true)
        .with_ap_read_only(true)
        .with_uxn(true)
        .with_pxn(true);
        Self(leaf.0)
    }

    /// As a descriptor.
    pub const fn descriptor(self) -> Descriptor {
        Descriptor(self.0)
    }

    /// What it says.
    pub const fn kind(self) -> Kind {
        if self.0 & 1 == 1 {
            return Kind::Present;
        }
        if self.0 == 0 {
            return Kind::None;
        }
        if self.0 & PROT_NONE != 0 {
            return Kind::ProtNone;
        }
        let offset = self.0 >> OFFSET & OFFSET_MASK;
        let exclusive = self.0 & EXCLUSIVE != 0;
        match self.0 & TYPE_MASK {
            TYPE_SWAP => Kind::Swap {
                entry: SwapEntry(offset),
                exclusive,
            },
            TYPE_MIGRATION => Kind::Migration(Migration {
                pfn: Pfn(offset),
                writable: self.0 & MIGRATION_WRITE != 0,
                exclusive,
                young: self.0 & MIGRATION_YOUNG != 0,
                dirty: self.0 & SOFTWARE_DIRTY != 0,
            }),
            _ => Kind::Unknown,
        }
    }

    /// A page in the swap area.
    pub const fn swap(entry: SwapEntry, exclusive: bool) -> Self {
        let flag = if exclusive { EXCLUSIVE } else { 0 };
        Self(TYPE_SWAP | (entry.0 & OFFSET_MASK) << OFFSET | flag)
    }

    /// A page on its way.
    pub const fn migration(m: Migration) -> Self {
        let flags = if m.writable { MIGRATION_WRITE } else { 0 }
            | if m.exclusive { EXCLUSIVE } else { 0 }
            | if m.young { MIGRATION_YOUNG } else { 0 }
            | if m.dirty { SOFTWARE_DIRTY } else { 0 };
        Self(TYPE_MIGRATION | (m.pfn.0 & OFFSET_MASK) << OFFSET | flags)
    }

    /// Whether hardware may use it.
    pub const fn valid(self) -> bool {
        self.0 & 1 == 1
    }

    /// Whether it is all zero.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it names a page, usable by hardware or not.
    pub const fn present(self) -> bool {
        matches!(self.kind(), Kind::Present | Kind::ProtNone)
    }

    /// The frame, of an entry that names a page.
    pub const fn pfn(self, granule: Granule) -> Pfn {
        let pa = self.descriptor().output_address(granule, 3);
        Pfn(pa >> granule.shift())
    }

    /// The same entry for the frame `pages` further on; negative is before it.
    #[must_use]
    pub const fn advance(self, granule: Granule, pages: i64) -> Self {
        Self(self.0.wrapping_add_signed(pages << granule.shift()))
    }

    /// The same as a leaf of a level above the last.
    #[must_use]
    pub const fn as_block(self) -> Self {
        Self(self.0 & !TABLE_OR_PAGE)
    }

    /// The same as a leaf of the last level: the first page of what was a block.
    #[must_use]
    pub const fn as_page(self) -> Self {
        Self(self.0 | TABLE_OR_PAGE)
    }

    /// Access flag.
    pub const fn young(self) -> bool {
        self.descriptor().af()
    }

    /// Whether stores are permitted, now or after marking the page dirty (DBM).
    pub const fn writable(self) -> bool {
        self.descriptor().dbm()
    }

    /// Whether hardware marks the page dirty: a store went, or may go, through without a fault.
    pub const fn hardware_dirty(self) -> bool {
        self.writable() && !self.descriptor().ap_read_only()
    }

    /// Whether the page was written since it was last cleaned.
    pub const fn dirty(self) -> bool {
        self.0 & SOFTWARE_DIRTY != 0 || self.hardware_dirty()
    }

    /// Software dirty bit.
    pub const fn software_dirty(self) -> bool {
        self.0 & SOFTWARE_DIRTY != 0
    }

    /// Member of a contiguous run.
    pub const fn cont(self) -> bool {
        self.descriptor().contiguous()
    }

    /// No folio stands behind it: the zero page.
    pub const fn special(self) -> bool {
        self.0 & SPECIAL != 0
    }

    /// Marked as special.
    #[must_use]
    pub const fn make_special(self) -> Self {
        Self(self.0 | SPECIAL)
    }

    /// With access flag `young`.
    #[must_use]
    pub const fn with_young(self, young: bool) -> Self {
        Self(self.descriptor().with_af(young).0)
    }

    /// With the contiguous hint `cont`.
    #[must_use]
    pub const fn with_cont(self, cont: bool) -> Self {
        Self(self.descriptor().with_contiguous(cont).0)
    }

    /// Dirty, in hardware form too if it is writable.
    #[must_use]
    pub const fn make_dirty(self) -> Self {
        let marked = Descriptor(self.0 | SOFTWARE_DIRTY);
        if marked.dbm() {
            Self(marked.with_ap_read_only(false).0)
        } else {
            Self(marked.0)
        }
    }

    /// Clean: the next store is noticed.
    #[must_use]
    pub const fn make_clean(self) -> Self {
        Self(
            Descriptor(self.0 & !SOFTWARE_DIRTY)
                .with_ap_read_only(true)
                .0,
        )
    }

    /// Writable, clean unless it is dirty already.
    #[must_use]
    pub const fn make_writable(self) -> Self {
        let leaf = self.descriptor().with_dbm(true);
        Self(leaf.with_ap_read_only(self.0 & SOFTWARE_DIRTY == 0).0)
    }

    /// Not writable; what hardware knew of dirt is kept in software (CONTPTE-20).
    #[must_use]
    pub const fn write_protect(self) -> Self {
        let kept = if self.hardware_dirty() {
            self.0 | SOFTWARE_DIRTY
        } else {
            self.0
        };
        Self(Descriptor(kept).with_dbm(false).with_ap_read_only(true).0)
    }

    /// EL0 may execute.
    #[must_use]
    pub const fn with_execute(self, execute: bool) -> Self {
        Self(self.descriptor().with_uxn(!execute).0)
    }

    /// Kept for software, out of reach of hardware.
    #[must_use]
    pub const fn make_prot_none(self) -> Self {
        Self(self.0 & !1 | PROT_NONE)
    }

    /// Back in reach of hardware.
    #[must_use]
    pub const fn make_accessible(self) -> Self {
        Self(self.0 & !PROT_NONE | 1)
    }

    /// What members of one run have to agree in: old and clean, the hint left out (contpte section
    /// 1).
    #[must_use]
    pub const fn norm(self) -> Self {
        self.make_clean().with_young(false).with_cont(false)
    }
}

impl fmt::Debug for Pte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pte({:#018x} {:?})", self.0, self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: Granule = Granule::K4;

    #[test]
    fn entries_that_hardware_does_not_use_keep_what_they_say() {
        let moving = Migration {
            pfn: Pfn(0x12_3456),
            writable: true,
            exclusive: true,
            young: false,
            dirty: true,
        };
        assert_eq!(Pte::migration(moving).kind(), Kind::Migration(moving));
        let out = Pte::swap(SwapEntry(77), true);
        assert_eq!(
            out.kind(),
            Kind::Swap {
                entry: SwapEntry(77),
                exclusive: true
            }
        );
        let page = Pte::page(G, Pfn(0x80000)).make_writable().make_dirty();
        let hidden = page.make_prot_none();
        assert_eq!(hidden.kind(), Kind::ProtNone);
        assert!(!hidden.valid() && hidden.present() && hidden.dirty());
        assert_eq!(hidden.make_accessible(), page);
        for entry in [Pte::migration(moving), out, hidden] {
            assert!(!entry.valid() && !entry.is_none());
        }
    }

    #[test]
    fn write_protection_keeps_dirt() {
        // CONTPTE-20, MM-36.
        let clean = Pte::page(G, Pfn(1)).make_writable();
        assert!(clean.writable() && !clean.dirty());
        let written = Pte(clean.descriptor().with_ap_read_only(false).0);
        assert!(written.hardware_dirty());
        let protected = written.write_protect();
        assert!(protected.dirty() && !protected.writable());
        assert!(!clean.write_protect().dirty());
        assert_eq!(protected.norm(), clean.write_protect().norm());
        assert_eq!(written.norm(), clean.norm());
        assert_ne!(written.norm(), protected.norm());
    }
}
