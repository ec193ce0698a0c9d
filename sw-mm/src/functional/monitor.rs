// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Watches descriptor writes for changes that skip break-before-make (section 12.1).
//!
//! A slot is watched once a walk has read a valid descriptor there, because from then on a TLB may
//! hold it. It is let go when an invalidation that covers it was issued while the slot was invalid,
//! and a full barrier completed. A valid value stored before that is judged against the last one.
//! The judgement is written here anew, so that it does not share a mistake with the OS.

use super::filter::Filter;
use super::memory::Memory;
use super::mixed::{Member, MixedRuns, write_permission};
use super::rule::{as_at, as_run, disagrees, in_run, needs_break};
use super::tlb::chains::Chains;
use super::tlb::named::Named;
use super::tlb::{Entry, Owed};
use super::trees::Trees;
use std::fmt;
use vmsa::{Descriptor, DsbKind, Tlbi, VaRange, geometry};

/// A word of memory changed; values as stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub core: usize,
    pub slot: u64,
    pub new: u64,
}

/// A live descriptor was replaced without break-before-make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BbmViolation {
    /// Core that stored the new descriptor.
    pub core: usize,
    /// Physical address of the descriptor.
    pub slot: u64,
    /// First virtual address that it translates.
    pub va: u64,
    /// Level of the descriptor.
    pub level: u8,
    /// The valid descriptor that a TLB may still hold.
    pub old: Descriptor,
    /// The valid descriptor stored.
    pub new: Descriptor,
    /// What about the change needs the sequence.
    pub reason: &'static str,
}

impl fmt::Display for BbmViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "core {} changed the level {} descriptor at {:#x} (VA {:#018x}) from {} to {} without \
             break-before-make: {} (section 12.1, BBM-03)",
            self.core, self.level, self.slot, self.va, self.old, self.new, self.reason
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    /// The last valid value, in the form a TLB would hold it, without the hint.
    entry: Entry,
    /// Memory holds an invalid value now.
    broken: bool,
    /// Covering invalidations since, whose barrier is due.
    invalidated: Owed,
    /// Such that name any page of its run: they remove the entry of the whole run (TLB-05).
    run_invalidated: Owed,
    /// One of those has completed.
    run_gone: bool,
    /// The tree it was read in, and when.
    root: u64,
    since: u64,
}

impl Watched {
    fn forget_invalidations(&mut self) {
        self.invalidated = Owed::default();
        self.run_invalidated = Owed::default();
        self.run_gone = false;
    }
}

/// Members of the longest contiguous run there is.
const LONGEST_RUN: u64 = 128;

/// All watched slots.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    watched: Vec<Watched>,
    free: Vec<u32>,
    /// By address: at most one each.
    slots: Chains,
    /// Where they are, roughly: most stores are to memory without any.
    groups: Filter,
    /// Those with the contiguous bit set, by the aligned group of the longest run.
    runs: Chains,
    /// Those that are broken.
    broken: Named,
    /// Those that an invalidation under way covers, with their address. Some may have changed.
    invalidated: Vec<(u32, u64)>,
    trees: Trees,
    scratch: Vec<u32>,
    /// Runs whose write permission changes in place.
    mixed: MixedRuns,
    /// The contiguous bit may change in place.
    bbm2: bool,
    violations: Vec<BbmViolation>,
}

impl Monitor {
    /// A monitor of cores that permit, with `bbm2`, to change the contiguous bit in place.
    pub fn new(bbm2: bool) -> Self {
        Self {
            bbm2,
            ..Self::default()
        }
    }

    /// What was done wrong so far.
    pub fn violations(&self) -> Vec<BbmViolation> {
        let left = self.mixed.left();
        self.violations.iter().copied().chain(left).collect()
    }

    /// Core `core` uses the tree at `root` in its lower range under `asid` from now on.
    pub fn runs(&mut self, core: usize, root: u64, asid: u16) {
        self.trees.runs(core, root, asid);
    }

