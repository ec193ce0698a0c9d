// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A store to a page that is mapped without write permission: reuse it if nobody else has it, else
//! copy it (section 6, MM-08, MM-09, MM-10).

use super::error::Error;
use super::fault::Fault;
use super::table::Table;
use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::{Folio, Mapping};
use crate::lock::Guard;
use crate::pte::{Pte, PtePtr};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// `pte` at `ptr` refuses the store that `fault` is about; `ptl` is the table's lock.
    pub(crate) async fn write_protected(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
        pte: Pte,
        ptl: Guard,
    ) -> Result<(), Error> {
        let granule = self.kernel.granule();
        let folio = self.kernel.frames.folio(pte.pfn(granule));
        let Some(folio) = folio.filter(|_| !pte.special()) else {
            drop(ptl);
            return self.replace(fault, table, ptr, pte, None).await;
        };
        let page = folio.page_of(pte.pfn(granule));
        if fault.vma.flags().shared {
            folio.dirty.set(true);
            return self.make_writable(fault, ptr, pte).await;
        }
        if folio.is_anon() && self.reusable(&folio, page) {
            folio.set_anon_exclusive(page, 1, true);
            self.kernel.counters.reuses.increment();
            return self.make_writable(fault, ptr, pte).await;
        }
        // It stays where it is until it has been copied.
        folio.get(1);
        drop(ptl);
        let replaced = self
            .replace(fault, table, ptr, pte, Some((&folio, page)))
            .await;
        self.kernel.put_folio(self.core, &folio, 1);
        replaced
    }

    /// Whether the page belongs to this address space alone (MM-10).
    fn reusable(&self, folio: &Folio, page: u64) -> bool {
        folio.anon_exclusive(page)
            || folio.order() == 0 && folio.swap.get().is_none() && folio.references() == 1
    }

    /// Permission is relaxed in place, without a flush: whoever holds the old entry faults once more and
    /// flushes for itself (MM-13).
    async fn make_writable(&self, fault: &Fault, ptr: PtePtr, pte: Pte) -> Result<(), Error> {
        let wanted = pte.with_young(true).make_writable().make_dirty();
        contpte::set_access_flags(self, &fault.space, ptr, wanted, true).await?;
        Ok(())
    }

    /// Maps a page of this address space's own in the place of `old`.
    async fn replace(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
        old: Pte,
        from: Option<(&Rc<Folio>, u64)>,
    ) -> Result<(), Error> {
        let bytes = self.kernel.granule().bytes();
        let _span = self.span(Activity::CopyOnWrite, fault.space.number(), fault.va, bytes);
        fault.space.prepare_anon_vma(&fault.vma);
        let copy = match from {
            Some((folio, page)) => self.private_copy(fault, folio, page).await?,
            None => {
                let request = self.request_for(&fault.space, &fault.vma, fault.va, 0);
                let new = self.allocate_zeroed_folio(&request).await?;
                self.belongs_to(fault, &new);
                new
            }
        };
        let _ptl = table.lock.lock(&self.held).await;
        let now = contpte::get(self, ptr).await?;
        if !now.valid() || now.norm() != old.norm() {
            self.kernel.put_folio(self.core, &copy, 1);
            return Ok(());
        }
        // Nobody may read the old page once somebody can write the new one (MM-09).
        contpte::clear_flush(self, &fault.space, ptr).await?;
        self.map_private(fault, ptr, &copy).await?;
        match from {
            Some((folio, page)) => {
                folio.remove_map(page, 1);
                self.kernel.put_folio(self.core, folio, 1);
            }
            None => fault.space.add_resident(1),
        }
        Ok(())
    }

    fn belongs_to(&self, fault: &Fault, folio: &Folio) {
        let anon_vma = fault.space.prepare_anon_vma(&fault.vma);
        folio.set_mapping(Mapping::Anon(anon_vma), fault.vma.index(fault.va));
    }

    /// A new folio of one page with the contents of page `page` of `from`.
    pub(crate) async fn private_copy(
        &self,
        fault: &Fault,
        from: &Folio,
        page: u64,
    ) -> Result<Rc<Folio>, Error> {
        let request = self.request_for(&fault.space, &fault.vma, fault.va, 0);
        let (copy, _) = self.allocate_folio(&request).await?;
        let bytes = self.kernel.granule().bytes();
        let _span = self.span(Activity::CopyPage, fault.space.number(), fault.va, bytes);
        if let Err(error) = self.copy_pages((from, page), (&copy, 0), 1).await {
            self.kernel.put_folio(self.core, &copy, 1);
            return Err(error);
        }
        self.kernel.counters.copies.increment();
        self.belongs_to(fault, &copy);
        Ok(copy)
    }

    /// Maps a page that is this address space's own; the entry is empty and its lock held.
    pub(crate) async fn map_private(
        &self,
        fault: &Fault,
        ptr: PtePtr,
        folio: &Rc<Folio>,
    ) -> Result<(), Error> {
        folio.add_map(0, 1);
        folio.set_anon_exclusive(0, 1, true);
        self.kernel.add_to_lru(folio);
        let pte = Pte::page(self.kernel.granule(), folio.pfn()).with_young(true);
        let mut pte = fault.vma.protect(pte).make_dirty();
        // Not so if it was only unshared.
        if fault.vma.protection().write {
            pte = pte.make_writable();
        }
        contpte::set_ptes(self, &fault.space, ptr, pte, 1).await
    }
}
