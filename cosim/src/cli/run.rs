// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim run`: runs testbenches, prints one line a run and the report of each red one.

use std::io::{IsTerminal, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::selection::Selection;
use super::{CommandResult, UsageError, coverage, on_ctrl_c, say, stats, strap};
use crate::dut::TraceFormat;
use crate::regress::Testbench;
use crate::regress::context::Recording;
use crate::regress::runner::{self, Job, JobResult, Options, Progress, Verdict};
use crate::sim::TraceRequest;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    mmu-cosim run --all                                  everything once, on `1x1`\n  \
    mmu-cosim run random --config tiny --seeds 20 --jobs 2\n  \
    mmu-cosim run random --seed 7 --cycles 1000000       a longer run of one seed\n  \
    mmu-cosim run random --seed 7 --trace w.fst --trace-window 5000:6000\n\n\
    A run is a function of testbench, configuration, seed, straps and --cycles: the same five give the\n\
    same cycles, events and verdict, with any --jobs. A red run is repeated with the window before the\n\
    failure traced; its report says where the waveform lies. Ctrl-C keeps the results so far.\n\n\
    --strap sets what simulations start with; a testbench that is about a strap sets that one itself.\n\
    --stats prints every event counter (`mmu-cosim list --counters`) of every core, and those of every\n\
    node that are not 0, summed over the simulations of a run, one table a run; --stats-json writes the\n\
    same numbers of all runs to a file.\n\n{}",
    strap::HELP))]
pub struct Arguments {
    /// What to run
    #[command(flatten)]
    pub selection: Selection,
    /// Print the event counters after each run, as `perf stat` does
    #[arg(long)]
    pub stats: bool,
    /// Write the event counters of all runs to a file, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub stats_json: Option<PathBuf>,
    /// Add the functional coverage of all runs to a file, which `mmu-cosim coverage` reports on
    #[arg(long, value_name = "FILE")]
    pub coverage: Option<PathBuf>,
    /// Runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Write a waveform of a single run: .fst or .vcd; transactions go beside it
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Cycles that the waveform holds, first and last; either may be left out
    #[arg(long, value_name = "A:B", requires = "trace", value_parser = parse_window)]
    pub trace_window: Option<RangeInclusive<u64>>,
    /// Write the event log of a single run, one line an event
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Folder for the files of red runs
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
}

/// Runs what the arguments name.
pub fn execute(arguments: &Arguments, registry: &[Testbench]) -> CommandResult {
    let jobs = arguments.selection.jobs(registry)?;
    let recording = recording(arguments, &jobs)?;
    let covered = arguments.coverage.as_deref().map(coverage::open);
    let covered = covered.transpose()?;
    let interrupt = on_ctrl_c()?;
    let options = Options {
        workers: usize::from(arguments.jobs),
        recording,
        coverage: covered.is_some(),
        out: Some(arguments.out.clone()),
        interrupt,
    };
    let mut printer = Printer {
        jobs: jobs.len(),
        stats: arguments.stats,
        live: std::io::stderr().is_terminal(),
    };
    let results = runner::run(&jobs, &options, &mut printer);
    printer.clear();

    if let Some(path) = &arguments.stats_json {
        let all = stats::describe(&jobs, &results).to_string();
        std::fs::write(path, all + "\n")
            .map_err(|error| UsageError(format!("cannot write {}: {error}", path.display())))?;
    }

    if let (Some(record), Some(path)) = (covered, &arguments.coverage) {
        coverage::save(record, path, &jobs, &results)?;
    }

    let passed = results
        .iter()
        .filter(|result| result.verdict == Verdict::Pass)
        .count();
    let failed = results
        .iter()
        .filter(|result| result.verdict == Verdict::Fail)
        .count();
    let not_run = results.len() - passed - failed;
    let cycles: u64 = results.iter().map(|result| result.cycles).sum();
    let pass = passed == results.len();
    let interrupted = if not_run > 0 {
        format!(" not_run={not_run}")
    } else {
        String::new()
    };
    say(&format!(
        "runs={} passed={passed} failed={failed}{interrupted} cycles={cycles}",
        results.len()
    ));
    if arguments.selection.json {
        let results: Vec<Value> = jobs
            .iter()
            .zip(&results)
            .map(|(job, result)| describe(job, result))
            .collect();
        let all = json!({
            "pass": pass, "runs": results.len(), "passed": passed, "failed": failed,
            "not_run": not_run, "cycles": cycles, "results": results,
        });
        say(&all.to_string());
    }
    Ok(pass)
}

