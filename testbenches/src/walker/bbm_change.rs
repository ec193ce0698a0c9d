// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Changes of a live descriptor as section 12 lists them, each with what accesses are answered by the
//! old and by the new value.

use cosim::dut::ports::{CoreRequest, CoreResponse, Op};
use cosim::regress::{Bench, Failure};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Granule};

use crate::stage1::regime::{DEVICE, NON_CACHEABLE, user_rw};
use crate::stage1::tree::Tree;

/// Where the mapping that changes begins.
pub const VA: u64 = 0x4020_0000;
/// Output of the pages at first.
pub const OLD: u64 = 0x8000_0000;
/// Output of the page or block that replaces them.
pub const NEW: u64 = 0x9000_0000;
/// Output of the pages of the table that replaces theirs.
const ELSEWHERE: u64 = 0xa000_0000;
const TABLES: u64 = 0x5000_0000;

/// What an access is answered with: output address, attributes and shareability, or a fault code.
pub type Answer = Result<(u64, u8, u8), u8>;

/// What `response` says.
pub fn answer_of(response: &CoreResponse) -> Answer {
    match response.fault {
        None => Ok((response.pa, response.attr, response.sh)),
        Some(fsc) => Err(fsc.0),
    }
}

/// What a descriptor means for the accesses made: a load and a store at EL0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The descriptor.
    pub word: u64,
    /// Answer to a load.
    pub load: Answer,
    /// Answer to a store.
    pub store: Answer,
}

/// `Meaning` of a leaf of `level` for an access at VA + `offset`.
fn meaning(leaf: Descriptor, level: u8, offset: u64) -> Meaning {
    let inside = offset & (vmsa::geometry::level_bytes(Granule::K4, level) - 1);
    let pa = leaf.output_address(Granule::K4, level) | inside;
    let (attr, sh) = match leaf.attr_index() {
        DEVICE => (0x04, 2),
        NON_CACHEABLE => (0x44, 2),
        _ => (0xff, leaf.sh()),
    };
    let good = Ok((pa, attr, sh));
    let (load, store) = match (leaf.valid(), leaf.af(), leaf.ap_el0()) {
        (false, ..) => (Err(0x04 + level), Err(0x04 + level)),
        (_, false, _) => (Err(0x08 + level), Err(0x08 + level)),
        (_, _, false) => (Err(0x0c + level), Err(0x0c + level)),
        _ if leaf.ap_read_only() => (good, Err(0x0c + level)),
        _ => (good, good),
    };
    Meaning {
        word: leaf.0,
        load,
        store,
    }
}

/// A live change of the descriptor at `slot`.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Physical address of the descriptor.
    pub slot: u64,
    /// Byte of the mapping that is accessed.
    pub offset: u64,
    /// Before.
    pub old: Meaning,
    /// After.
    pub new: Meaning,
}

impl Change {
    /// One of a sequence of loads and stores that meet the change.
    #[must_use]
    pub fn request(&self, round: u64) -> CoreRequest {
        let va = VA + self.offset + 8 * (round % 4);
        match round % 3 {
            2 => CoreRequest::store(va, 3, El::El0, round),
            _ => CoreRequest::load(va, 3, El::El0),
        }
    }

    /// The answers to `request` by the old and by the new descriptor.
    pub fn answers(&self, request: &CoreRequest) -> (Answer, Answer) {
        let further = request.va - VA - self.offset;
        let of = |meaning: &Meaning| {
            let answer = match request.op {
                Op::Store => meaning.store,
                _ => meaning.load,
            };
            answer.map(|(pa, attr, sh)| (pa + further, attr, sh))
        };
        (of(&self.old), of(&self.new))
    }
}

/// The mapping: a table of pages at VA, its level 2 slot, and what other words may take its place.
pub struct Scene {
    /// The tables.
    pub tree: Tree,
    page_slot: u64,
    block_slot: u64,
    /// Names a table of other pages, at ELSEWHERE.
    other_table: u64,
}

