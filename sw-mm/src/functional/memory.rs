// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Sparse physical memory of 8-byte words, and the store buffer in front of it.

use std::collections::BTreeMap;

const FRAME_WORDS: usize = 512;

/// Memory that every observer agrees on. Absent frames read as zero.
#[derive(Debug, Default)]
pub(super) struct Memory {
    frames: BTreeMap<u64, Box<[u64; FRAME_WORDS]>>,
}

impl Memory {
    /// The word that holds byte `pa`.
    pub fn word(&self, pa: u64) -> u64 {
        let (frame, index) = split(pa);
        self.frames.get(&frame).map_or(0, |words| words[index])
    }

    /// Replaces the word that holds byte `pa`.
    pub fn set_word(&mut self, pa: u64, value: u64) {
        let (frame, index) = split(pa);
        self.frames
            .entry(frame)
            .or_insert_with(|| Box::new([0; FRAME_WORDS]))[index] = value;
    }

    /// Runs of non-zero words as (address, words), ascending.
    pub fn contents(&self) -> Vec<(u64, Vec<u64>)> {
        let mut pieces: Vec<(u64, Vec<u64>)> = Vec::new();
        for (&frame, words) in &self.frames {
            for (index, &word) in words.iter().enumerate().filter(|(_, word)| **word != 0) {
                let pa = frame * 8 * FRAME_WORDS as u64 + index as u64 * 8;
                match pieces.last_mut() {
                    Some((base, run)) if *base + run.len() as u64 * 8 == pa => run.push(word),
                    _ => pieces.push((pa, vec![word])),
                }
            }
        }
        pieces
    }
}

fn split(pa: u64) -> (u64, usize) {
    let word = pa / 8;
    let words = FRAME_WORDS as u64;
    (word / words, (word % words) as usize)
}

/// A store that its own core sees and nobody else does yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferedStore {
    /// Address of the word.
    pub pa: u64,
    /// Bits of the word that are written.
    pub mask: u64,
    /// Their values, in place.
    pub bits: u64,
}

impl BufferedStore {
    /// `word` after the store.
    pub const fn apply(&self, word: u64) -> u64 {
        (word & !self.mask) | (self.bits & self.mask)
    }
}
