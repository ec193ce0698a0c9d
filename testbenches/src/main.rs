// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The program `mmu-cosim`: the command line of `cosim` over the testbenches of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    cosim::selftest::register(testbenches::selftest::STIMULI);
    cosim::cli::main(testbenches::REGISTRY, testbenches::litmus::CATALOGUE)
}
