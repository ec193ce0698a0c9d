// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLB contents: what may be filled, what a TLBI must remove, and that only live entries serve.

mod fill;
mod mirror;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;

use vmsa::{El, Tlbi, TlbiScope};

use self::mirror::{Entry, Mirror};
use super::registers::Registers;
use super::walks::Walks;
use super::{Violation, Violations};
use crate::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, HitPlace, Op, Straps, TlbEvent, TlbKind,
};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
const NAME: &str = "tlb contents";
const PAGE_MIN: u64 = 4096;

/// One core's side of the matter.
#[derive(Debug, Default)]
struct Core {
    registers: Rc<Registers>,
    /// For each request in flight, the registers that program order gives it.
    at_issue: BTreeMap<u16, Rc<Registers>>,
    /// Data, then instruction side.
    sides: [Mirror; 2],
    /// Invalidations answered, whose DSB has not been issued yet.
    answered: Vec<(Tlbi, u64)>,
    /// Cycle of the DSB under way.
    dsb_issued_at: Option<u64>,
    /// Entries that operations since the last DSB must have removed, of those that were there.
    due: u64,
    /// Entries that the invalidation events since then removed.
    removed: u64,
}

/// Mirrors every first-level TLB from its events.
#[derive(Debug)]
pub struct TlbMonitor {
    straps: Straps,
    cores: BTreeMap<u8, Core>,
    walks: Walks,
}

impl TlbMonitor {
    /// A monitor of empty TLBs of hardware strapped so.
    #[must_use]
    pub fn new(straps: Straps) -> Self {
        Self {
            straps,
            cores: BTreeMap::new(),
            walks: Walks::default(),
        }
    }

    fn fill(&mut self, cycle: u64, number: u8, change: &TlbEvent, out: &mut Violations) {
        let core = self.cores.entry(number).or_default();
        let source = fill::source(&self.walks, number, change);
        let rules = fill::Rules {
            registers: &core.registers,
            straps: &self.straps,
        };
        if let Err((requirements, why)) = rules.check(change, source) {
            let came = format!(
                "fill of {} entry {} with {:#018x} mask {:#018x} -> {:#014x}: {why}",
                side_name(change.instruction),
                change.index,
                change.va,
                change.mask,
                change.pa
            );
            let mut violation = Violation::new(cycle, NAME, requirements, came)
                .on_core(number)
                .at_va(source.map_or(change.va, |walk| walk.va))
                .permitting("an entry that the walk's leaf descriptor gives, or none");
            violation.walk = source.map(|walk| walk.lines()).unwrap_or_default();
            out.push(violation);
        }
        let read_at = source
            .and_then(|walk| walk.last())
            .map_or(cycle, |read| read.cycle);
        let leaf_bytes = rules.leaf_bytes(change);
        let entry = Entry::new(change, cycle, read_at, leaf_bytes);
        // TLBI-07: what was read before an operation must not be kept after it.
        let stale = core.answered.iter().find(|(tlbi, issued_at)| {
            read_at < *issued_at && entry.named_by(tlbi, &core.registers, self.straps.asid8)
        });
        if let Some((tlbi, issued_at)) = stale {
            let came = format!(
                "fill of {:#018x} from a descriptor read at cycle {read_at}, before {tlbi} of cycle {issued_at}",
                change.va
            );
            out.push(
                Violation::new(cycle, NAME, &["TLBI-07", "TLBI-01"], came)
                    .on_core(number)
                    .at_va(change.va)
                    .permitting("the walk repeated after the operation"),
            );
        }
        core.sides[usize::from(change.instruction)].fill(change.index, entry, cycle);
    }

    fn tlbi_answered(&mut self, by: u8, tlbi: &Tlbi, issued_at: u64) {
        let asid8 = self.straps.asid8;
        let local = tlbi.scope == TlbiScope::Local;
        let registers = Rc::clone(&self.cores.entry(by).or_default().registers);
        for (number, core) in &mut self.cores {
            if local && *number != by {
                continue;
            }
            for side in &mut core.sides {
                let due = side.doom(issued_at, by, |entry| {
                    entry.named_by(tlbi, &registers, asid8)
                });
                if *number == by {
                    core.due += due;
                }
            }
        }
        if let Some(core) = self.cores.get_mut(&by) {
            core.answered.push((*tlbi, issued_at));
        }
    }

    fn dsb_answered(&mut self, cycle: u64, by: u8, out: &mut Violations) {
        let Some(core) = self.cores.get_mut(&by) else {
            return;
        };
        let Some(issued_at) = core.dsb_issued_at.take() else {
            return;
        };
        if core.removed < core.due {
            let came = format!("{} entries removed since the last DSB", core.removed);
            let names: Vec<String> = core
                .answered
                .iter()
                .map(|(tlbi, _)| tlbi.to_string())
                .collect();
            out.push(
                Violation::new(cycle, NAME, &["TLBI-01"], came)
                    .on_core(by)
                    .permitting(format!(
                        "at least {}, named by {}",
                        core.due,
                        names.join(", ")
                    )),
            );
        }
        (core.due, core.removed) = (0, 0);
        core.answered.clear();
        for (number, core) in &mut self.cores {
            // vmsa.md 13.2: by program order on the issuing core, by completion elsewhere.
            let from = if *number == by { issued_at } else { cycle };
            core.sides.iter_mut().for_each(|side| side.bury(by, from));
        }
    }

