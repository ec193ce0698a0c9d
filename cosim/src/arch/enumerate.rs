// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The permitted set of an access as a list, for who explores every execution instead of judging one.

use super::candidate::Candidate;
use super::context::Registers;
use super::current::wants_recency;
use super::permitted::Permitted;
use super::program::Operation;
use super::search::Search;
use super::walk::ReadDescriptor;

/// When an access translates and when it is done, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// t_use: its translation is bound.
    pub used: u64,
    /// t_done: all its effects are performed.
    pub done: u64,
}

impl Permitted {
    /// Every outcome permitted to the access `id` of `pe`, an access within one page, at `instants`.
    /// `memory` is as of now. With `owing`, outcomes that a hardware update of their leaf has yet to
    /// follow count too. Empty if no access of that id is under way.
    #[must_use]
    pub fn candidates(
        &self,
        pe: u8,
        memory: &(impl ReadDescriptor + ?Sized),
        instants: Instants,
        id: u16,
        owing: bool,
    ) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = Vec::new();
        let known = self
            .program(pe)
            .and_then(|program| Some((program, program.pending(id)?)));
        let Some((program, pending)) = known else {
            return found;
        };
        let Operation::Access(access) = pending.operation else {
            return found;
        };
        // WALK-27.
        let early = program.older_access_pending(pending.order);
        let search = Search {
            judge: self,
            program,
            pending,
            done: instants.done,
            used: pending.used(instants.used),
            unbound: false,
            local: false,
            owing,
            held: false,
        };
        search.any(memory, &access, &mut |candidate| {
            let late =
                matches!(candidate, Candidate::Fault(fault) if early && wants_recency(fault));
            if !late && !found.contains(candidate) {
                found.push(*candidate);
            }
            false
        });
        found
    }

    /// The access `id` of `pe` is not executed after all: a branch before it went another way.
    pub fn squash(&mut self, pe: u8, id: u16) {
        if let Some(Some(pe)) = self.pes.get_mut(usize::from(pe)) {
            pe.program.squash(id);
        }
    }
}

impl Search<'_> {
    /// The newest registers that may be in force for the access.
    pub(super) fn newest(&self) -> Registers {
        let mut newest = Registers::default();
        let (isb, order) = (self.pending.isb, self.pending.order);
        self.program.for_each_context(isb, order, &mut |registers| {
            newest = *registers;
            true
        });
        newest
    }
}
