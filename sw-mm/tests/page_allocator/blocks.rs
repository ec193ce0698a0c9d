// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a block is while it is free, in use, split and given back.

use super::{HERE, THERE, drain, node, over, take};
use sw_mm::page::{MAX_ORDER, NodeConfig, PageError, Pfn, Request};

#[test]
fn untouched_memory_is_handed_out_upwards() {
    let pages = over(&[node(5, 40, 0)]);
    let order: Vec<u64> = drain(&pages, Request::new(0, HERE))
        .iter()
        .map(|block| block.pfn.0)
        .collect();
    // The smallest blocks first: those at the ends of a range that is not aligned.
    assert_eq!(order[..4], [5, 44, 6, 7]);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (5..45).collect::<Vec<u64>>());
    let aligned = over(&[node(0, 40, 0)]);
    let order = drain(&aligned, Request::new(0, HERE));
    assert!(order[8..].is_sorted_by_key(|block| block.pfn));
}

/// A frame freed too early is seen only if it is used again (MM-02).
#[test]
fn a_freed_block_is_reused_at_once_even_after_merging() {
    let pages = over(&[node(0, 1 << MAX_ORDER, 0)]);
    let request = Request::new(0, HERE);
    let first = take(&pages, request);
    let middle = take(&pages, request);
    let last = take(&pages, request);
    pages.free(first.pfn, 0).expect("in use");
    pages.free(last.pfn, 0).expect("in use");
    pages.free(middle.pfn, 0).expect("in use");
    pages.audit().expect("all merged");
    for expected in [middle, last, first] {
        assert_eq!(take(&pages, request).pfn, expected.pfn);
    }
}

#[test]
fn all_free_is_all_merged() {
    let pages = over(&[node(0, 1 << MAX_ORDER, 0)]);
    for order in 0..=MAX_ORDER {
        let blocks = drain(&pages, Request::new(order, HERE));
        assert_eq!(blocks.len(), 1 << (MAX_ORDER - order));
        for block in blocks {
            pages.free(block.pfn, order).expect("in use");
        }
        pages.audit().expect("all merged");
    }
    take(&pages, Request::new(MAX_ORDER, HERE));
}

#[test]
fn frames_are_zeroed_until_first_handed_out() {
    let pages = over(&[
        node(0, 8, 0),
        NodeConfig {
            zeroed: false,
            ..node(8, 8, 0)
        },
    ]);
    let first = take(&pages, Request::new(0, HERE));
    assert!(first.zeroed);
    pages.free(first.pfn, 0).expect("in use");
    assert!(!take(&pages, Request::new(0, HERE)).zeroed, "had before");
    pages.free(first.pfn, 0).expect("in use");
    let all = take(&pages, Request::new(3, HERE));
    assert_eq!((all.pfn, all.zeroed), (Pfn(0), false), "one of eight");
    assert!(!take(&pages, Request::new(0, THERE)).zeroed);
}

#[test]
fn a_split_block_is_freed_frame_by_frame() {
    let pages = over(&[node(0, 16, 0)]);
    let block = take(&pages, Request::new(3, HERE));
    pages.split(block.pfn, 3).expect("in use");
    pages.audit().expect("the books agree");
    assert_eq!(
        pages.free(block.pfn, 3),
        Err(PageError::WrongOrder {
            pfn: block.pfn,
            given: 3,
            held: 0
        })
    );
    for frame in 0..8 {
        pages.free(Pfn(block.pfn.0 + frame), 0).expect("in use");
        pages.audit().expect("the books agree");
    }
    take(&pages, Request::new(4, HERE));
}

#[test]
fn what_is_not_a_block_in_use_is_not_freed() {
    let pages = over(&[node(0, 16, 0), node(0x100, 16, 8)]);
    let block = take(&pages, Request::new(2, HERE));
    let inside = Pfn(block.pfn.0 + 3);
    let refused = [
        (Pfn(16), 0, PageError::Foreign(Pfn(16))),
        (Pfn(0xff), 0, PageError::Foreign(Pfn(0xff))),
        (Pfn(u64::MAX), 0, PageError::Foreign(Pfn(u64::MAX))),
        (Pfn(0x108), 0, PageError::NotInUse(Pfn(0x108))),
        (Pfn(5), 0, PageError::NotInUse(Pfn(5))),
        (
            inside,
            0,
            PageError::InsideBlock {
                pfn: inside,
                head: block.pfn,
                order: 2,
            },
        ),
        (
            block.pfn,
            1,
            PageError::WrongOrder {
                pfn: block.pfn,
                given: 1,
                held: 2,
            },
        ),
        (
            block.pfn,
            u8::MAX,
            PageError::WrongOrder {
                pfn: block.pfn,
                given: u8::MAX,
                held: 2,
            },
        ),
    ];
    for (pfn, order, error) in refused {
        assert_eq!(pages.free(pfn, order), Err(error));
        assert_eq!(pages.split(pfn, order), Err(error));
        assert_eq!(pages.free_pages(HERE), 12);
        assert_eq!(pages.free_pages(THERE), 16);
        pages.audit().expect("nothing changed");
    }
    pages.free(block.pfn, 2).expect("in use");
    assert_eq!(
        pages.free(block.pfn, 2),
        Err(PageError::NotInUse(block.pfn))
    );
    assert!(!pages.in_use(block.pfn));
}

#[test]
fn every_frame_of_a_block_is_in_use() {
    let pages = over(&[node(0, 16, 0)]);
    let block = take(&pages, Request::new(2, HERE));
    let used: Vec<u64> = (0..20).filter(|&pfn| pages.in_use(Pfn(pfn))).collect();
    let first = block.pfn.0;
    assert_eq!(used, (first..first + 4).collect::<Vec<u64>>());
}
