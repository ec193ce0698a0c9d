// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where a page that was used is to be.

use super::kernel::{boot, config, map};
use super::{PAGE, VA, run};
use std::cell::Cell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::hinting::{Config, Mode};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::Error;
use sw_mm::page::{NodeConfig, NodeId, Tier, Watermarks};
use sw_mm::policy;

#[test]
fn a_page_follows_the_node_that_uses_it_twice_in_a_row() {
    let setup = boot(config(4));
    run(&setup, async |threads, space| {
        map(&threads[0], VA, PAGE).await?;
        threads[0].user_store(VA, Double, 1).await?;
        space.users.set(4);
        // Cores 0 and 2 are on node 0, where the page is, 1 and 3 on node 1.
        let misplaced = &setup.kernel.counters.misplaced;
        for (core, moves) in [
            (1, false),
            (3, true),
            (1, false),
            (0, false),
            (2, true),
            (1, false),
            (0, false),
            (3, false),
            (3, true),
        ] {
            assert_eq!(threads[0].hint_scan(space, VA, VA + PAGE).await?, 1);
            let before = misplaced.get();
            assert_eq!(threads[core].user_load(VA, Double).await?, 1);
            assert_eq!(misplaced.get() - before, u64::from(moves), "core {core}");
        }
        space.users.set(1);
        assert_eq!(setup.kernel.counters.migrations.get(), 3);
        assert_eq!(setup.folio(space, VA).node(), NodeId(1));
        // To a place of its own it goes at once.
        let home = policy::Mode::Preferred(NodeId(0));
        let policy = policy::Policy::new(home).migrate_on_fault();
        threads[0].mbind(VA, PAGE, Some(policy)).await?;
        let vma = space.find(VA).expect("an area");
        let folio = setup.folio(space, VA);
        folio.last_hint.set(None);
        let target = setup.kernel.hint_target(space, &vma, &folio, VA, 0);
        assert_eq!(target, Some(NodeId(0)));
        Ok(())
    });
}

/// Node 0 is fast and has the cores, node 1 is slow.
fn tiers(watermarks: Watermarks) -> KernelConfig {
    let mut config = KernelConfig {
        core_nodes: vec![NodeId(0); 2],
        hinting: Config {
            mode: Mode::Tiering,
            hot_threshold: 100,
            promotion_limit: 3,
            promotion_window: 1000,
        },
        ..config(2)
    };
    config.nodes[0].watermarks = watermarks;
    config.nodes[1] = NodeConfig {
        tier: Tier::Slow,
        ..config.nodes[1]
    };
    config
}

#[test]
fn a_page_of_slow_memory_is_promoted_if_it_is_hot_and_not_too_many_are() {
    // MM-37.
    let full = Watermarks {
        min: 1,
        low: 2,
        high: 4096 - 8,
    };
    for (watermarks, room) in [(Watermarks::default(), true), (full, false)] {
        let setup = boot(tiers(watermarks));
        let cycles = Rc::new(Cell::new(0));
        let source = Rc::clone(&cycles);
        setup.kernel.clock.set_source(move || source.get());
        run(&setup, async |threads, space| {
            let thread = &threads[0];
            map(thread, VA, 64 * PAGE).await?;
            let slow = policy::Policy::new(policy::Mode::Preferred(NodeId(1)));
            thread.mbind(VA, 48 * PAGE, Some(slow)).await?;
            for index in 0..64 {
                thread.user_store(VA + index * PAGE, Double, index).await?;
            }
            thread.mbind(VA, 48 * PAGE, None).await?;
            space.users.set(2);
            // The pages of fast memory are none of its business.
            let marked = thread.hint_scan(space, VA, VA + 64 * PAGE).await?;
            space.users.set(1);
            assert_eq!(marked, 48);
            let misplaced = &setup.kernel.counters.misplaced;
            let page = Cell::new(0);
            let touch = async |pages: u64| {
                let before = misplaced.get();
                for _ in 0..pages {
                    let index = page.replace(page.get() + 1);
                    thread.user_load(VA + index * PAGE, Double).await?;
                }
                Ok::<_, Error>(misplaced.get() - before)
            };
            let most = |pages| if room { pages } else { 0 };
            // Cycles after the mark, pages used, pages that move.
            for (now, used, moved) in [(99, 2, 2), (100, 4, 0), (99, 4, 1)] {
                cycles.set(now);
                assert_eq!(touch(used).await?, most(moved), "after {now} cycles");
            }
            // A new window, and a new mark: time counts from there.
            cycles.set(5000);
            space.users.set(2);
            thread.hint_scan(space, VA, VA + 64 * PAGE).await?;
            space.users.set(1);
            cycles.set(5050);
            assert_eq!(touch(10).await?, 0, "marked long ago");
            page.set(0);
            assert_eq!(touch(10).await?, most(3), "marked now, in a new window");
            // MM-26: they are there, with what was in them.
            let fast = |index: &u64| setup.folio(space, VA + index * PAGE).node() == NodeId(0);
            assert_eq!((0..48).filter(fast).count() as u64, most(6));
            assert_eq!(setup.kernel.counters.promotions.get(), most(6));
            for index in 0..64 {
                let value = thread.user_load(VA + index * PAGE, Double).await?;
                assert_eq!(value, index);
            }
            Ok(())
        });
    }
}
