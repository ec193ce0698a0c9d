// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When a lookup may meet entries in conflict (TLB-10, BBM-03): two leaves that may both be cached
//! for the address, from one to the other a change of section 12.1.

use vmsa::geometry::{FINAL_LEVEL, level_lsb};

use super::access::Access;
use super::candidate::{Candidate, HeldLeaf};
use super::search::{Found, Search, Visit, Way};
use super::walk::ReadDescriptor;

impl Search<'_> {
    /// Whether entries for `access` that differ by a change of section 12.1 may both be cached.
    pub(super) fn conflict(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        access: &Access,
    ) -> bool {
        let holding = Search {
            held: true,
            ..*self
        };
        let mut first: Vec<HeldLeaf> = Vec::new();
        holding.any(memory, access, &mut |candidate| {
            let Candidate::Held(leaf) = candidate else {
                return false;
            };
            let differs = first.iter().any(|other| other.conflicts(leaf));
            if !first.contains(leaf) {
                first.push(*leaf);
            }
            differs
        })
    }
}

impl Found {
    /// Tells a leaf that may be held; a block with nT = 1 never is (BBM-05, BBM-07).
    pub(super) fn tell_held(&self, way: &Way<'_>, visit: Visit<'_>) -> bool {
        let descriptor = self.descriptor;
        let block = self.level < FINAL_LEVEL;
        if block && descriptor.nt() && way.context.profile.bbml >= 1 {
            return false;
        }
        let bits = level_lsb(way.regime.granule, self.level) + self.run_bits;
        let inside = (1u64 << bits) - 1;
        visit(&Candidate::Held(HeldLeaf {
            level: self.level,
            descriptor,
            pa: self.output & !inside | way.access.va & inside,
            runs: way.context.profile.contiguous && way.regime.run_entries(self.level).is_some(),
        }))
    }
}
