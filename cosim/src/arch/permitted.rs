// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Whether an observed result is in the permitted set P(A) of section 13.4, for any number of PEs:
//! one history of memory, and the program of each.
//!
//! Feed it what happened in the order of the event stream ([`Permitted::commit`],
//! [`Permitted::issue`], ...) and ask it about each answer ([`Permitted::judge`]). Nearly every
//! answer equals a walk of memory as it is now, which is always permitted; only the others pay for the
//! exploration of past values, past contexts and the other descriptors of contiguous runs.

use std::ops::Range;

use vmsa::TlbiScope;

use super::access::{Access, Outcome};
use super::binding::Issued;
use super::candidate::{Candidate, equals_fault};
use super::context::{Context, Profile};
use super::current::wants_recency;
use super::diagnose::Case;
use super::explain::explain;
use super::history::History;
use super::passed::{Answer, Passed};
use super::program::{Operation, Program};
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
    /// Another that says the same from the side of the barrier, if there is one.
    pub related: Option<&'static str>,
    /// What came.
    pub observed: Outcome,
    /// What would have been permitted, one line each.
    pub permitted: Vec<String>,
    /// The walk against memory as it is at the answer, drawn by [`explain`].
    pub walk: String,
}

/// The judge of all PEs.
#[derive(Clone, Debug, Default)]
pub struct Permitted {
    profile: Profile,
    pub(super) history: History,
    /// By number; a PE that has done nothing yet has no past to remember.
    pub(super) pes: Vec<Option<Pe>>,
    /// Word address and cycle of error responses, oldest first.
    errors: Vec<(u64, u64)>,
    /// Addresses that answer with an error whenever they are asked (NOC-03).
    refused: Vec<Range<u64>>,
    /// Values that ended by this cycle are lawful for nobody.
    unused: u64,
}

/// One PE.
#[derive(Clone, Debug)]
pub(super) struct Pe {
    pub(super) program: Program,
    /// Values that ended by this cycle are of no use to it.
    pub(super) unused: u64,
    /// Broadcast TLBI operations issued.
    broadcasts: u64,
    /// Answers that came before those of older accesses to the same address.
    passed: Vec<Passed>,
}

impl Pe {
    /// Remembers `passed`, and forgets those that overtook nothing that is still under way.
    fn pass(&mut self, passed: Option<Passed>) {
        let oldest = self.program.oldest();
        self.passed.retain(|p| p.pending.order > oldest);
        self.passed.extend(passed);
    }
}

impl Permitted {
    /// A judge of hardware that leaves reset now.
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

    /// Every read or write of these addresses gets an error response.
    pub fn refuse(&mut self, addresses: Vec<Range<u64>>) {
        self.refused = addresses;
    }

    /// A read or write of the word at `address` got an error response at `cycle`.
    pub fn error_response(&mut self, cycle: u64, address: u64) {
        if self.errors.len() >= 2 * ERRORS_KEPT {
            self.errors.drain(..ERRORS_KEPT);
        }
        self.errors.push((address & !7, cycle));
    }

    /// A store or compare-and-swap of `pe` to `address` became visible at `cycle`, or failed; `None`
    /// is whichever PE made it.
    pub fn became_visible(&mut self, pe: Option<u8>, cycle: u64, address: u64) {
        for (number, known) in self.pes.iter_mut().enumerate() {
            if let Some(known) = known
                && pe.is_none_or(|pe| usize::from(pe) == number)
            {
                known.program.became_visible(cycle, address, pe.is_some());
            }
        }
    }

    fn pe(&mut self, pe: u8, cycle: u64) -> &mut Pe {
        let place = usize::from(pe);
        if self.pes.len() <= place {
            self.pes.resize_with(place + 1, || None);
        }
        let ets2 = self.profile.ets == 2;
        self.pes[place].get_or_insert_with(|| Pe {
            program: Program::new(pe, ets2),
            unused: cycle,
            broadcasts: 0,
            passed: Vec::new(),
        })
    }

    /// `pe` issued `operation` at `cycle`; `id` names it until it completes.
    pub fn issue(&mut self, pe: u8, cycle: u64, id: u16, operation: Operation) {
        let asid_bits = self.profile.asid_bits;
        let issuer = self.pe(pe, cycle);
        let order = issuer.program.issue(cycle, id, operation);
        let Operation::Tlbi(tlbi) = operation else {
            return;
        };
        // TLBI-09: the reserved granule names nothing, and has no effect to be told.
        if tlbi.range().is_some_and(|range| range.granule.is_none()) {
            return;
        }
        let number = issuer.broadcasts;
        issuer.broadcasts += u64::from(tlbi.scope != TlbiScope::Local);
        let masks = issuer.program.asid_masks(asid_bits);
        let issued = Issued {
            source: pe,
            order,
            cycle,
            tlbi,
            asids: masks.map(|mask| tlbi.asid() & mask),
            number,
        };
        for reached in self.pes.iter_mut().flatten() {
            reached.program.invalidations_mut().issue(issued);
        }
    }

