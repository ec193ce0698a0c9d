// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a context refuses, and why.

use super::kernel::map;
use super::{PAGE, PAGES, SOURCE, VA, World};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::file::File;
use sw_mm::mm::{Error, Map, Protection, Signal, Vma};
use sw_mm::uffd::{Copy, Features};

fn invalid<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Invalid(_)))
}

#[test]
fn pages_are_filled_only_where_they_are_missing_in_one_registered_area() {
    let world = Rc::new(World::new(Features::default()));
    let w = &world;
    block_on(async {
        let fill = async |to: u64, from: u64, pages: u64| {
            let copy = Copy {
                bytes: pages * PAGE,
                ..w.copy(to, from)
            };
            w.handler.uffd_copy(&w.context, copy).await
        };
        let zero = async |to: u64, pages: u64| {
            let (to, bytes) = (VA + to * PAGE, pages * PAGE);
            w.handler.uffd_zeropage(&w.context, to, bytes, false).await
        };
        assert_eq!(fill(1, 0, 1).await, Ok(PAGE));
        assert_eq!(fill(1, 0, 1).await, Err(Error::Exists));
        assert_eq!(zero(1, 1).await, Err(Error::Exists));
        // A short count, then the reason.
        assert_eq!(fill(0, 2, 3).await, Ok(PAGE));
        assert_eq!(fill(1, 3, 2).await, Err(Error::Exists));
        assert_eq!(zero(2, 2).await, Ok(2 * PAGE));
        // Beyond the area; across its end nothing is filled.
        assert_eq!(fill(PAGES, 0, 1).await, Err(Error::NotMapped));
        assert_eq!(fill(PAGES - 1, 0, 2).await, Err(Error::NotMapped));
        assert_eq!(zero(PAGES - 1, 2).await, Err(Error::NotMapped));
        // No source behind the second page.
        let (signal, va) = (Signal::Segv, SOURCE + PAGES * PAGE);
        assert_eq!(fill(5, PAGES - 1, 2).await, Ok(PAGE));
        assert_eq!(fill(6, PAGES, 1).await, Err(Error::Signal { signal, va }));
        w.setup.kernel.memory.fail_attempt(Some(0));
        assert_eq!(fill(6, 0, 1).await, Err(Error::OutOfMemory));
        w.setup.kernel.memory.fail_attempt(None);
        // An area of nobody, and of another context.
        let beyond = VA + 100 * PAGE;
        map(&w.threads[0], beyond, 2 * PAGE).await?;
        assert_eq!(fill(100, 0, 1).await, Err(Error::NotMapped));
        let other = w.threads[0].userfaultfd()?;
        other.api(Features::default())?;
        w.handler.uffd_register(&other, beyond, PAGE).await?;
        assert_eq!(fill(100, 0, 1).await, Err(Error::NotMapped));
        for (to, bytes) in [(VA + 1, PAGE), (VA, PAGE + 1), (VA, 0), (1 << 48, PAGE)] {
            let copy = Copy {
                to,
                bytes,
                ..w.copy(0, 0)
            };
            assert!(invalid(&w.handler.uffd_copy(&w.context, copy).await));
            let zeroed = w.handler.uffd_zeropage(&w.context, to, bytes, false).await;
            assert!(invalid(&zeroed));
        }
        let copy = Copy {
            from: u64::MAX - 7,
            ..w.copy(0, 0)
        };
        assert!(invalid(&w.handler.uffd_copy(&w.context, copy).await));
        assert_eq!(w.space.resident.get(), 3);
        Ok::<_, Error>(())
    })
    .expect("no error");
    world.finish();
}

