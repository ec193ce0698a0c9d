// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! fork: a second address space with the same pages, which both may only read from now on (section 7).

use super::batch::Alike;
use super::error::Error;
use super::space::AddressSpace;
use super::table::{Found, Table};
use super::vma::{Vma, VmaFlags};
use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::Folio;
use crate::pte::{Kind, Pte, PtePtr};
use crate::thread::Thread;
use crate::uffd::Owed;
use std::rc::Rc;
use vmsa::geometry;

/// One place in both address spaces.
struct Pair {
    parent: PtePtr,
    child: PtePtr,
}

impl<C: Cpu> Thread<C> {
    /// Duplicates the address space of this thread. When it returns, no core can write a page that both
    /// share (MM-16).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; the child is taken down again then, and the parent goes on as before.
    pub async fn fork(&self) -> Result<Rc<AddressSpace>, Error> {
        let parent = self.space().ok_or(Error::NotMapped)?;
        let _span = self.span(Activity::Fork, parent.number(), 0, 0);
        let child = AddressSpace::new(self).await?;
        child.policy.set(parent.policy.get());
        let mut owed = Owed::default();
        let copied = {
            let _parent = parent.mmap_lock.write(&self.held).await;
            let _child = child.mmap_lock.write(&self.held).await;
            let copied = self.copy_areas(&parent, &child, &mut owed).await;
            // Also after a failure: what was write-protected by then is held by TLBs as writable.
            self.flush_mm(&parent).await;
            copied
        };
        match copied {
            Ok(()) => {
                owed.deliver(self).await;
                Ok(child)
            }
            Err(error) => {
                owed.cancel();
                self.exit_space(&child).await?;
                Err(error)
            }
        }
    }

    async fn copy_areas(
        &self,
        parent: &Rc<AddressSpace>,
        child: &Rc<AddressSpace>,
        owed: &mut Owed,
    ) -> Result<(), Error> {
        for vma in parent.areas() {
            if vma.flags().dont_fork {
                continue;
            }
            let copy = vma.copy_at(vma.start(), vma.bytes(), vma.start());
            // Locks on memory are not inherited.
            copy.set_flags(VmaFlags {
                locked: false,
                ..vma.flags()
            });
            copy.set_user_fault_context(owed.fork(self, &vma, child).await);
            child.insert(copy);
            // A walk that does not know the child is over before an entry is copied, so that it cannot
            // leave one behind.
            self.wait_for_walks(&vma).await;
            // Pages of a shared file mapping come back with the faults.
            if vma.is_anonymous() || vma.anon_vma().is_some() {
                self.copy_range(parent, child, &vma).await?;
            }
        }
        Ok(())
    }

    async fn copy_range(
        &self,
        parent: &Rc<AddressSpace>,
        child: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
    ) -> Result<(), Error> {
        let granule = self.kernel.granule();
        let mut va = vma.start();
        while va < vma.end() {
            match parent.walk(self, va).await? {
                Found::Nothing(level) => {
                    let bytes = geometry::level_bytes(granule, level);
                    va = (va & !(bytes - 1)).saturating_add(bytes);
                }
                Found::Block(from, ..) => {
                    let whole = self.whole_block(va, vma.start(), vma.end());
                    match whole {
                        Some(end) if self.copy_block(child, &from, va).await? => va = end,
                        _ => self.split_block(parent, &from, va).await?,
                    }
                }
                Found::Table(from) => {
                    let Found::Table(to) = child.walk_or_make(self, va).await? else {
                        return Err(Error::Exists);
                    };
                    let end = vma.end().min(from.end(&self.kernel));
                    self.copy_table(parent, child, vma, (&from, &to), (va, end))
                        .await?;
                    va = end;
                }
            }
        }
        Ok(())
    }