    /// A walk from `root` read the valid descriptor of `entry`, which covers no more than the descriptor
    /// itself.
    pub fn seen(&mut self, entry: &Entry, root: u64) {
        let place = match self.find(entry.slot) {
            Some(place) => {
                let w = &self.watched[place as usize];
                let same = w.entry.descriptor == entry.descriptor
                    && w.entry.asid == entry.asid
                    && w.root == root;
                if same && !w.broken {
                    return;
                }
                self.unlink(place);
                place
            }
            None => self.free.pop().unwrap_or(self.watched.len() as u32),
        };
        let watched = Watched {
            entry: *entry,
            broken: false,
            invalidated: Owed::default(),
            run_invalidated: Owed::default(),
            run_gone: false,
            root,
            since: self.trees.now(),
        };
        match self.watched.get_mut(place as usize) {
            Some(old) => *old = watched,
            None => self.watched.push(watched),
        }
        self.link(place);
    }

    /// A word changed in memory. `big_endian`: how its core stores descriptors.
    #[inline]
    pub fn commit(&mut self, change: Change, big_endian: bool, memory: &Memory) {
        if !self.mixed.is_empty() || self.groups.may_hold(group(change.slot)) {
            self.commit_near(change, big_endian, memory);
        }
    }

    /// A word changed that lies near one that is watched.
    fn commit_near(&mut self, change: Change, big_endian: bool, memory: &Memory) {
        let raw = if big_endian {
            change.new.swap_bytes()
        } else {
            change.new
        };
        let new = Descriptor(raw);
        let own = self.find(change.slot);
        if new.valid() {
            self.mixed.written(change.slot, memory);
            self.stored(own, change, new, big_endian);
        } else {
            self.violations.extend(self.mixed.broken(change.slot));
        }
        // Another invalid value leaves the break, and what was invalidated since, as it is.
        let broken = |place: &u32| self.watched[*place as usize].broken && !new.valid();
        if let Some(place) = own.filter(|place| !broken(place)) {
            self.unlink(place);
            let watched = &mut self.watched[place as usize];
            watched.broken = !new.valid();
            watched.forget_invalidations();
            if new.valid() {
                let entry = &mut watched.entry;
                entry.descriptor = new;
                entry.leaf = entry.level == geometry::FINAL_LEVEL || !new.is_table_bit();
            }
            self.link(place);
        }
    }

    /// The valid `new` was stored by `change`; `own` is what is known of the slot.
    fn stored(&mut self, own: Option<u32>, change: Change, new: Descriptor, big_endian: bool) {
        let core = change.core;
        if let Some((entry, reason)) = self.judge(own, change.slot, new) {
            self.violations.push(BbmViolation {
                core,
                slot: change.slot,
                va: entry.base,
                level: entry.level,
                old: entry.descriptor,
                new,
                reason,
            });
        } else if let Some(entry) = self.changes_permission(change.slot, new) {
            self.mixed.changed(Member {
                core,
                entry,
                big_endian,
            });
        }
    }

    /// What a TLB may still hold that forbids storing the valid `new`, and why.
    fn judge(&self, own: Option<u32>, slot: u64, new: Descriptor) -> Option<(Entry, &'static str)> {
        let own = own.and_then(|place| {
            let watched = &self.watched[place as usize];
            let reason = needs_break(&watched.entry, new, self.bbm2)?;
            self.in_use(watched).then_some((watched.entry, reason))
        });
        own.or_else(|| self.torn_run(slot, new))
    }

    /// Another member of the contiguous run around `slot` may still be cached, for the whole run, and
    /// disagrees with `new`. The entry returned is what it says about `slot`.
    fn torn_run(&self, slot: u64, new: Descriptor) -> Option<(Entry, &'static str)> {
        let members = self.runs.of(group(slot));
        let lowest = members
            .map(|place| &self.watched[place as usize])
            .filter(|watched| in_run(&watched.entry, slot) && watched.entry.slot != slot)
            .filter(|watched| !watched.run_gone)
            .filter(|watched| {
                disagrees(&watched.entry, slot, new, self.bbm2) && self.in_use(watched)
            })
            .map(|watched| &watched.entry)
            .min_by_key(|entry| entry.slot)?;
        Some((
            as_at(lowest, slot),
            "another member of the contiguous run may still be cached",
        ))
    }

