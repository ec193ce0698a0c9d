// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A page that was marked to find out who uses it is used (section 12, MM-28).
//!
//! The area permits the access, or the fault would have ended in a signal: an area that permits none has
//! entries of the same kind, and nobody gets here through them (MM-29).

use super::error::Error;
use super::fault::Fault;
use super::table::Table;
use crate::contpte;
use crate::cpu::Cpu;
use crate::folio::Folio;
use crate::hinting::Mode;
use crate::migrate::MigrateMode;
use crate::page::NodeId;
use crate::pte::{Kind, Pte, PtePtr};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    pub(crate) async fn fault_hinting(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
        seen: Pte,
    ) -> Result<(), Error> {
        let kernel = &self.kernel;
        let ptl = table.lock.lock(&self.held).await;
        // Out of reach of hardware: equal in every bit, or somebody was here.
        if contpte::get(self, ptr).await? != seen {
            return Ok(());
        }
        kernel.counters.hinting_faults.increment();
        let pfn = seen.pfn(kernel.granule());
        let folio = kernel.frames.folio(pfn).filter(|_| !seen.special());
        let Some(folio) = folio else {
            return self.make_accessible(fault, ptr, seen).await;
        };
        self.make_folio_accessible(fault, table, ptr, &folio, folio.page_of(pfn))
            .await?;
        drop(ptl);
        let (space, vma) = (&fault.space, &fault.vma);
        match kernel.hint_target(space, vma, &folio, fault.va, self.core) {
            Some(target) => self.migrate_misplaced(&folio, target).await,
            None => Ok(()),
        }
    }

    /// Moves a folio to where it should be, unless somebody is at it or there is no room: the access
    /// goes on either way.
    async fn migrate_misplaced(&self, folio: &Rc<Folio>, target: NodeId) -> Result<(), Error> {
        self.kernel.counters.misplaced.increment();
        let moved = match self.kernel.config().hinting.mode {
            Mode::Tiering => self.promote(folio, target).await,
            Mode::Off | Mode::Locality => self.migrate(folio, target, MigrateMode::Async).await,
        };
        match moved {
            Err(Error::Busy | Error::Again | Error::OutOfMemory | Error::NotMapped) => Ok(()),
            moved => moved.map(|_| ()),
        }
    }

    /// Brings back every entry of the folio around `ptr` that is in one table and area with it: they
    /// were marked together, and more faults would say the same.
    async fn make_folio_accessible(
        &self,
        fault: &Fault,
        table: &Table,
        ptr: PtePtr,
        folio: &Folio,
        page: u64,
    ) -> Result<(), Error> {
        let (kernel, vma) = (&self.kernel, &fault.vma);
        let first = ptr.va.saturating_sub(page << ptr.shift);
        let start = first.max(vma.start()).max(table.base);
        let last = ptr.va + ((folio.pages() - page) << ptr.shift);
        let end = last.min(vma.end()).min(table.end(kernel));
        let mut ptr = ptr.offset(-(((ptr.va - start) >> ptr.shift) as i64));
        let mut wanted = folio.pfn().0 + page - ((fault.va - start) >> ptr.shift);
        // Who marked them may not have flushed yet, and a core may still hold them as one contiguous
        // run, beside which there are to be no single pages.
        self.flush_pending(&fault.space, start, end - start).await;
        // Upwards, so that the last one finds a run that it can make contiguous again.
        while ptr.va < end {
            let pte = contpte::get(self, ptr).await?;
            if pte.kind() == Kind::ProtNone && pte.pfn(kernel.granule()).0 == wanted {
                let accessed = ptr.va == fault.va;
                let pte = pte.with_young(pte.young() || accessed);
                self.make_accessible(fault, ptr, pte).await?;
            }
            ptr = ptr.offset(1);
            wanted += 1;
        }
        Ok(())
    }

    /// An entry that hardware may use, with the rights that the area gives now.
    async fn make_accessible(&self, fault: &Fault, ptr: PtePtr, pte: Pte) -> Result<(), Error> {
        let pte = self.modify(&fault.vma, pte);
        contpte::set_ptes(self, &fault.space, ptr, pte, 1).await
    }
}
