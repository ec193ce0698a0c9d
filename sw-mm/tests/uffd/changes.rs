// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Handlers that are told when what they bring pages for changes (non-cooperative events).

use super::{PAGE, PAGES, SOURCE, VA, World};
use std::cell::Cell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::functional::yield_now;
use sw_mm::mm::{AddressSpace, Destination, Error, Remap};
use sw_mm::thread::Thread;
use sw_mm::uffd::{Context, Copy, Features, Message};

const ALL: Features = Features {
    fork: true,
    remap: true,
    remove: true,
    unmap: true,
    sigbus: false,
};

/// A message with pages in the place of addresses.
fn words(message: Option<Message>) -> String {
    let page = |va: u64| (va.wrapping_sub(VA) as i64) / PAGE as i64;
    match message {
        None => "closed".to_owned(),
        Some(Message::Pagefault { va, .. }) => format!("fault {}", page(va)),
        Some(Message::Fork(_)) => "fork".to_owned(),
        Some(Message::Remap { from, to, bytes }) => {
            format!("remap {} to {} +{}", page(from), page(to), bytes / PAGE)
        }
        Some(Message::Remove { start, end }) => format!("remove {}..{}", page(start), page(end)),
        Some(Message::Unmap { start, end }) => format!("unmap {}..{}", page(start), page(end)),
    }
}

/// Lets core 0 make `call` while the handler reads the messages of `expected`, and nothing between.
/// Returns the messages.
fn told(
    world: &Rc<World>,
    call: impl AsyncFnOnce(&World) -> Result<(), Error> + 'static,
    expected: &'static [&'static str],
) -> Vec<Message> {
    let done = Rc::new(Cell::new(false));
    let read = Rc::new(std::cell::RefCell::new(Vec::new()));
    world.run(7, |tasks| {
        let (w, over) = (Rc::clone(world), Rc::clone(&done));
        tasks.spawn_named("call", async move {
            call(&w).await.expect("no error");
            over.set(true);
        });
        let (w, over, messages) = (Rc::clone(world), Rc::clone(&done), Rc::clone(&read));
        tasks.spawn_named("handler", async move {
            for &expected in expected {
                while !w.context.is_changing() {
                    yield_now().await;
                }
                // The addresses may be others already, so nothing is filled until that is known.
                for _ in 0..1000 {
                    yield_now().await;
                }
                let copied = w.handler.uffd_copy(&w.context, w.copy(0, 0)).await;
                assert_eq!(copied, Err(Error::Again), "{expected}");
                let zeroed = w.handler.uffd_zeropage(&w.context, VA, PAGE, false).await;
                assert_eq!(zeroed, Err(Error::Again), "{expected}");
                assert!(!over.get(), "the call is over before {expected} was read");
                let message = w.context.read().await;
                messages.borrow_mut().extend(message.clone());
                assert_eq!(words(message), expected);
            }
        });
    });
    assert!(done.get());
    assert!(!world.context.is_changing());
    assert!(world.context.try_read().is_none());
    read.take()
}

#[test]
fn a_call_that_changes_mappings_goes_on_when_the_handler_was_told() {
    let world = Rc::new(World::new(ALL));
    told(
        &world,
        async |w| w.threads[0].madvise_dontneed(VA + PAGE, 2 * PAGE).await,
        &["remove 1..3"],
    );
    told(
        &world,
        async |w| w.threads[0].munmap(VA + 6 * PAGE, 4 * PAGE).await,
        &["unmap 6..8"],
    );
    told(
        &world,
        async |w| {
            let remap = Remap {
                va: VA + 4 * PAGE,
                bytes: 2 * PAGE,
                new_bytes: PAGE,
                to: Destination::Fixed(VA + PAGE),
            };
            w.threads[0].mremap(&remap).await.map(|_| ())
        },
        // What was there, what is cut off, what moves, and where it was.
        &["unmap 1..2", "unmap 5..6", "remap 4 to 1 +1", "unmap 4..5"],
    );
    // 0..4 are registered; nobody minds what is not.
    told(
        &world,
        async |w| w.threads[0].munmap(VA + 9 * PAGE, PAGE).await,
        &[],
    );
    told(
        &world,
        async |w| {
            let shrink = Remap {
                va: VA + 3 * PAGE,
                bytes: PAGE,
                new_bytes: PAGE,
                to: Destination::Here,
            };
            w.threads[0].mremap(&shrink).await.map(|_| ())
        },
        &[],
    );
    assert!(world.space.areas().iter().all(|vma| vma.flags().user_fault));
    world.finish();
}

/// A thread of core 1 in `space`.
async fn enter(world: &World, space: &Rc<AddressSpace>) -> Thread<sw_mm::functional::Core> {
    let cpu = world.setup.machine.core(1).interleaved();
    let thread = Thread::new(&world.setup.kernel, cpu, 1);
    thread.switch_to(space).await;
    thread
}

