// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Many scenarios, many runs: batches spread over workers, and what came counted in their order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use cosim_bridge::PlantInfo;

use super::evaluate::{Ending, Judge};
use super::simulate::{Batch, Endings, simulate};
use super::variation::Mode;
use crate::check::Violation;
use crate::dut::memory::MemorySystem;
use crate::litmus::scenario::{Scenario, Verdict};
use crate::regress::context::{Recording, RunContext};
use crate::regress::failure::FailureKind;
use crate::regress::interrupt::Interrupt;
use crate::regress::report::{Subject, report};
use crate::regress::spread::{Told, spread};
use crate::regress::{Bench, Failure, rerun};

/// Runs that one simulation makes.
pub const RUNS_A_SIMULATION: u64 = 25;

/// A scenario with the name by which the command line knows it, and the configuration it runs on.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name in the catalogue, or path of a file.
    pub name: String,
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// Configuration.
    pub config: String,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenarios.
    pub entries: Vec<Entry>,
    /// Modes.
    pub modes: Vec<Mode>,
    /// FEAT_ETS levels: 0, 2 or both.
    pub ets: Vec<u8>,
    /// Runs of each scenario for each mode and FEAT_ETS level.
    pub runs: u64,
    /// First seed; each simulation has the next one.
    pub seed: u64,
    /// Fault planted in the hardware, if any.
    pub plant: Option<&'static PlantInfo>,
    /// Links and memory controllers.
    pub memory: MemorySystem,
}

/// How it is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Simulations at a time.
    pub workers: usize,
    /// Folder for the files of red runs.
    pub out: PathBuf,
    /// Stops the runs.
    pub interrupt: Interrupt,
}

/// What came of one scenario.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Runs without FEAT_ETS2 and with it.
    pub runs: [u64; 2],
    /// How often each outcome came, in the order of the file.
    pub seen: Vec<[u64; 2]>,
    /// How often each ending came.
    pub endings: BTreeMap<String, [u64; 2]>,
    /// Simulations in which a checker found a violation, or that did not end.
    pub violations: u64,
    /// Simulated cycles.
    pub cycles: u64,
    /// Report of the first red simulation.
    pub report: Option<String>,
    /// Ctrl-C came before the end.
    pub interrupted: bool,
    /// The scenario cannot be run: why.
    pub unfit: Option<String>,
}

/// Place of a FEAT_ETS level in pairs.
#[must_use]
pub const fn place_of(ets: u8) -> usize {
    (ets != 0) as usize
}

/// What came of one batch.
struct Outcome {
    tally: Tally,
    failure: Option<Failure>,
    /// Runs up to the failure, which comes again if no more are made.
    runs: u64,
}

