// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Holding what an engine answered against what the reference answered.
//!
//! Answers are compared one to one, always. Contiguous runs of the vectors are well formed, and the
//! only fields in which their descriptors differ, AF under HA and AP\[2\] under HD with DBM = 1, change
//! no answer while HA (or HD) is on: AF = 0 is set on the way and AP\[2\] counts as writable. So a TLB
//! that keeps a run as one entry gives the same PA, attributes, permissions and faults through it as
//! a walk of the page's own descriptor would. What differs is which descriptor of the run carries the
//! new state: a hit on the run entry updates none, while the reference updates the one accessed.
//!
//! Memory after the last query is therefore compared word by word, except in runs that may coalesce:
//! there AF is OR-ed and AP\[2\] AND-ed over the run (section 4: the state of a run is that of all its
//! descriptors together) and all other bits are compared word by word. With the hint ignored by the
//! engine nothing is compared that way.
//!
//! An engine that walks where no query asked may have set the access flag of other valid descriptors
//! too, and nothing else of them (HAF-07, WALK-23); such words are counted apart.

use std::collections::{BTreeMap, BTreeSet};

use vmsa::Descriptor;

use super::engine::{SceneResult, coalescing_runs};
use super::scene::{Answer, Query, Run, Scene};
use crate::arch::walk::{decode_word, encode_word};
use crate::arch::{Context, Profile};

/// One difference from the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// A query got another answer.
    Query {
        /// Index into the queries of the scene.
        index: usize,
        /// The query with the expected answer.
        query: Query,
        /// What was answered; `None` if nothing was.
        got: Option<Answer>,
    },
    /// A word of memory ended with another value.
    Word {
        /// Physical byte address.
        address: u64,
        /// Value of the reference.
        expected: u64,
        /// Value found.
        got: u64,
    },
    /// The state of a contiguous run ended differently.
    RunState {
        /// Physical byte address of its first descriptor.
        address: u64,
        /// Descriptors in the run.
        entries: u32,
        /// OR of AF and AND of AP\[2\] in the reference.
        expected: (bool, bool),
        /// The same as found.
        got: (bool, bool),
    },
}

/// Result of holding one scene against the reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Queries compared.
    pub queries: usize,
    /// Words of memory compared one by one.
    pub words: usize,
    /// Descriptors whose AF and AP\[2\] were compared per run.
    pub per_run: usize,
    /// Descriptors, or runs, whose access flag only a speculative walk can have set.
    pub speculative: usize,
    /// Differences.
    pub mismatches: Vec<Mismatch>,
}

/// Compares `result`, got from an engine of `profile`, with the answers recorded in `scene`.
#[must_use]
pub fn compare(scene: &Scene, profile: Profile, result: &SceneResult) -> Comparison {
    let mut comparison = Comparison {
        queries: scene.queries.len(),
        ..Comparison::default()
    };
    for (index, query) in scene.queries.iter().enumerate() {
        let got = result.answers.get(index).copied();
        if got != Some(query.expected) {
            comparison.mismatches.push(Mismatch::Query {
                index,
                query: *query,
                got,
            });
        }
    }
    let context = Context {
        registers: scene.registers,
        profile,
    };
    // Without hardware updates nothing writes to a table, recorded or not.
    let expected = match &scene.after {
        Some(after) => after,
        None if !context.ha() => &scene.memory,
        None => return comparison,
    };
    let runs = if context.ha() {
        coalescing_runs(profile, scene)
    } else {
        BTreeSet::new()
    };
    compare_memory(&context, expected, result, &runs, &mut comparison);
    comparison
}

fn compare_memory(
    context: &Context,
    expected: &[Run],
    result: &SceneResult,
    runs: &BTreeSet<(u64, u32)>,
    comparison: &mut Comparison,
) {
    let speculative = result.speculative && context.ha();
    let got: BTreeMap<u64, u64> = result.memory.iter().flat_map(Run::iter).collect();
    let mut states: BTreeMap<(u64, u32), [(bool, bool); 2]> = BTreeMap::new();
    for (address, expected) in expected.iter().flat_map(Run::iter) {
        let got = got.get(&address).copied().unwrap_or(0);
        let (mut want, mut have) = (expected, got);
        if let Some(run) = run_of(runs, address) {
            comparison.per_run += 1;
            let state = states.entry(run).or_insert([(false, true); 2]);
            for (value, (af, ap2)) in [want, have].into_iter().zip(state) {
                let descriptor = decode_word(context, value);
                *af |= descriptor.af();
                *ap2 &= descriptor.ap_read_only();
            }
            (want, have) = (without_state(context, want), without_state(context, have));
        } else {
            comparison.words += 1;
        }
        if speculative && want != have && flagged(context, want) == Some(have) {
            comparison.speculative += 1;
        } else if want != have {
            comparison.mismatches.push(Mismatch::Word {
                address,
                expected,
                got,
            });
        }
    }
    for ((address, entries), [expected, got]) in states {
        if speculative && expected != got && (true, expected.1) == got {
            comparison.speculative += 1;
        } else if expected != got {
            comparison.mismatches.push(Mismatch::RunState {
                address,
                entries,
                expected,
                got,
            });
        }
    }
}

/// The run among `runs` that `address` lies in.
fn run_of(runs: &BTreeSet<(u64, u32)>, address: u64) -> Option<(u64, u32)> {
    let (first, entries) = *runs.range(..=(address, u32::MAX)).next_back()?;
    (address < first + 8 * u64::from(entries)).then_some((first, entries))
}

/// `word` with the access flag set, if it is a valid descriptor without.
fn flagged(context: &Context, word: u64) -> Option<u64> {
    let descriptor = decode_word(context, word);
    let old = descriptor.valid() && !descriptor.af();
    old.then(|| encode_word(context, descriptor.with_af(true)))
}

fn without_state(context: &Context, word: u64) -> u64 {
    let Descriptor(bits) = decode_word(context, word)
        .with_af(false)
        .with_ap_read_only(false);
    bits
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
