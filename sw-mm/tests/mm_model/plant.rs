// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One thing goes wrong once in a race, and that is noticed: a flush is lost, a store is lost on the way
//! to another frame, a frame is forgotten.

use crate::mutant::{Mistake, Mutant};
use crate::run::Counts;
use crate::threads::leak::Leak;
use crate::threads::op::{Op, Race, race};
use crate::threads::race::run;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
use std::cell::Cell;
use std::rc::Rc;

/// Races to find each in.
const CASES: u32 = 300;

/// What is noticed in random races, if anything is.
fn noticed(run: impl Fn(&Race) -> Result<(), TestCaseError>) -> Option<String> {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5eed),
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    });
    match runner.run(&race(80), |race| run(&race)) {
        Err(TestError::Fail(reason, _)) => Some(reason.to_string()),
        _ => None,
    }
}

#[test]
fn one_mistake_of_a_core_in_a_race_is_noticed() {
    for mistake in [
        Mistake::NoTlbi,
        Mistake::OwnCore,
        Mistake::NoWait,
        Mistake::ShortCopy,
        Mistake::NoStore,
    ] {
        let noticed = noticed(|race| {
            let occasion = Rc::new(Cell::new((race.seed % 40) as u32));
            let wrap = |core| Mutant::new(core, mistake, Some(Rc::clone(&occasion)));
            run(race, None, wrap, &mut Counts::new())
                .map_err(|failure| TestCaseError::fail(failure.to_string()))
        });
        println!("{mistake:?}: {noticed:?}");
        assert!(noticed.is_some(), "{mistake:?} goes unnoticed");
    }
}

#[test]
fn a_store_lost_on_the_way_to_another_frame_is_noticed() {
    // MM-26. Without children nothing but a migration copies pages.
    let noticed = noticed(|race| {
        let mut race = race.clone();
        for ops in &mut race.threads {
            ops.retain(|op| !matches!(op, Op::Fork));
        }
        let occasion = Rc::new(Cell::new(0));
        let wrap = |core| Mutant::new(core, Mistake::ShortCopy, Some(Rc::clone(&occasion)));
        run(&race, None, wrap, &mut Counts::new())
            .map_err(|failure| TestCaseError::fail(failure.to_string()))
    });
    println!("{noticed:?}");
    assert!(noticed.is_some());
}

#[test]
fn one_leak_in_a_race_is_noticed() {
    for leak in [Leak::Frame, Leak::Reference, Leak::Map, Leak::Resident] {
        let noticed = noticed(|race| {
            run(race, Some(leak), |core| core, &mut Counts::new())
                .map_err(|failure| TestCaseError::fail(failure.to_string()))
        });
        println!("{leak:?}: {noticed:?}");
        assert!(noticed.is_some(), "{leak:?} goes unnoticed");
    }
}
