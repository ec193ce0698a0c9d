// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Reclaim: folios that nobody used of late leave memory, so that others can have their frames.
//!
//! A folio that was accessed since reclaim last looked gets a second chance. Private memory goes to
//! swap; pages of files go if they hold what they would be read as again, which for a file without a
//! disk is what was never written (MM-36). An allocation that fails reclaims for itself (direct
//! reclaim), under whatever locks its caller holds: so nobody waits for a folio here, and nobody comes
//! here under a lock that spins.

use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::{Folio, Mapping};
use crate::huge::is_block;
use crate::mm::Error;
use crate::page::{NodeId, Request};
use crate::pte::raw;
use crate::thread::Thread;
use std::rc::Rc;

/// Pages that one round of reclaim is after (SWAP_CLUSTER_MAX).
const CLUSTER: u64 = 32;

/// Times that an allocation reclaims before it gives up.
const ROUNDS: u32 = 4;

/// References to a page of a file that is mapped nowhere: its file and who looks at it.
const UNMAPPED: u64 = 2;

/// What came of looking at a folio.
enum Shrunk {
    /// So many pages are free.
    Freed(u64),
    /// It stays, as the last to be looked at again.
    Kept,
}

impl<C: Cpu> Thread<C> {
    /// Frees pages of `node` until `pages` are free that were not, or every folio was looked at twice in
    /// vain; returns how many.
    ///
    /// # Errors
    /// The fault of an access.
    pub async fn reclaim(&self, node: NodeId, pages: u64) -> Result<u64, Error> {
        let _span = self.span(Activity::Reclaim, 0, 0, 0);
        let before = self.reclaiming.replace(true);
        let freed = self.shrink_node(node, pages).await;
        self.reclaiming.set(before);
        if let Ok(freed) = freed {
            self.kernel.counters.reclaimed.add(freed);
        }
        freed
    }

    async fn shrink_node(&self, node: NodeId, pages: u64) -> Result<u64, Error> {
        let (mut freed, mut vain) = (0, 0);
        // The second time what was used when it was looked at first is old, if nobody used it since; and
        // what was a page of a large folio then is one that can go by itself.
        while freed < pages && vain < 2 {
            let before = freed;
            for folio in self.kernel.lru.folios(node) {
                if freed < pages {
                    freed += self.look_at(&folio).await?;
                }
            }
            vain = if freed > before { 0 } else { vain + 1 };
        }
        Ok(freed)
    }

