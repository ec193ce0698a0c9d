// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Watches descriptor writes for changes that skip break-before-make (section 12.1).
//!
//! A slot is watched once a walk has read a valid descriptor there, because from then on a TLB may
//! hold it. It is let go when an invalidation that covers it was issued while the slot was invalid,
//! and a full barrier completed. A valid value stored before that is judged against the last one.
//! The judgement is written here anew, so that it does not share a mistake with the OS.

use super::tlb::{Entry, Owed};
use std::collections::BTreeMap;
use std::fmt;
use vmsa::{Descriptor, DsbKind, Tlbi, geometry};

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
}

/// Members of the longest contiguous run there is.
const LONGEST_RUN: u64 = 128;

/// All watched slots by address.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    slots: BTreeMap<u64, Watched>,
    pub violations: Vec<BbmViolation>,
}

impl Monitor {
    /// A walk read the valid descriptor of `entry`, which covers no more than the descriptor itself.
    pub fn seen(&mut self, entry: &Entry) {
        let same = |w: &Watched| {
            w.entry.descriptor == entry.descriptor && w.entry.asid == entry.asid && !w.broken
        };
        if !self.slots.get(&entry.slot).is_some_and(same) {
            let watched = Watched {
                entry: *entry,
                broken: false,
                invalidated: Owed::default(),
            };
            self.slots.insert(entry.slot, watched);
        }
    }

    /// A word changed in memory. `big_endian`: how its core stores descriptors.
    pub fn commit(&mut self, change: Change, big_endian: bool) {
        let raw = if big_endian {
            change.new.swap_bytes()
        } else {
            change.new
        };
        let new = Descriptor(raw);
        if new.valid()
            && let Some((entry, reason)) = self.judge(change.slot, new)
        {
            self.violations.push(BbmViolation {
                core: change.core,
                slot: change.slot,
                va: entry.base,
                level: entry.level,
                old: entry.descriptor,
                new,
                reason,
            });
        }
        if let Some(watched) = self.slots.get_mut(&change.slot) {
            watched.broken = !new.valid();
            watched.invalidated = Owed::default();
            if new.valid() {
                let entry = &mut watched.entry;
                entry.descriptor = new;
                entry.leaf = entry.level == geometry::FINAL_LEVEL || !new.is_table_bit();
            }
        }
    }

    /// What a TLB may still hold that forbids storing the valid `new`, and why.
    fn judge(&self, slot: u64, new: Descriptor) -> Option<(Entry, &'static str)> {
        let own = self.slots.get(&slot).and_then(|watched| {
            needs_break(&watched.entry, new).map(|reason| (watched.entry, reason))
        });
        own.or_else(|| self.torn_run(slot, new))
    }

    /// Another member of the contiguous run around `slot` may still be cached, for the whole run, and
    /// disagrees with `new`. The entry returned is what it says about `slot`.
    fn torn_run(&self, slot: u64, new: Descriptor) -> Option<(Entry, &'static str)> {
        let near = slot.saturating_sub(LONGEST_RUN * 8)..slot + LONGEST_RUN * 8;
        self.slots.range(near).find_map(|(&other, watched)| {
            let mut entry = watched.entry;
            let members = u64::from(geometry::contiguous_run(entry.granule, entry.level)?);
            let same_run = (slot ^ other) / 8 < members;
            if other == slot || !same_run || !entry.descriptor.contiguous() {
                return None;
            }
            let bytes = geometry::level_bytes(entry.granule, entry.level) as i64;
            let distance = (slot as i64 - other as i64) / 8 * bytes;
            entry.base = entry.base.wrapping_add_signed(distance);
            entry.descriptor = Descriptor(entry.descriptor.0.wrapping_add_signed(distance));
            (state_free(entry.descriptor) != state_free(new)).then_some((
                entry,
                "another member of the contiguous run may still be cached",
            ))
        })
    }

    /// Core `issuer` issued `op`; `asid` is the operand's, cut to the bits in use.
    pub fn invalidate(&mut self, op: Tlbi, asid: u16, issuer: usize) {
        for watched in self.slots.values_mut() {
            if watched.broken && watched.entry.removed_by(op, asid) {
                watched.invalidated.mark(issuer, op.scope);
            }
        }
    }

    /// The barrier `kind` of core `issuer` completed the invalidations that it waits for.
    pub fn complete(&mut self, issuer: usize, kind: DsbKind) {
        self.slots
            .retain(|_, w| !w.invalidated.completed_by(issuer, kind));
    }
}

/// Why replacing `entry`'s descriptor by the valid `new` needs the sequence.
fn needs_break(entry: &Entry, new: Descriptor) -> Option<&'static str> {
    let (old, granule, level) = (entry.descriptor, entry.granule, entry.level);
    if level < geometry::FINAL_LEVEL && old.is_table_bit() != new.is_table_bit() {
        return Some("block and table replace each other");
    }
    if !entry.leaf {
        return (old.next_table(granule) != new.next_table(granule)).then_some("another table");
    }
    if old.output_address(granule, level) != new.output_address(granule, level) {
        Some("output address")
    } else if old.attr_index() != new.attr_index() || old.sh() != new.sh() {
        Some("memory attributes")
    } else if old.ng() && !new.ng() {
        Some("became global")
    } else if geometry::contiguous_run(granule, level).is_none() {
        None
    } else if old.contiguous() != new.contiguous() {
        Some("contiguous bit")
    } else if old.contiguous() && state_free(old) != state_free(new) {
        Some("attribute of a contiguous run")
    } else {
        None
    }
}

/// The bits that the members of a run have to agree in.
fn state_free(leaf: Descriptor) -> u64 {
    let writable_state = if leaf.dbm() { 1 << Descriptor::AP2 } else { 0 };
    let software = 0xf << Descriptor::SOFTWARE;
    leaf.0 & !(1 << Descriptor::AF | writable_state | software)
}
