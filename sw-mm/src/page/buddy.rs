// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The binary buddy system of one zone.

use super::error::PageError;
use super::frame_table::{Extent, FrameTable, State};
use super::recent::Recent;
use super::zero_map::ZeroMap;
use super::{MAX_ORDER, ORDERS, Pfn, pages};

/// The blocks of a zone, free and in use.
#[derive(Debug)]
pub(super) struct Buddy {
    pub(super) table: FrameTable,
    recent: [Recent; ORDERS],
    zero: ZeroMap,
    total: u64,
    pub(super) free: u64,
}

impl Buddy {
    /// The frames `start..end`, all free.
    pub fn new(start: u64, end: u64, zeroed: bool) -> Self {
        let mut table = FrameTable::new(start, end);
        // From the top down, so that the lists begin with the lowest address.
        let mut above = table.len();
        let bottom = above - end.saturating_sub(start) as u32;
        while above > bottom {
            let order = (above.trailing_zeros() as u8)
                .min((above - bottom).ilog2() as u8)
                .min(MAX_ORDER);
            above -= 1 << order;
            table.link(above, order);
        }
        Self {
            zero: ZeroMap::new(table.len() as usize, zeroed),
            table,
            recent: [Recent::default(); ORDERS],
            total: end.saturating_sub(start),
            free: end.saturating_sub(start),
        }
    }

    /// Frames of the zone.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Free frames.
    pub fn free_pages(&self) -> u64 {
        self.free
    }

    /// Whether `pfn` is in a block in use.
    pub fn in_use(&self, pfn: Pfn) -> bool {
        self.table
            .index(pfn.0)
            .and_then(|index| self.table.block_of(index))
            .is_some_and(|(_, state)| matches!(state, State::Used(_)))
    }

    /// Hands out a block of `order`: its first frame, and whether it is known to hold zeros.
    pub fn allocate(&mut self, order: u8) -> Option<(Pfn, bool)> {
        let (target, block) = match self.freed_last(order) {
            Some(found) => found,
            None => self.best_fit(order)?,
        };
        let head = self.carve(block, target, order);
        self.free -= pages(order);
        Some((Pfn(self.table.pfn(head)), self.zero.take(head, order)))
    }

    /// The block of `order` that was freed last and is still free, and the free block it is in now.
    fn freed_last(&mut self, order: u8) -> Option<(u32, Extent)> {
        while let Some(index) = self.recent[order as usize].pop() {
            if let Some((block, State::Free(held))) = self.table.block_of(index)
                && held >= order
            {
                return Some((index, block));
            }
        }
        None
    }

    /// The smallest free block that holds `order`, last freed first.
    fn best_fit(&self, order: u8) -> Option<(u32, Extent)> {
        (order..=MAX_ORDER).find_map(|order| {
            let head = self.table.first_free(order)?;
            Some((head, Extent { head, order }))
        })
    }

    /// Splits the free `block` until the one of `order` at `target` is on its own, and takes that.
    fn carve(&mut self, block: Extent, target: u32, order: u8) -> u32 {
        let Extent {
            mut head,
            order: mut held,
        } = block;
        self.table.unlink(head, held);
        while held > order {
            held -= 1;
            let upper = head + (1 << held);
            if target < upper {
                self.table.link(upper, held);
            } else {
                self.table.link(head, held);
                head = upper;
            }
        }
        self.table.set(head, State::Used(order));
        head
    }

    /// Takes a block back and merges it with its buddy as long as that is free.
    ///
    /// # Errors
    /// Those of [`Buddy::used`].
    pub fn release(&mut self, pfn: Pfn, order: u8) -> Result<(), PageError> {
        let mut head = self.used(pfn, order)?;
        self.recent[order as usize].push(head);
        self.free += pages(order);
        let mut merged = order;
        while merged < MAX_ORDER {
            let buddy = head ^ (1 << merged);
            if self.table.state(buddy) != State::Free(merged) {
                break;
            }
            self.table.unlink(buddy, merged);
            self.table.set(head.max(buddy), State::Inside);
            head = head.min(buddy);
            merged += 1;
        }
        self.table.link(head, merged);
        Ok(())
    }

    /// Makes a block in use one of order 0 per frame.
    ///
    /// # Errors
    /// Those of [`Buddy::used`].
    pub fn split(&mut self, pfn: Pfn, order: u8) -> Result<(), PageError> {
        let head = self.used(pfn, order)?;
        for index in head..head + (1 << order) {
            self.table.set(index, State::Used(0));
        }
        Ok(())
    }

    /// Index of the block in use at `pfn`, of exactly `order`.
    ///
    /// # Errors
    /// [`PageError::Foreign`], [`PageError::NotInUse`], [`PageError::InsideBlock`] and
    /// [`PageError::WrongOrder`].
    fn used(&self, pfn: Pfn, order: u8) -> Result<u32, PageError> {
        let index = self.table.index(pfn.0).ok_or(PageError::Foreign(pfn))?;
        let (block, state) = self.table.block_of(index).ok_or(PageError::Foreign(pfn))?;
        match state {
            State::Used(held) if block.head == index && held == order => Ok(index),
            State::Used(held) if block.head == index => Err(PageError::WrongOrder {
                pfn,
                given: order,
                held,
            }),
            State::Used(_) => Err(PageError::InsideBlock {
                pfn,
                head: Pfn(self.table.pfn(block.head)),
                order: block.order,
            }),
            _ => Err(PageError::NotInUse(pfn)),
        }
    }
}
