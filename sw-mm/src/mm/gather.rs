// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What was taken out of tables and is given back after the flush (mmu_gather, section 8).
//!
//! The rule it enforces: no page and no table is freed before an invalidation of all addresses where
//! it was used has completed (MM-05, MM-06).

use super::flush::FlushRange;
use super::space::AddressSpace;
use super::table::Table;
use crate::cpu::Cpu;
use crate::folio::Folio;
use crate::thread::Thread;
use std::rc::Rc;

/// Entries in the queue from which on it is emptied at the next chance.
const FULL: usize = 512;

/// What waits for a flush.
#[derive(Debug)]
pub struct Gather {
    space: Rc<AddressSpace>,
    start: u64,
    end: u64,
    folios: Vec<(Rc<Folio>, u64)>,
    tables: Vec<Rc<Table>>,
    /// The whole address space goes.
    whole: bool,
    /// Bytes of the leaves taken out; 0 before the first, all ones for several sizes.
    stride: u64,
}

impl Gather {
    /// An empty gather; others see from now on that a flush is due. `whole`: the address space is
    /// taken down.
    pub fn new(space: &Rc<AddressSpace>, whole: bool) -> Self {
        space.flush_pending.set(space.flush_pending.get() + 1);
        Self {
            space: Rc::clone(space),
            start: u64::MAX,
            end: 0,
            folios: Vec::new(),
            tables: Vec::new(),
            whole,
            stride: 0,
        }
    }

    /// Leaves of `stride` bytes each were cleared or restricted in the `bytes` bytes at `va`.
    pub fn range(&mut self, va: u64, bytes: u64, stride: u64) {
        self.start = self.start.min(va);
        self.end = self.end.max(va + bytes);
        self.stride = match self.stride {
            0 => stride,
            same if same == stride => same,
            _ => u64::MAX,
        };
    }

    /// `count` references of a folio are to be dropped: entries that mapped it were cleared.
    pub fn folio(&mut self, folio: Rc<Folio>, count: u64) {
        match self.folios.last_mut() {
            Some((last, more)) if Rc::ptr_eq(last, &folio) => *more += count,
            _ => self.folios.push((folio, count)),
        }
    }

    /// A table was unlinked.
    pub fn table(&mut self, table: &Rc<Table>) {
        // Any address below it does: the operation then removes what was cached of the path.
        let bytes = 1 << self.space.shift();
        self.range(table.base, bytes, bytes);
        self.tables.push(Rc::clone(table));
    }

    /// Whether it is time to empty it.
    pub fn full(&self) -> bool {
        self.folios.len() + self.tables.len() >= FULL
    }

    /// Flushes, then gives everything back.
    pub async fn flush<C: Cpu>(&mut self, thread: &Thread<C>) {
        let kernel = &thread.kernel;
        if self.start < self.end {
            if self.whole {
                thread.flush_mm(&self.space).await;
            } else {
                thread
                    .flush_range(&self.space, self.flush_range(thread))
                    .await;
            }
        }
        for (folio, count) in self.folios.drain(..) {
            kernel.put_folio(thread.core, &folio, count);
        }
        for table in self.tables.drain(..) {
            kernel.free_block(thread.core, table.pfn, 0);
        }
        (self.start, self.end, self.stride) = (u64::MAX, 0, 0);
    }

    fn flush_range<C: Cpu>(&self, thread: &Thread<C>) -> FlushRange {
        let granule = thread.kernel.granule();
        let pages = FlushRange::pages(granule, self.start, self.end);
        let one_size = self.stride != u64::MAX;
        let stride = if one_size {
            self.stride
        } else {
            granule.bytes()
        };
        let level = (0..=3)
            .find(|&level| vmsa::geometry::level_bytes(granule, level) == stride)
            .filter(|_| one_size);
        FlushRange {
            stride,
            leaf: self.tables.is_empty(),
            level,
            ..pages
        }
    }

    /// Flushes what is left. A gather that is not finished keeps its pages for good.
    pub async fn finish<C: Cpu>(mut self, thread: &Thread<C>) {
        self.flush(thread).await;
        let pending = &self.space.flush_pending;
        pending.set(pending.get().saturating_sub(1));
    }
}
