// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Whether an observed result is in the permitted set P(A) of section 13.4, for one PE with ETS = 2.
//!
//! Feed it what happened in the order of the event stream ([`Permitted::commit`],
//! [`Permitted::issue`], ...) and ask it about each answer ([`Permitted::judge`]). Nearly every
//! answer equals a walk of memory as it is now, which is always permitted; only the others pay for the
//! exploration of past values, past contexts and the other descriptors of contiguous runs.

use vmsa::FaultKind;

use super::access::{Access, Fault, Outcome, Reason};
use super::candidate::{Candidate, equals_fault, equals_translation};
use super::context::{Context, Profile, Registers};
use super::diagnose::Case;
use super::explain::explain;
use super::history::History;
use super::program::{Operation, Pending, Program};
use super::search::Search;
use super::walk::{ReadDescriptor, translate};

/// Error responses are remembered this long at least, in number of responses.
const ERRORS_KEPT: usize = 256;

/// How an accepted answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// As memory and registers are at the answer.
    Current,
    /// By a past value, a past context, or another descriptor of a run.
    Lawful,
}

/// An answer that is not permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Requirement that it breaks.
    pub requirement: &'static str,
    /// What came.
    pub observed: Outcome,
    /// What would have been permitted, one line each.
    pub permitted: Vec<String>,
    /// The walk against memory as it is at the answer, drawn by [`explain`].
    pub walk: String,
}

/// The judge of one PE.
#[derive(Clone, Debug, Default)]
pub struct Permitted {
    profile: Profile,
    history: History,
    program: Program,
    /// Word address and cycle of error responses, oldest first.
    errors: Vec<(u64, u64)>,
    /// Values that ended by this cycle are lawful for nobody.
    unused: u64,
}

