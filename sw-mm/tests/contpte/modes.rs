// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Contiguous mappings switched off, and on cores that change the contiguous bit in place.

use crate::kernel::{config, variants};
use crate::{Op, Scene};
use sw_mm::block_on;
use sw_mm::contpte::{
    clear_flush_young, clear_ptes, get, get_and_clear, get_lockless, set_access_flags, set_pte,
    set_ptes, set_wrprotects, test_and_clear_young,
};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::Error;
use sw_mm::pte::raw;
use vmsa::FaultKind;

fn off(mut config: KernelConfig) -> Scene {
    config.contpte.enabled = false;
    Scene::new(config, 1)
}

/// Public and raw operations in pairs, on a table each; what both return.
async fn operate(scene: &Scene, public: bool) -> Result<Vec<u64>, Error> {
    let (thread, space, n) = (&scene.thread, &scene.space, scene.n);
    let ptr = |page| scene.ptr(page);
    let hinted = scene.pte(0).with_cont(true);
    let mut out = Vec::new();
    let _ptl = scene.table.lock.lock(&thread.held).await;
    if public {
        set_ptes(thread, space, ptr(0), hinted, 2 * n - 1).await?;
        set_ptes(thread, space, ptr(2 * n - 1), scene.pte(2 * n - 1), 1).await?;
        set_pte(thread, ptr(3), scene.pte(3).with_cont(true)).await?;
        out.push(get(thread, ptr(3)).await?.0);
        out.push(get_lockless(thread, ptr(4)).await?.0);
        out.push(u64::from(
            test_and_clear_young(thread, space, ptr(4)).await?,
        ));
        out.push(u64::from(clear_flush_young(thread, space, ptr(5)).await?));
        set_wrprotects(thread, space, ptr(1), n).await?;
        let wanted = scene.pte(6).make_dirty();
        out.push(u64::from(
            set_access_flags(thread, space, ptr(6), wanted, true).await?,
        ));
        out.push(get_and_clear(thread, space, ptr(7)).await?.0);
        out.push(clear_ptes(thread, space, ptr(8), 1).await?.0);
    } else {
        raw::set_many(thread, ptr(0), hinted, 2 * n - 1).await?;
        raw::set_many(thread, ptr(2 * n - 1), scene.pte(2 * n - 1), 1).await?;
        raw::set(thread, ptr(3), scene.pte(3).with_cont(true)).await?;
        out.push(raw::get(thread, ptr(3)).await?.0);
        out.push(raw::get(thread, ptr(4)).await?.0);
        out.push(u64::from(raw::test_and_clear_young(thread, ptr(4)).await?));
        out.push(u64::from(raw::test_and_clear_young(thread, ptr(5)).await?));
        thread.flush_page_nosync(space, ptr(5).va).await;
        for page in 1..=n {
            raw::set_wrprotect(thread, ptr(page)).await?;
        }
        let wanted = scene.pte(6).make_dirty();
        out.push(u64::from(
            raw::set_access_flags(thread, ptr(6), wanted).await?,
        ));
        thread.flush_page(space, ptr(6).va).await;
        out.push(raw::get_and_clear(thread, ptr(7)).await?.0);
        out.push(raw::get_and_clear(thread, ptr(8)).await?.0);
    }
    Ok(out)
}

#[test]
fn switched_off_every_operation_is_its_raw_one() {
    // CONTPTE-34: the same results, the same writes, barriers and invalidations in the same order.
    for config in variants(1) {
        let scenes = [off(config.clone()), off(config)];
        let [public, raw] = [true, false].map(|public| {
            let scene = &scenes[usize::from(!public)];
            let out = block_on(operate(scene, public)).expect("no fault");
            (out, scene.thread.cpu.take())
        });
        assert_eq!(public, raw);
        for page in 0..2 * scenes[0].n {
            assert_eq!(scenes[0].raw(page), scenes[1].raw(page));
        }
        assert_eq!(scenes[0].folds() + scenes[0].unfolds(), 0);
    }
}

fn bbm2(mut config: KernelConfig) -> KernelConfig {
    config.contpte.bbm2_noabort = true;
    config
}

#[test]
fn with_bbm_level_2_conversions_do_not_invalidate() {
    // CONTPTE-35: the trace of a fold and of an unfold.
    for config in variants(1) {
        let scene = Scene::new(bbm2(config), 0);
        for page in 0..scene.n {
            scene.set(page, scene.pte(page), 1);
            scene.load(0, scene.va(page)).expect("mapped");
        }
        assert_eq!((scene.folds(), scene.hints(0..scene.n)), (1, scene.n));
        scene.set(5, scene.pte(5).with_execute(true), 1);
        assert_eq!((scene.unfolds(), scene.hints(0..scene.n)), (1, 0));
        let (tlbis, dsbs) = scene.maintenance();
        assert_eq!((tlbis.len(), dsbs), (0, 0));
        // All members were gone in between all the same.
        let violations = scene.setup.machine.violations();
        assert!(violations.is_empty(), "{}", violations[0]);
    }
}

#[test]
fn with_bbm_level_2_the_flush_of_the_caller_removes_the_run() {
    // CONTPTE-35: TLB state; write permission is taken from one page.
    for config in variants(2) {
        let scene = Scene::folded(bbm2(config), 0);
        let (space, ptr) = (&scene.space, scene.ptr(6));
        let runs = || {
            let held = (0..2).map(|core| {
                let leaves = scene.setup.machine.cached_leaves(core);
                leaves.iter().filter(|e| e.run && e.va < 1 << 48).count()
            });
            held.sum::<usize>()
        };
        scene
            .locked(async |thread| set_wrprotects(thread, space, ptr, 1).await)
            .expect("protects");
        scene.publish();
        assert_eq!(runs(), 2, "stale, as permitted");
        let ops = scene.thread.cpu.take();
        assert!(!ops.iter().any(|op| matches!(op, Op::Tlbi(_))));
        block_on(scene.thread.flush_page(space, ptr.va));
        assert_eq!(runs(), 0);
        for core in 0..2 {
            let refused = scene.store(core, ptr.va).map_err(|f| f.fsc.kind());
            assert_eq!(refused, Err(Some(FaultKind::Permission)));
            scene.load(core, scene.va(7)).expect("mapped");
        }
        scene.judge();
    }
}

#[test]
fn without_bbm_level_2_a_conversion_has_to_invalidate() {
    // CONTPTE-10: what the kernel does for level 2, on a core of level 0.
    let scene = Scene::folded(config(1), 0);
    scene
        .locked(async |thread| {
            for page in 0..16 {
                raw::get_and_clear(thread, scene.ptr(page)).await?;
            }
            raw::set_many(thread, scene.ptr(0), scene.pte(0), 16).await
        })
        .expect("stores");
    scene.publish();
    let violations = scene.setup.machine.violations();
    assert!(violations.iter().any(|v| v.reason == "contiguous bit"));
}
