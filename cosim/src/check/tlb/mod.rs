// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLB contents: what may be filled, what a TLBI must remove, and that only live entries serve.

mod fill;
mod holding;
mod mirror;
mod named;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use vmsa::geometry::index;
use vmsa::{DsbTypes, Granule, VaRange};

pub use self::fill::run_bytes;
pub use self::holding::Holding;
pub use self::mirror::Entry;
use self::mirror::Mirror;
use super::operations::{Operation, Operations};
use super::registers::Registers;
use super::walks::{WalkRecord, Walks};
use super::{Violation, Violations, runs};
use crate::dut::ports::{
    CommitKind, CoreRequest, Invalidation, Op, Straps, TlbFill, TlbStructure, WalkKind,
};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "tlb contents";
const PAGE_MIN: u64 = 4096;
/// Effects remembered a core: walks and fills under way may have begun before.
const EFFECTS: usize = 64;
/// Own commits remembered a core: a store is answered some time after it is performed.
const COMMITS: usize = 32;
/// Cycles that the result of a lookup may take to show: what it found may be replaced meanwhile.
const LOOKUP: u64 = 64;

/// An access in flight.
#[derive(Debug)]
struct InFlight {
    /// The registers that program order gives it.
    registers: Rc<Registers>,
    /// Its place in program order.
    order: u64,
    /// The first cycle in which it may have looked up a TLB.
    since: u64,
}

/// An operation that took effect on a core.
type Effect = (u64, Rc<Operation>);

/// A SYNC that a core answered.
#[derive(Debug)]
struct Answer {
    source: u8,
    /// The broadcast operations of `source` with smaller numbers are over.
    before: u64,
    cycle: u64,
}

/// One core's side of the matter.
#[derive(Debug, Default)]
struct Core {
    in_flight: BTreeMap<u16, InFlight>,
    order: u64,
    /// Cycle of the answer to the last full DSB.
    synchronised: u64,
    /// ITLB, DTLB, second level, walk cache.
    structures: [Mirror; 4],
    effects: VecDeque<Effect>,
    /// For each operation still at work in the second level, what it must remove there.
    due_in_l2: VecDeque<(Rc<Operation>, u64)>,
    answers: VecDeque<Answer>,
    /// Cycle and word of the core's last commits.
    commits: VecDeque<(u64, u64)>,
}

