// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Contiguous runs whose write permission changes in place, member after member (section 12.1,
//! CONTPTE-17).
//!
//! An access finds the old permission or the new one until the invalidation that ends the change; by
//! then all members have to agree. An invalidation of somebody else may complete while the change is
//! under way, so a run that was mixed when one completed is only held against who changed it if that
//! was the last change: a member is made invalid next, or none follows.

use super::memory::Memory;
use super::monitor::BbmViolation;
use super::rule::as_run;
use super::tlb::{Entry, Owed};
use vmsa::{Descriptor, DsbKind, Tlbi, geometry};

/// A change of the write permission of one member of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Core that stored it.
    pub core: usize,
    /// The member as it is now, its run as a TLB may hold it.
    pub entry: Entry,
    pub big_endian: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mixed {
    last: Member,
    /// First slot of the run.
    run: u64,
    members: u64,
    /// Covering invalidations since the last change, whose barrier is due.
    owed: Owed,
    /// One completed, and this disagreed then.
    left: Option<BbmViolation>,
}

/// All runs under change.
#[derive(Debug, Default)]
pub(super) struct MixedRuns {
    runs: Vec<Mixed>,
}

impl MixedRuns {
    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The write permission of a member changed.
    pub fn changed(&mut self, last: Member) {
        let entry = &last.entry;
        let Some(members) = geometry::contiguous_run(entry.granule, entry.level) else {
            return;
        };
        let members = u64::from(members);
        let run = entry.slot & !(members * 8 - 1);
        self.runs.retain(|mixed| mixed.run != run);
        self.runs.push(Mixed {
            last,
            run,
            members,
            owed: Owed::default(),
            left: None,
        });
    }

    /// The descriptor at `slot` was made invalid; returns what its run was left as, if that was wrong.
    pub fn broken(&mut self, slot: u64) -> Option<BbmViolation> {
        let place = self.runs.iter().position(|mixed| mixed.holds(slot))?;
        self.runs.swap_remove(place).left
    }

    /// The valid descriptor at `slot` was replaced by another one: its run may agree now.
    pub fn written(&mut self, slot: u64, memory: &Memory) {
        let left = |mixed: &&mut Mixed| mixed.left.is_some() && mixed.holds(slot);
        for mixed in self.runs.iter_mut().filter(left) {
            mixed.left = mixed.disagreement(memory);
        }
    }

    /// Core `issuer` issued `op`; `asid` is the operand's, cut to the bits in use.
    pub fn invalidate(&mut self, op: Tlbi, asid: u16, issuer: usize) {
        for mixed in &mut self.runs {
            if as_run(&mixed.last.entry).removed_by(op, asid) {
                mixed.owed.mark(issuer, op.scope);
            }
        }
    }

    /// The barrier `kind` of core `issuer` completed the invalidations that it waits for.
    pub fn complete(&mut self, issuer: usize, kind: DsbKind, memory: &Memory) {
        self.runs.retain_mut(|mixed| {
            if !mixed.owed.completed_by(issuer, kind) {
                return true;
            }
            mixed.owed = Owed::default();
            mixed.left = mixed.disagreement(memory);
            mixed.left.is_some()
        });
    }

    /// Runs that are mixed for good, as far as anybody can tell now.
    pub fn left(&self) -> impl Iterator<Item = BbmViolation> {
        self.runs.iter().filter_map(|mixed| mixed.left)
    }
}

impl Mixed {
    fn holds(&self, slot: u64) -> bool {
        slot.wrapping_sub(self.run) < self.members * 8
    }

    /// A member whose write permission is another than that of the one changed last.
    fn disagreement(&self, memory: &Memory) -> Option<BbmViolation> {
        let Member {
            core,
            entry,
            big_endian,
        } = self.last;
        let read = |slot| {
            let word = memory.word(slot);
            Descriptor(if big_endian { word.swap_bytes() } else { word })
        };
        let new = read(entry.slot);
        let live = |value: &Descriptor| value.valid() && value.contiguous();
        let old = (0..self.members)
            .map(|index| read(self.run + index * 8))
            .filter(live)
            .find(|&value| write_permission(value) != write_permission(new))?;
        live(&new).then_some(BbmViolation {
            core,
            slot: entry.slot,
            va: entry.base,
            level: entry.level,
            old,
            new,
            reason: "write permission of a contiguous run left mixed by a completed invalidation",
        })
    }
}

/// Whether stores are permitted, now or after marking the page dirty, and which of both.
pub(super) const fn write_permission(leaf: Descriptor) -> (bool, bool) {
    (leaf.dbm(), !leaf.dbm() && leaf.ap_read_only())
}
