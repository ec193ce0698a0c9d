// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries against their areas.

use crate::*;

#[test]
fn entries_that_contradict_their_area_are_found() {
    let world = World::new();
    let check = |va: u64, pte: Pte, why: Wrong| {
        let before = world.pte(va);
        world.poke(va, pte);
        world.found_in_entry(va, why);
        world.poke(va, before);
        assert!(world.audit().is_ok());
    };
    let own = world.pte(OWN);
    check(OWN, Pte(1 << 57), Wrong::Unknown);
    check(OWN, own.with_execute(true), Wrong::Attributes);
    for bit in [2, 6, 8, 11, 53] {
        check(OWN, Pte(own.0 ^ 1 << bit), Wrong::Attributes);
    }
    // MM-29: a mapping without rights.
    check(NONE, world.pte(NONE).make_accessible(), Wrong::Valid);
    check(NONE, world.pte(NONE).make_writable(), Wrong::Writable);
    let stores = Pte(own.write_protect().0 & !(1 << 7));
    check(OWN, stores, Wrong::Stores);
    let moving = Migration {
        pfn: own.pfn(Granule::K4),
        writable: true,
        exclusive: true,
        young: true,
        dirty: true,
    };
    check(OWN, Pte::migration(moving), Wrong::Moving);
    // G1: a frame that was given back, and one of a table.
    let free = own.advance(Granule::K4, 512);
    check(OWN, free, Wrong::NoFolio);
    let table = world.table(OWN).pfn.0 as i64 - own.pfn(Granule::K4).0 as i64;
    check(OWN, own.advance(Granule::K4, table), Wrong::NoFolio);
    // Two pages of one folio the wrong way round.
    check(LARGE, world.pte(LARGE + PAGE), Wrong::Elsewhere);
    check(OWN, world.pte(SHARED), Wrong::Elsewhere);
    check(SHARED, world.pte(OWN), Wrong::Elsewhere);
    // MM-07.
    check(ZERO, world.pte(ZERO).make_writable(), Wrong::Special);
    check(OWN, own.make_special(), Wrong::Special);
    check(SHARED, world.pte(ZERO), Wrong::Special);
}

#[test]
fn an_entry_outside_of_all_areas_is_found() {
    // MM-15.
    let world = World::new();
    let va = VA + 40 * PAGE;
    world.poke(va, world.pte(OWN));
    let expected = Disagreement::NoArea {
        space: 1,
        va,
        pte: world.pte(OWN),
    };
    assert_eq!(world.audit(), Err(expected));
}

#[test]
fn a_writable_entry_for_a_page_that_is_shared_is_found() {
    // MM-14, MM-16, G7.
    let world = World::new();
    let thread = &world.setup.threads[0];
    let writable = world.pte(OWN);
    let _child = block_on(thread.fork()).expect("a child");
    assert!(world.audit().is_ok());
    world.poke(OWN, writable);
    world.found_in_entry(OWN, Wrong::NotOwn);
    let world = World::new();
    let thread = &world.setup.threads[0];
    let read = thread.mprotect(VA, 32 * PAGE, Protection::READ);
    block_on(read).expect("no error");
    world.poke(OWN, writable);
    world.found_in_entry(OWN, Wrong::Writable);
}

#[test]
fn a_store_to_the_zero_page_is_found() {
    // MM-07.
    let world = World::new();
    let pa = world.setup.kernel.pa(world.setup.kernel.zero_page()) + 24;
    world.setup.machine.poke(pa, 7);
    let expected = Disagreement::ZeroPage { pa, value: 7 };
    assert_eq!(world.audit(), Err(expected));
}
