// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A large folio becomes folios of one page each, which can be swapped, aged and moved by themselves.
//!
//! Its entries are migration entries meanwhile, so that nobody gets a reference that would be of the
//! wrong folio, and contiguous runs, which lie in one folio by contract, come back as single pages.

use crate::cpu::Cpu;
use crate::folio::{Folio, LockedFolio, Owner};
use crate::mm::Error;
use crate::page::Pfn;
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// Splits `folio`, which becomes its first page; returns the others. Frames, contents, rights and
    /// what the pages are found from stay the same.
    ///
    /// # Errors
    /// [`Error::Busy`] if it is pinned, [`Error::Again`] if somebody else works with it,
    /// [`Error::Invalid`] for anything but private memory, or the fault of an access. The folio is whole
    /// then.
    pub async fn split_folio(&self, folio: &Rc<Folio>) -> Result<Vec<Rc<Folio>>, Error> {
        if folio.references() == 0 {
            return Err(Error::NotMapped);
        }
        folio.get(1);
        let locked = self.lock_folio(folio).await;
        let split = self.split_folio_locked(folio).await;
        drop(locked);
        self.kernel.put_folio(self.core, folio, 1);
        split
    }

    /// [`Thread::split_folio`] with the folio locked and a reference to it.
    pub(crate) async fn split_folio_locked(
        &self,
        folio: &Rc<Folio>,
    ) -> Result<Vec<Rc<Folio>>, Error> {
        if folio.order() == 0 {
            return Ok(Vec::new());
        }
        if !folio.is_anon() {
            return Err(Error::Invalid("only private memory is split"));
        }
        if folio.maybe_pinned() {
            return Err(Error::Busy);
        }
        let alone = match self.unmap_for_migration(folio).await {
            Ok(()) => self.frozen(folio),
            Err(error) => Err(error),
        };
        if let Err(error) = alone {
            self.remove_migration_entries(folio.pfn(), folio).await?;
            return Err(error);
        }
        // Whoever faults on a page waits for the lock of its own folio from now on.
        let tail = self.divide(folio);
        self.remove_migration_entries(folio.pfn(), folio).await?;
        let mut folios = Vec::with_capacity(tail.len());
        for (page, locked) in tail {
            self.remove_migration_entries(page.pfn(), &page).await?;
            drop(locked);
            self.kernel.put_folio(self.core, &page, 1);
            folios.push(page);
        }
        self.kernel.counters.folio_splits.increment();
        Ok(folios)
    }

    /// Makes a folio of every page but the first, all at one point in time; each is locked and has one
    /// reference.
    fn divide(&self, folio: &Rc<Folio>) -> Vec<(Rc<Folio>, Option<LockedFolio>)> {
        let kernel = &self.kernel;
        let pages = folio.pages();
        // A block that is not in use stays as it is; the audit of the allocator tells.
        let _ = kernel.memory.split(folio.pfn(), folio.order());
        folio.cut_tail();
        (1..pages)
            .map(|page| {
                let pfn = Pfn(folio.pfn().0 + page);
                let new = Rc::new(Folio::new(pfn, 0, folio.node()));
                new.set_mapping(folio.mapping(), folio.index() + page);
                new.dirty.set(folio.dirty.get());
                new.referenced.set(folio.referenced.get());
                new.active.set(folio.active.get());
                kernel.frames.insert(pfn, Owner::Folio(Rc::clone(&new)));
                kernel.add_to_lru(&new);
                // Nobody else knows it.
                let locked = self.try_lock_folio(&new);
                (new, locked)
            })
            .collect()
    }
}
