// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! mprotect: what an area permits changes, and with it every entry (section 8). Frames, access flag and
//! dirty state are kept. A right that was taken away is gone when the flush at the end is over (MM-14).

use super::error::Error;
use super::flush::FlushRange;
use super::space::AddressSpace;
use super::table::{Found, Table};
use super::vma::{Protection, Vma, VmaFlags};
use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::pte::{Kind, Pte};
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::geometry;

impl<C: Cpu> Thread<C> {
    /// Changes the protection of `bytes` bytes at `va`.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotMapped`] if an address has no area (nothing is changed then), or
    /// the fault of an access.
    pub async fn mprotect(&self, va: u64, bytes: u64, protection: Protection) -> Result<(), Error> {
        let space = self.space().ok_or(Error::NotMapped)?;
        let end = self.checked_range(va, bytes)?;
        let _span = self.span(Activity::Mprotect, space.number(), va, bytes);
        let _mmap = space.mmap_lock.write(&self.held).await;
        let areas = space.cut(va, end)?;
        space.flush_pending.set(space.flush_pending.get() + 1);
        let mut changed = Ok(false);
        for vma in areas {
            let flags = VmaFlags {
                protection,
                ..vma.flags()
            };
            if vma.flags() == flags {
                continue;
            }
            vma.set_flags(flags);
            let more = self.change_protection(&space, &vma).await;
            changed = match (changed, more) {
                (Ok(a), Ok(b)) => Ok(a || b),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        if changed != Ok(false) {
            let range = FlushRange::pages(self.kernel.granule(), va, end);
            self.flush_range(&space, range).await;
        }
        space
            .flush_pending
            .set(space.flush_pending.get().saturating_sub(1));
        space.merge(va, end);
        changed.map(|_| ())
    }

    /// Gives every entry of `vma` the rights of its area; returns whether any changed.
    async fn change_protection(
        &self,
        space: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
    ) -> Result<bool, Error> {
        let granule = self.kernel.granule();
        let (mut va, mut changed) = (vma.start(), false);
        while va < vma.end() {
            match space.walk(self, va).await? {
                Found::Nothing(level) => {
                    let bytes = geometry::level_bytes(granule, level);
                    va = (va & !(bytes - 1)).saturating_add(bytes);
                }
                Found::Block(table, ..) => match self.whole_block(va, vma.start(), vma.end()) {
                    Some(stop) => {
                        let modify = |pte| self.modify(vma, pte);
                        if self.protect_block(space, &table, va, modify).await? {
                            va = stop;
                        }
                    }
                    None => self.split_block(space, &table, va).await?,
                },
                Found::Table(table) => {
                    let end = vma.end().min(table.end(&self.kernel));
                    changed |= self.change_table(space, vma, &table, (va, end)).await?;
                    va = end;
                }
            }
        }
        Ok(changed)
    }

    async fn change_table(
        &self,
        space: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
        table: &Table,
        (start, end): (u64, u64),
    ) -> Result<bool, Error> {
        let _ptl = table.lock.lock(&self.held).await;
        let mut ptr = table.entry(&self.kernel, start)?;
        let mut changed = false;
        while ptr.va < end {
            let pte = contpte::get(self, ptr).await?;
            if matches!(pte.kind(), Kind::Present | Kind::ProtNone) && self.modify(vma, pte) != pte
            {
                // Cleared first, so that what hardware writes meanwhile is not lost.
                let old = contpte::get_and_clear(self, space, ptr).await?;
                let new = self.modify(vma, old.with_cont(false));
                contpte::set_ptes(self, space, ptr, new, 1).await?;
                changed = true;
            } else if let Kind::Migration(moving) = pte.kind() {
                let write = vma.protection().write;
                self.protect_moving((space, ptr), moving, write).await?;
                // Who moves the page may not have completed its flush yet (MM-14).
                changed = true;
            }
            ptr = ptr.offset(1);
        }
        Ok(changed)
    }

    /// `pte` with the rights of `vma`; write permission only where a store needs no other page.
    pub(crate) fn modify(&self, vma: &Vma, pte: Pte) -> Pte {
        let Protection { write, execute, .. } = vma.protection();
        let pte = if vma.protection().any() {
            pte.make_accessible()
        } else {
            pte.make_prot_none()
        };
        let pte = pte.with_execute(execute);
        if !write {
            return pte.write_protect();
        }
        if pte.writable() {
            return pte;
        }
        let granule = self.kernel.granule();
        let folio = self.kernel.frames.folio(pte.pfn(granule));
        let own = folio.filter(|_| !pte.special()).is_some_and(|folio| {
            vma.flags().shared
                || folio.is_anon() && folio.anon_exclusive(folio.page_of(pte.pfn(granule)))
        });
        if own { pte.make_writable() } else { pte }
    }
}
