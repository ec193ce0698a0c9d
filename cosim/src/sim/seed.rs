// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The seed tree: run seed, test seed, stream seed by name.
//!
//! Each consumer of randomness draws from a stream of its own name, so that a new consumer, or one
//! that draws more, leaves every other stream as it was.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// A node of the seed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The root: the seed of a run.
    #[must_use]
    pub fn new(run: u64) -> Self {
        Self(run)
    }

    /// The number that gives this node again.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// The child called `name`.
    #[must_use]
    pub fn child(self, name: &str) -> Self {
        // FNV-1a over the name, then mixed with the parent.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(split_mix(split_mix(self.0) ^ hash))
    }

    /// The child of number `index`, e.g. of a core.
    #[must_use]
    pub fn indexed(self, index: u64) -> Self {
        Self(split_mix(split_mix(self.0).wrapping_add(index)))
    }

    /// A generator seeded by this node, the same on every machine.
    #[must_use]
    pub fn rng(self) -> Pcg64Mcg {
        Pcg64Mcg::seed_from_u64(self.0)
    }
}

/// One step of SplitMix64.
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn streams_are_fixed_for_all_time() {
        // A change of these values would change what every recorded seed reproduces.
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(Seed::new(1).child("tables").value(), 0x7fda_b429_8c0b_116d);
        assert_eq!(Seed::new(1).indexed(3).value(), 0xb144_1d25_4bd8_6cd7);
    }

    #[test]
    fn names_indices_and_parents_all_matter() {
        let root = Seed::new(7);
        let seeds = [
            root.child("a"),
            root.child("b"),
            root.child("ab"),
            root.child("a").child("b"),
            Seed::new(8).child("a"),
            root.indexed(0),
            root.indexed(1),
        ];
        for (i, a) in seeds.iter().enumerate() {
            for b in &seeds[i + 1..] {
                assert_ne!(a, b);
                assert_ne!(a.rng().next_u64(), b.rng().next_u64());
            }
        }
    }
}
