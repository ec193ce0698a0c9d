// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What an edit writes: new descriptors for a region, drawn with regard to those that are there.

use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::{Descriptor, geometry};

use super::super::invalidate::Broken;
use super::super::leaf;
use super::super::region::{Kind, PAGES, Region, Space};

/// New descriptors.
#[derive(Debug)]
pub struct Plan {
    /// What the edit is called in the figures.
    pub name: &'static str,
    /// Slots and what they shall hold, in the order of the slots of the region.
    pub writes: Vec<(u64, Descriptor)>,
    /// Index of the first of them in the region.
    first: u64,
    /// Whether section 12.1 asks for break-before-make.
    pub breaks: bool,
    /// Whether a table is or was among them.
    tables: bool,
}

impl Plan {
    /// Draws an edit of `region`; `read` tells what a slot holds.
    pub fn draw(
        rng: &mut Pcg64Mcg,
        space: &Space,
        region: &Region,
        read: impl Fn(u64) -> Descriptor,
    ) -> Self {
        match region.kind {
            Kind::Pages => Self::page(rng, space, region, read),
            Kind::Run => Self::run(rng, space, region, read),
            Kind::Sizes(tables) => Self::sizes(rng, space, region, tables, read),
            Kind::Tables(tables) => Self::tables(rng, region, tables, read),
        }
    }

    /// What the edit breaks, for the invalidation that covers it.
    pub fn broken(&self, space: &Space, region: &Region) -> Broken {
        Broken {
            va: region.va + self.first * space.span(region),
            count: self.writes.len() as u64,
            tables: self.tables,
        }
    }

    fn of_one(name: &'static str, region: &Region, index: usize, new: Descriptor) -> Self {
        Self {
            name,
            writes: vec![(region.slots[index], new)],
            first: index as u64,
            breaks: true,
            tables: false,
        }
    }

    /// A new leaf for entry `index` of the region, mapping what it maps in its piece or in another.
    fn leaf(rng: &mut Pcg64Mcg, space: &Space, region: &Region, index: u64) -> Descriptor {
        let piece = match rng.random_bool(0.5) {
            true => region.piece,
            false => leaf::piece(rng),
        };
        let pa = leaf::pa(space.granule(), region.level, piece, index);
        leaf::draw(rng, space.range(), space.granule(), region.level, pa)
    }

    fn page(
        rng: &mut Pcg64Mcg,
        space: &Space,
        region: &Region,
        read: impl Fn(u64) -> Descriptor,
    ) -> Self {
        let index = rng.random_range(0..region.slots.len());
        let old = read(region.slots[index]);
        match rng.random_range(0..10) {
            0..3 if old.valid() => {
                let new = leaf::touched(rng, old);
                Self {
                    breaks: false,
                    ..Self::of_one("permissions and state changed", region, index, new)
                }
            }
            3 => Self {
                breaks: false,
                ..Self::of_one("leaves unmapped", region, index, Descriptor(0))
            },
            _ => {
                let new = Self::leaf(rng, space, region, index as u64);
                Self {
                    breaks: old.valid(),
                    ..Self::of_one("leaves mapped", region, index, new)
                }
            }
        }
    }

