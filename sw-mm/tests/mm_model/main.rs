// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Random system calls and accesses, on several cores and in several address spaces, against a flat
//! model (MM-35): one at a time, and, in `threads`, by several threads at once.
//!
//! A run that fails prints the smallest steps that still fail, and the seed. `MM_MODEL_SEED` and
//! `MM_MODEL_CASES` choose other runs:
//!
//! ```text
//! MM_MODEL_CASES=10000 cargo test --release -p sw-mm --test mm_model -- --ignored soak --nocapture
//! ```

mod calls;
mod found;
mod memory;
mod model;
mod mutant;
mod out_of_memory;
mod plant;
mod quiescence;
mod run;
mod step;
mod threads;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
use run::{Counts, number, run};
use std::cell::{Cell, RefCell};
use std::time::Instant;

/// Runs `cases` random runs of up to `most` steps each.
fn random(cases: u32, most: usize) {
    let seed = number("MM_MODEL_SEED").unwrap_or(0x5eed);
    let cases = number("MM_MODEL_CASES").map_or(cases, |cases| cases as u32);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    });
    let done = Cell::new(0_u64);
    let counts = RefCell::new(Counts::new());
    let start = Instant::now();
    let steps = prop::collection::vec(step::step(), 1..most);
    let result = runner.run(&(step::setup(), steps), |(setup, steps)| {
        done.set(done.get() + steps.len() as u64);
        let mut counts = counts.borrow_mut();
        run(&setup, &steps, &mut counts).map_err(|failure| TestCaseError::fail(failure.to_string()))
    });
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "seed {seed:#x}: {cases} runs, {} steps in {seconds:.1} s",
        done.get()
    );
    println!("{:?}", counts.borrow());
    match result {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("seed {seed:#x}: {reason}"),
        Err(TestError::Fail(reason, (setup, steps))) => {
            let steps: Vec<_> = steps.iter().map(|step| format!("\n    {step:?}")).collect();
            panic!("seed {seed:#x}: {reason}\n{setup:?}{}", steps.concat());
        }
    }
}

#[test]
fn the_kernel_agrees_with_a_flat_model() {
    random(24, 200);
}

#[test]
#[ignore = "minutes: see the head of this file"]
fn soak() {
    random(2000, 400);
}