    /// Takes a folio out of memory if it is old; returns the pages that are free then.
    async fn look_at(&self, folio: &Rc<Folio>) -> Result<u64, Error> {
        if folio.references() == 0 || folio.isolated.get() {
            return Ok(0);
        }
        let Some(locked) = self.try_lock_folio(folio) else {
            return Ok(0);
        };
        folio.get(1);
        folio.isolated.set(true);
        let shrunk = self.shrink(folio).await;
        folio.isolated.set(false);
        drop(locked);
        if matches!(shrunk, Ok(Shrunk::Kept)) {
            self.kernel.lru.rotate(folio);
        }
        self.kernel.put_folio(self.core, folio, 1);
        match shrunk {
            Ok(Shrunk::Freed(pages)) => Ok(pages),
            Ok(Shrunk::Kept) => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn shrink(&self, folio: &Rc<Folio>) -> Result<Shrunk, Error> {
        if folio.maybe_pinned() || self.in_use(folio).await? {
            return Ok(Shrunk::Kept);
        }
        let done = match folio.mapping() {
            Mapping::File(_) => self.drop_file_page(folio).await,
            // Its pages follow it in the list if it is split.
            Mapping::Anon(_) | Mapping::None => self.swap_out_first(folio).await,
        };
        match done {
            Ok(()) => Ok(Shrunk::Freed(1)),
            Err(Error::Busy | Error::Again | Error::OutOfMemory | Error::Invalid(_)) => {
                Ok(Shrunk::Kept)
            }
            Err(error) => Err(error),
        }
    }

    async fn swap_out_first(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        self.split_folio_locked(folio).await?;
        self.swap_out_locked(folio).await
    }

    /// Whether somebody used the folio since this was asked last, or wants it to stay (mlock).
    async fn in_use(&self, folio: &Rc<Folio>) -> Result<bool, Error> {
        let mut used = folio.referenced.take();
        let _walk = self.rmap_lock(folio).await;
        let mut spans = self.rmap_spans(folio);
        while let Some(span) = spans.next(self).await? {
            if span.vma.flags().locked {
                return Ok(true);
            }
            let _ptl = span.table.lock.lock(&self.held).await;
            if span.table.dead.get() {
                continue;
            }
            let first = span.table.entry(&self.kernel, span.va)?;
            if span.block {
                let pte = raw::get(self, first).await?;
                let page = self.page_of_block(first, pte, span.va);
                if is_block(pte) && self.maps(page, folio, span.page) {
                    used |= raw::test_and_clear_young(self, first).await?;
                }
                continue;
            }
            let mut done = 0;
            while done < span.count {
                let ptr = first.offset(done as i64);
                let pte = contpte::get(self, ptr).await?;
                let mut next = 1;
                if pte.present() && self.maps(pte, folio, span.page + done) {
                    used |= contpte::test_and_clear_young(self, &span.space, ptr).await?;
                    next = contpte::batch_hint(&self.kernel, ptr, pte);
                }
                done += next;
            }
        }
        Ok(used)
    }

    /// Lets a page of a file go that was never written.
    async fn drop_file_page(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        let Mapping::File(file) = folio.mapping() else {
            return Err(Error::Busy);
        };
        if folio.dirty.get() || folio.references() != folio.mapcount() + UNMAPPED {
            return Err(Error::Busy);
        }
        self.unmap_clean(folio).await?;
        if folio.dirty.get() || folio.mapcount() > 0 || folio.references() != UNMAPPED {
            return Err(Error::Busy);
        }
        if let Some(cached) = file.remove(folio.index()) {
            folio.set_mapping(Mapping::None, 0);
            self.kernel.put_folio(self.core, &cached, 1);
        }
        Ok(())
    }

    /// Takes the entries of a page of a file out, until one says that it was written.
    async fn unmap_clean(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        let _walk = self.rmap_lock(folio).await;
        let mut spans = self.rmap_spans(folio);
        while let Some(span) = spans.next(self).await? {
            let _ptl = span.table.lock.lock(&self.held).await;
            if span.table.dead.get() || span.block {
                continue;
            }
            let ptr = span.table.entry(&self.kernel, span.va)?;
            let pte = contpte::get(self, ptr).await?;
            if !self.maps(pte, folio, span.page) {
                continue;
            }
            if pte.dirty() || folio.maybe_pinned() {
                folio.dirty.set(folio.dirty.get() || pte.dirty());
                return Err(Error::Busy);
            }
            // Hardware may have marked it since (MM-36).
            if contpte::clear_flush(self, &span.space, ptr).await?.dirty() {
                folio.dirty.set(true);
            }
            folio.remove_map(span.page, 1);
            span.space.remove_resident(1);
            self.kernel.put_folio(self.core, folio, 1);
        }
        Ok(())
    }

    /// Reclaims until `node` is above its high watermark, or nothing more can go: what the reclaimer of
    /// the node does when it is woken.
    ///
    /// # Errors
    /// The fault of an access.
    pub async fn balance(&self, node: NodeId) -> Result<(), Error> {
        while !self.kernel.memory.balanced(node, 0) {
            if self.reclaim(node, CLUSTER).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Calls `allocate` for `request`; if there is no memory, makes some and calls it again. An
    /// allocation of reclaim itself takes from the reserve instead.
    ///
    /// # Errors
    /// Those of `allocate`, or the fault of an access.
    pub(crate) async fn allocate_with<T>(
        &self,
        request: &Request,
        allocate: impl Fn(&Request) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.reclaiming.get() {
            return allocate(&request.reserve());
        }
        // Large folios do without, and so does who wants one node only.
        let patient = request.order == 0 && !request.this_node;
        for _ in 0..ROUNDS {
            match allocate(request) {
                Err(Error::OutOfMemory) if patient && !self.kernel.memory.failed_on_demand() => {
                    if !self.direct_reclaim(request).await? {
                        break;
                    }
                }
                Ok(allocated) => {
                    self.wake_reclaimer(request.node).await?;
                    return Ok(allocated);
                }
                failed => return failed,
            }
        }
        allocate(request)
    }

    /// Frees some pages of the nodes that may serve `request`; whether there were any.
    async fn direct_reclaim(&self, request: &Request) -> Result<bool, Error> {
        self.held.may_sleep();
        let nodes = self.kernel.memory.zonelist(request.node).to_vec();
        for node in nodes {
            if request.allowed.contains(node) && Box::pin(self.reclaim(node, CLUSTER)).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does the work of the reclaimer of `node` if an allocation left it too few pages.
    async fn wake_reclaimer(&self, node: NodeId) -> Result<(), Error> {
        let memory = &self.kernel.memory;
        if memory.take_reclaim_wanted(node) && memory.below_low(node) {
            Box::pin(self.balance(node)).await?;
        }
        Ok(())
    }
}
