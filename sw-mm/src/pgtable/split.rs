// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Splitting a block into a table of smaller leaves that translate the same.

use super::descend::Path;
use super::{MmError, PageTable};
use crate::cpu::Cpu;
use crate::flush::Gather;
use crate::frame::FrameAllocator;
use vmsa::{Descriptor, geometry};

impl PageTable {
    /// Replaces the block `entry` at (offset, level) by a table, by break-before-make. A block of a
    /// contiguous run takes the run apart first.
    ///
    /// Between break and make every access to the block faults, so a core that splits a block it
    /// runs from, or reaches its tables through, has to keep BBML 2 rules instead.
    pub(super) async fn split(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        gather: &mut Gather,
        path: &Path,
        (offset, level): (u64, u8),
        entry: Descriptor,
    ) -> Result<(), MmError> {
        if let Some(run) = self.run_of(offset, level, entry) {
            let unfold = |_, old: Descriptor| old.with_contiguous(false);
            return self
                .rewrite_run(
                    cpu,
                    frames,
                    gather,
                    path,
                    run,
                    level,
                    unfold,
                    &mut Vec::new(),
                )
                .await;
        }
        let table = path.table(level);
        let slot = self.slot(table, level, offset)?;
        let child = self.new_table(cpu, frames, level + 1, offset).await?;
        self.fill(cpu, child, level, entry).await?;
        let last = self.take(cpu, slot).await?;
        if last != entry {
            // Hardware set the access flag or the dirty state meanwhile.
            self.fill(cpu, child, level, last).await?;
        }
        let base = offset & !(self.level_bytes(level) - 1);
        gather.leaf(self.va(base), level, !last.ng());
        gather.flush(cpu, frames).await;
        self.count(child, self.format.granule.entries() as i64);
        self.write(cpu, slot, Descriptor::table(child)).await?;
        gather.stored();
        Ok(())
    }

    /// Fills `child` with the leaves that `block` of `level` falls into.
    async fn fill(
        &self,
        cpu: &impl Cpu,
        child: u64,
        level: u8,
        block: Descriptor,
    ) -> Result<(), MmError> {
        let granule = self.format.granule;
        let bytes = self.level_bytes(level + 1);
        let page = level + 1 == geometry::FINAL_LEVEL;
        for index in 0..granule.entries() {
            let leaf = Descriptor(block.with_nt(false).0 + index * bytes).with_table_bit(page);
            let pa = child + index * 8;
            let slot = self
                .linear
                .virt(pa)
                .ok_or(MmError::OutsideLinearMap { pa })?;
            self.write(cpu, slot, leaf).await?;
        }
        Ok(())
    }
}
