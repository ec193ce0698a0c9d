// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages that somebody outside of the tables works with, a device say: they stay in their frames until
//! they are given back (GUP, FOLL_PIN).

use super::error::Error;
use super::table::Found;
use crate::contpte;
use crate::cpu::Cpu;
use crate::folio::Folio;
use crate::huge::is_block;
use crate::pte::{Pte, raw};
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::{AccessFault, El, FaultKind, Fsc};

/// Faults after which a page is said not to come.
const MOST_FAULTS: u32 = 1000;

/// A pinned page.
#[derive(Clone, Debug)]
pub struct PinnedPage {
    /// Its folio.
    pub folio: Rc<Folio>,
    /// Which page of it.
    pub page: u64,
}

impl<C: Cpu> Thread<C> {
    /// Pins the page at `va`, after a fault for it if there is none yet; for `write` it is one that this
    /// address space has for itself, or shares on purpose.
    ///
    /// # Errors
    /// [`Error::Signal`] if the access is not permitted, [`Error::Livelock`] if the page does not stay
    /// long enough, or whatever keeps the fault from being handled.
    pub async fn pin_user_page(&self, va: u64, write: bool) -> Result<PinnedPage, Error> {
        let fault = AccessFault {
            fsc: Fsc::encode(FaultKind::Translation, 3),
            va,
            write,
            el: El::El0,
            instruction: false,
        };
        let mut unshare = false;
        for _ in 0..MOST_FAULTS {
            match self.pin_mapped(va, write).await? {
                Pin::Pinned(pinned) => return Ok(pinned),
                // It is nobody's: reads of untouched memory get a page of their own here.
                Pin::Zero => unshare = true,
                Pin::Absent => {}
            }
            self.handle_fault_for(&fault, unshare).await?;
        }
        Err(Error::Livelock {
            va,
            faults: MOST_FAULTS,
            last: fault,
        })
    }

    async fn pin_mapped(&self, va: u64, write: bool) -> Result<Pin, Error> {
        let space = self.space().ok_or(Error::segv(va))?;
        let _mmap = space.mmap_lock.read(&self.held).await;
        let vma = space.find(va).ok_or(Error::segv(va))?;
        let found = space.walk(self, va).await?;
        let block = matches!(found, Found::Block(..));
        let (Found::Table(table) | Found::Block(table, ..)) = found else {
            return Ok(Pin::Absent);
        };
        let _ptl = table.lock.lock(&self.held).await;
        let ptr = table.entry(&self.kernel, va)?;
        let pte = match block {
            true => match raw::get(self, ptr).await? {
                pte if is_block(pte) => self.page_of_block(ptr, pte, va),
                _ => return Ok(Pin::Absent),
            },
            false => contpte::get(self, ptr).await?,
        };
        if !pte.valid() {
            return Ok(Pin::Absent);
        }
        if pte.special() {
            return Ok(Pin::Zero);
        }
        Ok(match self.pinnable(pte, write, vma.flags().shared) {
            Some(pinned) => {
                pinned.folio.pin();
                Pin::Pinned(pinned)
            }
            None => Pin::Absent,
        })
    }

    fn pinnable(&self, pte: Pte, write: bool, shared: bool) -> Option<PinnedPage> {
        let pfn = pte.pfn(self.kernel.granule());
        let folio = self.kernel.frames.folio(pfn)?;
        let page = folio.page_of(pfn);
        let own = shared || folio.is_anon() && folio.anon_exclusive(page);
        (!write || pte.writable() && own).then_some(PinnedPage { folio, page })
    }

    /// Gives a pinned page back; `dirty`: it was written.
    pub fn unpin_user_page(&self, pinned: PinnedPage, dirty: bool) {
        if dirty {
            pinned.folio.dirty.set(true);
        }
        self.kernel.unpin_folio(self.core, &pinned.folio);
    }
}

enum Pin {
    Pinned(PinnedPage),
    /// The zero page is mapped.
    Zero,
    /// Another fault is due.
    Absent,
}
