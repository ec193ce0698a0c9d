// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One operation on its way: what is known of the instants at which it was issued, translated and
//! performed.

use vmsa::{DsbKind, SysReg, Tlbi};

use super::access::{Access, AccessKind};
use super::binding::Bound;

/// What a PE can issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Load, store, compare-and-swap, fetch or AT.
    Access(Access),
    /// System register write.
    Msr(SysReg, u64),
    /// Context synchronisation event.
    Isb,
    /// Data synchronisation barrier.
    Dsb(DsbKind),
    /// TLB invalidation.
    Tlbi(Tlbi),
}

impl Operation {
    /// Whether it is an explicit memory access: a load, store or compare-and-swap.
    #[must_use]
    pub const fn explicit(&self) -> bool {
        matches!(self, Operation::Access(access) if access.is_data() && !access.at)
    }
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Id by which its completion is told.
    pub id: u16,
    /// Place in program order.
    pub order: u64,
    /// Cycle of issue.
    pub issued: u64,
    /// F(A), with ETS2 the cycle of issue if that is later: a descriptor that makes it fault was
    /// current at this cycle or later (WALK-27, WALK-28).
    pub recent: u64,
    /// Place in program order of the last ISB before it.
    pub isb: u64,
    /// The operation.
    pub operation: Operation,
    /// Words of a store or compare-and-swap whose effect is still to be seen.
    pub(super) unseen: u8,
    /// Cycle at which the last of them was seen, although the answer is still to come.
    pub performed: Option<u64>,
    /// Last cycle at which it may have read a descriptor, as far as its own effect and what was done
    /// after it in program order tell (ORD-04, ORD-05, ORD-10).
    pub(super) translated: u64,
    /// The rule that says so.
    pub(super) ordered_by: &'static str,
}

impl Pending {
    /// Whether it is a store.
    pub(super) fn stores(&self) -> bool {
        let Operation::Access(access) = self.operation else {
            return false;
        };
        access.kind == AccessKind::Write && !access.at
    }

    /// t_use of section 13.1, no later than `done`: its translation was bound by then.
    #[must_use]
    pub fn used(&self, done: u64) -> u64 {
        self.translated.min(done)
    }

    /// Whether it read its descriptors before its answer for sure.
    #[must_use]
    pub fn early(&self) -> bool {
        self.translated != u64::MAX
    }

    /// The rule by which it did, if so.
    #[must_use]
    pub const fn ordered_by(&self) -> &'static str {
        self.ordered_by
    }

    pub(super) fn translated_by(&mut self, cycle: u64, rule: &'static str) {
        if cycle < self.translated {
            (self.translated, self.ordered_by) = (cycle, rule);
        }
    }

    /// The access as invalidations see it, all of it done by `done`.
    #[must_use]
    pub fn bound(&self, done: u64) -> Bound {
        Bound {
            order: self.order,
            performed: self.performed.unwrap_or(done),
            remote: true,
        }
    }
}

/// Words that an operation writes.
pub(super) fn words_written(operation: &Operation) -> u8 {
    match operation {
        Operation::Access(access) if access.kind.writes() && !access.at => {
            1 + u8::from((access.va & 7) + access.bytes() > 8)
        }
        _ => 0,
    }
}