impl Scene {
    /// Builds the tables and puts them into the memory of `bench`.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub fn new(bench: &mut Bench) -> Result<Self, Failure> {
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        for page in 0..16u64 {
            let pa = OLD + (page << 12);
            tree.map(VA + (page << 12), 3, user_rw(Granule::K4, 3, pa));
        }
        // The table that may take the place of theirs.
        for page in 0..16u64 {
            let leaf = user_rw(Granule::K4, 3, ELSEWHERE + (page << 12));
            tree.map(VA + 0x4000_0000 + (page << 12), 3, leaf);
        }
        // The page that warms up everything but the leaf.
        tree.map(VA + 0x1f_f000, 3, user_rw(Granule::K4, 3, OLD + 0x1f_f000));
        let scene = Self {
            page_slot: tree.slot(VA, 3),
            block_slot: tree.slot(VA, 2),
            other_table: tree.word(tree.slot(VA + 0x4000_0000, 2)),
            tree,
        };
        scene.tree.load(bench)?;
        Ok(scene)
    }

    /// A change of the first page's descriptor.
    fn page(&self, old: Descriptor, new: Descriptor) -> Change {
        Change {
            slot: self.page_slot,
            offset: 0,
            old: meaning(old, 3, 0),
            new: meaning(new, 3, 0),
        }
    }

    /// The table of pages becomes `block`, or the other way round, seen at the fourth page.
    fn block(&self, block: Descriptor, to_block: bool) -> Change {
        let offset = 0x3000;
        let page = meaning(user_rw(Granule::K4, 3, OLD + offset), 3, offset);
        let table = Meaning {
            word: self.tree.word(self.block_slot),
            ..page
        };
        let block = meaning(block, 2, offset);
        let (old, new) = if to_block {
            (table, block)
        } else {
            (block, table)
        };
        Change {
            slot: self.block_slot,
            offset,
            old,
            new,
        }
    }

    /// The table of pages becomes another one, seen at the fourth page.
    fn table(&self) -> Change {
        let offset = 0x3000;
        let below = |word, pa| Meaning {
            word,
            ..meaning(user_rw(Granule::K4, 3, pa + offset), 3, offset)
        };
        Change {
            slot: self.block_slot,
            offset,
            old: below(self.tree.word(self.block_slot), OLD),
            new: below(self.other_table, ELSEWHERE),
        }
    }

    /// The changes of 12.1.
    #[must_use]
    pub fn breaking(&self) -> Vec<Change> {
        let page = user_rw(Granule::K4, 3, OLD);
        let block = user_rw(Granule::K4, 2, NEW)
            .with_attr_index(DEVICE)
            .with_ap_read_only(true);
        vec![
            self.page(page, page.with_attr_index(DEVICE)),
            self.page(page.with_attr_index(NON_CACHEABLE), page),
            self.page(page, page.with_sh(2)),
            self.page(page, user_rw(Granule::K4, 3, NEW)),
            self.page(
                page,
                user_rw(Granule::K4, 3, NEW)
                    .with_ap_read_only(true)
                    .with_sh(0),
            ),
            self.page(page.with_ap_read_only(true), user_rw(Granule::K4, 3, NEW)),
            self.page(page, page.with_ng(false)),
            self.page(page, page.with_contiguous(true)),
            self.page(page.with_contiguous(true), page),
            self.block(block, true),
            self.block(block, false),
            self.table(),
        ]
    }

    /// The changes of 12.2.
    #[must_use]
    pub fn free(&self) -> Vec<Change> {
        let page = user_rw(Granule::K4, 3, OLD);
        let nothing = Descriptor(0);
        vec![
            self.page(nothing, page),
            self.page(page, nothing),
            self.page(page.with_af(false), page),
            self.page(page, page.with_af(false)),
            self.page(page.with_ap_read_only(true), page),
            self.page(page, page.with_ap_read_only(true)),
            self.page(page.with_ap_el0(false), page),
            self.page(page, page.with_ap_el0(false)),
            self.page(page, page.with_uxn(true).with_pxn(true)),
            self.page(page, page.with_software(0b1010)),
            self.page(page, page.with_dbm(true)),
            self.page(page, page.with_ng(true).with_gp(true)),
        ]
    }
}
