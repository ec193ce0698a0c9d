// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Packs fields into the configuration input, lowest bit first.

use super::{CONFIG_WORDS, MemoryConfigError};

/// A packed structure being written.
pub(super) struct Words {
    words: [u64; CONFIG_WORDS],
    at: usize,
    clock_ps: u64,
}

impl Words {
    pub(super) fn new(clock_ps: u64) -> Self {
        Self {
            words: [0; CONFIG_WORDS],
            at: 0,
            clock_ps,
        }
    }

    /// Writes the low `bits` of `value`; no field crosses a word.
    pub(super) fn put(&mut self, bits: usize, value: u64) {
        self.words[self.at / 64] |= value << (self.at % 64);
        self.at += bits;
    }

    /// Picoseconds of a clock.
    pub(super) fn clock_ps(&self) -> u64 {
        self.clock_ps
    }

    /// Leaves `bits` zero.
    pub(super) fn skip(&mut self, bits: usize) {
        self.at += bits;
    }

    /// Writes `value`, if it fits in `bits`.
    pub(super) fn bounded(
        &mut self,
        what: &'static str,
        bits: usize,
        value: u64,
    ) -> Result<(), MemoryConfigError> {
        let most = (1 << bits) - 1;
        if value > most {
            return Err(MemoryConfigError::TooLong {
                what,
                clocks: value,
                most,
            });
        }
        self.put(bits, value);
        Ok(())
    }

    /// Writes a time of `ps` picoseconds in clocks, rounded up.
    pub(super) fn time(&mut self, what: &'static str, ps: u64) -> Result<(), MemoryConfigError> {
        self.bounded(what, 16, ps.div_ceil(self.clock_ps))
    }

    pub(super) fn finish(self) -> [u64; CONFIG_WORDS] {
        self.words
    }
}
