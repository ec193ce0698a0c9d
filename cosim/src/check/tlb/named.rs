// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What an operation must remove: the table of vmsa.md 11.2, for leaf and table entries alike.

use vmsa::geometry::level_bytes;
use vmsa::{Granule, TlbiOp};

use crate::check::operations::Operation;

/// The bit that selects the half of the VA space: an entry always belongs to one (TLB-31).
pub const HALF: u64 = 1 << 55;
/// Address bits that a lookup may compare: VA\[55:12\].
pub const VA_BITS: u64 = (1 << 56) - (1 << 12);

/// An entry as far as invalidation is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its first byte, sign extended or not.
    pub va: u64,
    /// Bits of the address that take part in a match.
    pub mask: u64,
    /// Bytes that the descriptor behind it maps.
    pub reach: u64,
    /// Level of that descriptor.
    pub level: u8,
    /// ASID of the entry.
    pub asid: u16,
    /// nG = 0; never so for a table (TLB-23).
    pub global: bool,
    /// Whether it is a table descriptor.
    pub table: bool,
}

impl Held {
    /// Whether `operation` must remove it, in hardware with 8-bit ASIDs if `asid8`.
    #[must_use]
    pub fn named_by(&self, operation: &Operation, asid8: bool) -> bool {
        let tlbi = &operation.tlbi;
        if tlbi.op == TlbiOp::Vmalle1 {
            return true;
        }
        let asid = || {
            operation
                .registers
                .names_asid(tlbi.asid(), self.asid, asid8)
        };
        if tlbi.op == TlbiOp::Aside1 {
            // TLBI-02: global leaves may stay.
            return !self.global && asid();
        }
        // TLBI-03: global leaves leave with any ASID. TLBI-05: last-level forms leave tables.
        let concerned = !tlbi.op.by_asid() || self.global || asid();
        concerned && !(self.table && tlbi.op.last_level()) && self.covered_by(operation)
    }

    /// Whether the operation names any of its addresses. A fragment of a leaf goes with any VA of the
    /// leaf (TLB-33), a run with any VA of the run (TLB-05).
    fn covered_by(&self, operation: &Operation) -> bool {
        let compared = self.mask & VA_BITS & !(self.reach - 1) | HALF;
        let Some(range) = operation.tlbi.range() else {
            let there = (self.va ^ operation.tlbi.va()) & compared == 0;
            return there && self.meets_hint(single_hint(operation.tlbi.ttl()));
        };
        // TLBI-09: with a granule that is not the one in use, nothing need go.
        let Some(granule) = range.granule else {
            return false;
        };
        let bytes = self.reach.max(1 << (self.mask | HALF).trailing_zeros());
        let first = ((self.va << 8) as i64 >> 8) as u64 & !(bytes - 1);
        let aligned = |level| range.start.is_multiple_of(level_bytes(granule, level));
        self.reach == level_bytes(granule, self.level)
            && range.overlaps(first, bytes)
            && range.level.is_none_or(aligned)
            && self.meets_hint(range.level.map(|level| (granule, level)))
    }

    /// Whether a hint at a leaf level keeps the duty in place (TLBI-17).
    fn meets_hint(&self, hint: Option<(Granule, u8)>) -> bool {
        let Some((granule, level)) = hint else {
            return true;
        };
        let place = match self.table {
            true => self.level < level,
            false => self.level == level,
        };
        place && self.reach == level_bytes(granule, self.level)
    }
}

/// Granule and leaf level that the TTL field of a single-VA form hints at; reserved codes are none.
fn single_hint(ttl: u8) -> Option<(Granule, u8)> {
    let level = ttl & 3;
    match (ttl >> 2, level) {
        (0, _) | (_, 0) | (2, 1) => None,
        (1, _) => Some((Granule::K4, level)),
        (2, _) => Some((Granule::K16, level)),
        _ => Some((Granule::K64, level)),
    }
}
