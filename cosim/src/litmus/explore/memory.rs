// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Memory of one state: what was there at first, shared by all states, and what changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::arch::ReadDescriptor;

/// Words of memory.
#[derive(Clone, Debug)]
pub struct Image {
    first: Rc<BTreeMap<u64, u64>>,
    data: Rc<BTreeSet<u64>>,
    changed: Vec<(u64, u64)>,
}

impl Image {
    /// Memory that holds `first`, and zero elsewhere; the words of `data` are never descriptors.
    #[must_use]
    pub fn new(first: BTreeMap<u64, u64>, data: BTreeSet<u64>) -> Self {
        Self {
            first: Rc::new(first),
            data: Rc::new(data),
            changed: Vec::new(),
        }
    }

    /// The word at `address`.
    #[must_use]
    pub fn get(&self, address: u64) -> u64 {
        let changed = self.changed.iter().find(|(word, _)| *word == address);
        match changed {
            Some((_, value)) => *value,
            None => self.first.get(&address).copied().unwrap_or(0),
        }
    }

    /// Whether the word at `address` may be a descriptor.
    #[must_use]
    pub fn is_table(&self, address: u64) -> bool {
        !self.data.contains(&address)
    }

    /// Words that were written, by address.
    #[must_use]
    pub fn changed(&self) -> &[(u64, u64)] {
        &self.changed
    }

    /// Replaces the word at `address`.
    pub fn set(&mut self, address: u64, value: u64) {
        match self.changed.iter_mut().find(|(word, _)| *word == address) {
            Some((_, word)) => *word = value,
            None => {
                let place = self.changed.partition_point(|(word, _)| *word < address);
                self.changed.insert(place, (address, value));
            }
        }
    }
}

impl ReadDescriptor for Image {
    fn read(&self, address: u64) -> Option<u64> {
        Some(self.get(address))
    }
}
