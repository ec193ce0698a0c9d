// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Swap (section 11): private pages that are out of memory, and their way out and back in.
//!
//! | module | idea |
//! | --- | --- |
//! | `area` | slots, their counts, and the swap cache |
//! | `out` | a folio leaves memory |
//! | `fault` | a page comes back |
//!
//! A page that is in memory and has a slot too is in the swap cache. It is never mapped writable then,
//! so that its slot, once written, stays good until the last entry that names it is gone.

mod area;
mod fault;
mod out;

pub use area::{SlotState, SwapArea};

use crate::cpu::{AccessSize, Cpu, Privilege};
use crate::folio::Folio;
use crate::kernel::Kernel;
use crate::mm::Error;
use crate::pte::SwapEntry;
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::DsbKind;

const SIZE: AccessSize = AccessSize::Double;
const LEVEL: Privilege = Privilege::Privileged;

/// Words that are under way at a time.
const LINE: usize = 8;

impl Kernel {
    /// One table entry less names `entry`. With the last one the slot is free, and a folio in the swap
    /// cache, if nobody works with it, leaves the cache.
    pub(crate) fn free_swap(&self, core: u8, entry: SwapEntry) {
        if self.swap.put(entry)
            && let Some(folio) = self.swap.folio(entry)
            && !folio.lock.is_locked()
        {
            self.settle_swap_cache(core, &folio);
        }
    }

    /// Takes a folio whose slot nobody names any more out of the swap cache. Its contents are nowhere
    /// else then.
    pub(crate) fn settle_swap_cache(&self, core: u8, folio: &Folio) {
        let unnamed = |&entry: &SwapEntry| self.swap.count(entry) == 0;
        if let Some(entry) = folio.swap.get().filter(unnamed) {
            folio.dirty.set(true);
            self.leave_swap_cache(core, entry);
        }
    }

    /// Takes the folio of `entry` out of the swap cache.
    fn leave_swap_cache(&self, core: u8, entry: SwapEntry) {
        if let Some(folio) = self.swap.remove(entry) {
            self.put_folio(core, &folio, 1);
        }
    }
}

impl<C: Cpu> Thread<C> {
    /// Reads a page of memory for the device.
    async fn read_page(&self, pa: u64) -> Result<Rc<[u64]>, Error> {
        let va = self.kernel.virt(pa)?;
        let bytes = self.kernel.granule().bytes();
        let mut content = Vec::with_capacity(bytes as usize / 8);
        for line in (va..va + bytes).step_by(LINE * 8) {
            let load = |word: u64| self.cpu.load(line + word * 8, SIZE, LEVEL);
            let words = tokio::try_join!(
                load(0),
                load(1),
                load(2),
                load(3),
                load(4),
                load(5),
                load(6),
                load(7)
            )?;
            content.extend(<[u64; LINE]>::from(words));
        }
        Ok(content.into())
    }

    /// Writes what the device holds to a page of memory, visible to every core when it returns.
    async fn write_page(&self, pa: u64, content: &[u64]) -> Result<(), Error> {
        let mut va = self.kernel.virt(pa)?;
        let (lines, _) = content.as_chunks::<LINE>();
        for line in lines {
            let store = |word: usize| {
                let slot = va + word as u64 * 8;
                self.cpu.store(slot, SIZE, LEVEL, line[word])
            };
            tokio::try_join!(
                store(0),
                store(1),
                store(2),
                store(3),
                store(4),
                store(5),
                store(6),
                store(7)
            )?;
            va += LINE as u64 * 8;
        }
        self.cpu.dsb(DsbKind::ISHST).await;
        Ok(())
    }
}
