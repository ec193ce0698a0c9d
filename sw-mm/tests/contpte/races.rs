// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Folded blocks that several cores use and change at the same time, in orders drawn from seeds
//! (CONTPTE-11, CONTPTE-14, CONTPTE-33).

use crate::kernel::{config, map, variants};
use crate::{Scene, VA, Watch, boot_watched};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::contpte::{
    block_pages, clear_ptes, get, get_and_clear, get_lockless, set_access_flags, set_ptes,
    set_wrprotects,
};
use sw_mm::functional::{Core, Policy, RunEnd, Scheduler};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Error, Found, Protection};
use sw_mm::pte::{Pte, PtePtr};
use sw_mm::thread::Thread;
use sw_mm::{Cpu, block_on};
use vmsa::DsbKind;

const STEPS: u64 = 20_000_000;

fn scheduler(seed: u64) -> Scheduler {
    let steps = NonZeroU32::new(40).expect("not zero");
    let policy = match seed % 3 {
        0 => Policy::Uniform,
        1 => Policy::Bursts(steps),
        _ => Policy::Priorities(steps),
    };
    Scheduler::with_policy(seed, policy)
}

fn thread(setup: &crate::kernel::Setup, core: u8) -> Rc<Thread<Core>> {
    let cpu = setup.machine.core(usize::from(core)).interleaved();
    Rc::new(Thread::new(&setup.kernel, cpu, core))
}

fn finish(mut scheduler: Scheduler, seed: u64) {
    assert_eq!(scheduler.run(STEPS), RunEnd::Done, "seed {seed}");
}

/// An entry and the lock of its table, of an address space that maps it.
async fn entry(
    thread: &Thread<Core>,
    space: &AddressSpace,
    va: u64,
) -> Result<(PtePtr, Rc<sw_mm::mm::Table>), Error> {
    match space.walk_or_make(thread, va).await? {
        Found::Table(table) => Ok((table.entry(&thread.kernel, va)?, table)),
        _ => Err(Error::NotMapped),
    }
}

#[test]
fn accesses_during_conversions_wait_and_find_their_data() {
    // CONTPTE-11, CONTPTE-33: one core folds and unfolds, two others use the block.
    let mut waited = 0;
    for (seed, mut config) in
        (0..4).flat_map(|round| variants(3).into_iter().map(move |c| (round, c)))
    {
        let n = block_pages(config.granule);
        config.anonymous_orders = vec![n.trailing_zeros() as u8];
        let page = config.granule.bytes();
        let (setup, watch) = boot_watched(config);
        let space = setup.space();
        block_on(async {
            map(&setup.threads[0], VA, n * page).await?;
            setup.threads[0].user_store(VA, Double, 0).await
        })
        .expect("maps");
        let before = setup.kernel.counters.translation_faults.get();
        let scheduler = scheduler(seed);
        let done = Rc::new(Cell::new(0));
        let (converter, of) = (thread(&setup, 0), Rc::clone(&space));
        let finished = Rc::clone(&done);
        scheduler.spawn_named("converter", async move {
            converter.switch_to(&of).await;
            let mut rounds = 0;
            while finished.get() < 2 || rounds < 3 {
                rounds += 1;
                for which in [3, n - 1] {
                    let (ptr, table) = entry(&converter, &of, VA + which * page).await?;
                    let _ptl = table.lock.lock(&converter.held).await;
                    let old = get_and_clear(&converter, &of, ptr).await?;
                    set_ptes(&converter, &of, ptr, old, 1).await?;
                }
            }
            Ok::<_, Error>(())
        });
        for core in 1..3u8 {
            let (user, of) = (thread(&setup, core), Rc::clone(&space));
            let finished = Rc::clone(&done);
            scheduler.spawn_named(format!("user {core}"), async move {
                user.switch_to(&of).await;
                let mut rng = Pcg32::seed_from_u64(seed * 2 + u64::from(core));
                let mut last = vec![0; n as usize];
                for round in 1..60 {
                    let which = rng.random_range(0..n);
                    let va = VA + which * page + u64::from(core) * 8;
                    assert_eq!(user.user_load(va, Double).await?, last[which as usize]);
                    user.user_store(va, Double, round).await?;
                    last[which as usize] = round;
                }
                finished.set(finished.get() + 1);
                Ok::<_, Error>(())
            });
        }
        finish(scheduler, seed);
        assert_eq!(done.get(), 2, "seed {seed}");
        waited += setup.kernel.counters.translation_faults.get() - before;
        assert!(setup.kernel.counters.folds.get() > 0 && watch.looked().0 > 0);
        assert_eq!(setup.kernel.counters.signals.get(), 0);
        judge(&setup, &watch);
    }
    assert!(waited > 10, "{waited} accesses came in between");
}

