// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which pages leave memory when it is short, and that nobody but who allocates notices.

#[path = "../kernel/mod.rs"]
mod kernel;
mod pressure;

use kernel::{Setup, boot, config, map, variants};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::file::File;
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Advice, Error, Map, Protection};
use sw_mm::page::{NodeConfig, NodeId};
use sw_mm::pte::Kind;
use sw_mm::{Cpu, block_on, contpte};
use vmsa::{DsbKind, Granule};

const VA: u64 = 0x4000_0000;
const NODE: NodeId = NodeId(0);

/// One node of `pages` pages.
fn small(config: &KernelConfig, pages: u64) -> KernelConfig {
    KernelConfig {
        nodes: vec![NodeConfig {
            bytes: pages * config.granule.bytes(),
            ..config.nodes[0]
        }],
        core_nodes: vec![NODE; config.core_nodes.len()],
        ..config.clone()
    }
}

fn swapped(setup: &Setup, space: &Rc<AddressSpace>, va: u64) -> bool {
    matches!(setup.entry(space, va).kind(), Kind::Swap { .. })
}

#[test]
fn a_page_that_was_used_gets_a_second_chance() {
    // Section 2, CONTPTE-15.
    for config in variants(1) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let thread = &setup.threads[0];
        let space = setup.space();
        block_on(async {
            map(thread, VA, 4 * page).await?;
            for index in 0..4 {
                thread.user_store(VA + index * page, Double, index).await?;
            }
            // All are young: the first look makes them old, the second takes the first of them.
            assert_eq!(thread.reclaim(NODE, 1).await?, 1);
            assert!(swapped(&setup, &space, VA));
            // What is used again meanwhile stays; its stale translation is not flushed for that, so
            // the use is one that walks.
            thread.flush_mm(&space).await;
            thread.user_load(VA + page, Double).await?;
            assert_eq!(thread.reclaim(NODE, 1).await?, 1);
            assert!(!swapped(&setup, &space, VA + page));
            assert!(swapped(&setup, &space, VA + 2 * page));
            assert_eq!(setup.kernel.counters.reclaimed.get(), 2);
            setup.audit();
            for index in 0..4 {
                assert_eq!(thread.user_load(VA + index * page, Double).await?, index);
            }
            setup.audit();
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.judge();
    }
}

#[test]
fn pages_that_are_pinned_or_locked_stay() {
    let setup = boot(config(1));
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, 0x4000).await?;
        for index in 0..4 {
            thread
                .user_store(VA + index * 0x1000, Double, index)
                .await?;
        }
        let pinned = thread.pin_user_page(VA, true).await?;
        thread.mlock(VA + 0x1000, 0x1000).await?;
        assert_eq!(thread.reclaim(NODE, 100).await?, 2);
        let out: Vec<_> = (0..4)
            .map(|index| swapped(&setup, &space, VA + index * 0x1000))
            .collect();
        assert_eq!(out, [false, false, true, true]);
        thread.unpin_user_page(pinned, true);
        thread.munlock(VA + 0x1000, 0x1000).await?;
        assert_eq!(thread.reclaim(NODE, 100).await?, 2);
        setup.audit();
        assert_eq!(thread.user_load(VA + 0x1000, Double).await?, 1);
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.judge();
}

