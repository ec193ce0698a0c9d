// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The tables that the load that meets everything runs on: one set a granule.

use cosim::regress::{Bench, Failure};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, Granule};

use crate::stage1::regime::{DEVICE, Regime, user_rw};
use crate::stage1::tree::Tree;

/// MAIR index of a reserved byte.
pub const RESERVED: u8 = 3;
/// Pages of every kind, one after the other; a run of pages; a run of blocks; under limits in two
/// tables; behind a table beyond the output size; a block or a table of pages, in turn.
pub const PAGES: u64 = 0x4000_0000;
pub const RUN: u64 = 0x6000_0000;
pub const BLOCKS: u64 = 0x0020_0000_0000;
pub const LIMITED: u64 = 0x0c00_0000_0000;
pub const BEYOND: u64 = 0x0c80_0000_0000;
pub const RIVAL: u64 = 0x0040_0000_0000;
/// Physical places, all below 2^44.
pub const PA: u64 = 0x8000_0000;
pub const RUN_PA: u64 = 0x0200_0000_0000;
pub const RIVAL_PA: u64 = 0x0300_0000_0000;
/// The kinds of pages.
pub const KINDS: u64 = 13;

/// The tables of one granule.
pub struct Place {
    /// Their granule.
    pub granule: Granule,
    /// The registers that go with them.
    pub regime: Regime,
    /// The same VAs in another address space.
    pub other: Regime,
    /// The first tables again, byte-swapped.
    pub swapped: Regime,
    /// The tables of the lower range.
    pub lower: Tree,
    /// A slot, the table that it holds at first, and a block that maps the same.
    pub rival: (u64, u64, u64),
    /// A page of the upper range.
    pub upper_page: u64,
}

impl Place {
    /// Builds the tables from physical address `base` on and loads them.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub fn load(bench: &mut Bench, granule: Granule, base: u64) -> Result<Self, Failure> {
        let page = granule.bytes();
        let mut lower = Tree::new(Lower, granule, 48, base);
        let mut other = Tree::new(Lower, granule, 48, base + 0x400_0000);
        let mut upper = Tree::new(Upper, granule, 48, base + 0x800_0000);
        let leaf = |n: u64| user_rw(granule, 3, PA + n * 2 * page);
        let clean = |n| leaf(n).with_dbm(true).with_ap_read_only(true);
        let kinds = [
            leaf(0),
            leaf(1),
            clean(2).with_af(false),
            clean(3),
            leaf(4).with_attr_index(DEVICE),
            leaf(5).with_attr_index(RESERVED),
            leaf(6).with_ap_read_only(true),
            leaf(7).with_af(false),
            leaf(8).with_ap_el0(false),
            leaf(9).with_ap_el0(false).with_ap_read_only(true),
            Descriptor(leaf(10).0 | 1 << 45),
            leaf(11).with_uxn(true).with_pxn(true),
            leaf(12).with_ng(false),
        ];
        for (n, leaf) in (0..).zip(kinds) {
            lower.map(PAGES + n * page, 3, leaf);
            other.map(PAGES + n * page, 3, Descriptor(leaf.0 + (64 << 20)));
        }
        lower.map_run(RUN, 3, RUN_PA, user_rw(granule, 3, 0));
        lower.map_run(BLOCKS, 2, RUN_PA, user_rw(granule, 2, 0));
        // The first table that is not the root forbids writes, the last one nothing.
        lower.map(LIMITED, 3, leaf(0));
        let start = lower.start_level();
        let slot = lower.slot(LIMITED, start);
        lower.set(
            slot,
            Descriptor(lower.word(slot))
                .with_ap_table(2)
                .with_uxn_table(true)
                .0,
        );
        lower.map(BEYOND, 3, leaf(0));
        let slot = lower.slot(BEYOND, 2);
        lower.set(slot, Descriptor::table(1 << 45).0);
        lower.map(RIVAL, 3, user_rw(granule, 3, RIVAL_PA));
        lower.map(RIVAL + page, 3, user_rw(granule, 3, RIVAL_PA + page));
        let slot = lower.slot(RIVAL, 2);
        let rival = (slot, lower.word(slot), user_rw(granule, 2, RIVAL_PA).0);
        let upper_page = upper.va(PAGES);
        upper.map(upper_page, 3, leaf(0).with_ap_el0(false).with_ng(false));
        let mut swapped = lower.clone().moved(0x1_0000_0000);
        swapped.swap_bytes();
        for tree in [&lower, &other, &upper, &swapped] {
            tree.load(bench)?;
        }
        let mut regime = Regime::default().with(&lower, 1).with(&upper, 0);
        regime.mair = regime.mair.with_attr(RESERVED, 0x01);
        regime.tcr = regime
            .tcr
            .with_ips(4)
            .with_ha(true)
            .with_hd(true)
            .with_tbi(Lower, true)
            .with_tbid(Lower, true);
        let of = |tree: &Tree, asid| Regime {
            ttbr0: tree.ttbr(asid),
            ..regime
        };
        let big = Regime {
            sctlr: regime.sctlr.with_ee(true),
            ..of(&swapped, 1)
        };
        Ok(Self {
            granule,
            other: of(&other, 2),
            swapped: Regime {
                ttbr1: vmsa::Ttbr(0),
                tcr: big.tcr.with_epd(Upper, true),
                ..big
            },
            regime,
            lower,
            rival,
            upper_page,
        })
    }

    /// VA of page `n` of [`PAGES`].
    pub fn page(&self, n: u64) -> u64 {
        PAGES + n * self.granule.bytes()
    }
}
