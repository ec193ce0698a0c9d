// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Folios move between nodes while they are used: nothing is lost, nothing is seen twice, and who has
//! to stay stays.

#[allow(dead_code, reason = "this test takes the mutant only")]
#[path = "../booted/mod.rs"]
mod booted;
mod concurrent;
#[path = "../kernel/mod.rs"]
mod kernel;

use booted::{Mutant, Mutation};
use kernel::{Setup, boot, config, map, variants};
use std::num::NonZeroU32;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::file::File;
use sw_mm::folio::Folio;
use sw_mm::functional::{Core, Policy, RunEnd, Scheduler, yield_now};
use sw_mm::kernel::KernelConfig;
use sw_mm::migrate::MigrateMode::{Async, Sync};
use sw_mm::mm::{AddressSpace, Error, Map, Protection, Signal};
use sw_mm::page::{NodeConfig, NodeId, Watermarks};
use sw_mm::thread::Thread;
use sw_mm::{Cpu, block_on};
use vmsa::{DsbKind, Granule};

const VA: u64 = 0x4000_0000;
const HERE: NodeId = NodeId(0);
const THERE: NodeId = NodeId(1);

/// The other node of two.
fn other(node: NodeId) -> NodeId {
    NodeId(1 - node.0)
}

/// With large folios as long as a contiguous run.
fn large(config: KernelConfig) -> KernelConfig {
    let order = match config.granule {
        Granule::K4 => 4,
        Granule::K16 => 7,
        Granule::K64 => 5,
    };
    KernelConfig {
        anonymous_orders: vec![order],
        ..config
    }
}

