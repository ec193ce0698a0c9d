// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A zone: one buddy system, and the pages of it that are kept in reserve.

use super::buddy::Buddy;
use super::{Pfn, pages};
use std::ops::Range;

/// Part of a node.
#[derive(Debug)]
pub(super) struct Zone {
    pub buddy: Buddy,
    /// Pages that only requests with `reserve` get: the zone's share of the node's min watermark.
    min: u64,
}

impl Zone {
    /// A zone of `frames`, all free.
    pub fn new(frames: Range<u64>, zeroed: bool, min: u64) -> Self {
        Self {
            buddy: Buddy::new(frames.start, frames.end, zeroed),
            min,
        }
    }

    /// Hands out a block of `order`: its first frame, and whether it is known to hold zeros. Without
    /// `reserve` the zone is left with its min watermark at least.
    pub fn allocate(&mut self, order: u8, reserve: bool) -> Option<(Pfn, bool)> {
        let left = self.buddy.free_pages().checked_sub(pages(order))?;
        if !reserve && left < self.min {
            return None;
        }
        self.buddy.allocate(order)
    }
}
