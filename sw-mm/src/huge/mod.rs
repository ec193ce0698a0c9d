// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Transparent huge pages: a folio as large as a level 2 block, mapped by one entry there.
//!
//! Only where such a block is of a folio that the page allocator has, which is 2 MiB with pages of
//! 4 KiB; with larger pages contiguous runs take their place. An entry at level 2 is a table, nothing,
//! or a block; a block that hardware may not use, while it is split or because its area permits
//! nothing, is present for software, so that nobody takes its place for empty.
//!
//! A block counts as many maps and references as it has pages, so that splitting it changes no book.
//! What concerns all of it is done to it whole; what concerns a part splits it first. Its entry is
//! guarded by the lock of its level 2 table; who makes or removes one holds the lock of the upper
//! tables too.
//!
//! | module | idea |
//! | --- | --- |
//! | `fault` | a block for a fault, and faults on a block |
//! | `split` | a block becomes a table of pages |
//! | `whole` | fork, mprotect and zap of a whole block |

mod fault;
mod split;
mod whole;

use crate::mm::FlushRange;
use crate::page::MAX_ORDER;
use crate::pte::{Pte, PtePtr};
use vmsa::{Granule, geometry};

/// Level of the entries that are blocks.
pub(crate) const LEVEL: u8 = 2;

/// Order of the folio behind a block; `None` if the page allocator has none so large.
pub fn block_order(granule: Granule) -> Option<u8> {
    let bytes = geometry::level_bytes(granule, LEVEL);
    let order = (bytes / granule.bytes()).trailing_zeros() as u8;
    (order <= MAX_ORDER).then_some(order)
}

/// Bytes of a block.
pub(crate) fn block_bytes(granule: Granule) -> u64 {
    geometry::level_bytes(granule, LEVEL)
}

/// Whether `pte`, read at level 2, is a block, usable by hardware or not.
pub(crate) const fn is_block(pte: Pte) -> bool {
    !pte.is_none() && !pte.descriptor().is_table_bit()
}

/// The flush of the block at `ptr`.
fn flush_of(granule: Granule, ptr: PtePtr) -> FlushRange {
    FlushRange {
        start: ptr.va,
        end: ptr.va + block_bytes(granule),
        stride: block_bytes(granule),
        leaf: true,
        level: Some(LEVEL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_large_as_the_allocator_has_folios() {
        assert_eq!(block_order(Granule::K4), Some(9));
        assert_eq!(block_order(Granule::K16), None);
        assert_eq!(block_order(Granule::K64), None);
    }
}
