// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! From which node and zone a request is served.

use super::{HERE, THERE, drain, node, over, take};
use sw_mm::page::{MAX_ORDER, NodeConfig, NodeId, NodeMask, PageAllocator, Pfn, Request, Tier};
use vmsa::Granule;

/// MM-01.
#[test]
fn this_node_never_falls_back() {
    let pages = over(&[node(0, 4, 0), node(0x100, 4, 0)]);
    let blocks = drain(&pages, Request::new(0, THERE).this_node());
    assert_eq!(blocks.len(), 4);
    assert!(blocks.iter().all(|block| block.node == THERE));
    assert!(
        blocks
            .iter()
            .all(|block| pages.node_of(block.pfn) == Some(THERE))
    );
    assert_eq!(pages.free_pages(HERE), 4);
    assert_eq!(take(&pages, Request::new(0, THERE)).node, HERE);
}

#[test]
fn requests_fall_back_by_distance_and_tiers_do_not_matter() {
    let slow = NodeConfig {
        tier: Tier::Slow,
        ..node(0x100, 1, 0)
    };
    let rows = [vec![10, 15, 20], vec![15, 10, 20], vec![20, 20, 10]];
    let nodes = [node(0, 1, 0), slow, node(0x200, 1, 0)];
    let pages = PageAllocator::new(Granule::K4, &nodes, &rows).expect("valid");
    let order: Vec<NodeId> = drain(&pages, Request::new(0, HERE))
        .iter()
        .map(|block| block.node)
        .collect();
    assert_eq!(order, [HERE, THERE, NodeId(2)]);
    assert_eq!(order, pages.zonelist(HERE));
    assert_eq!(pages.tier(HERE), Some(Tier::Top));
    assert_eq!(pages.tier(THERE), Some(Tier::Slow));
}

#[test]
fn only_the_nodes_allowed_serve_a_request() {
    let pages = over(&[node(0, 1, 0), node(0x100, 1, 0), node(0x200, 1, 0)]);
    let allowed = NodeMask::of(NodeId(2)).with(THERE);
    let request = Request::new(0, HERE).within(allowed);
    assert_eq!(take(&pages, request).node, THERE, "the nearest of them");
    assert_eq!(take(&pages, request).node, NodeId(2));
    assert_eq!(pages.allocate(&request), None);
    assert_eq!(pages.allocate(&request.this_node()), None);
    assert_eq!(take(&pages, Request::new(0, THERE)).node, HERE);
}

#[test]
fn a_node_without_memory_lives_off_its_neighbours() {
    let pages = over(&[node(0, 0, 0), node(0, 2, 0)]);
    assert_eq!(take(&pages, Request::new(0, HERE)).node, THERE);
    assert_eq!(pages.allocate(&Request::new(0, HERE).this_node()), None);
    assert!(!pages.take_reclaim_wanted(HERE), "nothing to reclaim there");
    assert!(!pages.balanced(HERE, 0));
}

#[test]
fn movable_requests_prefer_zone_movable_and_others_never_use_it() {
    let pages = over(&[node(0, 4, 2), node(0x100, 1, 0)]);
    let movable = Request::new(0, HERE).movable();
    assert_eq!(take(&pages, movable).pfn, Pfn(2));
    assert_eq!(drain(&pages, Request::new(0, HERE).this_node()).len(), 2);
    assert_eq!(pages.free_pages(HERE), 1, "zone MOVABLE has one left");
    assert_eq!(take(&pages, movable).pfn, Pfn(3));
    // Both zones of a node come before the next node.
    pages.free(Pfn(1), 0).expect("in use");
    assert_eq!(take(&pages, movable).pfn, Pfn(1));
    assert_eq!(take(&pages, movable).node, THERE);
}

#[test]
fn buddies_do_not_merge_across_zones_or_nodes() {
    let pages = over(&[node(0, 2, 1), node(2, 2, 0)]);
    assert_eq!(pages.allocate(&Request::new(1, HERE).this_node()), None);
    assert_eq!(pages.allocate(&Request::new(2, HERE).movable()), None);
    assert_eq!(take(&pages, Request::new(1, THERE)).pfn, Pfn(2));
}

#[test]
fn requests_that_nothing_can_serve_fail() {
    let pages = over(&[node(0, 16, 0)]);
    assert_eq!(pages.allocate(&Request::new(MAX_ORDER + 1, HERE)), None);
    assert_eq!(pages.allocate(&Request::new(u8::MAX, HERE)), None);
    assert_eq!(pages.allocate(&Request::new(0, NodeId(9))), None);
    assert_eq!(pages.tier(NodeId(9)), None);
    assert_eq!(
        (pages.total_pages(NodeId(9)), pages.total_pages(HERE)),
        (0, 16)
    );
    assert_eq!(pages.free_pages(HERE), 16);
}

#[test]
fn the_attempt_named_fails_once_and_changes_nothing() {
    let pages = over(&[node(0, 16, 0)]);
    let request = Request::new(0, HERE);
    take(&pages, request);
    for nth in 0..4 {
        let before = (pages.attempts(), pages.free_pages(HERE));
        pages.fail_attempt(Some(nth));
        for attempt in 0..=nth + 1 {
            let block = pages.allocate(&request);
            assert_eq!(block.is_none(), attempt == nth);
            if let Some(block) = block {
                pages.free(block.pfn, 0).expect("in use");
            }
        }
        assert_eq!(pages.attempts(), before.0 + nth + 2);
        assert_eq!(pages.free_pages(HERE), before.1);
        assert!(!pages.take_reclaim_wanted(HERE), "memory is not short");
    }
    pages.fail_attempt(Some(0));
    pages.fail_attempt(None);
    assert!(pages.allocate(&request).is_some());
}
