// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim replay-stimulus`: a recorded or shrunk stimulus, judged by all checkers.

use std::io::BufWriter;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{CommandResult, UsageError, on_ctrl_c, say};
use crate::regress::testbench::{PLANTED, find_plant};
use crate::stimulus::{Replayed, Stimulus, listing, replay};

/// Arguments of `replay-stimulus`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    mmu-cosim replay-stimulus out/shrink-stress-tiny-7/stimulus.json\n  \
    mmu-cosim replay-stimulus stimulus.json --without-plant    green, if the plant was to blame\n  \
    mmu-cosim replay-stimulus stimulus.json --config 2x2 --log events.txt\n\n\
    `mmu-cosim shrink` writes such files.")]
pub struct Arguments {
    /// Stimulus file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Another hardware configuration than that of the file
    #[arg(long, value_name = "C")]
    pub config: Option<String>,
    /// Plant this fault instead of that of the file
    #[arg(long, value_name = "ID", conflicts_with_all = ["config", "without_plant"])]
    pub plant: Option<String>,
    /// Leave the planted fault out
    #[arg(long)]
    pub without_plant: bool,
    /// Print the stimulus before it runs
    #[arg(long)]
    pub list: bool,
    /// Write the event log, one line an event
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Replays the file that the arguments name.
pub fn execute(arguments: &Arguments) -> CommandResult {
    let mut stimulus =
        Stimulus::read(&arguments.file).map_err(|error| UsageError(error.to_string()))?;
    if let Some(config) = &arguments.config {
        stimulus.setup.config.clone_from(config);
    }
    if let Some(plant) = &arguments.plant {
        find_plant(plant).map_err(UsageError)?;
        stimulus.setup.plant = Some(plant.clone());
        stimulus.setup.config = PLANTED.to_owned();
    }
    if arguments.without_plant {
        stimulus.setup.plant = None;
    }
    if arguments.list {
        say(listing(&stimulus).trim_end());
    }
    let log = match &arguments.log {
        Some(path) => {
            let file = std::fs::File::create(path)
                .map_err(|error| UsageError(format!("cannot write {}: {error}", path.display())))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let interrupt = on_ctrl_c()?;
    let replayed = replay(&stimulus, Some(interrupt.flag()), |simulation| {
        if let Some(log) = log {
            simulation.set_event_log(log);
        }
    })
    .map_err(|problem| UsageError(format!("{}: {problem}", arguments.file.display())))?;
    let Replayed {
        violations,
        cycles,
        interrupted,
        ..
    } = &replayed;
    for violation in violations.iter().take(4) {
        say(&violation.to_string());
        for line in &violation.permitted {
            say(&format!("    permitted: {line}"));
        }
    }
    let pass = violations.is_empty() && !interrupted;
    let expected = stimulus.broken.as_ref();
    let same = expected.map(|broken| violations.iter().any(|violation| broken.is(violation)));
    let word = match (pass, interrupted, same) {
        (_, true, _) => "interrupted",
        (true, ..) => "green",
        (false, _, Some(true)) => "red as recorded",
        _ => "red",
    };
    let steps = stimulus.steps.len();
    say(&format!(
        "steps={steps} cycles={cycles} violations={} {word}",
        violations.len()
    ));
    if arguments.json {
        let first = violations.first();
        say(&json!({
            "pass": pass, "steps": steps, "cycles": cycles, "as_recorded": same,
            "broken": first.map(|violation| &violation.requirements),
            "checker": first.map(|violation| violation.checker),
        })
        .to_string());
    }
    Ok(pass)
}
