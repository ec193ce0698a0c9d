// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim coverage`: reports which bins the runs of coverage files reached, and which not.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{CommandResult, UsageError, say};
use crate::coverage::groups::GROUPS;
use crate::coverage::record::{Record, Run};
use crate::coverage::report::{Report, percent, report};
use crate::coverage::unreachable;
use crate::nearest::nearest;
use crate::regress::runner::{Job, JobResult, Verdict};

/// Arguments of `coverage`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    mmu-cosim run --all --config tiny,planted --coverage c.json   collects, and adds to the file if there is one\n  \
    mmu-cosim coverage c.json                                     a table, a line a group\n  \
    mmu-cosim coverage c.json more.json --uncovered --group tlbi  the bins of one group that no run reached\n\n\
    Only runs that pass count, and no simulation with a planted fault. Bins argued unreachable\n\
    (cosim/src/coverage/unreachable.toml) are reported apart.\n\n\
    Exit status: 1 if a bin argued unreachable was reached; bins missed do not fail the command.")]
pub struct Arguments {
    /// Files that `mmu-cosim run --coverage` wrote; several are merged
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// List the bins never reached, and those argued unreachable with the argument
    #[arg(long)]
    pub uncovered: bool,
    /// Report one group only
    #[arg(long, value_name = "G")]
    pub group: Option<String>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Reports what the arguments name.
pub fn execute(arguments: &Arguments) -> CommandResult {
    if let Some(group) = &arguments.group
        && !GROUPS.iter().any(|known| known.name == group)
    {
        let names: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        let near = nearest(group, names.iter().copied());
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let names = names.join(", ");
        let message = format!("no group is called `{group}`{hint}; there are {names}");
        return Err(UsageError(message));
    }
    let mut record = Record::default();
    for file in &arguments.files {
        let more = Record::read(file).map_err(|error| UsageError(error.to_string()))?;
        record.merge(&more);
    }
    let declared = unreachable::declared()
        .map_err(|error| UsageError(format!("cosim/src/coverage/unreachable.toml: {error}")))?;
    let report = report(&record, &declared, arguments.group.as_deref());
    print(&record, &report, arguments.uncovered);
    let pass = report.refuted.is_empty();
    if arguments.json {
        let refuted: Vec<&str> = report.refuted.iter().map(|(name, _)| &name[..]).collect();
        let all = json!({
            "pass": pass, "runs": record.runs, "cycles": record.cycles,
            "bins": report.bins(), "reached": report.reached(),
            "unreachable": report.unreachable.len(),
            "missed": report.missed().collect::<Vec<_>>(),
            "refuted": refuted, "unknown": report.unknown,
        });
        say(&all.to_string());
    }
    Ok(pass)
}

fn print(record: &Record, report: &Report, uncovered: bool) {
    let width = report.groups.iter().map(|line| line.group.name.len());
    let width = width.max().unwrap_or(0).max("group".len());
    say(&format!(
        "{:width$}  {:>5} {:>8} {:>7} {:>12}  {:>8}",
        "group", "bins", "reached", "missed", "unreachable", ""
    ));
    for line in &report.groups {
        say(&format!(
            "{:width$}  {:>5} {:>8} {:>7} {:>12}  {:>8}  {}",
            line.group.name,
            line.bins,
            line.reached,
            line.missed.len(),
            line.unreachable,
            percent(line.reached, line.missed.len()),
            line.group.about
        ));
    }
    if uncovered {
        for name in report.missed() {
            say(&format!("missed       {name}"));
        }
        let mut last = "";
        for (name, why) in &report.unreachable {
            say(&format!("unreachable  {name}"));
            if why != last {
                say(&format!("             {}", why.trim()));
                last = why;
            }
        }
    }
    for name in &report.unknown {
        say(&format!("unknown      {name}: no bin of this version"));
    }
    for (name, why) in &report.refuted {
        say(&format!(
            "refuted      {name} was reached and is argued unreachable: {}",
            why.trim()
        ));
        if let Some(reached) = record.bins.get(name) {
            say(&format!("             {}", command(&reached.run)));
        }
    }
    let missed = report.missed().count();
    say(&format!(
        "runs={} bins={} reached={} missed={missed} unreachable={} refuted={} unknown={} coverage={}",
        record.runs,
        report.bins(),
        report.reached(),
        report.unreachable.len(),
        report.refuted.len(),
        report.unknown.len(),
        percent(report.reached(), missed).replace(' ', "")
    ));
}

/// The command that does `run` again.
fn command(run: &Run) -> String {
    let straps: String = run
        .straps
        .iter()
        .map(|strap| format!(" --strap {strap}"))
        .collect();
    let Run {
        testbench,
        config,
        seed,
        ..
    } = run;
    format!("mmu-cosim run {testbench} --config {config} --seed {seed}{straps}")
}

/// The record in `path` to which runs are added; an empty one if there is no such file.
pub(super) fn open(path: &Path) -> Result<Record, UsageError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(missing) = folder.filter(|folder| !folder.is_dir()) {
        let (path, missing) = (path.display(), missing.display());
        let message = format!("--coverage {path}: there is no folder {missing}");
        return Err(UsageError(message));
    }
    match path.exists() {
        false => Ok(Record::default()),
        true => Record::read(path).map_err(|error| UsageError(error.to_string())),
    }
}

/// Adds the runs that passed to `record` and writes it to `path`.
pub(super) fn save(
    mut record: Record,
    path: &Path,
    jobs: &[Job<'_>],
    results: &[JobResult],
) -> Result<(), UsageError> {
    for (job, result) in jobs.iter().zip(results) {
        let (Verdict::Pass, Some(hits)) = (result.verdict, &result.coverage) else {
            continue;
        };
        let run = Run {
            straps: job.settings.clone(),
            seed: job.seed,
            config: job.config.clone(),
            testbench: job.testbench.name.to_owned(),
        };
        record.merge(&Record::of_run(hits, &run, result.cycles));
    }
    let reached = record.bins.len();
    record
        .write(path)
        .map_err(|error| UsageError(error.to_string()))?;
    say(&format!(
        "coverage: {reached} bins reached, in {}",
        path.display()
    ));
    Ok(())
}
