// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Folded blocks under faults and system calls (contpte sections 6 and 7).

use crate::kernel::{Setup, map, variants};
use crate::{VA, Watch, boot_watched};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::boot::HardwareUpdate;
use sw_mm::contpte::{Cleared, block_pages, clear_young_dirty_ptes};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Error, Found, Protection};
use sw_mm::pte::{Pte, raw};
use sw_mm::{Cpu, block_on};
use vmsa::DsbKind;

struct Os {
    setup: Setup,
    watch: Rc<Watch>,
    space: Rc<AddressSpace>,
    /// Entries of a block, and bytes of a page.
    n: u64,
    page: u64,
}

impl Os {
    /// An area of `blocks` blocks that were written to, so that each is one folded folio.
    fn new(mut config: KernelConfig, blocks: u64) -> Self {
        let n = block_pages(config.granule);
        config.anonymous_orders = vec![n.trailing_zeros() as u8];
        let page = config.granule.bytes();
        let (setup, watch) = boot_watched(config);
        let space = setup.space();
        let os = Self {
            setup,
            watch,
            space,
            n,
            page,
        };
        let thread = &os.setup.threads[0];
        block_on(async {
            map(thread, VA, blocks * n * page).await?;
            for block in 0..blocks {
                let va = os.va(block * n + 2);
                thread.user_store(va, Double, block + 1).await?;
            }
            thread.cpu.dsb(DsbKind::ISH).await;
            Ok::<_, Error>(())
        })
        .expect("maps");
        let folded = |block| os.hints(&os.space, block * n..(block + 1) * n) == n;
        assert!((0..blocks).all(folded));
        assert_eq!(os.conversions(), (0, 0));
        os
    }

    fn va(&self, page: u64) -> u64 {
        VA + page * self.page
    }

    fn conversions(&self) -> (u64, u64) {
        let counters = &self.setup.kernel.counters;
        (counters.folds.get(), counters.unfolds.get())
    }

    fn pte(&self, space: &AddressSpace, page: u64) -> Pte {
        let thread = &self.setup.threads[0];
        block_on(async {
            match space.walk(thread, self.va(page)).await? {
                Found::Table(table) => {
                    let ptr = table.entry(&self.setup.kernel, self.va(page))?;
                    raw::get(thread, ptr).await
                }
                _ => Ok(Pte::NONE),
            }
        })
        .expect("walks")
    }

    fn hints(&self, space: &AddressSpace, pages: std::ops::Range<u64>) -> u64 {
        let hinted = pages.filter(|&page| self.pte(space, page).cont());
        hinted.count() as u64
    }

    fn judge(&self) {
        for thread in &self.setup.threads {
            block_on(thread.cpu.dsb(DsbKind::ISH));
        }
        self.setup.judge();
        self.watch.judge();
        let counters = &self.setup.kernel.counters;
        assert_eq!(counters.folded_overwrites.get(), 0);
    }
}

#[test]
fn a_block_takes_one_access_flag_fault_and_one_dirty_fault() {
    // CONTPTE-21; CONTPTE-22: nobody faults for ever.
    for config in variants(1) {
        let update = config.hardware_update;
        let os = Os::new(config, 1);
        let thread = &os.setup.threads[0];
        block_on(async {
            let Found::Table(table) = os.space.walk(thread, VA).await? else {
                panic!("no table");
            };
            {
                let _ptl = table.lock.lock(&thread.held).await;
                let first = table.entry(&os.setup.kernel, VA)?;
                let what = Cleared {
                    young: true,
                    dirty: true,
                };
                clear_young_dirty_ptes(thread, first, os.n, what).await?;
            }
            thread.flush_mm(&os.space).await;
            let counters = &os.setup.kernel.counters;
            let faults = || {
                let (access, permission) = (
                    counters.access_flag_faults.get(),
                    counters.permission_faults.get(),
                );
                (access, permission, counters.spurious_faults.get())
            };
            let before = faults();
            for page in 0..os.n {
                thread.user_load(os.va(page), Double).await?;
            }
            for page in 0..os.n {
                thread.user_store(os.va(page), Double, page).await?;
            }
            let after = faults();
            let (flag, dirty) = match update {
                HardwareUpdate::None => (1, 1),
                HardwareUpdate::AccessFlag => (0, 1),
                HardwareUpdate::AccessFlagAndDirty => (0, 0),
            };
            assert_eq!((after.0 - before.0, after.1 - before.1), (flag, dirty));
            assert_eq!(after.2, before.2);
            assert_eq!(os.hints(&os.space, 0..os.n), os.n);
            Ok::<_, Error>(())
        })
        .expect("no error");
        assert_eq!(os.conversions(), (0, 0));
        os.judge();
    }
}

