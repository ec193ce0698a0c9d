// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Program order on one PE: what is under way, which register values may be in force for it, which
//! invalidations bind it, and how recent a faulting descriptor read shall be (sections 13.2, 13.3 and
//! 13.5 with ETS = 2).

use vmsa::{SysReg, Tlbi};

use super::access::{Access, AccessKind};
use super::context::Registers;
use super::invalidation::Invalidations;

/// What a PE can issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Load, store, compare-and-swap, fetch or AT.
    Access(Access),
    /// System register write.
    Msr(SysReg, u64),
    /// Context synchronisation event.
    Isb,
    /// Full data synchronisation barrier.
    Dsb,
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
    /// F(A), or the cycle of issue if that is later: a descriptor that makes it fault was current at
    /// this cycle or later (WALK-27, WALK-28).
    pub recent: u64,
    /// Place in program order of the last ISB before it.
    pub isb: u64,
    /// The operation.
    pub operation: Operation,
    /// It is a store, and its effect is visible although the answer is still to come.
    pub visible: bool,
}

impl Pending {
    /// Whether it is a store.
    fn stores(&self) -> bool {
        let Operation::Access(access) = self.operation else {
            return false;
        };
        access.kind == AccessKind::Write && !access.at
    }
}

/// A register value with its place in program order.
#[derive(Clone, Copy, Debug)]
struct Written {
    order: u64,
    value: u64,
}

/// Registers of a replaced context, and the cycle until which walks may have used them.
#[derive(Clone, Copy, Debug)]
pub struct Retired {
    /// The registers.
    pub registers: Registers,
    /// Completion of the ISB that ended it.
    pub until: u64,
}

/// One PE.
#[derive(Clone, Debug)]
pub struct Program {
    next: u64,
    last_isb: u64,
    /// Latest completion of an explicit access, DSB or ISB.
    performed: u64,
    last_msr: u64,
    latest: Registers,
    written: [Vec<Written>; SysReg::ALL.len()],
    pending: Vec<Pending>,
    retired: Vec<Retired>,
    invalidations: Invalidations,
}

impl Default for Program {
    fn default() -> Self {
        let reset = vec![Written { order: 0, value: 0 }];
        Self {
            next: 1,
            last_isb: 0,
            performed: 0,
            last_msr: 0,
            latest: Registers::default(),
            written: std::array::from_fn(|_| reset.clone()),
            pending: Vec::with_capacity(64),
            retired: Vec::new(),
            invalidations: Invalidations::default(),
        }
    }
}

impl Program {
    /// `operation` was issued at `cycle` and will be told complete by `id`.
    pub fn issue(&mut self, cycle: u64, id: u16, operation: Operation) {
        let order = self.next;
        self.next += 1;
        match operation {
            Operation::Msr(register, value) => {
                self.written[register as usize].push(Written { order, value });
                self.latest.set(register, value);
                self.last_msr = order;
            }
            Operation::Tlbi(tlbi) => self.invalidations.issue(cycle, tlbi),
            Operation::Dsb => self.invalidations.fence(order),
            Operation::Access(_) | Operation::Isb => {}
        }
        let recent = self.performed.max(cycle);
        let isb = self.last_isb;
        self.pending.push(Pending {
            id,
            order,
            issued: cycle,
            recent,
            isb,
            operation,
            visible: false,
        });
        if operation == Operation::Isb {
            self.last_isb = order;
        }
    }

