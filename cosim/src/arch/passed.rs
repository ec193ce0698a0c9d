// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! ORD-02: accesses of one PE to the same address that were answered out of order. A younger one that
//! was answered first counts as performed no earlier than the older one was translated, so that the
//! younger does not show an entry that was gone when the older found its successor. Faults are not
//! ordered so.

use super::access::{Access, Outcome};
use super::candidate::Candidate;
use super::permitted::{Permitted, Rejection};
use super::program::{Pending, Program};
use super::search::Search;
use super::walk::ReadDescriptor;

/// An access answered before an older one to the same address.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// The access.
    pub pending: Pending,
    /// Its answer.
    pub observed: Outcome,
    /// Cycle of it.
    pub done: u64,
}

/// The access and answer that are held against those that passed it.
pub(super) struct Answer<'a> {
    pub(super) search: &'a Search<'a>,
    pub(super) access: &'a Access,
    pub(super) observed: Outcome,
}

impl Permitted {
    /// The answer among `passed` that `answer`, of an older access to the same address, shows to be
    /// wrong.
    pub(super) fn overtaken<'a>(
        &self,
        passed: &'a [Passed],
        memory: &(impl ReadDescriptor + ?Sized),
        answer: &Answer<'_>,
    ) -> Option<&'a Passed> {
        let Answer {
            search,
            access,
            observed,
        } = *answer;
        let good = |observed| matches!(observed, Outcome::Translated { .. });
        let younger = |p: &&Passed| {
            good(observed)
                && good(p.observed)
                && p.pending.order > search.pending.order
                && to(&p.pending) == Some(access.va)
        };
        passed.iter().filter(younger).find(|passed| {
            let completions = search.program.invalidations().completions();
            // The last completion before which the older access cannot have been translated.
            let needed = completions
                .filter(|completed| (passed.done..search.done).contains(completed))
                .filter(|completed| {
                    let before = Search {
                        used: search.used.min(*completed),
                        ..*search
                    };
                    !self.permits(&before, memory, access, &|candidate| candidate.is(observed))
                })
                .max();
            needed.is_some_and(|completed| {
                !self.explained(passed, search.program, memory, completed + 1)
            })
        })
    }

    /// Whether the answer is permitted to an access performed at `done` at the earliest.
    fn explained(
        &self,
        passed: &Passed,
        program: &Program,
        memory: &(impl ReadDescriptor + ?Sized),
        done: u64,
    ) -> bool {
        let mut pending = passed.pending;
        pending.performed = None;
        let super::program::Operation::Access(access) = pending.operation else {
            return true;
        };
        let search = Search {
            judge: self,
            program,
            pending: &pending,
            done,
            used: passed.pending.used(passed.done),
            unbound: false,
            local: false,
            owing: false,
            held: false,
        };
        self.permits(&search, memory, &access, &|candidate: &Candidate| {
            candidate.is(passed.observed)
        })
    }
}

/// The address of an access.
fn to(pending: &Pending) -> Option<u64> {
    match pending.operation {
        super::program::Operation::Access(access) => Some(access.va),
        _ => None,
    }
}

impl Rejection {
    /// The rejection of an answer that shows that of `younger` to be wrong.
    pub(super) fn of_order(self, younger: &Passed) -> Self {
        let permitted = format!(
            "no translation made after the invalidation by which {} was gone, which a younger access \
             to the address showed at cycle {}",
            younger.observed, younger.done
        );
        Self {
            requirement: "ORD-02",
            related: None,
            permitted: vec![permitted],
            ..self
        }
    }
}
