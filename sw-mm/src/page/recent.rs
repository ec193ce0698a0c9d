// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The frames freed last, so that they are reused first.
//!
//! Hints only: an entry may have been merged, handed out, or both since. Whoever takes one checks
//! that it is still free.

/// How many frees are remembered per zone and order. Few, since taking a frame out of the large block
/// it merged into splits that block again.
const DEPTH: usize = 16;

/// A stack of frame indices that forgets its oldest entry when full.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    entries: [u32; DEPTH],
    next: usize,
    len: usize,
}

impl Recent {
    /// Remembers `index` as freed last.
    pub fn push(&mut self, index: u32) {
        self.entries[self.next] = index;
        self.next = (self.next + 1) % DEPTH;
        self.len = (self.len + 1).min(DEPTH);
    }

    /// Forgets the entry freed last and returns it.
    pub fn pop(&mut self) -> Option<u32> {
        self.len = self.len.checked_sub(1)?;
        self.next = (self.next + DEPTH - 1) % DEPTH;
        Some(self.entries[self.next])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_come_out_first_and_the_oldest_are_forgotten() {
        let mut recent = Recent::default();
        (0..DEPTH as u32 + 2).for_each(|index| recent.push(index));
        let popped: Vec<u32> = std::iter::from_fn(|| recent.pop()).collect();
        let expected: Vec<u32> = (2..DEPTH as u32 + 2).rev().collect();
        assert_eq!(popped, expected);
    }
}
