// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Counters, locks, folios, lists and frames.

use crate::*;

#[test]
fn locks_held_or_taken_wrongly_are_found() {
    // MM-34, G9.
    let world = World::new();
    let (kernel, space) = (&world.setup.kernel, world.parent.number());
    let held = &world.setup.threads[0].held;
    let mmap = block_on(world.parent.mmap_lock.read(held));
    assert_eq!(world.audit(), Err(Disagreement::Locked { space }));
    drop(mmap);
    let upper = block_on(world.parent.upper_lock.lock(held));
    assert_eq!(world.audit(), Err(Disagreement::Locked { space }));
    drop(upper);
    let ptl = block_on(world.table(VA).lock.lock(held));
    assert_eq!(world.audit(), Err(Disagreement::Locked { space }));
    drop(ptl);
    let folio = world.folio(OWN);
    let locked = block_on(folio.lock.lock(held));
    let pfn = folio.pfn();
    assert_eq!(world.audit(), Err(Disagreement::FolioLocked { pfn }));
    drop(locked);
    assert!(world.audit().is_ok());
    let violation = LockViolation::Unlocked { table: 0x1000 };
    kernel.lock_violations().borrow_mut().push(violation);
    assert_eq!(world.audit(), Err(Disagreement::Locking(violation)));
}

#[test]
fn counters_that_are_wrong_are_found() {
    // G8.
    let pages = |what, counted, found| Disagreement::Pages {
        space: 1,
        what,
        counted,
        found,
    };
    let wrong = found(|w| w.parent.resident.set(18));
    assert_eq!(wrong, pages("resident", 18, 19));
    let wrong = found(|w| w.parent.swapped.set(1));
    assert_eq!(wrong, pages("swapped", 1, 0));
    // A swap entry that nobody counted.
    let wrong = found(|w| w.poke(ZERO, Pte::swap(SwapEntry(3), false)));
    assert_eq!(wrong, pages("swapped", 0, 1));
    let wrong = found(|w| w.parent.tables.set(5));
    assert_eq!(wrong, pages("table", 5, 4));
    let wrong = found(|w| w.parent.flush_pending.set(2));
    let pending = Disagreement::FlushPending {
        space: 1,
        pending: 2,
    };
    assert_eq!(wrong, pending);
}

#[test]
fn wrong_books_of_a_folio_are_found() {
    // MM-03, G8.
    let pfn_of = |w: &World, va| w.folio(va).pfn();
    let world = World::new();
    let pfn = pfn_of(&world, LARGE);
    let folio = world.folio(LARGE);
    folio.add_map(2, 1);
    let expected = Disagreement::Mapcount {
        pfn,
        page: 2,
        counted: 2,
        found: 1,
    };
    assert_eq!(world.audit(), Err(expected));
    folio.remove_map(2, 1);
    folio.get(1);
    let expected = Disagreement::References {
        pfn,
        counted: 17,
        expected: 16,
    };
    assert_eq!(world.audit(), Err(expected));

    // The reference of the page cache, lost.
    let world = World::new();
    let pfn = pfn_of(&world, SHARED);
    assert!(world.file.remove(0).is_some());
    let expected = Disagreement::References {
        pfn,
        counted: 2,
        expected: 1,
    };
    assert_eq!(world.audit(), Err(expected));

    let world = World::new();
    let pfn = pfn_of(&world, SHARED);
    world.folio(SHARED).set_anon_exclusive(0, 1, true);
    let expected = Disagreement::Exclusive { pfn, page: 0 };
    assert_eq!(world.audit(), Err(expected));

    let world = World::new();
    let child = block_on(world.setup.threads[0].fork()).expect("a child");
    let pfn = pfn_of(&world, OWN);
    world.folio(OWN).set_anon_exclusive(0, 1, true);
    let expected = Disagreement::Exclusive { pfn, page: 0 };
    assert_eq!(world.audit(), Err(expected));
    drop(child);
}

#[test]
fn folios_that_reclaim_would_miss_are_found() {
    let world = World::new();
    let pfn = world.folio(OWN).pfn();
    let lru = |listed, expected| {
        Err(Disagreement::Lru {
            pfn,
            listed,
            expected,
        })
    };
    world.folio(OWN).lru.set(false);
    assert_eq!(world.audit(), lru(0, 1));
    // Put there a second time.
    world.setup.kernel.add_to_lru(&world.folio(OWN));
    assert_eq!(world.audit(), lru(2, 1));
}

#[test]
fn frames_that_nobody_owns_or_that_are_free_are_found() {
    // MM-30.
    let wrong = found(|w| {
        let request = Request::new(1, NodeId(1));
        assert!(w.setup.kernel.memory.allocate(&request).is_some());
    });
    let used = Disagreement::Usage {
        node: NodeId(1),
        used: 2,
        owned: 0,
    };
    assert_eq!(wrong, used);
    let world = World::new();
    let pfn = world.folio(OWN).pfn();
    assert_eq!(world.setup.kernel.memory.free(pfn, 0), Ok(()));
    let free = Disagreement::OwnedAndFree { pfn };
    assert_eq!(world.audit(), Err(free));
}

#[test]
fn areas_that_pages_are_not_found_from_are_found() {
    // MM-23.
    let links = |va, what, found| Disagreement::Links {
        space: 1,
        va,
        what,
        found,
    };
    let wrong = found(|w| {
        let area = w.parent.find(OWN).expect("an area");
        area.anon_vma().expect("one").unlink(&area);
    });
    assert_eq!(wrong, links(VA, "anon_vma", 0));
    let wrong = found(|w| {
        let area = w.parent.find(SHARED).expect("an area");
        w.file.link(&w.parent, &area);
    });
    assert_eq!(wrong, links(SHARED, "file", 2));
    let world = World::new();
    world
        .folio(OWN)
        .set_mapping(Mapping::Anon(AnonVma::new(1, VA)), VA / PAGE + 1);
    world.found_in_entry(OWN, Wrong::Elsewhere);
    // An area of an address space that was taken down.
    let world = World::new();
    let thread = &world.setup.threads[0];
    let child = block_on(thread.fork()).expect("a child");
    let area = child.find(OWN).expect("an area");
    block_on(thread.exit_space(&child)).expect("no error");
    assert!(world.audit().is_ok());
    area.anon_vma().expect("one").link(&child, &area);
    // The folio that comes first of those found from there.
    let stale = Disagreement::StaleLink {
        pfn: world.folio(LARGE).pfn().min(world.folio(OWN).pfn()),
        space: 2,
        va: VA,
    };
    assert_eq!(world.audit(), Err(stale));
}
