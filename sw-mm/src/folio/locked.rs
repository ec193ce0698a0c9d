// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The folio lock, and what is put in order when it is let go.

use super::Folio;
use crate::kernel::Kernel;
use crate::lock::Guard;
use crate::thread::Thread;
use std::rc::Rc;

/// A locked folio, until dropped.
///
/// Who lets the last table entry of a swap slot go leaves the swap cache alone while the folio is
/// locked; so it is looked after here (MM-25).
#[derive(Debug)]
pub struct LockedFolio {
    kernel: Rc<Kernel>,
    core: u8,
    folio: Rc<Folio>,
    _guard: Guard,
}

impl Drop for LockedFolio {
    fn drop(&mut self) {
        self.kernel.settle_swap_cache(self.core, &self.folio);
    }
}

impl<C> Thread<C> {
    /// Waits for the lock of a folio.
    pub async fn lock_folio(&self, folio: &Rc<Folio>) -> LockedFolio {
        let guard = folio.lock.lock(&self.held).await;
        self.locked(folio, guard)
    }

    /// Takes the lock of a folio if nobody has it. Needs no regard to what else is held.
    pub fn try_lock_folio(&self, folio: &Rc<Folio>) -> Option<LockedFolio> {
        let guard = folio.lock.try_lock(&self.held)?;
        Some(self.locked(folio, guard))
    }

    fn locked(&self, folio: &Rc<Folio>, guard: Guard) -> LockedFolio {
        LockedFolio {
            kernel: Rc::clone(&self.kernel),
            core: self.core,
            folio: Rc::clone(folio),
            _guard: guard,
        }
    }
}
