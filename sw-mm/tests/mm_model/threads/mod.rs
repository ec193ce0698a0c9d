// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Threads of one or two address spaces that run random operations at the same time, one to a core,
//! in an order that a seed decides (section 15, MM-35).
//!
//! The shadow is flat: every word of memory has one thread that writes it, or one device, with values
//! that count up. So a load has to return one that was written there, no older than the last store that
//! was over when the load began and no younger than the last one begun when it ends. Calls that change
//! what is permitted have a beginning and an end; accesses that meet neither have to end as the state
//! says. Every so often all threads stop, and everything is audited.
//!
//! | module | idea |
//! | --- | --- |
//! | `op` | what threads do, and random races |
//! | `race` | a race from its beginning to its end, and the quiet points between |
//! | `task` | a thread: accesses and calls on pages that others use too |
//! | `own` | calls on pages that nobody else uses |
//! | `folios` | what the kernel and devices do to pages meanwhile |
//! | `child` | children hold what their parents held |
//! | `words` | what may be found in a word |
//! | `leak` | what a kernel may forget |

mod child;
mod folios;
pub mod leak;
pub mod op;
mod own;
pub mod race;
mod task;
mod words;

use crate::run::Counts;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
use std::cell::{Cell, RefCell};

/// Runs `cases` random races of up to `most` operations a thread.
fn random(cases: u32, most: usize) {
    let seed = crate::run::number("MM_MODEL_SEED").unwrap_or(0x5eed);
    let cases = crate::run::number("MM_MODEL_CASES").map_or(cases, |cases| cases as u32);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 5_000,
        ..ProptestConfig::default()
    });
    let done = Cell::new(0);
    let counts = RefCell::new(Counts::new());
    let start = std::time::Instant::now();
    let result = runner.run(&op::race(most), |race| {
        done.set(done.get() + race.operations());
        let mut counts = counts.borrow_mut();
        race::run(&race, None, |core| core, &mut counts)
            .map_err(|failure| TestCaseError::fail(failure.to_string()))
    });
    let seconds = start.elapsed().as_secs_f64();
    let done = done.get();
    println!("seed {seed:#x}: {cases} races, {done} operations in {seconds:.1} s");
    println!("{:?}", counts.borrow());
    match result {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("seed {seed:#x}: {reason}"),
        Err(TestError::Fail(reason, race)) => panic!("seed {seed:#x}: {reason}\n{race:?}"),
    }
}

#[test]
fn threads_at_once_see_what_they_may_see() {
    random(24, 120);
}

#[test]
#[ignore = "minutes: see the head of main.rs"]
fn soak_threads() {
    random(1000, 200);
}
