// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Each checker of section 9 fires on the fault that it is for.

use crate::kernel::{config, map};
use crate::{Scene, VA, boot_watched};
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::contpte::check::{self, Broken, Invariant};
use sw_mm::contpte::set_wrprotects;
use sw_mm::event::{Activity, OsEvent, Phase};
use sw_mm::mm::Error;
use sw_mm::pte::{Pte, raw};

fn invariants(broken: &[Broken]) -> Vec<Invariant> {
    broken.iter().map(|b| b.invariant).collect()
}

#[test]
fn a_table_with_a_torn_run_is_found() {
    // I1, and I2 under the lock.
    let scene = Scene::folded(config(1), 0);
    let machine = &scene.setup.machine;
    let tables = || check::tables(&scene.setup.kernel, |pa| machine.newest(pa));
    assert_eq!(tables(), []);
    scene.poke(6, scene.pte(7).with_cont(true));
    let found = tables();
    assert_eq!(invariants(&found), [Invariant::I1]);
    assert_eq!(found[0].va, scene.va(6));
    assert!(found[0].to_string().contains("frame is not the next"));
    let found = scene.locked(async |_| tables());
    assert_eq!(invariants(&found), [Invariant::I2]);
    scene.poke(6, Pte::NONE);
    assert_eq!(invariants(&tables()), [Invariant::I1]);
    assert_eq!(scene.locked(async |_| tables()), [], "a clear in progress");
}

/// The TLB has a page of a block that is then folded without an invalidation.
fn folded_over(change: impl Fn(Pte) -> Pte) -> Vec<Broken> {
    let scene = Scene::new(config(1), 1);
    scene.set(3, scene.pte(3), 1);
    scene.load(0, scene.va(3)).expect("mapped");
    for page in 0..16 {
        scene.poke(page, change(scene.pte(page)).with_cont(true));
    }
    scene.load(0, scene.va(5)).expect("mapped");
    let leaves = scene.setup.machine.cached_leaves(0);
    assert_eq!(check::tlb(&leaves, true).len(), {
        let elsewhere = change(scene.pte(0)).norm().pfn(scene.granule);
        usize::from(elsewhere != scene.pte(0).pfn(scene.granule))
    });
    check::tlb(&leaves, false)
}

#[test]
fn a_tlb_with_two_meanings_of_a_page_is_found() {
    // I3.
    assert_eq!(folded_over(|pte| pte), []);
    assert_eq!(folded_over(|pte| pte.make_dirty()), []);
    let moved = folded_over(|pte| pte.advance(vmsa::Granule::K4, 16));
    assert_eq!(invariants(&moved), [Invariant::I3]);
    assert!(moved[0].to_string().contains("leads elsewhere"));
    let protected = folded_over(|pte| pte.write_protect());
    assert_eq!(invariants(&protected), [Invariant::I3]);
    assert!(protected[0].to_string().contains("permission"));
}

#[test]
fn a_block_cleared_but_still_held_is_found() {
    // I4, on either core; with the flush it is gone.
    let scene = Scene::folded(config(2), 0);
    let (asid, bytes) = (scene.space.context.asid(), 16 * scene.granule.bytes());
    let held = |asid, va| -> Vec<_> {
        let leaves = (0..2).flat_map(|core| scene.setup.machine.cached_leaves(core));
        let leaves: Vec<_> = leaves.collect();
        check::cleared_block(&leaves, asid, va, bytes)
    };
    scene
        .locked(async |thread| {
            for page in 0..16 {
                raw::get_and_clear(thread, scene.ptr(page)).await?;
            }
            Ok::<_, Error>(())
        })
        .expect("clears");
    let found = held(asid, VA);
    assert_eq!(invariants(&found), [Invariant::I4; 2]);
    assert_eq!([found[0].core, found[1].core], [Some(0), Some(1)]);
    assert_eq!(held(asid, VA + bytes), []);
    assert_eq!(held(asid + 1, VA), []);
    block_on(scene.thread.flush_mm(&scene.space));
    assert_eq!(held(asid, VA), []);
}

#[test]
fn a_page_freed_while_a_tlb_has_it_is_found() {
    // I5.
    let scene = Scene::folded(config(1), 0);
    let pa = scene.setup.kernel.pa(scene.folio.pfn());
    let reach = |pa| check::freed(&scene.setup.machine.translations_to(pa, 0x1000));
    assert_eq!(invariants(&reach(pa + 0x7000)), [Invariant::I5]);
    assert_eq!(reach(pa + 0x1_0000), []);
}

#[test]
fn the_witness_sees_what_the_checkers_see() {
    // A frame given back too early, a conversion that did not flush, and a run left mixed.
    let (setup, watch) = boot_watched(sw_mm::kernel::KernelConfig {
        anonymous_orders: vec![4],
        ..config(1)
    });
    let space = setup.space();
    let thread = &setup.threads[0];
    block_on(async {
        map(thread, VA, 0x1_0000).await?;
        thread.user_store(VA, Double, 1).await
    })
    .expect("maps");
    watch.judge();
    let asid = space.context.asid();
    let leaves = setup.machine.cached_leaves(0);
    let run = leaves.iter().find(|e| e.run && e.asid == asid);
    let pa = run.expect("a run").pa;
    let event = |phase, activity, pa| OsEvent {
        core: 0,
        phase,
        activity,
        space: space.number(),
        va: VA,
        pa,
        bytes: 0x1_0000,
    };
    let fired = |events: &[(Phase, Activity)]| {
        for &(phase, activity) in events {
            setup.kernel.tell(&event(phase, activity, pa));
        }
        watch.take()
    };
    let conversion = [
        (Phase::Begin, Activity::Unfold),
        (Phase::Begin, Activity::Flush),
        (Phase::End, Activity::Flush),
        (Phase::End, Activity::Unfold),
    ];
    assert_eq!(invariants(&fired(&conversion)), [Invariant::I4]);
    let freed = [(Phase::Instant, Activity::FrameFreed)];
    assert_eq!(invariants(&fired(&freed)), [Invariant::I5]);
    assert_eq!(fired(&[]), []);
}

#[test]
fn a_run_write_protected_in_part_by_force_is_found() {
    // I1 and the monitor of the machine; the operation itself would have unfolded it.
    let scene = Scene::folded(config(1), 0);
    scene
        .locked(async |thread| {
            for page in 0..5 {
                raw::set_wrprotect(thread, scene.ptr(page)).await?;
            }
            thread.flush_mm(&scene.space).await;
            Ok::<_, Error>(())
        })
        .expect("protects");
    let machine = &scene.setup.machine;
    let found = check::tables(&scene.setup.kernel, |pa| machine.newest(pa));
    assert_eq!(invariants(&found), [Invariant::I1]);
    let violations = machine.violations();
    assert!(violations.len() == 1 && violations[0].reason.contains("left mixed"));
    // Made whole, it is in order again.
    let (space, ptr) = (&scene.space, scene.ptr(0));
    scene
        .locked(async |thread| set_wrprotects(thread, space, ptr, 16).await)
        .expect("protects");
    scene.judge();
}
