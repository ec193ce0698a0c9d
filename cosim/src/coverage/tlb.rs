// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries: fills by leaf and source, and what each operation meets where it takes effect.

use vmsa::{Tlbi, VaRange};

use super::axis;
use super::collector::Collector;
use super::entry::Entry;
use super::group::GroupId;
use super::state::{Operation, Regs, SLOTS};
use super::walk::purpose_of;
use crate::dut::ports::{Invalidation, TlbFill, TlbStructure};

/// Places on [`axis::HELD`].
mod held {
    pub(super) const GLOBAL: usize = 3;
    pub(super) const L2: usize = 4;
    pub(super) const TABLE: usize = 5;
}

impl Collector {
    pub(super) fn filled(&mut self, number: u8, change: &TlbFill) {
        let keeps_overlaps = self.straps.conflict_abort;
        let asid8 = self.straps.asid8;
        let core = self.core(number);
        let range = VaRange::of(change.va);
        // Prefetches follow their access closely, and registers stay while a walk is under way.
        let granule = core.performed.granule(range);
        let purpose = purpose_of(change.instruction, change.prefetch);
        let (structure, index) = (change.structure, usize::from(change.index));
        let shape = axis::shape(granule, change.level, change.contiguous);
        let from_walk = core
            .walks
            .iter()
            .filter(|walk| walk.instruction == change.instruction)
            .filter(|walk| (walk.va ^ change.va) & change.mask & ((1 << 56) - (1 << 12)) == 0)
            .max_by_key(|walk| (walk.id == change.id, walk.prefetch == change.prefetch))
            .and_then(|walk| match structure {
                TlbStructure::WalkCache => walk.reads[usize::from(change.level & 3)],
                _ => walk.reads[usize::from(walk.last?)],
            })
            .map(|read| read.address);
        let mut entry = Entry::new(change, granule, from_walk.unwrap_or(0));
        if change.from_l2 {
            let asid = core.performed.asid(asid8);
            let copied = core.entries(TlbStructure::L2).iter();
            let copied = copied
                .filter(|held| held.translates(change.va, asid))
                .max_by_key(|held| held.live);
            entry.descriptor = copied.map_or((0, 0), |held| held.descriptor);
        }
        let first = matches!(structure, TlbStructure::Itlb | TlbStructure::Dtlb);
        let mut displaced = 0usize;
        for old in core.entries_mut(structure) {
            let goes = first && !keeps_overlaps || old.span_is(&entry);
            if old.live && goes && old.overlaps(&entry) {
                old.live = false;
                if change.count > 0 {
                    displaced |= 1 << axis::size_class(old.level, old.run);
                }
            }
        }
        let entries = core.entries_mut(structure);
        if entries.len() <= index {
            entries.resize(index + 1, Entry::default());
        }
        entries[index] = entry;
        if first && !change.prefetch {
            core.flight(change.id).leaf = shape;
        }
        match (structure, shape) {
            (TlbStructure::WalkCache, _) => {
                let granule = axis::granule(granule);
                self.hit(
                    GroupId::FillTable,
                    &[granule, usize::from(change.level), purpose],
                );
            }
            (TlbStructure::L2, Some(shape)) => self.hit(GroupId::FillL2, &[shape, purpose]),
            (_, Some(shape)) => {
                let side = usize::from(structure == TlbStructure::Dtlb);
                self.hit(GroupId::FillL1, &[side, shape, usize::from(change.from_l2)]);
                let new = axis::size_class(change.level, change.contiguous);
                for old in (0..3).filter(|old| displaced >> old & 1 == 1) {
                    self.hit(GroupId::Displaced, &[side, new, old]);
                }
            }
            (_, None) => {}
        }
    }

    pub(super) fn invalidated(&mut self, cycle: u64, number: u8, change: &Invalidation) {
        let operation = if change.local {
            self.core(number).local.pop_front()
        } else {
            self.takes_effect(cycle, number, change.source, change.tag)
        };
        let by = match (change.local, change.source == number) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        for slot in 0..SLOTS {
            if change.cancelled >> slot & 1 == 1 {
                self.cancel(number, slot, by);
            }
        }
        if let Some(operation) = operation {
            self.meets_entries(number, &operation, change);
        } else {
            self.core(number).in_l2.push_back(None);
        }
    }

