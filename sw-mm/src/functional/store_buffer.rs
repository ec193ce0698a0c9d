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

const PLACES: usize = 4096;

/// Words that are in some store buffer: counts by a hash of the address, so that an access to a word
/// that is in none, as most are, looks at no buffer.
#[derive(Debug)]
pub(super) struct Pending(Box<[u16; PLACES]>);

impl Default for Pending {
    fn default() -> Self {
        Self(Box::new([0; PLACES]))
    }
}

impl Pending {
    /// Whether a store to the word at `pa` may be in a buffer.
    #[inline]
    pub fn may_hold(&self, pa: u64) -> bool {
        self.0[place(pa)] != 0
    }

    /// A store to the word at `pa` is in a buffer now.
    #[inline]
    pub fn add(&mut self, pa: u64) {
        self.0[place(pa)] += 1;
    }

    /// It no longer is.
    #[inline]
    pub fn remove(&mut self, pa: u64) {
        self.0[place(pa)] -= 1;
    }
}

#[inline]
const fn place(pa: u64) -> usize {
    let word = pa >> 3;
    (word ^ (word >> 9)) as usize % PLACES
}
