// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The witness of frames: silent for a kernel that flushes, and shown to fire.

use crate::kernel::{Setup, boot_with, config, map};
use std::cell::RefCell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::functional::{FrameSafety, Target, UnsafeFrame};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Error};
use sw_mm::page::{NodeId, Request};
use sw_mm::{Activity, OsEvent, Witness, block_on};

const VA: u64 = 0x4000_0000;
const PAGE: u64 = 0x1000;

/// Hears of frames once the machine is there.
#[derive(Default)]
struct Late(RefCell<Option<Rc<FrameSafety>>>);

impl Witness for Late {
    fn os(&self, event: &OsEvent) {
        if let Some(safety) = &*self.0.borrow() {
            safety.os(event);
        }
    }
}

/// Two cores that share few ASIDs, and their witness.
fn watched(asids: u32, knows_asids: bool) -> (Setup, Rc<FrameSafety>) {
    let late = Rc::new(Late::default());
    let setup = boot_with(KernelConfig { asids, ..config(2) }, late.clone());
    let safety = FrameSafety::new(&setup.machine, Rc::new(sw_mm::NoWitness));
    if knows_asids {
        safety.of(&setup.kernel);
    }
    *late.0.borrow_mut() = Some(safety.clone());
    (setup, safety)
}

fn activities(safety: &FrameSafety) -> Vec<(Activity, Target)> {
    let of = |v: &UnsafeFrame| (v.activity, v.cached.target);
    safety.violations().iter().map(of).collect()
}

#[test]
fn frames_of_a_kernel_that_flushes_are_safe() {
    // MM-02, MM-05, MM-06.
    let (setup, safety) = watched(65536, true);
    let thread = &setup.threads[0];
    let _space = setup.space();
    block_on(async {
        map(thread, VA, 8 * PAGE).await?;
        thread.user_store(VA, Double, 1).await?;
        let child = thread.fork().await?;
        thread.user_store(VA, Double, 2).await?;
        thread.munmap(VA, PAGE).await?;
        thread.exit_space(&child).await?;
        thread.exit().await
    })
    .expect("no error");
    assert!(safety.frames() > 10);
    assert_eq!(safety.violations(), []);
}

#[test]
fn a_frame_that_comes_or_goes_while_a_tlb_has_it_is_found() {
    // MM-02, MM-06.
    let (setup, safety) = watched(65536, true);
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, PAGE).await?;
        thread.user_store(VA, Double, 1).await
    })
    .expect("no error");
    assert_eq!(space.resident.get(), 1);
    let leaves = setup.machine.cached_leaves(0);
    let leaf = leaves.iter().find(|leaf| leaf.va == VA).expect("cached");
    let pfn = sw_mm::page::Pfn(leaf.pa / PAGE);
    let folio = setup.kernel.frames.folio(pfn).expect("mapped");
    // What an unmapping without flush does.
    setup.kernel.put_folio(0, &folio, 1);
    let leaves = [(Activity::FrameFreed, Target::Leaf)];
    assert_eq!(activities(&safety), leaves);
    let request = Request::new(0, folio.node()).movable();
    let again = setup.kernel.allocate_folio(1, &request).expect("memory");
    assert_eq!(again.0.pfn(), pfn);
    let both = [leaves[0], (Activity::FrameAllocated, Target::Leaf)];
    assert_eq!(activities(&safety), both);
    let text = safety.violations()[1].to_string();
    let expected = "frame-allocated by core 1: 0x1000 bytes at ";
    assert!(text.starts_with(expected), "{text}");
    // Of a block that is larger, too.
    let request = Request::new(3, NodeId(1));
    let other = setup.kernel.allocate_folio(1, &request).expect("memory");
    assert_eq!(safety.violations().len(), 2, "{:?}", other.0.pfn());
}

/// Frees a page that core 1 has cached under an ASID of the generation before; how many frames are
/// unsafe then.
fn after_rollover(knows_asids: bool) -> usize {
    let (setup, safety) = watched(5, knows_asids);
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    let space = setup.space();
    block_on(async {
        map(thread, VA, PAGE).await?;
        thread.user_store(VA, Double, 1).await?;
        // The other core caches the page, then runs something else and stays there.
        other.switch_to(&space).await;
        other.user_load(VA, Double).await?;
        let mut spaces = Vec::new();
        for _ in 0..4 {
            spaces.push(AddressSpace::new(thread).await?);
        }
        other.switch_to(&spaces[0]).await;
        // The last two ASIDs, and the rollover.
        for next in &spaces[1..] {
            thread.switch_to(next).await;
        }
        thread.switch_to(&space).await;
        Ok::<_, Error>(())
    })
    .expect("no error");
    assert_eq!(setup.kernel.counters.rollovers.get(), 1);
    assert!(setup.kernel.asids.flush_pending(1));
    assert_eq!(safety.violations(), []);
    block_on(thread.munmap(VA, PAGE)).expect("no error");
    let held = setup.machine.cached_leaves(1);
    assert!(held.iter().any(|leaf| leaf.va == VA), "it is still there");
    safety.violations().len()
}

#[test]
fn entries_of_an_asid_that_its_core_cannot_use_any_more_reach_nothing() {
    // MM-18.
    assert_eq!(after_rollover(true), 0);
    assert!(after_rollover(false) > 0);
}
