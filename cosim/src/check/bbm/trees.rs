// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Under which ASID each tree of the lower range is used. A tree that goes on under another one, as after
//! a rollover, leaves what was cached behind: nothing is cached beside it under the new ASID, and software
//! invalidates by the new one alone. A core meets what it held under the old one if it uses the tree so
//! again before it has thrown its TLB away. Whether it meets it in another tree, which has the ASID
//! meanwhile, is for the checkers of translations to say.

use rustc_hash::{FxHashMap, FxHashSet};
use vmsa::{Tcr, VaRange};

use crate::check::walk_context::WalkContexts;

/// A tree and an ASID that it is used under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Used {
    /// Address of its first table.
    pub base: u64,
    /// The ASID.
    pub asid: u16,
}

/// What became of trees when a core synchronised its context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switched {
    /// These trees have gone on under other ASIDs, and no core uses them under these any more.
    pub left: [Option<Used>; 2],
    /// The core uses again what was left.
    pub returned: Option<Used>,
}

/// The trees that cores have used.
#[derive(Debug, Default)]
pub struct Trees {
    /// ASID used last, by the address of the first table.
    asids: FxHashMap<u64, u16>,
    /// What each core uses.
    running: Vec<Option<Used>>,
    /// What was left, and which cores may have something of it; looked up only.
    left: FxHashSet<(u8, Used)>,
}

impl Trees {
    /// `core` has synchronised its context.
    pub fn synchronised(&mut self, core: u8, contexts: &WalkContexts, asid8: bool) -> Switched {
        // Where TTBR1_EL1 gives the ASID, a write of TTBR0_EL1 does not change it.
        let registers = contexts.registers(core);
        let Some(registers) = registers.filter(|known| !known.tcr().any(Tcr::a1)) else {
            return Switched::default();
        };
        let wide = !asid8 && registers.tcr().all(Tcr::asid16);
        let mask = if wide { 0xffff } else { 0xff };
        let index = usize::from(core);
        if self.running.len() <= index {
            self.running.resize(index + 1, None);
        }
        let newest = registers.ttbr(VaRange::Lower).last();
        let Some(used) = newest.map(|ttbr| Used {
            base: ttbr.base(),
            asid: ttbr.asid() & mask,
        }) else {
            return Switched::default();
        };
        let returned = self.left.remove(&(core, used)).then_some(used);
        let stopped = self.running[index].replace(used);
        let before = self.asids.insert(used.base, used.asid);
        let before = before.map(|asid| Used { asid, ..used });
        let is_left = |old: &Used| {
            let moved = self
                .asids
                .get(&old.base)
                .is_some_and(|now| *now != old.asid);
            moved && self.running.iter().all(|other| *other != Some(*old))
        };
        let left = [stopped, before].map(|old| old.filter(is_left));
        for left in left.into_iter().flatten() {
            for core in 0..self.running.len() {
                self.left.insert((core as u8, left));
            }
        }
        Switched { left, returned }
    }
}
