// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The table walks under way and those just ended, put together from walk events.

use std::collections::VecDeque;
use std::rc::Rc;

use vmsa::{Descriptor, FaultKind, Fsc};

use super::registers::Registers;
use crate::dut::ports::{CommitKind, Invalidation, Op, TlbFill, TlbStructure, WalkEvent, WalkKind};
use crate::sim::event::{Event, EventKind};

/// Concurrent walks that a slot number can name.
const SLOTS: usize = 4;
/// Ended walks remembered a core: the second level takes the fill of a walk only when the invalidation
/// at work in it is over, and walks go on meanwhile.
const REMEMBERED: usize = 64;
/// VA bits that an entry may compare.
const VA_BITS: u64 = (1 << 56) - (1 << 12);

/// One descriptor read of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Cycle of the event.
    pub cycle: u64,
    /// Level of the descriptor.
    pub level: u8,
    /// Its physical address.
    pub address: u64,
    /// Its value as decoded.
    pub value: Descriptor,
    /// Whether the value came with the answer to a hardware update.
    pub by_swap: bool,
    /// Whether memory answered with an error, so that there is no value.
    pub error: bool,
}

/// One walk.
#[derive(Debug, Clone)]
pub struct WalkRecord {
    /// The registers that could be in force when it began.
    pub registers: Rc<Registers>,
    /// Which of the core's concurrent walks.
    pub slot: u8,
    /// Id of the request that walks, or that triggered the prefetch.
    pub id: u16,
    /// Address translated.
    pub va: u64,
    /// Whether it serves a fetch.
    pub instruction: bool,
    /// Whether no access asked for it.
    pub prefetch: bool,
    /// Level and address of the first descriptor, as its begin told.
    pub start: (u8, u64),
    /// Whether it begins below a table that a walk cache holds.
    pub cached_start: bool,
    /// Cycle of its first event.
    pub begun: u64,
    /// Cycle of its end.
    pub ended_at: u64,
    /// Descriptors read so far.
    pub reads: Vec<Read>,
    /// Descriptor and value, as decoded, that the walk's own update last put in memory.
    pub updated: Option<(u64, Descriptor)>,
    /// A commit of this core that its swap may have made: address and value, as decoded.
    committed: Option<(u64, Descriptor)>,
    /// Whether it ended.
    pub ended: bool,
    /// Whether an invalidation cancelled it, and in which cycle.
    pub cancelled: Option<u64>,
    /// Fault with which it ended.
    pub fault: Option<Fsc>,
    /// Whether its result serves an access that joined it.
    pub merged: bool,
}

impl WalkRecord {
    /// The walk that `step` begins, or the first trace of one whose begin was not seen.
    fn new(cycle: u64, step: &WalkEvent, registers: &Rc<Registers>) -> Self {
        Self {
            registers: Rc::clone(registers),
            slot: step.slot,
            id: step.id,
            va: step.va,
            instruction: step.instruction,
            prefetch: step.prefetch,
            start: (step.level, step.address),
            cached_start: step.cached_start,
            begun: cycle,
            ended_at: u64::MAX,
            reads: Vec::new(),
            updated: None,
            committed: None,
            ended: false,
            cancelled: None,
            fault: None,
            merged: false,
        }
    }

    /// The last descriptor read.
    #[must_use]
    pub fn last(&self) -> Option<&Read> {
        self.reads.last()
    }

    /// The last value known of the descriptor at `address`, own update included.
    #[must_use]
    pub fn value_at(&self, address: u64) -> Option<Descriptor> {
        if let Some((updated, value)) = self.updated
            && updated == address
        {
            return Some(value);
        }
        self.read_at(address)
    }

    /// The value that the walk last read at `address`.
    #[must_use]
    pub fn read_at(&self, address: u64) -> Option<Descriptor> {
        self.reads
            .iter()
            .rev()
            .find(|read| read.address == address && !read.error)
            .map(|read| read.value)
    }

    /// Whether nothing of the walk may be kept (VMSA-47): it ended with a fault other than one that
    /// a valid translation can give.
    #[must_use]
    pub fn leaves_nothing(&self) -> bool {
        self.fault.is_some_and(|fsc| {
            !matches!(
                fsc.kind(),
                Some(FaultKind::Permission | FaultKind::Alignment)
            )
        })
    }

    /// Whether the walk is under way.
    #[must_use]
    pub fn open(&self) -> bool {
        !self.ended && self.cancelled.is_none()
    }

    /// The walk for reports, one descriptor read a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::with_capacity(self.reads.len() + 2);
        if self.cached_start {
            let (level, address) = self.start;
            lines.push(format!(
                "begins below a cached table, at L{level} [{address:#014x}]"
            ));
        }
        lines.extend(self.reads.iter().map(|read| {
            let how = if read.by_swap { "held" } else { "=" };
            let (level, address, value) = (read.level, read.address, read.value.0);
            match read.error {
                true => format!("L{level} [{address:#014x}] error (cycle {})", read.cycle),
                false => format!(
                    "L{level} [{address:#014x}] {how} {value:#018x} (cycle {})",
                    read.cycle
                ),
            }
        }));
        if let Some(cycle) = self.cancelled {
            lines.push(format!("cancelled at cycle {cycle}"));
        }
        if let Some(fsc) = self.fault {
            lines.push(format!("ended with {fsc}"));
        }
        lines
    }
}

/// One core's walks.
#[derive(Debug, Clone, Default)]
struct Core {
    registers: Rc<Registers>,
    /// The walk last begun in each slot; ended ones move to `past`.
    slots: [Option<WalkRecord>; SLOTS],
    /// Ended and cancelled walks, the latest last.
    past: VecDeque<WalkRecord>,
}

