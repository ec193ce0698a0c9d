// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When a store becomes visible to all, and what an invalidation and its barrier do on every core.
//!
//! Loads, stores and swaps of all cores see each other in the order in which they execute: the locks
//! of the kernel are objects of the host, so that nothing else orders what they guard. A store is
//! performed when another core accesses its word, since what one other observer sees all see, and
//! with it all older stores of its core. Walkers alone see only what is performed.

use super::State;
use super::monitor::Change;
use super::store_buffer::BufferedStore;
use super::tlb::Owed;
use vmsa::{DsbKind, Tlbi, TlbiScope};

impl State {
    /// The word that holds byte `pa`, as `core` loads it.
    #[inline]
    pub(super) fn view(&mut self, core: usize, pa: u64) -> u64 {
        if !self.pending.may_hold(pa >> 3) {
            return self.memory.word(pa);
        }
        self.claim(core, pa & !7);
        let word = self.memory.word(pa);
        self.cores[core].stores.view(pa & !7, word)
    }

    /// Puts a store into the buffer of `core`. `doomed`: invalidations that remove the translation it
    /// came by.
    #[inline]
    pub(super) fn buffer(&mut self, core: usize, store: BufferedStore, doomed: Owed) {
        if self.pending.may_hold(store.pa >> 3) {
            self.claim(core, store.pa);
        }
        if self.cores[core].stores.is_full() {
            self.perform(core);
        }
        self.pending.add(store.pa >> 3);
        self.cores[core].stores.push(store, doomed);
    }

    /// The words from `pa` on, as `core` loads them.
    pub(super) fn view_words(&mut self, core: usize, pa: u64, words: &mut [u64]) {
        let mut places = (pa..).step_by(8).take(words.len());
        if places.any(|pa| self.pending.may_hold(pa >> 3)) {
            for (word, pa) in words.iter_mut().zip((pa..).step_by(8)) {
                *word = self.view(core, pa);
            }
        } else {
            self.memory.words(pa, words);
        }
    }

    /// Puts stores of whole words from that of `first` on into the buffer of `core`: as many as it
    /// holds at most.
    pub(super) fn buffer_words(&mut self, core: usize, first: BufferedStore, words: &[u64]) {
        let pa = first.pa;
        for pa in (pa..).step_by(8).take(words.len()) {
            if self.pending.may_hold(pa >> 3) {
                self.claim(core, pa);
            }
            self.pending.add(pa >> 3);
        }
        for _ in 0..self.cores[core].stores.excess(words.len()) {
            self.perform(core);
        }
        let stores = words.iter().zip((pa..).step_by(8));
        let stores = stores.map(|(&bits, pa)| BufferedStore { pa, bits, ..first });
        self.cores[core].stores.extend(stores);
    }

    /// Performs the stores of other cores to the word at `pa`, which `core` is about to access.
    fn claim(&mut self, core: usize, pa: u64) {
        for other in 0..self.cores.len() {
            if other != core {
                let stores = self.cores[other].stores.up_to_word(pa);
                for _ in 0..stores {
                    self.perform(other);
                }
            }
        }
    }

    /// Performs all buffered stores of a core, in order.
    pub(super) fn drain(&mut self, core: usize) {
        while self.perform(core) {}
    }

    /// Performs the oldest buffered store of a core, if there is one.
    fn perform(&mut self, core: usize) -> bool {
        let state = &mut self.cores[core];
        let Some(store) = state.stores.pop() else {
            return false;
        };
        let big_endian = state.context.big_endian;
        self.pending.remove(store.pa >> 3);
        let word = self.memory.word_mut(store.pa);
        let new = store.apply(*word);
        *word = new;
        let change = Change {
            core,
            slot: store.pa,
            new,
        };
        self.monitor.commit(change, big_endian, &self.memory);
        true
    }

    /// The word that holds byte `pa`, with the stores that are not performed yet.
    pub(super) fn newest(&self, pa: u64) -> u64 {
        let word = self.memory.word(pa);
        // At most one core has stores to it: the others performed theirs when that one stored.
        let view = |word, core: &super::CoreState| core.stores.view(pa & !7, word);
        self.cores.iter().fold(word, view)
    }

    /// A context synchronization event: from here on the registers of the core are in force.
    pub(super) fn synchronize(&mut self, core: usize) {
        let context = &self.cores[core].context;
        self.monitor
            .runs(core, context.halves[0].root, context.asid);
    }

    pub(super) fn invalidate(&mut self, issuer: usize, op: Tlbi) {
        let asid = if self.cores[issuer].context.asid16 {
            op.asid()
        } else {
            op.asid() & 0xff
        };
        let everywhere = op.scope != TlbiScope::Local;
        if everywhere || self.cores.len() == 1 {
            self.monitor.invalidate(op, asid, issuer);
        }
        for core in 0..self.cores.len() {
            if !everywhere && core != issuer {
                continue;
            }
            let mut lost = std::mem::take(&mut self.lost);
            let state = &mut self.cores[core];
            state.stores.invalidate(op, asid, issuer);
            let current = state.context.asid;
            state.tlb.doom(op, asid, issuer, current, &mut lost);
            for va in lost.drain(..) {
                self.speculate(core, va);
            }
            self.lost = lost;
        }
    }

    pub(super) fn complete(&mut self, issuer: usize, kind: DsbKind) {
        for core in 0..self.cores.len() {
            let due = self.cores[core].stores.up_to_due(issuer, kind);
            for _ in 0..due {
                self.perform(core);
            }
            self.cores[core].tlb.complete(issuer, kind);
        }
        self.monitor.complete(issuer, kind, &self.memory);
    }
}
