// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Going down the tree, and the life of a table page: created before it is linked, unlinked before
//! it is freed.

use super::{MmError, PageTable, TablePage};
use crate::cpu::Cpu;
use crate::flush::Gather;
use crate::frame::{Frame, FrameAllocator};
use vmsa::{Descriptor, DsbKind, geometry};

/// Tables on the way to an offset, so that neighbours are reached without reading from the root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    tables: [u64; 4],
    /// Deepest level whose table is known.
    level: u8,
    offset: u64,
}

impl Path {
    /// Table of `level` on the path.
    pub(super) const fn table(&self, level: u8) -> u64 {
        self.tables[level as usize]
    }
}

impl PageTable {
    /// A path that knows the root only.
    pub(super) fn path(&self) -> Path {
        let level = self.start_level();
        let mut tables = [0; 4];
        tables[usize::from(level)] = self.root;
        Path {
            tables,
            level,
            offset: 0,
        }
    }

    /// Reads down to the entry of `target` level for `offset`, or to the first entry above it that is
    /// no table. Returns level and entry; the path ends at the table that holds it.
    pub(super) async fn descend(
        &self,
        cpu: &impl Cpu,
        path: &mut Path,
        offset: u64,
        target: u8,
    ) -> Result<(u8, Descriptor), MmError> {
        let granule = self.format.granule;
        let start = self.start_level();
        while path.level > start
            && (path.level > target
                || (path.offset ^ offset) >> geometry::level_lsb(granule, path.level - 1) != 0)
        {
            path.level -= 1;
        }
        path.offset = offset;
        loop {
            let level = path.level;
            let slot = self.slot(path.table(level), level, offset)?;
            let entry = self.read(cpu, slot).await?;
            if level >= target || !is_table(entry, level) {
                return Ok((level, entry));
            }
            path.level = level + 1;
            path.tables[usize::from(level) + 1] = entry.next_table(granule);
        }
    }

    /// Allocates an all-zero table of `level` for the region at `offset`; the caller makes it visible
    /// before linking it.
    pub(super) async fn new_table(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        level: u8,
        offset: u64,
    ) -> Result<u64, MmError> {
        let frame = frames.allocate().ok_or(MmError::OutOfFrames)?;
        if !frame.zeroed {
            for index in 0..self.format.granule.entries() {
                let pa = frame.pa + index * 8;
                let slot = self
                    .linear
                    .virt(pa)
                    .ok_or(MmError::OutsideLinearMap { pa })?;
                self.write(cpu, slot, Descriptor::INVALID).await?;
            }
        }
        // Only entries that are zero again make a table empty, so it goes back as it came.
        let frame = Frame {
            zeroed: true,
            ..frame
        };
        let covers = self.level_bytes(level) << self.format.granule.stride();
        let page = TablePage {
            frame,
            level,
            offset: offset & !(covers - 1),
            live: 0,
        };
        self.pages.borrow_mut().insert(frame.pa, page);
        Ok(frame.pa)
    }

    /// Links a new empty table below the invalid entry of `level` on `path`.
    ///
    /// MM-04: the zeros are visible before the entry that leads to them.
    pub(super) async fn link_table(
        &self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        path: &Path,
        level: u8,
    ) -> Result<(), MmError> {
        let child = self.new_table(cpu, frames, level + 1, path.offset).await?;
        cpu.dsb(DsbKind::ISHST).await;
        let slot = self.slot(path.table(level), level, path.offset)?;
        self.write(cpu, slot, Descriptor::table(child)).await?;
        self.count(path.table(level), 1);
        Ok(())
    }

    /// Unlinks the tables on `path` that have no live entry left, from the deepest up. Their frames
    /// wait in `gather` for the flush (MM-05).
    pub(super) async fn unlink_empty(
        &self,
        cpu: &impl Cpu,
        gather: &mut Gather,
        path: &mut Path,
    ) -> Result<(), MmError> {
        while path.level > self.start_level() {
            let table = path.table(path.level);
            let Some(page) = self.empty_page(table) else {
                break;
            };
            let above = path.level - 1;
            let slot = self.slot(path.table(above), above, path.offset)?;
            self.write(cpu, slot, Descriptor::INVALID).await?;
            self.count(path.table(above), -1);
            self.pages.borrow_mut().remove(&table);
            gather.table(page.frame);
            path.level = above;
        }
        Ok(())
    }

    fn empty_page(&self, table: u64) -> Option<TablePage> {
        let page = self.pages.borrow().get(&table).copied()?;
        (page.live == 0).then_some(page)
    }

    /// `change` more entries of `table` are valid.
    pub(super) fn count(&self, table: u64, change: i64) {
        if let Some(page) = self.pages.borrow_mut().get_mut(&table) {
            page.live = page.live.saturating_add_signed(change);
        }
    }
}

/// Whether a descriptor of `level` leads to a table.
pub(super) const fn is_table(entry: Descriptor, level: u8) -> bool {
    level < geometry::FINAL_LEVEL && entry.valid() && entry.is_table_bit()
}
