// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which tables lead to what cores may hold. What lies below a table entry that was made invalid is as
//! broken as if it had been made so itself: no walk finds it but from a cached table, which the same
//! invalidations name (BBM-09, BBM-10).

use super::holds::{Hold, Holds, NONE, key};
use super::log::Log;
use crate::check::walk_context::{Class, ROOT};
use crate::sim::Memory;
use vmsa::geometry::FINAL_LEVEL;

impl Hold {
    /// Address of the table that it lies in.
    fn table(&self) -> u64 {
        self.address & !(self.context.granule.bytes() - 1)
    }

    /// Whether memory holds at `parent` a table descriptor that leads to it.
    fn led_by(&self, parent: u64, memory: &Memory) -> bool {
        let granule = self.context.granule;
        let word = self.context.decoded(memory.coherent(parent));
        parent == ROOT
            || Class::of(granule, self.level.wrapping_sub(1), word) == Class::Table
                && word.next_table(granule) == self.table()
    }

    /// Whether the descriptor is where walks come by: it may be held, or the table that led to it
    /// still does. The frame of a table that was taken down serves other purposes.
    #[must_use]
    pub fn linked(&self, memory: &Memory) -> bool {
        let led = |parent| self.led_by(parent, memory);
        self.live || self.parent.is_some_and(led)
    }

    /// Whether it is the table descriptor that leads to `below`.
    fn leads_to(&self, below: &Self) -> bool {
        let granule = self.context.granule;
        self.class() == Class::Table
            && self.level + 1 == below.level
            && self.value.next_table(granule) == below.table()
            && (self.context.va ^ below.context.va) & !(self.bytes() - 1) == 0
    }
}

impl Holds {
    /// The hold at `place` has been read: if it is a table descriptor, walks may start at its table.
    pub fn lead(&mut self, place: usize) {
        let hold = &self.all[place];
        if hold.class() == Class::Table {
            let table = hold.value.next_table(hold.context.granule);
            let last = self.tables.entry(key(table, &hold.context, hold.core));
            let last = last.or_insert(place as u32);
            if self.all[*last as usize].read_at <= hold.read_at {
                *last = place as u32;
            }
        }
    }

    /// Address of the table descriptor, read last by the same core, from which a walk that began at
    /// `below` started.
    #[must_use]
    pub fn start(&self, below: &Hold) -> Option<u64> {
        let place = self
            .tables
            .get(&key(below.table(), &below.context, below.core))?;
        let table = self.all.get(*place as usize)?;
        (table.live && table.leads_to(below)).then_some(table.address)
    }

    /// The table descriptor at `parent` as the core that may hold `below` read it.
    fn above(&self, parent: u64, below: &Hold) -> Option<&Hold> {
        let first = self.own.get(&key(parent, &below.context, below.core));
        let mut place = first.copied().unwrap_or(NONE);
        let mut found: Option<&Hold> = None;
        while let Some(hold) = self.all.get(place as usize) {
            let newer = found.is_none_or(|other| other.read_at < hold.read_at);
            if newer && hold.leads_to(below) {
                found = Some(hold);
            }
            place = hold.twin;
        }
        found
    }

    /// When the path to `hold` ceased to lead there; `otherwise` if it does not, but nobody knows since
    /// when. A path of which nothing is known leads there.
    #[must_use]
    pub fn unlinked_at(&self, hold: &Hold, otherwise: u64, memory: &Memory) -> u64 {
        let Some(parent) = hold.parent else {
            return u64::MAX;
        };
        let table = self.above(parent, hold);
        if hold.led_by(parent, memory) {
            return table.map_or(u64::MAX, |table| table.unlinked_at);
        }
        match table.filter(|table| table.live).map(Hold::gone_at) {
            Some(u64::MAX) | None => otherwise,
            Some(gone_at) => gone_at,
        }
    }

    /// A table descriptor became another word at `cycle`: what was found through it is found no longer,
    /// or again. What was taken away before stays so.
    pub fn relink(&mut self, cycle: u64, log: &Log, memory: &Memory) {
        // Tables first: what lies below them looks at them.
        for level in 1..=FINAL_LEVEL {
            for place in 0..self.all.len() {
                let hold = self.all[place];
                if hold.level != level || hold.parent.is_none() {
                    continue;
                }
                let was = hold.unlinked_at;
                let mut is = self.unlinked_at(&hold, cycle, memory);
                if is != u64::MAX {
                    is = is.min(was);
                }
                let own = &mut self.all[place];
                if (is == u64::MAX) != (was == u64::MAX) && hold.removed(log, false) {
                    own.live = false;
                }
                own.unlinked_at = is;
            }
        }
    }
}
