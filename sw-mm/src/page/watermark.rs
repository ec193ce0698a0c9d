// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The watermarks of a node, in pages: how few free ones are few.

/// Free pages at which a node changes its behaviour. `min <= low <= high`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Below it only requests with `reserve` are served.
    pub min: u64,
    /// Below it the node's reclaimer is wanted.
    pub low: u64,
    /// Above it the node has pages to spare, for promotion among others (MM-37).
    pub high: u64,
}

impl Watermarks {
    /// The share of `min` that a zone of `zone` pages holds in a node of `node` pages, rounded down.
    ///
    /// Each zone keeps its own reserve, so that movable pages cannot eat what unmovable requests
    /// are promised.
    pub(super) fn min_share(&self, zone: u64, node: u64) -> u64 {
        if node == 0 {
            return 0;
        }
        // Below `min`, as a zone is no larger than its node.
        (u128::from(self.min) * u128::from(zone) / u128::from(node)) as u64
    }

    /// `free` less `pages` is above the high watermark.
    pub(super) fn balanced(&self, free: u64, pages: u64) -> bool {
        free.checked_sub(pages).is_some_and(|left| left > self.high)
    }
}
