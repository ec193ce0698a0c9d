// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which requirement a rejected answer breaks, found by counterfactuals: the access is translated
//! again with one rule changed, and the rule whose change gives what was observed is the one named.
//!
//! A rule in force that was ignored is tried before one that was made up; where neither explains the
//! answer, the kinds of the two outcomes decide. Only rejected answers pay for this.

use vmsa::FaultKind;
use vmsa::geometry::level_lsb;

use super::access::{Access, AccessKind, Fault, Outcome, Reason};
use super::candidate::{equals_fault, equals_translation};
use super::context::Context;
use super::rules::{self, Rule, Trial};
use super::search::Search;
use super::walk::{Entry, ReadDescriptor, Translation, Walk, classify, decode_word, translate};

/// A rejected answer.
pub struct Case<'a, M: ?Sized> {
    /// The search that did not find it.
    pub search: &'a Search<'a>,
    /// Memory as it is at the answer.
    pub memory: &'a M,
    /// The newest context that may be in force.
    pub context: &'a Context,
    /// The access as issued.
    pub access: &'a Access,
    /// Its translation now, of the page that decides.
    pub walk: &'a Walk,
    /// What came.
    pub observed: Outcome,
    /// Whether accesses older in program order were not yet visible (WALK-27).
    pub early: bool,
}

