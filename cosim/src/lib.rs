// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Everything between Rust and the RTL, and the judging of what the RTL does.

pub mod arch;
pub mod check;
pub mod cli;
pub mod coverage;
pub mod dut;
pub mod experiment;
pub mod litmus;
pub mod mutation;
pub mod nearest;
pub mod regress;
pub mod selftest;
pub mod sim;
pub mod stimulus;
pub mod vectors;
pub mod wave;
