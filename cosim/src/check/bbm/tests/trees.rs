// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! ASIDs that pass from one tree to another, and trees that go on under another one.

use super::*;

const ROOT: u64 = 0x8000_0000;
const OTHER: u64 = 0x8010_0000;

/// `core` uses the tree at `base` under `asid` from now on.
fn switch(scene: &mut Scene, core: u8, asid: u16, base: u64) {
    let value = Ttbr::new(asid, base).0;
    scene.ask(core, CoreRequest::msr(SysReg::Ttbr0, value));
    scene.ask(core, CoreRequest::isb());
}

#[test]
fn a_tree_that_goes_on_under_another_asid_leaves_what_was_cached_behind() {
    // Flushed by the ASID that it has now; the old one is met by nothing.
    let sequence = |scene: &mut Scene| {
        let operation = Tlbi::vale1(IS, VA, 7, Some((Granule::K4, 3)));
        scene.sequence(operation, moved());
    };
    let mut scene = Scene::new(0);
    switch(&mut scene, 0, 7, ROOT);
    switch(&mut scene, 1, 7, ROOT);
    sequence(&mut scene);
    assert_quiet(&scene.out);
    // One core still uses it under the old one.
    let mut scene = Scene::new(0);
    switch(&mut scene, 0, 7, ROOT);
    sequence(&mut scene);
    assert_fires(&scene.out, "BBM-03");
    // What it is cached as since has to be flushed as ever.
    let mut scene = Scene::new(0);
    switch(&mut scene, 0, 7, ROOT);
    switch(&mut scene, 1, 7, ROOT);
    scene.read(1, 3, SLOT, VA);
    scene.store(SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
    assert!(scene.came().contains("core 1 may hold"), "{}", scene.came());
}

#[test]
fn who_comes_back_to_the_old_asid_meets_what_it_held() {
    let mut scene = Scene::new(0);
    for asid in [7, 1] {
        switch(&mut scene, 0, asid, ROOT);
        switch(&mut scene, 1, asid, ROOT);
    }
    scene.store(SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
    assert!(scene.came().contains("cores 0, 1"), "{}", scene.came());
    // Not so who has thrown its TLB away meanwhile.
    let mut scene = Scene::new(0);
    for core in 0..2 {
        switch(&mut scene, core, 7, ROOT);
        scene.ask(core, CoreRequest::tlbi(Tlbi::vmalle1(LOCAL)));
        scene.ask(core, CoreRequest::dsb(DsbKind::NSH));
        switch(&mut scene, core, 1, ROOT);
    }
    scene.store(SLOT, moved());
    assert_quiet(&scene.out);
}

#[test]
fn a_core_that_runs_something_else_meanwhile_keeps_what_it_holds() {
    // No other ASID for the tree: it may come back to it.
    let mut scene = Scene::new(0);
    switch(&mut scene, 0, 2, OTHER);
    switch(&mut scene, 1, 3, OTHER + 0x1000);
    scene.store(SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
}

/// Both cores hold the page at `SLOT`; the first entry of the tree at ROOT was read by a walk, made
/// invalid, and flushed by `operation`.
fn taken_out(operation: Tlbi) -> Scene {
    let mut scene = Scene::new(1);
    let table = Descriptor::table(0x8000_7000);
    scene.memory.write_u64(ROOT, table.0);
    scene.walk(0, 0, ROOT, VA, false);
    scene.store(ROOT, Descriptor(0));
    scene.dsb(DsbKind::ISHST);
    scene.tlbi(operation);
    scene.dsb(DsbKind::ISH);
    scene
}

/// Stores at ROOT what reads there as a table that leads to a block.
fn store_what_looks_like_a_table(scene: &mut Scene) {
    let block = Descriptor::leaf(Granule::K4, 1, 0x4000_0000).with_af(true);
    scene
        .memory
        .write_u64(0x9000_1000, block.with_ng(true).with_sh(3).0);
    scene.store(ROOT, Descriptor(moved().0 | 3));
}

#[test]
fn two_trees_that_had_one_asid_say_nothing_of_each_other() {
    let mut scene = taken_out(Tlbi::aside1(IS, 1));
    // Another tree has its ASID now, and is cached for the same address.
    for core in 0..2 {
        switch(&mut scene, core, 1, OTHER);
    }
    let slot = OTHER + 0x1000 + 3 * 8;
    scene.memory.write_u64(slot, page().0);
    scene.read(1, 3, slot, VA);
    store_what_looks_like_a_table(&mut scene);
    assert_quiet(&scene.out);
    // In the tree itself the same store takes the place of a page that is still cached.
    let mut scene = taken_out(Tlbi::aside1(IS, 2));
    store_what_looks_like_a_table(&mut scene);
    assert_fires(&scene.out, "BBM-03");
}
