// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The store buffer of a core: what the core sees of its own stores before anybody else does.

use std::collections::VecDeque;

/// A store that is not performed yet.
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

const FILTER: usize = 256;

/// Stores in program order.
#[derive(Debug)]
pub(super) struct StoreBuffer {
    stores: VecDeque<BufferedStore>,
    /// How many of them fall on each place of a hash of their address: a word whose place counts none
    /// is in no store.
    filter: Box<[u32; FILTER]>,
}

impl Default for StoreBuffer {
    fn default() -> Self {
        Self {
            stores: VecDeque::new(),
            filter: Box::new([0; FILTER]),
        }
    }
}

impl StoreBuffer {
    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    /// Adds the youngest store.
    pub fn push(&mut self, store: BufferedStore) {
        self.filter[place(store.pa)] += 1;
        self.stores.push_back(store);
    }

    /// Takes the oldest store out.
    pub fn pop(&mut self) -> Option<BufferedStore> {
        let store = self.stores.pop_front()?;
        self.filter[place(store.pa)] -= 1;
        Some(store)
    }

    /// What its core sees of the word at `pa` when memory holds `word`.
    #[inline]
    pub fn view(&self, pa: u64, word: u64) -> u64 {
        if self.filter[place(pa)] == 0 {
            return word;
        }
        let same = self.stores.iter().filter(|store| store.pa == pa);
        same.fold(word, |word, store| store.apply(word))
    }
}

#[inline]
const fn place(pa: u64) -> usize {
    let word = pa >> 3;
    (word ^ (word >> 9)) as usize % FILTER
}
