// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Accesses that sleep until their page has come.

use super::{PAGE, PAGES, SOURCE, VA, World};
use std::cell::RefCell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::functional::yield_now;
use sw_mm::mm::{Error, Map, Protection};
use sw_mm::thread::Thread;
use sw_mm::uffd::{Copy, Features, Message};

#[test]
fn an_access_to_a_missing_page_sleeps_until_its_page_was_copied() {
    // MM-33.
    let world = Rc::new(World::new(Features::default()));
    let log = Rc::new(RefCell::new(Vec::new()));
    world.run(1, |tasks| {
        let (thread, note) = (Rc::clone(&world.threads[0]), Rc::clone(&log));
        tasks.spawn_named("load", async move {
            let value = thread.user_load(VA + PAGE, Double).await;
            note.borrow_mut().push("loaded");
            assert_eq!(value, Ok(1003));
            let last = thread.user_load(VA + 2 * PAGE - 8, Double).await;
            assert_eq!(last, Ok(2003), "all of the page");
            let stored = thread.user_store(VA + PAGE, Double, 5).await;
            stored.expect("its own page");
        });
        let (w, note) = (Rc::clone(&world), Rc::clone(&log));
        tasks.spawn_named("handler", async move {
            let message = w.context.read().await;
            let Some(Message::Pagefault { va, write: false }) = message else {
                panic!("{message:?}");
            };
            assert_eq!(va, VA + PAGE);
            // It sleeps without a lock: areas may change meanwhile (section 14).
            while !w.threads[0].held.is_empty() {
                yield_now().await;
            }
            let elsewhere = Map::anonymous(VA + 100 * PAGE, PAGE, Protection::READ);
            w.threads[1].mmap(&elsewhere).await.expect("no error");
            assert_eq!(w.context.waiting(), 1);
            note.borrow_mut().push("copying");
            let copied = w.handler.uffd_copy(&w.context, w.copy(1, 3)).await;
            assert_eq!(copied, Ok(PAGE));
        });
    });
    assert_eq!(*log.borrow(), ["copying", "loaded"]);
    let counters = &world.setup.kernel.counters;
    assert_eq!(counters.user_faults.get(), 1, "slept once");
    assert!(world.context.try_read().is_none(), "told once");
    assert_eq!(world.space.resident.get(), 1);
    world.finish();
}

#[test]
fn a_page_wakes_all_who_wait_for_it_and_nobody_else() {
    // MM-33.
    let world = Rc::new(World::new(Features::default()));
    world.run(2, |tasks| {
        for (core, page) in [(0, 0), (1, 0), (0, 1), (1, 2)] {
            let cpu = world.setup.machine.core(core).interleaved();
            let thread = Thread::new(&world.setup.kernel, cpu, core as u8);
            let space = Rc::clone(&world.space);
            tasks.spawn_named(format!("page {page}"), async move {
                thread.switch_to(&space).await;
                let value = thread.user_load(VA + page * PAGE, Double).await;
                assert_eq!(value, Ok(1000 + page));
            });
        }
        let w = Rc::clone(&world);
        tasks.spawn_named("handler", async move {
            let mut faults = Vec::new();
            for _ in 0..4 {
                faults.push((w.fault().await - VA) / PAGE);
            }
            faults.sort_unstable();
            assert_eq!(faults, [0, 0, 1, 2], "each is told");
            assert_eq!(w.context.waiting(), 4);
            for (page, left) in [(0, 2), (2, 1), (1, 0)] {
                let copied = w.handler.uffd_copy(&w.context, w.copy(page, page)).await;
                assert_eq!(copied, Ok(PAGE));
                assert_eq!(w.context.waiting(), left);
            }
        });
    });
    assert_eq!(world.setup.kernel.counters.user_faults.get(), 4);
    world.finish();
}

#[test]
fn a_wake_without_a_page_is_followed_by_another_message() {
    // MM-33: it resumes once for each wake.
    let world = Rc::new(World::new(Features::default()));
    world.run(3, |tasks| {
        let thread = Rc::clone(&world.threads[0]);
        tasks.spawn_named("store", async move {
            thread.user_store(VA, Double, 7).await.expect("no error");
        });
        let w = Rc::clone(&world);
        tasks.spawn_named("handler", async move {
            for _ in 0..3 {
                assert_eq!(w.fault().await, VA);
                assert_eq!(w.context.wake(VA + PAGE, PAGE), 0, "another page");
                assert_eq!(w.context.wake(VA, PAGE), 1);
                assert_eq!(w.context.wake(VA, PAGE), 0, "awake already");
            }
            assert_eq!(w.fault().await, VA);
            // The page comes, but who waits for it is left asleep.
            let copy = Copy {
                dont_wake: true,
                ..w.copy(0, 4)
            };
            assert_eq!(w.handler.uffd_copy(&w.context, copy).await, Ok(PAGE));
            for _ in 0..200 {
                yield_now().await;
            }
            assert_eq!(w.context.waiting(), 1);
            assert_eq!(w.context.wake(VA, PAGE), 1);
        });
    });
    assert_eq!(world.setup.kernel.counters.user_faults.get(), 4);
    world.finish();
}

