// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! System calls on blocks: on a whole one, it stays one; on a part, it is split first.

use crate::*;
use sw_mm::cpu::Cpu;
use sw_mm::mm::{Destination, Protection, Remap, Signal};
use vmsa::DsbKind;

fn segv(va: u64) -> Error {
    let signal = Signal::Segv;
    Error::Signal { signal, va }
}

/// Stores a number to every page of the block.
async fn number_pages(thread: &Thread<Core>) -> Result<(), Error> {
    for index in 0..PAGES {
        thread.user_store(VA + index * PAGE, Double, index).await?;
    }
    thread.cpu.dsb(DsbKind::ISH).await;
    Ok(())
}

/// The pages are as [`number_pages`] left them, at `va`.
async fn assert_numbered(thread: &Thread<Core>, va: u64, pages: std::ops::Range<u64>) {
    for index in pages {
        let seen = thread.user_load(va + index * PAGE, Double).await;
        assert_eq!(seen, Ok(index));
    }
}

#[test]
fn a_block_that_is_unmapped_is_gone_on_every_core() {
    // MM-06, MM-15, MM-30.
    for part in [false, true] {
        let (setup, space) = with_block(huge_config(2));
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        let counters = &setup.kernel.counters;
        block_on(async {
            number_pages(thread).await?;
            assert_numbered(other, VA, 0..3).await;
            if !part {
                thread.munmap(VA, BLOCK).await?;
                let seen = other.user_load(VA + 5 * PAGE, Double).await;
                assert_eq!(seen, Err(segv(VA + 5 * PAGE)));
                assert_eq!((counters.splits.get(), space.resident.get()), (0, 0));
                return Ok(());
            }
            let before = page_entries(&setup, &space, VA);
            thread.munmap(VA + 100 * PAGE, 200 * PAGE).await?;
            assert_eq!(counters.splits.get(), 1);
            for index in [100, 299] {
                let va = VA + index * PAGE;
                assert_eq!(other.user_load(va, Double).await, Err(segv(va)));
            }
            let after = page_entries(&setup, &space, VA);
            assert_eq!(before[..100], after[..100]);
            assert_eq!(before[300..], after[300..]);
            assert!(after[100..300].iter().all(|pte| pte.is_none()));
            assert_numbered(other, VA, 0..100).await;
            assert_numbered(other, VA, 300..PAGES).await;
            assert_eq!(space.resident.get(), PAGES - 200);
            setup.audit();
            other.leave().await;
            thread.exit().await
        })
        .expect("no error");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn a_block_that_is_thrown_away_comes_back_as_zeros() {
    // Section 8.
    let (setup, space) = with_block(huge_config(2));
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    block_on(async {
        number_pages(other).await?;
        thread.madvise_dontneed(VA, BLOCK).await?;
        assert!(setup.entry(&space, VA).is_none());
        assert_eq!(other.user_load(VA + PAGE, Double).await?, 0);
        // A table of pages is there by now, so pages it is until it goes.
        other.user_store(VA + PAGE, Double, 1).await?;
        assert!(block(&setup, &space, VA).is_none());
        assert_eq!(space.resident.get(), 1);
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn mprotect_of_a_whole_block_changes_one_entry() {
    // MM-14, MM-29, MM-36.
    for config in updates(2) {
        let (setup, space) = with_block(config);
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        block_on(async {
            number_pages(other).await?;
            let before = block(&setup, &space, VA).expect("a block");
            thread.mprotect(VA, BLOCK, Protection::READ).await?;
            let pte = block(&setup, &space, VA).expect("a block");
            assert_eq!(pte, before.write_protect(), "dirt and frame are kept");
            let refused = other.user_store(VA + 9 * PAGE, Double, 1).await;
            assert_eq!(refused, Err(segv(VA + 9 * PAGE)));
            setup.audit();
            thread.mprotect(VA, BLOCK, Protection::NONE).await?;
            let pte = block(&setup, &space, VA).expect("still one");
            assert!(!pte.valid());
            let refused = other.user_load(VA + 9 * PAGE, Double).await;
            assert_eq!(refused, Err(segv(VA + 9 * PAGE)));
            setup.audit();
            thread.mprotect(VA, BLOCK, Protection::READ_WRITE).await?;
            assert_numbered(other, VA, 0..PAGES).await;
            other.user_store(VA + 9 * PAGE, Double, 9).await?;
            let counters = &setup.kernel.counters;
            assert_eq!((counters.splits.get(), counters.copies.get()), (0, 0));
            assert!(block(&setup, &space, VA).expect("a block").writable());
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn mprotect_of_a_part_splits_the_block_and_leaves_the_rest() {
    // MM-14, MM-31, MM-38.
    let (setup, space) = with_block(huge_config(2));
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    block_on(async {
        number_pages(other).await?;
        let before = page_entries(&setup, &space, VA);
        let part = (VA + 16 * PAGE, 16 * PAGE);
        thread.mprotect(part.0, part.1, Protection::READ).await?;
        let after = page_entries(&setup, &space, VA);
        for (index, (before, after)) in before.into_iter().zip(after).enumerate() {
            let expected = match (16..32).contains(&index) {
                true => before.write_protect(),
                false => before,
            };
            assert_eq!(after, expected, "{index}");
        }
        assert_eq!(other.user_store(part.0, Double, 1).await, Err(segv(part.0)));
        other.user_store(VA + 32 * PAGE, Double, 32).await?;
        assert_numbered(other, VA, 0..PAGES).await;
        Ok::<_, Error>(())
    })
    .expect("no error");
    assert_eq!(setup.kernel.counters.splits.get(), 1);
    setup.audit();
    setup.judge();
}

#[test]
fn mremap_moves_the_pages_of_a_block() {
    // MM-15, MM-23.
    const TO: u64 = VA + 8 * BLOCK + 7 * PAGE;
    let (setup, space) = with_block(huge_config(2));
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    block_on(async {
        number_pages(other).await?;
        let folio = setup.folio(&space, VA);
        let frame = folio.pfn();
        let places = thread.rmap_walk(&folio).await?;
        let found: Vec<_> = places.iter().map(|p| (p.ptr.va, p.page, p.pages)).collect();
        assert_eq!(found, [(VA, 0, PAGES)], "one entry");
        let remap = Remap {
            va: VA,
            bytes: BLOCK,
            new_bytes: BLOCK,
            to: Destination::Fixed(TO),
        };
        assert_eq!(thread.mremap(&remap).await?, TO);
        assert_eq!(other.user_load(VA, Double).await, Err(segv(VA)));
        assert_numbered(other, TO, 0..PAGES).await;
        assert_eq!(setup.folio(&space, TO + PAGE).pfn(), frame);
        setup.audit();
        let places = thread.rmap_walk(&folio).await?;
        assert_eq!(places.len() as u64, PAGES);
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn parent_and_child_share_a_block_until_one_writes() {
    // MM-08, MM-10, MM-16, MM-30.
    for config in updates(3) {
        let (setup, parent) = with_block(config);
        let [thread, second, third] = &setup.threads[..] else {
            panic!("three cores");
        };
        let counters = &setup.kernel.counters;
        block_on(async {
            number_pages(second).await?;
            let folio = setup.folio(&parent, VA);
            let child = thread.fork().await?;
            assert_eq!((counters.copies.get(), counters.splits.get()), (0, 0));
            for space in [&parent, &child] {
                let pte = block(&setup, space, VA).expect("a block");
                assert!(!pte.writable() && pte.dirty());
            }
            assert_eq!(folio.mapcount(), 2 * PAGES);
            setup.audit();
            // Held as writable by this core before.
            second.user_store(VA + 3 * PAGE, Double, 333).await?;
            assert_eq!((counters.copies.get(), counters.splits.get()), (1, 1));
            assert!(block(&setup, &parent, VA).is_none() && block(&setup, &child, VA).is_some());
            third.switch_to(&child).await;
            assert_numbered(third, VA, 0..PAGES).await;
            third.user_store(VA + 5 * PAGE, Double, 555).await?;
            third.cpu.dsb(DsbKind::ISH).await;
            assert_eq!(thread.user_load(VA + 3 * PAGE, Double).await?, 333);
            assert_eq!(thread.user_load(VA + 5 * PAGE, Double).await?, 5);
            assert_eq!(third.user_load(VA + 3 * PAGE, Double).await?, 3);
            setup.audit();
            third.exit().await?;
            setup.audit();
            assert_eq!(thread.user_load(VA + 4 * PAGE, Double).await?, 4);
            second.leave().await;
            thread.exit().await
        })
        .expect("no error");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn the_child_of_a_pinned_block_gets_its_own_pages() {
    // MM-16, MM-27.
    let (setup, parent) = with_block(huge_config(2));
    let (thread, second) = (&setup.threads[0], &setup.threads[1]);
    block_on(async {
        number_pages(thread).await?;
        let pinned = thread.pin_user_page(VA + 7 * PAGE, true).await?;
        assert_eq!(pinned.page, 7);
        let child = thread.fork().await?;
        assert_eq!(setup.kernel.counters.copies.get(), PAGES);
        second.switch_to(&child).await;
        assert_numbered(second, VA, 0..PAGES).await;
        // The parent writes where it wrote before.
        let frame = setup.folio(&parent, VA + 7 * PAGE).pfn();
        thread.user_store(VA + 7 * PAGE, Double, 77).await?;
        thread.cpu.dsb(DsbKind::ISH).await;
        assert_eq!(setup.folio(&parent, VA + 7 * PAGE).pfn(), frame);
        assert_eq!(second.user_load(VA + 7 * PAGE, Double).await?, 7);
        thread.unpin_user_page(pinned, true);
        second.exit().await?;
        setup.audit();
        thread.exit().await
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn a_child_without_memory_leaves_the_parent_its_block() {
    // MM-30.
    for nth in 0..8 {
        let (setup, space) = with_block(huge_config(1));
        let (thread, memory) = (&setup.threads[0], &setup.kernel.memory);
        let before = setup.used();
        memory.fail_attempt(Some(nth));
        let child = block_on(thread.fork());
        memory.fail_attempt(None);
        if let Ok(child) = child {
            assert!(nth > 2, "no table was made for the child");
            block_on(thread.exit_space(&child)).expect("no error");
        } else {
            assert_eq!(child.err(), Some(Error::OutOfMemory));
        }
        assert_eq!(setup.used(), before, "{nth}");
        block_on(thread.user_store(VA + 8, Double, 2)).expect("no error");
        assert_eq!(block_on(thread.user_load(VA, Double)), Ok(1));
        drop(space);
        setup.audit();
        setup.judge();
    }
}

#[test]
fn a_block_of_two_areas_is_found_once() {
    // MM-23.
    let (setup, space) = with_block(huge_config(1));
    let thread = &setup.threads[0];
    let places = block_on(async {
        thread
            .madvise(VA + 32 * PAGE, PAGE, Advice::DontFork)
            .await?;
        thread.rmap_walk(&setup.folio(&space, VA)).await
    })
    .expect("no error");
    let found: Vec<_> = places
        .iter()
        .map(|place| (place.ptr.va, place.page, place.pages))
        .collect();
    assert_eq!(found, [(VA, 0, PAGES)]);
    setup.audit();
    setup.judge();
}