    fn served(
        &mut self,
        event: &Event,
        number: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        issued_at: u64,
        out: &mut Violations,
    ) {
        let core = self.cores.entry(number).or_default();
        // Later register writes may have been answered first, and do not concern this access.
        let registers = core
            .at_issue
            .remove(&request.id)
            .unwrap_or_else(|| Rc::clone(&core.registers));
        let last = request.va.wrapping_add((1 << request.size) - 1);
        if response.place != HitPlace::L1 || request.va / PAGE_MIN != last / PAGE_MIN {
            return;
        }
        let mut blame = |requirements: &[&str], came: String| {
            out.push(
                Violation::new(event.cycle, NAME, requirements, came)
                    .on_core(number)
                    .at_va(request.va)
                    .permitting("a live entry that matches, or a walk"),
            );
        };
        if !registers.may_translate() {
            blame(
                &["VMSA-01"],
                format!("{request} was served by the TLB with SCTLR_EL1.M = 0"),
            );
            return;
        }
        let instruction = request.op == Op::Fetch;
        let mirror = &core.sides[usize::from(instruction)];
        let current =
            |entry: &Entry| entry.global || registers.may_be_asid(entry.asid, self.straps.asid8);
        let mut dead = None;
        let mut foreign = None;
        let mut other_address = None;
        for entry in mirror.serving(request.va, issued_at) {
            if !current(entry) {
                foreign = Some(entry);
            } else if entry.dead_for(issued_at) {
                dead = Some(entry);
            } else if response.fault.is_none() && entry.translate(request.va) != response.pa {
                other_address = Some(entry);
            } else {
                return;
            }
        }
        let side = side_name(instruction);
        if let Some(entry) = other_address {
            let (pa, expected) = (response.pa, entry.translate(request.va));
            blame(
                &["TLB-02"],
                format!("{side} entry {entry} gave {pa:#014x} instead of {expected:#014x}"),
            );
        } else if let Some(entry) = dead {
            let requirements: &[&str] = if entry.is_run() {
                &["TLBI-01", "TLB-05"]
            } else {
                &["TLBI-01"]
            };
            blame(
                requirements,
                format!(
                    "{request} was served by {side} entry {entry}, which a completed TLBI removed"
                ),
            );
        } else if let Some(entry) = foreign {
            blame(
                &["TLB-21", "TLB-13"],
                format!("{request} was served by {side} entry {entry} of another ASID"),
            );
        } else {
            blame(
                &["TLB-20"],
                format!("{request} was served by the {side}, which holds no entry for it"),
            );
        }
    }
}

fn side_name(instruction: bool) -> &'static str {
    if instruction { "ITLB" } else { "DTLB" }
}

impl Monitor for TlbMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        self.walks.event(event);
        match &event.kind {
            EventKind::Issue {
                core: number,
                request,
            } => {
                let core = self.cores.entry(*number).or_default();
                if matches!(request.op, Op::Msr(_) | Op::Isb) {
                    Rc::make_mut(&mut core.registers).event(*number, event);
                }
                if request.op.translates() {
                    core.at_issue.insert(request.id, Rc::clone(&core.registers));
                }
                if request.op == Op::Dsb {
                    core.dsb_issued_at = Some(event.cycle);
                }
            }
            EventKind::Response {
                core: number,
                request,
                issued_at,
                response,
            } => {
                if request.op == Op::Isb {
                    let core = self.cores.entry(*number).or_default();
                    Rc::make_mut(&mut core.registers).event(*number, event);
                }
                match &request.op {
                    // TLBI-14: an operation that arrives with EL0 attributes does nothing.
                    Op::Tlbi(tlbi) if request.el == El::El1 && !response.undef => {
                        self.tlbi_answered(*number, tlbi, *issued_at);
                    }
                    Op::Dsb => self.dsb_answered(event.cycle, *number, out),
                    op if op.translates() => {
                        self.served(event, *number, request, response, *issued_at, out);
                    }
                    _ => {}
                }
            }
            EventKind::Tlb { core, change } if change.kind == TlbKind::Fill => {
                self.fill(event.cycle, *core, change, out);
            }
            EventKind::Tlb { core, change } => {
                self.cores.entry(*core).or_default().removed += u64::from(change.count);
            }
            EventKind::Commit {
                source,
                kind: CommitKind::Update,
                address,
                after,
                ..
            } => {
                let registers = &self.cores.entry(*source).or_default().registers;
                if let Some(value) = registers.byte_orders(*after).last() {
                    self.walks.updated(*source, *address, value.into());
                }
            }
            _ => {}
        }
        let _ = memory;
    }
}
