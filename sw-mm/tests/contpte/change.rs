// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the operations do to folded blocks (contpte section 5).

use crate::kernel::{config, variants};
use crate::{Op, Scene};
use sw_mm::contpte::{
    Cleared, batch_hint, clear_flush_young, clear_ptes, clear_young_dirty_ptes, get, get_batch,
    get_lockless, set_pte, set_ptes, set_wrprotects, test_and_clear_young,
};
use sw_mm::kernel::KernelConfig;
use sw_mm::pte::Pte;
use sw_mm::{Cpu, block_on};
use vmsa::{DsbKind, FaultKind, Granule};

fn granules(cores: usize) -> impl Iterator<Item = KernelConfig> {
    Granule::ALL.into_iter().map(move |granule| KernelConfig {
        granule,
        ..config(cores)
    })
}

#[test]
fn changing_one_entry_unfolds_the_block_and_keeps_the_others() {
    // CONTPTE-12.
    for config in variants(1) {
        let scene = Scene::folded(config, 1);
        let (n, space) = (scene.n, &scene.space);
        let other = scene.pte(7).with_execute(true);
        scene.set(7, other, 1);
        assert_eq!(scene.hints(0..n), 0);
        assert_eq!(scene.hints(n..2 * n), n, "its neighbour stays folded");
        assert_eq!((scene.unfolds(), scene.folds()), (1, 0));
        for page in (0..n).filter(|&page| page != 7) {
            assert_eq!(scene.raw(page), scene.pte(page));
            scene.load(0, scene.va(page)).expect("mapped");
        }
        assert_eq!(scene.raw(7), other);
        assert_eq!(space.number(), 1);
        scene.judge();
    }
}

#[test]
fn every_member_reports_what_any_of_them_saw() {
    // CONTPTE-13.
    let state: [fn(Pte) -> bool; 2] = [Pte::young, Pte::dirty];
    for config in granules(1) {
        for (which, has) in state.into_iter().enumerate() {
            let scene = Scene::new(config.clone(), 0);
            let old = scene.pte(0).with_young(false);
            scene.set(0, old, scene.n);
            let saw = |page| match which {
                0 => old.with_young(true).advance(scene.granule, page),
                _ => Pte(old.descriptor().with_ap_read_only(false).0).advance(scene.granule, page),
            };
            scene.poke(scene.n - 2, saw(scene.n as i64 - 2).with_cont(true));
            for page in [0, 1, scene.n - 2, scene.n - 1] {
                let ptr = scene.ptr(page);
                let reads = scene.locked(async |thread| {
                    [
                        get(thread, ptr).await,
                        get_lockless(thread, ptr).await,
                        get_batch(thread, ptr, 1).await,
                    ]
                });
                for pte in reads.map(|pte| pte.expect("reads")) {
                    assert!(has(pte) && pte.cont());
                    assert_eq!(pte.norm(), scene.pte(page).norm());
                }
            }
            assert_eq!(scene.unfolds(), 0);
            scene.judge();
        }
    }
}

#[test]
fn a_hint_says_how_many_entries_are_left_of_the_block() {
    let scene = Scene::folded(config(1), 0);
    let kernel = &scene.setup.kernel;
    for page in 0..16 {
        assert_eq!(
            batch_hint(kernel, scene.ptr(page), scene.raw(page)),
            16 - page
        );
    }
    scene.set(3, scene.pte(3), 1);
    assert_eq!(batch_hint(kernel, scene.ptr(0), scene.raw(0)), 1);
}

#[test]
fn ageing_takes_the_access_flag_of_the_whole_block_without_an_invalidation() {
    // CONTPTE-15.
    for config in granules(1) {
        let scene = Scene::folded(config, 1);
        let (n, space, ptr) = (scene.n, &scene.space, scene.ptr(5));
        scene.poke(0, scene.raw(0).with_young(false));
        let age = || {
            scene
                .locked(async |thread| test_and_clear_young(thread, space, ptr).await)
                .expect("ages")
        };
        assert_eq!((age(), age()), (true, false));
        assert!((0..n).all(|page| !scene.raw(page).young() && scene.raw(page).cont()));
        assert!(
            (n..2 * n).all(|page| scene.raw(page).young()),
            "the next block"
        );
        assert_eq!((scene.maintenance().0.len(), scene.unfolds()), (0, 0));
        scene.judge();
    }
}

