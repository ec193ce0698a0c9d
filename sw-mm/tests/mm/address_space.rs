// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! System calls and faults of one address space and its children, on the functional machine.

use crate::kernel::{boot, config, map, variants};
use sw_mm::AccessSize::Double;
use sw_mm::Cpu;
use sw_mm::block_on;
use sw_mm::mm::{Error, Protection, Signal};
use vmsa::{DsbKind, Granule};

const VA: u64 = 0x4000_0000;

#[test]
fn a_page_reads_as_zero_and_keeps_what_is_written() {
    // MM-07.
    for config in variants(1) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let thread = &setup.threads[0];
        let before = setup.used();
        let space = setup.space();
        block_on(async {
            map(thread, VA, 8 * page).await?;
            assert_eq!(thread.user_load(VA + 8, Double).await?, 0);
            assert_eq!(space.resident.get(), 0, "the zero page counts for nobody");
            thread.user_store(VA + 8, Double, 77).await?;
            assert_eq!(thread.user_load(VA + 8, Double).await?, 77);
            assert_eq!(thread.user_load(VA, Double).await?, 0);
            assert_eq!(space.resident.get(), 1);
            thread.munmap(VA, 8 * page).await?;
            let gone = thread.user_load(VA + 8, Double).await;
            let signal = Signal::Segv;
            assert_eq!(gone, Err(Error::Signal { signal, va: VA + 8 }));
            thread.exit().await
        })
        .expect("no error");
        drop(space);
        assert_eq!(setup.used(), before, "MM-30");
        setup.judge();
    }
}

#[test]
fn parent_and_child_do_not_see_what_the_other_writes_after_fork() {
    // MM-08, MM-16.
    for config in variants(2) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let before = setup.used();
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        let _parent = setup.space();
        block_on(async {
            map(thread, VA, 40 * page).await?;
            for index in 0..40 {
                thread
                    .user_store(VA + index * page, Double, index + 1)
                    .await?;
            }
            let child = thread.fork().await?;
            other.switch_to(&child).await;
            for index in (0..40).step_by(2) {
                thread.user_store(VA + index * page, Double, 1000).await?;
                other
                    .user_store(VA + (index + 1) * page, Double, 2000)
                    .await?;
            }
            for index in 0..40 {
                let va = VA + index * page;
                let even = index % 2 == 0;
                let mine = if even { 1000 } else { index + 1 };
                let its = if even { index + 1 } else { 2000 };
                assert_eq!(thread.user_load(va, Double).await?, mine);
                assert_eq!(other.user_load(va, Double).await?, its);
            }
            thread.exit().await?;
            other.exit().await
        })
        .expect("no error");
        assert_eq!(setup.used(), before, "MM-30");
        setup.judge();
    }
}

#[test]
fn write_permission_taken_away_is_gone_on_every_core() {
    // MM-14.
    let setup = boot(config(2));
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    let space = setup.space();
    let page = Granule::K4.bytes();
    block_on(async {
        other.switch_to(&space).await;
        map(thread, VA, 4 * page).await?;
        other.user_store(VA, Double, 5).await?;
        thread.mprotect(VA, 4 * page, Protection::READ).await?;
        let signal = Signal::Segv;
        let refused = Err(Error::Signal { signal, va: VA });
        assert_eq!(other.user_store(VA, Double, 6).await, refused);
        assert_eq!(other.user_load(VA, Double).await?, 5);
        thread
            .mprotect(VA, 4 * page, Protection::READ_WRITE)
            .await?;
        other.user_store(VA, Double, 7).await?;
        other.cpu.dsb(DsbKind::ISH).await;
        assert_eq!(thread.user_load(VA, Double).await?, 7);
        assert_eq!(space.areas().len(), 1, "one area again");
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.judge();
}

#[test]
fn an_access_across_two_pages_gets_both() {
    for config in variants(1) {
        let page = config.granule.bytes();
        let setup = boot(config);
        let thread = &setup.threads[0];
        let _space = setup.space();
        block_on(async {
            map(thread, VA, 2 * page).await?;
            thread.user_store(VA, Double, 1).await?;
            let va = VA + page - 3;
            thread.user_store(va, Double, 0x0102_0304_0506_0708).await?;
            assert_eq!(thread.user_load(va, Double).await?, 0x0102_0304_0506_0708);
            Ok::<_, Error>(())
        })
        .expect("no error");
        setup.judge();
    }
}
