// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the operating system of the load knows of its own mappings.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// A leaf or run that the operating system made.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    /// First virtual address.
    pub va: u64,
    /// Bytes.
    pub bytes: u64,
    /// First physical address.
    pub pa: u64,
}

/// The mappings of each address space, by their first address.
#[derive(Debug, Default)]
pub struct Spaces(RefCell<Vec<BTreeMap<u64, Mapping>>>);

impl Spaces {
    /// Adds a space that maps nothing.
    pub fn add(&self) {
        self.0.borrow_mut().push(BTreeMap::new());
    }

    /// Notes a mapping.
    pub fn insert(&self, space: usize, mapping: Mapping) {
        self.0.borrow_mut()[space].insert(mapping.va, mapping);
    }

    /// One of the mappings of `space`, if it has any.
    pub fn pick(&self, rng: &mut Pcg64Mcg, space: usize) -> Option<Mapping> {
        let spaces = self.0.borrow();
        let mappings = spaces.get(space)?;
        mappings
            .values()
            .nth(rng.random_range(0..mappings.len().max(1)))
            .copied()
    }

    /// The mappings that have a byte of [va, va + bytes).
    pub fn overlapping(&self, space: usize, va: u64, bytes: u64) -> Vec<Mapping> {
        let spaces = self.0.borrow();
        let all = spaces[space].values();
        all.filter(|other| other.va < va + bytes && va < other.va + other.bytes)
            .copied()
            .collect()
    }

    /// Drops what is known of [va, va + bytes), and of leaves that reach into it.
    pub fn forget(&self, space: usize, va: u64, bytes: u64) {
        for other in self.overlapping(space, va, bytes) {
            self.0.borrow_mut()[space].remove(&other.va);
        }
    }

    /// Where `space` maps `va`, as far as one of its leaves is known to.
    pub fn expected(&self, space: usize, va: u64) -> Option<u64> {
        let spaces = self.0.borrow();
        let (_, mapping) = spaces.get(space)?.range(..=va).next_back()?;
        (va - mapping.va < mapping.bytes).then(|| mapping.pa + (va - mapping.va))
    }
}
