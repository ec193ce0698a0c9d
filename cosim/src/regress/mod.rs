// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Regressions: registered testbenches, the context that each one runs in, the runner that
//! spreads runs over workers, and the report of a red one.

pub mod bench;
pub mod context;
pub mod expect;
pub mod failure;
pub mod interrupt;
pub mod report;
pub(crate) mod rerun;
pub mod rtl_engine;
pub mod runner;
pub mod spread;
pub mod testbench;
mod verdict;

pub use bench::Bench;
pub use expect::Expect;
pub use failure::Failure;
pub use rtl_engine::RtlEngine;
pub use runner::{Job, JobResult, Verdict};
pub use testbench::{Testbench, find};
