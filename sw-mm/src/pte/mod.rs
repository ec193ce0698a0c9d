// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries of last-level tables as the kernel uses them: what they say, and the raw operations that
//! touch exactly the entries named and know nothing of contiguous runs.
//!
//! Everything above goes through [`crate::contpte`], which keeps runs consistent.

mod entry;
pub mod raw;

pub use entry::{Kind, Migration, Pte, SwapEntry};

/// Where an entry lies and what it translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PtePtr {
    /// Kernel virtual address of the entry.
    pub slot: u64,
    /// User virtual address of the first byte of its page.
    pub va: u64,
    /// Physical address of its table, which names the lock.
    pub table: u64,
    /// log2 of the page size.
    pub shift: u32,
}

impl PtePtr {
    /// The entry `pages` further on in the same table; negative is before it.
    #[must_use]
    pub const fn offset(self, pages: i64) -> Self {
        Self {
            slot: self.slot.wrapping_add_signed(pages * 8),
            va: self.va.wrapping_add_signed(pages << self.shift),
            ..self
        }
    }
}
