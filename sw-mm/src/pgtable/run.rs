// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Contiguous runs. A live run is only ever changed as a whole, by break-before-make: a TLB may hold
//! it as one entry or as pages, so every member is invalid and every page invalidated before the
//! first new member is stored (section 4).

use super::descend::Path;
use super::{Leaf, MmError, PageTable};
use crate::attributes::{is_dirty, with_dirty};
use crate::cpu::Cpu;
use crate::flush::Gather;
use crate::frame::FrameAllocator;
use std::ops::Range;
use vmsa::{Descriptor, geometry};

impl PageTable {
    /// Bytes of a contiguous run of `level`; `None` where the hint is ignored or the run would exceed
    /// the range.
    pub(super) fn run_bytes(&self, level: u8) -> Option<u64> {
        let members = geometry::contiguous_run(self.format.granule, level)?;
        let bytes = self.level_bytes(level) * u64::from(members);
        (bytes <= self.span()).then_some(bytes)
    }

    /// Offsets of the run that the leaf `entry` at `offset` belongs to, if it does.
    pub(super) fn run_of(&self, offset: u64, level: u8, entry: Descriptor) -> Option<Range<u64>> {
        let bytes = self.run_bytes(level).filter(|_| entry.contiguous())?;
        let start = offset & !(bytes - 1);
        Some(start..start + bytes)
    }

    /// Replaces every valid member of `run` by what `new` makes of (its offset, its old descriptor).
    /// Members that become invalid are reported in `removed`.
    ///
    /// The state of a run is that of all its members together, so each new member has the access
    /// flag if one had it, and is dirty if one was.
    #[expect(
        clippy::too_many_arguments,
        reason = "the place and the change of one run"
    )]
    pub(super) async fn rewrite_run(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        gather: &mut Gather,
        path: &Path,
        run: Range<u64>,
        level: u8,
        new: impl Fn(u64, Descriptor) -> Descriptor,
        removed: &mut Vec<Leaf>,
    ) -> Result<(), MmError> {
        let table = path.table(level);
        let mut members = Vec::new();
        let (mut accessed, mut dirty) = (false, false);
        for offset in run.step_by(self.level_bytes(level) as usize) {
            let slot = self.slot(table, level, offset)?;
            let old = self.take(cpu, slot).await?;
            if !old.valid() {
                continue;
            }
            gather.leaf(self.va(offset), level, !old.ng());
            accessed |= old.af();
            dirty |= is_dirty(old);
            members.push((offset, slot, old));
        }
        gather.flush(cpu, frames).await;
        for (offset, slot, old) in members {
            let mut old = old.with_af(accessed);
            if dirty && !is_dirty(old) {
                old = with_dirty(old);
            }
            let descriptor = new(offset, old);
            if descriptor.valid() {
                self.write(cpu, slot, descriptor).await?;
            } else {
                self.count(table, -1);
                removed.push(self.leaf_at(offset, level, old));
            }
        }
        gather.stored();
        Ok(())
    }
}
