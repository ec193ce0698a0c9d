// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which TLBI operations reach an entry, and since when it shall not come from before them: the
//! lower bounds S_leaf and S_tab of section 13.2.

use vmsa::{Granule, Tlbi, TlbiOp};

/// An entry that a TLB could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Any address inside it, sign extended from bit 55.
    pub va: u64,
    /// log2 of the bytes it spans.
    pub span: u32,
    /// Granule of the walk.
    pub granule: Granule,
    /// Level of the descriptor.
    pub level: u8,
    /// ASID of the walk.
    pub asid: u16,
    /// Whether it is a table descriptor.
    pub table: bool,
    /// nG = 0 (leaves only; tables match by ASID, TLB-23).
    pub global: bool,
}

/// `va` sign extended from bit 55: tags do not take part in invalidation.
#[must_use]
pub const fn untagged(va: u64) -> u64 {
    ((va << 8) as i64 >> 8) as u64
}

/// Granule and leaf level that the TTL field hints at; `None` is no hint.
#[must_use]
pub const fn hint(tlbi: &Tlbi) -> Option<(Granule, u8)> {
    let level = tlbi.ttl() & 3;
    match (tlbi.ttl() >> 2, level) {
        // Levels without leaves in this profile are reserved, thus no hint.
        (0, _) | (_, 0) | (2 | 3, 1) => None,
        (1, _) => Some((Granule::K4, level)),
        (2, _) => Some((Granule::K16, level)),
        _ => Some((Granule::K64, level)),
    }
}

/// Whether `tlbi` shall remove `held` (table 11.2), ASIDs counting only in `asid_mask`.
#[must_use]
pub fn removes(tlbi: &Tlbi, held: &Held, asid_mask: u16) -> bool {
    let asid = (tlbi.asid() ^ held.asid) & asid_mask == 0;
    match tlbi.op {
        TlbiOp::Vmalle1 => return true,
        // TLBI-02: no duty for global leaves.
        TlbiOp::Aside1 => return asid && (held.table || !held.global),
        _ => {}
    }
    if tlbi.op.last_level() && held.table {
        return false;
    }
    // TLBI-03: global leaves go whatever the ASID.
    let concerned = !tlbi.op.by_asid() || asid || (held.global && !held.table);
    let hinted = match hint(tlbi) {
        None => true,
        Some((granule, level)) if held.table => granule == held.granule && held.level < level,
        Some((granule, level)) => granule == held.granule && held.level == level,
    };
    concerned && hinted && (tlbi.va() ^ held.va) >> held.span == 0
}

/// A TLBI in program order.
#[derive(Clone, Copy, Debug)]
struct Issued {
    tlbi: Tlbi,
    cycle: u64,
    /// Place in program order of the first DSB after it.
    fence: Option<u64>,
}

/// The TLBI operations of one PE that may still bind an access.
#[derive(Clone, Debug, Default)]
pub struct Invalidations {
    issued: Vec<Issued>,
}

impl Invalidations {
    /// `tlbi` was issued at `cycle`.
    pub fn issue(&mut self, cycle: u64, tlbi: Tlbi) {
        self.issued.push(Issued {
            tlbi,
            cycle,
            fence: None,
        });
    }

    /// A DSB stands at `order` in program order: accesses after it are bound by all TLBIs before it.
    pub fn fence(&mut self, order: u64) {
        for op in &mut self.issued {
            op.fence.get_or_insert(order);
        }
    }

    /// The latest cycle, up to `until`, from before which an access at `order` may not use `held`; 0 if
    /// none.
    #[must_use]
    pub fn bound(&self, order: u64, held: &Held, asid_mask: u16, until: u64) -> u64 {
        self.issued
            .iter()
            .filter(|op| op.cycle <= until && op.fence.is_some_and(|fence| fence < order))
            .filter(|op| removes(&op.tlbi, held, asid_mask))
            .map(|op| op.cycle)
            .max()
            .unwrap_or(0)
    }

