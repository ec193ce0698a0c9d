// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One thread of execution in the kernel: on which core, in which address space, with which locks.

use crate::event::{Activity, OsEvent, Phase};
use crate::kernel::Kernel;
use crate::lock::Held;
use crate::mm::AddressSpace;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A thread. It stays on its core; several threads of one core take turns at each `await`.
#[derive(Debug)]
pub struct Thread<C> {
    /// The kernel.
    pub kernel: Rc<Kernel>,
    /// Its core.
    pub cpu: C,
    /// Number of the core.
    pub core: u8,
    /// Locks that it holds.
    pub held: Rc<Held>,
    /// It frees memory, so that its own allocations may use the reserve.
    pub(crate) reclaiming: Cell<bool>,
    space: RefCell<Option<Rc<AddressSpace>>>,
}

impl<C> Thread<C> {
    /// A thread on core number `core` that runs in no address space yet.
    pub fn new(kernel: &Rc<Kernel>, cpu: C, core: u8) -> Self {
        Self {
            kernel: Rc::clone(kernel),
            cpu,
            core,
            held: Held::new(kernel.lock_violations()),
            reclaiming: Cell::new(false),
            space: RefCell::default(),
        }
    }

    /// The address space that user accesses of this thread go to.
    pub fn space(&self) -> Option<Rc<AddressSpace>> {
        self.space.borrow().clone()
    }

    /// Remembers the address space; [`crate::asid::switch_to`] makes it so.
    pub(crate) fn set_space(&self, space: Option<Rc<AddressSpace>>) {
        *self.space.borrow_mut() = space;
    }

    /// Tells the witness that `activity` begins; it ends when the value returned is dropped.
    #[must_use = "the activity ends when this is dropped"]
    pub fn span(&self, activity: Activity, space: u32, va: u64, bytes: u64) -> Span<'_> {
        let event = OsEvent {
            core: self.core,
            phase: Phase::Begin,
            activity,
            space,
            va,
            pa: 0,
            bytes,
        };
        self.kernel.tell(&event);
        Span {
            kernel: &self.kernel,
            event,
        }
    }
}

/// An activity under way.
#[derive(Debug)]
pub struct Span<'a> {
    kernel: &'a Kernel,
    event: OsEvent,
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        self.event.phase = Phase::End;
        self.kernel.tell(&self.event);
    }
}
