// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! More memory is used than there is: allocations make room, and what they took comes back.

use crate::*;
use std::num::NonZeroU32;
use sw_mm::functional::{Policy, RunEnd, Scheduler};
use sw_mm::mm::{Destination, Remap};
use sw_mm::page::Watermarks;

#[test]
fn more_memory_is_used_than_there_is() {
    // Direct reclaim; MM-24, MM-35.
    for base in variants(2) {
        let page = base.granule.bytes();
        let setup = boot(small(&base, 48));
        let (thread, second) = (&setup.threads[0], &setup.threads[1]);
        let before = setup.used();
        let space = setup.space();
        block_on(async {
            second.switch_to(&space).await;
            map(thread, VA, 100 * page).await?;
            for index in 0..100 {
                thread.user_store(VA + index * page, Double, index).await?;
            }
            let child = thread.fork().await?;
            second.switch_to(&child).await;
            for index in (0..100).step_by(3) {
                second
                    .user_store(VA + index * page + 8, Double, index + 1)
                    .await?;
            }
            for index in 0..100 {
                let va = VA + index * page;
                assert_eq!(thread.user_load(va, Double).await?, index);
                assert_eq!(second.user_load(va, Double).await?, index);
                let own = if index % 3 == 0 { index + 1 } else { 0 };
                assert_eq!(second.user_load(va + 8, Double).await?, own);
            }
            setup.audit();
            second.exit().await?;
            thread.exit().await
        })
        .expect("no error");
        assert!(setup.kernel.counters.reclaimed.get() > 100);
        drop(space);
        assert_eq!(setup.used(), before, "MM-30");
        assert_eq!(setup.kernel.swap.used(), 0, "MM-25");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn without_swap_memory_runs_out_and_nothing_is_lost() {
    let base = config(1);
    let setup = boot(KernelConfig {
        swap_slots: 3,
        ..small(&base, 24)
    });
    let thread = &setup.threads[0];
    let _space = setup.space();
    block_on(async {
        map(thread, VA, 64 * 0x1000).await?;
        let mut stored = 0;
        let end = loop {
            match thread
                .user_store(VA + stored * 0x1000, Double, stored)
                .await
            {
                Ok(()) => stored += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(end, Error::OutOfMemory);
        assert_eq!(setup.kernel.swap.used(), 3);
        setup.audit();
        // What is in swap has nowhere to come back to but for those that can go.
        let mut seen = 0;
        for index in 0..stored {
            if let Ok(value) = thread.user_load(VA + index * 0x1000, Double).await {
                assert_eq!(value, index);
                seen += 1;
            }
        }
        assert!(seen + 3 >= stored);
        setup.audit();
        thread.exit().await
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn the_reclaimer_of_a_node_keeps_pages_to_spare() {
    // Section 3.
    let mut config = small(&config(1), 64);
    config.nodes[0].watermarks = Watermarks {
        min: 4,
        low: 8,
        high: 16,
    };
    let setup = boot(config);
    let thread = &setup.threads[0];
    let _space = setup.space();
    let memory = &setup.kernel.memory;
    block_on(async {
        map(thread, VA, 100 * 0x1000).await?;
        let mut balanced = 0;
        for index in 0..100 {
            let before = memory.free_pages(NODE);
            thread
                .user_store(VA + index * 0x1000, Double, index)
                .await?;
            assert!(memory.free_pages(NODE) >= 7, "below low at once wakes it");
            balanced += u32::from(memory.free_pages(NODE) > before);
        }
        assert!(balanced > 0);
        for index in 0..100 {
            assert_eq!(thread.user_load(VA + index * 0x1000, Double).await?, index);
        }
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn an_area_moves_while_memory_is_short() {
    // MM-23, G9: new tables need room, which reclaim makes among the pages that move.
    for huge in [false, true] {
        let pages = if huge { 1100 } else { 30 };
        let base = KernelConfig { huge, ..config(1) };
        let setup = boot(small(&base, pages));
        let thread = &setup.threads[0];
        let _space = setup.space();
        block_on(async {
            let stored = pages - 4;
            map(thread, VA, stored * 0x1000).await?;
            thread
                .madvise(VA, stored * 0x1000, Advice::HugePage)
                .await?;
            for index in 0..stored {
                thread
                    .user_store(VA + index * 0x1000, Double, index)
                    .await?;
            }
            // Far away, so that every level is new, and across the end of a table.
            let to = (1 << 40) + (1 << 30) - 0x5000;
            let remap = Remap {
                va: VA,
                bytes: stored * 0x1000,
                new_bytes: stored * 0x1000,
                to: Destination::Fixed(to),
            };
            thread.mremap(&remap).await?;
            setup.audit();
            for index in 0..stored {
                assert_eq!(thread.user_load(to + index * 0x1000, Double).await?, index);
            }
            Ok::<_, Error>(())
        })
        .expect("no error");
        assert!(setup.kernel.counters.reclaimed.get() > 0);
        setup.audit();
        setup.judge();
    }
}

const ROUNDS: u64 = 6;

/// Threads count up in words of their own on more pages than there is memory for, while a reclaimer
/// runs, and one of them forks.
fn store_while_reclaiming(config: KernelConfig, seed: u64, policy: Policy) {
    const PAGES: u64 = 24;
    let page = config.granule.bytes();
    let setup = Rc::new(boot(small(&config, 40)));
    let space = setup.space();
    block_on(map(&setup.threads[0], VA, PAGES * page)).expect("maps");
    let mut scheduler = Scheduler::with_policy(seed, policy);
    for core in 0..3u8 {
        let (setup, space) = (Rc::clone(&setup), Rc::clone(&space));
        scheduler.spawn_named(format!("user {core}"), async move {
            let thread = setup.interleaved(core, &space).await;
            for round in 1..=ROUNDS {
                for index in 0..PAGES {
                    let va = VA + index * page + u64::from(core) * 8;
                    let seen = thread.user_load(va, Double).await.expect("no error");
                    assert_eq!(seen, round - 1, "seed {seed}: a store was lost");
                    let stored = thread.user_store(va, Double, round).await;
                    stored.expect("no error");
                }
                if core == 0 && round % 3 == 0 {
                    let child = thread.fork().await.expect("no error");
                    thread.exit_space(&child).await.expect("no error");
                }
            }
            thread.cpu.dsb(DsbKind::ISH).await;
        });
    }
    let (kernel, parent) = (Rc::clone(&setup), Rc::clone(&space));
    scheduler.spawn_named("reclaimer", async move {
        let thread = kernel.interleaved(3, &parent).await;
        for _ in 0..20 {
            thread.reclaim(NODE, 8).await.expect("no error");
        }
    });
    let end = scheduler.run(50_000_000);
    assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
    for core in 0..3 {
        for index in 0..PAGES {
            let va = VA + index * page + core * 8;
            let seen = block_on(setup.threads[0].user_load(va, Double));
            assert_eq!(seen, Ok(ROUNDS), "seed {seed}");
        }
    }
    setup.audit();
    setup.judge();
}

#[test]
fn no_store_is_lost_while_memory_is_short() {
    // MM-24, MM-35, G9, G10.
    let steps = NonZeroU32::new(50).expect("not zero");
    for seed in 0..4 {
        for policy in [
            Policy::Uniform,
            Policy::Bursts(steps),
            Policy::Priorities(steps),
        ] {
            let config = KernelConfig {
                anonymous_orders: if seed % 2 == 0 { vec![] } else { vec![2] },
                ..config(4)
            };
            store_while_reclaiming(config, seed, policy);
        }
    }
}
