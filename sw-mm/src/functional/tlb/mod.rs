// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a core remembers of descriptors, as stubbornly as the architecture allows.
//!
//! Nothing is ever dropped for lack of room, the oldest entry wins a lookup, an invalidation takes
//! effect only when the barrier after it completes, and what it doomed serves until then.

pub(super) mod chains;
mod entry;
pub(super) mod named;
#[cfg(test)]
mod reference;
pub(super) mod spans;

pub(super) use entry::{Entry, Limits, Owed};

use chains::Chains;
use named::Named;
use spans::Spans;
use vmsa::{DsbKind, Tlbi, VaRange};

/// An entry in its place.
#[derive(Debug)]
struct Held {
    entry: Entry,
    /// Age: entries are numbered from 1; 0 is a free place.
    number: u64,
}

/// One answer of the leaf lookup. A fill never changes an answer, because the oldest entry wins, so it
/// holds as long as the entry is there.
#[derive(Clone, Copy, Debug, Default)]
struct Hot {
    page: u64,
    asid: u16,
    place: u32,
    number: u64,
}

const HOT: usize = 1024;

/// Every entry of one core.
#[derive(Debug)]
pub(super) struct Tlb {
    held: Vec<Held>,
    free: Vec<u32>,
    /// Number of the youngest entry so far.
    youngest: u64,
    named: Named,
    /// Leaf entries by the address of their descriptor.
    slots: Chains,
    /// Leaf entries of the lower range, and table entries of both, by what they lead to.
    outputs: Spans,
    /// Place and number of entries that an invalidation under way removes. Some may be gone.
    doomed: Vec<(u32, u64)>,
    hot: Box<[Hot; HOT]>,
    scratch: Vec<u32>,
}

impl Default for Tlb {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            free: Vec::new(),
            youngest: 0,
            named: Named::default(),
            slots: Chains::default(),
            outputs: Spans::default(),
            doomed: Vec::new(),
            hot: Box::new([Hot::default(); HOT]),
            scratch: Vec::new(),
        }
    }
}

/// Whether [`Tlb::leading_to`] shall find it: the linear map of the upper range shows all memory.
fn traced(entry: &Entry) -> bool {
    !entry.leaf || entry.range == VaRange::Lower
}

