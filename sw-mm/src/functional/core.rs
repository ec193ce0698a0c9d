// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One core of the functional machine: the instructions.

use super::State;
use super::schedule::YieldNow;
use super::store_buffer::BufferedStore;
use super::tlb::Owed;
use super::translate::{Access, Kind, Translation};
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
}

/// Where the bytes of one access lie: in the word that holds that of `first` and, if they cross its
/// end, in that of `second`.
#[derive(Clone, Copy)]
struct Bytes {
    first: Translation,
    second: Translation,
    /// Bytes in the first word.
    reach: u64,
    count: u64,
}

impl State {
    #[inline]
    fn access(
        &self,
        core: usize,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        kind: Kind,
    ) -> Access {
        let el = match privilege {
            Privilege::Privileged => El::El1,
            Privilege::Unprivileged => El::El0,
        };
        Access {
            va,
            kind,
            el,
            pan: el == El::El1 && self.cores[core].pan,
            size: size.log2(),
            at: false,
        }
    }

    /// Address of an access that lies in one word and has a translation that is cached and asks for
    /// nothing else: the short way, which most accesses go.
    #[inline]
    fn at_once(&mut self, core: usize, access: &Access) -> Option<u64> {
        let pa = self.hit(core, access)?;
        (pa % 8 + (1 << access.size) <= 8).then_some(pa)
    }

    /// Both translations of an access that crosses a page come before any effect.
    fn place(&mut self, core: usize, access: &Access) -> Result<Bytes, AccessFault> {
        let Access {
            va, el, kind, size, ..
        } = *access;
        let fault = |(fsc, write)| AccessFault {
            fsc,
            va,
            write,
            el,
            instruction: kind == Kind::Execute,
        };
        let first = self.translate(core, access).map_err(fault)?;
        let (count, reach) = (1 << size, 8 - first.pa % 8);
        let to_page_end = 0x1000 - (va & 0xfff);
        let second = if count > to_page_end {
            let next = Access {
                va: va.wrapping_add(to_page_end),
                ..*access
            };
            self.translate(core, &next).map_err(fault)?
        } else {
            Translation {
                pa: first.pa + reach,
                ..first
            }
        };
        Ok(Bytes {
            first,
            second,
            reach,
            count,
        })
    }

    fn read(&mut self, core: usize, bytes: Bytes) -> u64 {
        let Bytes { reach, count, .. } = bytes;
        let (first, second) = (bytes.first.pa, bytes.second.pa);
        let mut value = self.view(core, first) >> (first % 8 * 8);
        if count > reach {
            value |= self.view(core, second) << (reach * 8);
        }
        value & (u64::MAX >> (64 - 8 * count))
    }

    fn write(&mut self, core: usize, bytes: Bytes, value: u64) {
        let Bytes { reach, count, .. } = bytes;
        let mask = u64::MAX >> (64 - 8 * count);
        let shift = bytes.first.pa % 8 * 8;
        let parts = [
            (bytes.first, mask << shift, (value & mask) << shift),
            (
                bytes.second,
                mask >> (reach * 8 % 64),
                (value & mask) >> (reach * 8 % 64),
            ),
        ];
        let asid = self.cores[core].context.asid;
        for (part, mask, bits) in &parts[..if count > reach { 2 } else { 1 }] {
            let store = BufferedStore {
                pa: part.pa & !7,
                mask: *mask,
                bits: *bits,
                base: part.used.0,
                bytes: part.used.1,
                asid,
            };
            self.buffer(core, store, part.doomed);
        }
    }

    #[inline]
    fn load_at_once(&mut self, core: usize, access: &Access) -> Option<u64> {
        self.cores[core].traffic.loads += 1;
        let pa = self.at_once(core, access)?;
        let value = self.view(core, pa) >> (pa % 8 * 8);
        Some(value & (u64::MAX >> (64 - (8 << access.size))))
    }

    fn load(&mut self, core: usize, access: &Access) -> Result<u64, AccessFault> {
        let bytes = self.place(core, access)?;
        Ok(self.read(core, bytes))
    }

    #[inline]
    fn store_at_once(&mut self, core: usize, access: &Access, value: u64) -> bool {
        self.cores[core].traffic.stores += 1;
        let Some(pa) = self.at_once(core, access) else {
            return false;
        };
        let (mask, shift) = (u64::MAX >> (64 - (8 << access.size)), pa % 8 * 8);
        let state = &self.cores[core];
        let store = BufferedStore {
            pa: pa & !7,
            mask: mask << shift,
            bits: (value & mask) << shift,
            base: state.used.0,
            bytes: state.used.1,
            asid: state.context.asid,
        };
        self.buffer(core, store, Owed::default());
        true
    }

    fn store(&mut self, core: usize, access: &Access, value: u64) -> Result<(), AccessFault> {
        let bytes = self.place(core, access)?;
        self.write(core, bytes, value);
        Ok(())
    }

    fn swap(
        &mut self,
        core: usize,
        access: &Access,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.cores[core].traffic.swaps += 1;
        let bytes = self.place(core, access)?;
        // An atomic works at the point of coherence, behind the earlier stores of its core.
        self.drain(core);
        let seen = self.read(core, bytes);
        if seen == expected {
            self.write(core, bytes, new);
            self.drain(core);
        }
        Ok(seen)
    }

    fn address_translate(&mut self, core: usize, op: AtOp, va: u64) -> Par {
        let access = Access {
            va,
            kind: if op.write() { Kind::Write } else { Kind::Read },
            el: op.el(),
            pan: op.pan() && self.cores[core].pan,
            size: 0,
            at: true,
        };
        match self.translate(core, &access) {
            Ok(Translation { pa, attr, sh, .. }) => Par::Translated { pa, attr, sh },
            Err((fsc, _)) => Par::Faulted(fsc),
        }
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
        let mut state = self.state.borrow_mut();
        let access = state.access(self.index, va, size, privilege, Kind::Read);
        match state.load_at_once(self.index, &access) {
            Some(value) => Ok(value),
            None => state.load(self.index, &access),
        }
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
        if state.store_at_once(self.index, &access, value) {
            return Ok(());
        }
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

    async fn fetch(&self, va: u64, privilege: Privilege) -> Result<u32, AccessFault> {
        self.gives_way().await;
        let mut state = self.state.borrow_mut();
        let access = state.access(self.index, va, AccessSize::Word, privilege, Kind::Execute);
        let word = match state.load_at_once(self.index, &access) {
            Some(word) => word,
            None => state.load(self.index, &access)?,
        };
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