    /// The operation with `id` completed at `cycle`; `None` if none is under way. The second value is
    /// the cycle up to which past values of memory are of no use to anybody, if that moved.
    pub fn complete(&mut self, cycle: u64, id: u16) -> Option<(Pending, Option<u64>)> {
        let place = self.pending.iter().position(|pending| pending.id == id)?;
        let done = self.pending.remove(place);
        let synchronises = matches!(done.operation, Operation::Dsb | Operation::Isb);
        if done.operation.explicit() || synchronises {
            self.performed = self.performed.max(cycle);
            for later in self
                .pending
                .iter_mut()
                .filter(|later| later.order > done.order)
            {
                later.recent = later.recent.max(cycle);
            }
        }
        if !synchronises {
            return Some((done, None));
        }
        if done.operation == Operation::Isb {
            self.retire(cycle, done.order);
        }
        // Whoever is older than the barrier may still use what is dropped here.
        if self
            .pending
            .iter()
            .any(|pending| pending.order < done.order)
        {
            return Some((done, None));
        }
        if done.operation == Operation::Isb {
            for written in &mut self.written {
                let settled = written
                    .iter()
                    .rposition(|w| w.order < done.order)
                    .unwrap_or(0);
                written.drain(..settled);
            }
            return Some((done, None));
        }
        let wiped = self.invalidations.compact(done.order);
        if let Some(wiped) = wiped {
            self.retired.retain(|retired| retired.until > wiped);
        }
        Some((done, wiped))
    }

    /// The contexts that the ISB at `order`, complete at `cycle`, made past.
    fn retire(&mut self, cycle: u64, order: u64) {
        let mut settled = Registers::default();
        for (register, written) in SysReg::ALL.into_iter().zip(&self.written) {
            let last = written.iter().rev().find(|w| w.order < order);
            settled.set(register, last.map_or(0, |w| w.value));
        }
        let mut past = Vec::new();
        self.for_each_context(0, order, &mut |registers| {
            if *registers != settled && registers.sctlr.m() && !past.contains(registers) {
                past.push(*registers);
            }
            false
        });
        for registers in past {
            match self
                .retired
                .iter_mut()
                .find(|retired| retired.registers == registers)
            {
                Some(known) => known.until = cycle,
                None => self.retired.push(Retired {
                    registers,
                    until: cycle,
                }),
            }
        }
    }

    /// Visits every register snapshot that may be in force at `order` when the last ISB before it is
    /// at `isb` (0: none, then every value remembered counts), newest values first, until `visit`
    /// returns true. Returns whether it did.
    pub fn for_each_context(
        &self,
        isb: u64,
        order: u64,
        visit: &mut dyn FnMut(&Registers) -> bool,
    ) -> bool {
        let mut registers = Registers::default();
        self.contexts(0, isb, order, &mut registers, visit)
    }