#[test]
fn what_cannot_be_registered_is_refused_as_a_whole() {
    let world = Rc::new(World::new(Features::default()));
    let w = &world;
    let file = File::new(1, 4);
    block_on(async {
        let thread = &w.threads[0];
        let at = |page: u64| VA + page * PAGE;
        let fresh = thread.userfaultfd()?;
        // Before the handshake, and after two.
        assert!(invalid(&w.handler.uffd_register(&fresh, VA, PAGE).await));
        assert!(invalid(&w.handler.uffd_unregister(&fresh, VA, PAGE).await));
        let zeroed = w.handler.uffd_zeropage(&fresh, VA, PAGE, false).await;
        assert!(invalid(&zeroed));
        fresh.api(Features::default())?;
        assert!(invalid(&fresh.api(Features::default())));
        // Somebody else's, nobody's, of a file.
        let busy = w.handler.uffd_register(&fresh, VA, PAGE).await;
        assert_eq!(busy, Err(Error::Busy));
        assert!(invalid(&w.handler.uffd_unregister(&fresh, VA, PAGE).await));
        let nothing = w.handler.uffd_register(&fresh, at(200), PAGE).await;
        assert_eq!(nothing, Err(Error::NotMapped));
        let shared = Map {
            shared: true,
            file: Some((Rc::clone(&file), 0)),
            ..Map::anonymous(at(51), PAGE, Protection::READ_WRITE)
        };
        thread.mmap(&shared).await?;
        map(thread, at(50), PAGE).await?;
        let of_file = w.handler.uffd_register(&fresh, at(50), 2 * PAGE).await;
        assert!(invalid(&of_file));
        let registered = |vma: &&Rc<Vma>| vma.flags().user_fault;
        assert_eq!(w.space.areas().iter().filter(registered).count(), 1);
        // Holes are none of its business; areas are cut where the range ends.
        map(thread, at(53), 2 * PAGE).await?;
        thread.munmap(at(51), PAGE).await?;
        w.handler.uffd_register(&fresh, at(50), 4 * PAGE).await?;
        assert_eq!(w.space.areas().iter().filter(registered).count(), 3);
        assert_eq!(w.space.areas().len(), 4);
        w.handler.uffd_unregister(&fresh, at(50), 5 * PAGE).await?;
        assert_eq!(w.space.areas().iter().filter(registered).count(), 1);
        assert_eq!(w.space.areas().len(), 3);
        Ok::<_, Error>(())
    })
    .expect("no error");
    world.finish();
}

#[test]
fn without_an_address_space_there_is_nothing_to_fill() {
    let World {
        setup,
        before,
        space,
        threads,
        handler,
        context,
    } = World::new(Features::default());
    block_on(async {
        threads[1].leave().await;
        threads[0].exit().await?;
        drop(space);
        let copy = Copy {
            to: VA,
            from: SOURCE,
            bytes: PAGE,
            dont_wake: false,
        };
        assert_eq!(handler.uffd_copy(&context, copy).await, Err(Error::Gone));
        let zeroed = handler.uffd_zeropage(&context, VA, PAGE, false).await;
        assert_eq!(zeroed, Err(Error::Gone));
        let registered = handler.uffd_register(&context, VA, PAGE).await;
        assert_eq!(registered, Err(Error::Gone));
        handler.exit().await
    })
    .expect("no error");
    assert_eq!(setup.used(), before, "MM-30");
    setup.judge();
}

#[test]
fn an_access_ends_in_a_signal_if_it_is_not_to_wait() {
    let world = Rc::new(World::new(Features {
        sigbus: true,
        ..Features::default()
    }));
    let thread = &world.threads[0];
    let (signal, va) = (Signal::Bus, VA);
    let refused = Err(Error::Signal { signal, va });
    assert_eq!(block_on(thread.user_load(VA, Double)), refused);
    let copy = world.handler.uffd_copy(&world.context, world.copy(0, 0));
    assert_eq!(block_on(copy), Ok(PAGE));
    assert_eq!(block_on(thread.user_load(VA, Double)), Ok(1000));
    assert!(world.context.try_read().is_none());
    world.finish();
}
