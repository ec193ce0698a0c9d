// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries found by what an invalidation names: an address, a range, an ASID, or everything.

use super::chains::Chains;
use super::entry::Entry;
use super::spans::Spans;
use vmsa::{Tlbi, TlbiOp};

/// The entries of a slab, by span and by ASID.
#[derive(Debug, Default)]
pub(in crate::functional) struct Named {
    leaves: Spans,
    tables: Spans,
    asids: Chains,
    members: Vec<u32>,
    /// By member: its index in `members`.
    places: Vec<u32>,
}

impl Named {
    /// Adds `entry`, whose number `member` is not in.
    pub fn insert(&mut self, member: u32, entry: &Entry) {
        let spans = match entry.leaf {
            true => &mut self.leaves,
            false => &mut self.tables,
        };
        spans.insert(member, entry.base, entry.bytes);
        self.asids.insert(member, u64::from(entry.asid));
        if self.places.len() <= member as usize {
            self.places.resize(member as usize + 1, 0);
        }
        self.places[member as usize] = self.members.len() as u32;
        self.members.push(member);
    }

    /// Removes `entry`, as it was inserted, whose number is `member`.
    pub fn remove(&mut self, member: u32, entry: &Entry) {
        let spans = match entry.leaf {
            true => &mut self.leaves,
            false => &mut self.tables,
        };
        spans.remove(member, entry.bytes);
        self.asids.remove(member);
        let place = self.places[member as usize] as usize;
        self.members.swap_remove(place);
        if let Some(&moved) = self.members.get(place) {
            self.places[moved as usize] = place as u32;
        }
    }

    /// All of them, in no particular order.
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// Leaf entries whose span holds `va`.
    pub fn leaves_at(&self, va: u64) -> impl Iterator<Item = u32> {
        self.leaves.at(va)
    }

    /// Leaf entries whose span has a byte in common with the `bytes` bytes, at least one, at `va`, and
    /// perhaps more.
    pub fn leaves_over(&self, va: u64, bytes: u64) -> Vec<u32> {
        if self.leaves.looks(va, bytes) > self.members.len() as u64 {
            return self.members.clone();
        }
        self.leaves.overlapping(va, bytes).collect()
    }

    /// Table entries whose span holds `va`.
    pub fn tables_at(&self, va: u64) -> impl Iterator<Item = u32> {
        self.tables.at(va)
    }

    /// Puts into `found` all that `op` may have the duty to remove, and perhaps more: the entry
    /// decides. `asid` is the operand's, cut to the bits in use.
    pub fn candidates(&self, op: Tlbi, asid: u16, found: &mut Vec<u32>) {
        let tables = !op.op.last_level();
        match (op.op, op.range()) {
            (TlbiOp::Vmalle1, _) => found.extend(&self.members),
            (TlbiOp::Aside1, _) => found.extend(self.asids.of(u64::from(asid))),
            (_, None) => {
                found.extend(self.leaves.at(op.va()));
                if tables {
                    found.extend(self.tables.at(op.va()));
                }
            }
            (_, Some(range)) if range.bytes == 0 => {}
            (_, Some(range)) => {
                let (start, bytes) = (range.start, range.bytes);
                let looks = self.leaves.looks(start, bytes);
                if looks.saturating_add(self.tables.looks(start, bytes)) > self.members.len() as u64
                {
                    found.extend(&self.members);
                    return;
                }
                found.extend(self.leaves.overlapping(start, bytes));
                if tables {
                    found.extend(self.tables.overlapping(start, bytes));
                }
            }
        }
    }
}
