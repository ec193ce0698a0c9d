// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! User threads store while their pages move, go out, change rights and get children.

use crate::*;

const ROUNDS: u64 = 10;
const WORDS: u64 = 3;

/// Counts up in a word of its own on every page; a page that it may not write just now it tries again.
async fn count_up(thread: &Thread<Core>, page: u64, seed: u64) {
    for round in 1..=ROUNDS {
        for index in 0..WORDS {
            let va = VA + index * page + u64::from(thread.core) * 8;
            let seen = thread.user_load(va, Double).await.expect("no error");
            assert_eq!(seen, round - 1, "seed {seed}: a store was lost");
            while let Err(error) = thread.user_store(va, Double, round).await {
                let signal = Signal::Segv;
                assert_eq!(error, Error::Signal { signal, va }, "seed {seed}");
                yield_now().await;
            }
        }
    }
    thread.cpu.dsb(DsbKind::ISH).await;
}

async fn move_everything(setup: &Setup, thread: &Thread<Core>, seed: u64) {
    for round in 0..8 {
        for folio in setup.folios() {
            let mode = if round % 2 == 0 { Sync } else { Async };
            match thread.migrate(&folio, other(folio.node()), mode).await {
                Ok(_) | Err(Error::Busy | Error::Again | Error::NotMapped) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
}

async fn swap_everything(setup: &Setup, thread: &Thread<Core>, seed: u64) {
    for _ in 0..3 {
        for folio in setup.folios() {
            match thread.swap_out(&folio).await {
                Ok(()) | Err(Error::Busy | Error::NotMapped | Error::Invalid(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
}

/// Takes write permission away and looks that nobody writes until it gives it back.
async fn protect(thread: &Thread<Core>, page: u64, seed: u64) {
    for _ in 0..4 {
        let bytes = WORDS * page;
        thread
            .mprotect(VA, bytes, Protection::READ)
            .await
            .expect("no error");
        let mut sums = [0; 2];
        for sum in &mut sums {
            for word in 0..3 * WORDS {
                let va = VA + word / 3 * page + word % 3 * 8;
                *sum += thread.user_load(va, Double).await.expect("no error");
            }
        }
        assert_eq!(sums[0], sums[1], "seed {seed}: MM-14");
        let write = Protection::READ_WRITE;
        thread.mprotect(VA, bytes, write).await.expect("no error");
        for _ in 0..200 {
            yield_now().await;
        }
    }
}

async fn fork_and_exit(thread: &Thread<Core>, parent: &Rc<AddressSpace>, page: u64) {
    for _ in 0..2 {
        let child = thread.fork().await.expect("no error");
        thread.switch_to(&child).await;
        for index in 0..WORDS {
            let va = VA + index * page;
            let seen = thread.user_load(va, Double).await.expect("no error");
            let again = thread.user_load(va, Double).await.expect("no error");
            assert_eq!(seen, again, "MM-16");
        }
        thread.munmap(VA + page, page).await.expect("no error");
        thread.exit().await.expect("no error");
        thread.switch_to(parent).await;
    }
}

fn use_while_moving(config: KernelConfig, seed: u64, policy: Policy) {
    let page = config.granule.bytes();
    let setup = Rc::new(boot(config));
    let space = setup.space();
    block_on(async {
        map(&setup.threads[0], VA, WORDS * page).await?;
        setup.threads[0].user_store(VA + 64, Double, 1).await
    })
    .expect("maps");
    let mut scheduler = Scheduler::with_policy(seed, policy);
    let task = |scheduler: &mut Scheduler, core: u8, what: &'static str| {
        let (setup, space) = (Rc::clone(&setup), Rc::clone(&space));
        scheduler.spawn_named(what, async move {
            let thread = setup.interleaved(core, &space).await;
            match what {
                "move" => move_everything(&setup, &thread, seed).await,
                "swap" => swap_everything(&setup, &thread, seed).await,
                "protect" => protect(&thread, page, seed).await,
                "fork" => fork_and_exit(&thread, &space, page).await,
                _ => count_up(&thread, page, seed).await,
            }
        });
    };
    task(&mut scheduler, 0, "first user");
    task(&mut scheduler, 1, "second user");
    task(&mut scheduler, 2, "move");
    task(
        &mut scheduler,
        3,
        ["swap", "protect", "fork"][seed as usize % 3],
    );
    if seed.is_multiple_of(2) {
        task(&mut scheduler, 4, "move");
    }
    let end = scheduler.run(50_000_000);
    assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
    for core in 0..2 {
        for index in 0..WORDS {
            let va = VA + index * page + core * 8;
            let seen = block_on(setup.threads[0].user_load(va, Double));
            assert_eq!(seen, Ok(ROUNDS), "seed {seed}");
        }
    }
    setup.audit();
    setup.judge();
}

#[test]
fn no_store_is_lost_while_pages_move() {
    // MM-14, MM-16, MM-26, MM-35, G10.
    let steps = NonZeroU32::new(60).expect("not zero");
    for seed in 0..9 {
        for policy in [
            Policy::Uniform,
            Policy::Bursts(steps),
            Policy::Priorities(steps),
        ] {
            use_while_moving(config(5), seed, policy);
        }
    }
    for (seed, config) in (100..).zip(variants(5)) {
        use_while_moving(config.clone(), seed, Policy::Uniform);
        use_while_moving(large(config), seed, Policy::Uniform);
    }
}
