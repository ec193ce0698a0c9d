// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which entries a TLBI shall remove: table 11.2 of the VMSA contract.

use vmsa::geometry::level_bytes;
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
        (0, _) | (_, 0) | (2, 1) => None,
        (1, _) => Some((Granule::K4, level)),
        (2, _) => Some((Granule::K16, level)),
        _ => Some((Granule::K64, level)),
    }
}

/// Whether `tlbi`, which names `asid` (cut to the bits in use where it was issued, TLBI-13), shall
/// remove `held`.
#[must_use]
pub fn removes(tlbi: &Tlbi, held: &Held, asid: u16) -> bool {
    let same = asid == held.asid;
    match tlbi.op {
        TlbiOp::Vmalle1 => return true,
        // TLBI-02: no duty for global leaves.
        TlbiOp::Aside1 => return same && (held.table || !held.global),
        _ => {}
    }
    if tlbi.op.last_level() && held.table {
        return false;
    }
    // TLBI-03: global leaves go whatever the ASID.
    let concerned = !tlbi.op.by_asid() || same || (held.global && !held.table);
    concerned && names(tlbi, held)
}

/// Whether the VA or range of `tlbi` and its hint cover `held`.
fn names(tlbi: &Tlbi, held: &Held) -> bool {
    let of_level = |level| match held.table {
        true => held.level < level,
        false => held.level == level,
    };
    let Some(range) = tlbi.range() else {
        let hinted =
            hint(tlbi).is_none_or(|(granule, level)| granule == held.granule && of_level(level));
        return hinted && (tlbi.va() ^ held.va) >> held.span == 0;
    };
    // TLBI-09; and a hint asks for a start aligned to the leaf it names.
    let aligned = |level| range.start & (level_bytes(held.granule, level) - 1) == 0;
    let bytes = 1 << held.span;
    range.granule == Some(held.granule)
        && range
            .level
            .is_none_or(|level| of_level(level) && aligned(level))
        && range.overlaps(held.va & !(bytes - 1), bytes)
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
                Tlbi::vae1(Local, va, 7, Some((Granule::K16, 1))),
                [true, true, true],
            ),
        ];
        for (tlbi, expected) in rows {
            let got = [PAGE, global, table].map(|held| removes(&tlbi, &held, tlbi.asid()));
            assert_eq!(got, expected, "{tlbi}");
        }
    }

    #[test]
    fn eight_bit_asids_ignore_the_upper_operand_bits() {
        // TLBI-13.
        let tlbi = Tlbi::aside1(Local, 0xab07);
        assert!(!removes(&tlbi, &PAGE, tlbi.asid()));
        assert!(removes(&tlbi, &PAGE, tlbi.asid() & 0xff));
        // An entry made under 16-bit ASIDs is not what an 8-bit operand names.
        let long = Held {
            asid: 0x107,
            ..PAGE
        };
        assert!(!removes(&tlbi, &long, tlbi.asid() & 0xff));
    }

    #[test]
    fn ranges_name_what_they_overlap_in_their_granule() {
        // TLBI-08, TLBI-09.
        let op = |granule, start, level| Tlbi::rvae1(Local, granule, start, 0, 0, level, 7);
        let table = Held {
            table: true,
            level: 2,
            span: 21,
            ..PAGE
        };
        for (tlbi, expected) in [
            (op(Granule::K4, 0x40_1000, None), [true, true]),
            (op(Granule::K4, 0x40_2000, None), [true, true]),
            (op(Granule::K4, 0x40_0000, None), [false, true]),
            (op(Granule::K4, 0x40_3000, None), [false, true]),
            (op(Granule::K4, 0x60_0000, None), [false, false]),
            (op(Granule::K16, 0x40_0000, None), [false, false]),
            (op(Granule::K4, 0x40_2000, Some(3)), [true, true]),
            (op(Granule::K4, 0x40_2000, Some(2)), [false, false]),
            (
                Tlbi::rvale1(Local, Granule::K4, 0x40_2000, 0, 0, None, 7),
                [true, false],
            ),
            (
                Tlbi::rvae1(Local, Granule::K4, 0x40_2000, 0, 0, None, 8),
                [false, false],
            ),
            (
                Tlbi::rvaae1(Local, Granule::K4, 0x40_2000, 0, 0, None),
                [true, true],
            ),
        ] {
            let got = [PAGE, table].map(|held| removes(&tlbi, &held, tlbi.asid()));
            assert_eq!(got, expected, "{tlbi}");
        }
        let reserved = Tlbi {
            operand: op(Granule::K4, 0x40_2000, None).operand & !(3 << 46),
            ..op(Granule::K4, 0, None)
        };
        assert!(!removes(&reserved, &PAGE, 7));
    }
}
