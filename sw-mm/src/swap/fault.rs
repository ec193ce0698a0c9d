// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A page comes back from swap for a fault (section 11): out of the swap cache, or read from its slot
//! by the one thread that claims it.

use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::{Folio, LockedFolio, Mapping};
use crate::mm::{Error, Fault, Table};
use crate::pte::{Kind, Pte, PtePtr, SwapEntry};
use crate::thread::Thread;
use std::rc::Rc;

/// References to a folio that is in the swap cache, mapped nowhere, and looked at by one.
const UNSHARED: u64 = 2;

impl<C: Cpu> Thread<C> {
    /// `pte` at `ptr` names a slot.
    pub(crate) async fn fault_swap(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
        pte: Pte,
    ) -> Result<(), Error> {
        let Kind::Swap { entry, exclusive } = pte.kind() else {
            return Ok(());
        };
        let bytes = self.kernel.granule().bytes();
        let _span = self.span(Activity::SwapIn, fault.space.number(), fault.va, bytes);
        let Some((folio, locked)) = self.swapped_folio(fault, entry).await? else {
            // The last entry that named the slot is gone, this one included.
            return Ok(());
        };
        let mapped = if folio.swap.get() == Some(entry) {
            self.map_swapped(fault, table, (ptr, pte), &folio, (entry, exclusive))
                .await
        } else {
            // It left the cache while its lock was waited for: the access looks again.
            Ok(())
        };
        drop(locked);
        self.kernel.put_folio(self.core, &folio, 1);
        mapped
    }

    /// The folio of a slot, locked, with a reference for the caller. It is read now if it is not in
    /// memory; `None` if the slot is free.
    async fn swapped_folio(
        &self,
        fault: &Fault,
        entry: SwapEntry,
    ) -> Result<Option<(Rc<Folio>, LockedFolio)>, Error> {
        let swap = &self.kernel.swap;
        if let Some(folio) = swap.folio(entry) {
            return Ok(Some(self.lock_cached(folio).await));
        }
        let request = self.request_for(&fault.space, &fault.vma, fault.va, 0);
        let (new, _) = self.allocate_folio(&request).await?;
        // Of those who come here at once one claims the slot; the others find its folio, or nothing.
        let locked = match self.try_lock_folio(&new) {
            Some(locked) if swap.claim(entry) => locked,
            _ => {
                self.kernel.put_folio(self.core, &new, 1);
                return match swap.folio(entry) {
                    Some(folio) => Ok(Some(self.lock_cached(folio).await)),
                    None => Ok(None),
                };
            }
        };
        swap.insert(entry, &new);
        self.kernel.add_to_lru(&new);
        let read = match swap.content(entry) {
            Some(content) => self.write_page(self.kernel.pa(new.pfn()), &content).await,
            None => Err(Error::Corrupt {
                entry: entry.0,
                va: 0,
            }),
        };
        if let Err(error) = read {
            self.kernel.leave_swap_cache(self.core, entry);
            drop(locked);
            self.kernel.put_folio(self.core, &new, 1);
            return Err(error);
        }
        self.kernel.counters.swap_ins.increment();
        Ok(Some((new, locked)))
    }

    async fn lock_cached(&self, folio: Rc<Folio>) -> (Rc<Folio>, LockedFolio) {
        folio.get(1);
        let locked = self.lock_folio(&folio).await;
        (folio, locked)
    }

    /// Maps the locked folio of a slot, unless the entry is no longer what the fault saw.
    async fn map_swapped(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        (ptr, seen): (PtePtr, Pte),
        folio: &Rc<Folio>,
        (entry, exclusive): (SwapEntry, bool),
    ) -> Result<(), Error> {
        let (space, vma) = (&fault.space, &fault.vma);
        let anon_vma = space.prepare_anon_vma(vma);
        let _ptl = table.lock.lock(&self.held).await;
        if contpte::get(self, ptr).await? != seen {
            return Ok(());
        }
        let unmapped = folio.mapcount() == 0;
        let last = self.kernel.swap.count(entry) == 1;
        let own = exclusive || unmapped && last && folio.references() == UNSHARED;
        if unmapped {
            folio.set_mapping(Mapping::Anon(anon_vma), vma.index(fault.va));
        }
        let pte = Pte::page(self.kernel.granule(), folio.pfn()).with_young(true);
        let mut pte = vma.protect(pte);
        if own && vma.protection().write {
            pte = pte.make_writable();
            if fault.write {
                pte = pte.make_dirty();
            }
        }
        // References first, so that they are never fewer than the maps (MM-03).
        folio.get(1);
        folio.add_map(0, 1);
        folio.set_anon_exclusive(0, 1, own);
        space.add_resident(1);
        space.swapped.set(space.swapped.get().saturating_sub(1));
        contpte::set_ptes(self, space, ptr, pte, 1).await?;
        self.kernel.free_swap(self.core, entry);
        Ok(())
    }
}
