// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Leaves, drawn: where they map to, what they allow, what kind of memory they say it is.

use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::{Descriptor, Granule, VaRange, geometry};

/// First byte of user memory and distance of its pieces: a multiple of every run.
const USER_MEMORY: u64 = 0x1000_0000_0000;
const PIECE: u64 = 1 << 40;
/// Pieces: few, so that what one core writes another one reads by another address.
const PIECES: u64 = 4;

/// One of the pieces.
pub fn piece(rng: &mut Pcg64Mcg) -> u64 {
    rng.random_range(0..PIECES)
}

/// Physical address of entry `index` of `level` in a piece: the same bytes whatever the level.
pub fn pa(granule: Granule, level: u8, piece: u64, index: u64) -> u64 {
    USER_MEMORY + piece * PIECE + index * geometry::level_bytes(granule, level)
}

/// `like` at `level`, with output address `pa`.
pub fn at(like: Descriptor, granule: Granule, level: u8, pa: u64) -> Descriptor {
    const ADDRESS_AND_TYPE: u64 = 0xffff_ffff_f003;
    let nt = like.nt() && level < geometry::FINAL_LEVEL;
    let leaf = Descriptor::leaf(granule, level, pa).0 | like.0 & !ADDRESS_AND_TYPE;
    if nt {
        Descriptor(leaf).with_nt(true)
    } else {
        Descriptor(leaf)
    }
}

/// What all pages of a table are like that a block may stand for.
pub fn plain(range: VaRange) -> Descriptor {
    Descriptor(0)
        .with_af(true)
        .with_ng(range == VaRange::Lower)
        .with_sh(3)
        .with_ap_el0(true)
}

/// A leaf with every field drawn. A leaf of the lower range is never global: it would serve every
/// address space.
pub fn draw(
    rng: &mut Pcg64Mcg,
    range: VaRange,
    granule: Granule,
    level: u8,
    pa: u64,
) -> Descriptor {
    let mut bit = |chance: f64| rng.random_bool(chance);
    let like = Descriptor(0)
        .with_af(bit(0.85))
        .with_ng(range == VaRange::Lower || bit(0.5))
        .with_nt(level < geometry::FINAL_LEVEL && bit(0.1))
        .with_dbm(bit(0.4))
        .with_ap_read_only(bit(0.4))
        .with_ap_el0(bit(0.8))
        .with_uxn(bit(0.4))
        .with_pxn(bit(0.5))
        .with_attr_index([0, 0, 0, 0, 1, 3, 7, 2, 4, 6][rng.random_range(0..10)])
        .with_sh(rng.random_range(0..4))
        .with_software(rng.random_range(0..16));
    at(like, granule, level, pa)
}

/// `leaf` with some of its permissions, its access flag or its dirty state changed: the changes of
/// section 12.2.
pub fn touched(rng: &mut Pcg64Mcg, leaf: Descriptor) -> Descriptor {
    match rng.random_range(0..6) {
        0 => leaf.with_af(!leaf.af()),
        1 => leaf.with_ap_read_only(!leaf.ap_read_only()),
        2 => leaf.with_ap_el0(!leaf.ap_el0()),
        3 => leaf.with_uxn(!leaf.uxn()).with_pxn(!leaf.pxn()),
        4 => leaf.with_dbm(!leaf.dbm()),
        _ => leaf.with_software(leaf.software() ^ 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_address_of_a_leaf_is_the_one_asked_for_and_nothing_else_of_it_changes() {
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        for granule in Granule::ALL {
            for level in [2, 3] {
                for _ in 0..50 {
                    let to = pa(granule, level, piece(&mut rng), rng.random_range(0..8));
                    let leaf = draw(&mut rng, VaRange::Upper, granule, level, to);
                    assert_eq!(leaf.output_address(granule, level), to);
                    assert_eq!(leaf.is_table_bit(), level == 3);
                    assert_eq!(at(leaf, granule, level, to), leaf, "{granule} {level}");
                    assert_eq!(touched(&mut rng, leaf).output_address(granule, level), to);
                }
            }
        }
    }
}