/// Adds to a queue that keeps the last `limit`.
fn push<T>(queue: &mut VecDeque<T>, limit: usize, item: T) {
    if queue.len() == limit {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Mirrors every TLB and walk cache from their events.
#[derive(Debug)]
pub struct TlbMonitor {
    straps: Straps,
    cores: BTreeMap<u8, Core>,
    walks: Walks,
    operations: Operations,
}

impl TlbMonitor {
    /// A monitor of empty TLBs of hardware strapped so.
    #[must_use]
    pub fn new(straps: Straps) -> Self {
        Self {
            straps,
            cores: BTreeMap::new(),
            walks: Walks::default(),
            operations: Operations::default(),
        }
    }

    fn fill(&mut self, cycle: u64, number: u8, change: &TlbFill, out: &mut Violations) {
        let core = self.cores.entry(number).or_default();
        let sources = self.walks.sources(number, change);
        let asid8 = self.straps.asid8;
        let fits = |walk: &WalkRecord| {
            let table = change.structure == TlbStructure::WalkCache;
            let reach = fill::reach(Some(walk), change.level);
            let held = Entry::new(change, cycle, reach, table).held;
            fill::check(&self.straps, change, Some(walk)).is_ok()
                && fill::kept_past(walk, &held, core.effects.iter(), asid8).is_none()
        };
        let fitting = sources.iter().copied().find(|&walk| fits(walk));
        let source = fitting.or(sources.first().copied());
        let blame = |out: &mut Violations, requirements: &[&str], why: String| {
            let came = format!(
                "fill of {} entry {} with {:#018x} mask {:#018x} -> {:#014x}: {why}",
                name(change.structure),
                change.index,
                change.va,
                change.mask,
                change.pa
            );
            let mut violation = Violation::new(cycle, NAME, requirements, came)
                .on_core(number)
                .at_va(source.map_or(change.va, |walk| walk.va))
                .permitting("an entry that a live descriptor gives, or none");
            violation.walk = source.map(WalkRecord::lines).unwrap_or_default();
            out.push(violation);
        };
        let table = change.structure == TlbStructure::WalkCache;
        let mut reach = fill::reach(source, change.level);
        if change.from_l2 {
            match from_l2(core, change, cycle) {
                Ok(known) => reach = known,
                Err((requirements, why)) => blame(out, requirements, why),
            }
        } else if let Err((requirements, why)) = fill::check(&self.straps, change, source) {
            blame(out, requirements, why);
        }
        let entry = Entry::new(change, cycle, reach, table);
        if !change.from_l2
            && let Some(walk) = source
            && let Some((operation, at)) =
                fill::kept_past(walk, &entry.held, core.effects.iter(), self.straps.asid8)
        {
            let why = format!("read before {} took effect at cycle {at}", operation.tlbi);
            blame(out, &["TLBI-07", "WALK-30", "TLBI-01"], why);
        }
        let structure = &mut core.structures[change.structure as usize];
        let first = matches!(change.structure, TlbStructure::Itlb | TlbStructure::Dtlb);
        let keeps_overlaps = self.straps.conflict_abort;
        let goes = |old: &Entry| match table {
            true => old.held == entry.held,
            false => first && !keeps_overlaps || old.span() == entry.span(),
        };
        let due = structure.displace(change.index, &entry, cycle, goes, |old| {
            // A run and a page of it: software programmed the run wrong (13.4 point 3).
            if !table && old.is_run() != entry.is_run() && !old.agrees(&entry) {
                let came = format!("the {} holds {old} beside {entry}", name(change.structure));
                out.push(
                    Violation::new(cycle, runs::NAME, &["TLB-06"], came)
                        .on_core(number)
                        .at_va(change.va)
                        .permitting("a run and a page of it that translate alike"),
                );
            }
        });
        if first && u64::from(change.count) < due {
            let why = format!("{} of {due} overlapping entries removed", change.count);
            blame(out, &["TLB-11", "TLB-27"], why);
        }
        structure.fill(change.index, entry, cycle);
    }

    fn invalidated(&mut self, cycle: u64, number: u8, change: &Invalidation, out: &mut Violations) {
        let operation = self.operations.take_effect(number, change);
        let core = self.cores.entry(number).or_default();
        let Some(operation) = operation else {
            // The monitor of messages reports it. What it removed is unknown.
            core.structures.iter_mut().for_each(Mirror::doubt);
            return;
        };
        let asid8 = self.straps.asid8;
        let [itlb, dtlb, l2, tables] = &mut core
            .structures
            .each_mut()
            .map(|s| s.remove(&operation, cycle, asid8));
        let first = *itlb + *dtlb;
        let counts = [
            ("first-level", u64::from(change.l1_count), first),
            ("walk-cache", u64::from(change.wc_count), *tables),
        ];
        for (what, removed, due) in counts {
            too_few(cycle, number, &operation, what, removed, due, out);
        }
        if u64::from(change.l1_count) > first {
            core.structures[..2].iter_mut().for_each(Mirror::doubt);
        }
        if u64::from(change.wc_count) > *tables {
            core.structures[3].doubt();
        }
        core.due_in_l2.push_back((Rc::clone(&operation), *l2));
        push(&mut core.effects, EFFECTS, (cycle, operation));
    }

    fn l2_invalidated(&mut self, cycle: u64, number: u8, count: u16, out: &mut Violations) {
        let core = self.cores.entry(number).or_default();
        let Some((operation, due)) = core.due_in_l2.pop_front() else {
            return;
        };
        let count = u64::from(count);
        too_few(cycle, number, &operation, "second-level", count, due, out);
        if count > due {
            core.structures[TlbStructure::L2 as usize].doubt();
        }
    }

    /// A walk that begins below a table: a live entry must say so (TLB-23, BBM-09).
    fn begun(&mut self, cycle: u64, number: u8, slot: u8, out: &mut Violations) {
        let Some(walk) = self
            .walks
            .slot(number, slot)
            .filter(|walk| walk.cached_start)
        else {
            return;
        };
        let core = self.cores.entry(number).or_default();
        let range = VaRange::of(walk.va);
        let asid8 = self.straps.asid8;
        let leads = |entry: &Entry| {
            walk.registers.tcr().any(|tcr| {
                let granule = tcr.granule(range).unwrap_or(Granule::K4);
                let bits = 64 - u32::from(tcr.tsz(range)).clamp(16, 48);
                let level = entry.held.level + 1;
                let slot = entry.table() | index(granule, bits, level, walk.va) << 3;
                (level, slot) == walk.start
            })
        };
        let (mut removed, mut foreign, mut known) = (None, None, None);
        let cache = &core.structures[TlbStructure::WalkCache as usize];
        for entry in cache.serving(walk.va, cycle.saturating_sub(LOOKUP)) {
            if !leads(entry) {
                known = Some(entry);
            } else if !walk.registers.may_be_asid(entry.held.asid, asid8) {
                foreign = Some(entry);
            } else if entry.removed_by(cycle) {
                removed = Some(entry);
            } else {
                return;
            }
        }
        let (requirements, entry): (&[&str], _) = if removed.is_some() {
            (&["BBM-09", "TLBI-01", "TLBI-07"], removed)
        } else if foreign.is_some() {
            (&["TLB-23", "TLB-13"], foreign)
        } else {
            (&["WALK-20", "TLB-20"], known)
        };
        let (level, address) = walk.start;
        let what = entry.map_or("no cached table".to_owned(), |entry| {
            format!("the cached table {entry}")
        });
        out.push(
            Violation::new(
                cycle,
                NAME,
                requirements,
                format!("walk begins at L{level} [{address:#014x}] below {what}"),
            )
            .on_core(number)
            .at_va(walk.va)
            .permitting("a live walk-cache entry of the current ASID, or the start level"),
        );
    }

    fn issued(&mut self, cycle: u64, number: u8, request: &CoreRequest) {
        let core = self.cores.entry(number).or_default();
        core.order += 1;
        let registers = self.walks.registers(number).cloned().unwrap_or_default();
        core.in_flight.insert(
            request.id,
            InFlight {
                registers,
                order: core.order,
                since: cycle,
            },
        );
    }

    /// A barrier was answered: what comes after it in program order looks up from now on.
    fn synchronised(&mut self, cycle: u64, number: u8, request: &CoreRequest) {
        let core = self.cores.entry(number).or_default();
        let Some(barrier) = core.in_flight.remove(&request.id) else {
            return;
        };
        let since = match request.op {
            Op::Dsb(kind) if kind.types == DsbTypes::All => {
                core.synchronised = cycle;
                // vmsa.md 11.3: without ETS2 only a context synchronisation event binds.
                if self.straps.ets == 2 { cycle } else { 0 }
            }
            Op::Isb => core.synchronised,
            _ => return,
        };
        for access in core.in_flight.values_mut() {
            if access.order > barrier.order {
                access.since = access.since.max(since);
            }
        }
    }
}

/// The second-level entry that a first-level fill copies: bytes that its descriptor maps.
fn from_l2(core: &Core, change: &TlbFill, cycle: u64) -> Result<u64, fill::Broken> {
    let copy = Entry::new(change, cycle, 1, false);
    let l2 = &core.structures[TlbStructure::L2 as usize];
    let mut removed = None;
    for entry in l2.serving(change.va, cycle.saturating_sub(LOOKUP)) {
        let same = entry.translate(change.va) == change.pa
            && entry.held.global == change.global
            && (change.global || entry.held.asid == change.asid)
            && entry.held.level == change.level
            && entry.span() >= copy.span();
        if same && !entry.removed_by(cycle) {
            return Ok(entry.held.reach);
        }
        if same {
            removed = Some(entry);
        }
    }
    Err(match removed {
        Some(entry) => (
            &["TLBI-07", "WALK-30", "TLBI-01"],
            format!("from second-level entry {entry}"),
        ),
        None => (
            &["TLB-20"],
            "the second level holds no such entry".to_owned(),
        ),
    })
}

/// TLBI-01 by the number of entries that the hardware says it removed.
fn too_few(
    cycle: u64,
    core: u8,
    operation: &Operation,
    what: &str,
    removed: u64,
    due: u64,
    out: &mut Violations,
) {
    if removed < due {
        let came = format!("{} removed {removed} {what} entries", operation.tlbi);
        out.push(
            Violation::new(cycle, NAME, &["TLBI-01", "TLBI-06", "TLB-05"], came)
                .on_core(core)
                .permitting(format!("at least {due}, which it names")),
        );
    }
}

/// What reports call `structure`.
pub(super) fn name(structure: TlbStructure) -> &'static str {
    match structure {
        TlbStructure::Itlb => "ITLB",
        TlbStructure::Dtlb => "DTLB",
        TlbStructure::L2 => "L2 TLB",
        TlbStructure::WalkCache => "walk cache",
    }
}

impl Monitor for TlbMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        self.walks.event(event);
        match &event.kind {
            EventKind::Issue { core, request } => {
                self.operations.event(event, self.walks.registers(*core));
                self.issued(event.cycle, *core, request);
            }
            EventKind::Response { core, request, .. } => match request.op {
                Op::Dsb(_) | Op::Isb => self.synchronised(event.cycle, *core, request),
                _ => self.served(event, out),
            },
            EventKind::Fill { core, change } => self.fill(event.cycle, *core, change, out),
            EventKind::Invalidate { core, change } => {
                self.invalidated(event.cycle, *core, change, out);
            }
            EventKind::L2Invalidated { core, count } => {
                self.l2_invalidated(event.cycle, *core, *count, out);
            }
            EventKind::Walk { core, step } if step.kind == WalkKind::Begin => {
                self.begun(event.cycle, *core, step.slot, out);
            }
            EventKind::Dvm {
                core,
                event: message,
            } => {
                self.operations.event(event, None);
                if let Some(source) = message.answered {
                    let answer = Answer {
                        source,
                        before: self.operations.synced(source),
                        cycle: event.cycle,
                    };
                    let core = self.cores.entry(*core).or_default();
                    push(&mut core.answers, EFFECTS, answer);
                }
            }
            EventKind::Commit {
                source,
                kind: CommitKind::Store | CommitKind::Cas,
                address,
                ..
            } => {
                let core = self.cores.entry(*source).or_default();
                push(&mut core.commits, COMMITS, (event.cycle, *address));
            }
            _ => {}
        }
    }
}
