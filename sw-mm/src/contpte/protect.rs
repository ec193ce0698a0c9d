// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Write permission taken away. Whole blocks stay folded: all of their entries end alike, and until the
//! flush of the caller a store may find the old permission or the new one (CONTPTE-17).

use super::block::Block;
use super::convert::{try_fold, unfold_ends};
use crate::cpu::Cpu;
use crate::mm::{AddressSpace, Error};
use crate::pte::{PtePtr, raw};
use crate::thread::Thread;

/// Takes write permission away from `nr` entries; what hardware knew of dirt is kept in software
/// (CONTPTE-20). The caller flushes.
///
/// # Errors
/// The fault of an access.
pub async fn set_wrprotects<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    nr: u64,
) -> Result<(), Error> {
    unfold_ends(thread, space, ptr, nr).await?;
    for page in 0..nr as i64 {
        raw::set_wrprotect(thread, ptr.offset(page)).await?;
    }
    if thread.kernel.config().contpte.eager {
        fold_head(thread, space, ptr, nr).await?;
    }
    Ok(())
}

/// The first block, if it was changed in part and up to its end, may be uniform now. Of a last block
/// changed in part the last entry is not the one that changed.
async fn fold_head<C: Cpu>(
    thread: &Thread<C>,
    space: &AddressSpace,
    ptr: PtePtr,
    nr: u64,
) -> Result<(), Error> {
    let block = Block::around(thread.kernel.granule(), ptr);
    let index = block.index(ptr);
    if index > 0 && nr >= block.pages - index {
        let last = raw::get(thread, block.last()).await?;
        try_fold(thread, space, block.last(), last).await?;
    }
    Ok(())
}
