// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim shrink`: runs until something is red, records it, and takes away all that the failure does
//! not need.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::selection::Selection;
use super::{CommandResult, UsageError, on_ctrl_c, say};
use crate::check::frames;
use crate::regress::Testbench;
use crate::regress::context::Recording;
use crate::regress::failure::{Failure, FailureKind};
use crate::regress::interrupt::Interrupt;
use crate::regress::runner::{Job, attempt};
use crate::stimulus::shrink::{HANG, Progress, Shrunk, shrink};
use crate::stimulus::{Broken, Recorded, Slot, Stimulus, listing, replay, testbench_source};

/// Arguments of `shrink`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    mmu-cosim shrink stress --config tiny --seed 7          the first red seed from 7 on\n  \
    mmu-cosim shrink stress --config tiny --seed 7 --seeds 50\n  \
    mmu-cosim shrink random --plant af0-cached --budget 500\n\n\
    The run is recorded at the socket and replayed with less and less: steps, cores, times, memory,\n\
    straps, as long as the same checker reports the same requirement. What is left is printed, and\n\
    written to out/shrink-NAME-CONFIG-SEED/ as stimulus.json, for `mmu-cosim replay-stimulus`, and as\n\
    testbench.rs, a directed testbench. Ctrl-C keeps the best so far.\n\n\
    Exit status: 0 shrunk, 1 nothing to shrink because every run is green, 2 usage or input error.")]
pub struct Arguments {
    /// What to run
    #[command(flatten)]
    pub run: Selection,
    /// Most runs to make while shrinking
    #[arg(long, value_name = "RUNS", default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    pub budget: u64,
    /// Folder under which the results go
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
}

/// Shrinks the first red run of those that the arguments name.
pub fn execute(arguments: &Arguments, registry: &[Testbench]) -> CommandResult {
    let jobs = arguments.run.jobs(registry)?;
    let interrupt = on_ctrl_c()?;
    let mut red = None;
    for job in &jobs {
        let result = attempt(job, Recording::default(), false, &interrupt);
        if let Some(failure) = result.failure {
            red = Some((job, failure));
            break;
        }
    }
    let Some((job, failure)) = red else {
        say(&format!(
            "nothing to shrink: {} runs, all green",
            jobs.len()
        ));
        if arguments.run.json {
            say(&json!({"shrunk": false, "runs": jobs.len()}).to_string());
        }
        return Ok(false);
    };
    let broken = recognised(job, &failure)?;
    say(&format!("{} breaks {broken}", job.command()));
    let recorded = record(job, &failure, &interrupt)?;
    let mut printer = Printer {
        live: std::io::stderr().is_terminal(),
    };
    let shrunk = shrink(
        recorded,
        broken,
        arguments.budget,
        interrupt.flag(),
        &mut printer,
    )
    .map_err(UsageError)?;
    printer.clear();
    report(arguments, job, &shrunk)?;
    Ok(true)
}

/// What a checker reported first, without which there is nothing to look for. A run that does not end
/// hangs, as a rule, and the watchdog of the replay says so.
fn recognised(job: &Job<'_>, failure: &Failure) -> Result<Broken, UsageError> {
    let first = failure.violations.first();
    match (failure.kind.clone(), first) {
        (FailureKind::Violations, Some(violation)) if violation.checker == frames::NAME => {
            Err(UsageError(format!(
                "{}: {failure}: the checker `{}` goes by what the kernel tells of itself, and a \
                 recording holds only what the cores were asked; read the report of the run instead",
                job.command(),
                frames::NAME
            )))
        }
        (FailureKind::Violations, Some(violation)) => Ok(Broken::of(violation)),
        (FailureKind::Timeout, _) => Ok(Broken {
            checker: "watchdog".to_owned(),
            requirement: HANG.to_owned(),
        }),
        _ => Err(UsageError(format!(
            "{}: {failure}: no checker reported this, and only what checkers report can be shrunk; read \
             the report of the run instead",
            job.command()
        ))),
    }
}

