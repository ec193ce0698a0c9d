// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Frames whose content is known to be zero: those of zero-filled memory that nobody has had yet.
//!
//! Known per frame, not per free block: a frame that was never handed out stays zeroed when a used
//! neighbour merges with it.

/// One bit a frame, set while the frame is known to hold zeros.
#[derive(Debug)]
pub(super) struct ZeroMap(Vec<u64>);

impl ZeroMap {
    /// `frames` frames, all zeroed or none.
    pub fn new(frames: usize, zeroed: bool) -> Self {
        let word = if zeroed { u64::MAX } else { 0 };
        Self(vec![word; frames.div_ceil(64)])
    }

    /// Marks the naturally aligned 2^`order` frames at `index` as handed out; whether all of them
    /// were zeroed so far.
    pub fn take(&mut self, index: u32, order: u8) -> bool {
        let first = index as usize / 64;
        let bits = 1_usize << order;
        if bits < 64 {
            let mask = ((1_u64 << bits) - 1) << (index % 64);
            let Some(word) = self.0.get_mut(first) else {
                return false;
            };
            let all = *word & mask == mask;
            *word &= !mask;
            return all;
        }
        let Some(words) = self.0.get_mut(first..first + bits / 64) else {
            return false;
        };
        let all = words.iter().all(|&word| word == u64::MAX);
        words.fill(0);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_zeroed_only_if_all_its_frames_are() {
        let mut map = ZeroMap::new(256, true);
        assert!(map.take(3, 0));
        assert!(!map.take(3, 0), "handed out before");
        assert!(!map.take(0, 2), "frame 3 is not");
        assert!(map.take(4, 2), "its neighbours are");
        assert!(!map.take(0, 7));
        assert!(map.take(128, 7));
        assert!(!ZeroMap::new(64, false).take(0, 6));
    }
}
