// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Physical memory as software holds it: sparse, zero where never written, with error marks.
//!
//! There are two images. *DRAM* is what the DRAM ports read and write, in the order of their
//! requests. The *coherent image* is memory as every observer sees it, that is, as of the commit
//! events (MEM-21): a write is in it from its commit on, whether or not the DRAM request has come
//! yet. Monitors judge by the coherent image. Writes through the back door go to both.
//!
//! The coherent image is kept only while somebody listens; until then it is DRAM. Both images share
//! the frames in which they do not differ.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::dut::ports::{DramAnswer, DramRequest, merge_bytes};

const FRAME_SHIFT: u32 = 12;
const FRAME_WORDS: usize = 1 << (FRAME_SHIFT - 3);
type Frame = [u64; FRAME_WORDS];

/// One image of memory.
#[derive(Default, Clone)]
struct Image {
    // Never iterated, so its order reaches nothing.
    frames: FxHashMap<u64, Rc<Frame>>,
}

impl Image {
    fn read(&self, address: u64) -> u64 {
        self.frames
            .get(&(address >> FRAME_SHIFT))
            .map_or(0, |frame| frame[word_index(address)])
    }

    fn word_mut(&mut self, address: u64) -> &mut u64 {
        let frame = self
            .frames
            .entry(address >> FRAME_SHIFT)
            .or_insert_with(|| Rc::new([0; FRAME_WORDS]));
        &mut Rc::make_mut(frame)[word_index(address)]
    }
}

fn word_index(address: u64) -> usize {
    (address >> 3) as usize % FRAME_WORDS
}

/// Which requests of an error-marked word fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorOn {
    /// Reads only.
    Reads,
    /// Writes only.
    Writes,
    /// All.
    Both,
}

#[derive(Debug, Clone, Copy)]
struct ErrorMark {
    on: ErrorOn,
    /// Errors still to give; `None` is without end.
    left: Option<u32>,
}

/// The physical memory of all nodes.
#[derive(Default)]
pub struct Memory {
    dram: Image,
    coherent: Option<Image>,
    errors: BTreeMap<u64, ErrorMark>,
    errors_given: u64,
}

impl Memory {
    /// Memory that is zero everywhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The 8-byte word of DRAM that holds `address`.
    #[must_use]
    pub fn read_u64(&self, address: u64) -> u64 {
        self.dram.read(address)
    }

    /// The 8-byte word that holds `address`, as every observer sees it now.
    #[must_use]
    pub fn coherent(&self, address: u64) -> u64 {
        self.coherent.as_ref().unwrap_or(&self.dram).read(address)
    }

    /// Sets the 8-byte word that holds `address` in both images.
    pub fn write_u64(&mut self, address: u64, value: u64) {
        self.write_bytes_of_word(address, 0xff, value);
    }

