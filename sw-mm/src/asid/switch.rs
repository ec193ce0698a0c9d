// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The context switch (section 15).

use crate::cpu::Cpu;
use crate::event::Activity;
use crate::mm::AddressSpace;
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::{DsbKind, SysReg, Ttbr};

impl<C: Cpu> Thread<C> {
    /// Runs `space` on this core from now on. The barrier first completes what this core still has under
    /// way of invalidations (MM-21).
    pub async fn switch_to(&self, space: &Rc<AddressSpace>) {
        let _span = self.span(Activity::Switch, space.number(), 0, 0);
        self.cpu.dsb(DsbKind::ISH).await;
        let core = usize::from(self.core);
        let assigned = self.kernel.asids.assign(core, &space.context);
        if assigned.rollover {
            self.kernel.counters.rollovers.increment();
            drop(self.span(Activity::AsidRollover, space.number(), 0, 0));
        }
        if assigned.flush {
            self.flush_local_all().await;
        }
        self.kernel.counters.switches.increment();
        space.cores.set(space.cores.get() | 1 << self.core);
        self.set_space(Some(Rc::clone(space)));
        let ttbr = Ttbr::new(assigned.asid, space.root.pa);
        self.cpu.write_sysreg(SysReg::Ttbr0, ttbr.0).await;
        self.cpu.isb().await;
    }

    /// Runs no address space any more: an empty table under ASID 0, which is nobody's.
    pub async fn leave(&self) {
        self.cpu.dsb(DsbKind::ISH).await;
        self.set_space(None);
        // The zero page is a table without entries.
        let empty = self.kernel.pa(self.kernel.zero_page());
        let ttbr = Ttbr::new(0, empty);
        self.cpu.write_sysreg(SysReg::Ttbr0, ttbr.0).await;
        self.cpu.isb().await;
    }
}
