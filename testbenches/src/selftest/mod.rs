// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the self-test runs: the load that meets every mechanism once, small stimuli that break rules of
//! software, and a testbench that does all of it within a regression.

mod pressure;
mod software;

use cosim::dut::memory::MemorySystem;
use cosim::regress::interrupt::Interrupt;
use cosim::regress::{Bench, Failure, Testbench};
use cosim::selftest::{Options, Stimuli, Summary, run, selection};

use crate::random::exercise::{Exercise, SETUPS, exercise};

/// The stimuli that `mmu-cosim selftest` uses.
pub static STIMULI: Stimuli = Stimuli {
    setups: SETUPS,
    start: load,
    software: software::FAULTS,
};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "plants",
    purpose: "the load of the self-test without a fault; on `planted`, each fault is seen by the detector made for it",
    requirements: &[],
    run: plants,
}];

fn load(bench: &mut Bench, setup: usize) -> Result<(), Failure> {
    let timed = bench.setup().memory_system != MemorySystem::Default;
    if timed && setup == 0 {
        return pressure::start(bench);
    }
    Exercise::load(bench, setup)?.start(bench)
}

fn plants(bench: &mut Bench) -> Result<(), Failure> {
    exercise(bench)?;
    let planted = cosim::dut::configs()
        .iter()
        .any(|config| config.planted && config.name == bench.config());
    if !planted {
        return Ok(());
    }
    let all = selection(&STIMULI, &[]).map_err(Failure::setup)?;
    let options = Options {
        workers: 1,
        interrupt: Interrupt::new(),
    };
    let rows = run(&STIMULI, &all, &options, |_| (), |_| ());
    let summary = Summary::of(&rows, &all.detectors);
    bench.count("faults", rows.len() as u64);
    bench.count("detectors", summary.fired as u64);
    match summary.pass() {
        true => Ok(()),
        false => Err(Failure::expectation(format!(
            "the self-test failed: {summary:?}"
        ))),
    }
}
