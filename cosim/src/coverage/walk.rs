// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Walks: where they begin, what they update, how they end, and what was under way in one that an
//! invalidation cancelled.

use vmsa::{VaRange, geometry};

use super::axis::{self, purpose};
use super::collector::{Collector, TablePage};
use super::group::GroupId;
use super::state::{Read, SLOTS, Walk};
use crate::dut::ports::{WalkEvent, WalkKind};

/// Places on [`axis::CANCEL_POINT`].
mod point {
    pub(super) const START: usize = 0;
    pub(super) const READ: usize = 1;
    pub(super) const SWAP: usize = 4;
    pub(super) const TABLE: usize = 8;
    pub(super) const LEAF: usize = 11;
}

/// Results of an update: places on [`axis::UPDATE_RESULT`].
mod result {
    pub(super) const DONE: usize = 0;
    pub(super) const LOST: usize = 1;
    pub(super) const DONE_AFTER_LOSS: usize = 2;
    pub(super) const CANCELLED: usize = 3;
}

/// Place of what an update sets on [`axis::UPDATE`].
pub(super) const fn update(af: bool, dirty: bool) -> Option<usize> {
    match (af, dirty) {
        (true, false) => Some(0),
        (false, true) => Some(1),
        (true, true) => Some(2),
        (false, false) => None,
    }
}

impl Collector {
    pub(super) fn walk(&mut self, number: u8, step: &WalkEvent) {
        let slot = usize::from(step.slot) % SLOTS;
        match step.kind {
            WalkKind::Begin => self.walk_begins(number, slot, step),
            WalkKind::Step => self.walk_reads(number, slot, step),
            WalkKind::Swap => self.walk_swaps(number, slot, step),
            WalkKind::End => self.walk_ends(number, slot, step),
        }
    }

    fn walk_begins(&mut self, number: u8, slot: usize, step: &WalkEvent) {
        self.settle(number, slot);
        let core = self.core(number);
        let others = core.open_walks().count() > 0;
        let performed = core.performed;
        let flight = core.flight(step.id);
        let mut again = None;
        let (regs, writes) = if step.prefetch {
            (performed, false)
        } else {
            flight.cached_start = step.cached_start;
            again = flight.again.take();
            (flight.regs, flight.writes)
        };
        let range = VaRange::of(step.va);
        let granule = regs.granule(range);
        core.walks[slot] = Walk {
            open: true,
            id: step.id,
            va: step.va,
            instruction: step.instruction,
            prefetch: step.prefetch,
            writes,
            granule: Some(granule),
            tcr: regs.tcr,
            swapped: regs.sctlr.ee(),
            reading: step.address,
            ..Walk::default()
        };
        let start = usize::from(step.cached_start);
        let level = usize::from(step.level);
        self.hit(
            GroupId::WalkStart,
            &[axis::granule(granule), level, axis::half(range), start],
        );
        let purpose = purpose_of(step.instruction, step.prefetch);
        self.hit(GroupId::WalkCompany, &[purpose, usize::from(others)]);
        if let Some((va, reason)) = again
            && va == step.va
        {
            self.hit(
                GroupId::WalkAgain,
                &[usize::from(!step.instruction), reason],
            );
        }
    }

    fn walk_reads(&mut self, number: u8, slot: usize, step: &WalkEvent) {
        let walk = &mut self.core(number).walks[slot];
        if let Some(by) = walk.cancelled.take() {
            let (prefetch, level) = (walk.prefetch, usize::from(step.level));
            self.cancelled(point::READ + level, by, prefetch);
            return;
        }
        walk.reading = 0;
        if step.error {
            return;
        }
        let value = vmsa::Descriptor(step.value);
        walk.reads[usize::from(step.level & 3)] = Some(Read {
            address: step.address,
            value,
        });
        walk.last = Some(step.level);
        walk.raced = None;
        let granule = walk.granule();
        if Walk::is_table(value, step.level) {
            let index = walk.va >> geometry::level_lsb(granule, step.level + 1);
            walk.reading = value.next_table(granule) | (index & (granule.entries() - 1)) << 3;
        }
        let page = TablePage {
            granule,
            level: step.level,
            swapped: walk.swapped,
        };
        self.tables.insert(step.address >> 12, page);
    }

