// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim experiment`: measures the hardware and reports tables, CSV, SVG and JSON.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{CommandResult, UsageError, on_ctrl_c, say};
use crate::dut::memory::MemorySystem;
use crate::experiment::{Context, Experiment, ExperimentError, Parameters, Report, find};
use crate::nearest::nearest;

/// Arguments of `experiment`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    mmu-cosim experiment memory-latency\n  \
    mmu-cosim experiment memory-latency --quick --json | tail -1 | jq .matrix_ns\n  \
    mmu-cosim experiment memory-latency --memory ddr4 --csv latency.csv --svg latency.svg\n\n\
    Figures are a function of experiment, configuration, memory system, seed and --quick. Exit status 1\n\
    says that a check of the experiment does not hold. The CSV file has a line for each value of each\n\
    table: columns table, row, column, value. `mmu-cosim list` names all experiments.")]
pub struct Arguments {
    /// Experiment to run (see `mmu-cosim list`)
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Hardware configuration; each experiment has one that it is made for
    #[arg(long, value_name = "C")]
    pub config: Option<String>,
    /// Memory system: default, flat, ddr4, ddr5, random, or a file (see `mmu-cosim memory --help`)
    #[arg(long, value_name = "NAME|FILE.toml", default_value_t, value_parser = super::memory::parse)]
    pub memory: MemorySystem,
    /// Seed of all randomness
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Fewer samples and points
    #[arg(long)]
    pub quick: bool,
    /// Write the tables to a file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Draw the charts to a file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Runs the experiment that the arguments name.
pub fn execute(arguments: &Arguments, registry: &[Experiment]) -> CommandResult {
    let experiment = find(registry, &arguments.name).map_err(|near| {
        UsageError(format!(
            "no experiment is called `{}`{}; `mmu-cosim list` names all",
            arguments.name,
            hint(near)
        ))
    })?;
    let parameters = Parameters {
        config: configuration(arguments, experiment)?,
        memory: arguments.memory.clone(),
        seed: arguments.seed,
        quick: arguments.quick,
    };
    // Better now than after minutes of measuring.
    for path in arguments.csv.iter().chain(&arguments.svg) {
        writable(path)?;
    }
    let live = std::io::stderr().is_terminal();
    let mut said = String::new();
    let mut progress = |what: &str, done: usize, all: usize| {
        let mut out = std::io::stderr().lock();
        // A reader that has gone away is no reason to stop.
        if live {
            let _ = write!(out, "\r\x1b[K{what}: {done} of {all}");
            let _ = out.flush();
        } else if said != what {
            let _ = writeln!(out, "{what}: {all} to measure");
            what.clone_into(&mut said);
        }
    };
    let mut context = Context {
        parameters: &parameters,
        interrupt: on_ctrl_c()?,
        progress: &mut progress,
    };
    let outcome = (experiment.run)(&mut context);
    if live {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let report = match outcome {
        Ok(report) => report,
        Err(ExperimentError::Broken(text)) => Report {
            checks: vec![crate::experiment::Check {
                requirement: "HANG",
                pass: false,
                text,
            }],
            ..Report::default()
        },
        Err(error) => return Err(UsageError(format!("{}: {error}", experiment.name))),
    };
    say(&format!(
        "{}  config {}  memory {}  seed {}{}\n",
        experiment.name,
        parameters.config,
        parameters.memory,
        parameters.seed,
        if parameters.quick { "  quick" } else { "" }
    ));
    say(report.to_string().trim_end());
    write_files(arguments, &report)?;
    let pass = report.pass();
    say(if pass { "\npass" } else { "\nFAIL" });
    if arguments.json {
        say(&report.json(experiment.name, &parameters).to_string());
    }
    Ok(pass)
}

fn configuration(arguments: &Arguments, experiment: &Experiment) -> Result<String, UsageError> {
    let name = arguments.config.as_deref().unwrap_or(experiment.config);
    let built = || cosim_bridge::configs().iter().map(|config| config.name);
    if built().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let names = built().collect::<Vec<_>>().join(", ");
    let message = match arguments.config {
        Some(_) => format!(
            "no configuration is called `{name}`{}; there are {names}",
            hint(nearest(name, built()))
        ),
        None => format!(
            "{} is made for configuration `{name}`, which this program was built without: name it in \
             MMU_COSIM_CONFIGS, or choose with --config among {names}",
            experiment.name
        ),
    };
    Err(UsageError(message))
}

fn hint(near: Option<&str>) -> String {
    near.map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> UsageError {
    UsageError(format!("cannot write {}: {error}", path.display()))
}

/// Whether a file can be made there, without touching one that exists.
fn writable(path: &Path) -> Result<(), UsageError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match parent.filter(|parent| !parent.is_dir()) {
        Some(missing) => {
            let error = format!("there is no folder {}", missing.display());
            Err(unwritable(path, &error))
        }
        None if path.is_dir() => Err(unwritable(path, &"it is a folder")),
        None => Ok(()),
    }
}

fn write_files(arguments: &Arguments, report: &Report) -> Result<(), UsageError> {
    if let Some(path) = &arguments.csv {
        let file = std::fs::File::create(path).map_err(|error| unwritable(path, &error))?;
        let written = report.write_csv(std::io::BufWriter::new(file));
        written.map_err(|error| unwritable(path, &error))?;
    }
    if let Some(path) = &arguments.svg {
        let image = report.svg().map_err(|error| unwritable(path, &error))?;
        let image =
            image.ok_or_else(|| unwritable(path, &"nothing was measured that can be drawn"))?;
        std::fs::write(path, image).map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}
