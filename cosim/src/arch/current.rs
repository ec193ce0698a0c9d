// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The fast path of the judge: nearly every answer is what a walk of memory gives as it is now.

use vmsa::FaultKind;

use super::access::{Access, Fault, Outcome, Reason};
use super::candidate::{equals_fault, equals_translation};
use super::context::Context;
use super::search::Search;
use super::walk::{ReadDescriptor, Walk, translate};

impl Search<'_> {
    /// Whether `observed` is what memory and the latest registers give now: the common case.
    pub(super) fn current(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        access: &Access,
        observed: Outcome,
    ) -> bool {
        let Some(registers) = self.program.latest_at(self.pending.order) else {
            return false;
        };
        let context = Context {
            registers: *registers,
            profile: self.judge.profile(),
        };
        let first = translate(memory, &context, access);
        if self.pending.early() && !self.unchanged(&first) {
            return false;
        }
        match (first.outcome, access.second_part()) {
            (Err(fault), _) => self.current_fault(&fault, observed),
            (Ok(translation), None) => {
                first.update.is_none() && equals_translation(&translation, observed)
            }
            (Ok(translation), Some(part)) => {
                let second = translate(memory, &context, &part);
                if self.pending.early() && !self.unchanged(&second) {
                    return false;
                }
                match second.outcome {
                    Ok(_) => {
                        first.update.is_none()
                            && second.update.is_none()
                            && equals_translation(&translation, observed)
                    }
                    // The lower part then leaves undone what update it owes (HAF-08).
                    Err(fault) => self.current_fault(&fault, observed),
                }
            }
        }
    }

    /// Whether every descriptor of `walk` was the same when it was read at the latest, so that what
    /// holds now held then.
    fn unchanged(&self, walk: &Walk) -> bool {
        let recent = walk.outcome.is_ok() || self.pending.recent <= self.used;
        let history = self.judge.history();
        let mut past = walk.steps().map(|step| history.past(step.address));
        recent && past.all(|past| past.last().is_none_or(|span| span.end <= self.used))
    }

    fn current_fault(&self, fault: &Fault, observed: Outcome) -> bool {
        equals_fault(fault, observed)
            && fault.reason.kind() != FaultKind::ExternalAbortOnWalk
            && !(wants_recency(fault) && self.program.older_store_pending(self.pending.order))
    }
}

/// Whether the fault comes from a descriptor read, which shall be recent (section 13.3); the others
/// follow from the address and the registers alone.
pub(super) const fn wants_recency(fault: &Fault) -> bool {
    matches!(
        fault.reason,
        Reason::Invalid
            | Reason::Reserved
            | Reason::NextTableTooLarge
            | Reason::OutputTooLarge
            | Reason::AccessFlag
    )
}
