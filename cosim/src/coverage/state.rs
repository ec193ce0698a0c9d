// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the collector remembers of a core: registers, accesses and walks under way, entries,
//! operations on their way.

use std::collections::VecDeque;

use vmsa::{Descriptor, Granule, Sctlr, SysReg, Tcr, Tlbi, Ttbr, VaRange, geometry};

use super::entry::Entry;
use crate::dut::ports::TlbStructure;

/// Concurrent walks that a slot number can name.
pub(super) const SLOTS: usize = 4;
/// Broadcast operations that a tag can name.
const TAGS: usize = 256;

/// The registers that coverage asks about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Regs {
    pub(super) ttbr: [Ttbr; 2],
    pub(super) tcr: Tcr,
    pub(super) sctlr: Sctlr,
}

impl Regs {
    pub(super) fn write(&mut self, register: SysReg, value: u64) {
        match register {
            SysReg::Ttbr0 => self.ttbr[0] = Ttbr(value),
            SysReg::Ttbr1 => self.ttbr[1] = Ttbr(value),
            SysReg::Tcr => self.tcr = Tcr(value),
            SysReg::Sctlr => self.sctlr = Sctlr(value),
            _ => {}
        }
    }

    /// A reserved code selects 4K (section 1.2).
    pub(super) fn granule(&self, range: VaRange) -> Granule {
        self.tcr.granule(range).unwrap_or(Granule::K4)
    }

    /// Bits of an ASID that count (VMSA-11).
    pub(super) fn asid_mask(&self, asid8: bool) -> u16 {
        if asid8 || !self.tcr.asid16() {
            0xff
        } else {
            0xffff
        }
    }

    pub(super) fn asid(&self, asid8: bool) -> u16 {
        self.ttbr[usize::from(self.tcr.a1())].asid() & self.asid_mask(asid8)
    }
}

/// An access on its way, at the place of its id.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flight {
    pub(super) regs: Regs,
    /// Whether it may dirty a page.
    pub(super) writes: bool,
    /// Whether its last walk began below a cached table.
    pub(super) cached_start: bool,
    /// The leaf that its walk or its fill found: place on the axis of leaves.
    pub(super) leaf: Option<usize>,
    /// Address of its last walk if that came to nothing, and the reason on the axis of repeats.
    pub(super) again: Option<(u64, usize)>,
    /// SYNCs that its core had sent when it was issued.
    pub(super) syncs: u64,
}

/// A descriptor that a walk read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Read {
    pub(super) address: u64,
    pub(super) value: Descriptor,
}

/// Who wrote a descriptor: places on the axes of writers and of their cores.
pub(super) type Writer = (usize, usize);

/// A walk, the last one begun in its slot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Walk {
    /// Whether it is under way.
    pub(super) open: bool,
    pub(super) id: u16,
    pub(super) va: u64,
    pub(super) instruction: bool,
    pub(super) prefetch: bool,
    pub(super) writes: bool,
    pub(super) granule: Option<Granule>,
    pub(super) tcr: Tcr,
    /// Whether tables are read in the other byte order.
    pub(super) swapped: bool,
    /// What it read, by level.
    pub(super) reads: [Option<Read>; 4],
    /// Level of its last read.
    pub(super) last: Option<u8>,
    /// Address of the read under way; 0 if there is none.
    pub(super) reading: u64,
    /// Who wrote the last descriptor since it was read.
    pub(super) raced: Option<Writer>,
    /// What its update set, while the answer is on its way.
    pub(super) committed: Option<usize>,
    /// Whether an update was lost.
    pub(super) lost: bool,
    /// Who cancelled it, as long as it is not known what was under way.
    pub(super) cancelled: Option<usize>,
}

impl Walk {
    pub(super) fn granule(&self) -> Granule {
        self.granule.unwrap_or(Granule::K4)
    }

    /// The last descriptor read.
    pub(super) fn last_read(&mut self) -> Option<&mut Read> {
        self.reads[usize::from(self.last?)].as_mut()
    }

    /// Whether it has read the descriptor at `address`.
    pub(super) fn has_read(&self, address: u64) -> bool {
        self.reads
            .iter()
            .flatten()
            .any(|read| read.address == address)
    }

