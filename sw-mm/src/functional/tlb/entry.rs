// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One cached descriptor: what it matches and which invalidations have to remove it.

use vmsa::{Descriptor, DsbKind, Granule, Tlbi, TlbiOp, TlbiScope, VaRange, geometry};

/// Invalidations that were issued and wait for the barrier that completes them: one bit a core, by
/// the scope of the operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::functional) struct Owed([u64; 3]);

impl Owed {
    const SCOPES: [TlbiScope; 3] = [
        TlbiScope::Local,
        TlbiScope::InnerShareable,
        TlbiScope::OuterShareable,
    ];

    /// Core `issuer` issued one of `scope`.
    pub fn mark(&mut self, issuer: usize, scope: TlbiScope) {
        self.0[scope as usize] |= 1 << issuer;
    }

    /// Whether there is none.
    pub fn none(self) -> bool {
        self.0 == [0; 3]
    }

    /// Whether the barrier `kind` of core `issuer` completes one (TLBI-24, TLBI-27).
    pub fn completed_by(self, issuer: usize, kind: DsbKind) -> bool {
        Self::SCOPES
            .iter()
            .any(|&scope| self.0[scope as usize] >> issuer & 1 == 1 && kind.completes_tlbi(scope))
    }
}

/// Table limits collected on the way down (section 5); they only take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::functional) struct Limits {
    pub no_el0: bool,
    pub no_write: bool,
    pub uxn: bool,
    pub pxn: bool,
}

/// One cached descriptor, leaf or table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functional) struct Entry {
    pub range: VaRange,
    pub granule: Granule,
    /// First VA that the entry matches, canonical.
    pub base: u64,
    /// Bytes that it matches: of the leaf or its contiguous run, or of the table descriptor.
    pub bytes: u64,
    pub level: u8,
    pub leaf: bool,
    pub asid: u16,
    pub descriptor: Descriptor,
    /// Where the descriptor lies.
    pub slot: u64,
    /// Limits of the tables above and, for a table entry, its own.
    pub limits: Limits,
    /// The VA whose walk filled it.
    pub filled_for: u64,
    /// Invalidations under way that remove it.
    pub doomed: Owed,
}

impl Entry {
    /// Whether the entry matches `va` (canonical) when the current ASID is `asid`. Table entries
    /// match as if not global (TLB-23).
    pub fn serves(&self, range: VaRange, va: u64, asid: u16) -> bool {
        self.range == range
            && va.wrapping_sub(self.base) < self.bytes
            && (self.asid == asid || (self.leaf && !self.descriptor.ng()))
    }

    /// Physical address of what the entry leads to: of the memory behind `base`, or of the next table.
    pub fn output(&self) -> u64 {
        if self.leaf {
            // TLB-02.
            self.descriptor.output_address(self.granule, self.level) & !(self.bytes - 1)
        } else {
            self.descriptor.next_table(self.granule)
        }
    }

    /// Bytes of what the entry leads to.
    pub fn output_bytes(&self) -> u64 {
        if self.leaf {
            self.bytes
        } else {
            self.granule.bytes()
        }
    }

    /// Whether `op` has the duty to remove it (table 11.2). `asid` is the operand's, cut to the bits
    /// in use.
    pub fn removed_by(&self, op: Tlbi, asid: u16) -> bool {
        let this_asid = self.asid == asid;
        let global = self.leaf && !self.descriptor.ng();
        match op.op {
            TlbiOp::Vmalle1 => return true,
            TlbiOp::Aside1 => return this_asid && !global,
            _ => {}
        }
        (self.leaf || !op.op.last_level())
            && (!op.op.by_asid() || this_asid || global)
            && match op.range() {
                Some(range) => {
                    // TLBI-09; a hint is void for a start that is not aligned to the leaf it names.
                    let fits = |level| {
                        range.start & (geometry::level_bytes(self.granule, level) - 1) == 0
                            && self.of_leaf(level)
                    };
                    range.granule == Some(self.granule)
                        && range.level.is_none_or(fits)
                        && range.overlaps(self.base, self.bytes)
                }
                None => {
                    hint(op).is_none_or(|(granule, level)| {
                        granule == self.granule && self.of_leaf(level)
                    }) && op.va().wrapping_sub(self.base) < self.bytes
                }
            }
    }

    /// Whether it is a leaf of `level`, or a table above such a leaf.
    fn of_leaf(&self, level: u8) -> bool {
        if self.leaf {
            self.level == level
        } else {
            self.level < level
        }
    }
}

/// The level hint of the operand; reserved codes are none.
fn hint(op: Tlbi) -> Option<(Granule, u8)> {
    let level = op.ttl() & 3;
    match op.ttl() >> 2 {
        1 if level > 0 => Some((Granule::K4, level)),
        2 if level > 1 => Some((Granule::K16, level)),
        3 if level > 0 => Some((Granule::K64, level)),
        _ => None,
    }
}