    /// What a TLB may hold of the run that `new` at `slot` belongs to, if the write permission in it is
    /// another; as it says about `slot` with `new` in place.
    fn changes_permission(&self, slot: u64, new: Descriptor) -> Option<Entry> {
        let known = self
            .runs
            .of(group(slot))
            .map(|place| &self.watched[place as usize].entry)
            .filter(|entry| new.contiguous() && in_run(entry, slot))
            .find(|entry| write_permission(entry.descriptor) != write_permission(new))?;
        Some(Entry {
            descriptor: new,
            slot,
            ..as_at(known, slot)
        })
    }

    /// Whether what is cached of it can meet what the tree is cached as from now on.
    fn in_use(&self, watched: &Watched) -> bool {
        let Watched {
            entry, root, since, ..
        } = watched;
        entry.range == VaRange::Upper || self.trees.in_use(*root, entry.asid, *since)
    }

    /// Core `issuer` issued `op`; `asid` is the operand's, cut to the bits in use.
    pub fn invalidate(&mut self, op: Tlbi, asid: u16, issuer: usize) {
        self.mixed.invalidate(op, asid, issuer);
        let mut places = std::mem::take(&mut self.scratch);
        self.broken.candidates(op, asid, &mut places);
        for place in places.drain(..) {
            let watched = &mut self.watched[place as usize];
            if !as_run(&watched.entry).removed_by(op, asid) {
                continue;
            }
            if watched.invalidated.none() && watched.run_invalidated.none() {
                self.invalidated.push((place, watched.entry.slot));
            }
            watched.run_invalidated.mark(issuer, op.scope);
            if watched.entry.removed_by(op, asid) {
                watched.invalidated.mark(issuer, op.scope);
            }
        }
        self.scratch = places;
    }

    /// The barrier `kind` of core `issuer` completed the invalidations that it waits for.
    pub fn complete(&mut self, issuer: usize, kind: DsbKind, memory: &Memory) {
        self.mixed.complete(issuer, kind, memory);
        let mut invalidated = std::mem::take(&mut self.invalidated);
        invalidated.retain(|&(place, slot)| {
            let watched = &mut self.watched[place as usize];
            if watched.entry.slot != slot {
                return false;
            }
            if watched.invalidated.completed_by(issuer, kind) {
                self.let_go(place);
                return false;
            }
            if watched.run_invalidated.completed_by(issuer, kind) {
                watched.run_gone = true;
                watched.run_invalidated = Owed::default();
            }
            !(watched.invalidated.none() && watched.run_invalidated.none())
        });
        self.invalidated = invalidated;
    }

    /// Nothing in the `bytes` bytes at `pa` is watched any more.
    pub fn release(&mut self, pa: u64, bytes: u64) {
        let (mut slot, end) = (pa & !7, pa.saturating_add(bytes));
        while slot < end {
            let next = (group(slot) + 1) * GROUP_BYTES;
            if self.groups.may_hold(group(slot)) {
                for slot in (slot..next.min(end)).step_by(8) {
                    if let Some(place) = self.find(slot) {
                        self.let_go(place);
                    }
                }
            }
            slot = next;
        }
    }

    fn let_go(&mut self, place: u32) {
        self.unlink(place);
        self.watched[place as usize].forget_invalidations();
        self.free.push(place);
    }

    fn find(&self, slot: u64) -> Option<u32> {
        self.slots.of(slot).next()
    }

    /// Takes the slot at `place` into the lists that its state belongs to.
    fn link(&mut self, place: u32) {
        let Watched { entry, broken, .. } = &self.watched[place as usize];
        self.slots.insert(place, entry.slot);
        self.groups.add(group(entry.slot));
        if *broken {
            self.broken.insert(place, &as_run(entry));
        }
        if entry.descriptor.contiguous() {
            self.runs.insert(place, group(entry.slot));
        }
    }

    /// Takes it out of them, before its state changes.
    fn unlink(&mut self, place: u32) {
        let Watched { entry, broken, .. } = &self.watched[place as usize];
        self.slots.remove(place);
        self.groups.remove(group(entry.slot));
        if *broken {
            self.broken.remove(place, &as_run(entry));
        }
        if entry.descriptor.contiguous() {
            self.runs.remove(place);
        }
    }
}

/// Bytes of its descriptors.
const GROUP_BYTES: u64 = LONGEST_RUN * 8;

/// The group of the longest run that holds `slot`.
const fn group(slot: u64) -> u64 {
    slot / GROUP_BYTES
}
