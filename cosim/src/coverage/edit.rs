// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Writes to descriptors: what changes, where the old descriptor is held, and which walk is about to
//! use it.

use vmsa::{Descriptor, Granule, geometry};

use super::collector::Collector;
use super::group::GroupId;
use super::groups::declares_edit;
use super::state::Walk;
use super::walk::update;
use crate::dut::ports::{CommitKind, TlbStructure};

/// Places on the axis of edits.
mod kind {
    pub(super) const MAKE: usize = 0;
    pub(super) const BREAK: usize = 1;
    pub(super) const MOVE: usize = 2;
    pub(super) const RELAX: usize = 3;
    pub(super) const RESTRICT: usize = 4;
    pub(super) const AF_CLEAR: usize = 5;
    pub(super) const AF_SET: usize = 6;
    pub(super) const CLEAN: usize = 7;
    pub(super) const DIRTY: usize = 8;
    pub(super) const CONTIGUOUS_SET: usize = 9;
    pub(super) const CONTIGUOUS_CLEAR: usize = 10;
    pub(super) const NG: usize = 11;
    pub(super) const ATTRIBUTES: usize = 12;
    pub(super) const SPLIT: usize = 13;
    pub(super) const LINK: usize = 14;
    pub(super) const UNLINK: usize = 15;
    pub(super) const RELINK: usize = 16;
    pub(super) const LIMITS: usize = 17;
    pub(super) const JOIN: usize = 18;
}

/// Places on the axis of states.
mod state {
    pub(super) const NOWHERE: usize = 0;
    pub(super) const L2_ONLY: usize = 1;
    pub(super) const L1_OF_ONE: usize = 2;
    pub(super) const L1_OF_MANY: usize = 3;
    pub(super) const WALK_CACHE: usize = 4;
    pub(super) const WALK_READING: usize = 5;
    pub(super) const WALK_READ: usize = 6;
}

/// What a descriptor is to a walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Invalid,
    Leaf,
    Table,
}

fn entry(value: Descriptor, granule: Granule, level: u8) -> Entry {
    let page = level == geometry::FINAL_LEVEL;
    if Walk::is_table(value, level) {
        Entry::Table
    } else if value.valid()
        && value.is_table_bit() == page
        && geometry::leaf_allowed(granule, level)
    {
        Entry::Leaf
    } else {
        Entry::Invalid
    }
}

/// The edits that turn `before` into `after`, one bit each.
fn edits(before: Descriptor, after: Descriptor, granule: Granule, level: u8) -> u32 {
    let one = |kind: usize| 1u32 << kind;
    match (entry(before, granule, level), entry(after, granule, level)) {
        (Entry::Invalid, Entry::Invalid) => 0,
        (Entry::Invalid, Entry::Leaf) => one(kind::MAKE),
        (Entry::Leaf, Entry::Invalid) => one(kind::BREAK),
        (Entry::Leaf, Entry::Table) => one(kind::SPLIT),
        (Entry::Invalid, Entry::Table) => one(kind::LINK),
        (Entry::Table, Entry::Invalid) => one(kind::UNLINK),
        (Entry::Table, Entry::Leaf) => one(kind::JOIN),
        (Entry::Table, Entry::Table) => {
            let moved = before.next_table(granule) != after.next_table(granule);
            one(if moved { kind::RELINK } else { kind::LIMITS })
        }
        (Entry::Leaf, Entry::Leaf) => changes(before, after, granule, level),
    }
}

/// What a write changes in a leaf that stays one.
fn changes(before: Descriptor, after: Descriptor, granule: Granule, level: u8) -> u32 {
    let dirties = before.dbm() && after.dbm();
    let more = |was: bool, is: bool| is && !was;
    let read_only = (before.ap_read_only(), after.ap_read_only());
    let el0 = (before.ap_el0(), after.ap_el0());
    let never = [
        (before.pxn(), after.pxn()),
        (before.uxn(), after.uxn()),
        (read_only.0 && !dirties, read_only.1 && !dirties),
    ];
    let relaxed = never.iter().any(|&(was, is)| more(is, was)) || more(el0.0, el0.1);
    let restricted = never.iter().any(|&(was, is)| more(was, is)) || more(el0.1, el0.0);
    let attributes = |value: Descriptor| (value.attr_index(), value.sh());
    let found = [
        (
            kind::MOVE,
            before.output_address(granule, level) != after.output_address(granule, level),
        ),
        (kind::RELAX, relaxed),
        (kind::RESTRICT, restricted),
        (kind::AF_CLEAR, more(after.af(), before.af())),
        (kind::AF_SET, more(before.af(), after.af())),
        (kind::CLEAN, dirties && more(read_only.0, read_only.1)),
        (kind::DIRTY, dirties && more(read_only.1, read_only.0)),
        (
            kind::CONTIGUOUS_SET,
            more(before.contiguous(), after.contiguous()),
        ),
        (
            kind::CONTIGUOUS_CLEAR,
            more(after.contiguous(), before.contiguous()),
        ),
        (kind::NG, before.ng() != after.ng()),
        (kind::ATTRIBUTES, attributes(before) != attributes(after)),
    ];
    found
        .iter()
        .filter(|(_, holds)| *holds)
        .fold(0, |all, (kind, _)| all | 1 << kind)
}

