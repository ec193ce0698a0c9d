// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Cores load and store while their block is split, moved, protected, shared and reclaimed.

use crate::*;
use std::num::NonZeroU32;
use sw_mm::cpu::Cpu;
use sw_mm::functional::{Policy, RunEnd, Scheduler, yield_now};
use sw_mm::migrate::MigrateMode;
use sw_mm::mm::{Destination, Protection, Remap, Signal};
use sw_mm::page::NodeId;
use vmsa::DsbKind;

const ROUNDS: u64 = 24;
/// Pages that the users count up on.
const USED: [u64; 4] = [0, 17, 255, 511];

/// Counts up in a word of its own on each page; while there is no right, or no memory, it tries again.
async fn count_up(thread: &Thread<Core>, seed: u64) {
    for round in 1..=ROUNDS {
        for page in USED {
            let va = VA + page * PAGE + u64::from(thread.core) * 8;
            let signal = Signal::Segv;
            let refused = Error::Signal { signal, va };
            let seen = loop {
                match thread.user_load(va, Double).await {
                    Ok(seen) => break seen,
                    Err(error) => assert_eq!(error, refused, "seed {seed}"),
                }
                yield_now().await;
            };
            assert_eq!(seen, round - 1, "seed {seed}: a store was lost");
            while let Err(error) = thread.user_store(va, Double, round).await {
                assert_eq!(error, refused, "seed {seed}");
                yield_now().await;
            }
        }
        if round % 8 == 0 {
            thread.cpu.dsb(DsbKind::ISH).await;
        }
    }
    thread.cpu.dsb(DsbKind::ISH).await;
}

#[derive(Clone, Copy, Debug)]
enum Disturbance {
    /// Part of the area loses its right to write and gets it back.
    Protect,
    /// Another page of it is thrown away.
    ThrowAway,
    /// The folio moves between the nodes.
    Move,
    /// It goes out page by page.
    Reclaim,
    /// A child comes and goes.
    Fork,
    /// The area goes elsewhere and comes back.
    Remap,
}

async fn disturb(setup: &Setup, thread: &Thread<Core>, what: Disturbance) -> Result<(), Error> {
    match what {
        Disturbance::Protect => {
            for bytes in [BLOCK, BLOCK / 2] {
                thread.mprotect(VA, bytes, Protection::READ).await?;
                thread.mprotect(VA, bytes, Protection::READ_WRITE).await?;
            }
        }
        Disturbance::ThrowAway => thread.madvise_dontneed(VA + 100 * PAGE, PAGE).await?,
        Disturbance::Move => {
            for folio in setup.folios() {
                let target = NodeId(1 - folio.node().0);
                match thread.migrate(&folio, target, MigrateMode::Sync).await {
                    Ok(_) | Err(Error::Busy | Error::Again | Error::NotMapped) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Disturbance::Reclaim => {
            for node in [NodeId(0), NodeId(1)] {
                thread.reclaim(node, 40).await?;
            }
        }
        Disturbance::Fork => {
            let child = thread.fork().await?;
            yield_now().await;
            thread.exit_space(&child).await?;
        }
        Disturbance::Remap => {
            for (va, to) in [(VA, VA + 4 * BLOCK), (VA + 4 * BLOCK, VA)] {
                let to = Destination::Fixed(to);
                let remap = Remap {
                    va,
                    bytes: BLOCK,
                    new_bytes: BLOCK,
                    to,
                };
                thread.mremap(&remap).await?;
            }
        }
    }
    Ok(())
}

fn use_while_disturbed(config: KernelConfig, what: &[Disturbance], seed: u64, policy: Policy) {
    let (setup, space) = with_block(config);
    block_on(setup.threads[0].user_store(VA, Double, 0)).expect("no error");
    block_on(setup.threads[0].cpu.dsb(DsbKind::ISH));
    let setup = Rc::new(setup);
    let mut scheduler = Scheduler::with_policy(seed, policy);
    for core in 0..2u8 {
        let (setup, space) = (Rc::clone(&setup), Rc::clone(&space));
        scheduler.spawn_named(format!("user {core}"), async move {
            let thread = setup.interleaved(core, &space).await;
            count_up(&thread, seed).await;
        });
    }
    for (core, &what) in (2..).zip(what) {
        let (setup, space) = (Rc::clone(&setup), Rc::clone(&space));
        scheduler.spawn_named(format!("{what:?}"), async move {
            let thread = setup.interleaved(core, &space).await;
            for _ in 0..2 {
                let done = disturb(&setup, &thread, what).await;
                done.expect("no error");
                for _ in 0..50 {
                    yield_now().await;
                }
            }
        });
    }
    let end = scheduler.run(50_000_000);
    assert_eq!(end, RunEnd::Done, "{what:?}, seed {seed}: {end}");
    for core in 0..2 {
        for page in USED {
            let va = VA + page * PAGE + core * 8;
            let seen = block_on(setup.threads[0].user_load(va, Double));
            assert_eq!(seen, Ok(ROUNDS), "{what:?}, seed {seed}");
        }
    }
    assert!(setup.kernel.counters.splits.get() > 0, "{what:?}: no split");
    setup.audit();
    setup.judge();
}

#[test]
fn no_store_is_lost_while_a_block_is_split() {
    // MM-38, MM-14, MM-16, MM-26, MM-35, G10.
    use Disturbance::*;
    let steps = NonZeroU32::new(80).expect("not zero");
    let policies = [
        Policy::Uniform,
        Policy::Bursts(steps),
        Policy::Priorities(steps),
    ];
    let alone = [Protect, ThrowAway, Move, Reclaim, Fork, Remap].map(|what| vec![what]);
    let pairs = [
        vec![Move, Protect],
        vec![Reclaim, Fork],
        vec![Fork, Move],
        vec![ThrowAway, Reclaim],
        vec![Remap, Reclaim],
        vec![Fork, Protect],
    ];
    for (seed, what) in (0..).zip(alone.iter().chain(&pairs)) {
        for (policy, seed) in policies.iter().zip(seed * 3..) {
            let configs = updates(4);
            let config = configs[seed as usize % configs.len()].clone();
            use_while_disturbed(config, what, seed, *policy);
        }
    }
}
