// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Accesses, fills and changes of mappings in many orders: nobody sleeps for ever, and nobody sees half
//! a page.

use super::late::Late;
use super::{PAGE, PAGES, SOURCE, VA, World};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::functional::{Policy, RunEnd, Scheduler, yield_now};
use sw_mm::mm::{Destination, Error, Map, Protection, Remap, Signal};
use sw_mm::thread::Thread;
use sw_mm::uffd::{Copy, Features, Message};

fn scheduler(seed: u64) -> Scheduler {
    let steps = NonZeroU32::new(30).expect("not 0");
    let policies = [
        Policy::Uniform,
        Policy::Bursts(steps),
        Policy::Priorities(steps),
    ];
    Scheduler::with_policy(seed, policies[seed as usize % 3])
}

/// One task less; the last one lets the handler go.
async fn leave(world: &World, busy: &Cell<u32>) {
    busy.set(busy.get() - 1);
    if busy.get() == 0 {
        world.handler.uffd_close(&world.context).await;
    }
}

#[test]
fn a_sleeper_that_nobody_wakes_is_found_out() {
    // G10: what the runs below would show of a wake that is lost.
    let world = Rc::new(World::new(Features::default()));
    let mut scheduler = scheduler(0);
    let thread = Rc::clone(&world.threads[0]);
    scheduler.spawn_named("sleeper", async move {
        thread.user_load(VA, Double).await.expect("a page");
    });
    let w = Rc::clone(&world);
    scheduler.spawn_named("handler", async move {
        w.fault().await;
        let copy = Copy {
            dont_wake: true,
            ..w.copy(0, 0)
        };
        assert_eq!(w.handler.uffd_copy(&w.context, copy).await, Ok(PAGE));
    });
    match scheduler.run(10_000_000) {
        RunEnd::Stuck(left) => assert_eq!(left.len(), 1),
        end => panic!("{end}"),
    }
    world.context.wake(VA, PAGE);
    assert_eq!(scheduler.run(10_000_000), RunEnd::Done);
    drop(scheduler);
    world.finish();
}

#[test]
fn no_wake_is_lost_whoever_comes_first() {
    // MM-33, G10. Both cores touch the same pages; the handler brings pages that nobody asked for yet,
    // and answers.
    let mut slept = 0;
    for seed in 0..150 {
        let world = Rc::new(World::new(Features::default()));
        let busy = Rc::new(Cell::new(2));
        let mut scheduler = scheduler(seed);
        for core in 0..2 {
            let (w, busy) = (Rc::clone(&world), Rc::clone(&busy));
            let cpu = w.setup.machine.core(core).interleaved();
            // Between the look at an entry and the queue, its page may come.
            let cpu = Late(cpu, 4 * seed as u32);
            let thread = Thread::new(&w.setup.kernel, cpu, core as u8);
            scheduler.spawn_named(format!("core {core}"), async move {
                thread.switch_to(&w.space).await;
                for page in 0..PAGES {
                    let va = VA + page * PAGE;
                    let first = thread.user_load(va, Double).await;
                    assert_eq!(first, Ok(1000 + page));
                    let last = thread.user_load(va + PAGE - 8, Double).await;
                    assert_eq!(last, Ok(2000 + page), "half a page");
                }
                leave(&w, &busy).await;
            });
        }
        let w = Rc::clone(&world);
        scheduler.spawn_named("handler", async move {
            let fill = async |page: u64| {
                let copied = w.handler.uffd_copy(&w.context, w.copy(page, page)).await;
                match copied {
                    Err(Error::NotMapped) if w.context.is_closed() => {}
                    copied => assert!(
                        matches!(copied, Ok(PAGE) | Err(Error::Exists)),
                        "{copied:?}"
                    ),
                }
            };
            fill(0).await;
            fill(1).await;
            while let Some(message) = w.context.read().await {
                let Message::Pagefault { va, .. } = message else {
                    panic!("{message:?}");
                };
                let page = (va - VA) / PAGE;
                fill(page).await;
                // One that nobody asked for, or somebody is about to.
                fill((page + 1) % PAGES).await;
            }
        });
        let end = scheduler.run(10_000_000);
        assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
        drop(scheduler);
        slept += world.setup.kernel.counters.user_faults.get();
        world.finish();
    }
    assert!(slept > 200, "{slept}");
}

