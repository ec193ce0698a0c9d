// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Access flag and dirty state taken away. Both may differ in a block, so no block is unfolded for
//! them; they are taken from all of it, because a block lies in one folio and that is what ages.

use super::block::{Block, folded};
use crate::cpu::Cpu;
use crate::mm::{AddressSpace, Error, FlushRange};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;

/// Clears the access flag of an entry and of all in its block; returns whether any was set
/// (CONTPTE-15). Nobody flushes.
///
/// # Errors
/// The fault of an access.
pub async fn test_and_clear_young<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<bool, Error> {
    let _ = space;
    let (young, _) = clear_young(thread, ptr).await?;
    Ok(young)
}

/// As [`test_and_clear_young`]; what was accessed is invalidated, as a whole block, by operations that
/// complete at the next barrier of this core, such as that of a context switch (CONTPTE-16): until
/// then a page may be used without being seen to be.
///
/// # Errors
/// The fault of an access.
pub async fn clear_flush_young<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<bool, Error> {
    let (young, block) = clear_young(thread, ptr).await?;
    match block {
        _ if !young => {}
        Some(block) => {
            let (start, end) = (block.start(), block.start() + block.bytes());
            let range = FlushRange::pages(thread.kernel.granule(), start, end);
            thread.flush_range_nosync(space, range).await;
        }
        None => thread.flush_page_nosync(space, ptr.va).await,
    }
    Ok(young)
}

/// Clears the access flag at `ptr`; returns whether it was set, and the block if it is folded.
async fn clear_young<C: Cpu>(
    thread: &Thread<C>,
    ptr: PtePtr,
) -> Result<(bool, Option<Block>), Error> {
    if !thread.kernel.config().contpte.enabled
        || !folded(&thread.kernel, raw::get(thread, ptr).await?)
    {
        return Ok((raw::test_and_clear_young(thread, ptr).await?, None));
    }
    let block = Block::around(thread.kernel.granule(), ptr);
    let mut young = false;
    for entry in block.entries() {
        young |= raw::test_and_clear_young(thread, entry).await?;
    }
    Ok((young, Some(block)))
}

/// What [`clear_young_dirty_ptes`] takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The access flag.
    pub young: bool,
    /// The dirty state, in software and hardware.
    pub dirty: bool,
}

impl Cleared {
    fn of(self, pte: Pte) -> Pte {
        let pte = if self.young {
            pte.with_young(false)
        } else {
            pte
        };
        if self.dirty { pte.make_clean() } else { pte }
    }
}

/// Takes access flag, dirty state or both from `nr` entries, and from the rest of the folded blocks
/// that they reach into. The caller has seen to it that the dirt is known elsewhere, or no longer
/// matters, and flushes.
///
/// # Errors
/// The fault of an access.
pub async fn clear_young_dirty_ptes<C: Cpu>(
    thread: &Thread<C>,
    ptr: PtePtr,
    nr: u64,
    what: Cleared,
) -> Result<(), Error> {
    if nr == 0 {
        return Ok(());
    }
    let kernel = &thread.kernel;
    let (mut first, mut last) = (ptr, ptr.offset(nr as i64 - 1));
    if folded(kernel, raw::get(thread, last).await?) {
        last = Block::around(kernel.granule(), last).last();
    }
    if folded(kernel, raw::get(thread, first).await?) {
        first = Block::around(kernel.granule(), first).first;
    }
    let pages = ((last.va - first.va) >> first.shift) + 1;
    for page in 0..pages as i64 {
        raw::update(thread, first.offset(page), |pte| {
            if pte.present() { what.of(pte) } else { pte }
        })
        .await?;
    }
    Ok(())
}