#[test]
fn ageing_with_a_flush_invalidates_the_block_once_and_waits_for_nothing() {
    // CONTPTE-16.
    for config in variants(1) {
        let scene = Scene::folded(config, 0);
        let (space, ptr) = (&scene.space, scene.ptr(scene.n - 1));
        let age = || {
            scene
                .locked(async |thread| clear_flush_young(thread, space, ptr).await)
                .expect("ages")
        };
        assert!(age());
        let (tlbis, dsbs) = scene.maintenance();
        assert!(tlbis.len() == 1 && scene.covers_block(tlbis[0], 0));
        assert_eq!(dsbs, 0);
        assert!(!age(), "nobody was there since");
        assert_eq!(scene.maintenance(), (vec![], 0));
        // The next barrier of the core completes it.
        block_on(scene.thread.cpu.dsb(DsbKind::ISH));
        assert!(
            scene
                .setup
                .machine
                .cached_leaves(0)
                .iter()
                .all(|e| e.va >> 48 != 0)
        );
        assert_eq!((scene.hints(0..scene.n), scene.unfolds()), (scene.n, 0));
        scene.judge();
    }
}

#[test]
fn taking_young_and_dirty_state_reaches_whole_blocks() {
    // Section 5, clear_young_dirty_ptes.
    for (young, dirty) in [(true, false), (false, true), (true, true)] {
        let scene = Scene::folded(config(1), 2);
        for page in 0..64 {
            scene.poke(page, scene.raw(page).make_dirty());
        }
        scene.set(3 * 16, scene.pte(3 * 16).make_dirty(), 1);
        // From the midst of block 1 to the midst of block 3, which is unfolded.
        let ptr = scene.ptr(20);
        let what = Cleared { young, dirty };
        scene
            .locked(async |thread| clear_young_dirty_ptes(thread, ptr, 36, what).await)
            .expect("clears");
        for page in 0..64 {
            let pte = scene.raw(page);
            let taken = (16..56).contains(&page);
            assert_eq!(pte.young(), !(taken && young), "{page}");
            assert_eq!(pte.dirty(), !(taken && dirty), "{page}");
            assert_eq!(pte.cont(), page < 48, "{page}");
        }
        assert_eq!(scene.unfolds(), 1, "that of the test");
        scene.judge();
    }
}

fn protect(scene: &Scene, page: u64, pages: u64) {
    let (space, ptr) = (&scene.space, scene.ptr(page));
    scene
        .locked(async |thread| set_wrprotects(thread, space, ptr, pages).await)
        .expect("protects");
}

fn flush(scene: &Scene) {
    block_on(scene.thread.flush_mm(&scene.space));
}

#[test]
fn whole_blocks_are_write_protected_as_they_are() {
    // CONTPTE-17, CONTPTE-19, CONTPTE-20.
    for config in variants(2) {
        let scene = Scene::new(config, 1);
        let pages = 2 * scene.n;
        scene.set(0, scene.pte(0), pages);
        // Hardware alone knows of the dirt, of one page of each block.
        for page in [3, scene.n + 5] {
            let dirty = scene.pte(page).descriptor().with_ap_read_only(false);
            scene.poke(page, Pte(dirty.0).with_cont(true));
        }
        for page in [3, scene.n + 5] {
            for core in 0..2 {
                scene.store(core, scene.va(page)).expect("writable");
            }
        }
        scene.maintenance();
        protect(&scene, 0, pages);
        assert_eq!(scene.maintenance(), (vec![], 0));
        assert_eq!((scene.hints(0..pages), scene.unfolds()), (pages, 0));
        flush(&scene);
        for page in 0..pages {
            let pte = scene.raw(page);
            let wrote = page == 3 || page == scene.n + 5;
            assert!(!pte.writable() && pte.descriptor().ap_read_only());
            assert_eq!(pte.software_dirty(), wrote, "{page}");
            for core in 0..2 {
                let refused = scene.store(core, scene.va(page)).map_err(|f| f.fsc.kind());
                assert_eq!(refused, Err(Some(FaultKind::Permission)), "{page}");
                scene.load(core, scene.va(page)).expect("readable");
            }
        }
        scene.judge();
    }
}

#[test]
fn write_protecting_part_of_blocks_unfolds_the_ends_only() {
    // CONTPTE-18.
    for config in granules(1) {
        let n = sw_mm::contpte::block_pages(config.granule);
        for (page, pages, unfolded) in [
            (0, 4 * n, vec![]),
            (n, 2 * n, vec![]),
            (1, 4 * n - 1, vec![0]),
            (0, 4 * n - 1, vec![3]),
            (3, 3 * n, vec![0, 3]),
            (n + 2, 5, vec![1]),
            (n, n - 1, vec![1]),
            (n - 1, 2, vec![0, 1]),
        ] {
            let scene = Scene::folded(config.clone(), 2);
            protect(&scene, page, pages);
            assert_eq!(scene.unfolds(), unfolded.len() as u64, "{page} +{pages}");
            for block in 0..4 {
                let folded = scene.hints(block * n..(block + 1) * n) == n;
                assert_eq!(folded, !unfolded.contains(&block), "{page} +{pages}");
            }
            let protected = (0..4 * n).filter(|&page| !scene.raw(page).writable());
            assert!(protected.eq(page..page + pages));
            flush(&scene);
            scene.judge();
        }
    }
}

