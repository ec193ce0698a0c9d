// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When a fault maps a block, and how often a block faults.

use crate::*;
use std::num::NonZeroU32;
use sw_mm::cpu::Cpu;
use sw_mm::functional::{Policy, RunEnd, Scheduler};
use sw_mm::mm::{Map, Protection};
use sw_mm::page::{NodeConfig, NodeId};
use vmsa::DsbKind;

#[test]
fn the_first_store_maps_all_pages_of_a_block_at_once() {
    // MM-07, MM-11.
    for config in updates(2) {
        let (setup, space) = with_block(config);
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        let counters = &setup.kernel.counters;
        let pte = block(&setup, &space, VA).expect("a block");
        assert!(pte.valid() && pte.young() && pte.dirty() && pte.writable() && !pte.cont());
        let folio = setup.folio(&space, VA);
        assert!(folio.order() == 9 && folio.mapcount() == PAGES && folio.anon_exclusive(300));
        assert_eq!((counters.huge_faults.get(), counters.clears.get()), (1, 0));
        block_on(async {
            thread.cpu.dsb(DsbKind::ISH).await;
            for index in (0..PAGES).step_by(37) {
                let va = VA + index * PAGE + 8;
                assert_eq!(other.user_load(va, Double).await?, 0);
                other.user_store(va, Double, index).await?;
                other.cpu.dsb(DsbKind::ISH).await;
                assert_eq!(thread.user_load(va, Double).await?, index);
            }
            Ok::<_, Error>(())
        })
        .expect("no error");
        assert_eq!(counters.translation_faults.get(), 1, "one for 512 pages");
        assert_eq!(counters.permission_faults.get(), 0);
        setup.audit();
        setup.judge();
    }
}

#[test]
fn a_block_that_is_used_again_is_cleared() {
    // MM-07, MM-30.
    let setup = boot(huge_config(1));
    let thread = &setup.threads[0];
    let (_space, before) = (setup.space(), setup.used());
    block_on(async {
        for round in 1..=2 {
            // All the memory of the node that comes in blocks.
            let bytes = 7 * BLOCK;
            map_huge(thread, VA, bytes).await?;
            for va in (VA..VA + bytes).step_by(BLOCK as usize) {
                thread.user_store(va, Double, round).await?;
                for word in [PAGE, BLOCK - 8] {
                    assert_eq!(thread.user_load(va + word, Double).await?, 0);
                    thread.user_store(va + word, Double, 77).await?;
                }
            }
            thread.munmap(VA, bytes).await?;
        }
        Ok::<_, Error>(())
    })
    .expect("no error");
    assert_eq!(setup.kernel.counters.huge_faults.get(), 14);
    assert!(setup.kernel.counters.clears.get() > 0);
    assert_eq!(setup.used(), before);
    setup.audit();
    setup.judge();
}

/// Whether the store to the first byte of `va` gets a block.
fn gets_block(config: KernelConfig, va: u64, prepare: impl AsyncFn(&Thread<Core>)) -> bool {
    let setup = boot(config);
    let space = setup.space();
    let thread = &setup.threads[0];
    block_on(async {
        prepare(thread).await;
        thread.user_store(va, Double, 1).await
    })
    .expect("no error");
    setup.audit();
    setup.judge();
    block(&setup, &space, va).is_some()
}

