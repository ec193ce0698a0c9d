// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages leave memory and come back: what they hold, who may write them, and whose slot it is.

use crate::booted::{Mutant, Mutation};
use crate::kernel::{boot, config, map, variants};
use std::num::NonZeroU32;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::functional::{Policy, RunEnd, Scheduler};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{Error, Protection, Signal};
use sw_mm::pte::Kind;
use sw_mm::thread::Thread;
use sw_mm::{Cpu, block_on};
use vmsa::DsbKind;

const VA: u64 = 0x4000_0000;
const PAGES: u64 = 6;

#[test]
fn a_page_that_went_out_comes_back_as_it_was() {
    // MM-24, MM-25.
    for config in variants(2) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        let space = setup.space();
        block_on(async {
            other.switch_to(&space).await;
            map(thread, VA, PAGES * page).await?;
            thread.user_load(VA, Double).await?;
            let empty = setup.used();
            for index in 0..PAGES {
                let va = VA + index * page + 8 * index;
                other.user_store(va, Double, 100 + index).await?;
            }
            for index in 0..PAGES {
                let folio = setup.folio(&space, VA + index * page);
                thread.swap_out(&folio).await?;
                let Kind::Swap { entry, exclusive } = setup.entry(&space, VA + index * page).kind()
                else {
                    panic!("not swapped")
                };
                assert!(exclusive);
                let content = setup.kernel.swap.content(entry).expect("was written");
                assert_eq!(content.len() as u64 * 8, page);
                let expected = |word: u64| if word == index { 100 + index } else { 0 };
                assert!(
                    content
                        .iter()
                        .zip(0..)
                        .all(|(&word, at)| word == expected(at))
                );
            }
            assert_eq!(setup.used(), empty, "every page is free");
            assert_eq!(space.swapped.get(), PAGES);
            setup.audit();
            // One comes back for a load, one for a store.
            for index in 0..PAGES {
                let va = VA + index * page;
                if index % 2 == 0 {
                    other.user_store(va + 256, Double, 7).await?;
                }
                assert_eq!(other.user_load(va + 8 * index, Double).await?, 100 + index);
                assert!(setup.folio(&space, va).anon_exclusive(0));
                setup.audit();
            }
            assert_eq!(setup.kernel.swap.used(), 0, "MM-25");
            let copies = setup.kernel.counters.copies.get();
            for index in 0..PAGES {
                other.user_store(VA + index * page, Double, 1).await?;
            }
            assert_eq!(setup.kernel.counters.copies.get(), copies, "MM-10");
            thread.munmap(VA, PAGES * page).await
        })
        .expect("no error");
        setup.audit();
        setup.judge();
    }
}

#[test]
fn parent_and_child_share_a_slot_and_neither_writes_it() {
    // MM-25, MM-08, MM-16.
    for config in variants(2) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let before = setup.used();
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        let parent = setup.space();
        let swap = &setup.kernel.swap;
        block_on(async {
            map(thread, VA, 3 * page).await?;
            for index in 0..3 {
                thread
                    .user_store(VA + index * page, Double, 10 + index)
                    .await?;
            }
            // One goes out before fork, one after it, one is out before and back in the parent.
            thread.swap_out(&setup.folio(&parent, VA)).await?;
            thread
                .swap_out(&setup.folio(&parent, VA + 2 * page))
                .await?;
            let child = thread.fork().await?;
            setup.audit();
            thread.swap_out(&setup.folio(&parent, VA + page)).await?;
            assert_eq!(thread.user_load(VA + 2 * page, Double).await?, 12);
            for space in [&parent, &child] {
                for va in [VA, VA + page] {
                    let Kind::Swap { entry, exclusive } = setup.entry(space, va).kind() else {
                        panic!("not swapped")
                    };
                    assert!(!exclusive);
                    assert_eq!(swap.count(entry), 2);
                }
            }
            setup.audit();
            assert_eq!(swap.used(), 3);
            other.switch_to(&child).await;
            for index in 0..3 {
                let va = VA + index * page;
                thread.user_store(va, Double, 20 + index).await?;
                setup.audit();
                assert_eq!(other.user_load(va, Double).await?, 10 + index);
                other.user_store(va, Double, 30 + index).await?;
                setup.audit();
                assert_eq!(thread.user_load(va, Double).await?, 20 + index);
            }
            assert_eq!(swap.used(), 0, "MM-25");
            for index in 0..3 {
                let va = VA + index * page;
                thread.swap_out(&setup.folio(&parent, va)).await?;
                other.swap_out(&setup.folio(&child, va)).await?;
            }
            assert_eq!(swap.used(), 6);
            other.exit().await?;
            assert_eq!(swap.used(), 3);
            setup.audit();
            thread.exit().await
        })
        .expect("no error");
        assert_eq!(swap.used(), 0, "MM-25");
        drop(parent);
        assert_eq!(setup.used(), before, "MM-30");
        setup.judge();
    }
}