#[test]
fn clearing_whole_blocks_converts_nothing() {
    // CONTPTE-26, CONTPTE-27.
    for config in variants(1) {
        let n = sw_mm::contpte::block_pages(config.granule);
        for (page, pages, unfolds) in [(0, 3 * n, 0), (n, n, 0), (2, 3 * n - 3, 2), (n + 1, 3, 1)] {
            let scene = Scene::folded(config.clone(), 2);
            let last = page + pages - 1;
            scene.poke(last, scene.raw(last).make_dirty());
            for other in page..page + pages {
                scene.poke(other, scene.raw(other).with_young(false));
            }
            let (space, ptr) = (&scene.space, scene.ptr(page));
            let old = scene
                .locked(async |thread| clear_ptes(thread, space, ptr, pages).await)
                .expect("clears");
            assert_eq!(scene.unfolds(), unfolds, "{page} +{pages}");
            assert!(old.dirty());
            // A block that reaches out of the range lends its access flag.
            assert_eq!(old.young(), unfolds > 0);
            assert_eq!(old.norm(), scene.pte(page).norm());
            for other in 0..4 * n {
                let gone = (page..page + pages).contains(&other);
                assert_eq!(scene.raw(other).is_none(), gone, "{other}");
            }
            flush(&scene);
            scene.judge();
        }
    }
}

#[test]
fn only_the_eager_form_folds_after_a_partial_write_protection() {
    // Section 3: two extra points at which folding is attempted.
    for eager in [false, true] {
        let mut config = config(1);
        config.contpte.eager = eager;
        let scene = Scene::folded(config, 0);
        for page in 0..16 {
            protect(&scene, page, 1);
        }
        assert_eq!(scene.hints(0..16), if eager { 16 } else { 0 });
        assert_eq!((scene.unfolds(), scene.folds()), (1, u64::from(eager)));
        flush(&scene);
        assert!(scene.store(0, scene.va(5)).is_err());
        scene.judge();
    }
}

#[test]
fn storing_into_a_folded_block_without_its_address_space_is_noticed() {
    // Section 5, set_pte; and the checker of I1 sees what comes of it.
    let scene = Scene::folded(config(1), 0);
    let overwrites = || scene.setup.kernel.counters.folded_overwrites.get();
    let set = |page: u64| {
        let (ptr, pte) = (scene.ptr(page), scene.pte(page).with_cont(true));
        scene
            .locked(async |thread| set_pte(thread, ptr, pte).await)
            .expect("sets");
    };
    set(4);
    assert_eq!((overwrites(), scene.raw(4).cont()), (1, false));
    scene.publish();
    let machine = &scene.setup.machine;
    let broken = sw_mm::contpte::check::tables(&scene.setup.kernel, |pa| machine.newest(pa));
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].va, scene.va(4));
    assert!(!scene.setup.machine.violations().is_empty());
    // A block that is not folded takes it.
    let scene = Scene::new(config(1), 0);
    let (ptr, pte) = (scene.ptr(4), scene.pte(4));
    scene
        .locked(async |thread| set_pte(thread, ptr, pte).await)
        .expect("sets");
    assert_eq!(scene.setup.kernel.counters.folded_overwrites.get(), 0);
    scene.judge();
}

#[test]
fn a_page_swapped_out_leaves_no_hint_beside_it() {
    // CONTPTE-32.
    for config in variants(1) {
        let scene = Scene::folded(config, 0);
        let (space, ptr) = (&scene.space, scene.ptr(11));
        let swapped = Pte::swap(sw_mm::pte::SwapEntry(77), true);
        scene.maintenance();
        scene
            .locked(async |thread| {
                let old = sw_mm::contpte::clear_flush(thread, space, ptr).await?;
                assert!(!old.cont());
                set_ptes(thread, space, ptr, swapped, 1).await
            })
            .expect("swaps");
        let ops = scene.thread.cpu.take();
        assert_eq!((scene.unfolds(), scene.hints(0..scene.n)), (1, 0));
        assert_eq!(scene.raw(11), swapped);
        // The swap entry comes behind the unfold, which was in force by then.
        let flushed = ops.iter().position(|op| *op == Op::Dsb(DsbKind::ISH));
        let stored = Op::Write(ptr.slot, swapped.0);
        let stored = ops.iter().position(|op| *op == stored);
        assert!(flushed.is_some() && flushed < stored);
        let gone = scene.load(0, scene.va(11)).map_err(|f| f.fsc.kind());
        assert_eq!(gone, Err(Some(FaultKind::Translation)));
        scene.load(0, scene.va(12)).expect("still mapped");
        scene.judge();
    }
}
