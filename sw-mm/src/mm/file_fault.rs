// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Missing pages of file mappings: the page of the cache, read-only at first so that the first store
//! is noticed; a private one is copied for a store.

use super::error::{Error, Signal};
use super::fault::Fault;
use super::table::Table;
use crate::contpte;
use crate::cpu::Cpu;
use crate::file::File;
use crate::folio::{Folio, Mapping};
use crate::pte::{Pte, PtePtr};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    pub(crate) async fn fault_file(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
    ) -> Result<(), Error> {
        let (vma, va) = (&fault.vma, fault.va);
        let Some(file) = vma.file() else {
            return Err(Error::segv(va));
        };
        let index = vma.index(va);
        if index >= file.length() {
            let signal = Signal::Bus;
            return Err(Error::Signal { signal, va });
        }
        let (folio, _locked) = loop {
            let folio = self.cached_page(fault, &file, index).await?;
            if fault.write && !vma.flags().shared {
                return self.copy_missing(fault, table, ptr, &folio, index).await;
            }
            // Under its lock, so that nobody moves it or takes it out of memory meanwhile.
            let locked = self.lock_folio(&folio).await;
            if file.page(index).is_some_and(|now| Rc::ptr_eq(&now, &folio)) {
                break (folio, locked);
            }
            drop(locked);
            self.kernel.put_folio(self.core, &folio, 1);
        };
        let _ptl = table.lock.lock(&self.held).await;
        if !contpte::get(self, ptr).await?.is_none() {
            self.kernel.put_folio(self.core, &folio, 1);
            return Ok(());
        }
        self.flush_pending(&fault.space, ptr.va, 1 << ptr.shift)
            .await;
        // The reference of the lookup becomes that of the entry.
        let page = index - folio.index();
        folio.add_map(page, 1);
        fault.space.add_resident(1);
        let pte = Pte::page(self.kernel.granule(), folio.pfn())
            .advance(self.kernel.granule(), page as i64)
            .with_young(true);
        let mut pte = vma.protect(pte);
        if vma.flags().shared && vma.protection().write {
            pte = pte.make_writable();
        }
        if fault.write {
            pte = pte.make_dirty();
            folio.dirty.set(true);
        }
        contpte::set_ptes(self, &fault.space, ptr, pte, 1).await
    }

    /// The folio of a page of a file, with a reference for the caller; made now if it is not in memory.
    async fn cached_page(
        &self,
        fault: &Fault,
        file: &Rc<File>,
        index: u64,
    ) -> Result<Rc<Folio>, Error> {
        if let Some(folio) = file.page(index) {
            folio.get(1);
            return Ok(folio);
        }
        let request = self.request_for(&fault.space, &fault.vma, fault.va, 0);
        let new = self.allocate_zeroed_folio(&request).await?;
        // Meanwhile another thread may have been here.
        if let Some(folio) = file.page(index) {
            self.kernel.put_folio(self.core, &new, 1);
            folio.get(1);
            return Ok(folio);
        }
        new.set_mapping(Mapping::File(Rc::clone(file)), index);
        file.insert(index, Rc::clone(&new));
        new.get(1);
        self.kernel.add_to_lru(&new);
        Ok(new)
    }

    /// A private copy of a page of the cache, at once, for a store to a page that was never read.
    async fn copy_missing(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
        cached: &Rc<Folio>,
        index: u64,
    ) -> Result<(), Error> {
        let copy = self
            .private_copy(fault, cached, index - cached.index())
            .await;
        self.kernel.put_folio(self.core, cached, 1);
        let copy = copy?;
        let _ptl = table.lock.lock(&self.held).await;
        if !contpte::get(self, ptr).await?.is_none() {
            self.kernel.put_folio(self.core, &copy, 1);
            return Ok(());
        }
        self.flush_pending(&fault.space, ptr.va, 1 << ptr.shift)
            .await;
        self.map_private(fault, ptr, &copy).await?;
        fault.space.add_resident(1);
        Ok(())
    }
}
