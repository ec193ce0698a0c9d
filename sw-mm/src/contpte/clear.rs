// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries taken out. A block that goes as a whole needs no conversion: nothing of it is left that
//! could disagree, and the flush of the caller removes its TLB entry.

use super::block::gather;
use super::convert::{try_unfold, unfold_ends};
use crate::cpu::Cpu;
use crate::mm::{AddressSpace, Error};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;

/// Clears an entry and returns what it said, with the access flag and dirty state of its block.
///
/// # Errors
/// The fault of an access.
pub async fn get_and_clear<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<Pte, Error> {
    // The conversion gives every entry the state of all.
    try_unfold(thread, space, ptr).await?;
    raw::get_and_clear(thread, ptr).await
}

/// Clears `nr` entries; returns the first, with the access flag and dirty state of all of them
/// (CONTPTE-26, CONTPTE-27). The caller flushes.
///
/// # Errors
/// The fault of an access.
pub async fn clear_ptes<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    nr: u64,
) -> Result<Pte, Error> {
    unfold_ends(thread, space, ptr, nr).await?;
    let mut first = raw::get_and_clear(thread, ptr).await?;
    for page in 1..nr as i64 {
        let pte = raw::get_and_clear(thread, ptr.offset(page)).await?;
        first = gather(first, pte);
    }
    Ok(first)
}

/// Clears an entry, flushes its page, and returns what it said.
///
/// # Errors
/// The fault of an access.
pub async fn clear_flush<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<Pte, Error> {
    let old = get_and_clear(thread, space, ptr).await?;
    thread.flush_page(space, ptr.va).await;
    Ok(old)
}
