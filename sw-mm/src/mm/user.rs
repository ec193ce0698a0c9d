// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Accesses of a user thread: each is made by its core at EL0; a fault is handled and the access made
//! again.

use super::error::{Error, Signal};
use crate::cpu::{AccessSize, Cpu, Privilege};
use crate::thread::Thread;
use vmsa::AccessFault;

/// Faults of one access after which it is said to make no progress (G10). Each fault handled changes a
/// table, waits for somebody, or flushes a stale entry, and others may undo that only so often.
const MOST_FAULTS: u32 = 1000;

const USER: Privilege = Privilege::Unprivileged;

impl<C: Cpu> Thread<C> {
    /// A load of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Signal`] if the access is refused; whatever keeps its fault from being handled.
    pub async fn user_load(&self, va: u64, size: AccessSize) -> Result<u64, Error> {
        let mut faults = 0;
        loop {
            match self.cpu.load(va, size, USER).await {
                Ok(value) => return Ok(value),
                Err(fault) => self.user_fault(fault, size.bytes(), &mut faults).await?,
            }
        }
    }

    /// A store of `size` bytes.
    ///
    /// # Errors
    /// As [`Thread::user_load`].
    pub async fn user_store(&self, va: u64, size: AccessSize, value: u64) -> Result<(), Error> {
        let mut faults = 0;
        loop {
            match self.cpu.store(va, size, USER, value).await {
                Ok(()) => return Ok(()),
                Err(fault) => self.user_fault(fault, size.bytes(), &mut faults).await?,
            }
        }
    }

    /// A compare-and-swap of 8 bytes; returns what memory held.
    ///
    /// # Errors
    /// As [`Thread::user_load`].
    pub async fn user_compare_and_swap(
        &self,
        va: u64,
        expected: u64,
        new: u64,
    ) -> Result<u64, Error> {
        let mut faults = 0;
        loop {
            let size = AccessSize::Double;
            let swap = self.cpu.compare_and_swap(va, size, USER, expected, new);
            match swap.await {
                Ok(value) => return Ok(value),
                Err(fault) => self.user_fault(fault, 1, &mut faults).await?,
            }
        }
    }

    /// An instruction fetch.
    ///
    /// # Errors
    /// As [`Thread::user_load`].
    pub async fn user_fetch(&self, va: u64) -> Result<u32, Error> {
        let mut faults = 0;
        loop {
            match self.cpu.fetch(va, USER).await {
                Ok(word) => return Ok(word),
                Err(fault) => self.user_fault(fault, 1, &mut faults).await?,
            }
        }
    }

    async fn user_fault(
        &self,
        fault: AccessFault,
        bytes: u64,
        faults: &mut u32,
    ) -> Result<(), Error> {
        *faults += 1;
        if *faults > MOST_FAULTS {
            return Err(Error::Livelock {
                va: fault.va,
                faults: MOST_FAULTS,
                last: fault,
            });
        }
        let mut handled = self.handle_fault(&fault).await;
        // FAR_EL1 is the address as issued (VMSA-52): which of two pages was meant, it does not tell.
        let page = self.kernel.granule().bytes();
        let last = fault.va.wrapping_add(bytes - 1);
        if handled.is_ok() && (fault.va ^ last) & !(page - 1) != 0 {
            let va = last & !(page - 1);
            handled = self.handle_fault(&AccessFault { va, ..fault }).await;
        }
        if matches!(handled, Err(Error::Signal { .. })) {
            self.kernel.counters.signals.increment();
        }
        handled
    }
}

impl Error {
    /// The access at `va` is refused.
    pub(crate) const fn segv(va: u64) -> Self {
        Self::Signal {
            signal: Signal::Segv,
            va,
        }
    }
}
