// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A leaf of any kind with pages before it, so that a prefetch can lead up to it.

use cosim::dut::ports::CoreRequest;
use cosim::regress::Bench;
use vmsa::{Descriptor, El, Granule, VaRange, geometry};

use crate::stage1::regime::NORMAL;
use crate::stage1::tree::Tree;

/// Physical address of the tables.
pub const TABLES: u64 = 0x5000_0000;
/// Physical address of the leaf: aligned to the largest run.
pub const PA: u64 = 0x20_0000_0000;
/// Physical address of the pages before it.
const BEFORE: u64 = 0x9000_0000;

/// Kind of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Granule.
    pub granule: Granule,
    /// Level of the descriptor.
    pub level: u8,
    /// Whether it belongs to a contiguous run.
    pub run: bool,
}

impl Shape {
    /// Every kind of leaf that there is.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for granule in Granule::ALL {
            for level in (1..=3).filter(|&level| geometry::leaf_allowed(granule, level)) {
                for run in [false, true] {
                    all.push(Self {
                        granule,
                        level,
                        run,
                    });
                }
            }
        }
        all
    }
}

/// A tree that maps one leaf, and the page two before it and the page right before it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The tables.
    pub tree: Tree,
    /// First byte of the leaf.
    pub va: u64,
    /// Its descriptor, or the first of its run.
    pub slot: u64,
    /// A page right before the leaf: a walk for it makes the hardware prefetch the leaf.
    pub before: u64,
    /// A page whose walk brings the tables of `before` into the walk cache, and nothing else.
    pub warm: u64,
}

impl Scene {
    /// A leaf of `shape` with the bits of `like`, in a tree of `range` with `va_bits` bits, at byte
    /// `offset` of the range.
    #[must_use]
    pub fn new(range: VaRange, va_bits: u32, shape: Shape, offset: u64, like: Descriptor) -> Self {
        let Shape {
            granule,
            level,
            run,
        } = shape;
        let mut tree = Tree::new(range, granule, va_bits, TABLES);
        let va = tree.va(offset);
        let slot = match run {
            true => tree.map_run(va, level, PA, like)[0],
            false => {
                let leaf = Descriptor::leaf(granule, level, PA).0 | like.0;
                tree.map(va, level, Descriptor(leaf | u64::from(level == 3) << 1))
            }
        };
        let page = |pa| Descriptor(Descriptor::leaf(granule, 3, pa).0 | like.with_af(true).0);
        let before = va - granule.bytes();
        let warm = va - 9 * granule.bytes();
        tree.map(before, 3, page(BEFORE + 9 * granule.bytes()));
        tree.map(warm, 3, page(BEFORE));
        Self {
            tree,
            va,
            slot,
            before,
            warm,
        }
    }
}

/// Gives the next simulation a second level of few sets: the sweep of an operation, during which it
/// answers nothing, is over in a few cycles, whatever is built.
pub fn with_short_sweeps(bench: &mut Bench) {
    bench.setup().straps.l2_sets_log2 = Some(3);
}

/// Bits of a leaf that EL0 and EL1 may read and write, and EL0 may execute.
#[must_use]
pub fn user() -> Descriptor {
    Descriptor(0)
        .with_attr_index(NORMAL)
        .with_sh(3)
        .with_af(true)
        .with_ng(true)
        .with_ap_el0(true)
}

/// Bits of a leaf that EL1 alone may use, for anything.
#[must_use]
pub fn kernel() -> Descriptor {
    user().with_ap_el0(false)
}

/// One access of each kind to `va`: load, store, CAS, fetch, AT for reads and for writes.
#[must_use]
pub fn accesses(va: u64, el: El, pan: bool) -> [CoreRequest; 6] {
    [
        CoreRequest::load(va, 3, el),
        CoreRequest::store(va, 3, el, 0x5a5a),
        CoreRequest::cas(va, el, 0, 0xa5a5),
        CoreRequest::fetch(va, el),
        CoreRequest::at(va, el, false, false),
        CoreRequest::at(va, el, true, false),
    ]
    .map(|request| CoreRequest {
        pan: pan && request.op != cosim::dut::ports::Op::Fetch,
        ..request
    })
}
