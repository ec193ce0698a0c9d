// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a mapping is made of: table pages, and the attributes of a leaf.

use rand::Rng;
use rand_pcg::Pcg64Mcg;
use sw_mm::{Attributes, Frame, FrameAllocator, FramePool, Permissions};

/// Table pages. Freed ones are used again at once, so that one freed too early is seen; except of
/// the larger granules, where clearing one takes thousands of stores.
pub struct Frames {
    /// Where they come from.
    pub pool: FramePool,
    /// Whether freed ones are used again.
    pub reuse: bool,
}

impl FrameAllocator for Frames {
    fn allocate(&self) -> Option<Frame> {
        self.pool.allocate()
    }

    fn free(&self, frame: Frame) {
        if self.reuse {
            self.pool.free(frame);
        }
    }
}

/// Attributes of a leaf, drawn.
pub fn attributes(rng: &mut Pcg64Mcg) -> Attributes {
    Attributes {
        permissions: permissions(rng),
        // Normal memory three times out of four; the rest is Device or reserved.
        attr_index: [0, 0, 0, 1, 3, 7, 2, 4, 5, 6][rng.random_range(0..10)],
        shareability: rng.random_range(0..4),
        // A global leaf serves every space, which only one map for all of them can live with.
        global: false,
        accessed: rng.random_bool(0.85),
        track_dirty: rng.random_bool(0.5),
    }
}

/// Permissions of a leaf, drawn.
pub fn permissions(rng: &mut Pcg64Mcg) -> Permissions {
    Permissions {
        el0: rng.random_bool(0.8),
        write: rng.random_bool(0.7),
        el0_execute: rng.random_bool(0.5),
        el1_execute: rng.random_bool(0.5),
    }
}