impl<M: ReadDescriptor + ?Sized> Case<'_, M> {
    /// The requirement that the answer most likely breaks.
    #[must_use]
    pub fn blame(&self) -> &'static str {
        let plain = Trial::new(self.memory, self.context, self.access, self.walk);
        self.conflict()
            .or_else(|| self.error_ignored())
            .or_else(|| self.too_late())
            .or_else(|| self.out_of_time())
            .or_else(|| self.update_missed())
            .or_else(|| self.changed(&plain, rules::IGNORED))
            .or_else(|| self.status())
            .or_else(|| self.elsewhere(&plain))
            .or_else(|| self.changed(&plain, rules::MADE_UP))
            .unwrap_or_else(|| self.by_kind())
    }

    /// TLB-10, TLB-11: a conflict abort without entries in conflict, or where there shall be none.
    fn conflict(&self) -> Option<&'static str> {
        let Outcome::Fault { fsc, .. } = self.observed else {
            return None;
        };
        if fsc.kind() != Some(FaultKind::TlbConflict) {
            return None;
        }
        Some(match self.context.profile.conflict_abort {
            true => "TLB-10",
            false => "TLB-11",
        })
    }

    /// The first of `rules` whose change of `plain` gives what was observed.
    fn changed(&self, plain: &Trial, rules: &[Rule]) -> Option<&'static str> {
        let explains = |rule: &&Rule| {
            (rule.changes)(plain)
                .iter()
                .any(|trial| trial.gives(self.memory, self.observed))
        };
        rules.iter().find(explains).map(|rule| rule.id)
    }

    /// WALK-10, WALK-12: a word of the walk gave an error response, and the answer is what follows if
    /// the response counts as good.
    fn error_ignored(&self) -> Option<&'static str> {
        let Search {
            judge,
            pending,
            done,
            ..
        } = self.search;
        let met = |address| judge.errored(address, pending.issued, *done);
        let step = self.walk.steps().find(|step| met(step.address))?;
        match self.observed {
            // An error response carries no data: it reads as zero.
            Outcome::Fault { fsc, .. } => {
                let invalid = Fault::new(self.access, Reason::Invalid, step.level);
                (fsc == invalid.fsc).then_some("WALK-10")
            }
            Outcome::Translated { .. } => self.walk.update.is_some().then_some("WALK-12"),
        }
    }

    /// The answer would have been right for a descriptor read after the access had its effect, or after
    /// something younger that waits for its translation.
    fn too_late(&self) -> Option<&'static str> {
        let late = Search {
            used: self.search.done,
            ..*self.search
        };
        let pending = self.search.pending;
        (pending.early() && self.found(&late)).then_some(pending.ordered_by())
    }

    /// The answer would have been right but for a completed TLBI, a replaced context or the time of a
    /// read.
    fn out_of_time(&self) -> Option<&'static str> {
        let unbound = Search {
            unbound: true,
            ..*self.search
        };
        if !self.found(&unbound) {
            return None;
        }
        let held = match self.observed {
            Outcome::Translated { .. } => true,
            // Held entries give these too (VMSA-47).
            Outcome::Fault { fsc, .. } => {
                matches!(
                    fsc.kind(),
                    Some(FaultKind::Permission | FaultKind::TlbConflict)
                )
            }
        };
        Some(match self.remote() {
            // TLBI-21, TLBI-22: under way when the barrier of another PE completed.
            Some(completed) if self.search.pending.issued <= completed => match self.access.kind {
                _ if !held => "TLBI-07",
                AccessKind::Write | AccessKind::Cas => "TLBI-22",
                _ => "TLBI-21",
            },
            _ if held => "TLBI-01",
            Some(_) => "TLBI-07",
            None if self.early => "WALK-27",
            None => "WALK-28",
        })
    }

    /// Completion of the last operation of another PE that binds the access, if the answer would have
    /// been right without those.
    fn remote(&self) -> Option<u64> {
        let local = Search {
            local: true,
            ..*self.search
        };
        let bound = self.search.pending.bound(self.search.done);
        let completed = self
            .search
            .program
            .invalidations()
            .remote_completion(&bound)?;
        (!self.early && self.found(&local)).then_some(completed)
    }

    /// The requirement on the barrier that goes with `requirement`.
    #[must_use]
    pub fn related(&self, requirement: &str) -> Option<&'static str> {
        let about = requirement.starts_with("TLBI") && self.remote().is_some();
        about.then_some("TLBI-20")
    }

    /// A descriptor was used that the access should have updated first, either the one in memory now
    /// or one that was replaced before the update reached it.
    fn update_missed(&self) -> Option<&'static str> {
        let owing = Search {
            unbound: true,
            owing: true,
            ..*self.search
        };
        if !matches!(self.observed, Outcome::Translated { .. }) || !self.found(&owing) {
            return None;
        }
        let Search {
            judge,
            pending,
            done,
            ..
        } = self.search;
        let raced = self.walk.steps().any(|step| {
            let mut past = judge.history().past(step.address).iter();
            past.any(|span| (pending.issued..=*done).contains(&span.end))
        });
        let flagged = match self.walk.outcome {
            Ok(Translation {
                leaf: Some(leaf), ..
            }) => leaf.descriptor.af(),
            _ => false,
        };
        Some(match (raced, flagged) {
            (true, _) => "HAF-04",
            (false, true) => "HAF-12",
            (false, false) => "HAF-01",
        })
    }

    fn found(&self, search: &Search<'_>) -> bool {
        search
            .judge
            .permits(search, self.memory, self.access, &|candidate| {
                candidate.is(self.observed)
            })
    }

    /// The right kind of fault in the wrong words.
    fn status(&self) -> Option<&'static str> {
        let (Outcome::Fault { fsc, .. }, Err(fault)) = (self.observed, &self.walk.outcome) else {
            return None;
        };
        let kind = fault.reason.kind();
        if fsc == fault.fsc {
            let atomic = self.access.kind == AccessKind::Cas && kind == FaultKind::Permission;
            return Some(if atomic { "VMSA-30" } else { "VMSA-51" });
        }
        if fsc.kind() != Some(kind) {
            return None;
        }
        Some(match fault.reason {
            Reason::TxszIllegal | Reason::OutOfRange | Reason::E0pd | Reason::Epd => "VMSA-41",
            Reason::NextTableTooLarge => "VMSA-42",
            Reason::NotPermitted => "VMSA-28",
            Reason::DeviceFetch => "VMSA-29",
            _ => "VMSA-50",
        })
    }

    /// An entry that is not for this access: of another ASID, or of a run that ends before it.
    fn elsewhere(&self, plain: &Trial) -> Option<&'static str> {
        // Faults of descriptors are never held, those of permission are.
        let held = match self.observed {
            Outcome::Translated { .. } => true,
            Outcome::Fault { fsc, .. } => fsc.kind() == Some(FaultKind::Permission),
        };
        let asid = self.context.asid();
        let other = self.search.program.retired().iter().any(|retired| {
            let context = Context {
                registers: retired.registers,
                ..*self.context
            };
            retired.registers.sctlr.m()
                && context.asid() != asid
                && plain.within(context).gives(self.memory, self.observed)
        });
        if held && other {
            return Some("TLB-21");
        }
        self.beyond_run().then_some("TLB-01")
    }

    /// Whether the answer comes from the run of twice the length around a run next to the address.
    fn beyond_run(&self) -> bool {
        let (Outcome::Translated { pa, .. }, Some(regime)) = (self.observed, self.walk.regime)
        else {
            return false;
        };
        if self.walk.outcome.is_ok_and(|right| right.pa == pa) {
            return false;
        }
        let Some(step) = self.walk.steps().last() else {
            return false;
        };
        let Some(entries) = regime.run_entries(step.level) else {
            return false;
        };
        let bytes = 8 * u64::from(entries);
        let neighbour = (step.address ^ bytes) & !(bytes - 1);
        let word = self.memory.read(neighbour).unwrap_or(0);
        let descriptor = decode_word(self.context, word);
        let bits = level_lsb(regime.granule, step.level) + entries.trailing_zeros() + 1;
        let inside = (1u64 << bits) - 1;
        match classify(&regime, step.level, descriptor) {
            Entry::Leaf(output) => {
                descriptor.contiguous() && pa == output & !inside | self.access.va & inside
            }
            _ => false,
        }
    }

    /// What the kinds of the two outcomes tell.
    fn by_kind(&self) -> &'static str {
        match (self.observed, &self.walk.outcome) {
            (Outcome::Translated { pa, .. }, Ok(translation)) => match translation.leaf {
                None if pa == translation.pa => "VMSA-03",
                None => "VMSA-01",
                _ if pa == translation.pa => "VMSA-60",
                Some(leaf) if leaf.descriptor.contiguous() => "TLB-02",
                Some(_) => "VMSA-15",
            },
            (Outcome::Translated { .. }, Err(fault)) => fault.reason.requirement(),
            (Outcome::Fault { .. }, Err(_)) => "VMSA-40",
            (Outcome::Fault { fsc, .. }, Ok(_)) => match fsc.kind() {
                Some(FaultKind::Permission) => "VMSA-20",
                Some(FaultKind::ExternalAbort | FaultKind::ExternalAbortOnWalk) => "WALK-10",
                Some(FaultKind::Translation) => "WALK-03",
                Some(FaultKind::AddressSize) => "VMSA-45",
                _ => "VMSA-40",
            },
        }
    }
}

/// Whether a translation of the whole of `access`, its second page included, gives `observed`.
pub(super) fn gives(
    memory: &(impl ReadDescriptor + ?Sized),
    context: &Context,
    access: &Access,
    observed: Outcome,
) -> bool {
    let second = access.second_part();
    match (translate(memory, context, access).outcome, second) {
        (Err(fault), _) => equals_fault(&fault, observed),
        (Ok(translation), None) => equals_translation(&translation, observed),
        (Ok(translation), Some(part)) => match translate(memory, context, &part).outcome {
            Ok(_) => equals_translation(&translation, observed),
            Err(fault) => equals_fault(&fault, observed),
        },
    }
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