#[test]
fn protection_and_holes_made_while_a_page_is_out_hold_when_it_is_back() {
    let setup = boot(config(1));
    let page = 0x1000;
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, 4 * page).await?;
        for index in 0..4 {
            let va = VA + index * page;
            thread.user_store(va, Double, index + 1).await?;
            thread.swap_out(&setup.folio(&space, va)).await?;
        }
        thread.mprotect(VA, 2 * page, Protection::READ).await?;
        thread.munmap(VA + 2 * page, page).await?;
        assert_eq!(setup.kernel.swap.used(), 3, "MM-25");
        setup.audit();
        let signal = Signal::Segv;
        assert_eq!(thread.user_load(VA, Double).await?, 1);
        let refused = Err(Error::Signal { signal, va: VA });
        assert_eq!(thread.user_store(VA, Double, 9).await, refused);
        let va = VA + 2 * page;
        let refused = Err(Error::Signal { signal, va });
        assert_eq!(thread.user_load(va, Double).await, refused);
        thread.mprotect(VA, page, Protection::READ_WRITE).await?;
        thread.user_store(VA, Double, 9).await?;
        assert_eq!(setup.kernel.counters.copies.get(), 0, "its own page");
        thread.madvise_dontneed(VA + 3 * page, page).await?;
        assert_eq!(thread.user_load(VA + 3 * page, Double).await?, 0);
        setup.audit();
        thread.exit().await
    })
    .expect("no error");
    assert_eq!(setup.kernel.swap.used(), 0, "MM-25");
    setup.judge();
}

#[test]
fn a_page_that_cannot_go_stays_as_it_is() {
    let setup = boot(KernelConfig {
        swap_slots: 1,
        ..config(1)
    });
    let page = 0x1000;
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, 2 * page).await?;
        thread.user_store(VA, Double, 1).await?;
        thread.user_store(VA + page, Double, 2).await?;
        let pinned = setup.folio(&space, VA);
        pinned.pin();
        assert_eq!(thread.swap_out(&pinned).await, Err(Error::Busy));
        assert!(setup.entry(&space, VA).valid());
        assert_eq!(setup.kernel.swap.used(), 0);
        thread.swap_out(&setup.folio(&space, VA + page)).await?;
        let other = VA + 4 * page;
        map(thread, other, page).await?;
        thread.user_store(other, Double, 3).await?;
        let full = thread.swap_out(&setup.folio(&space, other)).await;
        assert_eq!(full, Err(Error::OutOfMemory), "the area has one slot");
        assert!(setup.entry(&space, other).valid());
        assert_eq!(thread.user_load(VA + page, Double).await?, 2);
        thread.swap_out(&setup.folio(&space, other)).await
    })
    .expect("no error");
    setup.judge();
}

