// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Fold and unfold (sections 3 and 4): the only place that repaints a live block.
//!
//! All entries are cleared, the TLBs forget them, all entries are written: break-before-make
//! (CONTPTE-10). In between any page of the block may fault; the fault waits for the lock that is held
//! here and finds its entry then (CONTPTE-11).

use super::block::{Block, folded, gather};
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::mm::{AddressSpace, Error, FlushRange};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;

/// What a conversion turns a block into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Folded,
    Unfolded,
}

/// Rewrites the block around `ptr` from `template`, which belongs there: every entry with the access
/// flag and dirty state of all and of the template.
async fn convert<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    template: Pte,
    to: To,
) -> Result<(), Error> {
    let kernel = &thread.kernel;
    let granule = kernel.granule();
    let block = Block::around(granule, ptr);
    let (activity, counter) = match to {
        To::Folded => (Activity::Fold, &kernel.counters.folds),
        To::Unfolded => (Activity::Unfold, &kernel.counters.unfolds),
    };
    counter.increment();
    let _span = thread.span(activity, space.number(), block.start(), block.bytes());
    let mut pte = template;
    for entry in block.entries() {
        let old = raw::get_and_clear(thread, entry).await?;
        pte = gather(pte, old);
    }
    // Where a core copes with both sizes at once, the flush of whoever asked for the conversion does
    // (CONTPTE-35).
    if !kernel.config().contpte.bbm2_noabort {
        let (start, end) = (block.start(), block.start() + block.bytes());
        let range = FlushRange::pages(granule, start, end);
        thread.flush_range(space, range).await;
    }
    let first = pte
        .advance(granule, -(block.index(ptr) as i64))
        .with_cont(to == To::Folded);
    raw::set_many(thread, block.first, first, block.pages).await
}

/// Folds the block of which `pte`, just stored at `ptr`, is the last entry, if it may be folded.
pub(super) async fn try_fold<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    pte: Pte,
) -> Result<(), Error> {
    if !is_candidate(thread, ptr, pte) {
        return Ok(());
    }
    let granule = thread.kernel.granule();
    let block = Block::around(granule, ptr);
    let first = pte.advance(granule, 1 - block.pages as i64);
    for (page, entry) in block.entries().enumerate() {
        let member = raw::get(thread, entry).await?;
        if !member.valid() || member.norm() != first.norm().advance(granule, page as i64) {
            return Ok(());
        }
    }
    convert(thread, space, ptr, pte, To::Folded).await
}

/// What can be told without reading the other entries (tests 1 to 5 of section 3).
fn is_candidate<C: Cpu>(thread: &Thread<C>, ptr: PtePtr, pte: Pte) -> bool {
    let kernel = &thread.kernel;
    if !kernel.config().contpte.enabled || !pte.valid() || pte.cont() || pte.special() {
        return false;
    }
    let granule = kernel.granule();
    let block = Block::around(granule, ptr);
    let pfn = pte.pfn(granule);
    if block.index(ptr) != block.pages - 1 || pfn.0 & (block.pages - 1) != block.pages - 1 {
        return false;
    }
    // The block ends with this page, so one folio has all of it if it begins no later than the block.
    kernel
        .frames
        .folio(pfn)
        .is_some_and(|folio| folio.page_of(pfn) >= block.pages - 1)
}

/// Unfolds the block of the entry at `ptr` if it is folded.
pub(super) async fn try_unfold<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<(), Error> {
    if !thread.kernel.config().contpte.enabled {
        return Ok(());
    }
    let pte = raw::get(thread, ptr).await?;
    if folded(&thread.kernel, pte) {
        convert(thread, space, ptr, pte, To::Unfolded).await?;
    }
    Ok(())
}

/// Unfolds the blocks that `nr` entries from `ptr` on reach into without covering them: at most two
/// (CONTPTE-18, CONTPTE-26).
pub(super) async fn unfold_ends<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    nr: u64,
) -> Result<(), Error> {
    if nr == 0 {
        return Ok(());
    }
    let head = Block::around(thread.kernel.granule(), ptr);
    if head.first != ptr || nr < head.pages {
        try_unfold(thread, space, ptr).await?;
    }
    let last = ptr.offset(nr as i64 - 1);
    let tail = Block::around(thread.kernel.granule(), last);
    if tail.last() != last && tail.first != head.first {
        try_unfold(thread, space, last).await?;
    }
    Ok(())
}
