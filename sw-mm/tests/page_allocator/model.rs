// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Random requests against a flat model of frames: the model knows which zone has to serve each one,
//! and that nothing else changes.

use proptest::prelude::*;
use std::collections::BTreeSet;
use sw_mm::page::{
    Block, MAX_ORDER, NodeConfig, NodeId, NodeMask, PageAllocator, Pfn, Request, Tier, Watermarks,
};
use vmsa::Granule;

/// First frame, frames, frames of zone MOVABLE, min, low and high watermark, zeroed. Ends that are
/// not aligned, neighbours whose blocks would merge, a hole, and a node without memory.
const NODES: [(u64, u64, u64, u64, u64, u64, bool); 4] = [
    (0x403, 0x5fd, 0x155, 40, 60, 80, true),
    (0xa00, 0x630, 0, 0, 0, 0, false),
    (0, 0, 0, 0, 0, 0, false),
    (0x2000, 0x400, 0x400, 16, 32, 0x180, true),
];

/// Not symmetric: node 1 goes to node 3 before node 0.
const DISTANCES: [[u8; 4]; 4] = [
    [10, 20, 11, 40],
    [30, 10, 40, 20],
    [20, 20, 10, 20],
    [40, 30, 20, 10],
];

#[derive(Clone, Debug)]
enum Step {
    Allocate(Request),
    /// Free the block in use of this number, modulo how many there are.
    Free(usize),
    /// The same, and take one like it again at once.
    Reuse(usize),
    Split(usize),
    /// Free something that may or may not be a block in use.
    Stray {
        pfn: u64,
        order: u8,
    },
    /// Nothing fits, once.
    Fail(Request),
}