    async fn copy_table(
        &self,
        parent: &Rc<AddressSpace>,
        child: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
        (from, to): (&Table, &Table),
        (start, end): (u64, u64),
    ) -> Result<(), Error> {
        // Two locks of one class nest in the order of their addresses.
        let (low, high) = if from.pa < to.pa {
            (from, to)
        } else {
            (to, from)
        };
        let mut va = start;
        while va < end {
            // A copy for a pinned page is taken before the locks, because an allocation may sleep.
            let pinned = {
                let _low = low.lock.lock(&self.held).await;
                let _high = high.lock.lock(&self.held).await;
                loop {
                    if va >= end {
                        break None;
                    }
                    let pair = Pair {
                        parent: from.entry(&self.kernel, va)?,
                        child: to.entry(&self.kernel, va)?,
                    };
                    let most = (end - va) >> pair.parent.shift;
                    match self.copy_entry(parent, child, vma, &pair, most).await? {
                        Copied::Entries(count) => va += count << pair.parent.shift,
                        Copied::Pinned(folio, page) => break Some((folio, page)),
                    }
                }
            };
            if let Some((folio, page)) = pinned {
                self.copy_pinned(child, vma, to, va, (&folio, page)).await?;
                va += 1 << from.entry(&self.kernel, va)?.shift;
            }
        }
        Ok(())
    }

    async fn copy_entry(
        &self,
        parent: &Rc<AddressSpace>,
        child: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
        pair: &Pair,
        most: u64,
    ) -> Result<Copied, Error> {
        let pte = contpte::get(self, pair.parent).await?;
        match pte.kind() {
            Kind::None => Ok(Copied::Entries(1)),
            Kind::Present | Kind::ProtNone => {
                self.copy_present(parent, child, vma, pair, pte, most).await
            }
            Kind::Swap { .. } | Kind::Migration(_) | Kind::Unknown => {
                let shared = vma.flags().shared;
                self.copy_absent((parent, pair.parent), (child, pair.child), pte, shared)
                    .await?;
                Ok(Copied::Entries(1))
            }
        }
    }

    async fn copy_present(
        &self,
        parent: &Rc<AddressSpace>,
        child: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
        pair: &Pair,
        pte: Pte,
        most: u64,
    ) -> Result<Copied, Error> {
        let shared = vma.flags().shared;
        let batch = self
            .batch(pair.parent, pte, most, Alike::StateAndWrite)
            .await?;
        let Some(batch) = batch else {
            // The zero page: nothing counts it.
            let copy = pte.with_cont(false);
            contpte::set_ptes(self, child, pair.child, copy, 1).await?;
            return Ok(Copied::Entries(1));
        };
        let (folio, page, count) = (&batch.folio, batch.page, batch.count);
        if !shared && folio.is_anon() && folio.maybe_pinned() && folio.anon_exclusive(page) {
            return Ok(Copied::Pinned(Rc::clone(folio), page));
        }
        // References first, so that they are never fewer than the maps (MM-03).
        folio.get(count);
        folio.add_map(page, count);
        child.add_resident(count);
        let mut copy = contpte::get_batch(self, pair.parent, count).await?;
        if !shared {
            folio.set_anon_exclusive(page, count, false);
            if batch.any_writable {
                contpte::set_wrprotects(self, parent, pair.parent, count).await?;
            }
            copy = copy.write_protect();
        } else {
            copy = copy.make_clean();
            if batch.any_writable && !pte.writable() {
                copy = copy.write_protect();
            }
        }
        let copy = copy.with_young(false).with_cont(false);
        contpte::set_ptes(self, child, pair.child, copy, count).await?;
        Ok(Copied::Entries(count))
    }

    /// The frames of a pinned page belong to the parent: the child gets a copy at once.
    async fn copy_pinned(
        &self,
        child: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
        to: &Table,
        va: u64,
        (folio, page): (&Rc<Folio>, u64),
    ) -> Result<(), Error> {
        let request = self.request_for(child, vma, va, 0);
        let (copy, _) = self.allocate_folio(&request).await?;
        if let Err(error) = self.copy_pages((folio, page), (&copy, 0), 1).await {
            self.kernel.put_folio(self.core, &copy, 1);
            return Err(error);
        }
        self.kernel.counters.copies.increment();
        copy.set_mapping(folio.mapping(), vma.index(va));
        copy.add_map(0, 1);
        copy.set_anon_exclusive(0, 1, true);
        self.kernel.add_to_lru(&copy);
        child.add_resident(1);
        let pte = vma.protect(Pte::page(self.kernel.granule(), copy.pfn()));
        let pte = if vma.protection().write {
            pte.make_writable().make_dirty()
        } else {
            pte
        };
        let _ptl = to.lock.lock(&self.held).await;
        let ptr = to.entry(&self.kernel, va)?;
        contpte::set_ptes(self, child, ptr, pte, 1).await
    }
}

enum Copied {
    /// So many entries are done.
    Entries(u64),
    /// The next page of this folio is pinned.
    Pinned(Rc<Folio>, u64),
}
