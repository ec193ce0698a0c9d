// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Access flag, dirty state and write permission given to entries of folded blocks (contpte section 6).

use crate::Scene;
use crate::kernel::{config, variants};
use sw_mm::contpte::{get, set_access_flags};
use sw_mm::kernel::KernelConfig;
use sw_mm::pte::Pte;
use vmsa::Granule;

fn give(scene: &Scene, page: u64, entry: Pte, write: bool) -> bool {
    let (space, ptr) = (&scene.space, scene.ptr(page));
    scene
        .locked(async |thread| set_access_flags(thread, space, ptr, entry, write).await)
        .expect("gives")
}

#[test]
fn access_flags_are_given_until_every_member_has_them() {
    // CONTPTE-22: a sibling has what the page itself lacks.
    for config in variants(1) {
        let scene = Scene::new(config, 0);
        scene.set(0, scene.pte(0).with_young(false), scene.n);
        scene.poke(6, scene.pte(6).with_cont(true));
        let ptr = scene.ptr(9);
        let seen = scene
            .locked(async |thread| get(thread, ptr).await)
            .expect("reads");
        assert!(seen.young() && !scene.raw(9).young());
        assert!(give(&scene, 9, seen.with_young(true), false));
        assert!((0..scene.n).all(|page| scene.raw(page).young()));
        assert_eq!(scene.maintenance().0, []);
        assert!(!give(&scene, 9, seen.with_young(true), false));
        assert_eq!(scene.hints(0..scene.n), scene.n);
        scene.judge();
    }
}

#[test]
fn a_write_to_a_clean_block_marks_all_of_it_and_flushes_once() {
    // CONTPTE-23, CONTPTE-25.
    for config in variants(1) {
        let scene = Scene::folded(config, 0);
        assert!(give(&scene, 4, scene.pte(4).make_dirty(), true));
        let (tlbis, dsbs) = scene.maintenance();
        assert!(tlbis.len() == 1 && scene.covers_block(tlbis[0], 0));
        assert_eq!((dsbs, scene.unfolds()), (1, 0));
        for page in 0..scene.n {
            assert_eq!(
                scene.raw(page),
                scene.pte(page).make_dirty().with_cont(true)
            );
            scene.store(0, scene.va(page)).expect("writable");
        }
        assert!(!give(&scene, 4, scene.pte(4).make_dirty(), true));
        assert_eq!(scene.maintenance(), (vec![], 0));
        scene.judge();
    }
}

#[test]
fn write_permission_for_one_page_unfolds_and_changes_that_page_only() {
    // CONTPTE-24, CONTPTE-25; CONTPTE-12.
    for eager in [false, true] {
        for granule in Granule::ALL {
            let mut config = KernelConfig {
                granule,
                ..config(1)
            };
            config.contpte.eager = eager;
            let scene = Scene::new(config, 0);
            scene.set(0, scene.pte(0).write_protect(), scene.n);
            scene.load(0, scene.va(2)).expect("mapped");
            let last = scene.n - 1;
            assert!(give(&scene, last, scene.pte(last).make_dirty(), true));
            assert_eq!((scene.unfolds(), scene.folds()), (1, 0));
            for page in 0..last {
                assert_eq!(scene.raw(page), scene.pte(page).write_protect());
            }
            assert_eq!(scene.raw(last), scene.pte(last).make_dirty());
            scene.store(0, scene.va(last)).expect("writable");
            assert!(scene.store(0, scene.va(0)).is_err());
            scene.judge();
        }
    }
}
