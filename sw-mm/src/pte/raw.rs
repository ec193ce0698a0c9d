// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Raw operations: each touches exactly the entry named, atomically against hardware updates.
//!
//! The caller holds the lock of the table for whatever changes an entry (G9). None of them flushes,
//! but for [`set_access_flags`] where it says so.

use super::{Pte, PtePtr};
use crate::cpu::{AccessSize, Cpu, Privilege};
use crate::mm::Error;
use crate::thread::Thread;
use vmsa::Descriptor;

const SIZE: AccessSize = AccessSize::Double;
const LEVEL: Privilege = Privilege::Privileged;

/// Reads an entry.
///
/// # Errors
/// The fault of the access, here and below.
pub async fn get<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<Pte, Error> {
    Ok(Pte(thread.cpu.load(ptr.slot, SIZE, LEVEL).await?))
}

/// Stores an entry. What hardware wrote there meanwhile is lost, so the old entry is not one that
/// hardware may update.
///
/// # Errors
/// As [`get`].
pub async fn set<C: Cpu>(thread: &Thread<C>, ptr: PtePtr, pte: Pte) -> Result<(), Error> {
    thread.held.changes_table(ptr.table);
    Ok(thread.cpu.store(ptr.slot, SIZE, LEVEL, pte.0).await?)
}

/// Stores `nr` entries, each for the next frame.
///
/// # Errors
/// As [`get`].
pub async fn set_many<C: Cpu>(
    thread: &Thread<C>,
    ptr: PtePtr,
    pte: Pte,
    nr: u64,
) -> Result<(), Error> {
    let granule = thread.kernel.granule();
    for page in 0..nr as i64 {
        set(thread, ptr.offset(page), pte.advance(granule, page)).await?;
    }
    Ok(())
}

/// Replaces an entry by what `change` makes of it, in one atomic access; returns the old one. Writes
/// nothing if nothing changes.
///
/// # Errors
/// As [`get`].
pub async fn update<C: Cpu>(
    thread: &Thread<C>,
    ptr: PtePtr,
    change: impl Fn(Pte) -> Pte,
) -> Result<Pte, Error> {
    thread.held.changes_table(ptr.table);
    let mut old = get(thread, ptr).await?;
    loop {
        let new = change(old);
        if new == old {
            return Ok(old);
        }
        let seen = thread
            .cpu
            .compare_and_swap(ptr.slot, SIZE, LEVEL, old.0, new.0)
            .await?;
        if seen == old.0 {
            return Ok(old);
        }
        old = Pte(seen);
    }
}

/// Replaces `old` by `new` unless the entry says something else by now; returns what it said.
///
/// # Errors
/// As [`get`].
pub async fn compare_and_swap<C: Cpu>(
    thread: &Thread<C>,
    ptr: PtePtr,
    old: Pte,
    new: Pte,
) -> Result<Pte, Error> {
    thread.held.changes_table(ptr.table);
    let seen = thread
        .cpu
        .compare_and_swap(ptr.slot, SIZE, LEVEL, old.0, new.0)
        .await?;
    Ok(Pte(seen))
}

/// Clears an entry and returns what it said, hardware updates included.
///
/// # Errors
/// As [`get`].
pub async fn get_and_clear<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<Pte, Error> {
    update(thread, ptr, |_| Pte::NONE).await
}

/// Clears the access flag; returns whether it was set.
///
/// # Errors
/// As [`get`].
pub async fn test_and_clear_young<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<bool, Error> {
    let old = update(thread, ptr, |pte| pte.with_young(false)).await?;
    Ok(old.young())
}

/// Takes write permission away; what hardware knew of dirt is kept in software.
///
/// # Errors
/// As [`get`].
pub async fn set_wrprotect<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<(), Error> {
    update(thread, ptr, Pte::write_protect).await?;
    Ok(())
}

/// Merges access flag, write permission and dirty state of `entry` into the entry, taking the more
/// permissive of each; every other bit is kept. Returns whether anything was to be changed. Flushes
/// nothing.
///
/// # Errors
/// As [`get`].
pub async fn set_access_flags<C: Cpu>(
    thread: &Thread<C>,
    ptr: PtePtr,
    entry: Pte,
) -> Result<bool, Error> {
    let old = update(thread, ptr, |pte| merge_access_flags(pte, entry)).await?;
    Ok(merge_access_flags(old, entry) != old)
}

/// What [`set_access_flags`] makes of `pte`.
pub fn merge_access_flags(pte: Pte, entry: Pte) -> Pte {
    const SOFTWARE_DIRTY: u64 = 1 << 55;
    let wanted = entry.descriptor();
    let merged = Descriptor(pte.0 | entry.0 & SOFTWARE_DIRTY);
    let merged = merged
        .with_af(merged.af() || wanted.af())
        .with_dbm(merged.dbm() || wanted.dbm())
        .with_ap_read_only(merged.ap_read_only() && wanted.ap_read_only());
    Pte(merged.0)
}
