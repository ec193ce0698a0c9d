// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The requests of one line that may be under way, and every history that explains its commands.
//!
//! A history is the number of requests, oldest first, that are done with: read, written, joined with a
//! queued write or answered by one. The rules, from section 4.2 of the memory system contract:
//!
//! * READ does the oldest request not done with, which is a read: a write that waits would have
//!   answered it.
//! * WRITE does the oldest request not done with, which is a write, for an older read holds it back;
//!   with it are done any number of the following ones, which joined it or were answered by it; those
//!   that surely were in the queue by then are.
//! * One READ may come before its request shows at the port: that of a compare-and-swap, which waits
//!   for the answers of what came before it.

use std::collections::VecDeque;

/// Histories are bits of a word, so no more requests than this are kept. A line with more of them in
/// doubt (a lock that is polled while a write to it is queued) is not judged any more.
const MOST: usize = 120;

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub write: bool,
    /// Its number among all requests of the node.
    pub number: u64,
    /// Cycle at the DRAM port.
    pub cycle: u64,
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct LineOrder {
    items: VecDeque<Item>,
    /// Bit n: perhaps n of the items are done with. One more than there are items: an early READ.
    states: u128,
    /// Too many requests were in doubt.
    lost: bool,
}

impl Default for LineOrder {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            states: 1,
            lost: false,
        }
    }
}

/// All bits from `low` on, up to and with `high`.
fn bits(low: usize, high: usize) -> u128 {
    if low > high {
        return 0;
    }
    (u128::MAX >> (127 - (high - low))) << low
}

impl LineOrder {
    fn done_with(&self, count: usize) -> bool {
        self.states >> count & 1 == 1
    }

    /// Places of items that may be the oldest not done with.
    fn heads(&self) -> impl Iterator<Item = (usize, &Item)> {
        let items = self.items.iter().enumerate();
        items.filter(|(place, _)| self.done_with(*place))
    }

    /// A request comes; an early command that does not fit it has been told of before.
    pub(super) fn arrive(&mut self, item: Item) {
        if self.items.len() >= MOST {
            self.forget();
            self.lost = true;
        }
        if !self.lost {
            self.items.push_back(item);
        }
    }

    /// Whether the oldest request not done with may be a write (`write`), or a read.
    pub(super) fn awaits(&self, write: bool) -> bool {
        self.heads().any(|(_, item)| item.write == write)
    }

    /// A READ. Whether any history fits.
    pub(super) fn read(&mut self) -> bool {
        if self.lost {
            return true;
        }
        let mut after = 0;
        for (place, item) in self.heads() {
            if !item.write {
                after |= 1 << (place + 1);
            }
        }
        let all = self.items.len();
        if self.done_with(all) {
            after |= 1 << (all + 1);
        }
        self.states = after;
        after != 0
    }

    /// A WRITE, when requests up to number `queued` were in the queues. Whether any history fits.
    pub(super) fn write(&mut self, queued: u64) -> bool {
        if self.lost {
            return true;
        }
        let all = self.items.len();
        let sure = self.items.iter().take_while(|item| item.number <= queued);
        let sure = sure.count();
        let mut after = 0;
        for (place, item) in self.heads() {
            if item.write {
                after |= bits(sure.max(place + 1), all);
            }
        }
        self.states = after;
        after != 0
    }

    /// Reads that came at `cycle` or before are done with. Whether any history fits.
    pub(super) fn served_until(&mut self, cycle: u64) -> bool {
        let mut late = 0;
        for (place, item) in self.heads() {
            if !item.write && item.cycle <= cycle {
                late |= 1 << place;
            }
        }
        self.states &= !late;
        self.states != 0
    }

    /// Whether a command may have come before its request.
    pub(super) fn is_early(&self) -> bool {
        self.done_with(self.items.len() + 1)
    }

    /// No command came before its request. Whether any history fits.
    pub(super) fn nothing_early(&mut self) -> bool {
        self.states &= !(1 << (self.items.len() + 1));
        self.states != 0
    }

    /// Begins anew: everything so far is done with.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing is under way in any history.
    pub(super) fn is_idle(&self) -> bool {
        self.items.is_empty() && self.states == 1 && !self.lost
    }

    /// Drops what is decided: requests done with in every history, and those that joined a write or
    /// were answered by it in every history because they surely were in the queue beside it.
    pub(super) fn tidy(&mut self, queued: u64) {
        let done = (self.states.trailing_zeros() as usize).min(self.items.len());
        self.items.drain(..done);
        self.states >>= done;
        let most = 127 - self.states.leading_zeros() as usize;
        let writes = self.items.iter().enumerate().skip(most);
        if let Some((first, _)) = writes.clone().find(|(_, item)| item.write) {
            let mut place = 0;
            self.items.retain(|item| {
                let keep = place <= first || item.number > queued;
                place += 1;
                keep
            });
        }
    }
}
