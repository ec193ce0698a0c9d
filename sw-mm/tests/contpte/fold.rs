// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When blocks fold, when not, and how (contpte sections 2 to 4).

use crate::kernel::{config, variants};
use crate::{Op, Scene, VA};
use std::rc::Rc;
use sw_mm::contpte::{block_pages, get_and_clear, set_ptes};
use sw_mm::folio::Folio;
use sw_mm::kernel::KernelConfig;
use sw_mm::pte::Pte;
use vmsa::{DsbKind, Granule};

fn granules() -> impl Iterator<Item = KernelConfig> {
    Granule::ALL.into_iter().map(|granule| KernelConfig {
        granule,
        ..config(1)
    })
}

#[test]
fn a_block_has_the_entries_that_one_tlb_entry_reaches() {
    // CONTPTE-01.
    let pages = [Granule::K4, Granule::K16, Granule::K64].map(block_pages);
    assert_eq!(pages, [16, 128, 32]);
    for config in granules() {
        let scene = Scene::folded(config, 0);
        let leaves = scene.setup.machine.cached_leaves(0);
        let user = leaves.iter().find(|e| e.va < 1 << 48).expect("a user leaf");
        assert!(user.run);
        assert_eq!((user.va, user.bytes), (VA, scene.n * scene.granule.bytes()));
        scene.judge();
    }
}

#[test]
fn whole_blocks_are_born_folded_without_an_invalidation() {
    // CONTPTE-02.
    for config in variants(1) {
        let scene = Scene::new(config, 1);
        scene.set(0, scene.pte(0), 2 * scene.n);
        assert_eq!(scene.hints(0..2 * scene.n), 2 * scene.n);
        for page in 0..2 * scene.n {
            assert_eq!(scene.raw(page), scene.pte(page).with_cont(true));
        }
        let (tlbis, _) = scene.maintenance();
        assert!(tlbis.is_empty());
        assert_eq!(scene.folds(), 0);
        scene.judge();
    }
}

#[test]
fn only_sub_runs_aligned_in_both_address_spaces_are_born_folded() {
    // CONTPTE-03.
    for config in granules() {
        let scene = Scene::new(config, 2);
        let n = scene.n;
        // The first block lacks its first three pages, the last its last five.
        scene.set(3, scene.pte(3), 4 * n - 8);
        assert_eq!(scene.hints(0..n), 0);
        assert_eq!(scene.hints(n..3 * n), 2 * n);
        assert_eq!(scene.hints(3 * n..4 * n), 0);
        scene.judge();
        // The same frames, one page further on in virtual memory.
        let scene = Scene::new(scene.setup.kernel.config().clone(), 2);
        scene.set(1, scene.pte(0), 4 * n - 1);
        assert_eq!(scene.hints(0..4 * n), 0);
        assert_eq!(scene.raw(n), scene.pte(n - 1));
        scene.judge();
    }
}

#[test]
fn a_block_filled_upwards_folds_with_its_last_entry() {
    // CONTPTE-04.
    for config in variants(1) {
        let scene = Scene::new(config, 0);
        for page in 0..scene.n {
            assert_eq!((scene.hints(0..scene.n), scene.folds()), (0, 0), "{page}");
            // The TLB holds single pages of it by then.
            if page > 0 {
                scene.load(0, scene.va(page - 1)).expect("mapped");
            }
            scene.maintenance();
            scene.set(page, scene.pte(page), 1);
        }
        let (tlbis, dsbs) = scene.maintenance();
        assert!(tlbis.len() == 1 && scene.covers_block(tlbis[0], 0));
        assert_eq!((dsbs, scene.folds()), (1, 1));
        assert_eq!(scene.hints(0..scene.n), scene.n);
        for page in 0..scene.n {
            scene.load(0, scene.va(page)).expect("mapped");
        }
        scene.judge();
    }
}

#[test]
fn a_block_filled_downwards_stays_unfolded() {
    // CONTPTE-05.
    for config in granules() {
        let scene = Scene::new(config, 0);
        for page in (0..scene.n).rev() {
            scene.set(page, scene.pte(page), 1);
        }
        assert_eq!((scene.hints(0..scene.n), scene.folds()), (0, 0));
        scene.judge();
    }
}

/// Two folios of half a block each in consecutive frames, aligned together.
fn halves(scene: &Scene) -> Option<[Rc<Folio>; 2]> {
    let order = scene.n.trailing_zeros() as u8 - 1;
    let some: Vec<_> = (0..8)
        .map(|_| Scene::folio_of(&scene.setup, order))
        .collect();
    let low = some.iter().find(|low| {
        let aligned = low.pfn().0 & (scene.n - 1) == 0;
        aligned && some.iter().any(|f| f.pfn().0 == low.pfn().0 + scene.n / 2)
    })?;
    let high = some
        .iter()
        .find(|f| f.pfn().0 == low.pfn().0 + scene.n / 2)?;
    Some([Rc::clone(low), Rc::clone(high)])
}

#[test]
fn a_block_of_two_folios_stays_unfolded() {
    // CONTPTE-06.
    for config in granules() {
        let scene = Scene::new(config, 0);
        let [low, _high] = halves(&scene).expect("neighbours");
        for page in 0..scene.n {
            let pte = Pte::page(scene.granule, low.pfn()).with_young(true);
            scene.set(page, pte.advance(scene.granule, page as i64), 1);
        }
        assert_eq!((scene.hints(0..scene.n), scene.folds()), (0, 0));
        scene.judge();
    }
}

