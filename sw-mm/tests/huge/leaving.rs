// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Blocks that are swapped out, reclaimed or moved to another node become pages first.

use crate::*;
use sw_mm::cpu::Cpu;
use sw_mm::migrate::MigrateMode;
use sw_mm::page::NodeId;
use sw_mm::pte::Kind;
use vmsa::DsbKind;

/// A word for each page, but for the first.
async fn fill(thread: &Thread<Core>) -> Result<(), Error> {
    for index in 1..PAGES {
        let va = VA + index * PAGE + 8 * index % PAGE;
        thread.user_store(va, Double, index).await?;
    }
    thread.cpu.dsb(DsbKind::ISH).await;
    Ok(())
}

async fn assert_filled(thread: &Thread<Core>) {
    assert_eq!(thread.user_load(VA, Double).await, Ok(1));
    for index in 1..PAGES {
        let va = VA + index * PAGE + 8 * index % PAGE;
        assert_eq!(thread.user_load(va, Double).await, Ok(index));
    }
}

#[test]
fn a_block_goes_to_swap_page_by_page_and_comes_back() {
    // MM-24, MM-25, MM-38.
    let (setup, space) = with_block(huge_config(2));
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    block_on(async {
        fill(other).await?;
        let folio = setup.folio(&space, VA);
        thread.swap_out(&folio).await?;
        let counters = &setup.kernel.counters;
        assert_eq!((counters.splits.get(), counters.folio_splits.get()), (1, 1));
        assert_eq!(setup.kernel.swap.used(), PAGES);
        assert_eq!((space.resident.get(), space.swapped.get()), (0, PAGES));
        let out = |pte: &Pte| matches!(pte.kind(), Kind::Swap { .. });
        assert!(page_entries(&setup, &space, VA).iter().all(out));
        setup.audit();
        assert_filled(other).await;
        setup.audit();
        assert_eq!(setup.kernel.swap.used(), 0);
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.judge();
}

#[test]
fn reclaim_takes_pages_of_an_old_block() {
    // MM-24, section 3.
    for config in updates(2) {
        let (setup, space) = with_block(config);
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        block_on(async {
            fill(other).await?;
            let child = thread.fork().await?;
            assert_eq!(thread.reclaim(NodeId(0), 40).await?, 40);
            assert_eq!(setup.kernel.counters.splits.get(), 2);
            for space in [&space, &child] {
                assert_eq!(space.swapped.get(), 40);
                assert_eq!(space.resident.get(), PAGES - 40);
            }
            setup.audit();
            other.switch_to(&child).await;
            assert_filled(thread).await;
            assert_filled(other).await;
            other.exit().await?;
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn a_block_moves_to_another_node_as_one_folio() {
    // MM-26, MM-38.
    for config in updates(2) {
        let (setup, space) = with_block(config);
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        block_on(async {
            fill(other).await?;
            let folio = setup.folio(&space, VA);
            let target = NodeId(1);
            let moved = thread.migrate(&folio, target, MigrateMode::Sync).await?;
            assert_eq!((moved.order(), moved.node()), (9, target));
            let entries = page_entries(&setup, &space, VA);
            for (pte, index) in entries.iter().zip(0..) {
                assert_eq!(pte.pfn(Granule::K4).0, moved.pfn().0 + index);
                assert!(pte.valid() && pte.writable() && pte.dirty() && pte.young());
            }
            setup.audit();
            assert_filled(other).await;
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn a_pinned_block_stays_where_it_is() {
    // MM-27.
    let (setup, space) = with_block(huge_config(1));
    let thread = &setup.threads[0];
    block_on(async {
        let folio = setup.folio(&space, VA);
        let before = page_entries(&setup, &space, VA);
        let pinned = thread.pin_user_page(VA + PAGE, false).await?;
        let moved = thread.migrate(&folio, NodeId(1), MigrateMode::Sync).await;
        assert_eq!(moved.err(), Some(Error::Busy));
        assert_eq!(thread.swap_out(&folio).await, Err(Error::Busy));
        assert_eq!(thread.reclaim(NodeId(0), 1).await?, 0);
        assert_eq!(page_entries(&setup, &space, VA), before);
        thread.unpin_user_page(pinned, false);
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn a_page_copied_out_of_a_block_moves_while_a_child_keeps_the_block() {
    // MM-26.
    let (setup, space) = with_block(huge_config(1));
    let thread = &setup.threads[0];
    block_on(async {
        let child = thread.fork().await?;
        thread.user_store(VA + PAGE, Double, 7).await?;
        let folio = setup.folio(&space, VA + PAGE);
        let target = NodeId(1);
        let moved = thread.migrate(&folio, target, MigrateMode::Sync).await?;
        assert_eq!((moved.order(), moved.node()), (0, target));
        assert_eq!(thread.user_load(VA + PAGE, Double).await?, 7);
        thread.exit_space(&child).await
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}
