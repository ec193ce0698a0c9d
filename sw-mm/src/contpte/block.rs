// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which entries form a block, and whether they are folded (sections 1 and 2).

use crate::kernel::Kernel;
use crate::pte::{Pte, PtePtr};
use vmsa::{Granule, geometry};

/// Entries of a block, CONT_PTES: 16 at 4K, 128 at 16K, 32 at 64K (CONTPTE-01).
pub fn block_pages(granule: Granule) -> u64 {
    geometry::contiguous_run(granule, geometry::FINAL_LEVEL).map_or(1, u64::from)
}

/// The block around an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Its first entry.
    pub first: PtePtr,
    /// Entries.
    pub pages: u64,
}

impl Block {
    pub fn around(granule: Granule, ptr: PtePtr) -> Self {
        let pages = block_pages(granule);
        let index = ptr.va >> ptr.shift & (pages - 1);
        Self {
            first: ptr.offset(-(index as i64)),
            pages,
        }
    }

    /// The entries, ascending.
    pub fn entries(self) -> impl Iterator<Item = PtePtr> {
        (0..self.pages as i64).map(move |page| self.first.offset(page))
    }

    /// The last entry.
    pub fn last(self) -> PtePtr {
        self.first.offset(self.pages as i64 - 1)
    }

    /// Entries from the first to `ptr`, which belongs to it.
    pub fn index(self, ptr: PtePtr) -> u64 {
        (ptr.va - self.first.va) >> ptr.shift
    }

    /// First byte.
    pub fn start(self) -> u64 {
        self.first.va
    }

    /// Bytes.
    pub fn bytes(self) -> u64 {
        self.pages << self.first.shift
    }
}

/// Whether an entry that reads `pte` belongs to a folded block.
pub(super) fn folded(kernel: &Kernel, pte: Pte) -> bool {
    kernel.config().contpte.enabled && pte.valid() && pte.cont()
}

/// `pte` without the hint. What is not a page has other things in that bit.
pub(super) fn without_hint(pte: Pte) -> Pte {
    if pte.present() {
        pte.with_cont(false)
    } else {
        pte
    }
}

/// `pte` with access flag and dirty state of `other` added to its own.
pub(super) fn gather(pte: Pte, other: Pte) -> Pte {
    let pte = pte.with_young(pte.young() || other.young());
    if other.dirty() { pte.make_dirty() } else { pte }
}
