// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A piece of an address space whose descriptors are edited, and the address spaces that consist of
//! such pieces: pages, contiguous runs of pages and of blocks, a block that becomes a table, a table
//! that is exchanged for another.

use std::cell::Cell;

use cosim::regress::{Bench, Failure};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::{Descriptor, Granule, VaRange, geometry};

use super::leaf;
use crate::stage1::tree::Tree;

/// Pages of a region of single pages, and pages of a table that are mapped.
pub const PAGES: u64 = 8;

/// What a region consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Single pages.
    Pages,
    /// One contiguous run of pages, or of blocks.
    Run,
    /// One descriptor of level 2: a block, or one of two tables of pages.
    Sizes([u64; 2]),
    /// One descriptor of level 1: one of two tables.
    Tables([u64; 2]),
}

/// Descriptors that are edited together.
#[derive(Debug)]
pub struct Region {
    /// First VA.
    pub va: u64,
    /// Level of the descriptors.
    pub level: u8,
    /// Physical addresses of the descriptors, in the order of their VAs.
    pub slots: Vec<u64>,
    /// What they are.
    pub kind: Kind,
    /// The piece of user memory behind the region as it is at first.
    pub piece: u64,
    /// Whether an editor holds the region.
    pub held: Cell<bool>,
}

impl Region {
    /// Takes the region, unless somebody holds it.
    pub fn take(&self) -> bool {
        !self.held.replace(true)
    }
}

/// An address space: a tree of tables with its regions.
#[derive(Debug)]
pub struct Space {
    /// The tables as they are at first.
    pub tree: Tree,
    /// The regions.
    pub regions: Vec<Region>,
    /// The ASID that the space has now; of no meaning for the upper range.
    pub asid: Cell<u16>,
    /// Cores that are in the space.
    pub users: Cell<usize>,
}

impl Space {
    /// Half of the VA space.
    pub fn range(&self) -> VaRange {
        self.tree.range()
    }

    /// Granule.
    pub fn granule(&self) -> Granule {
        self.tree.granule()
    }

    /// VA span of one descriptor of `region`.
    pub fn span(&self, region: &Region) -> u64 {
        geometry::level_bytes(self.granule(), region.level)
    }

    /// Builds the tables of a space from physical address `base` on and loads them.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub fn load(
        bench: &mut Bench,
        rng: &mut Pcg64Mcg,
        tree: Tree,
        (big_endian, window): (bool, Option<(u64, u64)>),
    ) -> Result<Self, Failure> {
        let mut builder = Builder { tree, rng };
        let mut regions = vec![builder.pages(), builder.run(3), builder.sizes()];
        regions.push(builder.run(2));
        regions.extend(builder.tables());
        let mut tree = builder.tree;
        if let Some((base, bytes)) = window {
            map_window(&mut tree, base, bytes);
        }
        let native = tree.clone();
        if big_endian {
            tree.swap_bytes();
        }
        tree.load(bench)?;
        Ok(Self {
            tree: native,
            regions,
            asid: Cell::new(0),
            users: Cell::new(0),
        })
    }
}

/// VA of the window on the tables, within the upper range.
pub fn window_va(tree: &Tree) -> u64 {
    tree.va(64 * geometry::level_bytes(tree.granule(), 2))
}

/// Maps [base, base + bytes), where the tables lie, for EL1 to read and write, at a place that no
/// region covers.
fn map_window(tree: &mut Tree, base: u64, bytes: u64) {
    let granule = tree.granule();
    let block = geometry::level_bytes(granule, 2);
    let va = window_va(tree);
    for offset in (0..bytes).step_by(usize::try_from(block).unwrap_or(usize::MAX)) {
        let like = Descriptor::leaf(granule, 2, base + offset)
            .with_af(true)
            .with_sh(3)
            .with_uxn(true)
            .with_pxn(true);
        tree.map(va + offset, 2, like);
    }
}

struct Builder<'a> {
    tree: Tree,
    rng: &'a mut Pcg64Mcg,
}

