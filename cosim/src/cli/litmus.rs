// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim litmus`: runs litmus scenarios on the hardware and counts their outcomes.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::litmus_table::{describe, show};
use super::{
    Catalogue, CommandResult, UsageError, litmus_explore, litmus_import, memory, on_ctrl_c, say,
};
use crate::dut::memory::MemorySystem;
use crate::dut::ports::Info;
use crate::litmus::run::Mode;
use crate::litmus::run::campaign::{self, Entry, Options, Plan, Progress};
use crate::litmus::run::rows::Sums;
use crate::litmus::{self, Scenario};
use crate::nearest::nearest;
use crate::regress::testbench::find_plant;

/// Arguments of `litmus`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    mmu-cosim litmus --jobs 2                      all scenarios, all modes, with and without FEAT_ETS2\n  \
    mmu-cosim litmus L24 L27 -v                    two of them, with every ending that came\n  \
    mmu-cosim litmus my/scenario.toml --runs 1000  one of your own\n  \
    mmu-cosim litmus --explore                     what the rules alone say, without hardware\n  \
    mmu-cosim litmus import TEST.litmus --out my   herd-style tests become scenarios\n  \
    mmu-cosim litmus --list\n\n\
    A scenario runs --runs times in each mode at each FEAT_ETS level: cold TLBs; pages touched before;\n\
    random delays; prefetching. A row is red if a forbidden outcome was seen or a required one missing,\n\
    a scenario is red if a checker found a violation in any run; a report follows with the command\n\
    that repeats it. docs/litmus.md says how scenarios are written and read.\n\n\
    Exit status: 0 pass, 1 fail, 2 usage or input error."
)]
pub struct Arguments {
    /// Another thing to do with scenarios
    #[command(subcommand)]
    pub command: Option<Also>,
    /// Scenarios of the catalogue, or files; all of the catalogue if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Folder with scenarios to use instead of the catalogue in this program
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Runs of each scenario in each mode at each FEAT_ETS level
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Hardware configuration [default: 2x1 for up to two cores, 2x2 for more]
    #[arg(long, value_name = "C")]
    pub config: Option<String>,
    /// Switch on a planted fault of rtl/sva/plants.toml (on configuration `planted`)
    #[arg(long, value_name = "ID", conflicts_with = "config")]
    pub plant: Option<String>,
    /// Seed of the first simulation of each scenario; the next has the next one
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// FEAT_ETS level: 0 or 2 [default: both]
    #[arg(long, value_name = "N", value_parser = parse_ets)]
    pub ets: Option<u8>,
    /// Memory system: default, flat, ddr4, ddr5, random, or a file (see `mmu-cosim memory --help`)
    #[arg(long, value_name = "NAME|FILE.toml", default_value_t, value_parser = memory::parse)]
    pub memory: MemorySystem,
    /// Modes, separated by commas: cold, touched, delay, prefetch [default: all]
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    pub mode: Vec<Mode>,
    /// Simulations at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Derive every verdict from the rules alone, without hardware, and hold it against the file
    #[arg(long)]
    pub explore: bool,
    /// Print every ending that came, with how often it came
    #[arg(short, long)]
    pub verbose: bool,
    /// List the scenarios, and run nothing
    #[arg(long)]
    pub list: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
    /// Folder for the files of red runs
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
}

/// What else can be done with scenarios.
#[derive(Debug, Subcommand)]
pub enum Also {
    /// Turn herd-style tests of virtual memory into scenario files
    Import(litmus_import::Arguments),
}

impl Arguments {
    /// Whether a JSON object is asked for.
    pub fn json(&self) -> bool {
        match &self.command {
            Some(Also::Import(arguments)) => arguments.json,
            None => self.json,
        }
    }
}

fn parse_ets(text: &str) -> Result<u8, String> {
    match text {
        "0" => Ok(0),
        "2" => Ok(2),
        _ => Err(format!("`{text}` is neither 0 nor 2")),
    }
}