#[test]
fn fork_leaves_both_folded_and_read_only_without_a_conversion() {
    // CONTPTE-28; CONTPTE-29: a write of either then unfolds that block in that space only.
    for config in variants(2) {
        let os = Os::new(config, 2);
        let (n, thread, other) = (os.n, &os.setup.threads[0], &os.setup.threads[1]);
        block_on(async {
            let child = thread.fork().await?;
            assert_eq!(os.conversions(), (0, 0));
            for space in [&os.space, &child] {
                assert_eq!(os.hints(space, 0..2 * n), 2 * n);
                assert!((0..2 * n).all(|page| !os.pte(space, page).writable()));
                assert!(os.pte(space, 2).dirty());
            }
            other.switch_to(&child).await;
            thread.user_store(os.va(2), Double, 100).await?;
            assert_eq!(os.conversions(), (0, 1));
            assert_eq!(os.hints(&os.space, 0..n), 0);
            assert_eq!(os.hints(&os.space, n..2 * n), n);
            assert_eq!(os.hints(&child, 0..2 * n), 2 * n);
            assert_eq!(other.user_load(os.va(2), Double).await?, 1);
            assert_eq!(thread.user_load(os.va(2), Double).await?, 100);
            other.user_store(os.va(n + 2), Double, 200).await?;
            assert_eq!(os.conversions(), (0, 2));
            assert_eq!(os.hints(&os.space, n..2 * n), n);
            assert_eq!(os.hints(&child, n..2 * n), 0);
            assert_eq!(thread.user_load(os.va(n + 2), Double).await?, 2);
            thread.exit().await?;
            other.exit().await
        })
        .expect("no error");
        os.judge();
    }
}

#[test]
fn exit_converts_nothing_and_frees_behind_the_flush() {
    // CONTPTE-30, I5; CONTPTE-26: no conversion, one flush.
    for config in variants(2) {
        let os = Os::new(config, 2);
        let used = os.setup.used();
        let other = &os.setup.threads[1];
        block_on(async {
            other.switch_to(&os.space).await;
            other.user_load(os.va(2), Double).await?;
            other.leave().await;
            let tlbis = os.setup.kernel.counters.tlbis.get();
            os.setup.threads[0].exit().await?;
            assert_eq!(os.setup.kernel.counters.tlbis.get() - tlbis, 1);
            Ok::<_, Error>(())
        })
        .expect("no error");
        assert!(os.setup.used() + 2 * os.n <= used);
        assert_eq!(os.conversions(), (0, 0));
        assert!(os.watch.looked().1 > 0);
        os.judge();
    }
}

#[test]
fn what_is_left_of_a_block_stays_mapped() {
    // CONTPTE-31: munmap, mprotect and madvise of part of a block; CONTPTE-30.
    for config in variants(2) {
        for call in 0..3 {
            let os = Os::new(config.clone(), 3);
            let (n, thread, other) = (os.n, &os.setup.threads[0], &os.setup.threads[1]);
            block_on(async {
                other.switch_to(&os.space).await;
                for block in 0..3 {
                    other.user_load(os.va(block * n + 2), Double).await?;
                }
                // From the midst of the first block to the midst of the third.
                let (va, pages) = (os.va(n / 2), 2 * n);
                match call {
                    0 => thread.munmap(va, pages * os.page).await?,
                    1 => {
                        thread
                            .mprotect(va, pages * os.page, Protection::READ)
                            .await?
                    }
                    _ => thread.madvise_dontneed(va, pages * os.page).await?,
                }
                other.cpu.dsb(DsbKind::ISH).await;
                let left = (0..n / 2).chain(n / 2 + pages..3 * n);
                for page in left {
                    let pte = os.pte(&os.space, page);
                    assert!(pte.valid() && pte.writable() && !pte.cont(), "{page}");
                }
                for page in n / 2..n / 2 + pages {
                    let pte = os.pte(&os.space, page);
                    match call {
                        1 => assert!(pte.valid() && !pte.writable(), "{page}"),
                        _ => assert!(pte.is_none(), "{page}"),
                    }
                }
                for core in [thread, other] {
                    assert_eq!(core.user_load(os.va(2), Double).await?, 1);
                    core.user_store(os.va(3), Double, 33).await?;
                    let gone = core.user_store(os.va(n + 2), Double, 5).await;
                    match call {
                        2 => gone?,
                        _ => assert!(gone.is_err()),
                    }
                    if call != 0 {
                        let expected = if call == 1 { 2 } else { 5 };
                        assert_eq!(core.user_load(os.va(n + 2), Double).await?, expected);
                    }
                    core.cpu.dsb(DsbKind::ISH).await;
                }
                Ok::<_, Error>(())
            })
            .expect("no error");
            let (folds, unfolds) = os.conversions();
            // A block that was changed as a whole is back in one piece after mprotect.
            assert_eq!(folds, u64::from(call == 1));
            assert_eq!(unfolds, if call == 1 { 3 } else { 2 });
            if call == 1 {
                assert_eq!(os.hints(&os.space, n..2 * n), n);
            }
            os.judge();
        }
    }
}

#[test]
fn mappings_of_the_kernel_are_left_alone() {
    // CONTPTE-09.
    let os = Os::new(crate::kernel::config(1), 1);
    let tables = crate::kernel::MEMORY + (64 << 20);
    let of_boot = || -> Vec<_> {
        let contents = os.setup.machine.contents();
        let boot = contents.into_iter().filter(|(pa, _)| *pa >= tables);
        boot.collect()
    };
    let before = of_boot();
    assert!(!before.is_empty());
    block_on(async {
        let thread = &os.setup.threads[0];
        thread.munmap(os.va(3), os.page).await?;
        thread.mprotect(VA, os.page, Protection::READ).await
    })
    .expect("no error");
    assert!(os.conversions().1 > 0);
    assert_eq!(of_boot(), before);
    os.judge();
}