fn judge(setup: &crate::kernel::Setup, watch: &Watch) {
    for thread in &setup.threads {
        block_on(thread.cpu.dsb(DsbKind::ISH));
    }
    setup.judge();
    watch.judge();
    assert_eq!(setup.kernel.counters.folded_overwrites.get(), 0);
}

#[test]
fn readers_without_the_lock_see_only_what_was_there() {
    // CONTPTE-14: a block changes between two folios with two rights each, and nothing in between.
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let granule = vmsa::Granule::ALL[seed as usize % 3];
        let scene = Scene::new(
            KernelConfig {
                granule,
                ..config(2)
            },
            0,
        );
        let n = scene.n;
        let second = Scene::folio_of(&scene.setup, n.trailing_zeros() as u8);
        let first = scene.pte(0);
        let other = Pte::page(granule, second.pfn()).with_execute(true);
        let scheduler = scheduler(seed);
        let stop = Rc::new(Cell::new(false));
        let (changer, space) = (thread(&scene.setup, 0), Rc::clone(&scene.space));
        let (table, ptr, stopped) = (Rc::clone(&scene.table), scene.ptr(0), Rc::clone(&stop));
        scheduler.spawn_named("changer", async move {
            for round in 0..6 {
                let pte = if round % 2 == 0 { first } else { other };
                {
                    let _ptl = table.lock.lock(&changer.held).await;
                    set_ptes(&changer, &space, ptr, pte, n).await?;
                }
                {
                    // Unfolded and folded again.
                    let _ptl = table.lock.lock(&changer.held).await;
                    let last = ptr.offset(n as i64 - 1);
                    let old = get_and_clear(&changer, &space, last).await?;
                    set_ptes(&changer, &space, last, old, 1).await?;
                }
                {
                    let _ptl = table.lock.lock(&changer.held).await;
                    if round < 4 {
                        set_wrprotects(&changer, &space, ptr, n).await?;
                    }
                    clear_ptes(&changer, &space, ptr, n).await?;
                    changer.flush_mm(&space).await;
                }
            }
            stopped.set(true);
            Ok::<_, Error>(())
        });
        let reader = thread(&scene.setup, 1);
        let values = Rc::new(RefCell::new(BTreeSet::new()));
        let (read, at) = (Rc::clone(&values), n / 2 + 1);
        let ptr = scene.ptr(at);
        scheduler.spawn_named("reader", async move {
            while !stop.get() {
                let pte = get_lockless(&reader, ptr).await?;
                read.borrow_mut().insert((pte.norm().0, pte.cont()));
            }
            Ok::<_, Error>(())
        });
        finish(scheduler, seed);
        let there = |pte: Pte| pte.advance(granule, at as i64).norm().0;
        let legal = [0, there(first), there(first.write_protect()), there(other)];
        for &(value, folded) in values.borrow().iter() {
            assert!(
                value == Pte::NONE.norm().0 || legal.contains(&value),
                "seed {seed}: {value:#x}"
            );
            let which = legal.iter().position(|&v| v == value).unwrap_or(0);
            seen.insert((which, folded));
        }
        scene.judge();
    }
    // Nothing, both folios folded and unfolded, one of them read-only.
    assert!(seen.len() >= 5, "{seen:?}");
}

#[test]
fn no_store_of_hardware_is_forgotten() {
    // I6, CONTPTE-08, CONTPTE-20, CONTPTE-27, CONTPTE-33: a core marks clean pages dirty by itself while
    // another converts, protects and gives rights back; at the end somebody has to know.
    let (mut stored, mut kinds) = (0, BTreeSet::new());
    for seed in 0..60 {
        let granule = vmsa::Granule::ALL[seed as usize % 3];
        let base = KernelConfig {
            granule,
            ..config(2)
        };
        let scene = Scene::new(base, 0);
        let n = scene.n;
        let page = granule.bytes();
        scene.set(0, scene.pte(0), n);
        let scheduler = scheduler(seed);
        let (keeper, space) = (thread(&scene.setup, 0), Rc::clone(&scene.space));
        let (table, first, pte) = (Rc::clone(&scene.table), scene.ptr(0), scene.pte(0));
        let dirty = Rc::new(Cell::new(false));
        let told = Rc::clone(&dirty);
        scheduler.spawn_named("keeper", async move {
            let mut rng = Pcg32::seed_from_u64(seed);
            for _ in 0..5 {
                let which = rng.random_range(0..n);
                let ptr = first.offset(which as i64);
                let _ptl = table.lock.lock(&keeper.held).await;
                match rng.random_range(0..4) {
                    0 => set_wrprotects(&keeper, &space, first, n).await?,
                    1 => set_wrprotects(&keeper, &space, ptr, 1).await?,
                    2 => {
                        let old = get_and_clear(&keeper, &space, ptr).await?;
                        keeper.flush_page(&space, ptr.va).await;
                        set_ptes(&keeper, &space, ptr, old, 1).await?;
                    }
                    _ => {
                        let wanted = get(&keeper, ptr).await?.make_writable();
                        set_access_flags(&keeper, &space, ptr, wanted, false).await?;
                    }
                }
                keeper.flush_mm(&space).await;
            }
            let _ptl = table.lock.lock(&keeper.held).await;
            let old = clear_ptes(&keeper, &space, first, n).await?;
            told.set(old.dirty());
            assert_eq!(old.pfn(granule), pte.pfn(granule));
            keeper.flush_mm(&space).await;
            Ok::<_, Error>(())
        });
        let user = thread(&scene.setup, 1);
        let wrote = Rc::new(Cell::new(0u64));
        let count = Rc::clone(&wrote);
        scheduler.spawn_named("user", async move {
            let mut rng = Pcg32::seed_from_u64(seed + 1000);
            for _ in 0..30 {
                let va = VA + rng.random_range(0..n) * page;
                let unprivileged = sw_mm::Privilege::Unprivileged;
                let store = user.cpu.store(va, Double, unprivileged, 1).await;
                count.set(count.get() + u64::from(store.is_ok()));
            }
        });
        finish(scheduler, seed);
        stored += wrote.get();
        kinds.insert((wrote.get() > 0, dirty.get()));
        assert!(
            wrote.get() == 0 || dirty.get(),
            "seed {seed}: dirt was lost"
        );
        scene.judge();
    }
    assert!(stored > 100, "{stored}");
    assert!(kinds.contains(&(true, true)), "{kinds:?}");
}

