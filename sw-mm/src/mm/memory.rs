// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Clearing and copying of memory by loads and stores through the linear map, several at a time.

use super::error::Error;
use crate::cpu::{AccessSize, Cpu, Privilege};
use crate::folio::Folio;
use crate::thread::Thread;

const SIZE: AccessSize = AccessSize::Double;
const LEVEL: Privilege = Privilege::Privileged;

/// Bytes that are under way at a time: eight words, as an unrolled loop of a kernel has.
const LINE: u64 = 64;

impl<C: Cpu> Thread<C> {
    /// Stores zeros to `bytes` bytes of physical memory at `pa`, both multiples of 64.
    ///
    /// # Errors
    /// The fault of a store.
    pub(crate) async fn clear_memory(&self, pa: u64, bytes: u64) -> Result<(), Error> {
        let va = self.kernel.virt(pa)?;
        for line in (va..va + bytes).step_by(LINE as usize) {
            let store = |word: u64| self.cpu.store(line + word * 8, SIZE, LEVEL, 0);
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
        }
        Ok(())
    }

    /// Copies `bytes` bytes of physical memory from `from` to `to`, all multiples of 64.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn copy_memory(&self, from: u64, to: u64, bytes: u64) -> Result<(), Error> {
        let (from, to) = (self.kernel.virt(from)?, self.kernel.virt(to)?);
        for line in (0..bytes).step_by(LINE as usize) {
            let copy = async |word: u64| {
                let offset = line + word * 8;
                let value = self.cpu.load(from + offset, SIZE, LEVEL).await?;
                self.cpu.store(to + offset, SIZE, LEVEL, value).await
            };
            tokio::try_join!(
                copy(0),
                copy(1),
                copy(2),
                copy(3),
                copy(4),
                copy(5),
                copy(6),
                copy(7)
            )?;
        }
        Ok(())
    }

    /// Copies `count` pages between folios.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn copy_pages(
        &self,
        from: (&Folio, u64),
        to: (&Folio, u64),
        count: u64,
    ) -> Result<(), Error> {
        let shift = self.kernel.granule().shift();
        let address = |(folio, page): (&Folio, u64)| (folio.pfn().0 + page) << shift;
        self.copy_memory(address(from), address(to), count << shift)
            .await
    }
}
