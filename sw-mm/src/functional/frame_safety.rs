// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Frame safety: when a frame comes or goes, no core can still reach it (MM-02, MM-05, MM-06).
//!
//! After a rollover of ASIDs a core keeps what it cached under those of the old generation until it
//! next switches, and then throws its TLB away (MM-18). The only ASID that it can use until then is the
//! one that it runs, so entries of others reach nothing.

use super::Machine;
use super::query::Cached;
use crate::asid::AsidAllocator;
use crate::event::{Activity, OsEvent, Witness};
use crate::kernel::Kernel;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

/// A frame was handed out or given back while a core could still reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsafeFrame {
    /// [`Activity::FrameAllocated`] or [`Activity::FrameFreed`].
    pub activity: Activity,
    /// Core that did it.
    pub core: u8,
    /// First byte of the frames.
    pub pa: u64,
    /// How many bytes.
    pub bytes: u64,
    /// An entry through which they can be reached.
    pub cached: Cached,
}

impl fmt::Display for UnsafeFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            activity,
            core,
            pa,
            bytes,
            cached,
        } = self;
        write!(
            f,
            "{} by core {core}: {bytes:#x} bytes at {pa:#x}, which core {} still reaches: {:?} at level {} for \
             {:#x} under ASID {}{} (MM-02, MM-05, MM-06)",
            activity.name(),
            cached.core,
            cached.target,
            cached.level,
            cached.va,
            cached.asid,
            if cached.doomed {
                ", its invalidation not completed"
            } else {
                ""
            },
        )
    }
}

/// A witness that asks the machine about each frame that comes or goes, and passes on what it hears.
pub struct FrameSafety {
    machine: Machine,
    next: Rc<dyn Witness>,
    kernel: RefCell<Weak<Kernel>>,
    frames: Cell<u64>,
    violations: RefCell<Vec<UnsafeFrame>>,
}

/// Whether an entry is of an ASID that its core cannot use before it throws its TLB away.
pub fn out_of_use(kernel: &Kernel, cached: &Cached) -> bool {
    let running = kernel.asids.active().get(cached.core).copied();
    kernel.asids.flush_pending(cached.core)
        && !cached.global
        && running.map(AsidAllocator::asid_of) != Some(cached.asid)
}

impl FrameSafety {
    /// A witness of a kernel on `machine`.
    pub fn new(machine: &Machine, next: Rc<dyn Witness>) -> Rc<Self> {
        Rc::new(Self {
            machine: machine.clone(),
            next,
            kernel: RefCell::default(),
            frames: Cell::new(0),
            violations: RefCell::default(),
        })
    }

    /// The kernel that this is the witness of: which ASIDs are in use.
    pub fn of(&self, kernel: &Rc<Kernel>) {
        *self.kernel.borrow_mut() = Rc::downgrade(kernel);
    }

    /// Events of frames seen so far.
    pub fn frames(&self) -> u64 {
        self.frames.get()
    }

    /// Frames that were not safe, so far.
    pub fn violations(&self) -> Vec<UnsafeFrame> {
        self.violations.borrow().clone()
    }
}

impl fmt::Debug for FrameSafety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSafety")
            .field("frames", &self.frames)
            .field("violations", &self.violations)
            .finish_non_exhaustive()
    }
}

impl Witness for FrameSafety {
    fn os(&self, event: &OsEvent) {
        if matches!(
            event.activity,
            Activity::FrameAllocated | Activity::FrameFreed
        ) {
            self.frames.set(self.frames.get() + 1);
            let kernel = self.kernel.borrow().upgrade();
            let reached = self.machine.translations_to(event.pa, event.bytes);
            let mut reached = reached.into_iter().filter(|cached| {
                let kernel = kernel.as_ref();
                !kernel.is_some_and(|kernel| out_of_use(kernel, cached))
            });
            if let Some(cached) = reached.next() {
                self.violations.borrow_mut().push(UnsafeFrame {
                    activity: event.activity,
                    core: event.core,
                    pa: event.pa,
                    bytes: event.bytes,
                    cached,
                });
            }
        }
        self.next.os(event);
    }
}