/// Runs `plan`; tells `tell` what came of each scenario, in order, and every second how many
/// simulations of all have ended.
pub fn run(plan: &Plan, options: &Options, mut tell: impl FnMut(Progress<'_>)) {
    let batches = batches(plan);
    let mut tally = Tally::default();
    let work =
        |(_, batch): &(usize, Batch)| attempt(batch, Recording::default(), &options.interrupt);
    let total = batches.len();
    spread(&batches, options.workers, work, |told| match told {
        Told::Alive(done) => tell(Progress::Alive { done, total }),
        Told::Result(index, outcome) => {
            let (entry, batch) = &batches[index];
            let of = &plan.entries[*entry];
            if let (Some(failure), None) = (&outcome.failure, &tally.report) {
                tally.report = explain(of, batch, failure, outcome.runs, options);
            }
            tally.add(outcome.tally);
            let last = batches.get(index + 1).is_none_or(|(next, _)| next != entry);
            if last {
                tell(Progress::Scenario(of, std::mem::take(&mut tally)));
            }
        }
    });
}

/// What [`run`] tells.
pub enum Progress<'a> {
    /// All runs of a scenario are made.
    Scenario(&'a Entry, Tally),
    /// Simulations that have ended, of all.
    Alive {
        /// Ended.
        done: usize,
        /// All.
        total: usize,
    },
}

fn batches(plan: &Plan) -> Vec<(usize, Batch)> {
    let mut batches = Vec::new();
    for (number, entry) in plan.entries.iter().enumerate() {
        for &mode in &plan.modes {
            for &ets in &plan.ets {
                let (mut left, mut seed) = (plan.runs, plan.seed);
                while left > 0 {
                    let runs = left.min(RUNS_A_SIMULATION);
                    let batch = Batch {
                        scenario: Arc::clone(&entry.scenario),
                        mode,
                        ets,
                        config: entry.config.clone(),
                        plant: plan.plant,
                        memory: plan.memory.clone(),
                        seed,
                        runs,
                    };
                    batches.push((number, batch));
                    left -= runs;
                    seed = seed.wrapping_add(1);
                }
            }
        }
    }
    batches
}

/// Runs one batch.
fn attempt(batch: &Batch, recording: Recording, interrupt: &Interrupt) -> Outcome {
    let mut tally = Tally {
        seen: vec![[0; 2]; batch.scenario.outcomes.len()],
        ..Tally::default()
    };
    if interrupt.raised() {
        tally.interrupted = true;
        return Outcome {
            tally,
            failure: None,
            runs: 0,
        };
    }
    let mut bench = Bench::new(RunContext {
        plant: batch.plant,
        recording,
        interrupt: interrupt.clone(),
        ..RunContext::new("litmus", &batch.config, batch.seed)
    });
    let mut endings = Endings::default();
    let body = catch_unwind(AssertUnwindSafe(|| {
        simulate(&mut bench, batch, &mut endings)
    }))
    .unwrap_or_else(|_| Err(Failure::panic("the litmus runner panicked")));
    let checked = bench.conclude(body).err();
    tally.cycles = bench.cycles();
    let mut unwanted = None;
    if let Some(layout) = &endings.layout {
        let judge = Judge {
            scenario: &batch.scenario,
            layout,
        };
        for (run, ending) in (1..).zip(&endings.runs) {
            let failure = tally.count(judge, ending, batch.ets);
            if let (Some(failure), None) = (failure, &unwanted) {
                unwanted = Some((failure, run));
            }
        }
    }
    let (failure, runs) = match (checked, unwanted) {
        (Some(failure), _) if failure.kind == FailureKind::Interrupted => {
            tally.interrupted = true;
            (None, 0)
        }
        (Some(failure), _) if failure.kind == FailureKind::Setup => {
            tally.unfit = Some(failure.what);
            (None, 0)
        }
        (Some(failure), _) => {
            tally.violations = 1;
            let runs = endings.runs.len() as u64 + 1;
            (Some(failure), runs.min(batch.runs))
        }
        (None, Some((failure, run))) => (Some(failure), run),
        (None, None) => (None, 0),
    };
    Outcome {
        tally,
        failure,
        runs,
    }
}

impl Tally {
    /// Counts one run; the failure, if it ended as it may not.
    fn count(&mut self, judge: Judge<'_>, ending: &Ending, ets: u8) -> Option<Failure> {
        let place = place_of(ets);
        self.runs[place] += 1;
        let text = judge.describe(ending);
        self.endings.entry(text.clone()).or_default()[place] += 1;
        let mut failure = None;
        for (seen, outcome) in self.seen.iter_mut().zip(&judge.scenario.outcomes) {
            let came = judge.holds(&outcome.condition, ending);
            seen[place] += u64::from(came);
            let rule = match (outcome.verdict[place], came) {
                (Verdict::Forbidden, true) => "never",
                (Verdict::Required, false) => "always",
                _ => continue,
            };
            let ids: Vec<&str> = judge
                .scenario
                .requirements
                .iter()
                .map(String::as_str)
                .collect();
            let violation = Violation::new(ending.cycle, "litmus outcome", &ids, text.clone())
                .permitting(format!("{rule}: {}", outcome.text));
            failure.get_or_insert_with(|| Failure::unmet(violation));
        }
        failure
    }

    fn add(&mut self, other: Self) {
        for place in 0..2 {
            self.runs[place] += other.runs[place];
        }
        self.seen.resize(other.seen.len(), [0; 2]);
        for (sum, seen) in self.seen.iter_mut().zip(other.seen) {
            (0..2).for_each(|place| sum[place] += seen[place]);
        }
        for (text, counts) in other.endings {
            let sum = self.endings.entry(text).or_default();
            (0..2).for_each(|place| sum[place] += counts[place]);
        }
        self.violations += other.violations;
        self.cycles += other.cycles;
        self.interrupted |= other.interrupted;
        self.unfit = self.unfit.take().or(other.unfit);
    }
}

/// The report of a red simulation, which is made once more with the window before its failure
/// recorded.
fn explain(
    entry: &Entry,
    batch: &Batch,
    failure: &Failure,
    runs: u64,
    options: &Options,
) -> Option<String> {
    let hardware = match batch.plant {
        Some(plant) => format!("--plant {}", plant.id),
        None => format!("--config {}", batch.config),
    };
    let name = format!(
        "litmus-{}-{}-ets{}",
        batch.scenario.name, batch.mode, batch.ets
    );
    let subject = Subject {
        name: &name,
        config: &batch.config,
        seed: batch.seed,
        command: format!(
            "mmu-cosim litmus {} {hardware}{} --mode {} --ets {} --seed {} --runs {runs}",
            entry.name,
            batch.memory.argument(),
            batch.mode,
            batch.ets,
            batch.seed
        ),
    };
    let again = |recording| attempt(batch, recording, &options.interrupt).failure;
    let artefacts = rerun::record(&subject, failure, &options.out, again);
    Some(report(&subject, failure, artefacts.as_ref()))
}