    /// A TLBI of `source` took effect on `pe` at `cycle`: the one whose number among the broadcast
    /// operations of `source` ends in `tag`, or with `local` one that was not broadcast.
    pub fn took_effect(&mut self, pe: u8, cycle: u64, source: u8, tag: u8, local: bool) {
        if let Some(Some(pe)) = self.pes.get_mut(usize::from(pe)) {
            let invalidations = pe.program.invalidations_mut();
            invalidations.took_effect(cycle, source, tag, local);
        }
    }

    /// The operation `id` of `pe`, one without a translation to judge, completed at `cycle`.
    pub fn complete(&mut self, pe: u8, cycle: u64, id: u16) {
        let Some(Some(owner)) = self.pes.get_mut(usize::from(pe)) else {
            return;
        };
        let Some(done) = owner.program.complete(cycle, id) else {
            return;
        };
        let Operation::Dsb(kind) = done.operation else {
            return;
        };
        let mut unused = u64::MAX;
        for reached in self.pes.iter_mut().flatten() {
            let invalidations = reached.program.invalidations_mut();
            invalidations.completed(cycle, pe, done.order, kind);
            if let Some(wiped) = reached.program.compact(cycle) {
                reached.unused = reached.unused.max(wiped);
            }
            unused = unused.min(reached.unused);
        }
        if unused > self.unused {
            // One generation is kept longer than needed, to tell a stale answer from a wrong one.
            self.history
                .forget(std::mem::replace(&mut self.unused, unused));
        }
    }

    /// Program order of `pe` and what follows from it, if it has done anything.
    #[must_use]
    pub fn program(&self, pe: u8) -> Option<&Program> {
        let known = self.pes.get(usize::from(pe))?.as_ref()?;
        Some(&known.program)
    }

    /// Past values of memory.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Judges the answer `observed` to the access `id` of `pe` and completes it. `memory` is as of `cycle`,
    /// every commit up to it included. `None` if no access of that id is under way.
    ///
    /// # Errors
    /// [`Rejection`] if the answer is not permitted (ORD-01).
    pub fn judge(
        &mut self,
        pe: u8,
        memory: &(impl ReadDescriptor + ?Sized),
        cycle: u64,
        id: u16,
        observed: Outcome,
    ) -> Option<Result<Accepted, Box<Rejection>>> {
        let program = self.program(pe)?;
        let pending = *program.pending(id)?;
        let Operation::Access(access) = pending.operation else {
            return None;
        };
        let search = Search {
            judge: self,
            program,
            pending: &pending,
            done: cycle,
            used: pending.used(cycle),
            unbound: false,
            local: false,
            owing: false,
            held: false,
        };
        let mut verdict = if search.current(memory, &access, observed) {
            Ok(Accepted::Current)
        } else {
            self.explore(&search, memory, &access, observed)
        };
        let place = usize::from(pe);
        let passed = self.pes[place].as_ref().map_or(&[][..], |pe| &pe.passed);
        let answer = Answer {
            search: &search,
            access: &access,
            observed,
        };
        if verdict.is_ok()
            && let Some(younger) = self.overtaken(passed, memory, &answer)
        {
            let rejection = self.rejection(&search, memory, &access, observed, false);
            verdict = Err(Box::new(rejection.of_order(younger)));
        }
        let overtakes = program.older_to(access.va, pending.order).is_some();
        if let Some(known) = &mut self.pes[place]
            && (overtakes || !known.passed.is_empty())
        {
            known.pass(overtakes.then_some(Passed {
                pending,
                observed,
                done: cycle,
            }));
        }
        self.complete(pe, cycle, id);
        Some(verdict)
    }

    fn explore(
        &self,
        search: &Search<'_>,
        memory: &(impl ReadDescriptor + ?Sized),
        access: &Access,
        observed: Outcome,
    ) -> Result<Accepted, Box<Rejection>> {
        let early = search.program.older_store_pending(search.pending.order);
        let matches = |candidate: &Candidate| match candidate {
            Candidate::Fault(fault) => {
                equals_fault(fault, observed) && !(early && wants_recency(fault))
            }
            other => other.is(observed),
        };
        if self.permits(search, memory, access, &matches) {
            return Ok(Accepted::Lawful);
        }
        Err(Box::new(
            self.rejection(search, memory, access, observed, early),
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
        let registers = search.newest();
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
        let requirement = case.blame();
        Rejection {
            requirement,
            related: case.related(requirement),
            observed,
            permitted,
            walk: explain(&context, &drawn, &walk),
        }
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
            || self
                .refused
                .iter()
                .any(|refused| refused.contains(&address))
    }
}

#[cfg(test)]
#[path = "permitted_tests.rs"]
mod tests;
