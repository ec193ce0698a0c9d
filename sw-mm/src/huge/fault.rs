// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A block for the first store to untouched memory, and faults on a block that is there.

use super::{LEVEL, block_bytes, block_order, flush_of, is_block};
use crate::cpu::Cpu;
use crate::folio::{Folio, Mapping};
use crate::mm::{Error, Fault, Found, Table};
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::FaultKind;

impl<C: Cpu> Thread<C> {
    /// First byte of the block that the fault may get, if it may.
    fn wants_block(&self, fault: &Fault) -> Option<(u64, u8)> {
        let (vma, flags) = (&fault.vma, fault.vma.flags());
        let order = block_order(self.kernel.granule())?;
        let bytes = block_bytes(self.kernel.granule());
        let start = fault.va & !(bytes - 1);
        let fits = vma.start() <= start && start + bytes <= vma.end();
        let wanted = self.kernel.config().huge && flags.huge && !flags.no_huge;
        (wanted && fault.write && fits && vma.is_anonymous() && !flags.user_fault)
            .then_some((start, order))
    }

    /// Maps a block for a store where there is nothing, not even a table. False: something is there, or
    /// there is no folio so large, so that the fault is for a page.
    ///
    /// # Errors
    /// The fault of an access, or [`Error::OutOfMemory`] without a frame for a table.
    pub(crate) async fn fault_huge(&self, fault: &Fault) -> Result<bool, Error> {
        let Some((start, order)) = self.wants_block(fault) else {
            return Ok(false);
        };
        let space = &fault.space;
        let Found::Table(table) = space.walk_or_make_to(self, start, LEVEL).await? else {
            return Ok(false);
        };
        let ptr = table.entry(&self.kernel, start)?;
        if !raw::get(self, ptr).await?.is_none() {
            return Ok(false);
        }
        let request = self.request_for(space, &fault.vma, start, order);
        let folio = match self.allocate_zeroed_folio(&request).await {
            Err(Error::OutOfMemory) => return Ok(false),
            folio => folio?,
        };
        let anon_vma = space.prepare_anon_vma(&fault.vma);
        folio.set_mapping(Mapping::Anon(anon_vma), fault.vma.index(start));
        let _upper = space.upper_lock.lock(&self.held).await;
        let _ptl = table.lock.lock(&self.held).await;
        if !raw::get(self, ptr).await?.is_none() {
            self.kernel.put_folio(self.core, &folio, 1);
            return Ok(false);
        }
        let pages = folio.pages();
        // The reference of the allocation is that of the first page.
        folio.get(pages - 1);
        folio.add_map(0, pages);
        folio.set_anon_exclusive(0, pages, true);
        self.kernel.add_to_lru(&folio);
        space.add_resident(pages);
        let pte = Pte::page(self.kernel.granule(), folio.pfn()).with_young(true);
        let pte = fault.vma.protect(pte).make_writable().make_dirty();
        raw::set(self, ptr, pte.as_block()).await?;
        self.kernel.counters.huge_faults.increment();
        Ok(true)
    }

    /// A fault on the block that `table` had for the address.
    ///
    /// # Errors
    /// The fault of an access, or [`Error::OutOfMemory`] without a frame to split it.
    pub(crate) async fn fault_block(&self, fault: &Fault, table: &Rc<Table>) -> Result<(), Error> {
        let ptr = table.entry(&self.kernel, fault.va)?;
        let shared = {
            let _ptl = table.lock.lock(&self.held).await;
            let pte = raw::get(self, ptr).await?;
            if !is_block(pte) {
                // It was split, or taken out: the access finds out.
                return Ok(());
            }
            let shared = fault.write && !pte.writable() && !self.own_block(pte);
            if !shared {
                self.permit_block(fault, ptr, pte).await?;
            }
            shared
        };
        if shared {
            // The one page that is written to is copied; the others stay shared.
            self.split_block(&fault.space, table, fault.va).await?;
        }
        Ok(())
    }

    fn own_block(&self, pte: Pte) -> bool {
        let folio = self.block_folio(pte);
        folio.is_some_and(|folio| folio.is_anon() && folio.anon_exclusive(0))
    }

    /// The folio behind a block.
    pub(super) fn block_folio(&self, pte: Pte) -> Option<Rc<Folio>> {
        self.kernel.frames.folio(pte.pfn(self.kernel.granule()))
    }

    /// Gives the block what the access asks for, as [`crate::contpte::set_access_flags`] does for a
    /// page.
    async fn permit_block(&self, fault: &Fault, ptr: PtePtr, pte: Pte) -> Result<(), Error> {
        if fault.write && !pte.writable() {
            self.kernel.counters.reuses.increment();
        }
        let permitted = |pte: Pte| {
            let pte = pte.make_accessible().with_young(true);
            match fault.write {
                true => pte.make_writable().make_dirty(),
                false => pte,
            }
        };
        let old = raw::update(self, ptr, permitted).await?;
        let changed = permitted(old) != old;
        let range = flush_of(self.kernel.granule(), ptr);
        if changed && fault.write {
            self.flush_range(&fault.space, range).await;
        } else if !changed {
            self.kernel.counters.spurious_faults.increment();
            if fault.kind == FaultKind::Permission {
                self.flush_leaf_local(&fault.space, ptr.va, LEVEL).await;
            } else {
                self.cpu.dsb(vmsa::DsbKind::ISHST).await;
                self.cpu.isb().await;
            }
        }
        Ok(())
    }
}
