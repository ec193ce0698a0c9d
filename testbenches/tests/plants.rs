// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Each detector, a checker or an assertion of `rtl/sva`, sees a planted fault before anything
//! undeclared does, and nobody speaks without one.

use std::collections::BTreeSet;

use cosim::check::CHECKERS;
use cosim::dut::memory::MemorySystem;
use cosim::regress::Bench;
use cosim::regress::context::RunContext;
use cosim::regress::interrupt::Interrupt;
use cosim::selftest::{Options, Summary, run, selection};
use testbenches::selftest::STIMULI;

#[test]
fn every_detector_sees_a_fault_of_its_own_and_is_quiet_otherwise() {
    let all = selection(&STIMULI, &[]).expect("everything can be chosen");
    let options = Options {
        workers: 2,
        interrupt: Interrupt::new(),
    };
    let rows = run(&STIMULI, &all, &options, |_| (), |_| ());
    let summary = Summary::of(&rows, &all.detectors);
    assert!(summary.pass(), "{summary:#?}");
    assert!(summary.detectors > 50, "{}", summary.detectors);
}

#[test]
fn no_checker_is_left_out() {
    let mut bench = Bench::new(RunContext::new("plants", "tiny", 1));
    bench.setup().memory_system = MemorySystem::Ddr4;
    let simulation = bench.simulation().expect("it opens");
    let attached: BTreeSet<_> = simulation.monitors().collect();
    assert_eq!(attached, BTreeSet::from(CHECKERS));
}
