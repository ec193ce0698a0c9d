// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Changes that concern more than one descriptor: blocks, tables and contiguous runs.

use super::*;

#[test]
fn at_bbm_level_2_the_size_of_a_mapping_changes_in_place() {
    // 12.3: the output addresses stay.
    for (bbml, nt, fires) in [
        (0, true, true),
        (1, false, true),
        (1, true, false),
        (2, false, false),
    ] {
        let mut scene = Scene::new(bbml);
        scene.tlbi(Tlbi::vmalle1(IS));
        scene.dsb(DsbKind::ISH);
        let base = Descriptor::leaf(Granule::K4, 2, 0x9000_0000)
            .with_af(true)
            .with_ng(true)
            .with_sh(3)
            .with_nt(nt);
        scene.memory.write_u64(UPPER, base.with_nt(false).0);
        scene.read(0, 2, UPPER, VA);
        scene.memory.write_u64(UPPER, base.0);
        // The table maps page 3 where the block does.
        scene.memory.write_u64(SLOT, page().0 + 3 * 0x1000);
        scene.store(UPPER, Descriptor::table(TABLE));
        assert_eq!(
            !scene.out.is_empty(),
            fires,
            "BBML {bbml} nT {nt}: {}",
            scene.came()
        );
    }
}

#[test]
fn a_table_put_in_place_of_a_block_has_to_map_the_same() {
    let mut scene = Scene::new(2);
    let block = Descriptor::leaf(Granule::K4, 2, 0x9000_0000)
        .with_af(true)
        .with_ng(true)
        .with_sh(3);
    scene.memory.write_u64(UPPER, block.0);
    scene.read(0, 2, UPPER, VA);
    scene.store(UPPER, Descriptor::table(TABLE));
    assert_fires(&scene.out, "BBM-03");
}

#[test]
fn a_table_entry_needs_an_invalidation_of_tables() {
    // BBM-10.
    const OTHER: u64 = 0x8000_2000;
    let scene = |operation: Tlbi| {
        let mut scene = Scene::new(0);
        scene.memory.write_u64(UPPER, Descriptor::table(TABLE).0);
        scene.memory.write_u64(OTHER + 3 * 8, moved().0);
        scene.read(0, 2, UPPER, VA);
        scene.store(UPPER, Descriptor(0));
        scene.dsb(DsbKind::ISHST);
        scene.tlbi(operation);
        scene.dsb(DsbKind::ISH);
        scene.store(UPPER, Descriptor::table(OTHER));
        scene
    };
    assert_quiet(&scene(Tlbi::vae1(IS, VA, 1, None)).out);
    let leaf_only = scene(by_va());
    assert_fires(&leaf_only.out, "BBM-10");
    assert!(
        leaf_only.came().contains("leaves tables in place"),
        "{}",
        leaf_only.came()
    );
}

#[test]
fn a_leaf_held_below_forbids_another_table_that_maps_otherwise() {
    const OTHER: u64 = 0x8000_2000;
    let mut scene = Scene::new(0);
    scene.memory.write_u64(UPPER, Descriptor::table(TABLE).0);
    scene.memory.write_u64(OTHER + 3 * 8, moved().0);
    scene.read(0, 2, UPPER, VA);
    scene.store(UPPER, Descriptor(0));
    scene.dsb(DsbKind::ISHST);
    // A neighbour takes the table away, not the leaf; the old table was cleared behind it.
    scene.tlbi(Tlbi::vae1(IS, VA + 0x1000, 1, None));
    scene.dsb(DsbKind::ISH);
    scene.memory.write_u64(SLOT, 0);
    scene.store(UPPER, Descriptor::table(0x8000_3000));
    assert_quiet(&scene.out);
    scene.read(0, 2, UPPER, VA);
    scene.store(UPPER, Descriptor::table(OTHER));
    assert_fires(&scene.out, "BBM-03");
    assert!(
        scene.came().contains("[0x000080001018]"),
        "{}",
        scene.came()
    );
}

