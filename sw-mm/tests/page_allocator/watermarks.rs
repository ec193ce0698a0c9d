// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What happens when a node is short of pages.

use super::{HERE, THERE, drain, node, over, take};
use sw_mm::page::{NodeConfig, Request, Watermarks};

#[test]
fn only_reserve_goes_below_the_min_watermark() {
    let watermarks = Watermarks {
        min: 3,
        low: 4,
        high: 5,
    };
    let short = NodeConfig {
        watermarks,
        ..node(0, 16, 0)
    };
    let pages = over(&[short, node(0x100, 1, 0)]);
    assert_eq!(
        drain(&pages, Request::new(0, HERE).this_node()).len(),
        16 - 3
    );
    assert_eq!(take(&pages, Request::new(0, HERE)).node, THERE);
    assert_eq!(drain(&pages, Request::new(0, HERE).reserve()).len(), 3);
    assert_eq!(pages.free_pages(HERE), 0);
}

#[test]
fn each_zone_keeps_its_share_of_the_min_watermark() {
    let watermarks = Watermarks {
        min: 4,
        low: 4,
        high: 4,
    };
    let pages = over(&[NodeConfig {
        watermarks,
        ..node(0, 16, 4)
    }]);
    assert_eq!(drain(&pages, Request::new(0, HERE)).len(), 12 - 3);
    assert_eq!(drain(&pages, Request::new(0, HERE).movable()).len(), 4 - 1);
    assert_eq!(pages.free_pages(HERE), 4);
}

#[test]
fn a_node_below_low_wants_its_reclaimer_once() {
    let watermarks = Watermarks {
        min: 0,
        low: 2,
        high: 3,
    };
    let pages = over(&[NodeConfig {
        watermarks,
        ..node(0, 4, 0)
    }]);
    let request = Request::new(0, HERE);
    let first = take(&pages, request);
    take(&pages, request);
    assert!(!pages.below_low(HERE) && !pages.take_reclaim_wanted(HERE));
    take(&pages, request);
    assert!(pages.below_low(HERE));
    assert!(pages.take_reclaim_wanted(HERE));
    assert!(!pages.take_reclaim_wanted(HERE), "taken");
    pages.free(first.pfn, 0).expect("in use");
    assert!(!pages.below_low(HERE));
    assert_eq!(pages.allocate(&Request::new(2, HERE)), None);
    assert!(pages.take_reclaim_wanted(HERE), "could not serve");
}

/// MM-37.
#[test]
fn balanced_counts_the_pages_to_come() {
    let watermarks = Watermarks {
        min: 1,
        low: 2,
        high: 6,
    };
    let pages = over(&[NodeConfig {
        watermarks,
        ..node(0, 16, 8)
    }]);
    assert!(pages.balanced(HERE, 9));
    assert!(!pages.balanced(HERE, 10), "at the watermark is not above");
    assert!(!pages.balanced(HERE, 17));
    assert!(!pages.balanced(THERE, 0), "no such node");
    take(&pages, Request::new(0, HERE));
    assert!(!pages.balanced(HERE, 9));
}