#[test]
fn a_page_of_a_file_goes_only_if_it_was_never_written() {
    // MM-36.
    for config in variants(2) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let (thread, second) = (&setup.threads[0], &setup.threads[1]);
        let space = setup.space();
        let file = File::new(1, 3);
        block_on(async {
            second.switch_to(&space).await;
            let shared = Map {
                shared: true,
                file: Some((Rc::clone(&file), 0)),
                ..Map::anonymous(VA, 3 * page, Protection::READ_WRITE)
            };
            thread.mmap(&shared).await?;
            // One read, one read and then written by hardware or a fault, one written at once.
            for index in 0..2 {
                assert_eq!(thread.user_load(VA + index * page, Double).await?, 0);
            }
            second.user_store(VA + page, Double, 5).await?;
            second.user_store(VA + 2 * page, Double, 6).await?;
            second.cpu.dsb(DsbKind::ISH).await;
            setup.audit();
            assert_eq!(
                thread.reclaim(NODE, 100).await? + thread.reclaim(NodeId(1), 100).await?,
                1
            );
            assert!(setup.entry(&space, VA).is_none() && file.page(0).is_none());
            assert!(file.page(1).is_some_and(|page| page.dirty.get()));
            assert!(file.page(2).is_some_and(|page| page.dirty.get()));
            setup.audit();
            for (index, value) in (0..).zip([0, 5, 6]) {
                assert_eq!(thread.user_load(VA + index * page, Double).await?, value);
            }
            setup.audit();
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.judge();
    }
}

#[test]
fn one_page_of_a_run_goes_and_no_contiguous_entry_stays_beside_it() {
    // CONTPTE-32, CONTPTE-12.
    for (granule, order) in [(Granule::K4, 4), (Granule::K16, 7), (Granule::K64, 5)] {
        let pages = 1 << order;
        let page = granule.bytes();
        let setup = boot(KernelConfig {
            granule,
            anonymous_orders: vec![order],
            ..config(1)
        });
        let thread = &setup.threads[0];
        let space = setup.space();
        block_on(async {
            map(thread, VA, pages * page).await?;
            for index in 0..pages {
                thread.user_store(VA + index * page, Double, index).await?;
            }
            assert!(setup.entry(&space, VA).cont());
            let whole = setup.folio(&space, VA);
            let first = whole.pfn();
            assert_eq!(thread.reclaim(NODE, 1).await?, 1);
            assert_eq!(setup.kernel.counters.folio_splits.get(), 1);
            assert!(swapped(&setup, &space, VA));
            for index in 1..pages {
                let pte = setup.entry(&space, VA + index * page);
                assert!(pte.valid() && !pte.cont() && pte.dirty() && pte.writable());
                assert_eq!(pte.pfn(granule).0, first.0 + index);
                let folio = setup.folio(&space, VA + index * page);
                assert!(folio.order() == 0 && folio.anon_exclusive(0) && folio.lru.get());
            }
            setup.audit();
            for index in 0..pages {
                assert_eq!(thread.user_load(VA + index * page, Double).await?, index);
            }
            setup.audit();
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.judge();
    }
}

#[test]
fn a_folio_that_somebody_refers_to_is_not_split() {
    let setup = boot(KernelConfig {
        anonymous_orders: vec![4],
        ..config(1)
    });
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, 0x1_0000).await?;
        thread.user_store(VA, Double, 1).await?;
        let folio = setup.folio(&space, VA);
        let before = setup.entry(&space, VA);
        let pinned = thread.pin_user_page(VA, true).await?;
        assert_eq!(thread.split_folio(&folio).await.err(), Some(Error::Busy));
        thread.unpin_user_page(pinned, false);
        folio.get(1);
        assert_eq!(thread.split_folio(&folio).await.err(), Some(Error::Again));
        assert_eq!(setup.entry(&space, VA), before, "a run as before");
        setup.kernel.put_folio(0, &folio, 1);
        assert_eq!(thread.split_folio(&folio).await?.len(), 15);
        setup.audit();
        // What is split can be freed page by page.
        thread.munmap(VA + 0x3000, 0x5000).await?;
        setup.audit();
        thread.exit().await
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn ageing_clears_the_access_flag_of_every_mapping() {
    // MM-11, section 10: parent and child map the page, and either use is seen.
    let setup = boot(config(2));
    let (thread, second) = (&setup.threads[0], &setup.threads[1]);
    let parent = setup.space();
    block_on(async {
        map(thread, VA, 0x2000).await?;
        thread.user_store(VA, Double, 1).await?;
        thread.user_store(VA + 0x1000, Double, 2).await?;
        let child = thread.fork().await?;
        second.switch_to(&child).await;
        second.user_load(VA, Double).await?;
        // Old in the parent, young in the child.
        let young = |space| setup.entry(space, VA).young();
        assert!(young(&child));
        thread.reclaim(NODE, 0).await?;
        for (space, thread) in [(&parent, thread), (&child, second)] {
            for va in [VA, VA + 0x1000] {
                let sw_mm::mm::Found::Table(table) = space.walk(thread, va).await? else {
                    panic!("a table")
                };
                let _ptl = table.lock.lock(&thread.held).await;
                let ptr = table.entry(&setup.kernel, va)?;
                contpte::test_and_clear_young(thread, space, ptr).await?;
            }
        }
        thread.flush_mm(&parent).await;
        thread.flush_mm(&child).await;
        second.user_load(VA, Double).await?;
        assert_eq!(thread.reclaim(NODE, 1).await?, 1);
        assert!(!swapped(&setup, &parent, VA) && swapped(&setup, &parent, VA + 0x1000));
        assert!(!young(&parent) && !young(&child));
        setup.audit();
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.judge();
}
