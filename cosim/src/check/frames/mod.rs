// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Frames: no core reaches memory that the kernel gave back (MM-02, MM-05, MM-06, G1).
//!
//! When a frame is given back, and when it is handed out, no TLB may hold a translation of the lower VA
//! range to it, and no walk cache the address of a table in it. While it is free none may be filled, no
//! walk may read a descriptor there, and no access that was made after the frame was given back may
//! reach it. The upper range is the kernel's, whose linear map reaches every frame at any time.
//!
//! After a rollover of the ASIDs a core may go on holding what it had under one that it does not run: it
//! meets it no more (`retired`).
//!
//! What the cores hold is what the checker of TLB contents says, which sees each event first. Nothing
//! happens here before the first event about a frame.

mod free;
mod retired;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use sw_mm::{Activity, OsEvent, Phase};
use vmsa::VaRange;

use self::free::{FreeFrames, Freed, frame};
use self::retired::Retired;
use super::tlb::{self, Holding, TlbMonitor};
use super::{Violation, Violations};
use crate::dut::ports::{
    CoreRequest, CoreResponse, HitPlace, Op, TlbFill, TlbStructure, WalkEvent, WalkKind,
};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "frames";
/// What a kernel has to do before it gives a frame back.
const ORDER: &str = "no way to it: its descriptors invalid, then DSB ISHST, a TLBI for each of its VAs on every \
                     core, not of leaf entries only if it is a table, and DSB ISH";

/// Holds the allocator of the kernel against what the cores hold.
#[derive(Debug)]
pub struct FramesMonitor {
    tlb: Rc<RefCell<TlbMonitor>>,
    free: FreeFrames,
    retired: Retired,
}

impl FramesMonitor {
    /// A monitor that knows what cores hold from `tlb`, which shall see each event before it does;
    /// `asid8` is hardware with 8-bit ASIDs.
    #[must_use]
    pub fn new(tlb: Rc<RefCell<TlbMonitor>>, asid8: bool) -> Self {
        Self {
            tlb,
            free: FreeFrames::default(),
            retired: Retired::new(asid8),
        }
    }

    /// The kernel hands a frame out, or takes it back.
    fn moved(&mut self, cycle: u64, event: &OsEvent, out: &mut Violations) {
        let memory = frame(event);
        match event.activity {
            Activity::FrameFreed => {
                self.held(cycle, event, &memory, out);
                let event = *event;
                self.free.give(Freed { event, cycle });
            }
            Activity::FrameAllocated => {
                self.held(cycle, event, &memory, out);
                self.free.take(&memory);
            }
            _ => {}
        }
    }

