// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The store buffer of a core: stores in program order that are not performed yet.

use super::tlb::Owed;
use std::collections::VecDeque;
use vmsa::{DsbKind, Tlbi, TlbiOp};

/// A store that is not performed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferedStore {
    /// Address of the word.
    pub pa: u64,
    /// Bits of the word that are written.
    pub mask: u64,
    /// Their values, in place.
    pub bits: u64,
    /// What the translation matched that it came by: first VA, bytes and ASID. No bytes if the MMU is
    /// off.
    pub base: u64,
    pub bytes: u64,
    pub asid: u16,
}

impl BufferedStore {
    /// `word` after the store.
    pub const fn apply(&self, word: u64) -> u64 {
        (word & !self.mask) | (self.bits & self.mask)
    }

    /// Whether `op` may remove the translation that it came by. Level hints and, of operations by
    /// address, the ASID are not looked at: a store performed early harms nobody.
    fn named_by(&self, op: Tlbi, asid: u16) -> bool {
        match (op.op, op.range()) {
            (TlbiOp::Vmalle1, _) => true,
            (TlbiOp::Aside1, _) => self.asid == asid,
            (_, Some(range)) => range.overlaps(self.base, self.bytes),
            (_, None) => op.va().wrapping_sub(self.base) < self.bytes,
        }
    }
}

/// The stores of one core.
#[derive(Debug, Default)]
pub(super) struct StoreBuffer {
    stores: VecDeque<BufferedStore>,
    /// Number of the oldest of them; they are numbered in program order.
    first: u64,
    /// Up to which store an invalidation under way waits for them (TLBI-22).
    due: Vec<(u64, Owed)>,
}

impl StoreBuffer {
    /// Stores held before the oldest is performed to make room.
    pub const CAPACITY: usize = 64;

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    /// Whether there is no room for another store.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.stores.len() >= Self::CAPACITY
    }

    /// Adds the youngest store. `doomed`: invalidations that remove the translation it came by.
    #[inline]
    pub fn push(&mut self, store: BufferedStore, doomed: Owed) {
        self.stores.push_back(store);
        if !doomed.none() {
            self.due.push((self.youngest(), doomed));
        }
    }

    /// How many stores have to be performed to make room for `count` more.
    #[inline]
    pub fn excess(&self, count: usize) -> usize {
        (self.stores.len() + count).saturating_sub(Self::CAPACITY)
    }

    /// Adds the youngest stores, whose translation nothing removes.
    #[inline]
    pub fn extend(&mut self, stores: impl Iterator<Item = BufferedStore>) {
        self.stores.extend(stores);
    }

    /// Takes the oldest store out.
    #[inline]
    pub fn pop(&mut self) -> Option<BufferedStore> {
        let store = self.stores.pop_front()?;
        self.first += 1;
        Some(store)
    }

    /// What its core sees of the word at `pa` when memory holds `word`.
    pub fn view(&self, pa: u64, word: u64) -> u64 {
        let same = self.stores.iter().filter(|store| store.pa == pa);
        same.fold(word, |word, store| store.apply(word))
    }

    /// How many stores have to be performed for the last one to the word at `pa` to be.
    pub fn up_to_word(&self, pa: u64) -> usize {
        let last = self.stores.iter().rposition(|store| store.pa == pa);
        last.map_or(0, |index| index + 1)
    }

    /// `op` of core `issuer` was issued: its completion waits for the stores that came by what it
    /// removes.
    pub fn invalidate(&mut self, op: Tlbi, asid: u16, issuer: usize) {
        let named = |store: &BufferedStore| store.named_by(op, asid);
        if let Some(index) = self.stores.iter().rposition(named) {
            let mut owed = Owed::default();
            owed.mark(issuer, op.scope);
            self.due.push((self.first + index as u64, owed));
        }
    }

    /// How many stores the barrier `kind` of core `issuer` waits for, because it completes
    /// invalidations of the translations that they came by.
    pub fn up_to_due(&mut self, issuer: usize, kind: DsbKind) -> usize {
        let (first, mut count) = (self.first, 0);
        self.due.retain(|&(number, owed)| {
            let completed = owed.completed_by(issuer, kind);
            if completed && number >= first {
                count = count.max((number - first) as usize + 1);
            }
            !completed && number >= first
        });
        count
    }

    fn youngest(&self) -> u64 {
        self.first + self.stores.len() as u64 - 1
    }
}
