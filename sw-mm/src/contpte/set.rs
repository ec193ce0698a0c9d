// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! New entries: one at a time, which folds a block with its last entry, or many, which are born folded
//! where they cover whole blocks.

use super::block::{block_pages, folded, without_hint};
use super::convert::{try_fold, try_unfold};
use crate::cpu::Cpu;
use crate::mm::{AddressSpace, Error};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;

/// Stores an entry whose address space is not known, so that no block can be unfolded for it: a
/// mistake if it belongs to a folded one, which is counted
/// ([`folded_overwrites`](crate::kernel::Counters::folded_overwrites)).
///
/// # Errors
/// The fault of an access.
pub async fn set_pte<C: Cpu>(thread: &Thread<C>, ptr: PtePtr, pte: Pte) -> Result<(), Error> {
    if !thread.kernel.config().contpte.enabled {
        return raw::set(thread, ptr, pte).await;
    }
    if folded(&thread.kernel, raw::get(thread, ptr).await?) {
        thread.kernel.counters.folded_overwrites.increment();
    }
    raw::set(thread, ptr, without_hint(pte)).await
}

/// Stores `nr` entries that map consecutive pages of one folio; with `nr` > 1 none of them was
/// present.
///
/// # Errors
/// The fault of an access.
pub async fn set_ptes<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    pte: Pte,
    nr: u64,
) -> Result<(), Error> {
    if !thread.kernel.config().contpte.enabled {
        return raw::set_many(thread, ptr, pte, nr).await;
    }
    let pte = without_hint(pte);
    if nr == 1 {
        try_unfold(thread, space, ptr).await?;
        raw::set(thread, ptr, pte).await?;
        return try_fold(thread, space, ptr, pte).await;
    }
    set_many(thread, ptr, pte, nr).await
}

/// Sub-runs that are whole blocks, in virtual and physical memory, get the hint at once: nothing was
/// there before that a TLB could hold (CONTPTE-02, CONTPTE-03).
async fn set_many<C: Cpu>(thread: &Thread<C>, ptr: PtePtr, pte: Pte, nr: u64) -> Result<(), Error> {
    let granule = thread.kernel.granule();
    let pages = block_pages(granule);
    let mut done = 0;
    while done < nr {
        let first = ptr.offset(done as i64);
        let pte = pte.advance(granule, done as i64);
        let index = first.va >> first.shift & (pages - 1);
        let count = (nr - done).min(pages - index);
        let whole = count == pages && pte.pfn(granule).0 & (pages - 1) == 0;
        let cont = whole && pte.valid() && !pte.special();
        let pte = if cont { pte.with_cont(true) } else { pte };
        raw::set_many(thread, first, pte, count).await?;
        done += count;
    }
    Ok(())
}
