// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What each core may hold of each descriptor: the values that its walks have read and that no
//! completed invalidation has taken away since.

use rustc_hash::FxHashMap;
use vmsa::geometry::{level_bytes, level_lsb};
use vmsa::{Descriptor, VaRange};

use super::log::{Issued, Log};
use super::trees::Used;
use crate::arch::invalidation::Held;
use crate::check::walk_context::{Class, WalkContext};
use crate::sim::Memory;

/// Descriptors are found by the group of 16 that they lie in, as long as the shortest run.
const GROUP: u32 = 7;
/// The longest run, 128 descriptors, in groups.
const LONGEST: u64 = 8;
/// No hold.
pub(super) const NONE: u32 = u32::MAX;

/// A descriptor read of a walk.
#[derive(Debug, Clone, Copy)]
pub struct Read<'a> {
    /// A cycle before that of the read.
    pub since: u64,
    /// Core whose walk it is.
    pub core: u8,
    /// Registers of the walk.
    pub context: &'a WalkContext,
    /// Level of the descriptor.
    pub level: u8,
    /// Its physical address.
    pub address: u64,
    /// Its value as decoded.
    pub value: Descriptor,
    /// Whether memory still holds that value.
    pub current: bool,
    /// The table descriptor that led to it, if the walk read one.
    pub parent: Option<u64>,
}

/// One value that one core may hold.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// Physical address of the descriptor.
    pub address: u64,
    /// Its value as decoded.
    pub value: Descriptor,
    /// Level.
    pub level: u8,
    /// Core whose walk read it.
    pub core: u8,
    /// Registers of that walk; `va` is the first address that the descriptor translates.
    pub context: WalkContext,
    /// A cycle shortly before the last read.
    pub read_at: u64,
    /// Cycle in which it ceased to be what memory holds; `u64::MAX` while it is.
    pub broken_at: u64,
    /// Cycle in which a table descriptor above ceased to lead to it; `u64::MAX` while they do.
    pub unlinked_at: u64,
    /// The table descriptor that led to it, if known.
    pub parent: Option<u64>,
    /// Whether it may still be held. A table descriptor that is not stays known as one.
    pub live: bool,
    /// Whether its tree has gone on under another ASID since, and this core not come back to the old one.
    pub left: bool,
    /// The next of its group.
    next: u32,
    /// The next of the same descriptor, core and ASID.
    pub(super) twin: u32,
}

impl Hold {
    /// What it is.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::of(self.context.granule, self.level, self.value)
    }

    /// Bytes that the descriptor translates.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        level_bytes(self.context.granule, self.level)
    }

    /// Whether it may still be held where accesses meet it.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.live && !self.left
    }

    /// Whether it was cached for `used` and for nothing else.
    fn is_tagged(&self, used: Used) -> bool {
        let context = &self.context;
        let its = context.bases == [used.base; 2] && context.asids == [used.asid; 2];
        let lower = VaRange::of(context.va) == VaRange::Lower;
        its && lower && !self.held(false).global
    }

    /// What walks that read it again have in common.
    fn key(&self) -> (u64, u8) {
        key(self.address, &self.context, self.core)
    }

    /// Members of the run that it may be cached as.
    #[must_use]
    pub fn run(&self) -> Option<u64> {
        let leaf = self.value.contiguous() && self.class() == Class::Leaf;
        self.context.run(self.level).filter(|_| leaf)
    }

    /// As an invalidation sees it; `as_run` is the entry of its whole run.
    #[must_use]
    pub fn held(&self, as_run: bool) -> Held {
        let members = self.run().filter(|_| as_run).unwrap_or(1);
        let table = self.class() == Class::Table;
        Held {
            va: self.context.va,
            span: level_lsb(self.context.granule, self.level) + members.trailing_zeros(),
            granule: self.context.granule,
            level: self.level,
            asid: self.context.asids[1],
            table,
            global: !self.value.ng() && !table,
        }
    }

    /// Cycle since which walks of memory do not find it; `u64::MAX` while they do.
    #[must_use]
    pub fn gone_at(&self) -> u64 {
        self.broken_at.min(self.unlinked_at)
    }

    /// Whether `operation` came late enough to take it away for good: after the store that replaced or
    /// unlinked it, by a DSB in between, or of one that walks still find, after the last read.
    #[must_use]
    pub fn precedes(&self, operation: &Issued) -> bool {
        match self.gone_at() {
            u64::MAX => operation.issued_at >= self.read_at,
            gone_at => operation.after >= gone_at,
        }
    }

    /// Whether a completed operation of `log` took it away.
    #[must_use]
    pub fn removed(&self, log: &Log, as_run: bool) -> bool {
        let held = self.held(as_run);
        log.latest().any(|operation| {
            operation.complete.is_some()
                && operation.reaches(self.core)
                && self.precedes(operation)
                && operation.names(&held, self.context.asids)
        })
    }

    /// Whether it and `other`, of another level, surely translate some address of one address space.
    /// A walk that began while a write of the ASID was not synchronised is of none for sure. Two trees
    /// that have had the same ASID, one after the other, say nothing of each other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (own, its) = (&self.context, &other.context);
        let sure = own.asids[0] == own.asids[1] && own.asids == its.asids && own.bases == its.bases;
        let shared = self.held(false).global && VaRange::of(own.va) == VaRange::Upper;
        let bytes = self.bytes().max(other.bytes());
        (sure || shared) && own.granule == its.granule && (own.va ^ its.va) & !(bytes - 1) == 0
    }
}