#[test]
fn a_folio_moves_whole_with_contents_and_rights() {
    // MM-26, CONTPTE-02.
    for config in variants(2).into_iter().flat_map(|c| [c.clone(), large(c)]) {
        let pages = config
            .anonymous_orders
            .first()
            .map_or(4, |order| 1 << order);
        let (page, many) = (config.granule.bytes(), !config.anonymous_orders.is_empty());
        let setup = boot(config);
        let (thread, other_thread) = (&setup.threads[0], &setup.threads[1]);
        let space = setup.space();
        let memory = &setup.kernel.memory;
        block_on(async {
            other_thread.switch_to(&space).await;
            map(thread, VA, pages * page).await?;
            for index in 0..pages {
                thread
                    .user_store(VA + index * page, Double, 7 + index)
                    .await?;
            }
            thread.mprotect(VA, page, Protection::READ).await?;
            let before: Vec<_> = (0..pages)
                .map(|index| setup.entry(&space, VA + index * page))
                .collect();
            let there = memory.free_pages(THERE);
            let here = memory.free_pages(HERE);
            let mut index = 0;
            while index < pages {
                let folio = setup.folio(&space, VA + index * page);
                assert_eq!(folio.node(), HERE);
                let moved = thread.migrate(&folio, THERE, Sync).await?;
                assert_eq!(moved.node(), THERE);
                assert_eq!(folio.references(), 0, "the old frames are free");
                index += moved.pages();
            }
            assert_eq!(there - memory.free_pages(THERE), pages);
            assert_eq!(memory.free_pages(HERE) - here, pages);
            for (index, old) in (0..).zip(before) {
                let va = VA + index * page;
                let new = setup.entry(&space, va);
                let granule = setup.kernel.granule();
                assert_eq!(memory.node_of(new.pfn(granule)), Some(THERE));
                assert_eq!(new.writable(), old.writable(), "page {index}");
                assert!(new.young() && new.dirty());
                assert!(!new.cont() || many);
                assert!(
                    setup
                        .folio(&space, va)
                        .anon_exclusive(setup.folio(&space, va).page_of(new.pfn(granule)))
                );
                assert_eq!(other_thread.user_load(va, Double).await?, 7 + index);
            }
            setup.audit();
            let copies = setup.kernel.counters.copies.get();
            for index in 1..pages {
                other_thread
                    .user_store(VA + index * page, Double, 1)
                    .await?;
            }
            assert_eq!(setup.kernel.counters.copies.get(), copies, "MM-10");
            let signal = Signal::Segv;
            let refused = Err(Error::Signal { signal, va: VA });
            assert_eq!(thread.user_store(VA, Double, 1).await, refused);
            setup.audit();
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.judge();
    }
}

#[test]
fn a_whole_run_is_one_run_again_where_it_arrives() {
    // Section 13, CONTPTE-02.
    for granule in Granule::ALL {
        let config = large(KernelConfig {
            granule,
            ..config(1)
        });
        let pages = 1 << config.anonymous_orders[0];
        let setup = boot(config);
        let thread = &setup.threads[0];
        let space = setup.space();
        let bytes = granule.bytes() * pages;
        block_on(async {
            map(thread, VA, bytes).await?;
            thread.user_store(VA, Double, 1).await?;
            assert!(setup.entry(&space, VA).cont());
            let unfolds = setup.kernel.counters.unfolds.get();
            thread
                .migrate(&setup.folio(&space, VA), THERE, Async)
                .await?;
            assert!(setup.entry(&space, VA + bytes - granule.bytes()).cont());
            assert_eq!(setup.kernel.counters.unfolds.get(), unfolds);
            setup.audit();
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.judge();
    }
}

#[test]
fn sharers_go_on_sharing_and_file_pages_stay_in_their_file() {
    // MM-26, MM-16.
    for config in variants(2) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let (thread, second) = (&setup.threads[0], &setup.threads[1]);
        let parent = setup.space();
        let file = File::new(1, 4);
        let shared = Map {
            shared: true,
            file: Some((Rc::clone(&file), 0)),
            ..Map::anonymous(VA + 16 * page, 4 * page, Protection::READ_WRITE)
        };
        block_on(async {
            map(thread, VA, 2 * page).await?;
            thread.user_store(VA, Double, 5).await?;
            thread.mmap(&shared).await?;
            thread.user_store(shared.va, Double, 6).await?;
            let child = thread.fork().await?;
            second.switch_to(&child).await;
            assert_eq!(second.user_load(shared.va, Double).await?, 6);
            let private = setup.folio(&parent, VA);
            assert_eq!(private.mapcount(), 2);
            let private = thread.migrate(&private, THERE, Sync).await?;
            assert_eq!(private.mapcount(), 2);
            let cached = setup.folio(&parent, shared.va);
            let cached = second.migrate(&cached, THERE, Sync).await?;
            assert_eq!(cached.mapcount(), 2);
            assert!(cached.dirty.get(), "MM-36");
            assert!(file.page(0).is_some_and(|page| Rc::ptr_eq(&page, &cached)));
            setup.audit();
            thread.user_store(VA, Double, 50).await?;
            assert_eq!(second.user_load(VA, Double).await?, 5, "MM-08");
            second.user_store(shared.va, Double, 60).await?;
            second.cpu.dsb(DsbKind::ISH).await;
            assert_eq!(thread.user_load(shared.va, Double).await?, 60);
            setup.audit();
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.judge();
    }
}

#[test]
fn a_pinned_folio_stays_and_its_entries_too() {
    // MM-27.
    for config in variants(2).into_iter().flat_map(|c| [c.clone(), large(c)]) {
        let page = config.granule.bytes();
        let pages = config
            .anonymous_orders
            .first()
            .map_or(1, |order| 1 << order);
        let setup = boot(config);
        let thread = &setup.threads[0];
        let space = setup.space();
        block_on(async {
            map(thread, VA, pages * page).await?;
            for index in 0..pages {
                thread.user_store(VA + index * page, Double, 1).await?;
            }
            let entries = || -> Vec<_> {
                (0..pages)
                    .map(|index| setup.entry(&space, VA + index * page))
                    .collect()
            };
            let before = entries();
            let pinned = thread.pin_user_page(VA, true).await?;
            for mode in [Async, Sync] {
                let busy = thread.migrate(&pinned.folio, THERE, mode).await;
                assert_eq!(busy.err(), Some(Error::Busy));
                assert_eq!(entries(), before);
            }
            // Somebody has a reference, found out only when the entries are gone.
            let folio = Rc::clone(&pinned.folio);
            thread.unpin_user_page(pinned, false);
            folio.get(1);
            let again = thread.migrate(&folio, THERE, Sync).await;
            assert_eq!(again.err(), Some(Error::Again));
            setup.kernel.put_folio(0, &folio, 1);
            assert_eq!(entries(), before);
            assert_eq!(setup.kernel.counters.failed_migrations.get(), 3);
            setup.audit();
            // Nobody waits for a lock who may not.
            let held = folio.lock.lock(&thread.held).await;
            let again = thread.migrate(&folio, THERE, Async).await;
            assert_eq!(again.err(), Some(Error::Again));
            drop(held);
            thread.migrate(&folio, THERE, Async).await?;
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn a_page_is_pinned_for_a_write_only_if_it_is_ones_own() {
    // MM-08, MM-27.
    let setup = boot(config(2));
    let (thread, second) = (&setup.threads[0], &setup.threads[1]);
    let parent = setup.space();
    block_on(async {
        map(thread, VA, 0x3000).await?;
        thread.user_store(VA, Double, 5).await?;
        let child = thread.fork().await?;
        second.switch_to(&child).await;
        let shared = setup.folio(&parent, VA);
        let pinned = thread.pin_user_page(VA, true).await?;
        assert!(!Rc::ptr_eq(&pinned.folio, &shared), "a copy");
        assert!(pinned.folio.anon_exclusive(pinned.page));
        // Memory that was never touched: a page, not the zero page.
        let zero = thread.pin_user_page(VA + 0x1000, false).await?;
        assert!(zero.folio.is_anon());
        // The child of a pinned page gets a copy at once, and the device writes the parent's.
        let grandchild = thread.fork().await?;
        let copy = setup.folio(&grandchild, VA);
        assert!(!Rc::ptr_eq(&copy, &pinned.folio));
        let va = setup.kernel.virt(setup.kernel.pa(pinned.folio.pfn()))?;
        thread
            .cpu
            .store(va, Double, sw_mm::Privilege::Privileged, 9)
            .await?;
        assert_eq!(thread.user_load(VA, Double).await?, 9);
        assert_eq!(second.user_load(VA, Double).await?, 5);
        thread.unpin_user_page(pinned, true);
        thread.unpin_user_page(zero, false);
        setup.audit();
        // Also where nothing may be written.
        thread
            .mprotect(VA + 0x2000, 0x1000, Protection::READ)
            .await?;
        assert_eq!(thread.user_load(VA + 0x2000, Double).await?, 0);
        let zero = thread.pin_user_page(VA + 0x2000, false).await?;
        assert!(zero.folio.is_anon());
        let va = VA + 0x2000;
        let signal = Signal::Segv;
        let refused = thread.user_store(va, Double, 1).await;
        assert_eq!(refused.err(), Some(Error::Signal { signal, va }));
        thread.unpin_user_page(zero, false);
        setup.audit();
        let refused = thread.pin_user_page(VA + 0x10_0000, false).await;
        let va = VA + 0x10_0000;
        let signal = Signal::Segv;
        assert_eq!(refused.err(), Some(Error::Signal { signal, va }));
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.judge();
}

#[test]
fn promotion_leaves_the_target_above_its_watermark() {
    // MM-37.
    let mut config = config(1);
    let total = config.nodes[1].bytes >> 12;
    config.nodes[1] = NodeConfig {
        watermarks: Watermarks {
            min: 1,
            low: 2,
            high: total - 3,
        },
        ..config.nodes[1]
    };
    let setup = boot(config);
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, 0x4000).await?;
        let mut ends = Vec::new();
        for index in 0..4 {
            let va = VA + index * 0x1000;
            thread.user_store(va, Double, index).await?;
            let promoted = thread.promote(&setup.folio(&space, va), THERE).await;
            ends.push(promoted.map(|folio| folio.node()));
            assert_eq!(thread.user_load(va, Double).await?, index);
        }
        let full = Err(Error::OutOfMemory);
        assert_eq!(ends, [Ok(THERE), Ok(THERE), full.clone(), full]);
        assert_eq!(setup.kernel.counters.promotions.get(), 2);
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn a_page_copied_before_its_flush_loses_a_store() {
    // MM-26: the check fires when the invalidation, or the wait for it, is left out.
    for mutation in [Mutation::NoTlbi, Mutation::StoresOnlyBarrier] {
        let setup = boot(config(2));
        let (thread, second) = (&setup.threads[0], &setup.threads[1]);
        let space = setup.space();
        block_on(async {
            second.switch_to(&space).await;
            map(thread, VA, 0x1000).await?;
            second.user_store(VA, Double, 1).await?;
            second.cpu.dsb(DsbKind::ISH).await;
            let mutant = Thread::new(&setup.kernel, Mutant::new(&thread.cpu, mutation), 0);
            let folio: Rc<Folio> = setup.folio(&space, VA);
            mutant.migrate(&folio, HERE, Sync).await?;
            second.user_store(VA, Double, 2).await?;
            thread.flush_mm(&space).await;
            assert_eq!(second.user_load(VA, Double).await?, 1, "{mutation:?}: lost");
            Ok::<_, Error>(())
        })
        .expect("no error");
    }
}
