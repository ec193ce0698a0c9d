// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Access flag, dirty state and write permission given, after a fault that asked for them (section 6).

use super::block::{Block, folded, without_hint};
use super::convert::{try_fold, try_unfold};
use crate::cpu::Cpu;
use crate::mm::{AddressSpace, Error, FlushRange};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;

/// Merges access flag, write permission and dirty state of `entry` into the entry; with `dirty` (the
/// fault was a store) flushes what it changed. Returns whether anything was to be changed.
///
/// Access flag and dirty state go to all of a folded block at once, so that software that manages
/// them sees one fault of each kind for a block (CONTPTE-21). Write permission may not differ in a
/// block: for that it is unfolded (CONTPTE-24).
///
/// # Errors
/// The fault of an access.
pub async fn set_access_flags<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    entry: Pte,
    dirty: bool,
) -> Result<bool, Error> {
    let entry = without_hint(entry);
    let pte = raw::get(thread, ptr).await?;
    if !folded(&thread.kernel, pte) {
        return set_one(thread, space, ptr, entry, dirty).await;
    }
    let block = Block::around(thread.kernel.granule(), ptr);
    if satisfied(thread, block, entry).await? {
        return Ok(false);
    }
    if pte.writable() == entry.writable() {
        set_block(thread, space, block, entry, dirty).await?;
    } else {
        try_unfold(thread, space, ptr).await?;
        set_one(thread, space, ptr, entry, dirty).await?;
        if thread.kernel.config().contpte.eager {
            let now = raw::get(thread, ptr).await?;
            try_fold(thread, space, ptr, now).await?;
        }
    }
    Ok(true)
}

/// Whether every entry of the block grants what `entry` asks for. That one of them does, as
/// [`super::get`] tells, is not enough: who does not update entries itself would fault on the others
/// for ever (CONTPTE-22).
async fn satisfied<C: Cpu>(thread: &Thread<C>, block: Block, entry: Pte) -> Result<bool, Error> {
    for member in block.entries() {
        let pte = raw::get(thread, member).await?;
        if raw::merge_access_flags(pte, entry) != pte {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Merges into every entry of a block, each of which keeps its frame (CONTPTE-25), and flushes once
/// (CONTPTE-23).
async fn set_block<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    block: Block,
    entry: Pte,
    dirty: bool,
) -> Result<(), Error> {
    for member in block.entries() {
        raw::set_access_flags(thread, member, entry).await?;
    }
    if dirty {
        let (start, end) = (block.start(), block.start() + block.bytes());
        let range = FlushRange::pages(thread.kernel.granule(), start, end);
        thread.flush_range(space, range).await;
    }
    Ok(())
}

async fn set_one<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    entry: Pte,
    dirty: bool,
) -> Result<bool, Error> {
    let changed = raw::set_access_flags(thread, ptr, entry).await?;
    if changed && dirty {
        thread.flush_page(space, ptr.va).await;
    }
    Ok(changed)
}
