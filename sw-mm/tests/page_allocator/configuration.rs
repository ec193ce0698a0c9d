// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which sets of nodes can be managed.

use super::{HERE, THERE, node, take};
use sw_mm::page::{
    ConfigError, MAX_ORDER, NodeConfig, PageAllocator, PageError, Request, Watermarks,
};
use vmsa::Granule;

#[test]
fn frames_are_those_of_the_granule() {
    for granule in Granule::ALL {
        let config = NodeConfig {
            base: 64 << 20,
            bytes: 128 << 20,
            ..node(0, 0, 0)
        };
        let pages = PageAllocator::new(granule, &[config], &[]).expect("valid");
        assert_eq!(pages.granule(), granule);
        assert_eq!(pages.total_pages(HERE), (128 << 20) / granule.bytes());
        let block = take(&pages, Request::new(MAX_ORDER, HERE));
        assert_eq!(block.pfn.0 << granule.shift(), 64 << 20);
    }
}

#[test]
fn unusable_configurations_are_refused() {
    let refused = |nodes: &[NodeConfig]| match PageAllocator::new(Granule::K16, nodes, &[]) {
        Err(PageError::Config(error)) => error,
        other => panic!("{other:?}"),
    };
    let good = NodeConfig {
        base: 0x10000,
        bytes: 0x10000,
        ..node(0, 0, 0)
    };
    let with = |change: fn(&mut NodeConfig)| {
        let mut config = good;
        change(&mut config);
        refused(&[config])
    };
    assert_eq!(refused(&[]), ConfigError::NodeCount(0));
    assert_eq!(refused(&vec![good; 257]), ConfigError::NodeCount(257));
    assert_eq!(
        refused(&[
            good,
            NodeConfig {
                base: 0x1c000,
                ..good
            }
        ]),
        ConfigError::Overlap(HERE, THERE)
    );
    let unaligned = |what, value| ConfigError::Unaligned {
        node: HERE,
        what,
        value,
        granule: Granule::K16,
    };
    assert_eq!(with(|c| c.base = 0x1000), unaligned("base", 0x1000));
    assert_eq!(with(|c| c.bytes = 0x1000), unaligned("bytes", 0x1000));
    assert_eq!(
        with(|c| c.movable_bytes = 0x1000),
        unaligned("movable_bytes", 0x1000)
    );
    assert_eq!(
        with(|c| c.movable_bytes = 0x14000),
        ConfigError::Movable {
            node: HERE,
            movable: 0x14000,
            bytes: 0x10000
        }
    );
    let top = 0u64.wrapping_sub(0x8000);
    assert_eq!(
        with(|c| c.base = 0u64.wrapping_sub(0x8000)),
        ConfigError::TooLarge {
            node: HERE,
            base: top,
            bytes: 0x10000
        }
    );
    assert_eq!(
        with(|c| c.bytes = 1 << 48),
        ConfigError::TooLarge {
            node: HERE,
            base: 0x10000,
            bytes: 1 << 48
        }
    );
    for (min, low, high) in [(2, 1, 3), (1, 3, 2), (1, 2, 5)] {
        let watermarks = Watermarks { min, low, high };
        assert_eq!(
            refused(&[NodeConfig { watermarks, ..good }]),
            ConfigError::Watermarks {
                node: HERE,
                min,
                low,
                high,
                pages: 4
            }
        );
    }
    let rows = [vec![10, 10], vec![20, 10]];
    let two = [good, NodeConfig { base: 0, ..good }];
    assert!(matches!(
        PageAllocator::new(Granule::K16, &two, &rows),
        Err(PageError::Config(ConfigError::Distance {
            distance: 10,
            ..
        }))
    ));
    assert!(PageAllocator::new(Granule::K16, &two, &[]).is_ok());
}
