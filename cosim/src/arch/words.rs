// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Sparse memory of 64-bit words for the model alone; zero where never written.

use rustc_hash::FxHashMap;

use super::walk::ReadDescriptor;

const FRAME_SHIFT: u32 = 12;
const FRAME_WORDS: usize = 1 << (FRAME_SHIFT - 3);

/// Sparse memory by 4 KiB frames.
#[derive(Clone, Default)]
pub struct Words {
    // Never iterated in an order that matters; the hasher has no seed.
    frames: FxHashMap<u64, Box<[u64; FRAME_WORDS]>>,
}

impl Words {
    /// Memory that reads as zero everywhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The word that holds byte `address`.
    #[must_use]
    pub fn get(&self, address: u64) -> u64 {
        match self.frames.get(&(address >> FRAME_SHIFT)) {
            Some(frame) => frame[Self::slot(address)],
            None => 0,
        }
    }

    /// Replaces the word that holds byte `address`.
    pub fn set(&mut self, address: u64, value: u64) {
        let frame = self
            .frames
            .entry(address >> FRAME_SHIFT)
            .or_insert_with(|| Box::new([0; FRAME_WORDS]));
        frame[Self::slot(address)] = value;
    }

    const fn slot(address: u64) -> usize {
        (address >> 3) as usize & (FRAME_WORDS - 1)
    }
}

impl ReadDescriptor for Words {
    fn read(&self, address: u64) -> Option<u64> {
        Some(self.get(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwritten_words_read_zero_and_written_ones_back() {
        let mut words = Words::new();
        let top = (1 << 48) - 8;
        words.set(top, 7);
        words.set(0x1008, 9);
        assert_eq!(
            (words.get(top), words.get(0x100c), words.get(0x1000)),
            (7, 9, 0)
        );
        assert_eq!(words.get(0x1_0000_1008), 0);
    }
}
