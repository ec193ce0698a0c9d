// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim selftest`: shows that each checker and each assertion sees the fault planted for it.

use std::io::{IsTerminal, Write};

use clap::Args;
use serde_json::{Value, json};

use super::{CommandResult, UsageError, on_ctrl_c, say};
use crate::regress::testbench::PLANTED;
use crate::selftest::{self, Options, Outcome, Row, Stimuli, Summary, WINDOW};

/// Arguments of `selftest`.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    mmu-cosim selftest --jobs 2                every detector, and the load without a fault\n  \
    mmu-cosim selftest scoreboard              the faults that the scoreboard sees first\n  \
    mmu-cosim selftest af0-cached --json       one fault\n\n\
    A detector is a checker or an assertion of the RTL. Faults of the RTL come from rtl/sva/plants.toml\n\
    (configuration `planted`), faults of software from small stimuli. The rule for one fault: within\n\
    {WINDOW} cycles of the first report of anybody, the detector that its entry names (`sees`) has to name the\n\
    requirement (`fires`), and nobody else may speak who is not declared (`also`). What is reported later\n\
    is a consequence. A detector is silent if it sees no fault in that way; a fault is noisy if somebody\n\
    undeclared speaks; without a fault nobody may speak.\n\n\
    Exit status: 0 all as declared, 1 not, 2 usage error. Ctrl-C keeps the results so far."))]
pub struct Arguments {
    /// Faults, or detectors whose faults to run; none runs everything
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// List the detectors and the faults that each sees, and run nothing
    #[arg(long)]
    pub list: bool,
    /// Runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Runs what the arguments name.
pub fn execute(arguments: &Arguments, stimuli: Option<&'static Stimuli>) -> CommandResult {
    let Some(stimuli) = stimuli else {
        let text = "this program brings no load for the self-test; use `mmu-cosim` of the crate \
                    `testbenches`, or give its Suite a load";
        return Err(UsageError(text.to_owned()));
    };
    let selection = selftest::selection(stimuli, &arguments.names).map_err(UsageError)?;
    if arguments.list {
        list(stimuli, &selection.detectors, arguments.json);
        return Ok(true);
    }
    if !cosim_bridge::configs()
        .iter()
        .any(|config| config.name == PLANTED)
    {
        return Err(UsageError(format!(
            "this build has no configuration `{PLANTED}`: build again with MMU_COSIM_CONFIGS unset, or \
             with `{PLANTED}` in it"
        )));
    }
    let interrupt = on_ctrl_c()?;
    let options = Options {
        workers: usize::from(arguments.jobs),
        interrupt,
    };
    let (total, live) = (selection.len(), std::io::stderr().is_terminal());
    let clear = || {
        if live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    };
    let mut told = 0;
    let rows = selftest::run(
        stimuli,
        &selection,
        &options,
        |row| {
            told += 1;
            clear();
            say(&line(row, told, total));
        },
        |ended| {
            if live {
                let _ = write!(std::io::stderr(), "\r\x1b[K{ended} of {total} runs done");
                let _ = std::io::stderr().flush();
            }
        },
    );
    clear();
    let summary = Summary::of(&rows, &selection.detectors);
    for name in &summary.silent {
        say(&format!(
            "silent: {name}: no planted fault is seen by it as declared"
        ));
    }
    say(&format!(
        "detectors={} fired={} silent={} noisy={} unseen={}",
        summary.detectors,
        summary.fired,
        summary.silent.len(),
        summary.noisy.len(),
        summary.unseen.len()
    ));
    if arguments.json {
        say(&describe(&summary, &rows).to_string());
    }
    Ok(summary.pass())
}

fn line(row: &Row, told: usize, total: usize) -> String {
    let width = total.to_string().len();
    let word = match &row.outcome {
        Outcome::Seen => "pass",
        Outcome::NotRun => "not run",
        _ => "FAIL",
    };
    let fault = row.fault.unwrap_or("(no fault)");
    let mut line = format!("[{told:>width$}/{total}] {word}  {fault}");
    if row.fault.is_some() {
        line.push_str(&format!("  seen by {}", row.detector));
    }
    match row
        .speakers
        .iter()
        .find(|speaker| speaker.detector == row.detector)
    {
        Some(own) => line.push_str(&format!("  cycle {}", own.cycle)),
        None => line.push_str(&format!("  {} cycles", row.cycles)),
    }
    let others = row
        .speakers
        .iter()
        .filter(|speaker| speaker.detector != row.detector);
    for other in others {
        line.push_str(&format!(
            "\n        and {} at {}",
            other.detector, other.cycle
        ));
    }
    match &row.outcome {
        Outcome::Silent => line.push_str("\n        its detector did not see it in time"),
        Outcome::Noisy(who) => {
            line.push_str(&format!("\n        not declared: {}", who.join("; ")));
        }
        Outcome::Failed(why) => line.push_str(&format!("\n        {why}")),
        Outcome::Seen | Outcome::NotRun => {}
    }
    line
}

fn describe(summary: &Summary, rows: &[Row]) -> Value {
    let noisy: Vec<Value> = summary
        .noisy
        .iter()
        .map(|(fault, who)| json!({"fault": fault, "undeclared": who}))
        .collect();
    let failed: Vec<Value> = summary
        .failed
        .iter()
        .map(|(fault, why)| json!({"fault": fault, "why": why}))
        .collect();
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let speakers = row.speakers.iter().map(|speaker| {
                json!({
                    "detector": speaker.detector,
                    "cycle": speaker.cycle,
                    "requirements": speaker.requirements,
                })
            });
            json!({
                "fault": row.fault,
                "sees": row.detector,
                "setup": row.setup,
                "cycles": row.cycles,
                "pass": row.outcome == Outcome::Seen,
                "speakers": speakers.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "pass": summary.pass(),
        "detectors": summary.detectors,
        "fired": summary.fired,
        "silent": summary.silent,
        "noisy": noisy,
        "unseen": summary.unseen,
        "failed": failed,
        "not_run": summary.not_run,
        "faults": rows,
    })
}

fn list(stimuli: &selftest::Stimuli, detectors: &[String], as_json: bool) {
    let hardware = cosim_bridge::plants()
        .iter()
        .map(|plant| (plant.sees, plant.id, plant.why));
    let software = stimuli
        .software
        .iter()
        .map(|fault| (fault.sees, fault.id, fault.why));
    let faults: Vec<_> = hardware.chain(software).collect();
    let of = |name: &str| -> Vec<_> {
        let seen = faults.iter().filter(|(sees, ..)| *sees == name);
        seen.copied().collect()
    };
    if as_json {
        let all: Vec<Value> = detectors
            .iter()
            .map(|name| {
                let ids: Vec<_> = of(name).into_iter().map(|(_, id, _)| id).collect();
                json!({"detector": name, "faults": ids})
            })
            .collect();
        say(&json!({"pass": true, "detectors": all}).to_string());
        return;
    }
    for name in detectors {
        say(name);
        for (_, id, why) in of(name) {
            say(&format!("    {id}: {why}"));
        }
    }
}
