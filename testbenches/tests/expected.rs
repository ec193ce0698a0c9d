// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Violations that a test declares fail no run; one that is declared and does not come does.

use cosim::check::Expectation;
use cosim::regress::context::RunContext;
use cosim::regress::failure::FailureKind;
use cosim::regress::{Bench, Failure};
use testbenches::selftest::STIMULI;

fn bench() -> Bench {
    Bench::new(RunContext::new("expected", "tiny", 1))
}

/// Runs the stimulus in which a page moves in place, under `declared`.
fn moved(declared: Option<Expectation>) -> (Bench, Result<(), Failure>) {
    let mut bench = bench();
    let fault = STIMULI
        .software
        .iter()
        .find(|fault| fault.id == "sw-page-moved-in-place")
        .expect("the stimulus is there");
    (fault.start)(&mut bench).expect("it starts");
    if let Some(declared) = declared {
        bench
            .expect_violation(declared)
            .expect("the simulation is open");
    }
    let body = bench.run_tasks();
    let outcome = bench.conclude(body);
    (bench, outcome)
}

#[test]
fn a_declared_violation_is_counted_and_fails_nothing() {
    let (bench, outcome) = moved(Some(Expectation::of("BBM-03").times(1)));
    assert_eq!(outcome, Ok(()));
    assert_eq!(bench.figures().get("expected BBM-03"), Some(&1));
}

#[test]
fn an_undeclared_one_fails_the_run() {
    for declared in [None, Some(Expectation::of("BBM-03").within(0..=0xfff))] {
        let (_, outcome) = moved(declared);
        let failure = outcome.expect_err("the page moved");
        assert_eq!(failure.kind, FailureKind::Violations);
        assert!(failure.violations[0].breaks("BBM-03"));
    }
}

#[test]
fn a_declared_one_that_does_not_come_fails_the_run() {
    let (_, outcome) = moved(Some(Expectation::of("BBM-03").times(2)));
    let failure = outcome.expect_err("it came once");
    assert!(
        failure.what.contains("came 1 times: BBM-03, 2 times"),
        "{}",
        failure.what
    );
}
