// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Making translations: one leaf, a contiguous run, or a region by its largest leaves.

use super::descend::{Path, is_table};
use super::{MmError, PageTable, aligned};
use crate::attributes::Attributes;
use crate::bbm::{Change, classify};
use crate::cpu::Cpu;
use crate::flush::Gather;
use crate::frame::FrameAllocator;
use vmsa::{Descriptor, geometry};

/// Virtual and physical place of a piece of memory; all three are multiples of the page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First virtual address.
    pub va: u64,
    /// First physical address.
    pub pa: u64,
    /// Length in bytes.
    pub bytes: u64,
}

impl PageTable {
    /// Maps the leaf of `level` at `va` to `pa`; what was mapped there is replaced, by
    /// break-before-make where section 12.1 asks for it.
    ///
    /// A table in the way is taken down with all its mappings; a larger block is split; a contiguous
    /// run is unfolded. On return the translation is visible to every core and to later
    /// instructions of this one.
    ///
    /// # Errors
    /// [`MmError`] for an address or level that cannot be, lack of frames, or the fault of a table
    /// access.
    pub async fn map(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        va: u64,
        pa: u64,
        level: u8,
        attributes: &Attributes,
    ) -> Result<(), MmError> {
        let offset = self.offset(va)?;
        self.check_leaf(level)?;
        check_output(va, pa, self.level_bytes(level))?;
        let leaf = attributes.leaf(self.format.granule, level, pa);
        let mut gather = self.gather();
        let mut path = self.path();
        let done = self
            .set_leaf(cpu, frames, &mut gather, &mut path, (offset, level), leaf)
            .await;
        gather.flush(cpu, frames).await;
        done
    }

    /// Maps a whole contiguous run of leaves of `level` at `va`, ascending from `pa`. Whatever was
    /// mapped in the run is removed and flushed first.
    ///
    /// # Errors
    /// As [`PageTable::map`], and [`MmError::NoRunAtLevel`].
    pub async fn map_contiguous(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        va: u64,
        pa: u64,
        level: u8,
        attributes: &Attributes,
    ) -> Result<(), MmError> {
        let offset = self.offset(va)?;
        self.check_leaf(level)?;
        let bytes = self.run_bytes(level).ok_or(self.no_run(level))?;
        check_output(va, pa, bytes)?;
        let mut gather = self.gather();
        let mut path = self.path();
        let done = self
            .set_run(
                cpu,
                frames,
                &mut gather,
                &mut path,
                (offset, level),
                pa,
                attributes,
            )
            .await;
        gather.flush(cpu, frames).await;
        done
    }

    /// Maps a region with the largest leaves that its addresses and length allow; with `contiguous`
    /// also with runs.
    ///
    /// # Errors
    /// As [`PageTable::map`].
    pub async fn map_region(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        Region { va, pa, bytes }: Region,
        attributes: &Attributes,
        contiguous: bool,
    ) -> Result<(), MmError> {
        let (start, end) = self.extent(va, bytes)?;
        check_output(va, pa, self.format.granule.bytes())?;
        check_output(0, pa.wrapping_add(bytes.max(1) - 1), 1)?;
        let mut gather = self.gather();
        let mut path = self.path();
        let mut offset = start;
        while offset < end {
            let pa = pa + (offset - start);
            let fits = |size: u64| (offset | pa) % size == 0 && end - offset >= size;
            let level = (self.start_level()..geometry::FINAL_LEVEL)
                .find(|&l| {
                    geometry::block_allowed(self.format.granule, l) && fits(self.level_bytes(l))
                })
                .unwrap_or(geometry::FINAL_LEVEL);
            let run = self.run_bytes(level).filter(|&b| contiguous && fits(b));
            let at = (offset, level);
            let done = match run {
                Some(_) => {
                    self.set_run(cpu, frames, &mut gather, &mut path, at, pa, attributes)
                        .await
                }
                None => {
                    let leaf = attributes.leaf(self.format.granule, level, pa);
                    self.set_leaf(cpu, frames, &mut gather, &mut path, at, leaf)
                        .await
                }
            };
            if done.is_err() {
                gather.flush(cpu, frames).await;
                return done;
            }
            offset += run.unwrap_or(self.level_bytes(level));
        }
        gather.flush(cpu, frames).await;
        Ok(())
    }

