// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Spreads runs over worker threads. Results come in the order of the jobs, whatever the number of
//! workers; each run depends on its own job alone.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use cosim_bridge::PlantInfo;

use super::bench::Bench;
use super::context::{Recording, RunContext};
use super::failure::{Failure, FailureKind};
use super::interrupt::Interrupt;
use super::report::{Artefacts, Subject, report};
use super::rerun;
use super::spread::{Told, spread};
use super::testbench::Testbench;
use crate::coverage::Hits;
use crate::dut::memory::MemorySystem;
use crate::dut::ports::Straps;
use crate::dut::{Counts, NodeCounts};

/// One run: a testbench on a configuration with a seed.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// What runs.
    pub testbench: &'a Testbench,
    /// Hardware configuration.
    pub config: String,
    /// Seed of the run.
    pub seed: u64,
    /// Fault to plant in the hardware, to see what its report looks like.
    pub plant: Option<&'static PlantInfo>,
    /// Budget of cycles, if one was given.
    pub cycles: Option<u64>,
    /// Straps with which simulations start, before the testbench sets those that it is about.
    pub straps: Straps,
    /// Links and memory controllers.
    pub memory: MemorySystem,
    /// The straps given, as written on the command line.
    pub settings: Vec<String>,
}

impl Job<'_> {
    /// What reports say of the run.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            name: self.testbench.name,
            config: &self.config,
            seed: self.seed,
            command: self.command(),
        }
    }

    /// The one command that does this run again.
    #[must_use]
    pub fn command(&self) -> String {
        let Self {
            testbench,
            config,
            seed,
            plant,
            cycles,
            settings,
            memory,
            ..
        } = self;
        let hardware = match plant {
            Some(plant) => format!("--plant {}", plant.id),
            None => format!("--config {config}"),
        };
        let cycles = cycles.map_or(String::new(), |cycles| format!(" --cycles {cycles}"));
        let straps: String = settings
            .iter()
            .map(|setting| format!(" --strap {setting}"))
            .collect();
        let memory = memory.argument();
        format!(
            "mmu-cosim run {} {hardware} --seed {seed}{cycles}{memory}{straps}",
            testbench.name
        )
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every requirement held.
    Pass,
    /// Something broke; the report says what.
    Fail,
    /// Ctrl-C came before or during the run.
    NotRun,
}

/// The result of one run.
#[derive(Debug, Clone)]
pub struct JobResult {
    /// How it ended.
    pub verdict: Verdict,
    /// Simulated cycles.
    pub cycles: u64,
    /// Cycles that the testbench took as its length, if it takes `--cycles` so.
    pub length: Option<u64>,
    /// Event counters of each core.
    pub counts: Vec<Counts>,
    /// Event counters of each node.
    pub node_counts: Vec<NodeCounts>,
    /// Bins reached, if functional coverage was collected.
    pub coverage: Option<Hits>,
    /// Figures that the testbench counted.
    pub figures: BTreeMap<String, u64>,
    /// Why it is red.
    pub failure: Option<Failure>,
    /// The report of a red run.
    pub report: Option<String>,
    /// The files of a red run.
    pub artefacts: Option<Artefacts>,
}

impl JobResult {
    fn not_run() -> Self {
        Self {
            verdict: Verdict::NotRun,
            cycles: 0,
            length: None,
            counts: Vec::new(),
            node_counts: Vec::new(),
            coverage: None,
            figures: BTreeMap::new(),
            failure: None,
            report: None,
            artefacts: None,
        }
    }
}

/// How to run a list of jobs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads.
    pub workers: usize,
    /// Files to write, for a single run.
    pub recording: Recording,
    /// Whether functional coverage is collected.
    pub coverage: bool,
    /// Folder under which red runs leave their files; `None` leaves none.
    pub out: Option<PathBuf>,
    /// Stops the runs.
    pub interrupt: Interrupt,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            recording: Recording::default(),
            coverage: false,
            out: Some("out".into()),
            interrupt: Interrupt::new(),
        }
    }
}

