// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the descriptors of a walk mean: the granule, ASIDs and byte order that its registers give.

use vmsa::geometry::{FINAL_LEVEL, contiguous_run, leaf_allowed, level_bytes};
use vmsa::{Descriptor, Granule, SysReg, Ttbr, VaRange};

use super::registers::Registers;
use crate::arch::invalidation::untagged;
use crate::dut::ports::{Op, WalkKind};
use crate::sim::event::{Event, EventKind};

/// Concurrent walks that a slot number can name.
const SLOTS: usize = 4;
/// Stands for the translation table base register, where the address of a table descriptor would be.
pub const ROOT: u64 = u64::MAX;

/// What a descriptor is at its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Not valid, or of a form that is reserved there: nothing may be held of it.
    Invalid,
    /// The next table.
    Table,
    /// A page or a block.
    Leaf,
}

impl Class {
    /// What `descriptor` is at `level` with `granule`.
    #[must_use]
    pub const fn of(granule: Granule, level: u8, descriptor: Descriptor) -> Self {
        match (descriptor.valid(), descriptor.is_table_bit()) {
            (false, _) => Self::Invalid,
            (true, true) if level == FINAL_LEVEL => Self::Leaf,
            (true, true) => Self::Table,
            (true, false) if level < FINAL_LEVEL && leaf_allowed(granule, level) => Self::Leaf,
            (true, false) => Self::Invalid,
        }
    }
}

/// The registers of one walk, as far as descriptors depend on them. While a register write is not
/// synchronised either value may be in force (13.5): the newer one is taken, of ASIDs both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkContext {
    /// Address translated, sign extended from bit 55.
    pub va: u64,
    /// Granule of its range.
    pub granule: Granule,
    /// Bits of its range.
    pub va_bits: u32,
    /// The oldest and the newest ASID that may be the current one.
    pub asids: [u16; 2],
    /// The oldest and the newest address of the first table that may be in force.
    pub bases: [u64; 2],
    /// Whether descriptors lie in memory in the other byte order.
    pub swapped: bool,
    /// MAIR_EL1.
    pub mair: u64,
}

impl WalkContext {
    fn new(registers: &Registers, va: u64, asid8: bool) -> Option<Self> {
        let range = VaRange::of(va);
        let tcr = registers.tcr().last()?;
        let newest = registers.asids(asid8).last()?;
        let mut bases = registers.ttbr(range).map(Ttbr::base);
        let oldest = bases.next()?;
        Some(Self {
            va: untagged(va),
            granule: tcr.granule(range).unwrap_or(Granule::K4),
            va_bits: 64 - u32::from(tcr.tsz(range)).clamp(16, 48),
            asids: [registers.asids(asid8).next().unwrap_or(newest), newest],
            bases: [oldest, bases.last().unwrap_or(oldest)],
            swapped: registers.sctlr().last()?.ee(),
            mair: *registers.candidates(SysReg::Mair).last()?,
        })
    }

    /// Members of the contiguous run that a leaf of `level` with Contiguous = 1 belongs to; `None`
    /// where the bit means nothing (TLB-04) or the run would exceed the range.
    #[must_use]
    pub fn run(&self, level: u8) -> Option<u64> {
        let members = u64::from(contiguous_run(self.granule, level)?);
        (members * level_bytes(self.granule, level) <= 1 << self.va_bits).then_some(members)
    }

    /// `word` of memory as a walk decodes it, and back.
    #[must_use]
    pub const fn decoded(&self, word: u64) -> Descriptor {
        Descriptor(if self.swapped {
            word.swap_bytes()
        } else {
            word
        })
    }
}

/// A walk under way.
#[derive(Debug, Clone, Copy)]
struct Slot {
    context: WalkContext,
    /// Cycles of its last two events: what the last one tells was read after the other.
    last: u64,
    before: u64,
    /// Descriptor read last, and the one before it; `None` where the walk began below a cached table.
    path: [Option<u64>; 2],
}

#[derive(Debug, Default)]
struct Core {
    registers: Registers,
    slots: [Option<Slot>; SLOTS],
}

/// The contexts of the walks under way on every core.
#[derive(Debug, Default)]
pub struct WalkContexts {
    asid8: bool,
    cores: Vec<Core>,
}

impl WalkContexts {
    /// Of hardware with 8-bit ASIDs or not, whose cores have done nothing.
    #[must_use]
    pub fn new(asid8: bool) -> Self {
        Self {
            asid8,
            cores: Vec::new(),
        }
    }

    /// Follows registers and walks. Call it before looking at the event.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Issue { core, request } if matches!(request.op, Op::Msr(_) | Op::Isb) => {
                self.core(*core).registers.event(*core, event);
            }
            EventKind::Response { core, request, .. } if request.op == Op::Isb => {
                self.core(*core).registers.event(*core, event);
            }
            EventKind::Walk { core, step } => {
                let (asid8, cycle) = (self.asid8, event.cycle);
                let core = self.core(*core);
                let slot = &mut core.slots[usize::from(step.slot) % SLOTS];
                if step.kind == WalkKind::Begin {
                    let context = WalkContext::new(&core.registers, step.va, asid8);
                    *slot = context.map(|context| Slot {
                        context,
                        last: cycle,
                        before: cycle,
                        path: [(!step.cached_start).then_some(ROOT), None],
                    });
                } else if let Some(slot) = slot {
                    (slot.before, slot.last) = (slot.last, cycle);
                    if step.kind == WalkKind::Step {
                        slot.path = [Some(step.address), slot.path[0]];
                    }
                }
            }
            _ => {}
        }
    }

    fn core(&mut self, core: u8) -> &mut Core {
        let index = usize::from(core);
        if self.cores.len() <= index {
            self.cores.resize_with(index + 1, Core::default);
        }
        &mut self.cores[index]
    }

    /// That of the walk of `core` in `slot`, if its begin was seen.
    #[must_use]
    pub fn of(&self, core: u8, slot: u8) -> Option<&WalkContext> {
        self.slot(core, slot).map(|slot| &slot.context)
    }

    /// A cycle shortly before the read that the last event of that walk tells of.
    #[must_use]
    pub fn since(&self, core: u8, slot: u8) -> u64 {
        self.slot(core, slot).map_or(0, |slot| slot.before)
    }

    /// The table descriptor that led that walk to what it read last: [`ROOT`] if TTBR did, `None` if a
    /// cached table.
    #[must_use]
    pub fn parent(&self, core: u8, slot: u8) -> Option<u64> {
        self.slot(core, slot)?.path[1]
    }

    fn slot(&self, core: u8, slot: u8) -> Option<&Slot> {
        let core = self.cores.get(usize::from(core))?;
        core.slots[usize::from(slot) % SLOTS].as_ref()
    }

    /// The registers of `core`, if it has done anything.
    #[must_use]
    pub fn registers(&self, core: u8) -> Option<&Registers> {
        self.cores
            .get(usize::from(core))
            .map(|core| &core.registers)
    }
}
