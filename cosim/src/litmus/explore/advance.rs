// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What follows at once from an event: instructions begin in program order, and barriers whose instant
//! nobody can tell complete.

use super::program::{Kind, Step, waits};
use super::state::{Stage, State};
use crate::arch::program::Operation;

impl State {
    /// Begins every instruction that can begin, and completes what nothing chooses the instant of.
    /// Returns whether this can be: a load that was done before its branch was decided stands.
    pub fn advance(&mut self, programs: &[Vec<Step>], settle: bool) -> bool {
        (0..programs.len()).all(|pe| self.advance_core(pe, &programs[pe], settle))
    }

    fn advance_core(&mut self, pe: usize, program: &[Step], settle: bool) -> bool {
        for (at, step) in program.iter().enumerate().take(self.cores[pe].next) {
            let begun = matches!(self.cores[pe].stages[at], Stage::Issued | Stage::Bound(..));
            let wrong = self.executed(pe, step) == Some(false);
            match self.cores[pe].stages[at] {
                Stage::Done if wrong => return false,
                _ if begun && wrong => {
                    self.judge.squash(pe as u8, at as u16);
                    self.cores[pe].stages[at] = Stage::Skipped;
                }
                _ => {}
            }
        }
        while self.begin(pe, program, settle) {
            self.cores[pe].next += 1;
        }
        true
    }

    /// Begins the next instruction of core `pe`; returns whether the one after it may begin.
    fn begin(&mut self, pe: usize, program: &[Step], settle: bool) -> bool {
        let at = self.cores[pe].next;
        let Some(step) = program.get(at) else {
            return false;
        };
        let executed = self.executed(pe, step);
        if executed == Some(false) {
            self.cores[pe].stages[at] = Stage::Skipped;
            return true;
        }
        if let Kind::Touch(touch) = &step.kind {
            let mut access = touch.access;
            access.pan = self.cores[pe].pan && access.el == vmsa::El::El1;
            self.issue(pe, at, Operation::Access(access));
            self.cores[pe].stages[at] = Stage::Issued;
            return true;
        }
        if executed.is_none() {
            return false;
        }
        match &step.kind {
            Kind::Touch(_) => return false,
            Kind::Branch(_) | Kind::Dmb => {}
            Kind::Pan(pan) => self.cores[pe].pan = *pan,
            Kind::Msr(register, value) => self.at_once(pe, at, Operation::Msr(*register, *value)),
            Kind::Tlbi(tlbi) => {
                if !self.decided(pe, program, at) {
                    return false;
                }
                // The earlier it is issued, the more it permits.
                self.at_once(pe, at, Operation::Tlbi(*tlbi));
                self.cores[pe].invalidating = true;
            }
            Kind::Dsb(kind) => {
                if !self.dsb_ready(pe, program, at) {
                    return false;
                }
                let last = at + 1 == program.len();
                // What it completes binds others from then on: when it does is an event.
                if self.cores[pe].invalidating && !last {
                    return false;
                }
                if !last {
                    self.at_once(pe, at, Operation::Dsb(*kind));
                }
            }
            Kind::Isb => {
                if !settle || !self.isb_ready(pe, program, at) || self.under_way(pe, at) {
                    return false;
                }
                self.at_once(pe, at, Operation::Isb);
            }
        }
        self.cores[pe].stages[at] = Stage::Done;
        true
    }

    fn issue(&mut self, pe: usize, at: usize, operation: Operation) {
        self.now += 1;
        self.judge.issue(pe as u8, self.now, at as u16, operation);
    }

    fn at_once(&mut self, pe: usize, at: usize, operation: Operation) {
        self.issue(pe, at, operation);
        self.judge.complete(pe as u8, self.now, at as u16);
    }

    fn under_way(&self, pe: usize, at: usize) -> bool {
        let begun = |stage: &Stage| matches!(stage, Stage::Issued | Stage::Bound(..));
        self.cores[pe].stages[..at].iter().any(begun)
    }

    /// Whether what the DSB at `at` waits for is done (HAF-19: the hardware updates only of a full one).
    fn dsb_ready(&self, pe: usize, program: &[Step], at: usize) -> bool {
        let Kind::Dsb(kind) = program[at].kind else {
            return false;
        };
        let core = &self.cores[pe];
        let full = kind.orders_loads() && kind.orders_stores();
        let waiting = (0..at).any(|older| {
            let begun = matches!(core.stages[older], Stage::Issued | Stage::Bound(..));
            begun && waits(kind, program[older].effects)
        });
        let updated = !full || core.owed.is_empty();
        !waiting && updated && self.decided(pe, program, at)
    }

    /// Whether the ISB at `at` may complete (ORD-10).
    fn isb_ready(&self, pe: usize, program: &[Step], at: usize) -> bool {
        self.decided(pe, program, at) && self.translated(pe, program, at)
    }

    /// Whether the next instruction of core `pe` is a DSB or ISB that can complete now.
    #[must_use]
    pub fn barrier_ready(&self, pe: usize, program: &[Step]) -> bool {
        let at = self.cores[pe].next;
        match program.get(at).map(|step| &step.kind) {
            Some(Kind::Dsb(_)) => self.dsb_ready(pe, program, at),
            Some(Kind::Isb) => self.isb_ready(pe, program, at),
            _ => false,
        }
    }

    /// Completes the DSB or ISB that is the next instruction of core `pe`.
    pub fn pass_barrier(&mut self, pe: usize, program: &[Step]) {
        let at = self.cores[pe].next;
        match program[at].kind {
            Kind::Dsb(kind) => {
                self.at_once(pe, at, Operation::Dsb(kind));
                if kind.completes_tlbi(vmsa::TlbiScope::OuterShareable) {
                    self.cores[pe].invalidating = false;
                }
                self.prompt = Some(pe);
            }
            _ => self.at_once(pe, at, Operation::Isb),
        }
        self.cores[pe].stages[at] = Stage::Done;
        self.cores[pe].next += 1;
    }
}