#[test]
fn a_zero_page_resolves_a_fault_and_is_copied_for_a_store_without_another_message() {
    // MM-07.
    let world = Rc::new(World::new(Features::default()));
    world.run(4, |tasks| {
        let thread = Rc::clone(&world.threads[0]);
        tasks.spawn_named("store", async move {
            assert_eq!(thread.user_load(VA, Double).await, Ok(0));
            let stored = thread.user_store(VA + PAGE, Double, 9).await;
            stored.expect("a page of its own");
            assert_eq!(thread.user_load(VA + PAGE, Double).await, Ok(9));
        });
        let w = Rc::clone(&world);
        tasks.spawn_named("handler", async move {
            assert_eq!(w.fault().await, VA);
            let zeroed = w.handler.uffd_zeropage(&w.context, VA, 2 * PAGE, false);
            assert_eq!(zeroed.await, Ok(2 * PAGE));
        });
    });
    let kernel = &world.setup.kernel;
    assert_eq!(kernel.counters.user_faults.get(), 1);
    let entry = world.setup.entry(&world.space, VA);
    assert!(entry.special() && entry.pfn(kernel.granule()) == kernel.zero_page());
    assert_eq!(world.space.resident.get(), 1);
    world.finish();
}

#[test]
fn who_waits_goes_on_when_nobody_brings_pages_any_more() {
    for close in [false, true] {
        let world = Rc::new(World::new(Features::default()));
        world.run(5, |tasks| {
            for (core, page) in [(0, 0), (1, PAGES - 1)] {
                let thread = Rc::clone(&world.threads[core]);
                tasks.spawn_named("load", async move {
                    let value = thread.user_load(VA + page * PAGE, Double).await;
                    assert_eq!(value, Ok(0), "as any missing page");
                });
            }
            let w = Rc::clone(&world);
            tasks.spawn_named("handler", async move {
                w.fault().await;
                w.fault().await;
                if close {
                    w.handler.uffd_close(&w.context).await;
                    assert!(w.context.read().await.is_none());
                    return;
                }
                let unregister = w.handler.uffd_unregister(&w.context, VA, PAGE);
                unregister.await.expect("no error");
                assert_eq!(w.context.waiting(), 1);
                assert_eq!(w.space.areas().len(), 2);
                let rest = (PAGES - 1) * PAGE;
                let unregister = w.handler.uffd_unregister(&w.context, VA + PAGE, rest);
                unregister.await.expect("no error");
            });
        });
        assert_eq!(world.space.areas().len(), 1);
        world.finish();
    }
}

#[test]
fn pages_that_are_there_and_accesses_that_are_refused_are_not_its_business() {
    let world = Rc::new(World::new(Features::default()));
    world.run(6, |tasks| {
        let w = Rc::clone(&world);
        tasks.spawn_named("all", async move {
            let thread = &w.threads[0];
            let copied = w.handler.uffd_copy(&w.context, w.copy(0, 0)).await;
            assert_eq!(copied, Ok(PAGE));
            thread.user_store(VA, Double, 1).await?;
            thread.mprotect(VA, 2 * PAGE, Protection::READ).await?;
            assert_eq!(thread.user_load(VA, Double).await?, 1);
            // Refused before anybody is told.
            let refused = thread.user_store(VA + PAGE, Double, 1).await;
            assert!(matches!(refused, Err(Error::Signal { .. })));
            assert!(w.context.try_read().is_none());
            // A page that may not be written now, but is there when it may.
            let copied = w.handler.uffd_copy(&w.context, w.copy(1, 1)).await;
            assert_eq!(copied, Ok(PAGE));
            thread
                .mprotect(VA, 2 * PAGE, Protection::READ_WRITE)
                .await?;
            thread.user_store(VA + PAGE, Double, 2).await?;
            assert_eq!(thread.user_load(VA + PAGE, Double).await?, 2);
            // Of the handler's pages nothing changed.
            let source = w.handler.user_load(SOURCE + PAGE, Double).await?;
            assert_eq!(source, 1001);
            drop(w);
            Ok::<_, Error>(())
        });
    });
    assert_eq!(world.setup.kernel.counters.user_faults.get(), 0);
    assert_eq!(world.setup.kernel.counters.copies.get(), 0);
    world.finish();
}
