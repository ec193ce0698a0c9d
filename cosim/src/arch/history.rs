// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What each word of memory held, and when: the `hist(d)` of section 13.1.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::fingerprint::Fingerprint;

/// A value and the cycles at which it was current: `begin <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The word.
    pub value: u64,
    /// First cycle.
    pub begin: u64,
    /// First cycle at which it was no longer current; `u64::MAX` for the current value.
    pub end: u64,
}

/// Past values of the words that were written while somebody watched.
#[derive(Clone, Debug, Default)]
pub struct History {
    // Looked up by address; `forget` visits all in any order, which changes nothing but themselves.
    // Shared by the states of an exploration until one of them changes it.
    past: Arc<FxHashMap<u64, Vec<Span>>>,
}

impl History {
    /// No word was ever written.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The word at `address` (a multiple of 8) changed from `before` to `after` at `cycle`.
    pub fn record(&mut self, cycle: u64, address: u64, before: u64, after: u64) {
        if before == after {
            return;
        }
        let past = Arc::make_mut(&mut self.past).entry(address).or_default();
        let begin = past.last().map_or(0, |span| span.end);
        past.push(Span {
            value: before,
            begin,
            end: cycle,
        });
    }

    /// Past values of the word at `address`, oldest first; empty if it never changed.
    #[must_use]
    pub fn past(&self, address: u64) -> &[Span] {
        self.past.get(&address).map_or(&[], Vec::as_slice)
    }

    /// All values of the word at `address`, oldest first, `current` being what it holds now.
    pub fn spans(&self, address: u64, current: u64) -> impl DoubleEndedIterator<Item = Span> + '_ {
        let past = self.past(address);
        let begin = past.last().map_or(0, |span| span.end);
        past.iter().copied().chain([Span {
            value: current,
            begin,
            end: u64::MAX,
        }])
    }

    /// Drops what ended at or before `cycle`: nobody may use it any more.
    pub fn forget(&mut self, cycle: u64) {
        Arc::make_mut(&mut self.past).retain(|_, past| {
            // The last span keeps the beginning of the current value.
            let gone = past.iter().take_while(|span| span.end <= cycle).count();
            past.drain(..gone);
            !past.is_empty()
        });
    }

    /// Adds what it knows to `print`.
    pub(super) fn mark(&self, print: &mut Fingerprint) {
        let mut words: Vec<_> = self.past.iter().collect();
        words.sort_unstable_by_key(|(address, _)| **address);
        for (address, past) in words {
            print.value(*address);
            for span in past {
                print.value(span.value);
                print.end(span.end);
            }
        }
    }

    /// Words with past values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.past.len()
    }

    /// Whether no word has past values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.past.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_one_another_without_gaps() {
        let mut history = History::new();
        history.record(10, 0x80, 1, 2);
        history.record(15, 0x80, 2, 2);
        history.record(20, 0x80, 2, 3);
        let spans: Vec<_> = history.spans(0x80, 3).collect();
        let span = |value, begin, end| Span { value, begin, end };
        assert_eq!(
            spans,
            [span(1, 0, 10), span(2, 10, 20), span(3, 20, u64::MAX)]
        );
        assert_eq!(
            history.spans(0x88, 7).collect::<Vec<_>>(),
            [span(7, 0, u64::MAX)]
        );
    }

    #[test]
    fn forgetting_keeps_what_may_still_be_used() {
        let mut history = History::new();
        history.record(10, 0x80, 1, 2);
        history.record(20, 0x80, 2, 3);
        history.forget(10);
        assert_eq!(history.past(0x80).len(), 1);
        history.forget(20);
        assert!(history.is_empty());
        assert_eq!(history.len(), 0);
    }
}
