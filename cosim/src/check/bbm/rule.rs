// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which changes of a descriptor need break-before-make (sections 12.1 to 12.3). Written from the
//! specification, apart from the software's own rules in `sw-mm`.

use vmsa::geometry::{FINAL_LEVEL, level_bytes};
use vmsa::{Descriptor, Granule};

use crate::arch::attributes::{is_device, legal};
use crate::check::walk_context::{Class, WalkContext};
use crate::sim::Memory;

/// Pages up to this size are compared word by word where that decides; larger ones count as different.
const COMPARED: u64 = 64 * 1024;

/// A leaf as one address of it sees it.
#[derive(Debug, Clone, Copy)]
pub struct Leaf {
    /// Its value as decoded.
    pub value: Descriptor,
    /// Level.
    pub level: u8,
    /// First output address of the region compared.
    pub pa: u64,
    /// MAIR_EL1 that gives its memory type.
    pub mair: u64,
}

impl Leaf {
    fn attr(&self) -> u8 {
        legal((self.mair >> (8 * u32::from(self.value.attr_index()))) as u8)
    }

    /// Whether a store can reach memory through it, once hardware has set the dirty state.
    fn writable(&self) -> bool {
        self.value.dbm() || !self.value.ap_read_only()
    }
}

/// What the implementation leaves to software.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// FEAT_BBM level, 0 to 2.
    pub bbml: u8,
    /// Whether Contiguous means anything.
    pub contiguous: bool,
}

impl Rule {
    /// Why a core that may hold `old` forbids to make `new`, of the same `bytes` of addresses;
    /// `None` if it does not.
    pub fn leaves(
        &self,
        old: &Leaf,
        new: &Leaf,
        bytes: u64,
        memory: &Memory,
    ) -> Option<&'static str> {
        let (a, b) = (old.value, new.value);
        if old.attr() != new.attr() {
            return Some("the memory type or cacheability changes");
        }
        if a.sh() != b.sh() && !is_device(old.attr()) {
            return Some("the shareability changes");
        }
        let moved = old.pa != new.pa;
        if moved && (old.writable() || new.writable()) {
            return Some("the output address of a writable mapping changes");
        }
        if moved && !same_contents(memory, old.pa, new.pa, bytes) {
            return Some("the output address changes to other contents");
        }
        if a.ng() && !b.ng() {
            return Some("nG goes from 1 to 0");
        }
        if old.level != new.level || !self.contiguous {
            return None;
        }
        if a.contiguous() != b.contiguous() && self.bbml < 2 {
            return Some("the Contiguous bit of a live descriptor changes");
        }
        if a.contiguous() && b.contiguous() && run_attributes(a) != run_attributes(b) {
            return Some("an attribute of part of a contiguous run changes");
        }
        None
    }

    /// Why a leaf that may be held forbids to make a leaf of another level, both of a size that 12.3
    /// speaks of; `nt` is whether the block carries nT = 1.
    #[must_use]
    pub const fn sizes(&self, nt: bool) -> Option<&'static str> {
        match self.bbml {
            0 => Some("the size of a live mapping changes, at BBM level 0"),
            1 if !nt => Some("the size of a live mapping changes without nT, at BBM level 1"),
            _ => None,
        }
    }

    /// Why a leaf that may be held, `old` of `bytes`, forbids to make the table at `table` in its
    /// place: one of the leaves in it differs.
    pub fn table_under(
        &self,
        old: &Leaf,
        table: u64,
        level: u8,
        context: &WalkContext,
        memory: &Memory,
    ) -> Option<&'static str> {
        let granule = context.granule;
        let bytes = level_bytes(granule, level);
        let mut base = old.pa;
        for place in slots(granule, table) {
            let word = context.decoded(memory.coherent(place));
            let part = Leaf { pa: base, ..*old };
            let found = match Class::of(granule, level, word) {
                Class::Invalid => None,
                Class::Table => {
                    self.table_under(&part, word.next_table(granule), level + 1, context, memory)
                }
                Class::Leaf => {
                    let new = leaf(context, level, word);
                    self.leaves(&part, &new, bytes, memory)
                }
            };
            if found.is_some() {
                return found;
            }
            base = base.wrapping_add(bytes);
        }
        None
    }

    /// Why a leaf of the table at `table` forbids to make `new`, which maps the same addresses, in the
    /// place of the table.
    pub fn table_over(
        &self,
        table: u64,
        level: u8,
        new: &Leaf,
        context: &WalkContext,
        memory: &Memory,
    ) -> Option<&'static str> {
        let granule = context.granule;
        let bytes = level_bytes(granule, level);
        let mut base = new.pa;
        for place in slots(granule, table) {
            let word = context.decoded(memory.coherent(place));
            let part = Leaf { pa: base, ..*new };
            let found = match Class::of(granule, level, word) {
                Class::Invalid => None,
                Class::Table => {
                    self.table_over(word.next_table(granule), level + 1, &part, context, memory)
                }
                Class::Leaf => {
                    let old = leaf(context, level, word);
                    self.leaves(&old, &part, bytes, memory)
                }
            };
            if found.is_some() {
                return found;
            }
            base = base.wrapping_add(bytes);
        }
        None
    }

    /// Why the table at `old` forbids to make the one at `new` in its place: a leaf that both reach
    /// changes.
    pub fn tables(
        &self,
        old: u64,
        new: u64,
        level: u8,
        context: &WalkContext,
        memory: &Memory,
    ) -> Option<&'static str> {
        if old == new {
            return None;
        }
        let granule = context.granule;
        let bytes = level_bytes(granule, level);
        slots(granule, old)
            .zip(slots(granule, new))
            .find_map(|(a, b)| {
                let [a, b] = [a, b].map(|place| context.decoded(memory.coherent(place)));
                let classes = [a, b].map(|word| Class::of(granule, level, word));
                match classes {
                    [Class::Leaf, Class::Leaf] => {
                        let [a, b] = [a, b].map(|word| leaf(context, level, word));
                        self.leaves(&a, &b, bytes, memory)
                    }
                    [Class::Table, Class::Table] => {
                        let [a, b] = [a, b].map(|word| word.next_table(granule));
                        self.tables(a, b, level + 1, context, memory)
                    }
                    [Class::Leaf, Class::Table] => self.sizes(a.nt()).or_else(|| {
                        let block = leaf(context, level, a);
                        self.table_under(&block, b.next_table(granule), level + 1, context, memory)
                    }),
                    [Class::Table, Class::Leaf] => self.sizes(b.nt()).or_else(|| {
                        let block = leaf(context, level, b);
                        self.table_over(a.next_table(granule), level + 1, &block, context, memory)
                    }),
                    _ => None,
                }
            })
    }
}