    /// Whether the descriptor `value` of `level` is a table.
    pub(super) fn is_table(value: Descriptor, level: u8) -> bool {
        value.valid() && value.is_table_bit() && level < geometry::FINAL_LEVEL
    }
}

/// An operation that has an effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) tlbi: Tlbi,
    pub(super) asid_mask: u16,
    /// Cycle in which it was sent.
    pub(super) sent: u64,
    /// Cores on which it took effect, one bit each.
    pub(super) effects: u64,
    /// Cycle of its first effect.
    pub(super) first: u64,
}

/// One core.
#[derive(Debug, Default)]
pub(super) struct Core {
    /// Registers in program order, as of the last request.
    pub(super) program: Regs,
    /// Registers as of the last write that was answered: walks use these.
    pub(super) performed: Regs,
    flights: Vec<Flight>,
    pub(super) walks: [Walk; SLOTS],
    structures: [Vec<Entry>; 4],
    pub(super) local: VecDeque<Operation>,
    broadcast: Vec<Option<Operation>>,
    next_tag: u8,
    /// Whether a local, an Inner and an Outer Shareable TLBI wait for a DSB.
    pub(super) uncompleted: [bool; 3],
    /// For each operation at work in the second level, whether it names an entry there: operation and
    /// scope, by their places.
    pub(super) in_l2: VecDeque<Option<(usize, usize)>>,
    /// Operations sent that have not taken effect everywhere.
    pub(super) on_way: u64,
    /// Cycle of the last INV.
    pub(super) inv_at: Option<u64>,
    /// Cycle of the last SYNC.
    pub(super) sync_at: Option<u64>,
    /// Whether that is unanswered.
    pub(super) sync_open: bool,
    pub(super) syncs: u64,
    /// Answers to the last SYNC, and the cycle of the last.
    pub(super) answers: (usize, u64),
}

impl Core {
    /// The access of `id`, or that which had the id last.
    pub(super) fn flight(&mut self, id: u16) -> &mut Flight {
        let index = usize::from(id);
        if self.flights.len() <= index {
            self.flights.resize(index + 1, Flight::default());
        }
        &mut self.flights[index]
    }

    /// The entries of `structure` and those that left it.
    pub(super) fn entries(&self, structure: TlbStructure) -> &[Entry] {
        &self.structures[structure as usize]
    }

    pub(super) fn entries_mut(&mut self, structure: TlbStructure) -> &mut Vec<Entry> {
        &mut self.structures[structure as usize]
    }

    /// Whether a first-level TLB holds an entry that stands for the descriptor at `address`.
    pub(super) fn first_level_holds(&self, address: u64) -> bool {
        let first = &self.structures[..2];
        first
            .iter()
            .flatten()
            .any(|entry| entry.live && entry.stands_for(address))
    }

    /// Whether `structure` holds an entry that stands for the descriptor at `address`.
    pub(super) fn holds(&self, structure: TlbStructure, address: u64) -> bool {
        self.entries(structure)
            .iter()
            .any(|entry| entry.live && entry.stands_for(address))
    }

    /// Whether a TLB holds an entry of `asid` that is not global.
    pub(super) fn holds_asid(&self, asid: u16) -> bool {
        let tlbs = &self.structures[..3];
        tlbs.iter()
            .flatten()
            .any(|entry| entry.live && !entry.global && entry.of(asid))
    }

    /// Gives the next broadcast operation its tag.
    pub(super) fn broadcast(&mut self, operation: Operation) {
        if self.broadcast.is_empty() {
            self.broadcast.resize(TAGS, None);
        }
        self.broadcast[usize::from(self.next_tag)] = Some(operation);
        self.next_tag = self.next_tag.wrapping_add(1);
    }

    /// The broadcast operation of `tag`.
    pub(super) fn operation(&mut self, tag: u8) -> Option<&mut Operation> {
        self.broadcast.get_mut(usize::from(tag))?.as_mut()
    }

    /// The walks under way.
    pub(super) fn open_walks(&self) -> impl Iterator<Item = &Walk> {
        self.walks.iter().filter(|walk| walk.open)
    }
}
