// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The table walk: from an access to its translation or fault, descriptor by descriptor, against
//! memory as it is at one instant. Nothing is allocated.

use vmsa::geometry::{FINAL_LEVEL, index, leaf_allowed, level_lsb};
use vmsa::{Descriptor, FaultKind, Fsc};

use super::access::{Access, AccessKind, Fault, Reason};
use super::attributes::{self, Attributes};
use super::context::Context;
use super::permission::{Limits, Rights, rights};
use super::regime::{Regime, top_byte_ignored};

/// Memory as a walker sees it.
pub trait ReadDescriptor {
    /// The 8-byte word at `address`, a physical byte address that is a multiple of 8, with its first
    /// byte least significant. `None` if the read gets an error response.
    fn read(&self, address: u64) -> Option<u64>;
}

impl<T: ReadDescriptor + ?Sized> ReadDescriptor for &T {
    fn read(&self, address: u64) -> Option<u64> {
        (**self).read(address)
    }
}

/// What one descriptor means at its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Next table at this physical byte address.
    Table(u64),
    /// Leaf that maps the region at this physical byte address.
    Leaf(u64),
    /// Ends the walk.
    Bad(Reason),
}

/// One descriptor read of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Level of the table.
    pub level: u8,
    /// Physical byte address of the table.
    pub table: u64,
    /// Index into it.
    pub index: u64,
    /// Physical byte address of the descriptor.
    pub address: u64,
    /// The descriptor in decoding order; zero after an error response.
    pub descriptor: Descriptor,
    /// What it means.
    pub entry: Entry,
    /// Limits in force below this step.
    pub limits: Limits,
}

/// A successful translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Output address of the first byte of the access.
    pub pa: u64,
    /// Memory attributes.
    pub attributes: Attributes,
    /// The leaf; `None` with translation off.
    pub leaf: Option<Leaf>,
}

/// The leaf of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Level of the descriptor.
    pub level: u8,
    /// Its physical byte address.
    pub address: u64,
    /// Its value as read.
    pub descriptor: Descriptor,
    /// log2 of the bytes it maps, or of its run if Contiguous may be used.
    pub span: u32,
    /// What the access's exception level may do.
    pub rights: Rights,
}

/// The descriptor update a walk asks for: one compare-and-swap of a word (HAF-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// Physical byte address.
    pub address: u64,
    /// Word to compare with, as stored in memory.
    pub from: u64,
    /// Word to write, as stored in memory.
    pub to: u64,
}

/// A whole walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    steps: [Option<Step>; 4],
    /// Walk parameters; `None` if translation is off or a level 0 fault came first.
    pub regime: Option<Regime>,
    /// Result.
    pub outcome: Result<Translation, Fault>,
    /// Update that shall succeed before the result counts.
    pub update: Option<Update>,
}

impl Walk {
    /// The descriptor reads, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().flatten()
    }
}

/// Descriptor held by the memory word `word` (WALK-02).
#[must_use]
pub const fn decode_word(context: &Context, word: u64) -> Descriptor {
    Descriptor(if context.registers.sctlr.ee() {
        word.swap_bytes()
    } else {
        word
    })
}

/// Memory word that holds `descriptor` (WALK-02).
#[must_use]
pub const fn encode_word(context: &Context, descriptor: Descriptor) -> u64 {
    if context.registers.sctlr.ee() {
        descriptor.0.swap_bytes()
    } else {
        descriptor.0
    }
}

/// What `descriptor` means at `level`.
#[must_use]
pub fn classify(regime: &Regime, level: u8, descriptor: Descriptor) -> Entry {
    if !descriptor.valid() {
        return Entry::Bad(Reason::Invalid);
    }
    if descriptor.is_table_bit() && level < FINAL_LEVEL {
        let next = descriptor.next_table(regime.granule);
        if regime.exceeds_output(next) {
            return Entry::Bad(Reason::NextTableTooLarge);
        }
        return Entry::Table(next);
    }
    // A page has bit 1 set, a block has it clear: anything else is reserved (WALK-03).
    if descriptor.is_table_bit() != (level == FINAL_LEVEL) || !leaf_allowed(regime.granule, level) {
        return Entry::Bad(Reason::Reserved);
    }
    let output = descriptor.output_address(regime.granule, level);
    if regime.exceeds_output(output) {
        return Entry::Bad(Reason::OutputTooLarge);
    }
    Entry::Leaf(output)
}

/// What the leaf `descriptor` means for `access` once its access flag is not in the way: lines 13
/// and 14 of the priority table, and the attributes.
///
/// # Errors
/// An Alignment fault by memory type or a Permission fault.
pub fn finish_leaf(
    context: &Context,
    access: &Access,
    level: u8,
    descriptor: Descriptor,
    limits: Limits,
) -> Result<(Attributes, Rights), Fault> {
    let attributes = attributes::of_leaf(context, access, descriptor);
    if attributes.is_device() && access.unaligned() {
        return Err(Fault::new(access, Reason::DeviceMisaligned, level));
    }
    let rights = rights(context, access, descriptor, limits);
    if !rights.allow(access.kind) {
        let mut fault = Fault::new(access, Reason::NotPermitted, level);
        fault.wnr = access.wnr(FaultKind::Permission, rights.r);
        return Err(fault);
    }
    if attributes.is_device() && access.kind == AccessKind::Execute {
        return Err(Fault::new(access, Reason::DeviceFetch, level));
    }
    Ok((attributes, rights))
}

