// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Clearing and copying of memory by loads and stores through the linear map.

use super::error::Error;
use crate::cpu::Cpu;
use crate::folio::Folio;
use crate::thread::Thread;

impl<C: Cpu> Thread<C> {
    /// Stores zeros to `bytes` bytes of physical memory at `pa`, both multiples of 8.
    ///
    /// # Errors
    /// The fault of a store.
    pub(crate) async fn clear_memory(&self, pa: u64, bytes: u64) -> Result<(), Error> {
        Ok(self.cpu.clear(self.kernel.virt(pa)?, bytes).await?)
    }

    /// Copies `bytes` bytes of physical memory from `from` to `to`, all multiples of 8.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn copy_memory(&self, from: u64, to: u64, bytes: u64) -> Result<(), Error> {
        let (from, to) = (self.kernel.virt(from)?, self.kernel.virt(to)?);
        Ok(self.cpu.copy(to, from, bytes).await?)
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