/// Maps a block page by page, page `odd` changed.
fn filled(config: KernelConfig, odd: u64, change: impl Fn(Pte) -> Pte) -> Scene {
    let scene = Scene::new(config, 0);
    for page in 0..scene.n {
        let pte = scene.pte(page);
        scene.set(page, if page == odd { change(pte) } else { pte }, 1);
    }
    scene
}

#[test]
fn a_block_whose_entries_differ_in_an_attribute_stays_unfolded() {
    // CONTPTE-07.
    let changes: [fn(Pte) -> Pte; 9] = [
        |pte| pte.write_protect(),
        |pte| Pte(pte.descriptor().with_ap_el0(false).0),
        |pte| pte.with_execute(true),
        |pte| Pte(pte.descriptor().with_pxn(false).0),
        |pte| Pte(pte.descriptor().with_attr_index(1).0),
        |pte| Pte(pte.descriptor().with_sh(2).0),
        |pte| Pte(pte.0 | 1 << 57),
        |pte| pte.make_prot_none(),
        |_| Pte::NONE,
    ];
    for change in changes {
        for odd in [0, 9, 15] {
            let scene = filled(config(1), odd, change);
            assert_eq!((scene.hints(0..16), scene.folds()), (0, 0), "page {odd}");
            scene.judge();
        }
    }
}

#[test]
fn entries_that_differ_in_access_flag_or_dirty_state_fold_and_share_it() {
    // CONTPTE-08.
    type Case = (fn(Pte) -> Pte, fn(Pte) -> bool);
    let cases: [Case; 3] = [
        (|pte| pte.make_dirty(), |pte| pte.dirty()),
        (
            |pte| Pte(pte.descriptor().with_ap_read_only(false).0),
            |pte| pte.hardware_dirty(),
        ),
        (|pte| pte.with_young(false), |pte| pte.young()),
    ];
    for config in granules() {
        for (change, has) in cases {
            for odd in [2, block_pages(config.granule) - 1] {
                let scene = filled(config.clone(), odd, change);
                assert_eq!((scene.folds(), scene.hints(0..scene.n)), (1, scene.n));
                assert!((0..scene.n).all(|page| has(scene.raw(page))), "page {odd}");
                let frames = (0..scene.n).map(|page| scene.raw(page).pfn(scene.granule).0);
                assert!(frames.eq(scene.folio.pfn().0..scene.folio.pfn().0 + scene.n));
                scene.judge();
            }
        }
    }
}

#[test]
fn special_entries_never_fold() {
    // CONTPTE-09.
    for config in granules() {
        let scene = Scene::new(config, 0);
        scene.set(0, scene.pte(0).make_special(), scene.n);
        assert_eq!(scene.hints(0..scene.n), 0);
        let scene = filled(scene.setup.kernel.config().clone(), 99_999, |pte| pte);
        assert_eq!(scene.folds(), 1, "they would but for the mark");
        let scene = Scene::new(scene.setup.kernel.config().clone(), 0);
        for page in 0..scene.n {
            scene.set(page, scene.pte(page).make_special(), 1);
        }
        assert_eq!((scene.hints(0..scene.n), scene.folds()), (0, 0));
        scene.judge();
    }
}

#[test]
fn entries_that_are_no_page_keep_the_bit_of_the_hint() {
    // A slot of the swap area may have it set.
    let scene = Scene::folded(config(1), 0);
    let swapped = Pte::swap(sw_mm::pte::SwapEntry(1 << 40), false);
    assert!(swapped.cont());
    let (space, ptr) = (&scene.space, scene.ptr(4));
    scene
        .locked(async |thread| {
            get_and_clear(thread, space, ptr).await?;
            thread.flush_page(space, ptr.va).await;
            set_ptes(thread, space, ptr, swapped, 1).await
        })
        .expect("sets");
    assert_eq!(scene.raw(4), swapped);
    scene.judge();
}

#[test]
fn conversions_clear_all_then_invalidate_then_write() {
    // CONTPTE-10: of a fold and of an unfold.
    for config in granules() {
        let scene = Scene::new(config, 0);
        let n = scene.n as usize;
        for page in 0..scene.n - 1 {
            scene.set(page, scene.pte(page), 1);
        }
        scene.thread.cpu.take();
        scene.set(scene.n - 1, scene.pte(scene.n - 1), 1);
        let mut fold = scene.thread.cpu.take();
        // The entry that completes the block, and what makes it visible.
        fold.remove(0);
        if fold[0] == Op::Dsb(DsbKind::ISHST) {
            fold.remove(0);
        }
        let (space, ptr) = (&scene.space, scene.ptr(5));
        scene
            .locked(async |thread| get_and_clear(thread, space, ptr).await)
            .expect("clears");
        let unfold = scene.thread.cpu.take();
        for (ops, hint) in [(fold, true), (unfold, false)] {
            for (page, op) in ops[..n].iter().enumerate() {
                assert_eq!(*op, Op::Write(scene.ptr(page as u64).slot, 0));
            }
            assert_eq!(ops[n], Op::Dsb(DsbKind::ISHST));
            assert!(matches!(ops[n + 1], Op::Tlbi(op) if scene.covers_block(op, 0)));
            assert_eq!(ops[n + 2], Op::Dsb(DsbKind::ISH));
            for (page, op) in ops[n + 3..][..n].iter().enumerate() {
                let entry = scene.pte(page as u64).with_cont(hint);
                assert_eq!(*op, Op::Write(scene.ptr(page as u64).slot, entry.0));
            }
        }
        scene.judge();
    }
}
