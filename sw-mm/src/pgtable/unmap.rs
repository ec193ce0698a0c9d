// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Removing translations: valid to invalid, one flush for the whole range, tables freed after it.

use super::{Leaf, MmError, PageTable};
use crate::attributes::{is_dirty, with_dirty};
use crate::cpu::Cpu;
use crate::flush::Gather;
use crate::frame::FrameAllocator;
use vmsa::{Descriptor, geometry};

impl PageTable {
    /// Removes every translation of `bytes` bytes at `va` and returns the leaves that were there, with
    /// the access flag and dirty state that they had at the end.
    ///
    /// Blocks and contiguous runs that reach out of the range keep the part outside. Holes are fine.
    /// On return no core uses the old translations (MM-15), so the pages behind them may be freed
    /// (MM-06); emptied tables have been.
    ///
    /// # Errors
    /// [`MmError`] for a range that cannot be, lack of a frame to split a block, or the fault of a
    /// table access.
    pub async fn unmap(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        va: u64,
        bytes: u64,
    ) -> Result<Vec<Leaf>, MmError> {
        let (start, end) = self.extent(va, bytes)?;
        let mut gather = self.gather();
        let mut removed = Vec::new();
        let done = self
            .clear_range(cpu, frames, &mut gather, start, end, &mut removed)
            .await;
        gather.flush(cpu, frames).await;
        done.map(|()| removed)
    }

    /// Clears the leaves of [start, end) (offsets) and unlinks emptied tables; the flush is owed to
    /// `gather`.
    pub(super) async fn clear_range(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        gather: &mut Gather,
        start: u64,
        end: u64,
        removed: &mut Vec<Leaf>,
    ) -> Result<(), MmError> {
        let mut path = self.path();
        let mut offset = start;
        while offset < end {
            let (level, entry) = self
                .descend(cpu, &mut path, offset, geometry::FINAL_LEVEL)
                .await?;
            let bytes = self.level_bytes(level);
            let base = offset & !(bytes - 1);
            if !entry.valid() {
                offset = base + bytes;
                continue;
            }
            if let Some(run) = self.run_of(offset, level, entry) {
                if run.start >= start && run.end <= end {
                    // All of it goes, so no member is ever inconsistent with a live one.
                    self.clear_members(cpu, gather, &path, run.clone(), level, removed)
                        .await?;
                } else {
                    let keep = |at: u64, old: Descriptor| {
                        if at >= start && at < end {
                            Descriptor::INVALID
                        } else {
                            old.with_contiguous(false)
                        }
                    };
                    self.rewrite_run(
                        cpu,
                        frames,
                        gather,
                        &path,
                        run.clone(),
                        level,
                        keep,
                        removed,
                    )
                    .await?;
                }
                offset = run.end;
            } else if base < start || base + bytes > end {
                self.split(cpu, frames, gather, &path, (offset, level), entry)
                    .await?;
                continue;
            } else {
                self.clear_members(cpu, gather, &path, base..base + bytes, level, removed)
                    .await?;
                offset = base + bytes;
            }
            self.unlink_empty(cpu, gather, &mut path).await?;
        }
        Ok(())
    }

    /// Clears the leaves of `span` (offsets), which lie in one table. Their state is OR-ed: for one
    /// leaf that is its own, for a run it is the run's.
    async fn clear_members(
        &self,
        cpu: &impl Cpu,
        gather: &mut Gather,
        path: &super::descend::Path,
        span: std::ops::Range<u64>,
        level: u8,
        removed: &mut Vec<Leaf>,
    ) -> Result<(), MmError> {
        let table = path.table(level);
        let first = removed.len();
        let (mut accessed, mut dirty) = (false, false);
        for offset in span.step_by(self.level_bytes(level) as usize) {
            let slot = self.slot(table, level, offset)?;
            let old = self.take(cpu, slot).await?;
            if !old.valid() {
                continue;
            }
            self.count(table, -1);
            gather.leaf(self.va(offset), level, !old.ng());
            accessed |= old.af();
            dirty |= is_dirty(old);
            removed.push(self.leaf_at(offset, level, old));
        }
        for leaf in removed.iter_mut().skip(first) {
            let descriptor = leaf.descriptor.with_af(accessed);
            leaf.descriptor = if dirty && !is_dirty(descriptor) {
                with_dirty(descriptor)
            } else {
                descriptor
            };
        }
        Ok(())
    }
}
