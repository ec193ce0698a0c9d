// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Slots of the swap area and the swap cache.

use crate::*;
use sw_mm::pte::Kind;

/// Takes the page at `OWN` out of memory; returns its slot.
fn swap_out(world: &World) -> SwapEntry {
    let thread = &world.setup.threads[0];
    block_on(thread.swap_out(&world.folio(OWN))).expect("no error");
    block_on(thread.cpu.dsb(DsbKind::ISH));
    match world.pte(OWN).kind() {
        Kind::Swap { entry, .. } => entry,
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn a_slot_that_is_named_more_or_less_often_than_it_counts_is_found() {
    // MM-25.
    let wrong = |counted, found| Disagreement::Slot {
        entry: SwapEntry(0),
        counted,
        found,
    };
    let more = found(|w| {
        let entry = swap_out(w);
        w.poke(ZERO, Pte::swap(entry, false));
        w.parent.swapped.set(2);
    });
    assert_eq!(more, wrong(1, 2));
    let fewer = found(|w| {
        swap_out(w);
        w.poke(OWN, Pte::NONE);
        w.parent.swapped.set(0);
    });
    assert_eq!(fewer, wrong(1, 0));
    let none = found(|w| {
        w.poke(ZERO, Pte::swap(SwapEntry(0), false));
        w.parent.swapped.set(1);
    });
    assert_eq!(none, wrong(0, 1));
}

#[test]
fn a_page_in_the_swap_cache_that_may_be_written_is_found() {
    // MM-24.
    let world = World::new();
    let thread = &world.setup.threads[0];
    let entry = swap_out(&world);
    let _child = block_on(thread.fork()).expect("no error");
    let loaded = block_on(thread.user_load(OWN, Double));
    assert_eq!(loaded, Ok(2));
    block_on(thread.cpu.dsb(DsbKind::ISH));
    // The child's entry names the slot still.
    assert_eq!(world.audit().err(), None);
    world.folio(OWN).set_anon_exclusive(0, 1, true);
    assert_eq!(world.audit(), Err(Disagreement::SwapCache { entry }));
}