impl Tlb {
    /// Adds an entry, unless one that is there to stay says the same.
    pub fn fill(&mut self, entry: Entry) {
        let same = |place: u32| {
            let e = &self.held[place as usize].entry;
            e.doomed.none()
                && (e.base, e.bytes, e.slot) == (entry.base, entry.bytes, entry.slot)
                && (e.asid, e.descriptor, e.limits) == (entry.asid, entry.descriptor, entry.limits)
        };
        let there = match entry.leaf {
            true => self.named.leaves_at(entry.base).any(same),
            false => self.named.tables_at(entry.base).any(same),
        };
        if there {
            return;
        }
        self.youngest += 1;
        let held = Held {
            entry,
            number: self.youngest,
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.held[place as usize] = held;
                place
            }
            None => {
                self.held.push(held);
                self.held.len() as u32 - 1
            }
        };
        self.named.insert(place, &entry);
        if entry.leaf {
            self.slots.insert(place, entry.slot);
        }
        if traced(&entry) {
            let (base, bytes) = (entry.output(), entry.output_bytes());
            self.outputs.insert(place, base, bytes);
        }
        if !entry.doomed.none() {
            self.doomed.push((place, self.youngest));
        }
    }

    fn remove(&mut self, place: u32) {
        let held = &mut self.held[place as usize];
        held.number = 0;
        let entry = &held.entry;
        self.named.remove(place, entry);
        if entry.leaf {
            self.slots.remove(place);
        }
        if traced(entry) {
            self.outputs.remove(place, entry.output_bytes());
        }
        self.free.push(place);
    }

    /// The oldest leaf entry for `va`.
    pub fn leaf(&mut self, range: VaRange, va: u64, asid: u16) -> Option<&Entry> {
        let page = va >> 12;
        let index = (page ^ (page >> 10) ^ (u64::from(asid) * 0x9d)) as usize % HOT;
        let hot = self.hot[index];
        let answers = hot.page == page && hot.asid == asid && hot.number != 0;
        if answers && self.held[hot.place as usize].number == hot.number {
            return Some(&self.held[hot.place as usize].entry);
        }
        let serves = |&place: &u32| self.held[place as usize].entry.serves(range, va, asid);
        let place = self.oldest(self.named.leaves_at(va).filter(serves))?;
        let held = &self.held[place as usize];
        self.hot[index] = Hot {
            page,
            asid,
            place,
            number: held.number,
        };
        Some(&held.entry)
    }

    /// The deepest table entry for `va`, the oldest of that level.
    pub fn table(&self, range: VaRange, va: u64, asid: u16) -> Option<&Entry> {
        let held = |place: u32| &self.held[place as usize];
        self.named
            .tables_at(va)
            .filter(|&place| held(place).entry.serves(range, va, asid))
            .map(held)
            .max_by_key(|held| (held.entry.level, std::cmp::Reverse(held.number)))
            .map(|held| &held.entry)
    }

    fn oldest(&self, places: impl Iterator<Item = u32>) -> Option<u32> {
        places.min_by_key(|&place| self.held[place as usize].number)
    }

    /// Forgets the leaf entries formed from `slot`: a hardware update found other contents there.
    pub fn drop_slot(&mut self, slot: u64) {
        let mut places = std::mem::take(&mut self.scratch);
        places.extend(self.slots.of(slot));
        for place in places.drain(..) {
            self.remove(place);
        }
        self.scratch = places;
    }

    /// Marks what `op` of core `issuer` removes and puts the addresses whose walks had filled entries
    /// of `current`, the ASID in force, into `lost`, that of the oldest entry first.
    pub fn doom(&mut self, op: Tlbi, asid: u16, issuer: usize, current: u16, lost: &mut Vec<u64>) {
        let mut places = std::mem::take(&mut self.scratch);
        self.named.candidates(op, asid, &mut places);
        places.retain(|&place| self.held[place as usize].entry.removed_by(op, asid));
        places.sort_unstable_by_key(|&place| self.held[place as usize].number);
        for place in places.drain(..) {
            let Held { entry, number } = &mut self.held[place as usize];
            if entry.doomed.none() {
                self.doomed.push((place, *number));
            }
            entry.doomed.mark(issuer, op.scope);
            if entry.asid == current && lost.last() != Some(&entry.filled_for) {
                lost.push(entry.filled_for);
            }
        }
        self.scratch = places;
    }

    /// The barrier `kind` of core `issuer` completed: what the invalidations marked that it waits for
    /// is gone.
    pub fn complete(&mut self, issuer: usize, kind: DsbKind) {
        let mut doomed = std::mem::take(&mut self.doomed);
        doomed.retain(|&(place, number)| {
            let held = &self.held[place as usize];
            if held.number != number {
                return false;
            }
            let completed = held.entry.doomed.completed_by(issuer, kind);
            if completed {
                self.remove(place);
            }
            !completed
        });
        self.doomed = doomed;
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> Vec<&Entry> {
        self.by_age(self.named.members().to_vec())
    }

    /// Leaf entries that match one of the `bytes` bytes at `va`. Oldest first.
    pub fn leaves_over(&self, va: u64, bytes: u64) -> Vec<&Entry> {
        if bytes == 0 {
            return Vec::new();
        }
        let mut found = self.by_age(self.named.leaves_over(va, bytes));
        found.retain(|e| {
            let reaches = va.wrapping_sub(e.base) < e.bytes || e.base.wrapping_sub(va) < bytes;
            e.leaf && reaches
        });
        found
    }

    /// Entries that lead to one of the `bytes` bytes at `pa`: leaves of the lower range, and tables of
    /// both. Oldest first.
    pub fn leading_to(&self, pa: u64, bytes: u64) -> Vec<&Entry> {
        if bytes == 0 {
            return Vec::new();
        }
        let all = self.named.members();
        if self.outputs.looks(pa, bytes) <= all.len() as u64 {
            return self.by_age(self.outputs.overlapping(pa, bytes).collect());
        }
        let mut found = self.by_age(all.to_vec());
        found.retain(|e| {
            let (base, size) = (e.output(), e.output_bytes());
            traced(e) && base < pa.saturating_add(bytes) && pa < base.saturating_add(size)
        });
        found
    }

    fn by_age(&self, mut places: Vec<u32>) -> Vec<&Entry> {
        places.sort_unstable_by_key(|&place| self.held[place as usize].number);
        let entry = |&place: &u32| &self.held[place as usize].entry;
        places.iter().map(entry).collect()
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.named.members().len()
    }
}