/// One system call or access at random in a range that others use at the same time.
async fn act(user: &Thread<Core>, rng: &mut Pcg32, pages: u64, alone: bool) -> Result<(), Error> {
    let page = user.kernel.granule().bytes();
    let start = rng.random_range(0..pages);
    let count = rng.random_range(1..=pages - start);
    let (va, bytes) = (VA + start * page, count * page);
    let at = VA + rng.random_range(0..pages) * page + u64::from(user.core) * 8;
    match rng.random_range(0..10) {
        0 => user.madvise_dontneed(va, bytes).await,
        1 if alone => user.mprotect(va, bytes, Protection::READ).await,
        2 if alone => user.mprotect(va, bytes, Protection::READ_WRITE).await,
        3 if alone => {
            let child = user.fork().await?;
            let own = user.space().ok_or(Error::NotMapped)?;
            user.switch_to(&child).await;
            let _ = user.user_store(at, Double, 1).await;
            user.exit().await?;
            user.switch_to(&own).await;
            Ok(())
        }
        4..=6 => user.user_load(at, Double).await.map(|_| ()),
        _ => match user.user_store(at, Double, 1).await {
            // Another thread has made it read-only.
            Err(Error::Signal { .. }) => Ok(()),
            other => other,
        },
    }
}

#[test]
fn the_invariants_hold_whatever_the_cores_do() {
    // CONTPTE-33, I1 to I5; MM-30.
    let mut conversions = (0, 0);
    for (seed, mut config) in (0..3)
        .flat_map(|round| variants(3).into_iter().map(move |c| (round, c)))
        .enumerate()
        .map(|(seed, (_, config))| (seed as u64, config))
    {
        let n = block_pages(config.granule);
        let order = n.trailing_zeros() as u8;
        config.anonymous_orders = vec![2, order];
        config.contpte.eager = seed % 2 == 1;
        let page = config.granule.bytes();
        let (setup, watch) = boot_watched(config);
        let used = setup.used();
        let space = setup.space();
        block_on(map(&setup.threads[0], VA, 2 * n * page)).expect("maps");
        let scheduler = scheduler(seed);
        let handles: Vec<_> = (0..3u8)
            .map(|core| {
                let (user, of) = (thread(&setup, core), Rc::clone(&space));
                scheduler.spawn_named(format!("user {core}"), async move {
                    user.switch_to(&of).await;
                    let mut rng = Pcg32::seed_from_u64(seed * 4 + u64::from(core));
                    for _ in 0..12 {
                        act(&user, &mut rng, 2 * n, core == 0).await?;
                    }
                    user.leave().await;
                    Ok::<_, Error>(())
                })
            })
            .collect();
        finish(scheduler, seed);
        for handle in handles {
            assert_eq!(handle.take(), Some(Ok(())), "seed {seed}");
        }
        let counters = &setup.kernel.counters;
        conversions.0 += counters.folds.get();
        conversions.1 += counters.unfolds.get();
        block_on(setup.threads[0].exit_space(&space)).expect("exits");
        judge(&setup, &watch);
        drop(space);
        assert_eq!(setup.used(), used, "seed {seed}: MM-30");
    }
    assert!(conversions.0 > 0 && conversions.1 > 10, "{conversions:?}");
}
