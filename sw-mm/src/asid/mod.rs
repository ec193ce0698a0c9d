// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! ASIDs: who has which, what happens when they run out, and the context switch (section 5).
//!
//! A context number is a generation and, in its low 16 bits, the ASID. When all ASIDs of a generation
//! are given out the next one begins: what runs now keeps its ASID, everybody else gets a new one when it
//! runs next, and each core throws its TLB away before it runs an address space of the new
//! generation (MM-18).

mod switch;

use crate::mm::Error;
use std::cell::{Cell, RefCell};

const ASID_BITS: u32 = 16;
const ASID_MASK: u64 = (1 << ASID_BITS) - 1;
const FIRST_GENERATION: u64 = 1 << ASID_BITS;

/// The context number of an address space; 0 until it first runs.
#[derive(Debug, Default)]
pub struct Context(Cell<u64>);

impl Context {
    /// Its ASID; 0, which nothing is cached under, if it never ran.
    pub fn asid(&self) -> u16 {
        (self.0.get() & ASID_MASK) as u16
    }

    /// Generation and ASID.
    pub fn id(&self) -> u64 {
        self.0.get()
    }
}

/// What was done to give an address space its ASID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The ASID.
    pub asid: u16,
    /// This core has to throw its TLB away before it uses it.
    pub flush: bool,
    /// A generation began.
    pub rollover: bool,
}

#[derive(Debug)]
struct State {
    generation: u64,
    used: Vec<bool>,
    cursor: usize,
    /// Context number that each core runs; 0 after a rollover, until it switches.
    active: Vec<u64>,
    /// Context number that each core ran when the generation began.
    reserved: Vec<u64>,
    flush_pending: Vec<bool>,
}

/// Gives ASIDs out.
#[derive(Debug)]
pub struct AsidAllocator {
    state: RefCell<State>,
}

impl AsidAllocator {
    /// ASID of a context number.
    pub const fn asid_of(id: u64) -> u16 {
        (id & ASID_MASK) as u16
    }

    /// An allocator of the ASIDs 1 to `asids` - 1 for `cores` cores.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer ASIDs than cores + 2, with which a rollover might find none, or more
    /// than 65536.
    pub fn new(asids: u32, cores: usize) -> Result<Self, Error> {
        if !(cores as u32 + 2..=1 << ASID_BITS).contains(&asids) {
            return Err(Error::Config(format!(
                "{asids} ASIDs for {cores} cores: from {} to 65536 are possible",
                cores + 2
            )));
        }
        Ok(Self {
            state: RefCell::new(State {
                generation: FIRST_GENERATION,
                used: vec![false; asids as usize],
                cursor: 1,
                active: vec![0; cores],
                reserved: vec![0; cores],
                flush_pending: vec![false; cores],
            }),
        })
    }

    /// The ASID under which `core` runs `context` from now on.
    pub fn assign(&self, core: usize, context: &Context) -> Assigned {
        let state = &mut *self.state.borrow_mut();
        let mut rollover = false;
        let current = context.id() & !ASID_MASK == state.generation;
        // A core whose active number was taken by a rollover has to flush first.
        if !(current && state.active[core] != 0) {
            if !current {
                rollover = state.new_context(context);
            }
            if std::mem::take(&mut state.flush_pending[core]) {
                state.active[core] = context.id();
                return Assigned {
                    asid: context.asid(),
                    flush: true,
                    rollover,
                };
            }
        }
        state.active[core] = context.id();
        Assigned {
            asid: context.asid(),
            flush: false,
            rollover,
        }
    }

    /// Whether `core` has to throw its TLB away before it runs another address space. Until then it holds
    /// entries of ASIDs of earlier generations, which it cannot use.
    pub fn flush_pending(&self, core: usize) -> bool {
        let state = self.state.borrow();
        state
            .flush_pending
            .get(core)
            .is_some_and(|&pending| pending)
    }

    /// Context numbers that cores run, by core; 0 for none.
    pub fn active(&self) -> Vec<u64> {
        let state = self.state.borrow();
        let of = |(active, reserved): (&u64, &u64)| if *active == 0 { *reserved } else { *active };
        state.active.iter().zip(&state.reserved).map(of).collect()
    }
}

impl State {
    /// Gives `context` a number of this generation, or of the next one if all are out.
    fn new_context(&mut self, context: &Context) -> bool {
        let asid = context.id() & ASID_MASK;
        if context.id() != 0 {
            let renewed = self.generation | asid;
            // It ran when the generation began: the number stays, everywhere (MM-19).
            let mut kept = false;
            for reserved in &mut self.reserved {
                if *reserved == context.id() {
                    *reserved = renewed;
                    kept = true;
                }
            }
            if kept || !self.used[asid as usize] {
                self.used[asid as usize] = true;
                context.0.set(renewed);
                return false;
            }
        }
        let mut rollover = false;
        let asid = match self.free() {
            Some(asid) => asid,
            None => {
                rollover = true;
                self.roll_over();
                self.cursor = 1;
                // There are more ASIDs than cores reserve.
                self.free().unwrap_or(0)
            }
        };
        self.used[asid] = true;
        self.cursor = asid;
        context.0.set(self.generation | asid as u64);
        rollover
    }

    fn free(&self) -> Option<usize> {
        (self.cursor..self.used.len()).find(|&asid| !self.used[asid])
    }

    fn roll_over(&mut self) {
        self.generation += FIRST_GENERATION;
        self.used.fill(false);
        for core in 0..self.active.len() {
            let active = std::mem::take(&mut self.active[core]);
            // A core that did not switch since the last rollover still runs what it ran then.
            if active != 0 {
                self.reserved[core] = active;
            }
            let asid = (self.reserved[core] & ASID_MASK) as usize;
            if self.reserved[core] != 0 {
                self.used[asid] = true;
            }
        }
        self.flush_pending.fill(true);
    }
}
