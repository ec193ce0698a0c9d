// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Missing pages of private memory: the zero page for a read, a cleared page, or a large folio of them,
//! for a write (MM-07).

use super::error::Error;
use super::fault::Fault;
use super::table::Table;
use crate::contpte;
use crate::cpu::Cpu;
use crate::folio::{Folio, Mapping};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    pub(crate) async fn fault_anonymous(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
    ) -> Result<(), Error> {
        if !fault.write {
            return self.map_zero_page(fault, table, ptr).await;
        }
        let anon_vma = fault.space.prepare_anon_vma(&fault.vma);
        for &order in self.orders(fault).iter().rev() {
            let bytes = self.kernel.granule().bytes() << order;
            let start = fault.va & !(bytes - 1);
            if start < fault.vma.start()
                || start + bytes > fault.vma.end()
                || start < table.base
                || start + bytes > table.end(&self.kernel)
            {
                continue;
            }
            let first = table.entry(&self.kernel, start)?;
            if !self.none(first, 1 << order).await? {
                continue;
            }
            let request = self.request_for(&fault.space, &fault.vma, start, order);
            let folio = match self.allocate_zeroed_folio(&request).await {
                Err(Error::OutOfMemory) if order > 0 => continue,
                folio => folio?,
            };
            let mapping = Mapping::Anon(Rc::clone(&anon_vma));
            folio.set_mapping(mapping, fault.vma.index(start));
            return self.map_new(fault, table, first, folio).await;
        }
        // Another thread was faster.
        Ok(())
    }

    /// Orders to try, ascending; 0 is always among them.
    fn orders(&self, fault: &Fault) -> Vec<u8> {
        let mut orders = vec![0];
        if !fault.vma.flags().no_huge {
            let more = self.kernel.config().anonymous_orders.iter().copied();
            orders.extend(more.filter(|&order| order > 0));
        }
        orders
    }

    /// Whether `count` entries from `first` on are all empty.
    async fn none(&self, first: PtePtr, count: u64) -> Result<bool, Error> {
        for page in 0..count as i64 {
            if !raw::get(self, first.offset(page)).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Maps a folio that nobody else knows yet, unless an entry is no longer empty.
    async fn map_new(
        &self,
        fault: &Fault,
        table: &Table,
        first: PtePtr,
        folio: Rc<Folio>,
    ) -> Result<(), Error> {
        let pages = folio.pages();
        let _ptl = table.lock.lock(&self.held).await;
        if !self.none(first, pages).await? {
            self.kernel.put_folio(self.core, &folio, 1);
            return Ok(());
        }
        self.flush_pending(&fault.space, first.va, pages << first.shift)
            .await;
        // The reference of the allocation is that of the first entry.
        folio.get(pages - 1);
        folio.add_map(0, pages);
        folio.set_anon_exclusive(0, pages, true);
        self.kernel.add_to_lru(&folio);
        fault.space.add_resident(pages);
        let pte = Pte::page(self.kernel.granule(), folio.pfn()).with_young(true);
        let pte = fault.vma.protect(pte).make_writable().make_dirty();
        contpte::set_ptes(self, &fault.space, first, pte, pages).await
    }

    /// All reads of untouched memory see one page of zeros, read-only, behind which no folio stands.
    async fn map_zero_page(&self, fault: &Fault, table: &Table, ptr: PtePtr) -> Result<(), Error> {
        let _ptl = table.lock.lock(&self.held).await;
        if !contpte::get(self, ptr).await?.is_none() {
            return Ok(());
        }
        self.flush_pending(&fault.space, ptr.va, 1 << ptr.shift)
            .await;
        let zero = Pte::page(self.kernel.granule(), self.kernel.zero_page());
        let pte = fault.vma.protect(zero.with_young(true).make_special());
        contpte::set_ptes(self, &fault.space, ptr, pte, 1).await
    }
}