    /// What `operation` does to the entries of a core. Entries that it names go by definition; they
    /// count as removed if the hardware reports removals there.
    fn meets_entries(&mut self, number: u8, operation: &Operation, change: &Invalidation) {
        let tlbi = &operation.tlbi;
        let at = (axis::operation(tlbi.op), tlbi.scope as usize);
        let range = tlbi.range().and_then(|range| Some((range.granule?, range)));
        if let Some((granule, _)) = range {
            let scale = (tlbi.operand >> 44 & 3) as usize;
            self.hit(GroupId::Range, &[at.0, axis::granule(granule), scale]);
        }
        let (mut fates, mut hints, mut positions) = ([[false; 2]; 6], [false; 4], [[false; 6]; 2]);
        let structures = [
            TlbStructure::Itlb,
            TlbStructure::Dtlb,
            TlbStructure::L2,
            TlbStructure::WalkCache,
        ];
        let core = self.core(number);
        let mut named_in_l2 = false;
        for structure in structures {
            for entry in core.entries_mut(structure) {
                if !entry.live {
                    continue;
                }
                let named = entry.named_by(tlbi, operation.asid_mask);
                if named && !entry.table && tlbi.op.by_va() {
                    hints[entry.hint(tlbi)] = true;
                }
                if let Some((granule, range)) = range
                    && !entry.table
                    && axis::granule(granule) == entry.granule
                    && let Some(place) = entry.place_in_range(range.start, range.bytes)
                {
                    positions[usize::from(structure == TlbStructure::L2)][place] = true;
                }
                // The second level honours the hints of single forms (TLBI-17).
                let spared = structure == TlbStructure::L2
                    && tlbi.range().is_none()
                    && tlbi.op.by_va()
                    && entry.hint(tlbi) > 1;
                let class = match structure {
                    TlbStructure::WalkCache => held::TABLE,
                    TlbStructure::L2 => held::L2,
                    _ => axis::size_class(entry.level, entry.run),
                };
                let first = class < held::GLOBAL;
                match (named, structure) {
                    (true, TlbStructure::L2) if !spared => named_in_l2 = true,
                    (true, TlbStructure::L2) => continue,
                    (true, TlbStructure::WalkCache) if change.wc_count > 0 => {
                        fates[class][0] = true;
                    }
                    (true, _) if first && change.l1_count > 0 => {
                        fates[class][0] = true;
                        fates[held::GLOBAL][0] |= entry.global;
                    }
                    (true, _) => {}
                    (false, _) => {
                        fates[class][1] = true;
                        fates[held::GLOBAL][1] |= first && entry.global;
                    }
                }
                if named {
                    entry.live = false;
                }
            }
        }
        core.in_l2.push_back(named_in_l2.then_some(at));
        for (held, fates) in fates.iter().enumerate() {
            for fate in (0..2).filter(|&fate| fates[fate]) {
                self.hit(GroupId::Tlbi, &[at.0, at.1, held, fate]);
            }
        }
        for hint in (0..4).filter(|&hint| hints[hint]) {
            self.hit(GroupId::Hint, &[at.0, hint]);
        }
        if let Some((granule, _)) = range {
            for (tlb, places) in positions.iter().enumerate() {
                for place in (0..6).filter(|&place| places[place]) {
                    self.hit(GroupId::RangePlace, &[tlb, axis::granule(granule), place]);
                }
            }
        }
    }

    /// The second level is done with the oldest operation at work in it.
    pub(super) fn l2_invalidated(&mut self, number: u8, count: u16) {
        if let Some(Some((op, scope))) = self.core(number).in_l2.pop_front()
            && count > 0
        {
            self.hit(GroupId::Tlbi, &[op, scope, held::L2, 0]);
        }
    }

    /// The special operands of a range form, as it is issued.
    pub(super) fn range_form(&mut self, tlbi: &Tlbi, regs: &Regs) {
        let Some(range) = tlbi.range() else { return };
        let Some(granule) = range.granule else {
            self.hit(GroupId::RangeForm, &[0]);
            return;
        };
        let (num, scale) = (tlbi.operand >> 39 & 31, tlbi.operand >> 44 & 3);
        let whole = vmsa::RangeOperand::pages(scale as u8, num as u8) << granule.shift();
        let half = VaRange::of(range.start);
        let forms = [
            regs.granule(half) != granule,
            half == VaRange::Upper,
            range.bytes < whole,
            num == 0 && scale == 0,
            num == 31 && scale == 3,
        ];
        for (place, _) in forms.iter().enumerate().filter(|(_, holds)| **holds) {
            self.hit(GroupId::RangeForm, &[place + 1]);
        }
    }
}