impl Core {
    fn remember(&mut self, walk: WalkRecord) {
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(walk);
    }

    fn walk(&mut self, cycle: u64, step: &WalkEvent) {
        let place = usize::from(step.slot) % SLOTS;
        if step.kind == WalkKind::Begin
            && let Some(old) = self.slots[place].take()
        {
            self.remember(old);
        }
        let registers = &self.registers;
        let walk = self.slots[place].get_or_insert_with(|| WalkRecord::new(cycle, step, registers));
        match step.kind {
            WalkKind::Begin => {}
            WalkKind::Step => walk.reads.push(read(cycle, step, false)),
            WalkKind::Swap if step.error => walk.reads.push(read(cycle, step, true)),
            WalkKind::Swap => {
                if walk.read_at(step.address) != Some(Descriptor(step.value)) {
                    walk.reads.push(read(cycle, step, true));
                } else if let Some((address, value)) = walk.committed.take()
                    && address == step.address
                {
                    walk.updated = Some((address, value));
                }
            }
            WalkKind::End => {
                (walk.ended, walk.ended_at, walk.fault) = (true, cycle, step.fault);
                walk.merged = step.merged;
            }
        }
        if step.kind == WalkKind::End
            && let Some(walk) = self.slots[place].take()
        {
            self.remember(walk);
        }
    }

    fn cancel(&mut self, cycle: u64, change: &Invalidation) {
        for walk in self.slots.iter_mut().flatten() {
            if change.cancelled >> walk.slot & 1 == 1 && walk.cancelled.is_none() {
                walk.cancelled = Some(cycle);
            }
        }
    }
}

/// The walks and registers of every core.
#[derive(Debug, Clone, Default)]
pub struct Walks {
    cores: Vec<Core>,
}

impl Walks {
    /// Follows the events of walks and registers. Call it before looking at the event.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Issue { core, request } if matches!(request.op, Op::Msr(_) | Op::Isb) => {
                let registers = &mut self.core(*core).registers;
                Rc::make_mut(registers).event(*core, event);
            }
            EventKind::Response { core, request, .. } if request.op == Op::Isb => {
                let registers = &mut self.core(*core).registers;
                Rc::make_mut(registers).event(*core, event);
            }
            EventKind::Walk { core, step } => self.core(*core).walk(event.cycle, step),
            EventKind::Invalidate { core, change } => {
                self.core(*core).cancel(event.cycle, change);
            }
            EventKind::Commit {
                source,
                kind: CommitKind::Update,
                address,
                before,
                after,
                ..
            } => self.committed(*source, *address, *before, *after),
            _ => {}
        }
    }

    fn core(&mut self, core: u8) -> &mut Core {
        let index = usize::from(core);
        if self.cores.len() <= index {
            self.cores.resize_with(index + 1, Core::default);
        }
        &mut self.cores[index]
    }

    /// Notes an update on its way back to the walk that asked for it, in the byte order in which that
    /// walk read the descriptor.
    fn committed(&mut self, core: u8, address: u64, before: u64, after: u64) {
        for walk in self.core(core).slots.iter_mut().flatten() {
            match walk.read_at(address).map(|value| value.0) {
                Some(read) if read == before => walk.committed = Some((address, Descriptor(after))),
                Some(read) if read == before.swap_bytes() => {
                    walk.committed = Some((address, Descriptor(after.swap_bytes())));
                }
                _ => {}
            }
        }
    }

    /// The registers of `core` that may be in force; `None` if it has done nothing yet.
    #[must_use]
    pub fn registers(&self, core: u8) -> Option<&Rc<Registers>> {
        self.cores
            .get(usize::from(core))
            .map(|core| &core.registers)
    }

    /// The walks of `core`: those under way or cancelled last in their slot, then those ended, the
    /// latest first.
    pub fn of(&self, core: u8) -> impl Iterator<Item = &WalkRecord> {
        let core = self.cores.get(usize::from(core));
        core.into_iter()
            .flat_map(|core| core.slots.iter().flatten().chain(core.past.iter().rev()))
    }

    /// The walks of `core` that may still ask memory for something: those under way, and those
    /// cancelled last in their slot, whose last request may be on its way.
    pub fn live(&self, core: u8) -> impl Iterator<Item = &WalkRecord> {
        let core = self.cores.get(usize::from(core));
        core.into_iter()
            .flat_map(|core| core.slots.iter().flatten())
    }

    /// The walk of `core` in `slot` that has not ended.
    #[must_use]
    pub fn slot(&self, core: u8, slot: u8) -> Option<&WalkRecord> {
        let core = self.cores.get(usize::from(core))?;
        core.slots[usize::from(slot) % SLOTS].as_ref()
    }

    /// The walks whose result a fill of `core` may write, the likeliest first: those of that side and
    /// purpose whose address the entry covers; of its request first, the latest first. One that has
    /// ended before one under way, since the second level may take its fill after the next walk of a
    /// request has begun.
    #[must_use]
    pub fn sources(&self, core: u8, change: &TlbFill) -> Vec<&WalkRecord> {
        let covers = |walk: &&WalkRecord| {
            walk.instruction == change.instruction
                && walk.prefetch == change.prefetch
                && (walk.va ^ change.va) & change.mask & VA_BITS == 0
        };
        let mut walks: Vec<&WalkRecord> = self.of(core).filter(covers).collect();
        let late = change.structure == TlbStructure::L2;
        walks.sort_by_key(|walk| (walk.id != change.id, late && !walk.ended));
        walks
    }
}

fn read(cycle: u64, step: &WalkEvent, by_swap: bool) -> Read {
    Read {
        cycle,
        level: step.level,
        address: step.address,
        value: Descriptor(step.value),
        by_swap,
        error: step.error,
    }
}
