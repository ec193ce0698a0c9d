// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tables and contiguous runs.

use crate::*;

#[test]
fn a_table_that_is_none_of_that_place_is_found() {
    let world = World::new();
    let root = &world.parent.root;
    let (slot, entry) = (root.pa, world.setup.machine.peek(root.pa));
    let stray = |va, entry| Disagreement::StrayTable {
        space: 1,
        level: 0,
        va,
        entry,
    };
    // To a page of data, to a frame that is free, with a limit of rights, and as a block.
    let data = world.setup.kernel.pa(world.folio(OWN).pfn()) | 3;
    for wrong in [data, entry + (8 << 20), entry | 1 << 61, entry & !2] {
        world.setup.machine.poke(slot, wrong);
        assert_eq!(world.audit(), Err(stray(0, wrong)));
    }
    world.setup.machine.poke(slot, entry);
    // At another place it is not the table of that place.
    world.setup.machine.poke(slot + 8, entry);
    let bytes = geometry::level_bytes(Granule::K4, 0);
    assert_eq!(world.audit(), Err(stray(bytes, entry)));
    world.setup.machine.poke(slot + 8, 0);
    assert!(world.audit().is_ok());
    let wrong = found(|w| w.parent.root.dead.set(true));
    let root = world.parent.root.pa;
    assert_eq!(wrong, stray(0, root));
}

#[test]
fn a_table_without_link_is_found() {
    let world = World::new();
    let (kernel, last) = (&world.setup.kernel, world.table(VA));
    let above = kernel
        .frames
        .all()
        .into_iter()
        .find_map(|owner| match owner {
            Owner::Table(table) if table.level == 2 => Some(table),
            _ => None,
        });
    let entry = above.expect("a table of level 2").entry(kernel, VA);
    let slot = kernel.linear().phys(entry.expect("in memory").slot);
    world.setup.machine.poke(slot.expect("in memory"), 0);
    // First, what it held is missed.
    world.parent.tables.set(3);
    world.parent.resident.set(0);
    let unlinked = Disagreement::Unlinked {
        pfn: last.pfn,
        space: 1,
    };
    assert_eq!(world.audit(), Err(unlinked));
}

#[test]
fn a_table_that_serves_no_area_is_found() {
    // MM-32.
    let wrong = found(|w| {
        let thread = &w.setup.threads[0];
        let far = VA + (1 << 30);
        let made = block_on(w.parent.walk_or_make(thread, far));
        assert!(matches!(made, Ok(Found::Table(_))));
        block_on(thread.cpu.dsb(DsbKind::ISH));
    });
    let idle = Disagreement::IdleTable {
        space: 1,
        level: 2,
        va: VA + (1 << 30),
    };
    assert_eq!(wrong, idle);
}

#[test]
fn runs_that_are_not_whole_or_not_consistent_are_found() {
    // contpte I1, CONTPTE-34.
    let run = |why| Disagreement::Run {
        space: 1,
        va: LARGE,
        why,
    };
    let wrong = found(|w| {
        w.fold(false);
        w.poke(LARGE, w.pte(LARGE).with_cont(true));
    });
    assert_eq!(wrong, run(WrongRun::Partial { members: 1 }));
    let wrong = found(|w| {
        let last = LARGE + 15 * PAGE;
        w.poke(last, w.pte(last).write_protect());
    });
    assert_eq!(wrong, run(WrongRun::Torn { index: 15 }));
    let wrong = found(|w| {
        let hidden = LARGE + 3 * PAGE;
        w.poke(hidden, w.pte(hidden).make_prot_none());
    });
    assert_eq!(wrong, run(WrongRun::Partial { members: 16 }));

    let setup = boot(KernelConfig {
        contpte: contpte::Config {
            enabled: false,
            ..contpte::Config::default()
        },
        anonymous_orders: vec![4],
        ..config(1)
    });
    let parent = setup.space();
    let world = World {
        setup,
        parent,
        file: File::new(1, 16),
    };
    block_on(world.populate()).expect("no error");
    world.fold(true);
    assert_eq!(world.audit(), Err(run(WrongRun::Disabled)));
}

#[test]
fn runs_of_frames_that_do_not_fit_are_found() {
    // contpte section 3, rules 2 and 5.
    for (before, why) in [(15, WrongRun::NoFolio), (7, WrongRun::Misaligned)] {
        let setup = boot(config(1));
        let parent = setup.space();
        let world = World {
            setup,
            parent,
            file: File::new(1, 16),
        };
        let thread = &world.setup.threads[0];
        let touch = |va| {
            let touched = block_on(thread.user_store(va, Double, 1));
            assert_eq!(touched, Ok(()));
            block_on(thread.cpu.dsb(DsbKind::ISH));
            world.pte(va).pfn(Granule::K4).0 % 16
        };
        block_on(map(thread, VA, 32 * PAGE)).expect("no error");
        // Frames come in ascending order: the next one is where the block begins.
        let last = (0..16).find(|page| touch(VA + page * PAGE) == before);
        assert!(last.is_some());
        for page in 0..16 {
            touch(LARGE + page * PAGE);
        }
        world.fold(true);
        let (space, va) = (1, LARGE);
        assert_eq!(world.audit(), Err(Disagreement::Run { space, va, why }));
    }
}
