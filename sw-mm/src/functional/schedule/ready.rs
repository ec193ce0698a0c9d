// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which tasks are ready: one bit a place, set by wakers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};

/// The bits of 64 places. Wakers have to be `Send`, hence the atomic.
struct PlaceWaker {
    word: Arc<AtomicU64>,
    bit: u64,
}

impl Wake for PlaceWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.word.fetch_or(self.bit, Ordering::Release);
    }
}

#[derive(Default)]
struct Word {
    ready: Arc<AtomicU64>,
    /// Places that hold a task. A waker may outlive its task, and then means nothing.
    occupied: u64,
    /// One for each place, made once.
    wakers: Vec<Waker>,
}

impl Word {
    fn bits(&self) -> u64 {
        self.ready.load(Ordering::Acquire) & self.occupied
    }
}

/// The ready tasks.
#[derive(Default)]
pub(super) struct ReadySet {
    words: Vec<Word>,
}

impl ReadySet {
    /// `place` holds a task now, ready; returns its waker.
    pub fn occupy(&mut self, place: usize) -> Waker {
        let (index, bit) = split(place);
        while self.words.len() <= index {
            let ready: Arc<AtomicU64> = Arc::default();
            let waker = |place: u32| {
                Waker::from(Arc::new(PlaceWaker {
                    word: Arc::clone(&ready),
                    bit: 1u64 << place,
                }))
            };
            let wakers = (0..64).map(waker).collect();
            self.words.push(Word {
                ready,
                occupied: 0,
                wakers,
            });
        }
        let word = &mut self.words[index];
        word.occupied |= bit;
        let waker = word.wakers[place % 64].clone();
        waker.wake_by_ref();
        waker
    }

    /// `place` holds no task any more.
    pub fn vacate(&mut self, place: usize) {
        let (index, bit) = split(place);
        self.words[index].occupied &= !bit;
    }

    /// Takes the bit of `place` away, before its task is polled.
    pub fn take(&self, place: usize) {
        let (index, bit) = split(place);
        self.words[index].ready.fetch_and(!bit, Ordering::AcqRel);
    }

    /// Whether the task at `place` is ready.
    pub fn contains(&self, place: usize) -> bool {
        let (index, bit) = split(place);
        self.words.get(index).is_some_and(|w| w.bits() & bit != 0)
    }

    /// Ready tasks.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.bits().count_ones()).sum()
    }

    /// The place of ready task number `n`, counted from the lowest place.
    pub fn nth(&self, mut n: u32) -> Option<usize> {
        for (index, word) in self.words.iter().enumerate() {
            let mut bits = word.bits();
            let count = bits.count_ones();
            if n < count {
                for _ in 0..n {
                    bits &= bits - 1;
                }
                return Some(index * 64 + bits.trailing_zeros() as usize);
            }
            n -= count;
        }
        None
    }

    /// The places of ready tasks, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut bits = word.bits();
            std::iter::from_fn(move || {
                let place = (bits != 0).then(|| index * 64 + bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(place)
            })
        })
    }
}

const fn split(place: usize) -> (usize, u64) {
    (place / 64, 1 << (place % 64))
}