    fn contexts(
        &self,
        place: usize,
        isb: u64,
        order: u64,
        registers: &mut Registers,
        visit: &mut dyn FnMut(&Registers) -> bool,
    ) -> bool {
        let Some(&register) = SysReg::ALL.get(place) else {
            return visit(registers);
        };
        let all = &self.written[place];
        for (i, written) in all
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, w)| w.order < order)
        {
            let newer = all[i + 1..].iter().take_while(|w| w.order < order);
            let repeated = newer.into_iter().any(|w| w.value == written.value);
            registers.set(register, written.value);
            if !repeated && self.contexts(place + 1, isb, order, registers, visit) {
                return true;
            }
            // The newest value from before the ISB is in force at least; none older can be.
            if written.order < isb {
                break;
            }
        }
        false
    }

    /// The registers with every write done, if no write was issued after `order`.
    #[must_use]
    pub fn latest_at(&self, order: u64) -> Option<&Registers> {
        (self.last_msr < order).then_some(&self.latest)
    }

    /// The operation under way with `id`.
    #[must_use]
    pub fn pending(&self, id: u16) -> Option<&Pending> {
        self.pending.iter().find(|pending| pending.id == id)
    }

    /// A store or compare-and-swap of this PE to `address` became visible at `cycle`, or failed.
    /// That, and not its answer, is the instant of its effect (section 13.3).
    pub fn became_visible(&mut self, cycle: u64, address: u64) {
        // Only the offset in the page is known of an access before its answer.
        let near =
            |va: u64| (address ^ va) & 0xff8 == 0 || (address ^ va.wrapping_add(7)) & 0xff8 == 0;
        let written = |pending: &Pending| match pending.operation {
            Operation::Access(access) => pending.stores() && near(access.va),
            _ => false,
        };
        let Some(place) = self.pending.iter().position(|p| !p.visible && written(p)) else {
            return;
        };
        self.pending[place].visible = true;
        let order = self.pending[place].order;
        for later in self.pending.iter_mut().filter(|later| later.order > order) {
            later.recent = later.recent.max(cycle);
        }
    }

    /// Whether a store before `order` in program order has not taken effect yet. When a load or a
    /// compare-and-swap does is not told before its answer.
    #[must_use]
    pub fn older_store_pending(&self, order: u64) -> bool {
        self.pending
            .iter()
            .any(|p| p.order < order && p.stores() && !p.visible)
    }

    /// Replaced contexts from which entries may still live.
    #[must_use]
    pub fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// The invalidations.
    #[must_use]
    pub fn invalidations(&self) -> &Invalidations {
        &self.invalidations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::{El, TlbiScope};

    fn load() -> Operation {
        Operation::Access(Access::new(AccessKind::Read, El::El1, 0))
    }

    fn mairs(program: &Program, id: u16) -> Vec<u64> {
        let pending = program.pending(id).unwrap();
        let mut seen = Vec::new();
        program.for_each_context(pending.isb, pending.order, &mut |registers| {
            seen.push(registers.mair.0);
            false
        });
        seen
    }

    #[test]
    fn a_register_write_is_old_or_new_until_the_isb() {
        // Section 13.5.
        let mut program = Program::default();
        program.issue(1, 1, Operation::Msr(SysReg::Mair, 7));
        program.issue(2, 2, load());
        program.issue(3, 3, Operation::Isb);
        program.issue(4, 4, load());
        program.issue(5, 5, Operation::Msr(SysReg::Mair, 8));
        program.issue(6, 6, load());
        assert_eq!(mairs(&program, 2), [7, 0]);
        assert_eq!(mairs(&program, 4), [7]);
        assert_eq!(mairs(&program, 6), [8, 7]);
        program.complete(10, 1);
        program.complete(11, 2);
        program.complete(12, 3);
        assert_eq!(mairs(&program, 4), [7]);
        assert_eq!(mairs(&program, 6), [8, 7]);
    }

    #[test]
    fn recency_follows_the_older_accesses_only() {
        // Section 13.3 with ETS = 2.
        let store = Operation::Access(Access::new(AccessKind::Write, El::El1, 0));
        let mut program = Program::default();
        program.issue(1, 1, store);
        program.issue(2, 2, load());
        program.issue(3, 3, load());
        program.complete(50, 3);
        assert_eq!(program.pending(2).unwrap().recent, 2);
        assert!(program.older_store_pending(program.pending(2).unwrap().order));
        program.complete(60, 1);
        assert_eq!(program.pending(2).unwrap().recent, 60);
        assert!(!program.older_store_pending(program.pending(2).unwrap().order));
    }

    #[test]
    fn a_visible_store_is_done_before_its_answer() {
        let store = Operation::Access(Access::new(AccessKind::Write, El::El1, 0x1238));
        let mut program = Program::default();
        program.issue(1, 1, store);
        program.issue(2, 2, load());
        program.became_visible(30, 0x9_5678);
        assert!(program.older_store_pending(program.pending(2).unwrap().order));
        program.became_visible(40, 0x9_5238);
        assert!(!program.older_store_pending(program.pending(2).unwrap().order));
        assert_eq!(program.pending(2).unwrap().recent, 40);
    }

    #[test]
    fn a_full_invalidation_ends_retired_contexts() {
        let mut program = Program::default();
        program.issue(1, 1, Operation::Msr(SysReg::Sctlr, 1));
        program.issue(2, 2, Operation::Isb);
        program.complete(3, 1);
        program.complete(4, 2);
        program.issue(5, 3, Operation::Msr(SysReg::Ttbr0, 0x1000));
        program.issue(6, 4, Operation::Isb);
        program.complete(7, 3);
        program.complete(8, 4);
        assert_eq!(program.retired().len(), 1);
        program.issue(9, 5, Operation::Tlbi(Tlbi::vmalle1(TlbiScope::Local)));
        program.issue(10, 6, Operation::Dsb);
        program.complete(11, 5);
        assert_eq!(program.complete(12, 6).unwrap().1, Some(9));
        assert!(program.retired().is_empty());
    }
}
