// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How a run of a testbench becomes a verdict: what its simulations broke, what was declared to break,
//! and what the body said.

use super::bench::Bench;
use super::failure::{Failure, FailureKind};
use crate::dut::{Counts, NodeCounts};
use crate::sim::Simulation;

impl Bench {
    /// Ends the current simulation, if there is one, and judges it; the next use opens a fresh one.
    ///
    /// # Errors
    /// The violations of the simulation that ends.
    pub fn restart(&mut self) -> Result<(), Failure> {
        let Some(mut simulation) = self.simulation.take() else {
            return Ok(());
        };
        let ended = simulation
            .finish()
            .map(|_| ())
            .map_err(|error| self.setup_failure(error));
        self.add_up(&simulation);
        ended?;
        self.judge(&simulation)?;
        match simulation.violations().unmet() {
            Some(expectation) => {
                let what = format!(
                    "a violation was declared and came {} times: {expectation}",
                    expectation.seen()
                );
                Err(self.located(Failure::expectation(what).at_cycle(simulation.now())))
            }
            None => Ok(()),
        }
    }

    /// Ends the last simulation and turns what the body returned into the verdict.
    ///
    /// # Errors
    /// The failure of the run, as far as it was not the one expected.
    pub fn conclude(&mut self, body: Result<(), Failure>) -> Result<(), Failure> {
        let outcome = match body {
            Ok(()) => self.restart(),
            Err(failure) => {
                // The verdict stands; only files and figures are completed.
                if let Some(mut simulation) = self.simulation.take() {
                    if simulation.finish().is_err() {
                        self.count("files not written", 1);
                    }
                    self.add_up(&simulation);
                }
                Err(failure)
            }
        };
        let Some(expected) = &self.expected else {
            return outcome;
        };
        match outcome {
            Err(failure)
                if failure.kind == FailureKind::Violations
                    && failure
                        .violations
                        .iter()
                        .any(|violation| violation.breaks(expected)) =>
            {
                Ok(())
            }
            Err(failure) => Err(failure),
            Ok(()) => {
                let what =
                    format!("the planted fault passed unseen: no checker reported {expected}");
                Err(Failure::expectation(what))
            }
        }
    }

    fn add_up(&mut self, simulation: &Simulation) {
        self.cycles += simulation.now();
        for expectation in simulation.violations().expected() {
            let name = format!("expected {}", expectation.requirement());
            self.count(&name, expectation.seen());
        }
        let counts = simulation.final_counts();
        if self.counts.len() < counts.len() {
            self.counts.resize(counts.len(), Counts::default());
        }
        for (sum, counts) in self.counts.iter_mut().zip(counts) {
            sum.add(counts);
        }
        let counts = simulation.final_node_counts();
        if self.node_counts.len() < counts.len() {
            self.node_counts.resize(counts.len(), NodeCounts::default());
        }
        for (sum, counts) in self.node_counts.iter_mut().zip(counts) {
            sum.add(counts);
        }
    }

    pub(super) fn judge(&self, simulation: &Simulation) -> Result<(), Failure> {
        let violations = simulation.violations();
        if violations.is_empty() {
            return Ok(());
        }
        let kept = violations.iter().cloned().collect();
        let mut failure = self.located(Failure::violations(kept, violations.total()));
        witnessed(&mut failure, simulation);
        Err(failure)
    }

    /// Says which simulation of the run `failure` is about, and what happened last in it.
    pub(super) fn located(&self, mut failure: Failure) -> Failure {
        failure.simulation = self.opened.saturating_sub(1);
        if let (true, Some(simulation)) = (failure.evidence.recent.is_empty(), &self.simulation) {
            witnessed(&mut failure, simulation);
        }
        failure
    }
}

/// Adds to `failure` the last events of `simulation`, and what the OS was in.
fn witnessed(failure: &mut Failure, simulation: &Simulation) {
    let events = simulation.flight_recorder().events();
    failure.evidence.recent = events.map(ToString::to_string).collect();
    failure.evidence.activities = simulation.activities().lines();
}
