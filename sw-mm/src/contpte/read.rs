// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What an entry says: access flag and dirty state of a folded block are those of any of its entries,
//! because hardware may update only one.

use super::block::{Block, folded, gather};
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::mm::Error;
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;

/// Entries from `ptr`, which reads `pte`, to the end of its folded block; 1 outside of one.
pub fn batch_hint(kernel: &Kernel, ptr: PtePtr, pte: Pte) -> u64 {
    if !folded(kernel, pte) {
        return 1;
    }
    let block = Block::around(kernel.granule(), ptr);
    block.pages - block.index(ptr)
}

/// Reads an entry, with the access flag and dirty state of its block (CONTPTE-13). The lock is held.
/// The contiguous bit is left in, so that the size of the leaf can be told; what stores entries takes
/// it off again.
///
/// # Errors
/// The fault of an access.
pub async fn get<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<Pte, Error> {
    let mut pte = raw::get(thread, ptr).await?;
    if folded(&thread.kernel, pte) {
        for entry in Block::around(thread.kernel.granule(), ptr).entries() {
            pte = gather(pte, raw::get(thread, entry).await?);
        }
    }
    Ok(pte)
}

/// As [`get`], without the lock: reads again until all entries of the block agree, so that what it
/// returns was there at one time (CONTPTE-14).
///
/// # Errors
/// The fault of an access.
pub async fn get_lockless<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<Pte, Error> {
    loop {
        let pte = raw::get(thread, ptr).await?;
        if !folded(&thread.kernel, pte) {
            return Ok(pte);
        }
        if let Some(consistent) = gather_consistent(thread, ptr, pte).await? {
            return Ok(consistent);
        }
    }
}

/// `pte`, read at `ptr`, with the state of its block; `None` if an entry says that the block is being
/// changed.
async fn gather_consistent<C: Cpu>(
    thread: &Thread<C>,
    ptr: PtePtr,
    pte: Pte,
) -> Result<Option<Pte>, Error> {
    let granule = thread.kernel.granule();
    let block = Block::around(granule, ptr);
    let first = pte.norm().advance(granule, -(block.index(ptr) as i64));
    let mut gathered = pte;
    for (page, entry) in block.entries().enumerate() {
        let member = raw::get(thread, entry).await?;
        let expected = first.advance(granule, page as i64);
        if !folded(&thread.kernel, member) || member.norm() != expected {
            return Ok(None);
        }
        gathered = gather(gathered, member);
    }
    Ok(Some(gathered))
}

/// The first of `count` entries, with the access flag and dirty state of all of them and of the blocks
/// that they reach into. The lock is held.
///
/// # Errors
/// The fault of an access.
pub async fn get_batch<C: Cpu>(thread: &Thread<C>, ptr: PtePtr, count: u64) -> Result<Pte, Error> {
    let mut first = get(thread, ptr).await?;
    let mut page = batch_hint(&thread.kernel, ptr, first);
    while page < count {
        let next = ptr.offset(page as i64);
        let pte = get(thread, next).await?;
        first = gather(first, pte);
        page += batch_hint(&thread.kernel, next, pte);
    }
    Ok(first)
}
