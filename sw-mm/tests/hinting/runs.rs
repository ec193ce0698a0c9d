// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Marked pages of contiguous runs, and marked pages that move or leave memory.

use super::kernel::{boot, config, map, variants};
use super::{PAGE, VA, hints, run};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::contpte::block_pages;
use sw_mm::kernel::KernelConfig;
use sw_mm::migrate::MigrateMode;
use sw_mm::mm::{AddressSpace, Error, Protection, Signal};
use sw_mm::page::NodeId;
use sw_mm::pte::Kind;

#[test]
fn a_folded_block_is_marked_as_a_whole_and_folded_again_by_one_fault() {
    // MM-28, CONTPTE-27.
    for config in variants(2) {
        let (granule, page) = (config.granule, config.granule.bytes());
        let n = block_pages(granule);
        let setup = boot(KernelConfig {
            anonymous_orders: vec![n.trailing_zeros() as u8],
            ..config
        });
        run(&setup, async |threads, space| {
            let [thread, other] = threads else {
                panic!("two cores");
            };
            let va = |index: u64| VA + index * page;
            map(other, VA, n * page).await?;
            for index in 0..n {
                other.user_store(va(index), Double, index + 1).await?;
            }
            let cont = |space: &Rc<AddressSpace>| {
                let hinted = (0..n).filter(|&index| setup.entry(space, va(index)).cont());
                hinted.count() as u64
            };
            assert_eq!(cont(space), n);
            let counters = &setup.kernel.counters;
            let before = setup.entry(space, va(3));
            assert_eq!(thread.hint_scan(space, VA, va(n)).await?, n);
            assert_eq!(counters.unfolds.get(), 0, "nothing of it is left");
            for index in 0..n {
                let entry = setup.entry(space, va(index));
                assert_eq!(entry.kind(), Kind::ProtNone);
                assert!(!entry.cont());
            }
            for (reader, index) in [(other, 5), (thread, 0), (thread, n - 1)] {
                assert_eq!(reader.user_load(va(index), Double).await?, index + 1);
            }
            assert_eq!(hints(&setup), 1);
            assert_eq!((cont(space), counters.folds.get()), (n, 1));
            assert_eq!(setup.entry(space, va(3)), before);
            // A part of it: the rest stays, in pages.
            assert_eq!(thread.hint_scan(space, va(2), va(5)).await?, 3);
            assert_eq!((cont(space), counters.unfolds.get()), (0, 1));
            for index in (0..n).rev() {
                let marked = (2..5).contains(&index);
                let kind = setup.entry(space, va(index)).kind();
                assert_eq!(kind == Kind::ProtNone, marked, "page {index}");
            }
            for index in (0..n).rev() {
                assert_eq!(other.user_load(va(index), Double).await?, index + 1);
            }
            assert_eq!(hints(&setup), 2, "one for what was marked together");
            Ok(())
        });
    }
}

#[test]
fn marked_pages_move_and_leave_memory_with_what_is_in_them() {
    // MM-24, MM-26.
    let setup = boot(config(2));
    run(&setup, async |threads, space| {
        let [thread, other] = threads else {
            panic!("two cores");
        };
        map(other, VA, 3 * PAGE).await?;
        for index in 0..3 {
            let va = VA + index * PAGE;
            other.user_store(va, Double, index + 1).await?;
        }
        let folios = [0, 1, 2].map(|index| setup.folio(space, VA + index * PAGE));
        assert_eq!(thread.hint_scan(space, VA, VA + 3 * PAGE).await?, 3);
        // What moves was looked at, so that it is marked no longer.
        thread
            .migrate(&folios[0], NodeId(0), MigrateMode::Sync)
            .await?;
        assert_eq!(setup.entry(space, VA).kind(), Kind::Present);
        assert_eq!(setup.folio(space, VA).node(), NodeId(0));
        thread.swap_out(&folios[1]).await?;
        let out = setup.entry(space, VA + PAGE).kind();
        assert!(matches!(out, Kind::Swap { .. }), "{out:?}");
        // Nobody may use the third, wherever it is.
        let va = VA + 2 * PAGE;
        thread.mprotect(va, PAGE, Protection::NONE).await?;
        thread
            .migrate(&folios[2], NodeId(0), MigrateMode::Sync)
            .await?;
        assert_eq!(setup.entry(space, va).kind(), Kind::ProtNone);
        let signal = Signal::Segv;
        let refused = other.user_load(va, Double).await;
        assert_eq!(refused, Err(Error::Signal { signal, va }));
        thread.mprotect(va, PAGE, Protection::READ).await?;
        for index in 0..3 {
            let va = VA + index * PAGE;
            assert_eq!(other.user_load(va, Double).await?, index + 1);
        }
        assert_eq!(hints(&setup), 0);
        Ok(())
    });
}
