// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What distinguishes two states of the judge for all that is to come. Cycles count by their order
//! alone: those at which something ended against each other, all others against those.

use super::permitted::Permitted;

/// A state written down as words, cycles marked as such.
#[derive(Debug, Default)]
pub struct Fingerprint {
    words: Vec<(u64, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Value,
    End,
    Instant,
}

impl Fingerprint {
    /// Adds a value.
    pub fn value(&mut self, value: u64) {
        self.words.push((value, Kind::Value));
    }

    /// Adds the cycle at which something ended, or was fixed, that other cycles are compared with.
    pub fn end(&mut self, cycle: u64) {
        self.words.push((cycle, Kind::End));
    }

    /// Adds a cycle that matters only for what had ended by then.
    pub fn instant(&mut self, cycle: u64) {
        self.words.push((cycle, Kind::Instant));
    }

    /// Adds the state of `judge`, where nothing gave an error response and no answer passed another.
    pub fn judge(&mut self, judge: &Permitted) {
        judge.mark(self);
    }

    /// The words, each cycle replaced by the number of ends up to it.
    #[must_use]
    pub fn ranked(self) -> Vec<u64> {
        let mut ends: Vec<u64> = (self.words.iter())
            .filter_map(|&(word, kind)| (kind == Kind::End).then_some(word))
            .collect();
        ends.sort_unstable();
        ends.dedup();
        let rank = |(word, kind): (u64, Kind)| match kind {
            Kind::Value => word,
            Kind::End | Kind::Instant => ends.partition_point(|end| *end <= word) as u64,
        };
        self.words.into_iter().map(rank).collect()
    }
}

impl Permitted {
    /// Adds what tells this judge from another to `print`.
    pub(super) fn mark(&self, print: &mut Fingerprint) {
        self.history.mark(print);
        for pe in &self.pes {
            print.value(u64::from(pe.is_some()));
            if let Some(pe) = pe {
                pe.program.mark(print);
                print.instant(pe.unused);
            }
        }
    }
}