/// Runs `job` once more and records the simulation that failed.
fn record(job: &Job<'_>, failure: &Failure, interrupt: &Interrupt) -> Result<Recorded, UsageError> {
    let slot = Slot::default();
    let recording = Recording {
        simulation: failure.simulation,
        stimulus: Some(slot.clone()),
        ..Recording::default()
    };
    let again = attempt(job, recording, false, interrupt).failure;
    let same = again.is_some_and(|again| again.what == failure.what);
    let recorded = slot.take().filter(|_| same);
    let mut recorded = recorded.ok_or_else(|| {
        UsageError(format!(
            "{}: the second run did not fail as the first: the testbench depends on more than its seed",
            job.command()
        ))
    })?;
    recorded.stimulus.origin = job.command();
    Ok(recorded)
}

/// Prints and writes what is left.
fn report(arguments: &Arguments, job: &Job<'_>, shrunk: &Shrunk) -> Result<(), UsageError> {
    let Shrunk {
        stimulus,
        runs,
        steps_before,
        complete,
    } = shrunk;
    let name = format!(
        "shrink-{}-{}-{}",
        job.testbench.name.replace('/', "-"),
        job.plant.map_or(job.config.as_str(), |plant| plant.id),
        job.seed
    );
    let folder = arguments.out.join(&name);
    let unwritable = |path: &Path, error: &dyn std::fmt::Display| {
        UsageError(format!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    let file = folder.join("stimulus.json");
    stimulus
        .write(&file)
        .map_err(|error| UsageError(error.to_string()))?;
    let source = folder.join("testbench.rs");
    let testbench = name.replacen("shrink-", "shrunk-", 1);
    std::fs::write(&source, testbench_source(stimulus, &testbench))
        .map_err(|error| unwritable(&source, &error))?;
    let text = listing(stimulus);
    let path = folder.join("listing.txt");
    std::fs::write(&path, &text).map_err(|error| unwritable(&path, &error))?;

    say(&format!("\n{text}"));
    let without = without_plant(stimulus)?;
    match without {
        Some(true) => say("without the plant    green"),
        Some(false) => say(
            "without the plant    RED: the steps that are left break a requirement on the RTL itself",
        ),
        None => {}
    }
    say(&format!(
        "replay               mmu-cosim replay-stimulus {}",
        file.display()
    ));
    say(&format!("directed testbench   {}", source.display()));
    let steps = stimulus.steps.len();
    let rest = match complete {
        true => "",
        false => " (stopped early: more may go, see --budget)",
    };
    say(&format!(
        "steps={steps} of {steps_before} words={} runs={runs}{rest}",
        stimulus.memory.len()
    ));
    if arguments.run.json {
        let broken = stimulus.broken.as_ref();
        say(&json!({
            "shrunk": true, "steps": steps, "steps_before": steps_before, "runs": runs,
            "words": stimulus.memory.len(), "complete": complete, "green_without_plant": without,
            "checker": broken.map(|broken| &broken.checker),
            "requirement": broken.map(|broken| &broken.requirement),
            "stimulus": file, "testbench": source,
        })
        .to_string());
    }
    Ok(())
}

/// Whether `stimulus` is green without its plant, if it has one.
fn without_plant(stimulus: &Stimulus) -> Result<Option<bool>, UsageError> {
    if stimulus.setup.plant.is_none() {
        return Ok(None);
    }
    let mut clean = stimulus.clone();
    clean.setup.plant = None;
    let replayed = replay(&clean, None, |_| ()).map_err(UsageError)?;
    Ok(Some(replayed.violations.is_empty()))
}

/// A line a pass; on a terminal also a line that counts runs.
struct Printer {
    live: bool,
}

impl Printer {
    fn clear(&self) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Progress for Printer {
    fn run(&mut self, runs: u64, budget: u64, pass: &str, best: &Stimulus) {
        if self.live {
            let steps = best.steps.len();
            let mut err = std::io::stderr();
            let _ = write!(err, "\r\x1b[K{pass}: {steps} steps, run {runs} of {budget}");
            let _ = err.flush();
        }
    }

    fn pass(&mut self, runs: u64, pass: &str, best: &Stimulus) {
        self.clear();
        let (steps, words) = (best.steps.len(), best.memory.len());
        say(&format!(
            "{pass:<26} {steps:>7} steps {words:>6} words   {runs} runs"
        ));
    }
}