impl Collector {
    pub(super) fn committed(
        &mut self,
        source: u8,
        writer: CommitKind,
        address: u64,
        before: u64,
        after: u64,
    ) {
        let Some(page) = self.tables.get(&(address >> 12)).copied() else {
            return;
        };
        let decode = |word: u64| {
            Descriptor(if page.swapped {
                word.swap_bytes()
            } else {
                word
            })
        };
        let (before, after) = (decode(before), decode(after));
        self.races(source, writer, address, before, after);
        if writer != CommitKind::Update {
            let edits = edits(before, after, page.granule, page.level);
            if edits != 0 {
                self.edited(edits, address);
            }
        }
    }

    /// Marks the walks under way that have read the descriptor. An update of its own walk is none.
    fn races(
        &mut self,
        source: u8,
        writer: CommitKind,
        address: u64,
        before: Descriptor,
        after: Descriptor,
    ) {
        let kind = match writer {
            CommitKind::Store => 0,
            CommitKind::Cas => 1,
            CommitKind::Update => 2,
            CommitKind::Backdoor => 3,
        };
        let mut own_update = writer == CommitKind::Update;
        for number in 0..self.cores.len() {
            let own = number == usize::from(source);
            let mut overtaken = false;
            for walk in self.cores[number].walks.iter_mut().filter(|walk| walk.open) {
                if !walk.has_read(address) {
                    continue;
                }
                let last = walk.last_read().is_some_and(|read| read.address == address);
                if own && own_update && last && walk.committed.is_none() {
                    own_update = false;
                    let dirty = before.ap_read_only() && !after.ap_read_only();
                    walk.committed = update(!before.af() && after.af(), dirty);
                    continue;
                }
                match last {
                    true => walk.raced = Some((kind, usize::from(!own))),
                    false => overtaken = true,
                }
            }
            if overtaken {
                self.hit(GroupId::Race, &[kind, usize::from(!own), 0]);
            }
        }
    }

    fn edited(&mut self, edits: u32, address: u64) {
        let cores = &self.cores;
        let holders = cores.iter().filter(|core| core.first_level_holds(address));
        let (mut reading, mut read, mut table, mut l2) = (false, false, false, false);
        for core in cores {
            for walk in core.open_walks() {
                reading |= walk.reading == address;
                read |= walk.has_read(address);
            }
            l2 |= core.holds(TlbStructure::L2, address);
            table |= core.holds(TlbStructure::WalkCache, address);
        }
        let holders = holders.count();
        let states = [
            (state::L2_ONLY, l2 && holders == 0),
            (state::L1_OF_ONE, holders == 1),
            (state::L1_OF_MANY, holders > 1),
            (state::WALK_CACHE, table),
            (state::WALK_READING, reading),
            (state::WALK_READ, read),
            (
                state::NOWHERE,
                !(l2 || table || reading || read || holders > 0),
            ),
        ];
        for edit in (0..32).filter(|edit| edits >> edit & 1 == 1) {
            // What the page held in another life of the descriptor is none of this edit's business.
            let held = states.iter().filter(|(_, holds)| *holds);
            for at in held.map(|(state, _)| [edit, *state]) {
                if declares_edit(&at) {
                    self.hits.hit(GroupId::Edit, &at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_edit_is_told_by_what_changes() {
        let page = Descriptor::leaf(Granule::K4, 3, 0x8000_0000).with_af(true);
        let table = Descriptor::table(0x5000_1000);
        let block = Descriptor::leaf(Granule::K4, 2, 0x8000_0000).with_af(true);
        let cases = [
            (3, Descriptor(0), page, kind::MAKE),
            (3, page, Descriptor(0), kind::BREAK),
            (3, page, page.with_af(false), kind::AF_CLEAR),
            (3, page.with_af(false), page, kind::AF_SET),
            (3, page, page.with_ap_read_only(true), kind::RESTRICT),
            (3, page.with_uxn(true), page, kind::RELAX),
            (3, page, page.with_ap_el0(true), kind::RELAX),
            (
                3,
                page.with_dbm(true),
                page.with_dbm(true).with_ap_read_only(true),
                kind::CLEAN,
            ),
            (
                3,
                page.with_dbm(true).with_ap_read_only(true),
                page.with_dbm(true),
                kind::DIRTY,
            ),
            (3, page, page.with_contiguous(true), kind::CONTIGUOUS_SET),
            (3, page.with_contiguous(true), page, kind::CONTIGUOUS_CLEAR),
            (3, page, page.with_ng(true), kind::NG),
            (3, page, page.with_attr_index(2), kind::ATTRIBUTES),
            (3, page, Descriptor(page.0 + 0x1000), kind::MOVE),
            (2, block, table, kind::SPLIT),
            (2, table, block, kind::JOIN),
            (2, Descriptor(0), table, kind::LINK),
            (2, table, Descriptor(0), kind::UNLINK),
            (2, table, Descriptor::table(0x5000_2000), kind::RELINK),
            (2, table, table.with_pxn_table(true), kind::LIMITS),
        ];
        for (level, before, after, kind) in cases {
            let found = edits(before, after, Granule::K4, level);
            assert_eq!(found, 1 << kind, "{before:?} -> {after:?}");
        }
        assert_eq!(edits(Descriptor(0), Descriptor(2), Granule::K4, 3), 0);
    }
}
