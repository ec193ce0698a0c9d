// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The page allocator: its rules one by one, and all together against a model.

mod blocks;
mod configuration;
mod model;
mod nodes;
mod watermarks;

use sw_mm::page::{Block, NodeConfig, NodeId, PageAllocator, Request, Tier, Watermarks};
use vmsa::Granule;

const K4: u64 = 0x1000;
const HERE: NodeId = NodeId(0);
const THERE: NodeId = NodeId(1);

/// `pages` pages of 4K from frame `start` on, the last `movable` of them in zone MOVABLE.
fn node(start: u64, pages: u64, movable: u64) -> NodeConfig {
    NodeConfig {
        base: start * K4,
        bytes: pages * K4,
        movable_bytes: movable * K4,
        tier: Tier::Top,
        watermarks: Watermarks::default(),
        zeroed: true,
    }
}

fn over(nodes: &[NodeConfig]) -> PageAllocator {
    PageAllocator::new(Granule::K4, nodes, &[]).expect("a valid configuration")
}

fn take(pages: &PageAllocator, request: Request) -> Block {
    let block = pages.allocate(&request).expect("there are free pages");
    pages.audit().expect("the books agree");
    block
}

fn drain(pages: &PageAllocator, request: Request) -> Vec<Block> {
    std::iter::from_fn(|| pages.allocate(&request)).collect()
}
