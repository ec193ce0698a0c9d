// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Program order on one PE: what is under way, which register values may be in force for it, which
//! invalidations bind it, and how recent a faulting descriptor read shall be (sections 13.2, 13.3 and
//! 13.5). Completions may come in any order.

use vmsa::{SysReg, Tcr};

use super::access::Access;
use super::binding::Invalidations;
use super::context::Registers;
use super::fingerprint::Fingerprint;
use super::pending::words_written;
pub use super::pending::{Operation, Pending};

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
    ets2: bool,
    next: u64,
    last_isb: u64,
    /// Latest completion of an explicit access, DSB or ISB; without ETS2 of an ISB.
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
        Self::new(0, true)
    }
}

impl Program {
    /// PE number `own` as it leaves reset, with FEAT_ETS2 or without.
    #[must_use]
    pub fn new(own: u8, ets2: bool) -> Self {
        let reset = vec![Written { order: 0, value: 0 }];
        Self {
            ets2,
            next: 1,
            last_isb: 0,
            performed: 0,
            last_msr: 0,
            latest: Registers::default(),
            written: std::array::from_fn(|_| reset.clone()),
            pending: Vec::with_capacity(64),
            retired: Vec::new(),
            invalidations: Invalidations::new(own, ets2),
        }
    }

    /// `operation` was issued at `cycle` and will be told complete by `id`.
    /// Returns its place in program order. A TLBI is told to the [`Invalidations`] by the caller.
    pub fn issue(&mut self, cycle: u64, id: u16, operation: Operation) -> u64 {
        let order = self.next;
        self.next += 1;
        match operation {
            Operation::Msr(register, value) => {
                self.written[register as usize].push(Written { order, value });
                self.latest.set(register, value);
                self.last_msr = order;
            }
            Operation::Dsb(kind) => self.invalidations.fence(order, kind),
            Operation::Isb => self.invalidations.synchronise(order),
            Operation::Access(_) | Operation::Tlbi(_) => {}
        }
        let recent = match self.ets2 {
            true => self.performed.max(cycle),
            false => self.performed,
        };
        let isb = self.last_isb;
        self.pending.push(Pending {
            id,
            order,
            issued: cycle,
            recent,
            isb,
            operation,
            unseen: words_written(&operation),
            performed: None,
            translated: u64::MAX,
            ordered_by: "ORD-04",
        });
        if operation == Operation::Isb {
            self.last_isb = order;
        }
        order
    }

    /// The operation with `id` completed at `cycle`; `None` if none is under way.
    pub fn complete(&mut self, cycle: u64, id: u16) -> Option<Pending> {
        let place = self.pending.iter().position(|pending| pending.id == id)?;
        let done = self.pending.remove(place);
        match done.operation {
            Operation::Isb => {
                // ORD-10: no fault of an older access is found after it.
                self.translated_by(cycle, done.order, "ORD-10");
                self.performed_at(cycle, done.order);
                self.retire(cycle, done.order);
                self.forget_replaced(done.order);
            }
            Operation::Dsb(kind) => {
                if kind.orders_stores() && kind.orders_loads() {
                    self.translated_by(cycle, done.order, "ORD-07");
                }
                if self.ets2 {
                    self.performed_at(cycle, done.order);
                }
            }
            Operation::Access(_) if self.ets2 && done.operation.explicit() => {
                self.performed_at(done.performed.unwrap_or(cycle), done.order);
            }
            Operation::Tlbi(_) => self.invalidations.answered(done.order),
            _ => {}
        }
        Some(done)
    }

    /// What is older than `order` had read its descriptors by `cycle`.
    fn translated_by(&mut self, cycle: u64, order: u64, rule: &'static str) {
        for older in self.pending.iter_mut().filter(|p| p.order < order) {
            older.translated_by(cycle, rule);
        }
    }

    /// The operation with `id` will not be executed: it stood behind a branch that went another way.
    pub fn squash(&mut self, id: u16) {
        self.pending.retain(|pending| pending.id != id);
    }

    /// What stands at `order` was performed at `cycle`: faults of what follows are no older.
    fn performed_at(&mut self, cycle: u64, order: u64) {
        self.performed = self.performed.max(cycle);
        for later in self.pending.iter_mut().filter(|p| p.order > order) {
            later.recent = later.recent.max(cycle);
        }
    }

    /// Drops register values that the ISB at `order` replaced, unless something older is under way.
    fn forget_replaced(&mut self, order: u64) {
        if self.pending.iter().any(|pending| pending.order < order) {
            return;
        }
        for written in &mut self.written {
            let settled = written.iter().rposition(|w| w.order < order).unwrap_or(0);
            written.drain(..settled);
        }
    }