    fn walk_swaps(&mut self, number: u8, slot: usize, step: &WalkEvent) {
        let contiguous = self.straps.contiguous;
        let walk = &mut self.core(number).walks[slot];
        let cancelled = walk.cancelled.take();
        let (prefetch, level) = (walk.prefetch, step.level);
        let committed = walk.committed.take();
        let raced = walk.raced.take();
        let (granule, writes, tcr, was_lost) = (walk.granule(), walk.writes, walk.tcr, walk.lost);
        let Some(read) = walk.last_read() else {
            return;
        };
        let expected = read.value;
        let done = expected.0 == step.value;
        if !done && !step.error {
            read.value = vmsa::Descriptor(step.value);
            walk.lost = true;
        }
        let dirty = writes && tcr.hd() && expected.dbm() && expected.ap_read_only();
        let wanted = committed.filter(|_| done).or(update(!expected.af(), dirty));
        let run = contiguous && expected.contiguous();
        let shape = axis::shape(granule, level, run);
        if let (false, Some(update), Some(shape)) = (step.error, wanted, shape) {
            let outcome = match (cancelled, done, was_lost) {
                (Some(_), ..) => result::CANCELLED,
                (None, false, _) => result::LOST,
                (None, true, true) => result::DONE_AFTER_LOSS,
                (None, true, false) => result::DONE,
            };
            self.hit(GroupId::Update, &[update, shape, outcome]);
        }
        if let Some((writer, core)) = raced {
            self.hit(GroupId::Race, &[writer, core, 1]);
        }
        if let Some(by) = cancelled {
            self.cancelled(point::SWAP + usize::from(level), by, prefetch);
        }
    }

    fn walk_ends(&mut self, number: u8, slot: usize, step: &WalkEvent) {
        let contiguous = self.straps.contiguous;
        let core = self.core(number);
        let walk = &mut core.walks[slot];
        walk.open = false;
        walk.reading = 0;
        let raced = walk.raced.take();
        let (granule, level) = (walk.granule(), walk.last);
        let value = walk.last_read().map(|read| read.value);
        if !step.prefetch {
            let flight = core.flight(step.id);
            match (step.fault, level, value) {
                (Some(_), ..) => flight.again = Some((step.va, 0)),
                (None, Some(level), Some(value)) => {
                    flight.leaf = axis::shape(granule, level, contiguous && value.contiguous());
                }
                _ => {}
            }
        } else if let Some(end) = axis::prefetch_end(step.fault.and_then(vmsa::Fsc::kind)) {
            self.hit(GroupId::PrefetchEnd, &[end]);
        }
        if let Some((writer, core)) = raced {
            self.hit(GroupId::Race, &[writer, core, 0]);
        }
    }

    /// An invalidation cancels the walk in `slot`. What was under way shows when memory answers.
    pub(super) fn cancel(&mut self, number: u8, slot: usize, by: usize) {
        let core = self.core(number);
        let walk = &mut core.walks[slot];
        if !walk.open {
            return;
        }
        walk.open = false;
        walk.reading = 0;
        walk.cancelled = Some(by);
        if !walk.prefetch {
            let (id, va) = (walk.id, walk.va);
            core.flight(id).again = Some((va, 1));
        }
    }

    fn cancelled(&mut self, point: usize, by: usize, prefetch: bool) {
        self.hit(GroupId::Cancel, &[point, by, usize::from(prefetch)]);
    }

    /// A cancelled walk whose slot is used again had nothing under way.
    fn settle(&mut self, number: u8, slot: usize) {
        let walk = &mut self.core(number).walks[slot];
        let Some(by) = walk.cancelled.take() else {
            return;
        };
        let (prefetch, last) = (walk.prefetch, walk.last);
        let value = walk.last_read().map(|read| read.value);
        let point = match (last, value) {
            (Some(level), Some(value)) if Walk::is_table(value, level) => {
                point::TABLE + usize::from(level)
            }
            (Some(_), _) => point::LEAF,
            (None, _) => point::START,
        };
        self.cancelled(point, by, prefetch);
    }

    /// The end of the simulation: nothing comes for walks cancelled before.
    pub(super) fn settle_cancelled(&mut self) {
        for number in 0..self.cores.len() {
            for slot in 0..SLOTS {
                self.settle(number as u8, slot);
            }
        }
    }
}

/// Place on [`axis::PURPOSE`].
pub(super) const fn purpose_of(instruction: bool, prefetch: bool) -> usize {
    match (prefetch, instruction) {
        (true, _) => purpose::PREFETCH,
        (false, true) => purpose::INSTRUCTION,
        (false, false) => purpose::DATA,
    }
}