    /// Copies `bytes` to `address` in both images.
    pub fn write_bytes(&mut self, address: u64, bytes: &[u8]) {
        let mut at = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let offset = (at & 7) as usize;
            let taken = rest.len().min(8 - offset);
            let mut word = [0; 8];
            word[offset..offset + taken].copy_from_slice(&rest[..taken]);
            let strobe = (((1u16 << taken) - 1) << offset) as u8;
            self.write_bytes_of_word(at, strobe, u64::from_le_bytes(word));
            at += taken as u64;
            rest = &rest[taken..];
        }
    }

    fn write_bytes_of_word(&mut self, address: u64, strobe: u8, data: u64) {
        for image in [Some(&mut self.dram), self.coherent.as_mut()]
            .into_iter()
            .flatten()
        {
            let word = image.word_mut(address);
            *word = merge_bytes(*word, data, strobe);
        }
    }

    /// Makes the 8-byte word that holds `address` answer with an error, `times` times or, with
    /// `None`, until the mark is cleared. A request that fails has no effect.
    pub fn mark_error(&mut self, address: u64, on: ErrorOn, times: Option<u32>) {
        self.errors
            .insert(address & !7, ErrorMark { on, left: times });
    }

    /// Removes the mark of the word that holds `address`.
    pub fn clear_error(&mut self, address: u64) {
        self.errors.remove(&(address & !7));
    }

    /// Whether the word that holds `address` still answers some requests with an error.
    #[must_use]
    pub fn error_marked(&self, address: u64) -> bool {
        self.errors.contains_key(&(address & !7))
    }

    /// Whether the next write to the word that holds `address` fails, and so never becomes visible
    /// (MEM-11).
    #[must_use]
    pub(crate) fn refuses_write(&self, address: u64) -> bool {
        self.errors
            .get(&(address & !7))
            .is_some_and(|mark| mark.on != ErrorOn::Reads)
    }

    /// Every word, as observers see it, that is not 0: address and value, in ascending order.
    pub fn words(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let frames = &self.coherent.as_ref().unwrap_or(&self.dram).frames;
        let mut ordered: Vec<_> = frames.iter().collect();
        ordered.sort_unstable_by_key(|&(frame, _)| *frame);
        ordered.into_iter().flat_map(|(frame, words)| {
            let base = frame << FRAME_SHIFT;
            let words = (base..).step_by(8).zip(words.iter().copied());
            words.filter(|&(_, word)| word != 0)
        })
    }

    /// The words marked to answer with errors: address, which requests, how many of them.
    pub fn error_marks(&self) -> impl Iterator<Item = (u64, ErrorOn, Option<u32>)> + '_ {
        let marks = self.errors.iter();
        marks.map(|(&address, mark)| (address, mark.on, mark.left))
    }

    /// Number of requests answered with an error so far.
    #[must_use]
    pub fn errors_given(&self) -> u64 {
        self.errors_given
    }

    /// Keeps the coherent image apart from DRAM from now on.
    pub(crate) fn keep_coherent_image(&mut self) {
        if self.coherent.is_none() {
            self.coherent = Some(self.dram.clone());
        }
    }

    /// Makes a write visible in the coherent image; returns the word before and after.
    pub(crate) fn commit(&mut self, address: u64, strobe: u8, data: u64) -> (u64, u64) {
        let Some(image) = &mut self.coherent else {
            let before = self.dram.read(address);
            return (before, merge_bytes(before, data, strobe));
        };
        let word = image.word_mut(address);
        let before = *word;
        *word = merge_bytes(before, data, strobe);
        (before, *word)
    }

    /// Executes a request of a DRAM port and says what the port answers.
    pub(crate) fn serve(&mut self, request: &DramRequest) -> DramAnswer {
        let tag = request.tag;
        if !self.errors.is_empty() && self.fails(request) {
            self.errors_given += 1;
            return DramAnswer {
                tag,
                error: true,
                data: 0,
            };
        }
        if request.write {
            let word = self.dram.word_mut(request.address);
            *word = merge_bytes(*word, request.data, request.strobe);
            return DramAnswer {
                tag,
                error: false,
                data: 0,
            };
        }
        DramAnswer {
            tag,
            error: false,
            data: self.dram.read(request.address),
        }
    }

    fn fails(&mut self, request: &DramRequest) -> bool {
        let address = request.address & !7;
        let Some(mark) = self.errors.get_mut(&address) else {
            return false;
        };
        let hit = match mark.on {
            ErrorOn::Reads => !request.write,
            ErrorOn::Writes => request.write,
            ErrorOn::Both => true,
        };
        if hit && let Some(left) = &mut mark.left {
            if *left <= 1 {
                self.errors.remove(&address);
            } else {
                *left -= 1;
            }
        }
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(address: u64, strobe: u8, data: u64) -> DramRequest {
        DramRequest {
            tag: 7,
            write: true,
            strobe,
            address,
            data,
        }
    }

    fn read(address: u64) -> DramRequest {
        DramRequest {
            tag: 9,
            write: false,
            strobe: 0,
            address,
            data: 0,
        }
    }

    #[test]
    fn unwritten_memory_reads_zero_and_top_of_48_bits_is_reachable() {
        let mut memory = Memory::new();
        let top = (1 << 48) - 8;
        assert_eq!(memory.read_u64(top), 0);
        memory.write_u64(top, 42);
        assert_eq!(memory.read_u64(top), 42);
        assert_eq!(memory.read_u64(top - 8), 0);
    }

    #[test]
    fn bytes_cross_words_and_frames_without_touching_neighbours() {
        let mut memory = Memory::new();
        memory.write_u64(0xff8, u64::MAX);
        memory.write_u64(0x1000, u64::MAX);
        memory.write_bytes(0xffd, &[1, 2, 3, 4, 5]);
        assert_eq!(memory.read_u64(0xff8), 0x0302_01ff_ffff_ffff);
        assert_eq!(memory.read_u64(0x1000), 0xffff_ffff_ffff_0504);
    }

    #[test]
    fn strobes_select_bytes() {
        for strobe in 0..=255u8 {
            let mut expected = [0xaau8; 8];
            for (byte, slot) in expected.iter_mut().enumerate() {
                if strobe >> byte & 1 == 1 {
                    *slot = 0x10 + byte as u8;
                }
            }
            let merged = merge_bytes(0xaaaa_aaaa_aaaa_aaaa, 0x1716_1514_1312_1110, strobe);
            assert_eq!(merged, u64::from_le_bytes(expected), "strobe {strobe:#x}");
        }
    }

    #[test]
    fn commit_and_dram_write_become_visible_each_in_its_own_image() {
        let mut memory = Memory::new();
        memory.write_u64(0x80, 1);
        memory.keep_coherent_image();
        assert_eq!(memory.commit(0x80, 0xff, 2), (1, 2));
        assert_eq!((memory.coherent(0x80), memory.read_u64(0x80)), (2, 1));
        memory.serve(&write(0x80, 0xff, 2));
        assert_eq!((memory.coherent(0x80), memory.read_u64(0x80)), (2, 2));
        memory.serve(&write(0x80, 0x01, 3));
        assert_eq!((memory.coherent(0x80), memory.read_u64(0x80)), (2, 3));
        memory.write_u64(0x80, 9);
        assert_eq!((memory.coherent(0x80), memory.read_u64(0x80)), (9, 9));
    }

    #[test]
    fn marked_words_fail_as_often_as_asked_and_keep_their_value() {
        let mut memory = Memory::new();
        memory.write_u64(0x40, 5);
        memory.mark_error(0x43, ErrorOn::Writes, Some(2));
        assert_eq!(
            memory.serve(&read(0x40)),
            DramAnswer {
                tag: 9,
                error: false,
                data: 5
            }
        );
        assert!(memory.serve(&write(0x40, 0xff, 6)).error);
        assert!(memory.serve(&write(0x40, 0xff, 6)).error);
        assert_eq!(memory.read_u64(0x40), 5);
        assert!(!memory.error_marked(0x40));
        assert!(!memory.serve(&write(0x40, 0xff, 6)).error);
        assert_eq!((memory.read_u64(0x40), memory.errors_given()), (6, 2));
        memory.mark_error(0x40, ErrorOn::Both, None);
        for _ in 0..4 {
            assert!(memory.serve(&read(0x40)).error);
        }
        assert!(!memory.serve(&read(0x48)).error);
        memory.clear_error(0x40);
        assert!(!memory.serve(&read(0x40)).error);
    }
}