#[test]
fn there_is_a_block_only_where_it_was_asked_for_and_fits() {
    let asked = async |thread: &Thread<Core>| {
        map_huge(thread, VA + PAGE, 3 * BLOCK).await.expect("maps");
    };
    // The area begins and ends within a block.
    for (index, expected) in [false, true, true, false].into_iter().enumerate() {
        let va = VA + index as u64 * BLOCK + if index == 3 { 0 } else { PAGE };
        assert_eq!(gets_block(huge_config(1), va, asked), expected, "{index}");
    }
    let plain = async |thread: &Thread<Core>| map(thread, VA, BLOCK).await.expect("maps");
    assert!(!gets_block(huge_config(1), VA, plain), "not asked for");
    let off = config(1);
    assert!(!gets_block(off, VA + BLOCK, asked), "not used at all");
    let refused = async |thread: &Thread<Core>| {
        map_huge(thread, VA, BLOCK).await.expect("maps");
        let advice = thread.madvise(VA, BLOCK, Advice::NoHugePage);
        advice.await.expect("advises");
    };
    assert!(!gets_block(huge_config(1), VA, refused));
    let read = async |thread: &Thread<Core>| {
        map_huge(thread, VA, BLOCK).await.expect("maps");
        assert_eq!(thread.user_load(VA + PAGE, Double).await, Ok(0));
    };
    assert!(!gets_block(huge_config(1), VA, read), "a page is there");
    let small = KernelConfig {
        nodes: vec![NodeConfig {
            bytes: BLOCK,
            ..config(1).nodes[0]
        }],
        core_nodes: vec![NodeId(0)],
        ..huge_config(1)
    };
    let all = async |thread: &Thread<Core>| map_huge(thread, VA, BLOCK).await.expect("maps");
    assert!(!gets_block(small, VA, all), "no folio so large");
    let file = async |thread: &Thread<Core>| {
        let map = Map {
            file: Some((sw_mm::file::File::new(1, PAGES), 0)),
            ..Map::anonymous(VA, BLOCK, Protection::READ_WRITE)
        };
        thread.mmap(&map).await.expect("maps");
        let advice = thread.madvise(VA, BLOCK, Advice::HugePage);
        advice.await.expect("advises");
    };
    assert!(!gets_block(huge_config(1), VA, file));
}

#[test]
fn an_old_block_takes_one_access_flag_fault_for_all_its_pages() {
    // MM-11.
    for config in updates(1) {
        let expected = u64::from(config.hardware_update == HardwareUpdate::None);
        let setup = boot(config);
        let (thread, space) = (&setup.threads[0], setup.space());
        let counters = &setup.kernel.counters;
        block_on(async {
            let small = VA + BLOCK;
            map(thread, small, PAGE).await?;
            thread.user_store(small, Double, 1).await?;
            map_huge(thread, VA, BLOCK).await?;
            thread.user_store(VA, Double, 1).await?;
            // Reclaim makes both old; the page is the one that goes then.
            assert_eq!(thread.reclaim(NodeId(0), 1).await?, 1);
            assert!(!block(&setup, &space, VA).expect("a block").young());
            thread.flush_mm(&space).await;
            for index in 0..PAGES {
                let seen = thread.user_load(VA + index * PAGE, Double).await?;
                assert_eq!(seen, u64::from(index == 0));
            }
            Ok::<_, Error>(())
        })
        .expect("no error");
        assert!(block(&setup, &space, VA).expect("a block").young());
        assert_eq!(counters.access_flag_faults.get(), expected);
        assert_eq!(counters.splits.get(), 0);
        setup.audit();
        setup.judge();
    }
}

#[test]
fn of_two_first_stores_at_once_one_maps_the_block() {
    // MM-35.
    let steps = NonZeroU32::new(40).expect("not zero");
    for seed in 0..6 {
        let setup = Rc::new(boot(huge_config(3)));
        let space = setup.space();
        block_on(map_huge(&setup.threads[0], VA, BLOCK)).expect("maps");
        let policy = match seed % 2 {
            0 => Policy::Uniform,
            _ => Policy::Bursts(steps),
        };
        let mut scheduler = Scheduler::with_policy(seed, policy);
        for core in 0..3u8 {
            let (setup, space) = (Rc::clone(&setup), Rc::clone(&space));
            scheduler.spawn_named(format!("user {core}"), async move {
                let thread = setup.interleaved(core, &space).await;
                for index in 0..4 {
                    let va = VA + (index * 100 + u64::from(core)) * PAGE;
                    let stored = thread.user_store(va, Double, va).await;
                    stored.expect("no error");
                }
                thread.cpu.dsb(DsbKind::ISH).await;
            });
        }
        let end = scheduler.run(10_000_000);
        assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
        assert_eq!(setup.kernel.counters.huge_faults.get(), 1, "seed {seed}");
        assert_eq!(space.resident.get(), PAGES);
        for core in 0..3 {
            for index in 0..4 {
                let va = VA + (index * 100 + core) * PAGE;
                assert_eq!(block_on(setup.threads[0].user_load(va, Double)), Ok(va));
            }
        }
        setup.audit();
        setup.judge();
    }
}
