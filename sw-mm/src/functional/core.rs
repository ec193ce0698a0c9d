// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One core of the functional machine: the instructions.

use super::State;
use super::memory::BufferedStore;
use super::schedule::YieldNow;
use super::walk::{Access, Kind, Translation};
use crate::cpu::{AccessSize, Cpu, Par, Privilege};
use std::cell::RefCell;
use std::rc::Rc;
use vmsa::{AccessFault, AtOp, DsbKind, El, SysReg, Tlbi};

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

    fn count(&self, what: impl Fn(&mut Traffic) -> &mut u64) {
        *what(&mut self.state.borrow_mut().cores[self.index].traffic) += 1;
    }

    fn translate(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        kind: Kind,
    ) -> Result<Bytes, AccessFault> {
        let mut state = self.state.borrow_mut();
        let el = match privilege {
            Privilege::Privileged => El::El1,
            Privilege::Unprivileged => El::El0,
        };
        let access = Access {
            va,
            kind,
            el,
            pan: el == El::El1 && state.cores[self.index].pan,
            size: size.log2(),
            at: false,
        };
        let mut translate = |va| {
            state
                .translate(self.index, Access { va, ..access })
                .map(|t: Translation| t.pa)
                .map_err(|(fsc, write)| AccessFault {
                    fsc,
                    va: access.va,
                    write,
                    el,
                    instruction: kind == Kind::Execute,
                })
        };
        let first = translate(va)?;
        // An access that crosses a page is two translations, and both come before any effect.
        let reach = 0x1000 - (va & 0xfff);
        let second = if size.bytes() > reach {
            translate(va.wrapping_add(reach))?
        } else {
            first + reach
        };
        Ok(Bytes {
            first,
            second,
            reach,
            count: size.bytes(),
        })
    }

    fn view(&self, state: &State, pa: u64) -> u64 {
        let word = state.memory.word(pa);
        state.cores[self.index]
            .stores
            .iter()
            .filter(|s| s.pa == pa & !7)
            .fold(word, |word, store| store.apply(word))
    }

    fn read(&self, bytes: &Bytes) -> u64 {
        let state = self.state.borrow();
        bytes.addresses().enumerate().fold(0, |value, (i, pa)| {
            let byte = self.view(&state, pa) >> (pa % 8 * 8) & 0xff;
            value | byte << (i * 8)
        })
    }

    fn write(&self, bytes: &Bytes, value: u64) {
        let mut state = self.state.borrow_mut();
        for (i, pa) in bytes.addresses().enumerate() {
            let shift = pa % 8 * 8;
            let store = BufferedStore {
                pa: pa & !7,
                mask: 0xff << shift,
                bits: (value >> (i * 8) & 0xff) << shift,
            };
            let stores = &mut state.cores[self.index].stores;
            match stores.last_mut().filter(|s| s.pa == store.pa && i > 0) {
                Some(same) => {
                    same.bits |= store.bits;
                    same.mask |= store.mask;
                }
                None => stores.push(store),
            }
        }
    }
}

/// Where the bytes of one access lie.
struct Bytes {
    first: u64,
    second: u64,
    reach: u64,
    count: u64,
}

impl Bytes {
    fn addresses(&self) -> impl Iterator<Item = u64> {
        (0..self.count).map(|i| {
            if i < self.reach {
                self.first + i
            } else {
                self.second + (i - self.reach)
            }
        })
    }
}

impl Cpu for Core {
    async fn load(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
    ) -> Result<u64, AccessFault> {
        self.gives_way().await;
        self.count(|t| &mut t.loads);
        let bytes = self.translate(va, size, privilege, Kind::Read)?;
        Ok(self.read(&bytes))
    }

    async fn store(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.gives_way().await;
        self.count(|t| &mut t.stores);
        let bytes = self.translate(va, size, privilege, Kind::Write)?;
        self.write(&bytes, value);
        Ok(())
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
        self.count(|t| &mut t.swaps);
        let bytes = self.translate(va, size, privilege, Kind::ReadWrite)?;
        // An atomic works at the point of coherence, behind the earlier stores of its core.
        self.state.borrow_mut().drain(self.index);
        let seen = self.read(&bytes);
        if seen == expected & size.mask() {
            self.write(&bytes, new);
            self.state.borrow_mut().drain(self.index);
        }
        Ok(seen)
    }

    async fn fetch(&self, va: u64, privilege: Privilege) -> Result<u32, AccessFault> {
        self.gives_way().await;
        self.count(|t| &mut t.loads);
        let bytes = self.translate(va, AccessSize::Word, privilege, Kind::Execute)?;
        Ok(self.read(&bytes) as u32)
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.gives_way().await;
        let kind = if op.write() { Kind::Write } else { Kind::Read };
        let mut state = self.state.borrow_mut();
        let access = Access {
            va,
            kind,
            el: op.el(),
            pan: op.pan() && state.cores[self.index].pan,
            size: 0,
            at: true,
        };
        Ok(match state.translate(self.index, access) {
            Ok(Translation { pa, attr, sh }) => Par::Translated { pa, attr, sh },
            Err((fsc, _)) => Par::Faulted(fsc),
        })
    }

    async fn tlbi(&self, op: Tlbi) {
        self.gives_way().await;
        self.count(|t| &mut t.tlbis);
        self.state.borrow_mut().invalidate(self.index, op);
    }

    async fn dsb(&self, kind: DsbKind) {
        self.gives_way().await;
        self.count(|t| &mut t.dsbs);
        let mut state = self.state.borrow_mut();
        if kind.orders_stores() {
            state.drain(self.index);
        }
        state.complete(self.index, kind);
    }

    async fn isb(&self) {
        self.gives_way().await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.gives_way().await;
        self.state.borrow_mut().cores[self.index].write(register, value);
    }
}