    /// Drops operations that later ones make pointless, all accesses to come being after `order`.
    /// Returns the cycle of the last operation that removed everything, if there was one.
    pub fn compact(&mut self, order: u64) -> Option<u64> {
        let fenced = |op: &Issued| op.fence.is_some_and(|fence| fence <= order);
        let wiped = self
            .issued
            .iter()
            .filter(|op| fenced(op) && op.tlbi.op == TlbiOp::Vmalle1)
            .map(|op| op.cycle)
            .max();
        if let Some(wiped) = wiped {
            self.issued.retain(|op| {
                op.cycle > wiped || op.cycle == wiped && op.tlbi.op == TlbiOp::Vmalle1
            });
        }
        let mut i = 0;
        while i < self.issued.len() {
            let op = self.issued[i];
            let again = self.issued[i + 1..]
                .iter()
                .any(|later| later.tlbi == op.tlbi && fenced(later));
            if again {
                self.issued.remove(i);
            } else {
                i += 1;
            }
        }
        wiped
    }

    /// Operations remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.issued.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issued.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::TlbiScope::Local;

    const PAGE: Held = Held {
        va: 0x40_2000,
        span: 12,
        granule: Granule::K4,
        level: 3,
        asid: 7,
        table: false,
        global: false,
    };

    #[test]
    fn removal_sets_match_the_table_of_11_2() {
        // TLBI-01 to TLBI-04.
        let global = Held {
            global: true,
            ..PAGE
        };
        let table = Held {
            table: true,
            level: 2,
            span: 21,
            ..PAGE
        };
        let (va, other) = (0x40_2000, 0x40_3000);
        // Operation; removes own leaf, global leaf, table.
        let rows = [
            (Tlbi::vmalle1(Local), [true, true, true]),
            (Tlbi::aside1(Local, 7), [true, false, true]),
            (Tlbi::aside1(Local, 8), [false, false, false]),
            (Tlbi::vae1(Local, va, 7, None), [true, true, true]),
            (Tlbi::vae1(Local, va, 8, None), [false, true, false]),
            (Tlbi::vae1(Local, other, 7, None), [false, false, true]),
            (Tlbi::vale1(Local, va, 7, None), [true, true, false]),
            (Tlbi::vale1(Local, va, 8, None), [false, true, false]),
            (Tlbi::vaae1(Local, va, None), [true, true, true]),
            (Tlbi::vaale1(Local, va, None), [true, true, false]),
            // TLBI-17: a hint at another level or granule lifts the duty for the leaf.
            (
                Tlbi::vale1(Local, va, 7, Some((Granule::K4, 3))),
                [true, true, false],
            ),
            (
                Tlbi::vale1(Local, va, 7, Some((Granule::K4, 2))),
                [false, false, false],
            ),
            (
                Tlbi::vae1(Local, va, 7, Some((Granule::K16, 3))),
                [false, false, false],
            ),
            (
                Tlbi::vae1(Local, va, 7, Some((Granule::K64, 1))),
                [true, true, true],
            ),
        ];
        for (tlbi, expected) in rows {
            let got = [PAGE, global, table].map(|held| removes(&tlbi, &held, 0xffff));
            assert_eq!(got, expected, "{tlbi}");
        }
    }

    #[test]
    fn eight_bit_asids_ignore_the_upper_operand_bits() {
        // TLBI-13.
        let tlbi = Tlbi::aside1(Local, 0xab07);
        assert!(!removes(&tlbi, &PAGE, 0xffff));
        assert!(removes(&tlbi, &PAGE, 0xff));
    }

    #[test]
    fn only_fenced_operations_bind() {
        let mut ops = Invalidations::default();
        ops.issue(100, Tlbi::vmalle1(Local));
        assert_eq!(ops.bound(5, &PAGE, 0xffff, u64::MAX), 0);
        ops.fence(3);
        assert_eq!(ops.bound(3, &PAGE, 0xffff, u64::MAX), 0);
        assert_eq!(ops.bound(4, &PAGE, 0xffff, u64::MAX), 100);
        assert_eq!(ops.bound(4, &PAGE, 0xffff, 99), 0);
    }

    #[test]
    fn compaction_keeps_the_bounds() {
        let mut ops = Invalidations::default();
        for cycle in 1..=9 {
            ops.issue(cycle, Tlbi::vae1(Local, 0x40_2000, 7, None));
            ops.fence(cycle);
        }
        assert_eq!(ops.compact(9), None);
        assert_eq!((ops.len(), ops.bound(10, &PAGE, 0xffff, u64::MAX)), (1, 9));
        ops.issue(20, Tlbi::vmalle1(Local));
        ops.fence(20);
        assert_eq!(ops.compact(20), Some(20));
        assert_eq!((ops.len(), ops.bound(21, &PAGE, 0xffff, u64::MAX)), (1, 20));
    }
}
