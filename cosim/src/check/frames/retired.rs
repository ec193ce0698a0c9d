// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a core still holds of ASIDs of an earlier generation. A rollover gives out every ASID anew, and
//! each core throws its TLB away before it runs one that it does not run now (MM-18). Until then nothing
//! meets what it holds of the others, and nobody can invalidate it by the ASID that its address space
//! has since.

use vmsa::{TlbiOp, VaRange};

use crate::check::registers::Registers;
use crate::check::tlb::Holding;
use crate::dut::ports::Op;
use crate::sim::event::{Event, EventKind};
use sw_mm::{Activity, Phase};

#[derive(Debug, Default)]
struct Core {
    registers: Registers,
    /// A generation began and this core did not throw its TLB away yet.
    owes: bool,
}

/// By core, whether it owes a flush.
#[derive(Debug, Default)]
pub struct Retired {
    asid8: bool,
    cores: Vec<Core>,
}

impl Retired {
    /// Of hardware with 8-bit ASIDs or not, whose cores have done nothing.
    #[must_use]
    pub fn new(asid8: bool) -> Self {
        Self {
            asid8,
            cores: Vec::new(),
        }
    }

    fn core(&mut self, core: u8) -> &mut Core {
        let index = usize::from(core);
        if self.cores.len() <= index {
            self.cores.resize_with(index + 1, Core::default);
        }
        &mut self.cores[index]
    }

    /// Follows registers, rollovers and flushes.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Os(told)
                if (told.activity, told.phase) == (Activity::AsidRollover, Phase::Begin) =>
            {
                self.cores.iter_mut().for_each(|core| core.owes = true);
            }
            EventKind::Issue { core, request } if matches!(request.op, Op::Msr(_) | Op::Isb) => {
                self.core(*core).registers.event(*core, event);
            }
            EventKind::Response { core, request, .. } => match request.op {
                Op::Isb => self.core(*core).registers.event(*core, event),
                Op::Tlbi(operation) if operation.op == TlbiOp::Vmalle1 => {
                    self.core(*core).owes = false;
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether nothing on its core meets `holding` before the core has thrown its TLB away.
    #[must_use]
    pub fn unreachable(&self, holding: &Holding<'_>) -> bool {
        let held = &holding.entry.held;
        let tagged = VaRange::of(held.va) == VaRange::Lower && !held.global;
        let core = self.cores.get(usize::from(holding.core));
        let state = core.filter(|core| core.owes);
        tagged && state.is_some_and(|core| !core.registers.may_be_asid(held.asid, self.asid8))
    }
}
