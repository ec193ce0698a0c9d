// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The self-test: each detector, a checker or an assertion of the RTL, is shown to see the fault
//! planted for it before anything undeclared does, and to be quiet without a fault.
//!
//! The rule for one fault: time is counted from the first report of anybody. Everybody who speaks
//! within [`WINDOW`] cycles of it has to be declared, either as the detector that sees the fault or
//! among those that rightly see it as early; the former has to be among them, and to name the
//! requirement that the fault breaks. Later reports are consequences and do not count.

mod hunt;
mod outcome;
mod run;

use crate::check::CHECKERS;
use crate::regress::{Bench, Failure};

pub use hunt::{Hunt, Speaker};
pub use outcome::{Outcome, Row, Summary};
pub use run::{Options, run, selection};

/// Cycles after the first report within which every speaker has to be declared: observation lanes, the
/// lanes of answers and assertions show one fault some cycles apart.
pub const WINDOW: u64 = 8;

/// A rule of software, broken on purpose by a small stimulus.
#[derive(Debug, Clone, Copy)]
pub struct SoftwareFault {
    /// Name of the fault.
    pub id: &'static str,
    /// Requirement that the detector has to name.
    pub fires: &'static str,
    /// The detector that sees it first.
    pub sees: &'static str,
    /// Other detectors that rightly speak as early.
    pub also: &'static [&'static str],
    /// What the fault does.
    pub why: &'static str,
    /// Loads memory and spawns the tasks of the stimulus.
    pub start: fn(&mut Bench) -> Result<(), Failure>,
}

/// What a crate of testbenches brings to the self-test.
#[derive(Debug, Clone, Copy)]
pub struct Stimuli {
    /// Set-ups of the hardware under which `start` meets different mechanisms; what it loads may depend
    /// on the memory system that is set up as well.
    pub setups: usize,
    /// Straps the hardware as the set-up of that number says, loads memory, and spawns the load that
    /// exercises everything.
    pub start: fn(&mut Bench, usize) -> Result<(), Failure>,
    /// Faults of software.
    pub software: &'static [SoftwareFault],
}

/// Name of the assertion that reports `requirement` and `text`, as `sees` and `also` spell it.
#[must_use]
pub fn assertion_name(requirement: &str, text: &str) -> String {
    format!("{requirement}: {text}")
}

/// Every detector: the checkers by their names, then the assertions.
#[must_use]
pub fn detectors() -> Vec<String> {
    let assertions = cosim_bridge::assertions().iter();
    let assertions = assertions.map(|(requirement, text)| assertion_name(requirement, text));
    CHECKERS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(assertions)
        .collect()
}
