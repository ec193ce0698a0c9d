// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Mutation: single faults of the RTL, one at a time under the standard regression, to measure whether
//! testbenches and checkers notice.

pub mod regression;
pub mod tally;

use std::sync::atomic::{AtomicBool, Ordering};

use cosim_bridge::MutantInfo;

use self::regression::Run;
use crate::regress::context::Recording;
use crate::regress::failure::{Failure, FailureKind};
use crate::regress::interrupt::Interrupt;
use crate::regress::runner::{self, Verdict};
use crate::regress::spread::{Told, spread};

/// How a mutant was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Testbench that was running.
    pub testbench: &'static str,
    /// The command that shows it.
    pub command: String,
    /// What spoke first: a checker by name, `assertion`, `watchdog`, or `expectation`, `timeout`,
    /// `panic` of the testbench.
    pub detector: String,
    /// Ids of the requirements that it named.
    pub requirements: Vec<String>,
    /// One sentence: what came.
    pub what: String,
    /// Cycle of the simulation in which it was seen, where one is known.
    pub cycle: Option<u64>,
    /// Cycles simulated with the mutant until then, over all runs.
    pub cycles: u64,
}

/// What became of one mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A run was red.
    Killed(Kill),
    /// No run was made: `rtl/sva/equivalent.toml` says why none could be red.
    Equivalent,
    /// Every run was green.
    Survived {
        /// Cycles simulated.
        cycles: u64,
    },
    /// Ctrl-C came first.
    NotRun,
}

/// Why a campaign cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// A run is red with no mutant in force.
    #[error("the regression is red without any mutant, so it can judge none: {command}: {what}")]
    Red {
        /// The command that shows it.
        command: String,
        /// What broke.
        what: String,
    },
}

/// How to run a campaign.
#[derive(Debug, Clone)]
pub struct Options {
    /// Mutants at a time.
    pub workers: usize,
    /// Whether mutants argued to be equivalent run too: one that is killed refutes its argument.
    pub equivalent: bool,
    /// Stops the campaign.
    pub interrupt: Interrupt,
}

/// What a campaign tells while it runs.
pub trait Progress {
    /// The outcome of mutant `index`; called in the order of the mutants.
    fn outcome(&mut self, index: usize, mutant: &MutantInfo, outcome: &Outcome);

    /// Called every second or so while nothing else happens: `done` mutants have ended.
    fn alive(&mut self, done: usize);
}

/// Runs the regression on each of `mutants`, until something is red, and returns what became of them,
/// in the same order. A panic, a hang or a model that dies is a kill like any other.
///
/// # Errors
/// When a run is red without a mutant.
pub fn campaign(
    mutants: &[&'static MutantInfo],
    runs: &[Run<'_>],
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Vec<Outcome>, CampaignError> {
    let red = AtomicBool::new(false);
    let work = |mutant: &&'static MutantInfo| {
        // Nothing that follows a red run without a mutant would be judged.
        if red.load(Ordering::Relaxed) {
            return Ok(Outcome::NotRun);
        }
        let outcome = judge(mutant, runs, options);
        red.fetch_or(outcome.is_err(), Ordering::Relaxed);
        outcome
    };
    let mut outcomes = Ok(Vec::with_capacity(mutants.len()));
    spread(mutants, options.workers, work, |told| match told {
        Told::Alive(done) => progress.alive(done),
        Told::Result(index, result) => {
            if let Ok(all) = &mut outcomes {
                match result {
                    Ok(outcome) if !red.load(Ordering::Relaxed) => {
                        progress.outcome(index, mutants[index], &outcome);
                        all.push(outcome);
                    }
                    Ok(_) => {}
                    Err(error) => outcomes = Err(error),
                }
            }
        }
    });
    outcomes
}

fn judge(
    mutant: &'static MutantInfo,
    runs: &[Run<'_>],
    options: &Options,
) -> Result<Outcome, CampaignError> {
    if mutant.equivalent.is_some() && !options.equivalent {
        return Ok(Outcome::Equivalent);
    }
    let mut cycles = 0;
    for run in runs {
        if options.interrupt.raised() {
            return Ok(Outcome::NotRun);
        }
        let unmutated = run.unmutated(&options.interrupt);
        if let Some(failure) = &unmutated.failure {
            if failure.kind == FailureKind::Interrupted {
                return Ok(Outcome::NotRun);
            }
            return Err(CampaignError::Red {
                command: run.job().command(),
                what: failure.what.clone(),
            });
        }
        let job = run.with(&mutant.plant, unmutated);
        let result = runner::attempt(&job, Recording::default(), false, &options.interrupt);
        cycles += result.cycles;
        match result.failure {
            None => debug_assert_eq!(result.verdict, Verdict::Pass),
            Some(failure) if failure.kind == FailureKind::Interrupted => {
                return Ok(Outcome::NotRun);
            }
            Some(failure) => {
                return Ok(Outcome::Killed(Kill {
                    testbench: job.testbench.name,
                    command: job.command(),
                    detector: detector(&failure),
                    requirements: failure
                        .violations
                        .first()
                        .map(|violation| violation.requirements.clone())
                        .unwrap_or_default(),
                    what: failure.what,
                    cycle: failure.cycle,
                    cycles,
                }));
            }
        }
    }
    Ok(match mutant.equivalent {
        Some(_) => Outcome::Equivalent,
        None => Outcome::Survived { cycles },
    })
}

/// What spoke first.
fn detector(failure: &Failure) -> String {
    match (failure.kind.clone(), failure.violations.first()) {
        (FailureKind::Violations, Some(violation)) => violation.checker.to_owned(),
        (FailureKind::Timeout, _) => "timeout".to_owned(),
        (FailureKind::Panic, _) => "panic".to_owned(),
        (FailureKind::Setup, _) => "set-up".to_owned(),
        _ => "expectation".to_owned(),
    }
}
