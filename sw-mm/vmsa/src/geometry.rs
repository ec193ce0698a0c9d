// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Geometry of the three granules: which VA bits each level resolves, which levels have blocks, and
//! how long a contiguous run is (VMSA-12, TLB-04; formats without LPA2).

use crate::bits::mask;
use std::fmt;

/// Level of page descriptors.
pub const FINAL_LEVEL: u8 = 3;

/// Translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Granule {
    /// 4 KiB pages, 512 entries a table.
    K4,
    /// 16 KiB pages, 2048 entries a table.
    K16,
    /// 64 KiB pages, 8192 entries a table.
    K64,
}

impl Granule {
    /// All granules, smallest first.
    pub const ALL: [Granule; 3] = [Granule::K4, Granule::K16, Granule::K64];

    /// log2 of the page size in bytes.
    pub const fn shift(self) -> u32 {
        match self {
            Granule::K4 => 12,
            Granule::K16 => 14,
            Granule::K64 => 16,
        }
    }

    /// Page size in bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// VA bits that one full table resolves: log2 of the entries of a table.
    pub const fn stride(self) -> u32 {
        self.shift() - 3
    }

    /// Entries of a full table.
    pub const fn entries(self) -> u64 {
        1 << self.stride()
    }
}

impl fmt::Display for Granule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Granule::K4 => "4K",
            Granule::K16 => "16K",
            Granule::K64 => "64K",
        })
    }
}

/// Level at which a walk over `iasize` VA bits begins (64 - TxSZ), 0 to 3.
///
/// `iasize` shall be at least `shift + 1` and at most 48; other values are clamped into 0..=3.
pub const fn start_level(granule: Granule, iasize: u32) -> u8 {
    let above = iasize.saturating_sub(1 + granule.shift());
    let levels = above / granule.stride();
    if levels > 3 { 0 } else { 3 - levels as u8 }
}

/// Lowest VA bit that `level` resolves: log2 of the bytes that one entry of that level maps.
pub const fn level_lsb(granule: Granule, level: u8) -> u32 {
    granule.shift() + granule.stride() * (FINAL_LEVEL as u32 - level as u32)
}

/// Bytes that one entry of `level` maps.
pub const fn level_bytes(granule: Granule, level: u8) -> u64 {
    1 << level_lsb(granule, level)
}

/// Index of `va` into a table of `level` when the whole range has `iasize` VA bits; the table of
/// the start level may be a partial one (VMSA-12).
pub const fn index(granule: Granule, iasize: u32, level: u8, va: u64) -> u64 {
    let lsb = level_lsb(granule, level);
    let full = lsb + granule.stride();
    let top = if full > iasize { iasize } else { full };
    (va & mask(top)) >> lsb
}

/// log2 of the bytes of a table of the start level: also the alignment of the TTBR base.
pub const fn base_table_shift(granule: Granule, iasize: u32) -> u32 {
    iasize - level_lsb(granule, start_level(granule, iasize)) + 3
}

/// Whether `level` may hold block descriptors: 4K levels 1 and 2, 16K and 64K level 2.
pub const fn block_allowed(granule: Granule, level: u8) -> bool {
    match granule {
        Granule::K4 => level == 1 || level == 2,
        Granule::K16 | Granule::K64 => level == 2,
    }
}

/// Whether `level` may hold leaf descriptors: blocks where [`block_allowed`], pages at level 3.
pub const fn leaf_allowed(granule: Granule, level: u8) -> bool {
    level == FINAL_LEVEL || block_allowed(granule, level)
}

/// Descriptors in a contiguous run of leaves at `level`; `None` where the bit is ignored (TLB-04).
pub const fn contiguous_run(granule: Granule, level: u8) -> Option<u32> {
    match (granule, level) {
        (Granule::K4, 1..=3) => Some(16),
        (Granule::K16, 2) => Some(32),
        (Granule::K16, 3) => Some(128),
        (Granule::K64, 2 | 3) => Some(32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last TxSZ, and the start level between them.
    type Rows = &'static [(u32, u32, u8)];

    #[test]
    fn start_levels_match_the_txsz_table() {
        // VMSA-12: section 2, "Start level from TxSZ (DS = 0)".
        let table: [(Granule, Rows); 3] = [
            (
                Granule::K4,
                &[(16, 24, 0), (25, 33, 1), (34, 42, 2), (43, 48, 3)],
            ),
            (
                Granule::K16,
                &[(16, 16, 0), (17, 27, 1), (28, 38, 2), (39, 48, 3)],
            ),
            (Granule::K64, &[(16, 21, 1), (22, 34, 2), (35, 47, 3)]),
        ];
        for (granule, rows) in table {
            for &(first, last, level) in rows {
                for txsz in first..=last {
                    assert_eq!(
                        start_level(granule, 64 - txsz),
                        level,
                        "{granule} TxSZ {txsz}"
                    );
                }
            }
        }
    }

    #[test]
    fn level_bits_match_the_geometry_table() {
        let lsb = |g| [0, 1, 2, 3].map(|l| level_lsb(g, l));
        assert_eq!(lsb(Granule::K4), [39, 30, 21, 12]);
        assert_eq!(lsb(Granule::K16), [47, 36, 25, 14]);
        assert_eq!(lsb(Granule::K64)[1..], [42, 29, 16]);
    }

    #[test]
    fn a_start_level_table_is_partial_and_never_concatenated() {
        // VMSA-12, VMSA-13: at most one full table at the start level.
        for granule in Granule::ALL {
            for iasize in 17..=48 {
                let level = start_level(granule, iasize);
                let last = index(granule, iasize, level, u64::MAX);
                assert!(last < granule.entries(), "{granule} IASIZE {iasize}");
                assert_eq!((last + 1) * 8, 1 << base_table_shift(granule, iasize));
            }
        }
    }

    #[test]
    fn contiguous_runs_map_the_sizes_of_section_4() {
        let size = |g, l| contiguous_run(g, l).map(|n| u64::from(n) * level_bytes(g, l));
        assert_eq!(size(Granule::K4, 1), Some(16 << 30));
        assert_eq!(size(Granule::K4, 2), Some(32 << 20));
        assert_eq!(size(Granule::K4, 3), Some(64 << 10));
        assert_eq!(size(Granule::K16, 2), Some(1 << 30));
        assert_eq!(size(Granule::K16, 3), Some(2 << 20));
        assert_eq!(size(Granule::K64, 2), Some(16 << 30));
        assert_eq!(size(Granule::K64, 3), Some(2 << 20));
        // TLB-04.
        assert_eq!(size(Granule::K4, 0), None);
        assert_eq!(size(Granule::K16, 1), None);
        assert_eq!(size(Granule::K64, 1), None);
    }
}
