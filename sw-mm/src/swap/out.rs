// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A folio leaves memory (section 11, MM-24): into the swap cache, out of every table, and, when no
//! core can write it any more, to its slot.

use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::Folio;
use crate::mm::Error;
use crate::pte::{Pte, SwapEntry};
use crate::thread::Thread;
use std::rc::Rc;

/// References to a folio that is in the swap cache and mapped nowhere: the cache and who swaps it out.
const UNMAPPED: u64 = 2;

impl<C: Cpu> Thread<C> {
    /// Takes the private memory in `folio` out of memory; a large folio is split first. The folio is
    /// freed on success.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Again`] if somebody holds it where it is, [`Error::OutOfMemory`] without a free slot,
    /// [`Error::Invalid`] for anything but private memory, or the fault of an access. The folio stays
    /// in memory then, if perhaps unmapped.
    pub async fn swap_out(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        if folio.references() == 0 {
            return Err(Error::NotMapped);
        }
        folio.get(1);
        let locked = self.lock_folio(folio).await;
        let split = self.split_for_swap(folio).await;
        let mut done = match split {
            Ok(_) => self.swap_out_locked(folio).await,
            Err(ref error) => Err(error.clone()),
        };
        drop(locked);
        self.kernel.put_folio(self.core, folio, 1);
        for page in split.unwrap_or_default() {
            let more = Box::pin(self.swap_out(&page)).await;
            // A page that is gone by itself is none the less out of memory.
            done = done.and(more.or_else(|error| match error {
                Error::NotMapped => Ok(()),
                error => Err(error),
            }));
        }
        done
    }

    async fn split_for_swap(&self, folio: &Rc<Folio>) -> Result<Vec<Rc<Folio>>, Error> {
        match folio.is_anon() {
            true => self.split_folio_locked(folio).await,
            false => Ok(Vec::new()),
        }
    }

    /// [`Thread::swap_out`] with the folio locked and a reference to it, which the caller drops.
    pub(crate) async fn swap_out_locked(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        let bytes = self.kernel.granule().bytes() << folio.order();
        let _span = self.span(Activity::SwapOut, 0, 0, bytes);
        if !folio.is_anon() && folio.swap.get().is_none() || folio.order() > 0 {
            return Err(Error::Invalid("only private pages are swapped"));
        }
        let swap = &self.kernel.swap;
        let cached = u64::from(folio.swap.get().is_some());
        if folio.maybe_pinned() || folio.references() != folio.mapcount() + cached + 1 {
            return Err(Error::Busy);
        }
        let entry = match folio.swap.get() {
            Some(entry) => entry,
            None => {
                let entry = swap.allocate().ok_or(Error::OutOfMemory)?;
                swap.insert(entry, folio);
                folio.dirty.set(true);
                entry
            }
        };
        self.swap_unmap(folio, entry).await?;
        let unused = || folio.mapcount() == 0 && folio.references() == UNMAPPED;
        if !unused() {
            return Err(Error::Busy);
        }
        // No core can write it since the flush of the last entry.
        if folio.dirty.replace(false) {
            match self.read_page(self.kernel.pa(folio.pfn())).await {
                Ok(content) => swap.write(entry, content),
                Err(error) => {
                    folio.dirty.set(true);
                    return Err(error);
                }
            }
            self.kernel.counters.swap_outs.increment();
        }
        // Meanwhile somebody may have found it in the cache.
        if !unused() || folio.dirty.get() {
            return Err(Error::Busy);
        }
        self.kernel.leave_swap_cache(self.core, entry);
        Ok(())
    }

    /// Replaces every table entry that maps `folio` by one that names `entry`.
    async fn swap_unmap(&self, folio: &Rc<Folio>, entry: SwapEntry) -> Result<(), Error> {
        let _walk = self.rmap_lock(folio).await;
        let mut spans = self.rmap_spans(folio);
        while let Some(span) = spans.next(self).await? {
            let _ptl = span.table.lock.lock(&self.held).await;
            if span.table.dead.get() || span.block {
                continue;
            }
            let ptr = span.table.entry(&self.kernel, span.va)?;
            if !self.maps(contpte::get(self, ptr).await?, folio, span.page) {
                continue;
            }
            // A pin is taken under the lock of the table.
            if folio.maybe_pinned() {
                return Err(Error::Busy);
            }
            let exclusive = folio.anon_exclusive(span.page);
            // A store of another core comes before the end of the flush or faults (MM-24).
            let old = contpte::clear_flush(self, &span.space, ptr).await?;
            if old.dirty() {
                folio.dirty.set(true);
            }
            self.kernel.swap.duplicate(entry);
            let pte = Pte::swap(entry, exclusive);
            contpte::set_ptes(self, &span.space, ptr, pte, 1).await?;
            folio.remove_map(span.page, 1);
            span.space.remove_resident(1);
            span.space.swapped.set(span.space.swapped.get() + 1);
            self.kernel.put_folio(self.core, folio, 1);
        }
        Ok(())
    }
}
