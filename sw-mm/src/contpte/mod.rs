// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Transparent contiguous mappings: the public operations on last-level entries, which keep contiguous
//! runs consistent (contract: contpte).
//!
//! A *block* is a naturally aligned run of entries as long as hardware can make one TLB entry of. It
//! is *folded* if all of its entries are valid with the contiguous bit set, and *unfolded* if none has
//! it. Whoever holds the lock of the table sees one or the other, so every operation here that would
//! change a part of a folded block unfolds it first, unless what it changes may differ in a block, or
//! the whole block changes.
//!
//! The layer knows user address spaces only: mappings of the kernel cannot live with entries that are
//! gone for a moment, and are written by [`crate::pgtable`] (CONTPTE-09).
//!
//! | file | idea |
//! | --- | --- |
//! | `block` | which entries form a block |
//! | `convert` | fold and unfold: the only place that repaints a live block (section 4) |
//! | `read` | what an entry says, with and without the lock |
//! | `set` | new entries |
//! | `clear` | entries taken out |
//! | `protect` | write permission taken away |
//! | `access` | access flag, dirty state and write permission given (section 6) |
//! | `young` | access flag and dirty state taken away |
//! | [`check`] | what has to hold of runs at every moment (section 9) |

mod access;
mod block;
pub mod check;
mod clear;
mod convert;
mod protect;
mod read;
mod set;
mod young;

pub use access::set_access_flags;
pub use block::block_pages;
pub use clear::{clear_flush, clear_ptes, get_and_clear};
pub use protect::set_wrprotects;
pub use read::{batch_hint, get, get_batch, get_lockless};
pub use set::{set_pte, set_ptes};
pub use young::{Cleared, clear_flush_young, clear_young_dirty_ptes, test_and_clear_young};

/// How contiguous mappings are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// They are used at all; without, every operation is its raw one (CONTPTE-34).
    pub enabled: bool,
    /// The cores have BBM level 2 and never raise conflict aborts: a conversion needs no flush of its
    /// own (CONTPTE-35).
    pub bbm2_noabort: bool,
    /// Fold also after a partial write-protect and after an unfold by access flags, as the series did
    /// before it was merged (section 3).
    pub eager: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            bbm2_noabort: false,
            eager: false,
        }
    }
}