/// The descriptor after the hardware update that `access` makes before it may use `descriptor`,
/// which has passed every check (HAF-05, HAF-06, HAF-14, HAF-15); the same value if none is needed.
#[must_use]
pub const fn updated(context: &Context, access: &Access, descriptor: Descriptor) -> Descriptor {
    let mut updated = descriptor;
    if context.ha() {
        updated = updated.with_af(true);
    }
    if context.hd() && descriptor.dbm() && access.kind.writes() && !access.at {
        updated = updated.with_ap_read_only(false);
    }
    updated
}

/// The alignment fault that needs no translation: line 1 of the priority table.
#[must_use]
pub const fn alignment_fault(context: &Context, access: &Access) -> Option<Fault> {
    let checked = context.registers.sctlr.a() || matches!(access.kind, AccessKind::Cas);
    // Section 16: a misaligned fetch is reported in the same way.
    let misaligned_fetch = matches!(access.kind, AccessKind::Execute) && access.va & 3 != 0;
    if misaligned_fetch || access.unaligned() && checked {
        Some(Fault::new(access, Reason::Misaligned, 0))
    } else {
        None
    }
}

/// The translation of `access` with stage 1 off (VMSA-01 to VMSA-03).
///
/// # Errors
/// An address beyond the physical size, or an unaligned data access, which is to Device memory.
pub const fn untranslated(context: &Context, access: &Access) -> Result<Translation, Fault> {
    let tag = if top_byte_ignored(context, access) {
        8
    } else {
        0
    };
    let pa = access.va << tag >> tag;
    if pa >> context.profile.pamax != 0 {
        return Err(Fault::new(access, Reason::FlatAddressTooLarge, 0));
    }
    let attributes = attributes::untranslated(context, access);
    if attributes.is_device() && access.unaligned() {
        return Err(Fault::new(access, Reason::DeviceMisaligned, 0));
    }
    Ok(Translation {
        pa,
        attributes,
        leaf: None,
    })
}

/// Translates the page of the first byte of `access` against `memory` as it is now.
///
/// An access that crosses a page is two translations: this is the first, and
/// [`Access::second_part`] is the access of the other.
pub fn translate(
    memory: &(impl ReadDescriptor + ?Sized),
    context: &Context,
    access: &Access,
) -> Walk {
    let mut walk = Walk {
        steps: [None; 4],
        regime: None,
        outcome: Err(Fault::new(access, Reason::Invalid, 0)),
        update: None,
    };
    if let Some(fault) = alignment_fault(context, access) {
        walk.outcome = Err(fault);
        return walk;
    }
    if !context.registers.sctlr.m() {
        walk.outcome = untranslated(context, access);
        return walk;
    }
    let regime = match Regime::of(context, access) {
        Ok(regime) => regime,
        Err(fault) => {
            walk.outcome = Err(fault);
            return walk;
        }
    };
    walk.regime = Some(regime);
    let mut table = regime.base;
    let mut limits = Limits::default();
    for level in regime.start..=FINAL_LEVEL {
        let index = index(regime.granule, regime.iasize, level, access.va);
        // VMSA-14: an OR, the base being aligned.
        let address = table | index << 3;
        let word = memory.read(address);
        let descriptor = decode_word(context, word.unwrap_or(0));
        let entry = match word {
            Some(_) => classify(&regime, level, descriptor),
            None => Entry::Bad(Reason::ReadError),
        };
        if matches!(entry, Entry::Table(_)) && !context.registers.tcr.hpd(regime.range) {
            limits = limits.and(descriptor);
        }
        walk.steps[usize::from(level)] = Some(Step {
            level,
            table,
            index,
            address,
            descriptor,
            entry,
            limits,
        });
        match entry {
            Entry::Table(next) => table = next,
            Entry::Bad(reason) => {
                walk.outcome = Err(Fault::new(access, reason, level));
                return walk;
            }
            Entry::Leaf(output) => {
                walk.leaf(
                    context, access, &regime, level, address, output, descriptor, limits,
                );
                return walk;
            }
        }
    }
    walk
}

impl Walk {
    #[expect(
        clippy::too_many_arguments,
        reason = "the state of the walk at its leaf"
    )]
    fn leaf(
        &mut self,
        context: &Context,
        access: &Access,
        regime: &Regime,
        level: u8,
        address: u64,
        output: u64,
        descriptor: Descriptor,
        limits: Limits,
    ) {
        if !descriptor.af() && !context.ha() {
            self.outcome = Err(Fault::new(access, Reason::AccessFlag, level));
            return;
        }
        let (attributes, rights) = match finish_leaf(context, access, level, descriptor, limits) {
            Ok(good) => good,
            Err(fault) => {
                self.outcome = Err(fault);
                return;
            }
        };
        let lsb = level_lsb(regime.granule, level);
        // VMSA-15: in-leaf bits come from the VA.
        let pa = output | access.va & ((1 << lsb) - 1);
        let span = match regime.run_entries(level) {
            Some(run) if descriptor.contiguous() && context.profile.contiguous => {
                lsb + run.trailing_zeros()
            }
            _ => lsb,
        };
        let leaf = Leaf {
            level,
            address,
            descriptor,
            span,
            rights,
        };
        self.outcome = Ok(Translation {
            pa,
            attributes,
            leaf: Some(leaf),
        });
        let updated = updated(context, access, descriptor);
        if updated != descriptor {
            self.update = Some(Update {
                address,
                from: encode_word(context, descriptor),
                to: encode_word(context, updated),
            });
        }
    }
}

/// Status code of a walk's fault; `None` if it succeeded.
#[must_use]
pub fn fault_status(walk: &Walk) -> Option<Fsc> {
    walk.outcome.err().map(|fault| fault.fsc)
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