#[test]
fn the_pages_of_a_child_are_brought_through_a_context_of_its_own() {
    let world = Rc::new(World::new(ALL));
    let born = Rc::new(std::cell::RefCell::new(None));
    let child = Rc::clone(&born);
    let messages = told(
        &world,
        async move |w| {
            *child.borrow_mut() = Some(w.threads[0].fork().await?);
            Ok(())
        },
        &["fork"],
    );
    let [Message::Fork(context)] = &messages[..] else {
        panic!("{messages:?}");
    };
    let context: Rc<Context> = Rc::clone(context);
    let child = born.take().expect("a child");
    assert!(Rc::ptr_eq(&context.space().expect("lives"), &child));
    assert_eq!(context.features(), Ok(ALL));
    world.run(8, |tasks| {
        let w = Rc::clone(&world);
        tasks.spawn_named("child", async move {
            let thread = enter(&w, &child).await;
            assert_eq!(thread.user_load(VA, Double).await, Ok(1001));
            thread.exit().await.expect("no error");
            // Core 1 is where it was.
            w.threads[1].switch_to(&w.space).await;
        });
        let w = Rc::clone(&world);
        tasks.spawn_named("parent", async move {
            assert_eq!(w.threads[0].user_load(VA, Double).await, Ok(1002));
        });
        let w = Rc::clone(&world);
        tasks.spawn_named("handler", async move {
            assert_eq!(words(context.read().await), "fault 0");
            let copy = Copy {
                from: SOURCE + PAGE,
                ..w.copy(0, 0)
            };
            assert_eq!(w.handler.uffd_copy(&context, copy).await, Ok(PAGE));
            assert_eq!(words(w.context.read().await), "fault 0");
            let copied = w.handler.uffd_copy(&w.context, w.copy(0, 2)).await;
            assert_eq!(copied, Ok(PAGE));
        });
    });
    drop(messages);
    world.finish();
}

#[test]
fn who_is_not_told_loses_what_moved_and_what_was_forked() {
    let world = Rc::new(World::new(Features::default()));
    told(
        &world,
        async |w| {
            let thread = &w.threads[0];
            let remap = Remap {
                va: VA,
                bytes: PAGE,
                new_bytes: 2 * PAGE,
                to: Destination::Fixed(VA + 50 * PAGE),
            };
            thread.mremap(&remap).await?;
            thread.madvise_dontneed(VA + PAGE, PAGE).await?;
            thread.munmap(VA + 2 * PAGE, PAGE).await?;
            // As anywhere: a page of zeros, and nobody is asked.
            assert_eq!(thread.user_load(VA + 51 * PAGE, Double).await?, 0);
            let child = thread.fork().await?;
            assert!(child.areas().iter().all(|vma| !vma.flags().user_fault));
            let other = enter(w, &child).await;
            assert_eq!(other.user_load(VA + PAGE, Double).await?, 0);
            other.exit().await?;
            w.threads[1].switch_to(&w.space).await;
            Ok(())
        },
        &[],
    );
    assert_eq!(world.setup.kernel.counters.user_faults.get(), 0);
    world.finish();
}

#[test]
fn a_fork_that_fails_tells_nobody_and_one_that_nobody_hears_of_leaves_the_child_alone() {
    let world = Rc::new(World::new(ALL));
    told(
        &world,
        async |w| {
            // So that there is something to copy.
            let zeroed = w.handler.uffd_zeropage(&w.context, VA, PAGE, false).await;
            assert_eq!(zeroed, Ok(PAGE));
            for nth in 1..4 {
                w.setup.kernel.memory.fail_attempt(Some(nth));
                let failed = w.threads[0].fork().await;
                assert_eq!(failed.map(|_| ()), Err(Error::OutOfMemory));
                assert!(!w.context.is_changing());
            }
            w.setup.kernel.memory.fail_attempt(None);
            Ok(())
        },
        &[],
    );
    world.run(9, |tasks| {
        let w = Rc::clone(&world);
        tasks.spawn_named("fork", async move {
            let child = w.threads[0].fork().await.expect("no error");
            assert!(child.areas().iter().all(|vma| !vma.flags().user_fault));
            w.threads[0].exit_space(&child).await.expect("no error");
        });
        let w = Rc::clone(&world);
        tasks.spawn_named("handler", async move {
            while !w.context.is_changing() {
                yield_now().await;
            }
            w.handler.uffd_close(&w.context).await;
        });
    });
    assert_eq!(world.space.areas().len(), 1);
    assert_eq!(world.space.areas()[0].bytes(), PAGES * PAGE);
    world.finish();
}