    /// Reports what the cores hold that leads to `memory`.
    fn held(&self, cycle: u64, event: &OsEvent, memory: &Range<u64>, out: &mut Violations) {
        let freed = event.activity == Activity::FrameFreed;
        let tlb = self.tlb.borrow();
        for table in [false, true] {
            let leads = |held: &Holding<'_>| {
                held.entry.held.table == table
                    && (table || VaRange::of(held.entry.held.va) == VaRange::Lower)
                    && overlap(&held.entry.target(), memory)
                    && !self.retired.unreachable(held)
            };
            let mut holding = tlb.holdings().filter(leads);
            let Some(first) = holding.next() else {
                continue;
            };
            let requirements: &[&str] = match (freed, table) {
                (true, false) => &["MM-06", "G1"],
                (true, true) => &["MM-05", "G1"],
                (false, false) => &["MM-02", "G1"],
                (false, true) => &["MM-02", "MM-05", "G1"],
            };
            let (core, what) = (event.core, if freed { "gave back" } else { "handed out" });
            let (place, entry) = (tlb::name(first.structure), first.entry);
            let mut came = format!(
                "core {core} {what} {} while the {place} of core {} holds {entry}",
                told(memory),
                first.core
            );
            let others = holding.count();
            if others > 0 {
                came += &format!(", and {others} more entries lead there");
            }
            if let Some(freed) = self.free.within(memory).filter(|_| !freed) {
                came += &format!("; {freed}");
            }
            out.push(
                Violation::new(cycle, NAME, requirements, came)
                    .on_core(first.core)
                    .at_va(entry.held.va)
                    .permitting(ORDER),
            );
        }
    }

    fn filled(&self, cycle: u64, core: u8, change: &TlbFill, out: &mut Violations) {
        let table = change.structure == TlbStructure::WalkCache;
        if !table && VaRange::of(change.va) == VaRange::Upper {
            return;
        }
        let entry = tlb::Entry::new(change, cycle, 1, table);
        let Some(freed) = self.free.within(&entry.target()) else {
            return;
        };
        let requirements: &[&str] = match table {
            true => &["MM-05", "G1"],
            false => &["MM-06", "G1"],
        };
        let place = tlb::name(change.structure);
        let what = format!("the {place} of core {core} was filled with {entry}");
        out.push(
            reached(cycle, requirements, &what, freed)
                .on_core(core)
                .at_va(change.va),
        );
    }

    fn walked(&self, cycle: u64, core: u8, step: &WalkEvent, out: &mut Violations) {
        // What a cancelled walk still reads is used for nothing.
        if step.kind != WalkKind::Step || step.discarded {
            return;
        }
        let Some(freed) = self.free.within(&(step.address..step.address + 8)) else {
            return;
        };
        let (level, address) = (step.level, step.address);
        let what =
            format!("a walk of core {core} read its level {level} descriptor [{address:#014x}]");
        out.push(
            reached(cycle, &["MM-05", "G1"], &what, freed)
                .on_core(core)
                .at_va(step.va)
                .of_descriptor(address),
        );
    }

    fn answered(
        &self,
        cycle: u64,
        (core, request, issued_at): (u8, &CoreRequest, u64),
        response: &CoreResponse,
        out: &mut Violations,
    ) {
        let accesses = matches!(request.op, Op::Load | Op::Store | Op::Cas | Op::Fetch);
        let translated = response.fault.is_none() && response.place != HitPlace::None;
        if !accesses || !translated || VaRange::of(request.va) == VaRange::Upper {
            return;
        }
        let freed = self.free.within(&(response.pa..response.pa + 1));
        // An access under way may have had its translation before; the TLB that gave it is judged.
        let Some(freed) = freed.filter(|freed| freed.cycle < issued_at) else {
            return;
        };
        let what = format!(
            "{request}, of cycle {issued_at}, reached {:#014x}",
            response.pa
        );
        out.push(
            reached(cycle, &["G1"], &what, freed)
                .on_core(core)
                .at_va(request.va),
        );
    }
}

/// The violation that `what` happened to memory that is free.
fn reached(cycle: u64, requirements: &[&str], what: &str, freed: &Freed) -> Violation {
    let came = format!(
        "{what} in {}, which is free: {freed}",
        told(&frame(&freed.event))
    );
    Violation::new(cycle, NAME, requirements, came).permitting(ORDER)
}

fn told(memory: &Range<u64>) -> String {
    let bytes = memory.end - memory.start;
    format!("frame {:#014x} +{bytes:#x}", memory.start)
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Monitor for FramesMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        let cycle = event.cycle;
        self.retired.event(event);
        if let EventKind::Os(told) = &event.kind {
            if told.phase == Phase::Instant {
                self.moved(cycle, told, out);
            }
            return;
        }
        if self.free.is_empty() {
            return;
        }
        match &event.kind {
            EventKind::Fill { core, change } => self.filled(cycle, *core, change, out),
            EventKind::Walk { core, step } => self.walked(cycle, *core, step, out),
            EventKind::Response {
                core,
                request,
                issued_at,
                response,
            } => self.answered(cycle, (*core, request, *issued_at), response, out),
            _ => {}
        }
    }
}
