// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which tree of the lower range goes under which ASID, and where.
//!
//! A tree that goes on under another ASID leaves its old entries behind: nothing is cached beside them
//! under the new ASID, and the old one is given out again only after they are gone (MM-18).

use rustc_hash::FxHashMap;

/// What a core runs, and since when.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    root: u64,
    asid: u16,
    since: u64,
}

/// The ASID that a tree goes under, and since when.
#[derive(Clone, Copy, Debug)]
struct Tree {
    asid: u16,
    since: u64,
}

/// All trees and all cores. Time is counted in changes of what some core runs.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// By address of the root.
    trees: FxHashMap<u64, Tree>,
    running: Vec<Running>,
    now: u64,
}

impl Trees {
    /// Now.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Core `core` runs the tree at `root` under `asid` from now on.
    pub fn runs(&mut self, core: usize, root: u64, asid: u16) {
        let same = |running: &Running| (running.root, running.asid) == (root, asid);
        if self.running.get(core).is_some_and(same) {
            return;
        }
        if self.running.len() <= core {
            let none = Running {
                root: u64::MAX,
                ..Running::default()
            };
            self.running.resize(core + 1, none);
        }
        self.now += 1;
        self.running[core] = Running {
            root,
            asid,
            since: self.now,
        };
        let now = Tree {
            asid,
            since: self.now,
        };
        let tree = self.trees.entry(root).or_insert(now);
        if tree.asid != asid {
            *tree = now;
        }
    }

    /// Whether what was cached of the tree at `root` under `asid` at the time `since` can meet what is
    /// cached of it from now on: not if the tree has gone on under another ASID since and no core has
    /// used it under the old one all the time. If the old one is the tree's again, it was given out anew.
    pub fn in_use(&self, root: u64, asid: u16, since: u64) -> bool {
        let moved = |tree: &Tree| tree.since > since;
        let stayed = |running: &Running| {
            (running.root, running.asid) == (root, asid) && running.since <= since
        };
        !self.trees.get(&root).is_some_and(moved) || self.running.iter().any(stayed)
    }
}