fn recording(arguments: &Arguments, jobs: &[Job<'_>]) -> Result<Recording, UsageError> {
    let mut recording = Recording {
        log: arguments.log.clone(),
        ..Recording::default()
    };
    if (arguments.trace.is_some() || arguments.log.is_some()) && jobs.len() != 1 {
        let message = format!(
            "--trace and --log record one run, this command has {}: name one testbench, one --config \
             and one --seed",
            jobs.len()
        );
        return Err(UsageError(message));
    }
    let Some(path) = &arguments.trace else {
        return Ok(recording);
    };
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("fst") => TraceFormat::Fst,
        Some("vcd") => TraceFormat::Vcd,
        _ => {
            let message = format!(
                "--trace {}: the name must end in .fst or .vcd",
                path.display()
            );
            return Err(UsageError(message));
        }
    };
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(missing) = parent.filter(|parent| !parent.is_dir()) {
        let message = format!(
            "--trace {}: there is no folder {}",
            path.display(),
            missing.display()
        );
        return Err(UsageError(message));
    }
    recording.transactions = Some(transactions_beside(path));
    let window = arguments.trace_window.clone();
    recording.trace = Some(TraceRequest {
        path: path.clone(),
        format,
        window,
    });
    Ok(recording)
}

/// The transaction file that goes with the waveform `path`.
fn transactions_beside(path: &Path) -> PathBuf {
    path.with_extension("transactions.vcd")
}

fn parse_window(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text
        .split_once(':')
        .ok_or_else(|| "a window is A:B, such as 5000:6000, 5000: or :6000".to_owned())?;
    let number = |part: &str, default: u64| match part.trim() {
        "" => Ok(default),
        part => part
            .parse()
            .map_err(|_| format!("`{part}` is not a cycle number")),
    };
    let (first, last) = (number(first, 0)?, number(last, u64::MAX)?);
    if first > last {
        return Err(format!(
            "the window ends at {last}, before it begins at {first}"
        ));
    }
    Ok(first..=last)
}

fn describe(job: &Job<'_>, result: &JobResult) -> Value {
    let mut value = json!({
        "name": job.testbench.name,
        "config": job.config,
        "seed": job.seed,
        "pass": result.verdict == Verdict::Pass,
        "cycles": result.cycles,
        "requirements": job.testbench.requirements,
        "figures": result.figures,
    });
    if result.verdict == Verdict::NotRun {
        value["not_run"] = json!(true);
    }
    if let Some(failure) = &result.failure {
        value["failure"] = json!({
            "what": failure.what,
            "cycle": failure.cycle,
            "broken": failure.violations.first().map(|violation| &violation.requirements),
            "reproduce": job.command(),
            "waveform": result.artefacts.as_ref().and_then(|files| files.waveform.as_ref()),
        });
    }
    value
}

/// Prints one line a run, in order, and a sign of life on a terminal.
struct Printer {
    jobs: usize,
    stats: bool,
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
    fn result(&mut self, index: usize, job: &Job<'_>, result: &JobResult) {
        self.clear();
        let word = match result.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::NotRun => "not run",
        };
        let width = self.jobs.to_string().len();
        let mut line = format!(
            "[{:>width$}/{}] {word}  {}  config {}  seed {}  {} cycles",
            index + 1,
            self.jobs,
            job.testbench.name,
            job.config,
            job.seed,
            result.cycles
        );
        for (name, value) in &result.figures {
            line.push_str(&format!("  {name}={value}"));
        }
        say(&line);
        if self.stats {
            say(&stats::table(job, &result.counts, &result.node_counts));
        }
        if let Some(report) = &result.report {
            say(&format!("\n{report}"));
        }
    }

    fn alive(&mut self, done: usize) {
        if self.live {
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K{done} of {} runs done",
                self.jobs
            );
            let _ = std::io::stderr().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_leave_out_either_end() {
        assert_eq!(parse_window("5:9"), Ok(5..=9));
        assert_eq!(parse_window(":9"), Ok(0..=9));
        assert_eq!(parse_window("5:"), Ok(5..=u64::MAX));
    }

    #[test]
    fn a_bad_window_says_what_is_wrong() {
        assert!(parse_window("9:5").is_err_and(|text| text.contains("before it begins")));
        assert!(parse_window("5").is_err_and(|text| text.contains("A:B")));
        assert!(parse_window("a:5").is_err_and(|text| text.contains("`a`")));
    }
}
