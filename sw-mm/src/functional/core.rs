// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One core of the functional machine: the instructions.

use super::State;
use super::schedule::YieldNow;
use super::translate::Kind;
use crate::cpu::{AccessSize, Cpu, Par, Privilege};
use std::cell::RefCell;
use std::rc::Rc;
use vmsa::{AccessFault, AtOp, DsbKind, SysReg, Tlbi};

/// Instructions that a core has executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Loads and fetches.
    pub loads: u64,
    /// Stores.
    pub stores: u64,
    /// Compare-and-swaps.
    pub swaps: u64,
    /// TLB invalidations.
    pub tlbis: u64,
    /// Data synchronization barriers.
    pub dsbs: u64,
}

/// Handle of one core. Its futures are ready at once, unless it is [`Core::interleaved`].
#[derive(Clone, Debug)]
pub struct Core {
    state: Rc<RefCell<State>>,
    index: usize,
    interleaved: bool,
}

impl Core {
    pub(super) fn new(state: Rc<RefCell<State>>, index: usize) -> Self {
        Self {
            state,
            index,
            interleaved: false,
        }
    }

    /// A handle of the same core whose every instruction gives way once, before it has any effect, so
    /// that other tasks of the [`Scheduler`](super::Scheduler) come in between.
    #[must_use]
    pub fn interleaved(&self) -> Self {
        Self {
            interleaved: true,
            ..self.clone()
        }
    }

    /// Number of the core.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Loads words of one line for EL1, as one point.
    async fn get_line(&self, va: u64, line: &mut [u64]) -> Result<(), AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        if state.load_words(self.index, va, line) {
            return Ok(());
        }
        for (word, va) in line.iter_mut().zip((va..).step_by(8)) {
            *word = state.load_double(self.index, va)?;
        }
        Ok(())
    }

    /// Stores words of one line for EL1, as one point.
    async fn put_line(&self, va: u64, line: &[u64]) -> Result<(), AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        if state.store_words(self.index, va, line) {
            return Ok(());
        }
        for (&word, va) in line.iter().zip((va..).step_by(8)) {
            state.store_double(self.index, va, word)?;
        }
        Ok(())
    }

    fn gives_way(&self) -> YieldNow {
        YieldNow::when(self.interleaved)
    }

    /// Instructions executed so far.
    pub fn traffic(&self) -> Traffic {
        self.state.borrow().cores[self.index].traffic
    }

    /// TLB and walk cache entries held, doomed ones included.
    pub fn cached(&self) -> usize {
        self.state.borrow().cores[self.index].tlb.len()
    }

    /// PSTATE.PAN.
    pub fn set_pan(&self, pan: bool) {
        self.state.borrow_mut().cores[self.index].pan = pan;
    }
}

const LINE_WORDS: usize = 8;

/// Bytes from `va` to the end of its line, those of one word at least.
const fn line_rest(va: u64) -> u64 {
    let rest = LINE_WORDS as u64 * 8 - va % (LINE_WORDS as u64 * 8);
    if rest < 8 { 8 } else { rest }
}

impl Cpu for Core {
    async fn load(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
    ) -> Result<u64, AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        let access = state.access(self.index, va, size, privilege, Kind::Read);
        state.load(self.index, &access)
    }

    async fn store(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        let access = state.access(self.index, va, size, privilege, Kind::Write);
        state.store(self.index, &access, value)
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        let access = state.access(self.index, va, size, privilege, Kind::ReadWrite);
        state.swap(self.index, &access, expected & size.mask(), new)
    }

    async fn clear(&self, va: u64, bytes: u64) -> Result<(), AccessFault> {
        let mut done = 0;
        while bytes - done >= 8 {
            let at = va.wrapping_add(done);
            let words = line_rest(at).min(bytes - done) / 8;
            self.put_line(at, &[0; LINE_WORDS][..words as usize])
                .await?;
            done += words * 8;
        }
        Ok(())
    }

    async fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), AccessFault> {
        let mut done = 0;
        while bytes - done >= 8 {
            let (to, from) = (to.wrapping_add(done), from.wrapping_add(done));
            let words = line_rest(to).min(line_rest(from)).min(bytes - done) / 8;
            let mut line = [0; LINE_WORDS];
            let line = &mut line[..words as usize];
            self.get_line(from, line).await?;
            self.put_line(to, line).await?;
            done += words * 8;
        }
        Ok(())
    }

    async fn fetch(&self, va: u64, privilege: Privilege) -> Result<u32, AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        let access = state.access(self.index, va, AccessSize::Word, privilege, Kind::Execute);
        let word = state.load(self.index, &access)?;
        Ok(word as u32)
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        Ok(state.address_translate(self.index, op, va))
    }

    async fn tlbi(&self, op: Tlbi) {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        state.cores[self.index].traffic.tlbis += 1;
        state.invalidate(self.index, op);
    }

    async fn dsb(&self, kind: DsbKind) {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        state.cores[self.index].traffic.dsbs += 1;
        if kind.orders_stores() {
            state.drain(self.index);
        }
        state.complete(self.index, kind);
    }

    async fn isb(&self) {
        self.gives_way().await;
        self.state.borrow_mut().synchronize(self.index);
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        state.cores[self.index].write(register, value);
    }
}
