// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the stress did, by names that stay the same from release to release.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Counts by name.
#[derive(Debug, Default)]
pub struct Figures(RefCell<BTreeMap<&'static str, u64>>);

impl Figures {
    /// One more of `name`.
    pub fn count(&self, name: &'static str) {
        self.add(name, 1);
    }

    /// `count` more of `name`.
    pub fn add(&self, name: &'static str, count: u64) {
        *self.0.borrow_mut().entry(name).or_default() += count;
    }

    /// All of them.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        let figures = self.0.borrow();
        figures
            .iter()
            .map(|(&name, &count)| (name, count))
            .collect()
    }
}
