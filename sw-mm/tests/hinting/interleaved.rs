// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages that are used while they are marked, protected and forked, in many orders.

use super::kernel::{boot, config};
use super::{PAGE, VA};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::boot::HardwareUpdate;
use sw_mm::functional::{Core, Policy, RunEnd, Scheduler};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Error, Map, Protection};
use sw_mm::thread::Thread;

/// A block, so that it can be one contiguous run.
const PAGES: u64 = 16;
const ROUNDS: u64 = 3;
/// A page that comes and goes.
const SCRATCH: u64 = VA + PAGES * PAGE;

/// Adds 1 to a word of each page, several times.
async fn count(thread: &Thread<Core>, offset: u64) -> Result<(), Error> {
    for round in 0..ROUNDS {
        thread.user_store(SCRATCH + offset, Double, 7).await?;
        for page in 0..PAGES {
            // Two pages are never written: they are only read.
            let page = (page + round) % PAGES;
            let va = VA + page * PAGE + offset;
            if page >= PAGES - 2 {
                assert_eq!(thread.user_load(va, Double).await?, page);
                continue;
            }
            let mut old = thread.user_load(va, Double).await?;
            loop {
                let seen = thread.user_compare_and_swap(va, old, old + 1).await?;
                if seen == old {
                    break;
                }
                old = seen;
            }
            let scratch = thread.user_load(SCRATCH + offset, Double).await?;
            assert!(matches!(scratch, 0 | 7), "{scratch}");
        }
    }
    Ok(())
}

/// Marks pages again and again until nobody uses them any more; meanwhile forks, and changes what the
/// area permits without taking anything away.
async fn disturb(
    thread: &Thread<Core>,
    space: &Rc<AddressSpace>,
    (busy, protects): (&Cell<u32>, bool),
) -> Result<u64, Error> {
    let (mut marked, mut round) = (0, 0);
    while busy.get() > 0 {
        marked += thread.hint_scan(space, VA, SCRATCH + PAGE).await?;
        thread.madvise_dontneed(SCRATCH, PAGE).await?;
        round += 1;
        if round % 3 == 0 {
            let child = thread.fork().await?;
            thread.hint_scan(&child, VA, VA + PAGES * PAGE).await?;
            thread.exit_space(&child).await?;
        }
        if protects {
            let protection = Protection::new(true, true, round % 2 == 0);
            thread.mprotect(VA + PAGE, 2 * PAGE, protection).await?;
        }
    }
    Ok(marked)
}

#[test]
fn nothing_is_lost_while_pages_are_marked_and_used_at_the_same_time() {
    // MM-28, MM-35.
    let steps = NonZeroU32::new(40).expect("not 0");
    let policies = [
        Policy::Uniform,
        Policy::Bursts(steps),
        Policy::Priorities(steps),
    ];
    let updates = [HardwareUpdate::None, HardwareUpdate::AccessFlagAndDirty];
    // Without large folios, with small ones, and with one that is a contiguous run.
    let orders = [vec![], vec![1, 2], vec![4], vec![4]];
    let (mut marked, mut hints, mut folds) = (0, 0, 0);
    for seed in 0..64 {
        let setup = boot(KernelConfig {
            anonymous_orders: orders[seed as usize % 4].clone(),
            hardware_update: updates[seed as usize / 4 % 2],
            ..config(3)
        });
        let before = setup.used();
        let threads: Vec<_> = (0..3)
            .map(|core| {
                let cpu = setup.machine.core(core).interleaved();
                Rc::new(Thread::new(&setup.kernel, cpu, core as u8))
            })
            .collect();
        let space = block_on(async {
            let space = AddressSpace::new(&threads[0]).await?;
            for thread in &threads {
                thread.switch_to(&space).await;
            }
            space.users.set(3);
            let map = Map::anonymous(VA, (PAGES + 1) * PAGE, Protection::READ_WRITE);
            threads[0].mmap(&map).await?;
            for page in PAGES - 2..PAGES {
                for offset in [0, 8] {
                    let va = VA + page * PAGE + offset;
                    threads[0].user_store(va, Double, page).await?;
                }
            }
            Ok::<_, Error>(space)
        })
        .expect("an address space");
        let mut scheduler = Scheduler::with_policy(seed, policies[seed as usize % 3]);
        let busy = Rc::new(Cell::new(2));
        for thread in &threads[..2] {
            let (thread, busy) = (Rc::clone(thread), Rc::clone(&busy));
            scheduler.spawn_named(format!("count {}", thread.core), async move {
                count(&thread, 0).await.expect("no error");
                count(&thread, 8).await.expect("no error");
                busy.set(busy.get() - 1);
            });
        }
        let (thread, own, still) = (Rc::clone(&threads[2]), Rc::clone(&space), Rc::clone(&busy));
        let scan = scheduler.spawn_named("disturb", async move {
            disturb(&thread, &own, (&still, seed % 4 != 3))
                .await
                .expect("no error")
        });
        let end = scheduler.run(5_000_000);
        assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
        marked += block_on(scan);
        hints += setup.kernel.counters.hinting_faults.get();
        folds += setup.kernel.counters.folds.get();
        setup.audit();
        block_on(async {
            for page in 0..PAGES - 2 {
                for offset in [0, 8] {
                    let va = VA + page * PAGE + offset;
                    let sum = threads[1].user_load(va, Double).await?;
                    assert_eq!(sum, 2 * ROUNDS, "seed {seed}, page {page}");
                }
            }
            for thread in &threads {
                thread.exit().await?;
            }
            Ok::<_, Error>(())
        })
        .expect("no error");
        drop(space);
        assert_eq!(setup.used(), before, "MM-30");
        setup.judge();
    }
    assert!(
        marked > 1000 && hints > 500 && folds > 50,
        "{marked} marked, {hints} used, {folds} folded again"
    );
}