/// Physical addresses have 48 bits, ASIDs 16.
pub(super) fn key(address: u64, context: &WalkContext, core: u8) -> (u64, u8) {
    (address << 16 | u64::from(context.asids[1]), core)
}

/// All of them.
#[derive(Debug, Default)]
pub struct Holds {
    pub(super) all: Vec<Hold>,
    /// The first hold of each group; looked up by address only.
    groups: FxHashMap<u64, u32>,
    /// The first hold of each descriptor for a core and an ASID; looked up by those only.
    pub(super) own: FxHashMap<(u64, u8), u32>,
    /// The table descriptor read last that leads to a table, for a core and an ASID.
    pub(super) tables: FxHashMap<(u64, u8), u32>,
    /// Whether a run longer than a group was ever read.
    long_runs: bool,
    /// Blocks that were replaced by tables in place, as the BBM level allows, at most.
    replaced: usize,
}

impl Holds {
    /// A walk read what `read` says.
    pub fn read(&mut self, read: Read<'_>, memory: &Memory) {
        let Read {
            core,
            level,
            address,
            value,
            since,
            ..
        } = read;
        let bytes = level_bytes(read.context.granule, level);
        let context = WalkContext {
            va: read.context.va & !(bytes - 1),
            ..*read.context
        };
        let mut hold = Hold {
            address,
            value,
            level,
            core,
            context,
            read_at: since,
            broken_at: if read.current { u64::MAX } else { since },
            unlinked_at: u64::MAX,
            parent: read.parent,
            live: true,
            left: false,
            next: NONE,
            twin: NONE,
        };
        let first = self.own.get(&hold.key()).copied().unwrap_or(NONE);
        let mut place = first;
        while let Some(known) = self.all.get(place as usize)
            && (known.value, known.level, known.context) != (value, level, context)
        {
            place = known.twin;
        }
        let known = self.all.get(place as usize);
        let parent = hold.parent.or_else(|| self.start(&hold));
        hold.parent = parent.or(known.and_then(|known| known.parent));
        hold.unlinked_at = self.unlinked_at(&hold, since, memory);
        if let Some(known) = known {
            (hold.next, hold.twin) = (known.next, known.twin);
            self.all[place as usize] = hold;
        } else {
            place = self.all.len() as u32;
            hold.twin = first;
            hold.next = self.first(address >> GROUP);
            self.own.insert(hold.key(), place);
            self.groups.insert(address >> GROUP, place);
            self.long_runs |= hold.run().is_some_and(|members| members > 1 << (GROUP - 3));
            self.all.push(hold);
        }
        self.lead(place as usize);
    }

    /// Where the first hold of `group` is.
    fn first(&self, group: u64) -> u32 {
        self.groups.get(&group).copied().unwrap_or(NONE)
    }

    /// Whether anything is known of the descriptor at `address` or of a run that it may belong to.
    #[must_use]
    pub fn knows(&self, address: u64) -> bool {
        let group = address >> GROUP;
        if !self.long_runs {
            return self.groups.contains_key(&group);
        }
        let first = group & !(LONGEST - 1);
        (first..first + LONGEST).any(|group| self.groups.contains_key(&group))
    }

    /// Calls `visit` for each hold of the descriptors around `address`, as far as a run may reach.
    pub fn around(&mut self, address: u64, mut visit: impl FnMut(&mut Hold)) {
        let group = address >> GROUP;
        let groups = match self.long_runs {
            true => group & !(LONGEST - 1)..(group & !(LONGEST - 1)) + LONGEST,
            false => group..group + 1,
        };
        for group in groups {
            let mut place = self.first(group);
            while let Some(hold) = self.all.get_mut(place as usize) {
                visit(hold);
                place = hold.next;
            }
        }
    }

    /// All of them.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Hold> {
        self.all.iter_mut()
    }

    /// A block was replaced by a table in place.
    pub fn replaced(&mut self) {
        self.replaced += 1;
    }

    /// Whether blocks that were replaced by tables in place may still be held.
    #[must_use]
    pub fn any_replaced(&self) -> bool {
        self.replaced > 0
    }

    /// Forgets what completed operations took away.
    pub fn forget(&mut self, log: &Log) {
        self.all.retain_mut(|hold| {
            hold.live = hold.live && !hold.removed(log, false);
            hold.live || hold.class() == Class::Table
        });
        self.groups.clear();
        self.own.clear();
        self.replaced = 0;
        for (place, hold) in (0..).zip(&mut self.all) {
            let group = hold.address >> GROUP;
            hold.next = self.groups.insert(group, place).unwrap_or(NONE);
            hold.twin = self.own.insert(hold.key(), place).unwrap_or(NONE);
            let block = hold.class() == Class::Leaf && hold.level < 3;
            self.replaced += usize::from(block && hold.broken_at != u64::MAX);
        }
        self.tables.clear();
        for place in 0..self.all.len() {
            self.lead(place);
        }
    }

    /// The tree of `used` goes on under another ASID, and no core uses it under this one any more: what
    /// was cached so is met by nothing.
    pub fn leave(&mut self, used: Used) {
        let its = |hold: &Hold| hold.is_tagged(used);
        for hold in self.all.iter_mut().filter(|hold| its(hold)) {
            hold.left = true;
        }
    }

    /// `core` uses that tree under that ASID again: it meets what it still holds.
    pub fn come_back(&mut self, core: u8, used: Used) {
        let its = |hold: &Hold| hold.core == core && hold.is_tagged(used);
        for hold in self.all.iter_mut().filter(|hold| its(hold)) {
            hold.left = false;
        }
    }

    /// Holds remembered, gone ones included.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.all.len()
    }
}
