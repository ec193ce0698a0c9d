// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Transparent contiguous mappings: the public operations on last-level entries, which keep contiguous
//! runs consistent (contract: contpte).

use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::mm::{AddressSpace, Error};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;

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

/// Entries from `ptr` to the end of its contiguous run; 1 outside of one.
pub fn batch_hint(kernel: &Kernel, ptr: PtePtr, pte: Pte) -> u64 {
    let _ = (kernel, ptr, pte);
    1
}

/// Reads an entry, with the access flag and dirty state of its run. The lock is held.
///
/// # Errors
/// The fault of an access, here and below.
pub async fn get<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<Pte, Error> {
    raw::get(thread, ptr).await
}

/// As [`get`], without the lock.
///
/// # Errors
/// As [`get`].
pub async fn get_lockless<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<Pte, Error> {
    raw::get(thread, ptr).await
}

/// The first of `count` entries, with the access flag and dirty state of all of them.
///
/// # Errors
/// As [`get`].
pub async fn get_batch<C: Cpu>(thread: &Thread<C>, ptr: PtePtr, count: u64) -> Result<Pte, Error> {
    let mut first = get(thread, ptr).await?;
    for page in 1..count as i64 {
        let pte = raw::get(thread, ptr.offset(page)).await?;
        first = first.with_young(first.young() || pte.young());
        if pte.dirty() {
            first = first.make_dirty();
        }
    }
    Ok(first)
}

/// Stores `nr` entries that map consecutive pages of one folio; with `nr` > 1 none of them was
/// present.
///
/// # Errors
/// As [`get`].
pub async fn set_ptes<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    pte: Pte,
    nr: u64,
) -> Result<(), Error> {
    let _ = space;
    raw::set_many(thread, ptr, pte, nr).await
}

/// Clears an entry and returns what it said.
///
/// # Errors
/// As [`get`].
pub async fn get_and_clear<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<Pte, Error> {
    let _ = space;
    raw::get_and_clear(thread, ptr).await
}

/// Clears `nr` entries; returns the first, with the access flag and dirty state of all of them. The
/// caller flushes.
///
/// # Errors
/// As [`get`].
pub async fn clear_ptes<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    nr: u64,
) -> Result<Pte, Error> {
    let _ = space;
    let mut first = raw::get_and_clear(thread, ptr).await?;
    for page in 1..nr as i64 {
        let pte = raw::get_and_clear(thread, ptr.offset(page)).await?;
        first = first.with_young(first.young() || pte.young());
        if pte.dirty() {
            first = first.make_dirty();
        }
    }
    Ok(first)
}

/// Clears an entry, flushes its page, and returns what it said.
///
/// # Errors
/// As [`get`].
pub async fn clear_flush<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<Pte, Error> {
    let old = get_and_clear(thread, space, ptr).await?;
    thread.flush_page(space, ptr.va).await;
    Ok(old)
}

/// Takes write permission away from `nr` entries. The caller flushes.
///
/// # Errors
/// As [`get`].
pub async fn set_wrprotects<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    nr: u64,
) -> Result<(), Error> {
    let _ = space;
    for page in 0..nr as i64 {
        raw::set_wrprotect(thread, ptr.offset(page)).await?;
    }
    Ok(())
}

/// Clears the access flag; returns whether the page, or its run, was accessed. Nobody flushes.
///
/// # Errors
/// As [`get`].
pub async fn test_and_clear_young<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<bool, Error> {
    let _ = space;
    raw::test_and_clear_young(thread, ptr).await
}

/// As [`test_and_clear_young`], with an invalidation that completes at the next barrier.
///
/// # Errors
/// As [`get`].
pub async fn clear_flush_young<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
) -> Result<bool, Error> {
    let young = test_and_clear_young(thread, space, ptr).await?;
    if young {
        thread.flush_page_nosync(space, ptr.va).await;
    }
    Ok(young)
}

/// Merges access flag, write permission and dirty state of `entry` into the entry; with `dirty` (the
/// fault was a store) flushes it if it changed. Returns whether anything was to be changed.
///
/// # Errors
/// As [`get`].
pub async fn set_access_flags<C: Cpu>(
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