/// What the runner tells while it runs.
pub trait Progress {
    /// The result of job `index`; called in the order of the jobs.
    fn result(&mut self, index: usize, job: &Job<'_>, result: &JobResult);

    /// Called every second or so while nothing else happens: `done` jobs have ended.
    fn alive(&mut self, done: usize) {
        let _ = done;
    }
}

/// Runs `jobs` and returns their results in the same order.
pub fn run(jobs: &[Job<'_>], options: &Options, progress: &mut dyn Progress) -> Vec<JobResult> {
    let mut results = Vec::with_capacity(jobs.len());
    let work = |job: &Job<'_>| run_job(job, options);
    spread(jobs, options.workers, work, |told| match told {
        Told::Result(index, result) => {
            progress.result(index, &jobs[index], &result);
            results.push(result);
        }
        Told::Alive(done) => progress.alive(done),
    });
    results
}

/// Runs one job, and, if it is red, once more to record the window before the failure.
fn run_job(job: &Job<'_>, options: &Options) -> JobResult {
    if options.interrupt.raised() {
        return JobResult::not_run();
    }
    let recording = options.recording.clone();
    let mut result = attempt(job, recording, options.coverage, &options.interrupt);
    let Some(failure) = &result.failure else {
        return result;
    };
    if failure.kind == FailureKind::Interrupted {
        return JobResult {
            verdict: Verdict::NotRun,
            ..result
        };
    }
    let subject = job.subject();
    let again = |recording| attempt(job, recording, false, &options.interrupt).failure;
    let artefacts = options
        .out
        .as_ref()
        .and_then(|out| rerun::record(&subject, failure, out, again));
    result.report = Some(report(&subject, failure, artefacts.as_ref()));
    result.artefacts = artefacts;
    result
}

/// Runs one job once.
pub(crate) fn attempt(
    job: &Job<'_>,
    recording: Recording,
    coverage: bool,
    interrupt: &Interrupt,
) -> JobResult {
    let mut bench = Bench::new(RunContext {
        plant: job.plant,
        cycles: job.cycles,
        recording,
        coverage,
        interrupt: interrupt.clone(),
        ..RunContext::new(job.testbench.name, &job.config, job.seed)
    });
    bench.setup().straps = job.straps;
    bench.setup().memory_system = job.memory.clone();
    let body = catch_unwind(AssertUnwindSafe(|| (job.testbench.run)(&mut bench)))
        .unwrap_or_else(|panic| Err(Failure::panic(message(panic.as_ref()))));
    let outcome = bench.conclude(body);
    JobResult {
        verdict: if outcome.is_ok() {
            Verdict::Pass
        } else {
            Verdict::Fail
        },
        cycles: bench.cycles(),
        length: bench.length(),
        counts: bench.counts().to_vec(),
        node_counts: bench.node_counts().to_vec(),
        coverage: bench.coverage(),
        figures: bench.figures().clone(),
        failure: outcome.err(),
        report: None,
        artefacts: None,
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn odd_seeds_fail(bench: &mut Bench) -> Result<(), Failure> {
        bench.count("bits", u64::from(bench.seed().value().count_ones()));
        // Later jobs end first, so that only the runner can restore the order.
        std::thread::sleep(Duration::from_millis(8 - bench.cycles_or(0).min(8)));
        if bench.cycles_or(0) % 2 == 1 {
            Err(Failure::expectation("odd"))
        } else {
            Ok(())
        }
    }

    fn panics(_: &mut Bench) -> Result<(), Failure> {
        panic!("the body broke")
    }

    fn testbench(run: fn(&mut Bench) -> Result<(), Failure>) -> Testbench {
        Testbench {
            name: "t",
            purpose: "",
            requirements: &[],
            run,
        }
    }

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Progress for Seen {
        fn result(&mut self, index: usize, job: &Job<'_>, result: &JobResult) {
            self.0.push(format!(
                "{index} {} {:?} {:?}",
                job.seed, result.verdict, result.figures
            ));
        }
    }

    fn seen(testbench: &Testbench, workers: usize, interrupt: Interrupt) -> Vec<String> {
        let jobs: Vec<Job<'_>> = (0..8)
            .map(|seed| Job {
                testbench,
                config: "tiny".into(),
                seed,
                plant: None,
                cycles: Some(seed),
                straps: Straps::default(),
                memory: MemorySystem::Default,
                settings: Vec::new(),
            })
            .collect();
        let options = Options {
            workers,
            out: None,
            interrupt,
            ..Options::default()
        };
        let mut seen = Seen::default();
        let results = run(&jobs, &options, &mut seen);
        assert_eq!(results.len(), jobs.len());
        seen.0
    }

    #[test]
    fn results_and_their_order_do_not_depend_on_the_number_of_workers() {
        let testbench = testbench(odd_seeds_fail);
        let alone = seen(&testbench, 1, Interrupt::new());
        assert!(alone[0].starts_with("0 0 Pass"));
        assert!(alone[3].starts_with("3 3 Fail"));
        assert_eq!(alone, seen(&testbench, 5, Interrupt::new()));
    }

    #[test]
    fn a_panic_is_a_failure_of_its_run_alone() {
        let testbench = testbench(panics);
        let job = Job {
            testbench: &testbench,
            config: "tiny".into(),
            seed: 1,
            plant: None,
            cycles: None,
            straps: Straps::default(),
            memory: MemorySystem::Default,
            settings: Vec::new(),
        };
        let failure = attempt(&job, Recording::default(), false, &Interrupt::new())
            .failure
            .unwrap();
        assert_eq!(failure.kind, FailureKind::Panic);
        assert_eq!(failure.what, "the body broke");
    }

    #[test]
    fn an_interrupt_leaves_the_rest_not_run() {
        let interrupt = Interrupt::new();
        interrupt.raise();
        let seen = seen(&testbench(odd_seeds_fail), 2, interrupt);
        assert!(seen.iter().all(|line| line.contains("NotRun")));
    }
}
