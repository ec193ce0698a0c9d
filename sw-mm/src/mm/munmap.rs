// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! munmap and MADV_DONTNEED: pages go, with or without their area (section 8).

use super::error::Error;
use super::gather::Gather;
use super::space::{AddressSpace, unlink};
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::thread::Thread;
use crate::uffd::Owed;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// Unmaps `bytes` bytes at `va`, mapped or not. Once it returns, every access there faults on every
    /// core (MM-15).
    ///
    /// # Errors
    /// [`Error::Invalid`], or the fault of an access.
    pub async fn munmap(&self, va: u64, bytes: u64) -> Result<(), Error> {
        let space = self.space().ok_or(Error::NotMapped)?;
        let end = self.checked_range(va, bytes)?;
        let _span = self.span(Activity::Munmap, space.number(), va, bytes);
        let mut owed = Owed::default();
        let unmapped = {
            let _mmap = space.mmap_lock.write(&self.held).await;
            self.unmap_locked(&space, va, end, &mut owed).await
        };
        owed.deliver(self).await;
        unmapped
    }

    /// [`Thread::munmap`] with the mmap lock held for writing; what is `owed` then is delivered when it
    /// was let go.
    pub(crate) async fn unmap_locked(
        &self,
        space: &Rc<AddressSpace>,
        start: u64,
        end: u64,
        owed: &mut Owed,
    ) -> Result<(), Error> {
        owed.unmap(self, space, start, end).await;
        space.split_at(start);
        space.split_at(end);
        let areas = space.detach(start, end);
        let (Some(first), Some(last)) = (areas.first(), areas.last()) else {
            return Ok(());
        };
        let (first, last) = (first.start(), last.end());
        let mut gather = Gather::new(space, false);
        let mut zapped = Ok(());
        for vma in &areas {
            if zapped.is_ok() {
                zapped = self
                    .zap_range(&mut gather, space, vma, vma.start(), vma.end())
                    .await;
            }
        }
        // Before the tables go: who comes from a page finds them through the areas.
        areas.iter().for_each(unlink);
        for vma in &areas {
            self.wait_for_walks(vma).await;
        }
        if zapped.is_ok() {
            let limits = space.neighbours(first, last);
            zapped = space
                .free_tables_of(self, &mut gather, &areas, limits)
                .await;
        }
        gather.finish(self).await;
        zapped
    }

    /// Throws the pages of `bytes` bytes at `va` away; the areas stay, and private memory reads as zero
    /// again (MADV_DONTNEED). Others may fault there at the same time.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotMapped`] if an address has no area, or the fault of an access.
    pub async fn madvise_dontneed(&self, va: u64, bytes: u64) -> Result<(), Error> {
        let space = self.space().ok_or(Error::NotMapped)?;
        let end = self.checked_range(va, bytes)?;
        let _span = self.span(Activity::Madvise, space.number(), va, bytes);
        let mut mmap = space.mmap_lock.read(&self.held).await;
        let mut owed = Owed::default();
        space.covered(va, end)?;
        owed.remove(self, &space, va, end).await;
        if !owed.is_empty() {
            // Whoever brings pages here is told first, without the lock: the areas may be others then.
            drop(mmap);
            owed.deliver(self).await;
            mmap = space.mmap_lock.read(&self.held).await;
        }
        let _mmap = mmap;
        let areas = space.covered(va, end)?;
        let mut gather = Gather::new(&space, false);
        let mut zapped = Ok(());
        for vma in &areas {
            if zapped.is_ok() {
                let (start, end) = (vma.start().max(va), vma.end().min(end));
                zapped = self.zap_range(&mut gather, &space, vma, start, end).await;
            }
        }
        gather.finish(self).await;
        zapped
    }
}
