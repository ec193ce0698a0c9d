// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The program `mmu-cosim`: the command line of `cosim` over the testbenches of this crate.

use std::process::ExitCode;

use cosim::cli::Suite;

fn main() -> ExitCode {
    cosim::cli::main(Suite {
        testbenches: testbenches::REGISTRY,
        scenarios: testbenches::litmus::CATALOGUE,
        experiments: testbenches::experiment::REGISTRY,
        stimuli: Some(&testbenches::selftest::STIMULI),
    })
}