/// Two user threads count up in words of their own on the same pages while a third thread swaps the
/// pages out; a fourth forks children that go away again.
fn store_while_swapping(config: KernelConfig, seed: u64, policy: Policy) {
    const ROUNDS: u64 = 12;
    let page = config.granule.bytes();
    let setup = Rc::new(boot(config));
    let space = setup.space();
    block_on(map(&setup.threads[0], VA, 2 * page)).expect("maps");
    let mut scheduler = Scheduler::with_policy(seed, policy);
    for core in 0..2u8 {
        let (setup, space) = (Rc::clone(&setup), Rc::clone(&space));
        scheduler.spawn_named(format!("user {core}"), async move {
            let thread = setup.interleaved(core, &space).await;
            for round in 1..=ROUNDS {
                for index in 0..2 {
                    let va = VA + index * page + u64::from(core) * 8;
                    let seen = thread.user_load(va, Double).await.expect("no error");
                    assert_eq!(seen, round - 1, "seed {seed}: a store was lost");
                    thread
                        .user_store(va, Double, round)
                        .await
                        .expect("no error");
                }
            }
            thread.cpu.dsb(DsbKind::ISH).await;
        });
    }
    let (kernel, parent) = (Rc::clone(&setup), Rc::clone(&space));
    scheduler.spawn_named("swap", async move {
        let thread = kernel.interleaved(2, &parent).await;
        for _ in 0..10 {
            for folio in kernel.folios() {
                match thread.swap_out(&folio).await {
                    Ok(()) | Err(Error::Busy | Error::NotMapped | Error::Invalid(_)) => {}
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
        }
    });
    let (kernel, parent) = (Rc::clone(&setup), Rc::clone(&space));
    scheduler.spawn_named("fork", async move {
        let thread = kernel.interleaved(3, &parent).await;
        for _ in 0..3 {
            let child = thread.fork().await.expect("no error");
            thread.switch_to(&child).await;
            let seen = thread.user_load(VA, Double).await.expect("no error");
            assert!(seen <= ROUNDS);
            thread.exit().await.expect("no error");
            thread.switch_to(&parent).await;
        }
    });
    let end = scheduler.run(20_000_000);
    assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
    for va in [VA, VA + 8, VA + page, VA + page + 8] {
        let seen = block_on(setup.threads[0].user_load(va, Double));
        assert_eq!(seen, Ok(ROUNDS), "seed {seed}");
    }
    setup.audit();
    setup.judge();
}

#[test]
fn no_store_is_lost_while_pages_go_out_and_come_back() {
    // MM-24, MM-25, MM-35, G10.
    let steps = NonZeroU32::new(50).expect("not zero");
    for seed in 0..6 {
        store_while_swapping(config(4), seed, Policy::Uniform);
        store_while_swapping(config(4), seed, Policy::Bursts(steps));
        store_while_swapping(config(4), seed, Policy::Priorities(steps));
    }
    for config in variants(4) {
        store_while_swapping(config, 77, Policy::Uniform);
    }
}

#[test]
fn a_page_written_out_before_its_flush_loses_a_store() {
    // MM-24: the check fires when the invalidation is left out.
    for mutation in [Mutation::NoTlbi, Mutation::StoresOnlyBarrier] {
        let setup = boot(config(2));
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        let space = setup.space();
        block_on(async {
            other.switch_to(&space).await;
            map(thread, VA, 0x1000).await?;
            other.user_store(VA, Double, 1).await?;
            other.cpu.dsb(DsbKind::ISH).await;
            let mutant = Thread::new(&setup.kernel, Mutant::new(&thread.cpu, mutation), 0);
            mutant.swap_out(&setup.folio(&space, VA)).await?;
            let faults = setup.kernel.counters.translation_faults.get();
            other.user_store(VA, Double, 2).await?;
            assert_eq!(setup.kernel.counters.translation_faults.get(), faults);
            thread.flush_mm(&space).await;
            assert_eq!(other.user_load(VA, Double).await?, 1, "{mutation:?}: lost");
            Ok::<_, Error>(())
        })
        .expect("no error");
    }
}
