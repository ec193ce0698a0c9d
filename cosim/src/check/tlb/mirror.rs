// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A copy of one structure, kept from its events: which entries are there, which have gone and why.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use bitvec::prelude::BitVec;

use super::named::{HALF, Held, VA_BITS};
use crate::check::operations::Operation;
use crate::dut::ports::TlbFill;

/// Entries that left are remembered, since an access may have looked up just before: these many, and
/// all that left in the last cycles, when one operation may have removed a whole second level.
const PAST: usize = 64;
const PAST_CYCLES: u64 = 8192;

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What an invalidation looks at.
    pub held: Held,
    pa: u64,
    /// Cycle of its fill.
    pub filled_at: u64,
    /// Cycle in which it left.
    pub left_at: u64,
    /// The first operation since its fill that names it, and the cycle in which that took effect.
    pub removed: Option<(Rc<Operation>, u64)>,
    /// Whether it is surely there: nothing but a fill or an operation that names it takes it away.
    certain: bool,
}

impl Entry {
    /// The entry of a fill at cycle `filled_at` from a descriptor that maps `reach` bytes.
    #[must_use]
    pub fn new(change: &TlbFill, filled_at: u64, reach: u64, table: bool) -> Self {
        Self {
            held: Held {
                va: change.va,
                mask: change.mask & VA_BITS | HALF,
                reach,
                level: change.level,
                asid: change.asid,
                global: change.global && !table,
                table,
            },
            pa: change.pa,
            filled_at,
            left_at: u64::MAX,
            removed: None,
            certain: true,
        }
    }

    /// Bytes that the entry translates.
    #[must_use]
    pub fn span(&self) -> u64 {
        1 << self.held.mask.trailing_zeros()
    }

    /// Whether it came from a contiguous run.
    #[must_use]
    pub fn is_run(&self) -> bool {
        self.span() > self.held.reach
    }

    /// Whether it covers `va`.
    #[must_use]
    pub fn covers(&self, va: u64) -> bool {
        (self.held.va ^ va) & self.held.mask == 0
    }

    /// Whether one access could match both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (own, its) = (&self.held, &other.held);
        (own.va ^ its.va) & own.mask & its.mask == 0
            && (own.global || its.global || own.asid == its.asid)
    }

    /// Whether both translate the addresses that they share alike.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let va = self.held.va | other.held.va;
        self.translate(va) == other.translate(va)
    }

    /// Physical addresses that it leads to: those that it translates to, or of the next table, whose
    /// size it does not know, the first word.
    #[must_use]
    pub fn target(&self) -> Range<u64> {
        let bytes = if self.held.table { 8 } else { self.span() };
        self.pa..self.pa.saturating_add(bytes)
    }

    /// Output address of `va`.
    #[must_use]
    pub fn translate(&self, va: u64) -> u64 {
        self.pa.wrapping_add(va & (self.span() - 1))
    }

    /// Next table, of a walk-cache entry.
    #[must_use]
    pub fn table(&self) -> u64 {
        self.pa
    }

    /// Whether an operation took it away at or before `cycle`.
    #[must_use]
    pub fn removed_by(&self, cycle: u64) -> bool {
        self.removed.as_ref().is_some_and(|(_, at)| *at <= cycle)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = self.span() / 1024;
        write!(
            f,
            "{:#018x} ({kib} KiB) -> {:#014x} of cycle {}",
            self.held.va, self.pa, self.filled_at
        )?;
        if let Some((operation, cycle)) = &self.removed {
            write!(f, ", removed by {} at cycle {cycle}", operation.tlbi)?;
        }
        Ok(())
    }
}

/// One structure.
#[derive(Debug, Default)]
pub struct Mirror {
    slots: Vec<Option<Entry>>,
    occupied: BitVec,
    past: VecDeque<Entry>,
}

impl Mirror {
    fn leave(&mut self, index: usize, cycle: u64) {
        self.occupied.set(index, false);
        if let Some(mut old) = self.slots[index].take() {
            old.left_at = cycle;
            let long_gone = |old: &Entry| old.left_at + PAST_CYCLES < cycle;
            while self.past.len() >= PAST && self.past.front().is_some_and(long_gone) {
                self.past.pop_front();
            }
            self.past.push_back(old);
        }
    }

    /// Puts `entry` in slot `index` at `cycle`, in place of what was there.
    pub fn fill(&mut self, index: u16, entry: Entry, cycle: u64) {
        let index = usize::from(index);
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
            self.occupied.resize(index + 1, false);
        }
        self.leave(index, cycle);
        self.slots[index] = Some(entry);
        self.occupied.set(index, true);
    }

    /// Takes away what `entry`, which goes to slot `index`, overlaps and `goes` accepts; returns how
    /// many of these were surely there, slot `index` left out. Calls `stays` for what surely remains
    /// beside it.
    pub fn displace(
        &mut self,
        index: u16,
        entry: &Entry,
        cycle: u64,
        goes: impl Fn(&Entry) -> bool,
        mut stays: impl FnMut(&Entry),
    ) -> u64 {
        let mut due = 0;
        for place in 0..self.slots.len() {
            let overlapped = self.slots[place].as_ref().filter(|old| old.overlaps(entry));
            let Some(old) = overlapped else { continue };
            let other = old.certain && place != usize::from(index);
            if goes(old) {
                due += u64::from(other);
                self.leave(place, cycle);
            } else if other {
                stays(old);
            }
        }
        due
    }

    /// Takes away what `operation` names at `cycle`; returns how many of these were surely there.
    /// What left before is marked too: it must not come back from a lookup under way.
    pub fn remove(&mut self, operation: &Rc<Operation>, cycle: u64, asid8: bool) -> u64 {
        let mut due = 0;
        for entry in &mut self.past {
            if entry.removed.is_none() && entry.held.named_by(operation, asid8) {
                entry.removed = Some((Rc::clone(operation), cycle));
            }
        }
        let mut from = 0;
        while let Some(offset) = self.occupied[from..].first_one() {
            let index = from + offset;
            from = index + 1;
            let Some(entry) = &mut self.slots[index] else {
                continue;
            };
            if entry.held.named_by(operation, asid8) {
                due += u64::from(entry.certain);
                entry.removed = Some((Rc::clone(operation), cycle));
                self.leave(index, cycle);
            }
        }
        due
    }

    /// More left than had to: any entry may be among them (TLB-29).
    pub fn doubt(&mut self) {
        for entry in self.slots.iter_mut().flatten() {
            entry.certain = false;
        }
    }

    /// The entries that are surely there.
    pub fn certain(&self) -> impl Iterator<Item = &Entry> {
        let occupied = self.occupied.iter_ones();
        occupied
            .filter_map(|index| self.slots[index].as_ref())
            .filter(|entry| entry.certain)
    }

    /// The entries that are there and cover `va`.
    pub fn live(&self, va: u64) -> impl Iterator<Item = &Entry> {
        let occupied = self.occupied.iter_ones();
        occupied
            .filter_map(|index| self.slots[index].as_ref())
            .filter(move |entry| entry.covers(va))
    }

    /// The entries that cover `va` and were there at some instant since `since`.
    pub fn serving(&self, va: u64, since: u64) -> impl Iterator<Item = &Entry> {
        let past = self
            .past
            .iter()
            .rev()
            .filter(move |entry| entry.left_at >= since && entry.covers(va));
        self.live(va).chain(past)
    }
}
