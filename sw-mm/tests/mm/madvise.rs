// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What areas are told about their pages, and what that changes: no descriptor.

use crate::kernel::{boot, config, map};
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{Advice, Error, Signal};
use vmsa::Granule;

const VA: u64 = 0x4000_0000;
const PAGE: u64 = Granule::K4.bytes();

#[test]
fn advice_cuts_areas_and_joins_them_again_without_a_change_of_a_descriptor() {
    // MM-31.
    let setup = boot(config(1));
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, 8 * PAGE).await?;
        for index in 0..8 {
            thread.user_store(VA + index * PAGE, Double, index).await?;
        }
        let (before, instructions) = (setup.machine.contents(), thread.cpu.traffic());
        let ranges = || -> Vec<_> {
            let areas = space.areas();
            let pages = areas.iter().map(|vma| vma.bytes() / PAGE);
            pages.collect()
        };
        thread
            .madvise(VA + PAGE, 2 * PAGE, Advice::DontFork)
            .await?;
        assert_eq!(ranges(), [1, 2, 5]);
        thread.mlock(VA + 2 * PAGE, 3 * PAGE).await?;
        assert_eq!(ranges(), [1, 1, 1, 2, 3]);
        thread.madvise(VA, 8 * PAGE, Advice::NoHugePage).await?;
        assert_eq!(ranges(), [1, 1, 1, 2, 3]);
        assert!(space.areas().iter().all(|vma| vma.flags().no_huge));
        thread.madvise(VA, 8 * PAGE, Advice::DoFork).await?;
        assert_eq!(ranges(), [2, 3, 3]);
        thread.munlock(VA, 8 * PAGE).await?;
        assert_eq!(ranges(), [8]);
        assert_eq!(setup.machine.contents(), before);
        assert_eq!(thread.cpu.traffic(), instructions, "nothing was executed");
        // A page without an area: nothing is changed.
        let beyond = thread.mlock(VA + 7 * PAGE, 2 * PAGE).await;
        assert_eq!(beyond, Err(Error::NotMapped));
        assert_eq!(ranges(), [8]);
        thread.exit().await
    })
    .expect("no error");
    setup.judge();
}

#[test]
fn a_child_gets_neither_what_it_is_not_to_have_nor_locks_on_memory() {
    let setup = boot(config(2));
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    let before = setup.used();
    let _space = setup.space();
    block_on(async {
        map(thread, VA, 3 * PAGE).await?;
        for index in 0..3 {
            let va = VA + index * PAGE;
            thread.user_store(va, Double, index + 1).await?;
        }
        thread.mlock(VA, PAGE).await?;
        thread.madvise(VA + PAGE, PAGE, Advice::DontFork).await?;
        let child = thread.fork().await?;
        other.switch_to(&child).await;
        assert_eq!(other.user_load(VA, Double).await?, 1);
        assert_eq!(other.user_load(VA + 2 * PAGE, Double).await?, 3);
        let (signal, va) = (Signal::Segv, VA + PAGE);
        let refused = Err(Error::Signal { signal, va });
        assert_eq!(other.user_load(va, Double).await, refused);
        assert!(child.areas().iter().all(|vma| !vma.flags().locked));
        assert_eq!(thread.user_load(va, Double).await?, 2);
        thread.exit().await?;
        other.exit().await
    })
    .expect("no error");
    assert_eq!(setup.used(), before, "MM-30");
    setup.judge();
}

#[test]
fn pages_come_one_by_one_where_no_large_ones_are_wanted() {
    let setup = boot(KernelConfig {
        anonymous_orders: vec![4],
        ..config(1)
    });
    let thread = &setup.threads[0];
    let space = setup.space();
    block_on(async {
        map(thread, VA, 32 * PAGE).await?;
        thread
            .madvise(VA + 16 * PAGE, 16 * PAGE, Advice::NoHugePage)
            .await?;
        thread.user_store(VA, Double, 1).await?;
        assert_eq!(space.resident.get(), 16);
        thread.user_store(VA + 16 * PAGE, Double, 1).await?;
        assert_eq!(space.resident.get(), 17);
        thread.exit().await
    })
    .expect("no error");
    setup.judge();
}
