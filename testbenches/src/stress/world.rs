// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What all cores share: two address spaces of each granule in the lower range, one in the upper
//! range with a window on all tables, and the registers with which they are entered.

use cosim::dut::ports::Straps;
use cosim::regress::{Bench, Failure};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, Granule, Mair, Sctlr, Tcr, Ttbr};

use super::region::{Region, Space, window_va};
use crate::random::setup::MAIR;
use crate::stage1::tree::Tree;

/// First byte of the tables, aligned to the largest block, and room for those of one space.
const TABLES: u64 = 0x40_0000_0000;
const SPACE_BYTES: u64 = 0x40_0000;
/// Lower spaces.
pub const SPACES: usize = 6;

/// Everything that the cores share.
#[derive(Debug)]
pub struct World {
    /// Address spaces of the lower range: two of each granule.
    pub lower: Vec<Space>,
    /// The one of the upper range.
    pub upper: Space,
    /// Whether descriptors are stored byte-swapped.
    pub big_endian: bool,
    /// ASIDs that no space has; any of them may have been used before.
    pub asids: Vec<u16>,
    /// MAIR_EL1.
    pub mair: Mair,
    /// TCR_EL1 as every core enters with, the lower range disabled.
    pub tcr: Tcr,
    /// SCTLR_EL1 as every core enters with.
    pub sctlr: Sctlr,
    /// Whether one core is all there are.
    pub alone: bool,
}

impl World {
    /// Draws the spaces and loads their tables.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub fn new(bench: &mut Bench, rng: &mut Pcg64Mcg, straps: &Straps) -> Result<Self, Failure> {
        let big_endian = rng.random_bool(0.15);
        let asid16 = !straps.asid8 && rng.random_bool(0.7);
        // Room for the run of blocks of every granule, and for the window beyond it.
        let va_bits = |rng: &mut Pcg64Mcg| rng.random_range(37..=48);
        let mut lower = Vec::new();
        for number in 0..SPACES {
            let granule = Granule::ALL[number % 3];
            let bits = va_bits(rng);
            let base = TABLES + number as u64 * SPACE_BYTES;
            let tree = Tree::new(Lower, granule, bits, base);
            lower.push(Space::load(bench, rng, tree, (big_endian, None))?);
        }
        let (granule, bits) = (Granule::ALL[rng.random_range(0..3)], va_bits(rng));
        let base = TABLES + SPACES as u64 * SPACE_BYTES;
        let tree = Tree::new(Upper, granule, bits, base);
        let window = (TABLES, (SPACES as u64 + 1) * SPACE_BYTES);
        let upper = Space::load(bench, rng, tree, (big_endian, Some(window)))?;

        // Neighbours in the low byte and in the high one.
        let mut asids: Vec<u16> = match asid16 {
            true => vec![1, 2, 3, 0x101, 0x102, 0x8003, 0xff, 0xff01],
            false => vec![1, 2, 3, 4, 0x80, 0x81, 0xfe, 0xff],
        };
        for space in &lower {
            let place = rng.random_range(0..asids.len());
            space.asid.set(asids.remove(place));
        }
        let mut mair = Mair(0);
        for (index, attr) in (0..).zip(MAIR) {
            mair = mair.with_attr(index, attr);
        }
        let update = rng.random_range(0..4);
        let tcr = Tcr(0)
            .with_ips(5)
            .with_asid16(asid16)
            .with_ha(update > 0)
            .with_hd(update > 1)
            .with_tsz(Upper, 64 - bits as u8)
            .with_granule(Upper, granule)
            .with_epd(Lower, true);
        Ok(Self {
            lower,
            upper,
            big_endian,
            asids,
            mair,
            tcr,
            sctlr: Sctlr(0)
                .with_m(true)
                .with_c(true)
                .with_i(true)
                .with_ee(big_endian),
            alone: bench.handle()?.cores() == 1,
        })
    }

    /// VA by which EL1 reaches the descriptor at physical address `slot`.
    pub fn window(&self, slot: u64) -> u64 {
        window_va(&self.upper.tree) + (slot - TABLES)
    }

    /// The word that holds `descriptor`.
    pub fn word(&self, descriptor: Descriptor) -> u64 {
        if self.big_endian {
            descriptor.0.swap_bytes()
        } else {
            descriptor.0
        }
    }

    /// The descriptor that `word` holds.
    pub fn descriptor(&self, word: u64) -> Descriptor {
        Descriptor(if self.big_endian {
            word.swap_bytes()
        } else {
            word
        })
    }

    /// TTBR1_EL1.
    pub fn ttbr1(&self) -> Ttbr {
        self.upper.tree.ttbr(0)
    }

    /// `tcr` for the lower space `space`.
    pub fn tcr_for(&self, tcr: Tcr, space: &Space) -> Tcr {
        tcr.with_granule(Lower, space.granule())
            .with_tsz(Lower, 64 - space.tree.va_bits() as u8)
    }

    /// One of the regions of the upper space or of lower space `current`.
    pub fn pick(&self, rng: &mut Pcg64Mcg, current: usize) -> (&Space, &Region) {
        let space = if rng.random_ratio(1, 3) {
            &self.upper
        } else {
            &self.lower[current]
        };
        (
            space,
            &space.regions[rng.random_range(0..space.regions.len())],
        )
    }
}