#[test]
fn a_run_is_broken_as_a_whole() {
    let run = |index: u64| Descriptor(page().0 + index * 0x1000).with_contiguous(true);
    let scene = |members: u64, bbml: u8| {
        let mut scene = Scene::new(bbml);
        for index in 0..16 {
            scene
                .memory
                .write_u64(TABLE + 0x400 + 8 * index, run(index).0);
        }
        let va = VA - 0x3000 + 0x80 * 0x1000;
        scene.read(0, 3, TABLE + 0x408, va + 0x1000);
        for index in 0..members {
            scene.store(TABLE + 0x400 + 8 * index, Descriptor(0));
        }
        scene.dsb(DsbKind::ISHST);
        for index in 0..members {
            scene.tlbi(Tlbi::vale1(IS, va + index * 0x1000, 1, None));
        }
        scene.dsb(DsbKind::ISH);
        for index in 0..members {
            scene.store(TABLE + 0x400 + 8 * index, run(index).with_contiguous(false));
        }
        scene
    };
    assert_quiet(&scene(16, 0).out);
    // The whole run leaves the TLB with any page of it, but its other members are still valid: the next
    // walk would bring it back.
    let mut part = scene(1, 0);
    part.read(0, 3, TABLE + 0x408, VA - 0x3000 + 0x81 * 0x1000);
    part.store(TABLE + 0x410, run(2).with_contiguous(false));
    assert_fires(&part.out, "BBM-03");
    assert!(part.came().contains("Contiguous"), "{}", part.came());
    // At level 2 the bit may change in place, an attribute of part of the run may not.
    let mut part = scene(1, 2);
    part.read(0, 3, TABLE + 0x408, VA - 0x3000 + 0x81 * 0x1000);
    part.store(TABLE + 0x410, run(2).with_contiguous(false));
    assert_quiet(&part.out);
    part.store(TABLE + 0x418, run(3).with_ap_el0(true));
    assert_fires(&part.out, "BBM-03");
}

#[test]
fn only_write_permission_of_a_run_changes_in_place() {
    // CONTPTE-17.
    let run = |index: u64| Descriptor(page().0 + index * 0x1000).with_contiguous(true);
    let va = VA - 0x3000 + 0x80 * 0x1000;
    let scene = || {
        let mut scene = Scene::new(0);
        for index in 0..16 {
            let slot = TABLE + 0x400 + 8 * index;
            scene.memory.write_u64(slot, run(index).with_dbm(true).0);
        }
        scene.read(0, 3, TABLE + 0x408, va + 0x1000);
        scene
    };
    let mut whole = scene();
    for index in 0..16 {
        let protected = run(index).with_ap_read_only(true).with_software(1);
        whole.store(TABLE + 0x400 + 8 * index, protected);
    }
    whole.dsb(DsbKind::ISHST);
    whole.tlbi(Tlbi::vale1(IS, va, 1, None));
    whole.dsb(DsbKind::ISH);
    assert_quiet(&whole.out);
    for index in [1, 2] {
        let mut part = scene();
        let other = run(index).with_dbm(true).with_uxn(true);
        part.store(TABLE + 0x400 + 8 * index, other);
        assert_fires(&part.out, "BBM-03");
    }
}

#[test]
fn another_address_space_is_another_matter() {
    const OTHER: u64 = 0x8000_2000;
    for (synchronised, fires) in [(None, true), (Some(false), false), (Some(true), false)] {
        let mut scene = Scene::new(0);
        scene
            .memory
            .write_u64(UPPER, Descriptor::table(0x8000_3000).0);
        scene.memory.write_u64(OTHER + 3 * 8, moved().0);
        // The table is read for the ASID of the leaf, for another one, or for either.
        if let Some(synchronised) = synchronised {
            let ttbr = Ttbr::new(2, 0x8000_0000).0;
            scene.ask(0, CoreRequest::msr(SysReg::Ttbr0, ttbr));
            if synchronised {
                scene.ask(0, CoreRequest::isb());
            }
        }
        scene.read(0, 2, UPPER, VA);
        scene.store(UPPER, Descriptor::table(OTHER));
        assert_eq!(
            !scene.out.is_empty(),
            fires,
            "{synchronised:?}: {}",
            scene.came()
        );
    }
}

/// Core 0 alone has walked to the leaf at `SLOT` through the table entry at `UPPER`, which is cleared then.
fn unlinked() -> Scene {
    let mut scene = Scene::new(0);
    scene.tlbi(Tlbi::vmalle1(IS));
    scene.dsb(DsbKind::ISH);
    scene.memory.write_u64(UPPER, Descriptor::table(TABLE).0);
    scene.read(0, 2, UPPER, VA);
    scene.read(0, 3, SLOT, VA);
    scene.store(UPPER, Descriptor(0));
    scene
}

/// A walk of core 0 starts at the table that it still has cached, after the request for `operation`, and
/// a DSB completes it.
fn walk_while_invalidated(scene: &mut Scene, operation: Tlbi) {
    scene.tlbi(operation);
    scene.read(0, 3, SLOT, VA);
    scene.dsb(DsbKind::ISH);
}

