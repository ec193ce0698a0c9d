// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The values that words held, and when: at which instants a value read may have been read.

use std::collections::{BTreeMap, VecDeque};

use crate::sim::Memory;

/// Changes of a word remembered: an access may have been bound before the latest ones.
const CHANGES: usize = 64;

/// A value that a word held until a cycle.
#[derive(Debug, Clone, Copy)]
struct Replaced {
    value: u64,
    until: u64,
}

#[derive(Debug, Default)]
struct Word {
    replaced: VecDeque<Replaced>,
    /// Cycle up to which values were forgotten.
    forgotten: u64,
}

/// Instants between which an access may have been performed, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The earliest.
    pub from: u64,
    /// The latest.
    pub to: u64,
}

/// The past of every word that changed.
#[derive(Debug, Default)]
pub struct History {
    words: BTreeMap<u64, Word>,
}

impl History {
    /// Notes that the word at `address` held `value` until `cycle`.
    pub fn replace(&mut self, address: u64, value: u64, cycle: u64) {
        let word = self.words.entry(address).or_default();
        if word.replaced.len() == CHANGES
            && let Some(oldest) = word.replaced.pop_front()
        {
            word.forgotten = oldest.until;
        }
        word.replaced.push_back(Replaced {
            value,
            until: cycle,
        });
    }

    /// The instants of `within` at which the bytes `mask` of the word at `address` were those of
    /// `value`: from the first to the last of them.
    ///
    /// # Errors
    /// Every value of these bytes within `within`, if none was that.
    pub fn instants(
        &self,
        memory: &Memory,
        address: u64,
        mask: u64,
        value: u64,
        within: Window,
    ) -> Result<Window, Vec<u64>> {
        let none = Word::default();
        let word = self.words.get(&address).unwrap_or(&none);
        let mut found: Option<Window> = None;
        let mut held = Vec::new();
        let mut from = word.forgotten;
        let current = Replaced {
            value: memory.coherent(address),
            until: u64::MAX,
        };
        for Replaced { value: was, until } in word.replaced.iter().copied().chain([current]) {
            let first = from.max(within.from);
            from = until;
            if first > until.min(within.to) {
                continue;
            }
            // A home serves one request a cycle: the last read of the old value came before the write.
            let last = until.saturating_sub(1).min(within.to).max(first);
            if (was ^ value) & mask == 0 {
                let window = found.get_or_insert(Window {
                    from: first,
                    to: last,
                });
                window.to = last;
            } else {
                held.push(was & mask);
            }
        }
        // What was forgotten may explain anything.
        if word.forgotten >= within.from && word.forgotten > 0 {
            return Ok(within);
        }
        found.ok_or(held)
    }
}

/// What an access did to a word, among the recent ones of its core.
#[derive(Debug, Clone, Copy)]
struct Recent {
    order: u64,
    address: u64,
    window: Window,
}

/// The recent accesses of one core, to find reads that go back in time (ORD-30).
#[derive(Debug, Default)]
pub struct Coherence {
    recent: VecDeque<Recent>,
}

impl Coherence {
    /// Accesses remembered: more than can be in flight at once.
    const RECENT: usize = 64;

    /// Notes that the access at `order` in program order read or wrote the word at `address` within
    /// `window`. Returns the order and window of another access of the core to the word that it
    /// contradicts, if any.
    pub fn note(&mut self, order: u64, address: u64, window: Window) -> Option<(u64, Window)> {
        let contradicts = |other: &&Recent| {
            let (older, younger) = match other.order < order {
                true => (other.window, window),
                false => (window, other.window),
            };
            other.address == address && other.order != order && younger.to < older.from
        };
        let contradiction = self.recent.iter().find(contradicts);
        let contradiction = contradiction.map(|other| (other.order, other.window));
        if self.recent.len() == Self::RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent {
            order,
            address,
            window,
        });
        contradiction
    }
}