    /// Drops invalidations that bind nothing any more. Returns the cycle up to which past values of
    /// memory are of no use to this PE, if an operation that removed everything says so.
    pub fn compact(&mut self, cycle: u64) -> Option<u64> {
        let order = self.oldest();
        let issued = self
            .pending
            .iter()
            .map(|p| p.issued)
            .min()
            .unwrap_or(cycle + 1);
        let wiped = self.invalidations.compact(order, issued)?;
        self.retired.retain(|retired| retired.until > wiped);
        Some(wiped)
    }

    /// The ASID mask under each TCR_EL1 that may be in force for what is issued next, the profile
    /// having `asid_bits`: the oldest and the newest.
    #[must_use]
    pub fn asid_masks(&self, asid_bits: u32) -> [u16; 2] {
        let mask = |written: &Written| match Tcr(written.value).asid16() && asid_bits == 16 {
            true => 0xffff,
            false => 0xff,
        };
        let all = &self.written[SysReg::Tcr as usize];
        let settled = all
            .iter()
            .rposition(|w| w.order < self.last_isb)
            .unwrap_or(0);
        let masks = || all[settled..].iter().map(mask);
        [masks().min().unwrap_or(0xff), masks().max().unwrap_or(0xff)]
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

    /// A word at `address` that a store or compare-and-swap of this PE writes became visible at
    /// `cycle`, or failed. That, and not its answer, is the instant of its effect (section 13.3).
    /// Unless `sure` the word may be of something else.
    pub fn became_visible(&mut self, cycle: u64, address: u64, sure: bool) {
        // Only the offset in the page is known of an access before its answer.
        let touches = |access: &Access| {
            let last = access.va.wrapping_add(access.bytes() - 1);
            (address ^ access.va) & 0xff8 == 0 || (address ^ last) & 0xff8 == 0
        };
        let writes = |pending: &Pending| match &pending.operation {
            Operation::Access(access) => pending.unseen > 0 && touches(access),
            _ => false,
        };
        let Some(place) = self.pending.iter().position(writes) else {
            return;
        };
        let found = &mut self.pending[place];
        let order = found.order;
        // An error may be that of another access to the same place in a page: the effect of this one
        // may still be seen.
        found.unseen -= u8::from(sure);
        let last = !sure || found.unseen == 0;
        if sure {
            // ORD-04; and no store is performed before the older accesses have their translations,
            // so that none of those has used what it writes (ORD-05).
            found.translated_by(cycle, "ORD-04");
            self.translated_by(cycle.saturating_sub(1), order, "ORD-05");
        }
        if last {
            self.pending[place].performed = Some(cycle);
            if self.ets2 {
                for later in self.pending.iter_mut().filter(|p| p.order > order) {
                    later.recent = later.recent.max(cycle);
                }
            }
        }
    }

    /// Whether ETS2 asks a faulting access at `order` to wait: a store before it has not taken effect
    /// yet. When a load or a compare-and-swap does is not told before its answer.
    #[must_use]
    pub fn older_store_pending(&self, order: u64) -> bool {
        let waiting = |p: &Pending| p.order < order && p.stores() && p.performed.is_none();
        self.ets2 && self.pending.iter().any(waiting)
    }

    /// Place in program order of the oldest operation under way, or of the next to come.
    pub fn oldest(&self) -> u64 {
        let orders = self.pending.iter().map(|pending| pending.order);
        orders.min().unwrap_or(self.next)
    }

    /// Whether an explicit access before `order` is not done: all of them shall be before a fault
    /// that ETS2 orders (WALK-27).
    #[must_use]
    pub fn older_access_pending(&self, order: u64) -> bool {
        let waiting =
            |p: &Pending| p.order < order && p.operation.explicit() && p.performed.is_none();
        self.ets2 && self.pending.iter().any(waiting)
    }

    /// An access under way to `va` that is older than `order`, if there is one.
    pub fn older_to(&self, va: u64, order: u64) -> Option<&Pending> {
        self.pending.iter().find(|p| {
            p.order < order && matches!(p.operation, Operation::Access(access) if access.va == va)
        })
    }

    /// Adds what it knows to `print`.
    pub(super) fn mark(&self, print: &mut Fingerprint) {
        print.value(self.next);
        print.value(self.last_isb);
        print.instant(self.performed);
        for written in &self.written {
            print.value(written.len() as u64);
            for written in written {
                print.value(written.order);
                print.value(written.value);
            }
        }
        for pending in &self.pending {
            print.value(u64::from(pending.id));
            print.value(pending.order);
            print.value(pending.isb);
            print.instant(pending.recent);
            print.instant(pending.translated);
            print.value(u64::from(pending.performed.is_some()));
        }
        for retired in &self.retired {
            for register in SysReg::ALL {
                print.value(retired.registers.get(register));
            }
            print.end(retired.until);
        }
        self.invalidations.mark(print);
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

    /// The invalidations, to tell them what other PEs do.
    pub fn invalidations_mut(&mut self) -> &mut Invalidations {
        &mut self.invalidations
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
