// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Sparse physical memory of 8-byte words.

use rustc_hash::FxHashMap;
use std::cell::Cell;

const FRAME_WORDS: usize = 512;
/// Frames of one chunk.
const CHUNK: usize = 512;
/// Frames whose place is remembered, a power of two.
const RECENT: usize = 256;

type Frame = Box<[u64; FRAME_WORDS]>;
/// Indices of frames plus 1; 0 is an absent frame.
type Chunk = Box<[u32; CHUNK]>;

/// Memory that every observer agrees on. Absent frames read as zero.
#[derive(Debug)]
pub(super) struct Memory {
    frames: Vec<Frame>,
    chunks: Vec<Chunk>,
    /// By chunk number, the index in `chunks`.
    index: FxHashMap<u64, u32>,
    /// Frames found before; they are never given back, so that this stays right.
    recent: Box<[Cell<(u64, u32)>; RECENT]>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            chunks: Vec::new(),
            index: FxHashMap::default(),
            recent: Box::new([const { Cell::new((u64::MAX, 0)) }; RECENT]),
        }
    }
}

impl Memory {
    /// The word that holds byte `pa`.
    #[inline]
    pub fn word(&self, pa: u64) -> u64 {
        let (frame, index) = split(pa);
        self.find(frame).map_or(0, |at| self.frames[at][index])
    }

    /// The word that holds byte `pa`, to be replaced.
    #[inline]
    pub fn word_mut(&mut self, pa: u64) -> &mut u64 {
        let (frame, index) = split(pa);
        let at = match self.find(frame) {
            Some(at) => at,
            None => self.add(frame),
        };
        &mut self.frames[at][index]
    }

    /// The words from the one that holds byte `pa` on.
    pub fn words(&self, pa: u64, words: &mut [u64]) {
        let mut done = 0;
        while done < words.len() {
            let (frame, index) = split(pa + done as u64 * 8);
            let count = (FRAME_WORDS - index).min(words.len() - done);
            let piece = &mut words[done..done + count];
            match self.find(frame) {
                Some(at) => piece.copy_from_slice(&self.frames[at][index..index + count]),
                None => piece.fill(0),
            }
            done += count;
        }
    }

    /// Runs of non-zero words as (address, words), ascending.
    pub fn contents(&self) -> Vec<(u64, Vec<u64>)> {
        let mut chunks: Vec<_> = self.index.iter().collect();
        chunks.sort_unstable();
        let frames = chunks.into_iter().flat_map(|(number, &chunk)| {
            let numbers = number * CHUNK as u64..;
            let present = numbers.zip(self.chunks[chunk as usize].iter());
            present.filter(|(_, at)| **at != 0)
        });
        let mut pieces: Vec<(u64, Vec<u64>)> = Vec::new();
        for (frame, &at) in frames {
            let words = self.frames[at as usize - 1].iter().enumerate();
            for (index, &word) in words.filter(|(_, word)| **word != 0) {
                let pa = frame * 8 * FRAME_WORDS as u64 + index as u64 * 8;
                match pieces.last_mut() {
                    Some((base, run)) if *base + run.len() as u64 * 8 == pa => run.push(word),
                    _ => pieces.push((pa, vec![word])),
                }
            }
        }
        pieces
    }

    #[inline]
    fn find(&self, frame: u64) -> Option<usize> {
        let recent = &self.recent[frame as usize % RECENT];
        let (of, at) = recent.get();
        if of == frame {
            return Some(at as usize);
        }
        let chunk = self.chunk(frame / CHUNK as u64)?;
        let at = self.chunks[chunk][frame as usize % CHUNK].checked_sub(1)?;
        recent.set((frame, at));
        Some(at as usize)
    }

    fn chunk(&self, number: u64) -> Option<usize> {
        self.index.get(&number).map(|&at| at as usize)
    }

    fn add(&mut self, frame: u64) -> usize {
        let number = frame / CHUNK as u64;
        let chunk = self.chunk(number).unwrap_or_else(|| {
            self.chunks.push(Box::new([0; CHUNK]));
            let at = self.chunks.len() - 1;
            self.index.insert(number, at as u32);
            at
        });
        self.frames.push(Box::new([0; FRAME_WORDS]));
        self.chunks[chunk][frame as usize % CHUNK] = self.frames.len() as u32;
        self.frames.len() - 1
    }
}

const fn split(pa: u64) -> (u64, usize) {
    let word = pa / 8;
    let words = FRAME_WORDS as u64;
    (word / words, (word % words) as usize)
}
