// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What is in order passes.

use crate::*;

#[test]
fn a_sound_kernel_passes() {
    // G8.
    let world = World::new();
    let census = world.audit().expect("sound");
    // Levels 0 to 3, all areas within 2 MiB.
    assert_eq!((census.spaces, census.tables), (1, 4));
    // The zero page, 16 of the large folio, and one each of the rest.
    assert_eq!((census.entries, census.folios), (1 + 16 + 3, 4));
    let folio = world.folio(LARGE);
    let mapped = &census.mappings[&folio.pfn()];
    let places: Vec<_> = mapped.iter().map(|m| (m.page, m.va)).collect();
    let expected: Vec<_> = (0..16).map(|page| (page, LARGE + page * PAGE)).collect();
    assert_eq!(places, expected);
    assert_eq!(census.runs, 1, "born so");
    world.fold(false);
    assert_eq!(world.audit().expect("sound").runs, 0);
}

#[test]
fn a_sound_kernel_passes_in_every_granule_and_after_fork() {
    for config in variants(1) {
        let page = config.granule.bytes();
        let setup = boot(KernelConfig {
            anonymous_orders: vec![2],
            ..config
        });
        let thread = &setup.threads[0];
        let _parent = setup.space();
        let child = block_on(async {
            map(thread, VA, 8 * page).await?;
            thread.user_store(VA + page, Double, 1).await?;
            thread.user_load(VA + 5 * page, Double).await?;
            thread.fork().await
        })
        .expect("no error");
        let census = audit(&setup.kernel, |pa| setup.machine.peek(pa)).expect("sound");
        assert_eq!((census.spaces, census.folios), (2, 1));
        assert_eq!(census.entries, 2 * (4 + 1));
        block_on(async {
            thread.exit_space(&child).await?;
            thread.exit().await
        })
        .expect("no error");
        let census = audit(&setup.kernel, |pa| setup.machine.peek(pa)).expect("sound");
        assert_eq!(census, Census::default());
    }
}

#[test]
fn references_that_are_held_are_accounted_for() {
    let world = World::new();
    let folio = world.folio(OWN);
    folio.pin();
    let held = Held::from([(folio.pfn(), PIN)]);
    let peek = |pa| world.setup.machine.peek(pa);
    assert!(audit_with(&world.setup.kernel, &held, peek).is_ok());
    let unknown = Disagreement::References {
        pfn: folio.pfn(),
        counted: PIN + 1,
        expected: 1,
    };
    assert_eq!(world.audit(), Err(unknown));
}
