// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Changing permissions: in place where section 12.2 allows it, which is everywhere but in a
//! contiguous run.

use super::{MmError, PageTable};
use crate::attributes::{Permissions, with_permissions};
use crate::bbm::{Change, classify};
use crate::cpu::Cpu;
use crate::flush::Gather;
use crate::frame::FrameAllocator;
use vmsa::{Descriptor, geometry};

impl PageTable {
    /// Gives every mapped page of `bytes` bytes at `va` other permissions; address, memory type, access
    /// flag and dirty state stay. With `track_dirty`, pages that become writable start clean unless
    /// they were dirty before.
    ///
    /// On return what was taken away is refused on every core (MM-14). What was added may still take
    /// one spurious Permission fault on a core that holds the old translation.
    ///
    /// # Errors
    /// [`MmError`] for a range that cannot be, lack of a frame to split a block, or the fault of a
    /// table access.
    pub async fn protect(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        va: u64,
        bytes: u64,
        permissions: Permissions,
        track_dirty: bool,
    ) -> Result<(), MmError> {
        let (start, end) = self.extent(va, bytes)?;
        let mut gather = self.gather();
        let change = |old| with_permissions(old, permissions, track_dirty);
        let done = self
            .change_range(cpu, frames, &mut gather, start, end, change)
            .await;
        gather.flush(cpu, frames).await;
        done
    }

    /// Applies `change`, which touches permissions and state bits only, to the leaves of [start, end).
    async fn change_range(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        gather: &mut Gather,
        start: u64,
        end: u64,
        change: impl Fn(Descriptor) -> Descriptor,
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
                let whole = run.start >= start && run.end <= end;
                let next = |at: u64, old: Descriptor| {
                    let changed = if at >= start && at < end {
                        change(old)
                    } else {
                        old
                    };
                    changed.with_contiguous(whole)
                };
                if Permissions::of(change(entry)) != Permissions::of(entry) {
                    let mut none = Vec::new();
                    self.rewrite_run(
                        cpu,
                        frames,
                        gather,
                        &path,
                        run.clone(),
                        level,
                        next,
                        &mut none,
                    )
                    .await?;
                }
                offset = run.end;
                continue;
            }
            if change(entry) == entry {
                offset = base + bytes;
                continue;
            }
            if base < start || base + bytes > end {
                self.split(cpu, frames, gather, &path, (offset, level), entry)
                    .await?;
                continue;
            }
            let slot = self.slot(path.table(level), level, offset)?;
            let new = change(entry);
            // A hardware update may come in between: then the loop looks at the entry anew.
            if self.swap(cpu, slot, entry, new).await? == entry {
                match classify(self.format.granule, level, entry, new) {
                    Change::InPlace => gather.stored(),
                    _ => gather.leaf(self.va(base), level, !entry.ng()),
                }
                offset = base + bytes;
            }
        }
        Ok(())
    }
}