    /// Folds, unfolds or partly changes a contiguous run. A rule-abiding change breaks all of it.
    fn run(
        rng: &mut Pcg64Mcg,
        space: &Space,
        region: &Region,
        read: impl Fn(u64) -> Descriptor,
    ) -> Self {
        let members = region.slots.len();
        // Long runs take long to write.
        let whole = rng.random_ratio(16, 16 + members as u32);
        let piece = match rng.random_bool(0.5) {
            true => region.piece,
            false => leaf::piece(rng),
        };
        let (granule, level) = (space.granule(), region.level);
        let pa = |index: usize| leaf::pa(granule, level, piece, index as u64);
        let like = leaf::draw(rng, space.range(), granule, level, pa(0));
        let fold = rng.random_bool(0.6);
        if whole {
            let member = |index| leaf::at(like, granule, level, pa(index)).with_contiguous(fold);
            return Self {
                name: if fold { "runs folded" } else { "runs unfolded" },
                writes: (0..members).map(|i| (region.slots[i], member(i))).collect(),
                first: 0,
                breaks: true,
                tables: false,
            };
        }
        // Some members only: a run of two minds.
        let count = rng.random_range(1..=members.min(4));
        let first = rng.random_range(0..=members - count);
        let change = rng.random_range(0..4);
        let member = |index: usize, rng: &mut Pcg64Mcg| {
            let old = read(region.slots[index]);
            match change {
                0 => leaf::at(like, granule, level, pa(index)).with_contiguous(fold),
                1 if old.valid() => old.with_contiguous(!old.contiguous()),
                2 if old.valid() => leaf::touched(rng, old),
                _ => Descriptor(0),
            }
        };
        Self {
            name: "runs partly changed",
            writes: (first..first + count)
                .map(|i| (region.slots[i], member(i, rng)))
                .collect(),
            first: first as u64,
            breaks: true,
            tables: false,
        }
    }

    /// A block for a table, a table for a block, or either for nothing.
    fn sizes(
        rng: &mut Pcg64Mcg,
        space: &Space,
        region: &Region,
        tables: [u64; 2],
        read: impl Fn(u64) -> Descriptor,
    ) -> Self {
        let old = read(region.slots[0]);
        let (granule, level) = (space.granule(), region.level);
        let was_table = old.valid() && old.is_table_bit();
        let (name, new) = match rng.random_range(0..8) {
            0 => ("leaves unmapped", Descriptor(0)),
            // As the pages of the first table are at first, so that nothing but the size changes.
            1..4 if was_table => {
                let pa = leaf::pa(granule, level, region.piece, 0);
                let plain = leaf::at(leaf::plain(space.range()), granule, level, pa);
                ("tables made blocks", plain.with_nt(rng.random_bool(0.5)))
            }
            4 => ("tables made blocks", Self::leaf(rng, space, region, 0)),
            // A page of a table that is in use, or was a moment ago.
            5 => return Self::inner(rng, space, region, tables),
            _ => {
                let which = usize::from(rng.random_ratio(1, 4));
                ("blocks made tables", table(rng, tables[which]))
            }
        };
        Self {
            breaks: old.valid() && new.valid(),
            tables: true,
            ..Self::of_one(name, region, 0, new)
        }
    }

    /// One page of the tables behind a block or table.
    fn inner(rng: &mut Pcg64Mcg, space: &Space, region: &Region, tables: [u64; 2]) -> Self {
        let index = rng.random_range(0..PAGES);
        let slot = tables[rng.random_range(0..2)] + 8 * index;
        let pa = leaf::pa(space.granule(), geometry::FINAL_LEVEL, region.piece, index);
        let new = leaf::draw(
            rng,
            space.range(),
            space.granule(),
            geometry::FINAL_LEVEL,
            pa,
        );
        Self {
            writes: vec![(slot, new)],
            tables: true,
            ..Self::of_one("pages behind a table changed", region, 0, new)
        }
    }

    /// Another table, other limits, or none.
    fn tables(
        rng: &mut Pcg64Mcg,
        region: &Region,
        tables: [u64; 2],
        read: impl Fn(u64) -> Descriptor,
    ) -> Self {
        let new = match rng.random_ratio(1, 6) {
            true => Descriptor(0),
            false => {
                let which = rng.random_range(0..2);
                table(rng, tables[which])
            }
        };
        Self {
            breaks: read(region.slots[0]).valid() && new.valid(),
            tables: true,
            ..Self::of_one("tables exchanged", region, 0, new)
        }
    }
}

/// A table descriptor, with limits at times.
fn table(rng: &mut Pcg64Mcg, pa: u64) -> Descriptor {
    let table = Descriptor::table(pa);
    match rng.random_ratio(1, 4) {
        true => table
            .with_ap_table(rng.random_range(0..4))
            .with_uxn_table(rng.random_bool(0.3))
            .with_pxn_table(rng.random_bool(0.3)),
        false => table,
    }
}