/// Runs what the arguments name.
pub fn execute(arguments: &Arguments, catalogue: Catalogue<'_>) -> CommandResult {
    if let Some(Also::Import(arguments)) = &arguments.command {
        return litmus_import::execute(arguments);
    }
    let scenarios = scenarios(arguments, catalogue)?;
    if arguments.list {
        list(arguments, &scenarios);
        return Ok(true);
    }
    let levels = arguments.ets.map_or(vec![0, 2], |ets| vec![ets]);
    if arguments.explore {
        return litmus_explore::execute(&scenarios, &levels, arguments.json);
    }
    let plant = arguments.plant.as_deref().map(find_plant).transpose();
    let plant = plant.map_err(UsageError)?;
    let forced = match plant {
        Some(plant) => Some(plant.config),
        None => arguments.config.as_deref(),
    };
    let (entries, skipped) = place(scenarios, forced)?;
    let plan = Plan {
        entries,
        modes: match arguments.mode.is_empty() {
            true => Mode::ALL.to_vec(),
            false => arguments.mode.clone(),
        },
        ets: levels,
        runs: arguments.runs,
        seed: arguments.seed,
        plant,
        memory: arguments.memory.clone(),
    };
    let options = Options {
        workers: usize::from(arguments.jobs),
        out: arguments.out.clone(),
        interrupt: on_ctrl_c()?,
    };
    let live = std::io::stderr().is_terminal();
    let mut sums = Sums::default();
    let (mut details, mut interrupted, mut unfit) = (Vec::new(), false, None);
    campaign::run(&plan, &options, |progress| match progress {
        Progress::Alive { done, total } => {
            if live {
                let _ = write!(
                    std::io::stderr(),
                    "\r\x1b[K{done} of {total} simulations done"
                );
                let _ = std::io::stderr().flush();
            }
        }
        Progress::Scenario(entry, tally) => {
            if live {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
            interrupted |= tally.interrupted;
            if let (Some(why), None) = (&tally.unfit, &unfit) {
                unfit = Some(why.clone());
            }
            sums.add(&entry.scenario, &tally);
            show(entry, &tally, arguments.verbose);
            details.push(describe(entry, &tally));
        }
    });
    if let Some(why) = unfit {
        return Err(UsageError(why));
    }
    for (name, why) in &skipped {
        say(&format!("skipped {name}: {why}"));
    }
    sums.skipped += skipped.len() as u64;
    let pass = sums.pass() && !interrupted;
    let Sums {
        scenarios, runs, ..
    } = sums;
    say(&format!(
        "scenarios={scenarios} skipped={} runs={runs} forbidden_seen={} required_missed={} \
         violations={} allowed_seen={}/{} unseen_as_said={} reasons_wrong={}{}",
        sums.skipped,
        sums.forbidden_seen,
        sums.required_missed,
        sums.violations,
        sums.allowed_seen,
        sums.allowed_rows,
        sums.unseen_as_said,
        sums.reasons_wrong,
        if interrupted { " interrupted" } else { "" }
    ));
    if arguments.json {
        let skipped: Vec<Value> = skipped
            .iter()
            .map(|(name, why)| json!({"name": name, "why": why}))
            .collect();
        let all = json!({
            "pass": pass, "interrupted": interrupted, "scenarios": scenarios, "runs": runs,
            "forbidden_seen": sums.forbidden_seen, "required_missed": sums.required_missed,
            "violations": sums.violations, "allowed_rows": sums.allowed_rows,
            "allowed_seen": sums.allowed_seen, "unseen_as_said": sums.unseen_as_said,
            "reasons_wrong": sums.reasons_wrong, "skipped": skipped, "details": details,
        });
        say(&all.to_string());
    }
    Ok(pass)
}

/// The scenarios named, each with the name by which it was.
fn scenarios(
    arguments: &Arguments,
    catalogue: Catalogue<'_>,
) -> Result<Vec<(String, Scenario)>, UsageError> {
    let mut known: Vec<(String, Scenario)> = Vec::new();
    match &arguments.dir {
        Some(dir) => {
            for path in files_of(dir)? {
                known.push((path.display().to_string(), read(&path)?));
            }
        }
        None => {
            for (name, text) in catalogue {
                let scenario = litmus::parse(name, text);
                let scenario = scenario.map_err(|error| UsageError(error.to_string()))?;
                known.push(((*name).to_owned(), scenario));
            }
        }
    }
    if arguments.names.is_empty() {
        return match known.is_empty() {
            true => Err(UsageError("there is no scenario to run".to_owned())),
            false => Ok(known),
        };
    }
    let mut chosen = Vec::new();
    for name in &arguments.names {
        let found = known.iter().find(|(_, scenario)| scenario.name == *name);
        chosen.push(match found {
            Some(found) => found.clone(),
            None if Path::new(name).extension().is_some() => {
                (name.clone(), read(Path::new(name))?)
            }
            None => {
                let near = nearest(name, known.iter().map(|(_, known)| known.name.as_str()));
                let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let message = format!(
                    "no scenario is called `{name}`{hint}; `mmu-cosim litmus --list` names all, and a \
                     file of your own ends in .toml"
                );
                return Err(UsageError(message));
            }
        });
    }
    Ok(chosen)
}

fn files_of(dir: &Path) -> Result<Vec<PathBuf>, UsageError> {
    let unreadable = |error| UsageError(format!("--dir {}: {error}", dir.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Scenario, UsageError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| UsageError(format!("cannot read {}: {error}", path.display())))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    litmus::parse(&name, &text).map_err(|error| UsageError(format!("{}: {error}", path.display())))
}

/// Name of a scenario that is left out, and why.
type Skipped = (String, String);

/// Gives each scenario its configuration; those that have no room on theirs are returned apart, with
/// why.
fn place(
    scenarios: Vec<(String, Scenario)>,
    forced: Option<&str>,
) -> Result<(Vec<Entry>, Vec<Skipped>), UsageError> {
    let configs = cosim_bridge::configs();
    let cores = |name: &str| {
        let config = configs.iter().find(|config| config.name == name)?;
        Some(usize::from(Info::of_config(config).cores))
    };
    if let Some(forced) = forced.filter(|forced| cores(forced).is_none()) {
        let names: Vec<&str> = configs.iter().map(|config| config.name).collect();
        let near = nearest(forced, names.iter().copied());
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let message = format!(
            "no configuration is called `{forced}`{hint}; there are {}",
            names.join(", ")
        );
        return Err(UsageError(message));
    }
    let (mut entries, mut skipped) = (Vec::new(), Vec::new());
    for (name, scenario) in scenarios {
        let needed = scenario.cores.len();
        let config = forced.unwrap_or(if needed <= 2 { "2x1" } else { "2x2" });
        match cores(config) {
            Some(cores) if cores >= needed => entries.push(Entry {
                name,
                config: config.to_owned(),
                scenario: Arc::new(scenario),
            }),
            Some(cores) => {
                let why = format!("it needs {needed} cores, configuration {config} has {cores}");
                skipped.push((name, why));
            }
            None => {
                let why = format!("configuration {config} is not in this build");
                skipped.push((name, why));
            }
        }
    }
    Ok((entries, skipped))
}

fn list(arguments: &Arguments, scenarios: &[(String, Scenario)]) {
    let width = scenarios.iter().map(|(name, _)| name.len()).max();
    for (name, scenario) in scenarios {
        say(&format!(
            "{name:width$}  {} core{}  {}",
            scenario.cores.len(),
            if scenario.cores.len() == 1 { " " } else { "s" },
            scenario.title,
            width = width.unwrap_or(0),
        ));
    }
    if arguments.json {
        let scenarios: Vec<Value> = scenarios
            .iter()
            .map(|(name, scenario)| {
                json!({
                    "name": name, "title": scenario.title, "cores": scenario.cores.len(),
                    "cite": scenario.cite, "requirements": scenario.requirements,
                })
            })
            .collect();
        say(&json!({"pass": true, "scenarios": scenarios}).to_string());
    }
}
