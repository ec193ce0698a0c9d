// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A copy of one TLB, kept from its events: which entries are there, which must be gone.

use std::collections::VecDeque;
use std::fmt;

use bitvec::prelude::BitVec;
use vmsa::{Tlbi, TlbiOp};

use crate::check::registers::Registers;
use crate::dut::ports::TlbEvent;

/// Replaced entries remembered: an access may have looked up just before the replacement.
const PAST: usize = 32;
/// The bit that selects the half of the VA space: an entry always belongs to one (TLB-31).
const HALF: u64 = 1 << 55;
/// Address bits that a lookup may compare: VA\[55:12\].
const VA_BITS: u64 = (1 << 56) - (1 << 12);

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    va: u64,
    mask: u64,
    pa: u64,
    leaf_bytes: u64,
    level: u8,
    /// ASID that the entry belongs to.
    pub asid: u16,
    /// Whether it matches under every ASID.
    pub global: bool,
    filled_at: u64,
    read_at: u64,
    left_at: u64,
    /// First issue cycle of the accesses that it must not serve any more.
    dead_from: u64,
    /// Core whose TLBI named it.
    doomed_by: Option<u8>,
}

impl Entry {
    /// The entry of a fill at cycle `filled_at` from a descriptor read at cycle `read_at` that maps
    /// `leaf_bytes`.
    pub fn new(change: &TlbEvent, filled_at: u64, read_at: u64, leaf_bytes: u64) -> Self {
        Self {
            va: change.va,
            mask: change.mask & VA_BITS | HALF,
            pa: change.pa,
            leaf_bytes,
            level: change.level,
            asid: change.asid,
            global: change.global,
            filled_at,
            read_at,
            left_at: u64::MAX,
            dead_from: u64::MAX,
            doomed_by: None,
        }
    }

    /// Bytes that the entry translates.
    fn span(&self) -> u64 {
        1 << self.mask.trailing_zeros()
    }

    /// Whether it came from a contiguous run.
    pub fn is_run(&self) -> bool {
        self.span() > self.leaf_bytes
    }

    fn covers(&self, va: u64) -> bool {
        (self.va ^ va) & self.mask == 0
    }

    fn overlaps(&self, other: &Entry) -> bool {
        (self.va ^ other.va) & self.mask & other.mask == 0
            && (self.global || other.global || self.asid == other.asid)
    }

    /// Whether it must not serve an access issued at `issued_at`.
    pub fn dead_for(&self, issued_at: u64) -> bool {
        issued_at > self.dead_from
    }

    /// Output address of `va`.
    pub fn translate(&self, va: u64) -> u64 {
        self.pa + (va & (self.span() - 1))
    }

    /// Whether the operation must remove it (vmsa.md 11.2). A fragment of a leaf goes with any VA of
    /// the leaf (TLB-33).
    pub fn named_by(&self, tlbi: &Tlbi, registers: &Registers, asid8: bool) -> bool {
        let reach = self.mask & !(self.leaf_bytes.wrapping_sub(1));
        let va = || (self.va ^ (tlbi.operand << 12)) & reach == 0 && self.hinted(tlbi);
        let asid = || registers.names_asid((tlbi.operand >> 48) as u16, self.asid, asid8);
        match tlbi.op {
            TlbiOp::Vmalle1 => true,
            TlbiOp::Aside1 => !self.global && asid(),
            TlbiOp::Vae1 | TlbiOp::Vale1 => va() && (self.global || asid()),
            TlbiOp::Vaae1 | TlbiOp::Vaale1 => va(),
        }
    }

    /// Whether the level hint leaves the duty in place (section 11.1).
    fn hinted(&self, tlbi: &Tlbi) -> bool {
        let ttl = tlbi.operand >> 44 & 0xf;
        let level = (ttl & 3) as u8;
        let leaf_shift = |granule: u32| granule + (granule - 3) * u32::from(3 - level);
        let granule = match ttl >> 2 {
            1 => 12,
            2 => 14,
            3 => 16,
            _ => return true,
        };
        let reserved = level == 0 || level == 1 && granule == 14;
        reserved || level == self.level && self.leaf_bytes == 1 << leaf_shift(granule)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = self.span() / 1024;
        write!(
            f,
            "{:#018x} ({kib} KiB) -> {:#014x} of cycle {}",
            self.va, self.pa, self.filled_at
        )
    }
}

/// One TLB.
#[derive(Debug, Default)]
pub struct Mirror {
    slots: Vec<Option<Entry>>,
    /// Slots whose entry is there unless an operation removed it: no later fill overlapped it.
    certain: BitVec,
    /// Slots whose entry a TLBI named: it may serve only accesses that precede the DSB.
    doomed: BitVec,
    past: VecDeque<Entry>,
}

impl Mirror {
    /// Puts `entry` in slot `index`; what was there is gone from `cycle` on.
    pub fn fill(&mut self, index: u8, entry: Entry, cycle: u64) {
        let index = usize::from(index);
        if self.slots.len() <= index {
            self.slots.resize(index + 1, None);
            self.certain.resize(index + 1, false);
            self.doomed.resize(index + 1, false);
        }
        // The hardware may drop what a fill overlaps (TLB-29); an access in flight may have used it.
        for overlapped in self.certain.clone().iter_ones() {
            if self.slots[overlapped].is_some_and(|old| old.overlaps(&entry)) {
                self.certain.set(overlapped, false);
            }
        }
        if let Some(mut old) = self.slots[index].replace(entry) {
            old.left_at = cycle;
            if self.past.len() == PAST {
                self.past.pop_front();
            }
            self.past.push_back(old);
        }
        self.certain.set(index, true);
        self.doomed.set(index, false);
    }

    /// Dooms what an operation of core `by` issued at `issued_at` names, and returns how many of
    /// these were surely there. What was read from memory since then is new enough to stay.
    pub fn doom(&mut self, issued_at: u64, by: u8, named: impl Fn(&Entry) -> bool) -> u64 {
        let mut due = 0;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(entry) = slot else { continue };
            if !named(entry) {
                continue;
            }
            if entry.read_at >= issued_at {
                // It may have come before the operation took effect, and be gone.
                self.certain.set(index, false);
                continue;
            }
            if self.certain[index] && !self.doomed[index] {
                due += 1;
            }
            entry.doomed_by = Some(by);
            self.doomed.set(index, true);
            self.certain.set(index, false);
        }
        due
    }

    /// A DSB of core `by` completed: what its operations named serves no access issued after `from`.
    pub fn bury(&mut self, by: u8, from: u64) {
        for index in self.doomed.iter_ones() {
            if let Some(entry) = &mut self.slots[index]
                && entry.doomed_by == Some(by)
            {
                entry.dead_from = entry.dead_from.min(from);
            }
        }
    }

    /// The entries that cover `va` and were there at some instant since `issued_at`.
    pub fn serving(&self, va: u64, issued_at: u64) -> impl Iterator<Item = &Entry> {
        let past = self
            .past
            .iter()
            .filter(move |entry| entry.left_at >= issued_at);
        self.slots
            .iter()
            .flatten()
            .chain(past)
            .filter(move |entry| entry.covers(va))
    }
}
