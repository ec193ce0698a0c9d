// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The collector: a monitor that counts, for each event, the bins that it reaches. It judges nothing.
//! Each file of this folder named after what happens samples that part of the events.

use rustc_hash::FxHashMap;
use vmsa::{DsbTypes, El, Granule, SysReg, TlbiScope, VaRange};

use super::axis;
use super::group::{GroupId, Hits};
use super::state::{Core, Operation, Regs};
use crate::check::Violations;
use crate::dut::ports::{CoreRequest, Op, Straps};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// A page of memory from which a walk read descriptors.
#[derive(Debug, Clone, Copy)]
pub(super) struct TablePage {
    pub(super) granule: Granule,
    pub(super) level: u8,
    /// Whether its words are read in the other byte order.
    pub(super) swapped: bool,
}

/// Counts the bins that the simulations of a run reach.
#[derive(Debug, Default)]
pub struct Collector {
    pub(super) straps: Straps,
    pub(super) hits: Hits,
    pub(super) cores: Vec<Core>,
    /// By address of the page, in 4 KiB.
    pub(super) tables: FxHashMap<u64, TablePage>,
    /// The table base that each ASID was last used with, by half.
    bases: FxHashMap<(usize, u16), u64>,
}

impl Collector {
    /// Begins a simulation of `cores` cores strapped so; the counts go on.
    pub fn begin(&mut self, straps: Straps, cores: u8) {
        self.straps = straps;
        self.cores.clear();
        self.cores.resize_with(usize::from(cores), Core::default);
        self.tables.clear();
        self.bases.clear();
    }

    /// What was counted so far.
    #[must_use]
    pub fn hits(&self) -> &Hits {
        &self.hits
    }

    pub(super) fn hit(&mut self, group: GroupId, at: &[usize]) {
        self.hits.hit(group, at);
    }

    pub(super) fn core(&mut self, core: u8) -> &mut Core {
        let index = usize::from(core);
        if self.cores.len() <= index {
            self.cores.resize_with(index + 1, Core::default);
        }
        &mut self.cores[index]
    }

    fn issued(&mut self, number: u8, request: &CoreRequest) {
        let core = self.core(number);
        let (regs, syncs) = (core.program, core.syncs);
        let flight = core.flight(request.id);
        *flight = super::state::Flight {
            regs,
            writes: matches!(request.op, Op::Store | Op::Cas),
            syncs,
            ..Default::default()
        };
        match request.op {
            Op::Msr(register) => {
                self.barrier(number, 4);
                self.switched(number, register, request.data);
                self.core(number).program.write(register, request.data);
            }
            Op::Isb => self.barrier(number, 3),
            Op::Dsb(kind) => {
                self.barrier(
                    number,
                    match kind.types {
                        DsbTypes::All => 0,
                        DsbTypes::Loads => 1,
                        DsbTypes::Stores => 2,
                    },
                );
                let uncompleted = self.core(number).uncompleted;
                let widest = uncompleted.iter().rposition(|&waits| waits);
                if let Some(dsb) = axis::dsb(kind) {
                    self.hit(
                        GroupId::Barrier,
                        &[dsb, widest.map_or(0, |scope| scope + 1)],
                    );
                }
                let scopes = [
                    TlbiScope::Local,
                    TlbiScope::InnerShareable,
                    TlbiScope::OuterShareable,
                ];
                let waits = &mut self.core(number).uncompleted;
                for (waits, scope) in waits.iter_mut().zip(scopes) {
                    *waits &= !kind.completes_tlbi(scope);
                }
            }
            Op::Tlbi(tlbi) => {
                let local = tlbi.scope == TlbiScope::Local;
                self.barrier(number, if local { 5 } else { 6 });
                self.range_form(&tlbi, &regs);
                // TLBI-14, TLBI-09: with EL0 attributes or without a granule it does nothing.
                let nothing = tlbi.range().is_some_and(|range| range.granule.is_none());
                if request.el != El::El1 || nothing {
                    return;
                }
                let operation = Operation {
                    tlbi,
                    asid_mask: regs.asid_mask(self.straps.asid8),
                    sent: 0,
                    effects: 0,
                    first: 0,
                };
                let core = self.core(number);
                core.uncompleted[tlbi.scope as usize] = true;
                if local {
                    core.local.push_back(operation);
                } else {
                    core.broadcast(operation);
                }
            }
            _ => {}
        }
    }

    /// A synchronising operation: its place on the axis, and the walks that it meets.
    fn barrier(&mut self, number: u8, operation: usize) {
        let core = self.core(number);
        let walks = match core.open_walks().map(|walk| walk.prefetch).min() {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        self.hit(GroupId::BarrierWalk, &[operation, walks]);
    }

    /// A write of a register, which may be a context switch.
    fn switched(&mut self, number: u8, register: SysReg, value: u64) {
        let half = match register {
            SysReg::Ttbr0 => 0,
            SysReg::Ttbr1 => 1,
            _ => return,
        };
        let asid8 = self.straps.asid8;
        let core = self.core(number);
        let before = core.program;
        let mut after: Regs = before;
        after.write(register, value);
        let asid = |regs: &Regs| regs.ttbr[half].asid() & regs.asid_mask(asid8);
        let base = after.ttbr[half].base();
        let new_asid = asid(&after) != asid(&before);
        let new_base = base != before.ttbr[half].base();
        let incoming = asid(&after);
        let there = core.holds_asid(incoming);
        let change = usize::from(new_asid) + 2 * usize::from(new_base);
        self.hit(GroupId::Switch, &[half, change, usize::from(there)]);
        let known = self.bases.insert((half, incoming), base);
        if known.is_some_and(|known| known != base) {
            let left = |place: &usize| self.cores[*place].holds_asid(incoming);
            let here = usize::from(number);
            let elsewhere = (0..self.cores.len()).filter(|&place| place != here);
            let left = match (there, elsewhere.into_iter().any(|place| left(&place))) {
                (true, _) => 1,
                (false, true) => 2,
                (false, false) => 0,
            };
            self.hit(GroupId::Reuse, &[left]);
        }
    }

    /// Place of an address on the axis of halves.
    pub(super) fn half(va: u64) -> usize {
        axis::half(VaRange::of(va))
    }
}

impl Monitor for Collector {
    fn name(&self) -> &'static str {
        "coverage"
    }

    fn event(&mut self, event: &Event, _memory: &Memory, _out: &mut Violations) {
        match &event.kind {
            EventKind::Issue { core, request } => self.issued(*core, request),
            EventKind::Response {
                core,
                request,
                response,
                ..
            } => self.answered(*core, request, response),
            EventKind::Walk { core, step } => self.walk(*core, step),
            EventKind::Fill { core, change } => self.filled(*core, change),
            EventKind::Invalidate { core, change } => self.invalidated(event.cycle, *core, change),
            EventKind::L2Invalidated { core, count } => self.l2_invalidated(*core, *count),
            EventKind::Dvm {
                core,
                event: message,
            } => self.message(event.cycle, *core, message),
            EventKind::Commit {
                source,
                kind,
                address,
                before,
                after,
                ..
            } => self.committed(*source, *kind, *address, *before, *after),
            _ => {}
        }
    }

    fn finish(&mut self, _cycle: u64, _memory: &Memory, _out: &mut Violations) {
        self.settle_cancelled();
    }
}