impl Permitted {
    /// A judge of a PE that leaves reset now.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            ..Self::default()
        }
    }

    /// The word at `address` changed, for every observer, from `before` to `after` at `cycle`.
    pub fn commit(&mut self, cycle: u64, address: u64, before: u64, after: u64) {
        self.history.record(cycle, address & !7, before, after);
    }

    /// A read or write of the word at `address` got an error response at `cycle`.
    pub fn error_response(&mut self, cycle: u64, address: u64) {
        if self.errors.len() >= 2 * ERRORS_KEPT {
            self.errors.drain(..ERRORS_KEPT);
        }
        self.errors.push((address & !7, cycle));
    }

    /// A store or compare-and-swap of this PE to `address` became visible at `cycle`, or failed.
    pub fn became_visible(&mut self, cycle: u64, address: u64) {
        self.program.became_visible(cycle, address);
    }

    /// The PE issued `operation` at `cycle`; `id` names it until it completes.
    pub fn issue(&mut self, cycle: u64, id: u16, operation: Operation) {
        self.program.issue(cycle, id, operation);
    }

    /// The operation `id`, one without a translation to judge, completed at `cycle`.
    pub fn complete(&mut self, cycle: u64, id: u16) {
        if let Some((_, Some(unused))) = self.program.complete(cycle, id) {
            // One generation is kept longer than needed, to tell a stale answer from a wrong one.
            self.history
                .forget(std::mem::replace(&mut self.unused, unused));
        }
    }

    /// Program order and what follows from it.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Past values of memory.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Judges the answer `observed` to the access `id` and completes it. `memory` is as of `cycle`,
    /// every commit up to it included. `None` if no access of that id is under way.
    ///
    /// # Errors
    /// [`Rejection`] if the answer is not permitted (ORD-01).
    pub fn judge(
        &mut self,
        memory: &(impl ReadDescriptor + ?Sized),
        cycle: u64,
        id: u16,
        observed: Outcome,
    ) -> Option<Result<Accepted, Box<Rejection>>> {
        let pending = *self.program.pending(id)?;
        let Operation::Access(access) = pending.operation else {
            return None;
        };
        let verdict = if self.current(memory, &pending, &access, observed) {
            Ok(Accepted::Current)
        } else {
            self.explore(memory, cycle, &pending, &access, observed)
        };
        self.complete(cycle, id);
        Some(verdict)
    }

    /// Whether `observed` is what memory and the latest registers give now: the common case.
    fn current(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        pending: &Pending,
        access: &Access,
        observed: Outcome,
    ) -> bool {
        let Some(registers) = self.program.latest_at(pending.order) else {
            return false;
        };
        let context = Context {
            registers: *registers,
            profile: self.profile,
        };
        let first = translate(memory, &context, access);
        match (first.outcome, access.second_part()) {
            (Err(fault), _) => self.current_fault(pending, &fault, observed),
            (Ok(translation), None) => {
                first.update.is_none() && equals_translation(&translation, observed)
            }
            (Ok(translation), Some(part)) => {
                let second = translate(memory, &context, &part);
                match second.outcome {
                    Ok(_) => {
                        first.update.is_none()
                            && second.update.is_none()
                            && equals_translation(&translation, observed)
                    }
                    // The lower part then leaves undone what update it owes (HAF-08).
                    Err(fault) => self.current_fault(pending, &fault, observed),
                }
            }
        }
    }

    fn current_fault(&self, pending: &Pending, fault: &Fault, observed: Outcome) -> bool {
        equals_fault(fault, observed)
            && fault.reason.kind() != FaultKind::ExternalAbortOnWalk
            && !(wants_recency(fault) && self.program.older_store_pending(pending.order))
    }

    fn explore(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        cycle: u64,
        pending: &Pending,
        access: &Access,
        observed: Outcome,
    ) -> Result<Accepted, Box<Rejection>> {
        let early = self.program.older_store_pending(pending.order);
        let matches = |candidate: &Candidate| match candidate {
            Candidate::Translation(translation) => equals_translation(translation, observed),
            Candidate::Fault(fault) => {
                equals_fault(fault, observed) && !(early && wants_recency(fault))
            }
        };
        let search = Search {
            judge: self,
            pending,
            done: cycle,
            unbound: false,
            owing: false,
        };
        if self.permits(&search, memory, access, &matches) {
            return Ok(Accepted::Lawful);
        }
        Err(Box::new(
            self.rejection(&search, memory, access, observed, early),
        ))
    }

    /// Whether some candidate for the whole of `access` satisfies `matches`.
    pub(super) fn permits(
        &self,
        search: &Search<'_>,
        memory: &(impl ReadDescriptor + ?Sized),
        access: &Access,
        matches: &dyn Fn(&Candidate) -> bool,
    ) -> bool {
        let Some(part) = access.second_part() else {
            return search.any(memory, access, &mut |candidate| matches(candidate));
        };
        // A fault of the lower part, or success of both, or a fault of the upper part after success of
        // the lower one (section 7: the lower address is preferred).
        let good = |candidate: &Candidate| matches!(candidate, Candidate::Translation(_));
        let owing = Search {
            owing: true,
            ..*search
        };
        let low_fault = search.any(memory, access, &mut |candidate| {
            !good(candidate) && matches(candidate)
        });
        low_fault
            || search.any(memory, access, &mut |low| good(low) && matches(low))
                && search.any(memory, &part, &mut |high| good(high))
            || owing.any(memory, access, &mut |low| good(low))
                && search.any(memory, &part, &mut |high| !good(high) && matches(high))
    }

    fn rejection(
        &self,
        search: &Search<'_>,
        memory: &(impl ReadDescriptor + ?Sized),
        access: &Access,
        observed: Outcome,
        early: bool,
    ) -> Rejection {
        let registers = self.registers_of(search.pending);
        let context = Context {
            registers,
            profile: self.profile,
        };
        let mut walk = translate(memory, &context, access);
        let mut drawn = *access;
        if let Some(part) = access.second_part()
            && walk.outcome.is_ok()
        {
            // If only the upper page of a crossing access fails, that is the walk to look at.
            let second = translate(memory, &context, &part);
            if second.outcome.is_err() {
                (walk, drawn) = (second, part);
            }
        }
        let mut permitted: Vec<String> = Vec::new();
        for part in [Some(*access), access.second_part()].into_iter().flatten() {
            search.any(memory, &part, &mut |candidate| {
                let line = candidate.to_string();
                if !permitted.contains(&line) {
                    permitted.push(line);
                }
                false
            });
        }
        let case = Case {
            search,
            memory,
            context: &context,
            access,
            walk: &walk,
            observed,
            early,
        };
        Rejection {
            requirement: case.blame(),
            observed,
            permitted,
            walk: explain(&context, &drawn, &walk),
        }
    }

    /// The newest registers that may be in force for `pending`.
    fn registers_of(&self, pending: &Pending) -> Registers {
        let mut newest = Registers::default();
        self.program
            .for_each_context(pending.isb, pending.order, &mut |registers| {
                newest = *registers;
                true
            });
        newest
    }

    /// Implementation choices.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Whether the word at `address` gave an error response between `from` and `to`.
    pub(super) fn errored(&self, address: u64, from: u64, to: u64) -> bool {
        self.errors
            .iter()
            .any(|&(word, cycle)| word == address & !7 && (from..=to).contains(&cycle))
    }
}

/// Whether the fault comes from a descriptor read, which shall be recent (section 13.3); the others
/// follow from the address and the registers alone.
const fn wants_recency(fault: &Fault) -> bool {
    matches!(
        fault.reason,
        Reason::Invalid
            | Reason::Reserved
            | Reason::NextTableTooLarge
            | Reason::OutputTooLarge
            | Reason::AccessFlag
    )
}

#[cfg(test)]
#[path = "permitted_tests.rs"]
mod tests;