/// `word`, a leaf of `level`.
#[must_use]
pub fn leaf(context: &WalkContext, level: u8, word: Descriptor) -> Leaf {
    Leaf {
        value: word,
        level,
        pa: word.output_address(context.granule, level),
        mair: context.mair,
    }
}

/// The descriptors of the table at `table`.
fn slots(granule: Granule, table: u64) -> impl Iterator<Item = u64> {
    (0..granule.entries()).map(move |index| table + 8 * index)
}

/// What all members of a run share at any time: not the output address, the access flag, what hardware
/// ignores, or write permission with the dirty state, which changes in place (section 12.1).
#[must_use]
pub fn run_attributes(value: Descriptor) -> u64 {
    let value = value.with_af(false).with_software(0).with_gp(false);
    let value = value.with_dbm(false).with_ap_read_only(false);
    value.0 & !(((1 << Descriptor::ADDRESS_BITS) - 1) & !0xfff) & ((1 << 55) - 1)
}

/// Whether stores are permitted, now or after marking the page dirty: what members of a run share once
/// no change is under way.
#[must_use]
pub const fn write_permission(value: Descriptor) -> (bool, bool) {
    (value.dbm(), !value.dbm() && value.ap_read_only())
}

fn same_contents(memory: &Memory, a: u64, b: u64, bytes: u64) -> bool {
    bytes <= COMPARED
        && (0..bytes)
            .step_by(8)
            .all(|at| memory.coherent(a + at) == memory.coherent(b + at))
}

/// The leaf that a walk finds for `va` from `word` of `level` down to `deepest`.
#[must_use]
pub fn reached(
    context: &WalkContext,
    va: u64,
    mut level: u8,
    mut word: Descriptor,
    deepest: u8,
    memory: &Memory,
) -> Option<Leaf> {
    let granule = context.granule;
    loop {
        match Class::of(granule, level, word) {
            Class::Invalid => return None,
            Class::Leaf => {
                let found = leaf(context, level, word);
                let offset = va & (level_bytes(granule, level) - 1);
                let pa = found.pa + (offset & !(level_bytes(granule, deepest) - 1));
                return Some(Leaf { pa, ..found });
            }
            Class::Table if level == FINAL_LEVEL || level == deepest => return None,
            Class::Table => {
                level += 1;
                let index = va >> vmsa::geometry::level_lsb(granule, level);
                let slot = word.next_table(granule) + 8 * (index & (granule.entries() - 1));
                word = context.decoded(memory.coherent(slot));
            }
        }
    }
}