/// Pages from [`VA`] on that are accessed. Page n of the source belongs to each place n modulo
/// [`PAGES`], also after moves, which are by that many pages.
const PLACES: u64 = 3 * PAGES;
/// Places that are mapped anew for a while without a handler.
const ANEW: u64 = 5;

#[test]
fn pages_are_what_they_were_filled_with_while_mappings_change() {
    // MM-33, G10.
    let all = Features {
        fork: true,
        remap: true,
        remove: true,
        unmap: true,
        sigbus: false,
    };
    let (mut slept, mut again, mut refused) = (0, 0, 0);
    for seed in 0..90 {
        let world = Rc::new(World::new(all));
        let (retries, segv) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let mut scheduler = scheduler(seed);
        let busy = Rc::new(Cell::new(2));
        let (w, failed, last) = (Rc::clone(&world), Rc::clone(&segv), Rc::clone(&busy));
        scheduler.spawn_named("accesses", async move {
            let thread = &w.threads[1];
            for step in 0..60 {
                let place = step * 7 % PLACES;
                let va = VA + place * PAGE;
                match thread.user_load(va, Double).await {
                    Ok(0) => assert!(place < ANEW, "seed {seed}: a page of zeros"),
                    Ok(value) => assert_eq!(value, 1000 + place % PAGES, "seed {seed}"),
                    Err(error) => {
                        let signal = Signal::Segv;
                        assert_eq!(error, Error::Signal { signal, va });
                        failed.set(failed.get() + 1);
                    }
                }
            }
            leave(&w, &last).await;
        });
        let (w, last) = (Rc::clone(&world), busy);
        let changes = scheduler.spawn_named("changes", async move {
            let thread = &w.threads[0];
            let at = |page: u64| VA + page * PAGE;
            for round in 0..4 {
                let to = at(PAGES + round);
                let remap = Remap {
                    va: at(round),
                    bytes: 2 * PAGE,
                    new_bytes: 2 * PAGE,
                    to: Destination::Fixed(to),
                };
                thread.mremap(&remap).await?;
                thread.madvise_dontneed(to, PAGE).await?;
                let child = thread.fork().await?;
                thread.exit_space(&child).await?;
                thread.munmap(at(round), PAGE).await?;
                let back = Map::anonymous(at(round), 2 * PAGE, Protection::READ_WRITE);
                thread.mmap(&back).await?;
                w.handler
                    .uffd_register(&w.context, at(round), 2 * PAGE)
                    .await?;
            }
            leave(&w, &last).await;
            Ok::<_, Error>(())
        });
        let (w, count) = (Rc::clone(&world), Rc::clone(&retries));
        scheduler.spawn_named("handler", async move {
            let mut pages = std::collections::VecDeque::new();
            while let Some(message) = w.context.read().await {
                if let Message::Pagefault { va, .. } = message {
                    pages.push_back(va);
                }
                // What could not be filled is tried again after the next message.
                for _ in 0..pages.len() {
                    let Some(va) = pages.pop_front() else { break };
                    let copy = Copy {
                        to: va,
                        from: SOURCE + (va - VA) / PAGE % PAGES * PAGE,
                        bytes: PAGE,
                        dont_wake: false,
                    };
                    match w.handler.uffd_copy(&w.context, copy).await {
                        Err(Error::Again) => {
                            count.set(count.get() + 1);
                            pages.push_back(va);
                            yield_now().await;
                        }
                        // It is there, or its area is gone: the access finds out.
                        Err(Error::Exists | Error::NotMapped) => {
                            w.context.wake(va, PAGE);
                        }
                        copied => assert_eq!(copied, Ok(PAGE)),
                    }
                }
                if pages.is_empty() {
                    continue;
                }
                w.context.wake(VA, PLACES * PAGE);
                pages.clear();
            }
        });
        let end = scheduler.run(10_000_000);
        assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
        sw_mm::block_on(changes).expect("no error");
        drop(scheduler);
        slept += world.setup.kernel.counters.user_faults.get();
        again += retries.get();
        refused += segv.get();
        world.finish();
    }
    assert!(
        slept > 300 && again > 30 && refused > 100,
        "{slept} slept, {again} tried again, {refused} refused"
    );
}