#[test]
fn a_leaf_below_a_cleared_table_entry_is_broken_with_it() {
    // BBM-09.
    let mut scene = unlinked();
    scene.dsb(DsbKind::ISHST);
    walk_while_invalidated(&mut scene, Tlbi::vae1(IS, VA, 1, None));
    scene.store(SLOT, moved());
    scene.dsb(DsbKind::ISHST);
    scene.store(UPPER, Descriptor::table(TABLE));
    assert_quiet(&scene.out);
    // Nothing is left that could forbid a change, until it is read again.
    scene.store(SLOT, page());
    assert_quiet(&scene.out);
    scene.read(0, 3, SLOT, VA);
    scene.store(SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
}

#[test]
fn what_went_with_a_cleared_table_entry_does_not_come_back_with_the_table() {
    let mut scene = unlinked();
    scene.dsb(DsbKind::ISHST);
    walk_while_invalidated(&mut scene, Tlbi::vae1(IS, VA, 1, None));
    scene.store(UPPER, Descriptor::table(TABLE));
    scene.store(SLOT, moved());
    assert_quiet(&scene.out);
}

#[test]
fn what_was_invalidated_before_a_table_entry_is_cleared_stays_gone() {
    let mut scene = Scene::new(0);
    scene.memory.write_u64(UPPER, Descriptor::table(TABLE).0);
    scene.read(0, 2, UPPER, VA);
    scene.read(0, 3, SLOT, VA);
    scene.tlbi(Tlbi::vmalle1(IS));
    scene.dsb(DsbKind::ISH);
    scene.store(UPPER, Descriptor(0));
    scene.store(SLOT, moved());
    assert_quiet(&scene.out);
}

#[test]
fn a_leaf_read_first_below_a_cleared_table_entry_is_broken_with_it() {
    let other = SLOT + 8;
    let mut scene = unlinked();
    scene.memory.write_u64(other, page().0 + 0x1000);
    scene.dsb(DsbKind::ISHST);
    scene.tlbi(Tlbi::vmalle1(IS));
    scene.read(0, 3, other, VA + 0x1000);
    scene.dsb(DsbKind::ISH);
    scene.store(other, moved().with_sh(2));
    assert_quiet(&scene.out);
}

#[test]
fn each_step_left_out_below_a_cleared_table_entry_is_named() {
    type Steps = fn(&mut Scene);
    let cases: [(&str, Steps); 4] = [
        ("no TLBI followed", |scene| scene.dsb(DsbKind::ISH)),
        ("no DSB stands between", |scene| {
            walk_while_invalidated(scene, Tlbi::vae1(IS, VA, 1, None));
        }),
        ("no DSB completed it", |scene| {
            scene.dsb(DsbKind::ISHST);
            scene.tlbi(Tlbi::vae1(IS, VA, 1, None));
        }),
        ("covers it", |scene| {
            scene.dsb(DsbKind::ISHST);
            walk_while_invalidated(scene, Tlbi::vae1(IS, VA + 0x1000, 1, None));
        }),
    ];
    for (missing, steps) in cases {
        let mut scene = unlinked();
        steps(&mut scene);
        scene.store(SLOT, moved());
        assert_fires(&scene.out, "BBM-03");
        assert!(
            scene.came().contains(missing),
            "{missing}: {}",
            scene.came()
        );
    }
}

#[test]
fn a_table_linked_again_before_an_invalidation_unbreaks_what_lies_below() {
    let mut scene = unlinked();
    scene.store(UPPER, Descriptor::table(TABLE));
    assert_quiet(&scene.out);
    // Walks find the leaf: what one read behind the operation stays.
    scene.dsb(DsbKind::ISHST);
    walk_while_invalidated(&mut scene, Tlbi::vae1(IS, VA, 1, None));
    scene.store(SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
    assert!(
        scene.came().contains("not made invalid first"),
        "{}",
        scene.came()
    );
}

#[test]
fn a_cleared_entry_two_levels_up_breaks_as_well() {
    const TOP: u64 = 0x8000_4000;
    for relinked in [false, true] {
        let mut scene = Scene::new(0);
        let upper = UPPER & !0xfff;
        scene.memory.write_u64(TOP, Descriptor::table(upper).0);
        scene.memory.write_u64(UPPER, Descriptor::table(TABLE).0);
        scene.read(0, 1, TOP, VA);
        scene.read(0, 2, UPPER, VA);
        scene.read(0, 3, SLOT, VA);
        scene.store(TOP, Descriptor(0));
        if relinked {
            scene.store(TOP, Descriptor::table(upper));
        }
        scene.dsb(DsbKind::ISHST);
        walk_while_invalidated(&mut scene, Tlbi::vae1(IS, VA, 1, None));
        scene.store(SLOT, moved());
        assert_eq!(!scene.out.is_empty(), relinked, "{}", scene.came());
    }
}
