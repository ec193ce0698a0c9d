// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The command line. [`main`] is all that a testbench binary needs.
//!
//! Exit status: 0 pass, 1 fail, 2 usage or input error.

mod coverage;
mod experiment;
mod list;
mod litmus;
mod litmus_explore;
mod litmus_import;
mod litmus_table;
mod memory;
mod mutate;
mod replay;
mod replay_stimulus;
mod run;
mod selection;
mod selftest;
mod shrink;
mod stats;
mod strap;
mod suite;
mod walk;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;

pub use self::suite::{Catalogue, Suite};
use crate::regress::interrupt::Interrupt;

/// Wrong use or unreadable input: one message that says what, where, and how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl From<String> for UsageError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

/// What a subcommand comes to.
pub type CommandResult = Result<bool, UsageError>;

#[derive(Debug, Parser)]
#[command(
    name = "mmu-cosim",
    version,
    about = "Runs an RTL arm64 MMU against an architectural model and judges every answer",
    after_help = "Examples:\n  \
        mmu-cosim list                               what can be run, and what each run proves\n  \
        mmu-cosim run --all --seeds 4 --jobs 2       a small regression\n  \
        mmu-cosim run random --config tiny --seed 7  one run; a red one says how to read it\n\n\
        Exit status: 0 pass, 1 fail, 2 usage or input error."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the registered testbenches, with the requirements that each proves
    List(list::Arguments),
    /// Run testbenches and judge every answer of the hardware
    Run(run::Arguments),
    /// Show that each checker and each assertion sees the fault planted for it
    Selftest(selftest::Arguments),
    /// Replay translation vectors and compare every answer with the reference
    Replay(replay::Arguments),
    /// Reduce a red run to the steps that its failure needs, as a file and as a directed testbench
    Shrink(shrink::Arguments),
    /// Replay a recorded or shrunk stimulus under all checkers
    ReplayStimulus(replay_stimulus::Arguments),
    /// Draw one table walk step by step
    Walk(walk::Arguments),
    /// Measure the hardware and report figures
    Experiment(experiment::Arguments),
    /// Run litmus scenarios and count their outcomes
    Litmus(litmus::Arguments),
    /// Report which situations runs have covered, and which not
    Coverage(coverage::Arguments),
    /// List the memory systems that have a name, or write one as a file
    Memory(memory::Arguments),
    /// Put single faults into the RTL, one at a time, and report which ones no run notices
    Mutate(mutate::Arguments),
}

impl Command {
    fn json(&self) -> bool {
        match self {
            Self::List(arguments) => arguments.json,
            Self::Run(arguments) => arguments.selection.json,
            Self::Selftest(arguments) => arguments.json,
            Self::Replay(arguments) => arguments.json,
            Self::Shrink(arguments) => arguments.run.json,
            Self::ReplayStimulus(arguments) => arguments.json,
            Self::Walk(arguments) => arguments.json,
            Self::Experiment(arguments) => arguments.json,
            Self::Litmus(arguments) => arguments.json(),
            Self::Coverage(arguments) => arguments.json,
            Self::Memory(_) => false,
            Self::Mutate(arguments) => arguments.json,
        }
    }

    fn execute(&self, suite: Suite<'_>) -> CommandResult {
        let registry = suite.testbenches;
        match self {
            Self::List(arguments) => list::execute(arguments, suite),
            Self::Run(arguments) => run::execute(arguments, registry),
            Self::Selftest(arguments) => selftest::execute(arguments, suite.stimuli),
            Self::Replay(arguments) => replay::execute(arguments),
            Self::Shrink(arguments) => shrink::execute(arguments, registry),
            Self::ReplayStimulus(arguments) => replay_stimulus::execute(arguments),
            Self::Walk(arguments) => walk::execute(arguments),
            Self::Experiment(arguments) => experiment::execute(arguments, suite.experiments),
            Self::Litmus(arguments) => litmus::execute(arguments, suite.scenarios),
            Self::Coverage(arguments) => coverage::execute(arguments),
            Self::Memory(arguments) => memory::execute(arguments),
            Self::Mutate(arguments) => mutate::execute(arguments, registry),
        }
    }
}

/// Runs the command line of this process on what the program brings.
#[must_use]
pub fn main(suite: Suite<'_>) -> ExitCode {
    run_command_line(std::env::args_os(), suite)
}

/// Runs `arguments`, the name of the program first.
pub fn run_command_line<I, T>(arguments: I, suite: Suite<'_>) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are such errors too, with status 0. A closed pipe is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.command.execute(suite) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            if cli.command.json() {
                say(&json!({"pass": false, "error": error.to_string()}).to_string());
            }
            ExitCode::from(2)
        }
    }
}

/// Raised by Ctrl-C from now on: what runs keeps the results so far.
fn on_ctrl_c() -> Result<Interrupt, UsageError> {
    Interrupt::on_ctrl_c().map_err(|error| UsageError(format!("cannot listen for Ctrl-C: {error}")))
}

/// Prints one line. A reader that has gone away (`| head`) is no reason to fail.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