fn request() -> impl Strategy<Value = Request> {
    let order =
        prop_oneof![6 => Just(0), 4 => 1..5u8, 3 => 5..=MAX_ORDER, 1 => Just(9), 1 => Just(11)];
    let allowed = prop_oneof![
        3 => Just(NodeMask::ALL),
        1 => prop::collection::vec((0..5u8).prop_map(NodeId), 0..3)
            .prop_map(|nodes| nodes.into_iter().collect()),
    ];
    (order, 0..5u8, any::<[bool; 3]>(), allowed).prop_map(
        |(order, node, [this_node, movable, reserve], allowed)| Request {
            order,
            node: NodeId(node),
            this_node,
            allowed,
            movable,
            reserve,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let stray = (prop_oneof![0x400..0x1040u64, 0x1ff0..0x2410u64], 0..12u8);
    prop_oneof![
        12 => request().prop_map(Step::Allocate),
        6 => any::<usize>().prop_map(Step::Free),
        3 => any::<usize>().prop_map(Step::Reuse),
        1 => any::<usize>().prop_map(Step::Split),
        2 => stray.prop_map(|(pfn, order)| Step::Stray { pfn, order }),
        1 => request().prop_map(Step::Fail),
    ]
}

/// One zone by frames, without lists or blocks.
struct Zone {
    node: NodeId,
    movable: bool,
    start: u64,
    used: Vec<bool>,
    zeroed: Vec<bool>,
    min: u64,
}

impl Zone {
    fn range(&self, pfn: u64, order: u8) -> Option<std::ops::Range<usize>> {
        let first = usize::try_from(pfn.checked_sub(self.start)?).ok()?;
        let range = first..first + (1 << order);
        (range.end <= self.used.len()).then_some(range)
    }

    fn free(&self) -> u64 {
        self.used.iter().filter(|&&used| !used).count() as u64
    }

    /// Merged as far as possible, free memory has a block of `order` exactly where an aligned one
    /// has no used frame.
    fn fits(&self, order: u8, reserve: bool) -> bool {
        let size = 1_u64 << order;
        let enough = self.free() >= size + if reserve { 0 } else { self.min };
        let mut starts = (self.start.next_multiple_of(size)..).step_by(1 << order);
        enough
            && std::iter::from_fn(|| self.range(starts.next()?, order))
                .any(|range| self.used[range].iter().all(|used| !used))
    }
}

struct Run {
    pages: PageAllocator,
    zones: Vec<Zone>,
    blocks: Vec<Block>,
    wanted: BTreeSet<NodeId>,
}

impl Run {
    fn new() -> Self {
        let mut zones = Vec::new();
        let mut nodes = Vec::new();
        for (id, &(start, frames, movable, min, low, high, zeroed)) in NODES.iter().enumerate() {
            nodes.push(NodeConfig {
                base: start << Granule::K4.shift(),
                bytes: frames << Granule::K4.shift(),
                movable_bytes: movable << Granule::K4.shift(),
                tier: Tier::Top,
                watermarks: Watermarks { min, low, high },
                zeroed,
            });
            let share = (min * movable).checked_div(frames).unwrap_or(0);
            let mut zone = |start, frames, movable, min| {
                zones.push(Zone {
                    node: NodeId(id as u8),
                    movable,
                    start,
                    used: vec![false; frames as usize],
                    zeroed: vec![zeroed; frames as usize],
                    min,
                });
            };
            zone(start + frames - movable, movable, true, share);
            zone(start, frames - movable, false, min - share);
        }
        let rows = DISTANCES.map(Vec::from);
        let pages = PageAllocator::new(Granule::K4, &nodes, &rows).expect("valid");
        Self {
            pages,
            zones,
            blocks: Vec::new(),
            wanted: BTreeSet::new(),
        }
    }

    fn free_pages(&self, node: NodeId) -> u64 {
        let of_node = self.zones.iter().filter(|zone| zone.node == node);
        of_node.map(Zone::free).sum()
    }

    /// The zone that has to serve `request`. Nodes passed over on the way want their reclaimer.
    fn server(&mut self, request: &Request) -> Option<usize> {
        let row = DISTANCES.get(usize::from(request.node.0))?;
        if request.order > MAX_ORDER {
            return None;
        }
        let mut order: Vec<u8> = (0..4).collect();
        order.sort_by_key(|&to| (row[usize::from(to)], to));
        order.retain(|&to| !request.this_node || to == request.node.0);
        order.retain(|&to| request.allowed.contains(NodeId(to)));
        for id in order.into_iter().map(NodeId) {
            let zone = self.zones.iter().position(|zone| {
                zone.node == id
                    && (request.movable || !zone.movable)
                    && zone.fits(request.order, request.reserve)
            });
            if zone.is_some() {
                return zone;
            }
            if NODES[usize::from(id.0)].1 > 0 {
                self.wanted.insert(id);
            }
        }
        None
    }

    fn allocate(&mut self, request: &Request) -> Result<Option<Block>, TestCaseError> {
        let server = self.server(request);
        let block = self.pages.allocate(request);
        prop_assert_eq!(block.is_some(), server.is_some(), "{:?}", request);
        let (Some(block), Some(server)) = (block, server) else {
            return Ok(None);
        };
        prop_assert_eq!(block.order, request.order);
        prop_assert_eq!(block.pfn.0 % (1 << block.order), 0);
        prop_assert_eq!(block.node, self.zones[server].node);
        let zone = &mut self.zones[server];
        let Some(range) = zone.range(block.pfn.0, block.order) else {
            return Err(TestCaseError::fail(format!("{block:?} is in another zone")));
        };
        prop_assert!(
            zone.used[range.clone()].iter().all(|used| !used),
            "{:?}",
            block
        );
        let zeroed = zone.zeroed[range.clone()].iter().all(|&zeroed| zeroed);
        prop_assert_eq!(block.zeroed, zeroed);
        zone.used[range.clone()].fill(true);
        zone.zeroed[range].fill(false);
        if self.free_pages(block.node) < NODES[usize::from(block.node.0)].4 {
            self.wanted.insert(block.node);
        }
        self.blocks.push(block);
        Ok(Some(block))
    }

    fn free(&mut self, number: usize) -> Result<Option<Block>, TestCaseError> {
        let Some(number) = number.checked_rem(self.blocks.len()) else {
            return Ok(None);
        };
        let block = self.blocks.swap_remove(number);
        prop_assert_eq!(self.pages.free(block.pfn, block.order), Ok(()));
        for zone in &mut self.zones {
            if let Some(range) = zone.range(block.pfn.0, block.order) {
                zone.used[range].fill(false);
            }
        }
        Ok(Some(block))
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Allocate(request) => {
                self.allocate(&request)?;
            }
            Step::Free(number) => {
                self.free(number)?;
            }
            Step::Reuse(number) => {
                if let Some(block) = self.free(number)? {
                    // From the zone that the block was freed to, if nothing else may serve.
                    let normal = self.zones.iter().any(|zone| {
                        !zone.movable && zone.range(block.pfn.0, block.order).is_some()
                    });
                    let request = Request {
                        movable: !normal,
                        ..Request::new(block.order, block.node).this_node().reserve()
                    };
                    let again = self.allocate(&request)?;
                    prop_assert_eq!(again.map(|again| again.pfn), Some(block.pfn));
                }
            }
            Step::Split(number) => {
                let Some(number) = number.checked_rem(self.blocks.len()) else {
                    return Ok(());
                };
                let block = self.blocks.swap_remove(number);
                prop_assert_eq!(self.pages.split(block.pfn, block.order), Ok(()));
                self.blocks.extend((0..1 << block.order).map(|frame| Block {
                    pfn: Pfn(block.pfn.0 + frame),
                    order: 0,
                    ..block
                }));
            }
            Step::Stray { pfn, order } => {
                let pfn = Pfn(pfn);
                let held = |block: &Block| block.pfn == pfn && block.order == order;
                if !self.blocks.iter().any(held) {
                    prop_assert!(self.pages.free(pfn, order).is_err());
                    prop_assert!(self.pages.split(pfn, order).is_err());
                }
            }
            Step::Fail(request) => {
                self.pages.fail_attempt(Some(0));
                prop_assert_eq!(self.pages.allocate(&request), None);
            }
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.pages.audit(), Ok(()));
        for (id, &(_, frames, _, _, low, high, _)) in NODES.iter().enumerate() {
            let node = NodeId(id as u8);
            let free = self.free_pages(node);
            prop_assert_eq!(self.pages.free_pages(node), free);
            prop_assert_eq!(self.pages.total_pages(node), frames);
            prop_assert_eq!(self.pages.below_low(node), free < low);
            prop_assert_eq!(self.pages.balanced(node, 7), free > high + 7);
            prop_assert_eq!(
                self.pages.take_reclaim_wanted(node),
                self.wanted.remove(&node)
            );
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), TestCaseError> {
        for zone in &self.zones {
            for (pfn, &used) in (zone.start..).zip(&zone.used) {
                prop_assert_eq!(self.pages.in_use(Pfn(pfn)), used);
                prop_assert_eq!(self.pages.node_of(Pfn(pfn)), Some(zone.node));
            }
        }
        for outside in [0, 0x402, 0x1030, 0x1fff, 0x2400] {
            prop_assert_eq!(self.pages.node_of(Pfn(outside)), None);
        }
        while self.free(0)?.is_some() {}
        // Fully merged: the largest block that fits into each zone can be had.
        self.compare()?;
        for (id, order, movable) in [(0, 9, false), (0, 8, true), (1, 10, false), (3, 10, true)] {
            let request = Request {
                movable,
                ..Request::new(order, NodeId(id)).this_node().reserve()
            };
            prop_assert!(self.allocate(&request)?.is_some(), "{:?}", request);
        }
        self.compare()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_allocator_agrees_with_a_flat_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step)?;
        }
        run.finish()?;
    }
}
