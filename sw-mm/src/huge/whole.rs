// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! System calls on whole blocks: fork, mprotect, zap. Each says whether there was still a block; if not,
//! or if only a part of it is concerned, the caller goes on with the pages.

use super::{LEVEL, block_bytes, flush_of, is_block};
use crate::cpu::Cpu;
use crate::mm::{AddressSpace, Error, Found, Gather, Table};
use crate::pte::{Pte, raw};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// End of the block at `va` if all of it lies in `start..end`.
    pub(crate) fn whole_block(&self, va: u64, start: u64, end: u64) -> Option<u64> {
        let bytes = block_bytes(self.kernel.granule());
        let base = va & !(bytes - 1);
        (start <= base && base + bytes <= end).then_some(base + bytes)
    }

    /// Takes the block for `va` out, flushed when this returns: what is made in its place may be of
    /// another size (MM-38).
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn zap_block(
        &self,
        gather: &mut Gather,
        space: &Rc<AddressSpace>,
        table: &Rc<Table>,
        va: u64,
    ) -> Result<bool, Error> {
        let _upper = space.upper_lock.lock(&self.held).await;
        let _ptl = table.lock.lock(&self.held).await;
        let ptr = table.entry(&self.kernel, va)?;
        if !is_block(raw::get(self, ptr).await?) {
            return Ok(false);
        }
        let old = raw::get_and_clear(self, ptr).await?;
        if old.valid() {
            let range = flush_of(self.kernel.granule(), ptr);
            self.flush_range(space, range).await;
        }
        let Some(folio) = self.block_folio(old) else {
            return Err(Error::Corrupt {
                entry: old.0,
                va: ptr.va,
            });
        };
        // MM-36.
        if old.dirty() {
            folio.dirty.set(true);
        }
        if old.young() {
            folio.referenced.set(true);
        }
        let pages = folio.pages();
        folio.remove_map(0, pages);
        space.remove_resident(pages);
        gather.folio(folio, pages);
        Ok(true)
    }

    /// Makes the block for `va` what `modify` makes of it; flushed when this returns.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn protect_block(
        &self,
        space: &Rc<AddressSpace>,
        table: &Rc<Table>,
        va: u64,
        modify: impl Fn(Pte) -> Pte,
    ) -> Result<bool, Error> {
        let _ptl = table.lock.lock(&self.held).await;
        let ptr = table.entry(&self.kernel, va)?;
        if !is_block(raw::get(self, ptr).await?) {
            return Ok(false);
        }
        // In one access, so that the place is never empty and no mark of hardware is lost.
        let old = raw::update(self, ptr, &modify).await?;
        if old.valid() && modify(old) != old {
            let range = flush_of(self.kernel.granule(), ptr);
            self.flush_range(space, range).await;
        }
        Ok(true)
    }

    /// Maps the block that `from` has for `va` in the parent in the child too; both may only read it from
    /// now on. False also if it is pinned, because then the child needs copies of its pages.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] without a frame for a table, or the fault of an access.
    pub(crate) async fn copy_block(
        &self,
        child: &Rc<AddressSpace>,
        from: &Rc<Table>,
        va: u64,
    ) -> Result<bool, Error> {
        let Found::Table(to) = child.walk_or_make_to(self, va, LEVEL).await? else {
            return Ok(false);
        };
        // Two locks of one class nest in the order of their addresses.
        let (low, high) = match from.pa < to.pa {
            true => (from, &to),
            false => (&to, from),
        };
        let _low = low.lock.lock(&self.held).await;
        let _high = high.lock.lock(&self.held).await;
        let (parent_ptr, child_ptr) = (from.entry(&self.kernel, va)?, to.entry(&self.kernel, va)?);
        let pte = raw::get(self, parent_ptr).await?;
        if !is_block(pte) || !raw::get(self, child_ptr).await?.is_none() {
            return Ok(false);
        }
        let Some(folio) = self.block_folio(pte) else {
            return Ok(false);
        };
        if folio.maybe_pinned() && folio.anon_exclusive(0) {
            return Ok(false);
        }
        let pages = folio.pages();
        // References first, so that they are never fewer than the maps (MM-03).
        folio.get(pages);
        folio.add_map(0, pages);
        folio.set_anon_exclusive(0, pages, false);
        child.add_resident(pages);
        // The flush is that of fork (MM-16).
        let old = raw::update(self, parent_ptr, Pte::write_protect).await?;
        let copy = old.write_protect().with_young(false);
        raw::set(self, child_ptr, copy).await?;
        Ok(true)
    }
}
