// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What threads of a race do, and random races.

use crate::step::{Setup, setup};
use proptest::prelude::*;
use std::num::NonZeroU32;
use sw_mm::functional::Policy;

/// Pages that all threads of an address space store to: two contiguous runs of 4K pages and more.
pub const COMMON: u8 = 40;
/// Pages whose permission one thread decides on.
pub const GROUP: u8 = 8;
/// Pages that one thread maps and unmaps, and all access.
pub const VOLATILE: u8 = 18;
/// Pages of a file that all address spaces map.
pub const SHARED: u8 = 4;
/// Pages that one thread alone uses.
pub const OWN: u8 = 18;

/// What a thread does: a system call, an access, or what the kernel does to pages meanwhile.
#[derive(Clone, Debug)]
pub enum Op {
    /// Of the word of that thread, in a page of all.
    Load(u8, u8),
    Store(u8),
    Swap(u8),
    /// Of the word of that thread's device.
    LoadDevice(u8, u8),
    /// Takes write permission from the first pages of a group that is this thread's, or gives it back.
    Protect(u8, u8),
    /// Of the word of that thread in a volatile page of another.
    LoadVolatile(u8, u8, u8),
    StoreVolatile(u8, u8),
    /// Unmaps or maps the volatile pages of this thread.
    Toggle,
    DontNeed(u8, u8),
    LoadShared(u8, u8),
    StoreShared(u8),
    /// Moves the own pages elsewhere.
    Move,
    LoadOwn(u8),
    StoreOwn(u8),
    UnmapOwn(u8),
    Fork,
    /// Of some folio, whoever uses it.
    SwapOut(u8),
    /// The kernel marks common pages, to hear of their next access.
    Hint(u8, u8),
    /// The kernel takes old pages of a node out of memory.
    Reclaim(u8, u8),
    Age(u8, bool),
    Migrate(u8, u8, bool),
    /// A common page goes to this thread's device, which stores to it, and comes back.
    Pin(u8),
    Device(u8),
    Unpin(u8),
    /// The core walks ahead of the program.
    Speculate(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let middle = COMMON / 2;
    let page = || prop_oneof![2 => 0..COMMON, 1 => middle - 2..middle + 2];
    let one = || any::<u8>();
    prop_oneof![
        6 => (page(), 0..4u8).prop_map(|(p, t)| Op::Load(p, t)),
        10 => page().prop_map(Op::Store),
        3 => page().prop_map(Op::Swap),
        2 => (page(), 0..4u8).prop_map(|(p, t)| Op::LoadDevice(p, t)),
        4 => (0..COMMON / GROUP, 1..=GROUP).prop_map(|(g, n)| Op::Protect(g, n)),
        4 => (0..4u8, 0..VOLATILE, 0..4u8).prop_map(|(t, p, w)| Op::LoadVolatile(t, p, w)),
        6 => (0..4u8, 0..VOLATILE).prop_map(|(t, p)| Op::StoreVolatile(t, p)),
        3 => Just(Op::Toggle),
        3 => (0..VOLATILE, 1..9u8).prop_map(|(p, n)| Op::DontNeed(p, n)),
        3 => (0..SHARED, 0..4u8).prop_map(|(p, t)| Op::LoadShared(p, t)),
        4 => (0..SHARED).prop_map(Op::StoreShared),
        1 => Just(Op::Move),
        2 => (0..OWN).prop_map(Op::LoadOwn),
        4 => (0..OWN).prop_map(Op::StoreOwn),
        1 => (0..OWN).prop_map(Op::UnmapOwn),
        2 => Just(Op::Fork),
        6 => one().prop_map(Op::SwapOut),
        4 => (page(), 1..9u8).prop_map(|(p, n)| Op::Hint(p, n)),
        1 => (0..2u8, 0..9u8).prop_map(|(node, n)| Op::Reclaim(node, n)),
        3 => (one(), any::<bool>()).prop_map(|(n, flush)| Op::Age(n, flush)),
        5 => (one(), 0..2u8, any::<bool>()).prop_map(|(n, node, wait)| Op::Migrate(n, node, wait)),
        2 => page().prop_map(Op::Pin),
        3 => one().prop_map(Op::Device),
        2 => one().prop_map(Op::Unpin),
        2 => page().prop_map(Op::Speculate),
    ]
}

/// A run of several threads.
#[derive(Clone, Debug)]
pub struct Race {
    pub setup: Setup,
    /// Of the scheduler.
    pub seed: u64,
    pub policy: u8,
    /// Two address spaces rather than one.
    pub two_spaces: bool,
    /// Operations of a thread from one quiet point to the next.
    pub round: usize,
    /// Operations of each thread.
    pub threads: Vec<Vec<Op>>,
}

impl Race {
    pub fn policy(&self) -> Policy {
        let every = |steps| NonZeroU32::new(steps).unwrap_or(NonZeroU32::MIN);
        match self.policy % 4 {
            0 => Policy::Uniform,
            1 => Policy::Bursts(every(20)),
            2 => Policy::Bursts(every(200)),
            _ => Policy::Priorities(every(60)),
        }
    }

    /// Address spaces that threads run in turn.
    pub fn spaces(&self) -> usize {
        1 + usize::from(self.two_spaces)
    }

    /// Operations of all threads.
    pub fn operations(&self) -> u64 {
        self.threads.iter().map(|ops| ops.len() as u64).sum()
    }
}

/// Races of up to `most` operations a thread.
pub fn race(most: usize) -> impl Strategy<Value = Race> {
    let ops = prop::collection::vec(op(), 1..most);
    let threads = prop::collection::vec(ops, 2..4);
    let order = (any::<u64>(), 0..4u8);
    (setup(), order, any::<bool>(), 20..60usize, threads).prop_map(
        |(setup, (seed, policy), two_spaces, round, threads)| Race {
            // One core more looks at children.
            setup: Setup {
                cores: threads.len() + 1,
                mapped: false,
                ..setup
            },
            seed,
            policy,
            two_spaces,
            round,
            threads,
        },
    )
}