    /// Stores `new` at (offset, level). Owes a flush to `gather`.
    async fn set_leaf(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        gather: &mut Gather,
        path: &mut Path,
        (offset, level): (u64, u8),
        new: Descriptor,
    ) -> Result<(), MmError> {
        let end = offset + self.level_bytes(level);
        loop {
            let (at, old) = self
                .reach(cpu, frames, gather, path, (offset, level))
                .await?;
            let in_run = self.run_bytes(at).is_some() && old.contiguous();
            if old.valid() && old != new && (is_table(old, at) || in_run) {
                // Takes down the subtree, or unfolds the run without this member; the flush makes
                // it a break before the make below.
                self.clear_range(cpu, frames, gather, offset, end, &mut Vec::new())
                    .await?;
                gather.flush(cpu, frames).await;
                *path = self.path();
                continue;
            }
            let slot = self.slot(path.table(at), at, offset)?;
            match classify(self.format.granule, level, old, new) {
                Change::None | Change::Break => return Ok(()),
                Change::Make => {
                    self.write(cpu, slot, new).await?;
                    self.count(path.table(at), 1);
                    gather.stored();
                    return Ok(());
                }
                change @ (Change::InPlace | Change::InPlaceThenInvalidate) => {
                    if self.swap(cpu, slot, old, new).await? != old {
                        continue;
                    }
                    match change {
                        Change::InPlace => gather.stored(),
                        _ => gather.leaf(self.va(offset), level, !old.ng()),
                    }
                    return Ok(());
                }
                Change::BreakBeforeMake => {
                    self.take(cpu, slot).await?;
                    gather.leaf(self.va(offset), level, !old.ng());
                    gather.flush(cpu, frames).await;
                    self.write(cpu, slot, new).await?;
                    gather.stored();
                    return Ok(());
                }
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the place and the mapping of one run"
    )]
    async fn set_run(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        gather: &mut Gather,
        path: &mut Path,
        (offset, level): (u64, u8),
        pa: u64,
        attributes: &Attributes,
    ) -> Result<(), MmError> {
        let bytes = self.run_bytes(level).ok_or(self.no_run(level))?;
        self.clear_range(cpu, frames, gather, offset, offset + bytes, &mut Vec::new())
            .await?;
        gather.flush(cpu, frames).await;
        *path = self.path();
        for member in (0..bytes).step_by(self.level_bytes(level) as usize) {
            let leaf = attributes
                .leaf(self.format.granule, level, pa + member)
                .with_contiguous(true);
            let at = (offset + member, level);
            self.reach(cpu, frames, gather, path, at).await?;
            let slot = self.slot(path.table(level), level, offset + member)?;
            self.write(cpu, slot, leaf).await?;
            self.count(path.table(level), 1);
        }
        gather.stored();
        Ok(())
    }

    /// Goes down to the entry of (offset, level), creating tables and splitting blocks on the way.
    async fn reach(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        gather: &mut Gather,
        path: &mut Path,
        (offset, level): (u64, u8),
    ) -> Result<(u8, Descriptor), MmError> {
        loop {
            let (at, entry) = self.descend(cpu, path, offset, level).await?;
            if at == level {
                return Ok((at, entry));
            }
            let step = if entry.valid() {
                self.split(cpu, frames, gather, path, (offset, at), entry)
                    .await
            } else {
                self.link_table(cpu, frames, path, at).await
            };
            if let Err(error) = step {
                // Tables linked on the way to a failure would stay empty for ever.
                gather.leaf(self.va(offset), level, false);
                self.unlink_empty(cpu, gather, path).await?;
                return Err(error);
            }
        }
    }

    fn check_leaf(&self, level: u8) -> Result<(), MmError> {
        let granule = self.format.granule;
        if level <= geometry::FINAL_LEVEL
            && level >= self.start_level()
            && geometry::leaf_allowed(granule, level)
        {
            Ok(())
        } else {
            Err(MmError::NoLeafAtLevel { granule, level })
        }
    }

    fn no_run(&self, level: u8) -> MmError {
        let granule = self.format.granule;
        MmError::NoRunAtLevel { granule, level }
    }
}

fn check_output(va: u64, pa: u64, bytes: u64) -> Result<(), MmError> {
    aligned(va, bytes)?;
    aligned(pa, bytes)?;
    match pa.checked_add(bytes - 1) {
        Some(last) if last >> 48 == 0 => Ok(()),
        _ => Err(MmError::OutputAddress { pa }),
    }
}
