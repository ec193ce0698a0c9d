// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A machine without hardware: the instructions of [`Cpu`](crate::Cpu) at host speed, for unit tests of the OS.
//!
//! It is unfriendly on purpose, within what the architecture permits:
//! * a TLB entry or cached table descriptor lives until a TLBI that has the duty to remove it *and*
//!   the full DSB of sufficient domain after it; capacity never helps, and the oldest entry wins;
//! * a contiguous run is one entry, or, configured otherwise, as many entries as it has pages;
//! * a level hint that does not fit removes nothing;
//! * a store stays in its core's buffer, which walkers do not see, until a DSB that orders stores, a
//!   load or store of another core to the same word, the completion of a TLBI that takes away the
//!   translation it came by (TLBI-22), or more stores than the buffer holds;
//! * at each TLBI the core at once walks again for what it loses, so that a store that was not
//!   visible by then is cached in its old state for good.
//!
//! So an OS step left out shows: as a wrong translation, a lost fault, or a [`BbmViolation`].
//!
//! Threads are tasks of a [`Scheduler`], which lets others come in between at every instruction of a
//! core that is [`Core::interleaved`], in an order that a seed decides. What the caches of the machine
//! could still do is answered by [`Machine::translations_to`] and its neighbours.

mod access;
mod coherence;
mod context;
mod core;
mod filter;
mod frame_safety;
mod memory;
mod mixed;
mod monitor;
mod permission;
mod query;
mod rule;
mod schedule;
mod store_buffer;
mod tlb;
mod translate;
mod trees;
mod walk;

pub use self::core::{Core, Traffic};
pub use frame_safety::{FrameSafety, UnsafeFrame, out_of_use};
pub use monitor::BbmViolation;
pub use query::{Cached, Target};
pub use schedule::{
    JoinHandle, Policy, RunEnd, Scheduler, Spawner, TaskId, Waiting, YieldNow, yield_now,
};

use crate::boot::{MemoryImage, Registers};
use context::Context;
use filter::Filter;
use memory::Memory;
use monitor::Monitor;
use std::cell::RefCell;
use std::rc::Rc;
use store_buffer::StoreBuffer;
use tlb::Tlb;
use vmsa::SysReg;

/// What the machine is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineConfig {
    /// Cores, 1 to 64.
    pub cores: usize,
    /// A contiguous run is one TLB entry; otherwise the hint is ignored.
    pub contiguous: bool,
    /// FEAT_ETS2: no access faults because of a descriptor that an earlier store of its own core
    /// replaced, barrier or not.
    pub ets2: bool,
    /// FEAT_BBM level 2 without conflict aborts: the contiguous bit may change in place.
    pub bbm2: bool,
}

impl Default for MachineConfig {
    /// One core that uses the contiguous hint and has ETS2.
    fn default() -> Self {
        Self {
            cores: 1,
            contiguous: true,
            ets2: true,
            bbm2: false,
        }
    }
}

#[derive(Debug, Default)]
struct CoreState {
    context: Context,
    pan: bool,
    tlb: Tlb,
    stores: StoreBuffer,
    /// First VA and bytes that the translation last used matched.
    used: (u64, u64),
    traffic: Traffic,
}

impl CoreState {
    fn write(&mut self, register: SysReg, value: u64) {
        self.context = self.context.with(register, value);
    }
}

#[derive(Debug)]
struct State {
    config: MachineConfig,
    memory: Memory,
    cores: Vec<CoreState>,
    pending: Filter,
    monitor: Monitor,
    /// Addresses to walk for again, during an invalidation.
    lost: Vec<u64>,
}

/// The machine. Clones are handles of the same one.
///
/// ```
/// use sw_mm::{AccessSize, Cpu, Privilege, block_on};
/// use sw_mm::boot::{BootConfig, image};
/// use sw_mm::functional::Machine;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (memory, boot) = image(&BootConfig::default())?;
/// let machine = Machine::new(Default::default());
/// machine.load(&memory, &boot.registers);
/// machine.poke(0x4000_1000, 0x1234);
/// let va = boot.linear.base() + 0x1000;
/// let core = machine.core(0);
/// let word = block_on(core.load(va, AccessSize::Double, Privilege::Privileged))?;
/// assert_eq!(word, 0x1234);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    state: Rc<RefCell<State>>,
}

impl Machine {
    /// A machine after reset: memory zero, MMUs off.
    pub fn new(config: MachineConfig) -> Self {
        let cores = (0..config.cores.clamp(1, 64)).map(|_| CoreState::default());
        let state = State {
            config,
            memory: Memory::default(),
            cores: cores.collect(),
            pending: Filter::default(),
            monitor: Monitor::new(config.bbm2),
            lost: Vec::new(),
        };
        Self {
            state: Rc::new(RefCell::new(state)),
        }
    }

    /// Handle of core `index`; the last core if there are not so many.
    pub fn core(&self, index: usize) -> Core {
        let last = self.state.borrow().cores.len() - 1;
        Core::new(self.state.clone(), index.min(last))
    }

    /// Puts an image into memory and the registers into every core.
    pub fn load(&self, image: &MemoryImage, registers: &Registers) {
        let mut state = self.state.borrow_mut();
        for (pa, words) in image {
            for (index, &word) in words.iter().enumerate() {
                *state.memory.word_mut(pa + index as u64 * 8) = word;
            }
        }
        for core in 0..state.cores.len() {
            for (register, value) in registers.writes() {
                state.cores[core].write(register, value);
            }
            state.synchronize(core);
        }
    }

    /// The 8-byte word of memory at `pa` that a load of any core would return now.
    pub fn newest(&self, pa: u64) -> u64 {
        self.state.borrow().newest(pa)
    }

    /// The 8-byte word of memory at `pa` that a walker of any core would read now: buffered stores are
    /// left out.
    pub fn peek(&self, pa: u64) -> u64 {
        self.state.borrow().memory.word(pa)
    }

    /// The 8-byte words of memory from `pa` on, as [`Machine::peek`] gives them one by one.
    pub fn peek_words(&self, pa: u64, words: &mut [u64]) {
        self.state.borrow().memory.words(pa, words);
    }

    /// Replaces the 8-byte word of memory at `pa` behind everybody's back.
    pub fn poke(&self, pa: u64, value: u64) {
        *self.state.borrow_mut().memory.word_mut(pa) = value;
    }

    /// All non-zero memory.
    pub fn contents(&self) -> MemoryImage {
        let mut state = self.state.borrow_mut();
        for core in 0..state.cores.len() {
            state.drain(core);
        }
        state.memory.contents()
    }

    /// Lets a core walk speculatively for `va`: it caches what it finds and faults never.
    pub fn speculate(&self, core: usize, va: u64) {
        let mut state = self.state.borrow_mut();
        if core < state.cores.len() {
            state.speculate(core, va);
        }
    }

    /// Changes of live descriptors that skipped break-before-make, so far, and contiguous runs that are
    /// left with mixed write permission.
    pub fn violations(&self) -> Vec<BbmViolation> {
        self.state.borrow().monitor.violations()
    }
}
