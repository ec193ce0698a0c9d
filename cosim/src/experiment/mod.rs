// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Experiments: what measures the hardware and reports figures, as a testbench judges it.
//!
//! An experiment is registered in a static slice, like a testbench. Its body gets a [`Context`] (what
//! to measure on, and whom to tell how far it is) and comes to a [`Report`], which the command line
//! prints, draws, and writes as CSV and JSON.

mod chart;
mod csv;
mod report;

pub use self::chart::{Chart, Series, SvgError};
pub use self::report::{Check, Report, Table};

use crate::dut::memory::MemorySystem;
use crate::nearest::nearest;
use crate::regress::interrupt::Interrupt;
use crate::sim::{SimConfig, SimError};

/// One registered experiment.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// Name on the command line: lower case, words joined by `-`.
    pub name: &'static str,
    /// What it measures, in one line.
    pub purpose: &'static str,
    /// Configuration that it is made for, unless the command line names another.
    pub config: &'static str,
    /// The body.
    ///
    /// # Errors
    /// [`ExperimentError`] if it cannot be done, or the hardware did not get through it.
    pub run: fn(&mut Context<'_>) -> Result<Report, ExperimentError>,
}

/// What an experiment is a function of.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// Hardware configuration.
    pub config: String,
    /// Links and memory controllers.
    pub memory: MemorySystem,
    /// Root of all randomness.
    pub seed: u64,
    /// Fewer samples and points: for a look, and for tests.
    pub quick: bool,
}

impl Parameters {
    /// A simulation on this hardware, without assertions and checkers: those are for testbenches, and
    /// change no figure (MEM-15).
    #[must_use]
    pub fn simulation(&self) -> SimConfig {
        SimConfig {
            config: self.config.clone(),
            memory_system: self.memory.clone(),
            seed: self.seed,
            checks: false,
            ..SimConfig::default()
        }
    }
}

/// What the body of an experiment runs in.
pub struct Context<'a> {
    /// What to measure on.
    pub parameters: &'a Parameters,
    /// Raised by Ctrl-C: the body then returns what it has, marked as incomplete.
    pub interrupt: Interrupt,
    /// Told what is being measured, how many parts of it are done, and of how many.
    pub progress: &'a mut dyn FnMut(&str, usize, usize),
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The simulation cannot be made or go on.
    #[error(transparent)]
    Simulation(#[from] SimError),
    /// This hardware or memory system is not one that it can measure.
    #[error("{0}")]
    Unfit(String),
    /// The hardware did not get through it: a verdict, where the others are no use of the program.
    #[error("{0}")]
    Broken(String),
}

/// The experiment called `name`.
///
/// # Errors
/// Without one, the registered name nearest to `name`, if any is near.
pub fn find<'a>(registry: &'a [Experiment], name: &str) -> Result<&'a Experiment, Option<&'a str>> {
    let found = registry.iter().find(|experiment| experiment.name == name);
    found.ok_or_else(|| nearest(name, registry.iter().map(|experiment| experiment.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &mut Context<'_>) -> Result<Report, ExperimentError> {
        Ok(Report::default())
    }

    #[test]
    fn a_typo_offers_the_nearest_experiment() {
        let registry = [Experiment {
            name: "memory-latency",
            purpose: "",
            config: "numa",
            run: nothing,
        }];
        assert!(find(&registry, "memory-latency").is_ok());
        assert_eq!(
            find(&registry, "memory-latncy").err(),
            Some(Some("memory-latency"))
        );
        assert_eq!(find(&registry, "zzz").err(), Some(None));
    }
}
