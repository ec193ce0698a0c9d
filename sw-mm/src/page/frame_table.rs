// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The state of every frame of a zone, and the free lists threaded through it.
//!
//! Only the first frame of a block carries its state, so that a block changes hands in constant time.
//! Blocks are naturally aligned, so the block of any frame is found by looking at one frame per order.

use super::{MAX_ORDER, ORDERS, pages};

/// End of a list.
const NONE: u32 = u32::MAX;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No frame of this zone: padding below its first one.
    Absent,
    /// Inside a block, not its first frame.
    Inside,
    /// First frame of a free block.
    Free(u8),
    /// First frame of a block in use.
    Used(u8),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    /// Neighbours in the free list of the block's order; meaningful while the frame is `Free`.
    next: u32,
    prev: u32,
}

/// A block: index of its first frame, and its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub head: u32,
    pub order: u8,
}

/// The frames of a zone, by index: frame number less `origin`, a multiple of the largest block, so
/// that an index is aligned as its frame number is.
#[derive(Debug)]
pub(super) struct FrameTable {
    origin: u64,
    entries: Vec<Entry>,
    heads: [u32; ORDERS],
}

impl FrameTable {
    /// A table for the frames `start..end`, all `Inside` no block as yet. They are fewer than 2^31.
    pub fn new(start: u64, end: u64) -> Self {
        let origin = start & !(pages(MAX_ORDER) - 1);
        let entry = |state| Entry {
            state,
            next: NONE,
            prev: NONE,
        };
        let mut entries = Vec::new();
        if start < end {
            entries.resize((start - origin) as usize, entry(State::Absent));
            entries.resize((end - origin) as usize, entry(State::Inside));
        }
        Self {
            origin,
            entries,
            heads: [NONE; ORDERS],
        }
    }

    /// Frames, with the padding below the first one.
    pub fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Index of frame `pfn`, if it is in the table.
    pub fn index(&self, pfn: u64) -> Option<u32> {
        let index = pfn.checked_sub(self.origin)?;
        (index < self.entries.len() as u64).then_some(index as u32)
    }

    /// Frame number of an index.
    pub fn pfn(&self, index: u32) -> u64 {
        self.origin + u64::from(index)
    }

    /// State of a frame; beyond the last one there is none.
    pub fn state(&self, index: u32) -> State {
        self.entries
            .get(index as usize)
            .map_or(State::Absent, |entry| entry.state)
    }

    /// Makes `index` the head of a block in use or part of a block. It is in no free list.
    pub fn set(&mut self, index: u32, state: State) {
        self.entries[index as usize].state = state;
    }

    /// The block that frame `index` is in, and its state. Between the frame and the head of its block
    /// lie frames of that block only, so the first head met is the one.
    pub fn block_of(&self, index: u32) -> Option<(Extent, State)> {
        for reach in 0..=MAX_ORDER {
            let head = index & !((1 << reach) - 1);
            let state = self.state(head);
            match state {
                State::Free(order) | State::Used(order) => {
                    return Some((Extent { head, order }, state));
                }
                State::Absent => return None,
                State::Inside => {}
            }
        }
        None
    }

    /// First block in the free list of `order`.
    pub fn first_free(&self, order: u8) -> Option<u32> {
        let head = self.heads[order as usize];
        (head != NONE).then_some(head)
    }

    /// The block after `index` in its free list.
    pub fn next_free(&self, index: u32) -> Option<u32> {
        let next = self.entries[index as usize].next;
        (next != NONE).then_some(next)
    }

    /// Makes the block at `index` a free one, at the front of the list of `order`.
    pub fn link(&mut self, index: u32, order: u8) {
        let next = std::mem::replace(&mut self.heads[order as usize], index);
        self.entries[index as usize] = Entry {
            state: State::Free(order),
            next,
            prev: NONE,
        };
        if next != NONE {
            self.entries[next as usize].prev = index;
        }
    }

    /// Takes a free block out of its list; it becomes `Inside` until the caller says otherwise.
    pub fn unlink(&mut self, index: u32, order: u8) {
        let Entry { next, prev, .. } = self.entries[index as usize];
        self.entries[index as usize].state = State::Inside;
        match prev {
            NONE => self.heads[order as usize] = next,
            prev => self.entries[prev as usize].next = next,
        }
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
    }
}
