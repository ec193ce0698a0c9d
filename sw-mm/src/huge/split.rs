// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A block becomes a table of pages with the same frames, permission, access flag and dirty state
//! (MM-38): break-before-make, so that no TLB has both sizes.

use super::{block_order, flush_of, is_block};
use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::Folio;
use crate::mm::{AddressSpace, Error, Table};
use crate::pte::{Pte, raw};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// Splits the block that `table`, of level 2, has for `va`, if it still has one. No lock that spins
    /// and none of the reverse map is held.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] without a frame for the table, or the fault of an access.
    pub(crate) async fn split_block(
        &self,
        space: &Rc<AddressSpace>,
        table: &Rc<Table>,
        va: u64,
    ) -> Result<(), Error> {
        let ptr = table.entry(&self.kernel, va)?;
        let below = Table::allocate(self, space.number(), table.level + 1, ptr.va).await?;
        let split = self.split_block_into(space, table, va, &below).await;
        if !matches!(split, Ok(true)) {
            self.kernel.free_block(self.core, below.pfn, 0);
        }
        split.map(|_| ())
    }

    /// Puts `below` into the place of the block; false if there is none any more.
    async fn split_block_into(
        &self,
        space: &Rc<AddressSpace>,
        table: &Rc<Table>,
        va: u64,
        below: &Rc<Table>,
    ) -> Result<bool, Error> {
        let granule = self.kernel.granule();
        let _upper = space.upper_lock.lock(&self.held).await;
        let _ptl = table.lock.lock(&self.held).await;
        let ptr = table.entry(&self.kernel, va)?;
        if table.dead.get() || !is_block(raw::get(self, ptr).await?) {
            return Ok(false);
        }
        let bytes = 1 << ptr.shift;
        let _span = self.span(Activity::SplitHuge, space.number(), ptr.va, bytes);
        // What hardware marks until here is in `old`; from here on it marks nothing.
        let old = raw::update(self, ptr, Pte::make_prot_none).await?;
        if old.valid() {
            self.flush_range(space, flush_of(granule, ptr)).await;
        }
        {
            // Nobody else knows the table.
            let _entries = below.lock.try_lock(&self.held);
            let first = below.entry(&self.kernel, ptr.va)?;
            let pages = granule.entries();
            contpte::set_ptes(self, space, first, old.as_page(), pages).await?;
        }
        space.link(self, ptr, below).await?;
        self.kernel.counters.splits.increment();
        Ok(true)
    }

    /// Splits every block that maps `folio`, which is locked.
    ///
    /// # Errors
    /// As [`Thread::split_block`].
    pub(crate) async fn split_blocks_of(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        if block_order(self.kernel.granule()) != Some(folio.order()) {
            return Ok(());
        }
        loop {
            let block = {
                let _walk = self.rmap_lock(folio).await;
                let mut spans = self.rmap_spans(folio);
                loop {
                    match spans.next(self).await? {
                        Some(span) if !span.block => {}
                        found => break found,
                    }
                }
            };
            match block {
                Some(span) => self.split_block(&span.space, &span.table, span.va).await?,
                None => return Ok(()),
            }
        }
    }
}