impl Builder<'_> {
    /// VA of the descriptor number `index` of `level`.
    fn va(&self, level: u8, index: u64) -> u64 {
        self.tree
            .va(index * geometry::level_bytes(self.tree.granule(), level))
    }

    fn region(&self, va: u64, level: u8, count: u64, kind: Kind, piece: u64) -> Region {
        let span = geometry::level_bytes(self.tree.granule(), level);
        Region {
            va,
            level,
            slots: (0..count)
                .map(|i| self.tree.slot(va + i * span, level))
                .collect(),
            kind,
            piece,
            held: Cell::new(false),
        }
    }

    fn leaf(&mut self, level: u8, pa: u64) -> Descriptor {
        leaf::draw(self.rng, self.tree.range(), self.tree.granule(), level, pa)
    }

    fn pages(&mut self) -> Region {
        let (va, piece) = (self.va(2, 1), leaf::piece(self.rng));
        for i in 0..PAGES {
            let pa = leaf::pa(self.tree.granule(), 3, piece, i);
            let like = self.leaf(3, pa);
            self.tree.map(va + i * self.tree.granule().bytes(), 3, like);
        }
        self.region(va, 3, PAGES, Kind::Pages, piece)
    }

    fn run(&mut self, level: u8) -> Region {
        let granule = self.tree.granule();
        let members = geometry::contiguous_run(granule, level).map_or(1, u64::from);
        let va = match level {
            3 => self.va(2, 2),
            _ => self.va(2, members),
        };
        let piece = leaf::piece(self.rng);
        let like = self.leaf(level, 0);
        let pa = leaf::pa(granule, level, piece, 0);
        self.tree.map_run(va, level, pa, like);
        self.region(va, level, members, Kind::Run, piece)
    }

    /// A table of pages at `va`, all of one mind, so that a block may stand for them.
    fn table_of_pages(&mut self, va: u64, piece: u64) -> u64 {
        let granule = self.tree.granule();
        let alike = self.rng.random_bool(0.7);
        let plain = leaf::plain(self.tree.range());
        for i in 0..PAGES {
            let pa = leaf::pa(granule, 3, piece, i);
            let like = if alike {
                leaf::at(plain, granule, 3, pa)
            } else {
                self.leaf(3, pa)
            };
            self.tree.map(va + i * granule.bytes(), 3, like);
        }
        Descriptor(self.tree.word(self.tree.slot(va, 2))).next_table(granule)
    }

    fn sizes(&mut self) -> Region {
        let piece = leaf::piece(self.rng);
        let (here, spare) = (self.va(2, 3), self.va(2, 4));
        let other = leaf::piece(self.rng);
        let tables = [
            self.table_of_pages(here, piece),
            self.table_of_pages(spare, other),
        ];
        self.region(here, 2, 1, Kind::Sizes(tables), piece)
    }

    /// Two tables below level 1, where the range has room for them.
    fn tables(&mut self) -> Option<Region> {
        let granule = self.tree.granule();
        let room = geometry::level_lsb(granule, 1) + 2 <= self.tree.va_bits();
        if self.tree.start_level() > 1 || !room {
            return None;
        }
        let piece = leaf::piece(self.rng);
        let tables = [1, 2].map(|index| {
            let va = self.va(1, index);
            let other = leaf::piece(self.rng);
            self.table_of_pages(va, other);
            let pa = leaf::pa(granule, 2, other, 1);
            let like = self.leaf(2, pa);
            self.tree
                .map(va + geometry::level_bytes(granule, 2), 2, like);
            Descriptor(self.tree.word(self.tree.slot(va, 1))).next_table(granule)
        });
        let va = self.va(1, 1);
        Some(self.region(va, 1, 1, Kind::Tables(tables), piece))
    }
}

/// Where an access may go in `region`: an offset from its first VA.
pub fn aim(rng: &mut Pcg64Mcg, space: &Space, region: &Region) -> u64 {
    let page = space.granule().bytes();
    let pages = match region.kind {
        Kind::Pages => rng.random_range(0..PAGES),
        Kind::Run => {
            let member = rng.random_range(0..region.slots.len() as u64);
            member * space.span(region) / page + rng.random_range(0..space.span(region) / page)
        }
        // Mostly where the tables map something.
        Kind::Sizes(_) if rng.random_ratio(1, 10) => rng.random_range(0..space.span(region) / page),
        Kind::Sizes(_) => rng.random_range(0..PAGES),
        Kind::Tables(_) => {
            let block = geometry::level_bytes(space.granule(), 2) / page;
            rng.random_range(0..2) * block + rng.random_range(0..PAGES)
        }
    };
    // Few words, so that accesses meet; page ends; the second node.
    let offset = match rng.random_range(0..8) {
        0 => page - rng.random_range(1..9),
        1 => 0x1000 % page + 8 * rng.random_range(0..4),
        2 => rng.random_range(0..64),
        _ => 8 * rng.random_range(0..4),
    };
    pages * page + offset
}
