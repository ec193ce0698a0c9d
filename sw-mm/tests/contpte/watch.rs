// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A witness that holds I1 to I5 against the machine at every event that could break them.

use crate::kernel::{Setup, boot_with};
use std::cell::{OnceCell, RefCell};
use std::rc::{Rc, Weak};
use sw_mm::Witness;
use sw_mm::contpte::check::{self, Broken};
use sw_mm::event::{Activity, OsEvent, Phase};
use sw_mm::functional::Machine;
use sw_mm::kernel::{Kernel, KernelConfig};

#[derive(Default)]
pub struct Watch {
    machine: OnceCell<Machine>,
    kernel: OnceCell<Weak<Kernel>>,
    cores: usize,
    /// Activities under way, by core.
    under_way: RefCell<Vec<(u8, Activity)>>,
    broken: RefCell<Vec<Broken>>,
    /// Times that the TLBs were looked at for I4, and for I5.
    looked: RefCell<(u64, u64)>,
}

#[allow(dead_code, reason = "not every test binary uses every part")]
impl Watch {
    /// Fails if an invariant was broken.
    pub fn judge(&self) {
        self.quiet();
        let broken = self.broken.borrow();
        assert!(broken.is_empty(), "{}", broken[0]);
    }

    /// What was broken since the last time.
    pub fn take(&self) -> Vec<Broken> {
        self.broken.take()
    }

    /// Times that I4 and I5 were judged.
    pub fn looked(&self) -> (u64, u64) {
        *self.looked.borrow()
    }

    /// Judges what has to hold at all times.
    pub fn quiet(&self) {
        let (Some(machine), Some(kernel)) = (self.machine.get(), self.kernel()) else {
            return;
        };
        let mut broken = self.broken.borrow_mut();
        broken.extend(check::tables(&kernel, |pa| machine.newest(pa)));
        let bbm2 = kernel.config().contpte.bbm2_noabort;
        for core in 0..self.cores {
            broken.extend(check::tlb(&machine.cached_leaves(core), bbm2));
        }
    }

    fn kernel(&self) -> Option<Rc<Kernel>> {
        self.kernel.get()?.upgrade()
    }

    /// A flush in the midst of a conversion is over: nobody holds the block.
    fn converted(&self, event: &OsEvent) {
        let (Some(machine), Some(kernel)) = (self.machine.get(), self.kernel()) else {
            return;
        };
        let Some(space) = kernel.space(event.space) else {
            return;
        };
        self.looked.borrow_mut().0 += 1;
        for core in 0..self.cores {
            let leaves = machine.cached_leaves(core);
            let asid = space.context.asid();
            let held = check::cleared_block(&leaves, asid, event.va, event.bytes);
            self.broken.borrow_mut().extend(held);
        }
    }
}

impl Witness for Watch {
    fn os(&self, event: &OsEvent) {
        let here = |&(core, _): &(u8, Activity)| core == event.core;
        match event.phase {
            Phase::Begin => {
                let mut under_way = self.under_way.borrow_mut();
                under_way.push((event.core, event.activity));
            }
            Phase::End => {
                let mut under_way = self.under_way.borrow_mut();
                if let Some(place) = under_way.iter().rposition(&here) {
                    under_way.remove(place);
                }
                let around = under_way.iter().rfind(|w| here(w)).map(|&(_, what)| what);
                drop(under_way);
                let conversion = matches!(around, Some(Activity::Fold | Activity::Unfold));
                if event.activity == Activity::Flush && conversion {
                    self.converted(event);
                }
                if event.activity != Activity::Flush {
                    self.quiet();
                }
            }
            Phase::Instant if event.activity == Activity::FrameFreed => {
                if let Some(machine) = self.machine.get() {
                    self.looked.borrow_mut().1 += 1;
                    let held = machine.translations_to(event.pa, event.bytes);
                    self.broken.borrow_mut().extend(check::freed(&held));
                }
            }
            Phase::Instant => {}
        }
    }
}

/// A kernel that is watched.
#[allow(dead_code, reason = "not every test binary takes it")]
pub fn boot_watched(config: KernelConfig) -> (Setup, Rc<Watch>) {
    let watch = Rc::new(Watch {
        cores: config.core_nodes.len(),
        ..Watch::default()
    });
    let witness: Rc<dyn Witness> = watch.clone();
    let setup = boot_with(config, witness);
    let _ = watch.machine.set(setup.machine.clone());
    let _ = watch.kernel.set(Rc::downgrade(&setup.kernel));
    (setup, watch)
}
