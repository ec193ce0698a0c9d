// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! NUMA hinting: finding out from faults who uses a page, and whether it should be elsewhere (section
//! 12).
//!
//! A scan takes entries out of reach of hardware without forgetting them. The next access faults, which
//! tells who uses the page and how long after the scan; the entry comes back, and the page may move: to
//! the node that used it twice in a row, or from slow memory to fast memory if it was used soon
//! enough.

mod scan;

use crate::folio::Folio;
use crate::kernel::Kernel;
use crate::mm::{AddressSpace, Vma};
use crate::page::{NodeId, Tier};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What hinting faults are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing: scans mark nothing, and pages that are marked still come back.
    Off,
    /// Pages follow the node that uses them (NUMA_BALANCING_NORMAL).
    #[default]
    Locality,
    /// Hot pages of slow memory are promoted (NUMA_BALANCING_MEMORY_TIERING); those of fast memory are
    /// left alone.
    Tiering,
}

/// How hinting works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What it is for.
    pub mode: Mode,
    /// Cycles from scan to use below which a page is hot.
    pub hot_threshold: u64,
    /// Pages promoted to one node in one window, at most.
    pub promotion_limit: u64,
    /// Cycles of a window.
    pub promotion_window: u64,
}

impl Default for Config {
    /// Locality; where it is switched to tiers, a page is hot for 10^6 cycles, and 1024 pages move in
    /// 10^7.
    fn default() -> Self {
        Self {
            mode: Mode::Locality,
            hot_threshold: 1_000_000,
            promotion_limit: 1024,
            promotion_window: 10_000_000,
        }
    }
}

/// Promotions to one node since `start`.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start: u64,
    pages: u64,
}

/// What hinting remembers.
#[derive(Debug, Default)]
pub struct State {
    windows: RefCell<BTreeMap<NodeId, Window>>,
}

impl State {
    /// Whether `pages` more may go to `node` at time `now`; if so they are counted.
    fn admit(&self, config: &Config, node: NodeId, pages: u64, now: u64) -> bool {
        let mut windows = self.windows.borrow_mut();
        let window = windows.entry(node).or_insert(Window {
            start: now,
            pages: 0,
        });
        if now - window.start >= config.promotion_window {
            *window = Window {
                start: now,
                pages: 0,
            };
        }
        let admitted = window.pages + pages <= config.promotion_limit;
        if admitted {
            window.pages += pages;
        }
        admitted
    }
}

impl Kernel {
    /// The node to which `folio` is to move now that a core had a hinting fault on the page at `va`;
    /// `None` if it stays. Remembers the fault, for the next one.
    pub fn hint_target(
        &self,
        space: &AddressSpace,
        vma: &Vma,
        folio: &Folio,
        va: u64,
        core: u8,
    ) -> Option<NodeId> {
        let now = self.clock.now();
        let last = folio.last_hint.replace(Some((core, now)));
        let target = self.misplaced(space, vma, folio, va, core)?;
        match self.config().hinting.mode {
            Mode::Off => None,
            Mode::Locality => {
                // One access may be chance; two in a row from one node are a relation. A page that
                // has a place of its own goes there at once.
                let here = self.node_of_core(core);
                let again = last.is_some_and(|(core, _)| self.node_of_core(core) == here);
                let moves = again || !space.policy_of(vma).follows_use();
                moves.then_some(target)
            }
            Mode::Tiering => {
                let (_, marked) = last?;
                self.promotes(folio, target, now - marked).then_some(target)
            }
        }
    }

    /// Whether a folio that was used `latency` cycles after it was marked is promoted to `target`.
    fn promotes(&self, folio: &Folio, target: NodeId, latency: u64) -> bool {
        let config = &self.config().hinting;
        self.in_slow_memory(folio)
            && self.memory.tier(target) == Some(Tier::Top)
            && latency < config.hot_threshold
            // MM-37: promotion never takes the last pages of fast memory.
            && self.memory.balanced(target, folio.pages())
            && self
                .hinting
                .admit(config, target, folio.pages(), self.clock.now())
    }

    fn in_slow_memory(&self, folio: &Folio) -> bool {
        self.memory.tier(folio.node()) == Some(Tier::Slow)
    }
}
