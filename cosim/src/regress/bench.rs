// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The context that a testbench body runs in: simulations judged from their first cycle on, the
//! seed, the back door, and what is expected to break.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::BufWriter;
use std::path::PathBuf;
use std::rc::Rc;

use rand_pcg::Pcg64Mcg;

use super::context::RunContext;
use super::failure::Failure;
use super::testbench::{PLANTED, find_plant};
use crate::check::{self, Checkers, Expectation};
use crate::coverage::{Collector, Hits};
use crate::dut::{Counts, NodeCounts};
use crate::sim::{CoreHandle, RunEnd, Seed, SimConfig, SimHandle, Simulation};
use crate::stimulus::Recorder;
use crate::wave::TransactionWriter;

/// Cycles that one [`Bench::run`] may take unless `--cycles` says otherwise.
pub const DEFAULT_CYCLES: u64 = 20_000_000;

/// The context of one run of a testbench.
///
/// ```no_run
/// use cosim::dut::ports::CoreRequest;
/// use cosim::regress::{Bench, Expect, Failure};
/// use vmsa::El;
///
/// fn with_translation_off_the_output_address_is_the_input_address(
///     bench: &mut Bench,
/// ) -> Result<(), Failure> {
///     bench.load(0x8000_0000, &[0x1122_3344_5566_7788])?;
///     bench.run(async |core| {
///         let answer = core.access(CoreRequest::load(0x8000_0000, 3, El::El1)).await;
///         answer.reaches("VMSA-01", 0x8000_0000)?;
///         answer.reads("VMSA-01", 0x1122_3344_5566_7788)
///     })
/// }
/// ```
pub struct Bench {
    context: RunContext,
    setup: SimConfig,
    pub(super) simulation: Option<Simulation>,
    pub(super) opened: usize,
    pub(super) cycles: u64,
    pub(super) figures: BTreeMap<String, u64>,
    pub(super) counts: Vec<Counts>,
    pub(super) node_counts: Vec<NodeCounts>,
    pub(super) expected: Option<String>,
    /// What the body took as its length, if it asked.
    length: Cell<Option<u64>>,
    checkers: Option<Checkers>,
    coverage: Option<Rc<RefCell<Collector>>>,
}

impl Bench {
    /// A bench for one run. Testbench bodies get theirs from the runner.
    #[must_use]
    pub fn new(context: RunContext) -> Self {
        let setup = SimConfig {
            config: context.config.clone(),
            plant: context.plant.map(|plant| plant.number),
            seed: Seed::new(context.seed).child(context.testbench).value(),
            ..SimConfig::default()
        };
        let coverage = context.coverage.then(Rc::default);
        Self {
            context,
            coverage,
            setup,
            simulation: None,
            opened: 0,
            cycles: 0,
            figures: BTreeMap::new(),
            counts: Vec::new(),
            node_counts: Vec::new(),
            expected: None,
            length: Cell::new(None),
            checkers: None,
        }
    }

    /// Name of the hardware configuration.
    #[must_use]
    pub fn config(&self) -> &str {
        &self.context.config
    }

    /// The seed of this run for this testbench, root of its streams of randomness.
    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed::new(self.setup.seed)
    }

    /// The stream of randomness called `stream`: what one stream draws never changes another.
    #[must_use]
    pub fn rng(&self, stream: &str) -> Pcg64Mcg {
        self.seed().child(stream).rng()
    }

    /// The budget of cycles of `--cycles`, else `default`: for a testbench that takes it as its length.
    #[must_use]
    pub fn cycles_or(&self, default: u64) -> u64 {
        let cycles = self.context.cycles.unwrap_or(default);
        self.length.set(Some(cycles));
        cycles
    }

    /// What the body took as its length; `None` if it has one of its own.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length.get()
    }

    /// What the next simulation is made with: straps, memory timing, planted fault.
    pub fn setup(&mut self) -> &mut SimConfig {
        &mut self.setup
    }

    /// The simulation, opened with [`Bench::setup`] at first use.
    ///
    /// # Errors
    /// When the hardware cannot be opened.
    pub fn simulation(&mut self) -> Result<&mut Simulation, Failure> {
        let simulation = match self.simulation.take() {
            Some(simulation) => simulation,
            None => self.open()?,
        };
        Ok(self.simulation.insert(simulation))
    }

    /// The handle that tasks use: time, cores, back door.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn handle(&mut self) -> Result<SimHandle, Failure> {
        Ok(self.simulation()?.handle())
    }

    /// Core `index`.
    ///
    /// # Errors
    /// As [`Bench::simulation`], or when the configuration has no such core.
    pub fn core(&mut self, index: usize) -> Result<CoreHandle, Failure> {
        let missing = format!("configuration {} has no core {index}", self.context.config);
        self.simulation()?
            .core(index)
            .ok_or_else(|| Failure::setup(missing))
    }

    /// Writes 8-byte `words` to memory from `address` on, behind the hardware's back. Checkers
    /// learn of it.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn load(&mut self, address: u64, words: &[u64]) -> Result<(), Failure> {
        let handle = self.handle()?;
        for (place, &word) in (address..).step_by(8).zip(words) {
            handle.poke(place, word);
        }
        Ok(())
    }

    /// The 8-byte word at `address`, as every observer sees it now.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn peek(&mut self, address: u64) -> Result<u64, Failure> {
        Ok(self.handle()?.peek(address))
    }

    /// Runs `program` on core 0, and whatever else was spawned, to its end.
    ///
    /// # Errors
    /// What the program returns, a broken requirement (which outranks it), or a timeout.
    pub fn run<T, Program, Running>(&mut self, program: Program) -> Result<T, Failure>
    where
        T: 'static,
        Program: FnOnce(CoreHandle) -> Running,
        Running: Future<Output = Result<T, Failure>> + 'static,
    {
        let core = self.core(0)?;
        let program = self.simulation()?.spawn(program(core));
        self.run_tasks()?;
        let now = self.simulation()?.now();
        match program.take() {
            Some(result) => result.map_err(|failure| self.located(failure.at_cycle(now))),
            None => Err(self.located(Failure::timeout("the program did not end").at_cycle(now))),
        }
    }

    /// Runs until every spawned task is done, within the budget of cycles.
    ///
    /// # Errors
    /// A broken requirement, a timeout, or Ctrl-C.
    pub fn run_tasks(&mut self) -> Result<(), Failure> {
        self.run_within(self.context.cycles.unwrap_or(DEFAULT_CYCLES))
    }

    /// [`Bench::run_tasks`] for a load of `length` cycles that begins nothing new by then.
    ///
    /// When the last of its answers comes is for memory to say, and the slowest memory takes thousands
    /// of cycles for a single walk. So the load ends with its last answer, not with its budget. What
    /// gets none is the watchdog's: only when that would have spoken is the budget used up.
    ///
    /// # Errors
    /// As [`Bench::run_tasks`].
    pub fn run_load(&mut self, length: u64) -> Result<(), Failure> {
        self.run_within(length.saturating_add(self.setup.watchdog))
    }

    /// [`Bench::run_tasks`] with a budget of `budget` cycles.
    ///
    /// # Errors
    /// As [`Bench::run_tasks`].
    pub fn run_within(&mut self, mut budget: u64) -> Result<(), Failure> {
        let now = self.simulation()?.now();
        if let Some(last) = self
            .context
            .recording
            .stop_after
            .filter(|_| self.recorded())
        {
            budget = budget.min(last.saturating_sub(now));
        }
        let end = self
            .simulation()?
            .run(budget)
            .map_err(|error| self.setup_failure(error))?;
        if let Some(simulation) = self.simulation.take() {
            let judged = self.judge(&simulation);
            self.simulation = Some(simulation);
            judged?;
        }
        let now = self.simulation()?.now();
        match end {
            RunEnd::TasksDone => Ok(()),
            RunEnd::Interrupted => Err(Failure::interrupted()),
            RunEnd::CycleBudget => {
                let what = format!("the tasks are not done after {budget} cycles");
                Err(self.located(Failure::timeout(what).at_cycle(now)))
            }
            RunEnd::Violation => {
                Err(self.located(Failure::expectation("a requirement broke").at_cycle(now)))
            }
        }
    }

    /// Adds `count` to the figure `name` of the result.
    pub fn count(&mut self, name: &str, count: u64) {
        *self.figures.entry(name.to_owned()).or_default() += count;
    }

    /// Declares that this simulation breaks a rule on purpose: violations that fit `expectation` do
    /// not fail the run and are counted among the figures; if they do not come as often as declared,
    /// the run fails.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn expect_violation(&mut self, expectation: Expectation) -> Result<(), Failure> {
        self.handle()?.expect_violation(expectation);
        Ok(())
    }

    /// The checkers of this simulation that give figures or take rules of the test.
    ///
    /// # Errors
    /// As [`Bench::simulation`], or when the simulation was opened without checks.
    pub fn checkers(&mut self) -> Result<Checkers, Failure> {
        self.simulation()?;
        let missing = || Failure::setup("the simulation runs without checks");
        self.checkers.clone().ok_or_else(missing)
    }

    /// Plants the RTL fault called `id` in the next simulation, on configuration `planted`, and
    /// expects a checker to report the requirement that it breaks, which ends the run.
    ///
    /// # Errors
    /// When there is no such fault.
    pub fn plant(&mut self, id: &str) -> Result<(), Failure> {
        let plant = find_plant(id).map_err(Failure::setup)?;
        self.setup.config = PLANTED.to_owned();
        self.setup.plant = Some(plant.number);
        self.expected = Some(plant.fires.to_owned());
        Ok(())
    }

    /// Cycles of all simulations of the run that have ended.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// The figures counted.
    #[must_use]
    pub fn figures(&self) -> &BTreeMap<String, u64> {
        &self.figures
    }

    /// The event counters of each core, summed over the simulations of the run that have ended.
    #[must_use]
    pub fn counts(&self) -> &[Counts] {
        &self.counts
    }

    /// The event counters of each node, summed over the simulations of the run that have ended.
    #[must_use]
    pub fn node_counts(&self) -> &[NodeCounts] {
        &self.node_counts
    }

    /// The bins that the simulations of the run reached, if coverage is collected.
    #[must_use]
    pub fn coverage(&self) -> Option<Hits> {
        let collector = self.coverage.as_ref()?;
        Some(collector.borrow().hits().clone())
    }

    fn open(&mut self) -> Result<Simulation, Failure> {
        let recording = &self.context.recording;
        let recorded = recording.simulation == self.opened;
        let mut config = self.setup.clone();
        config.stop_on_violation &= !(recorded && recording.stop_after.is_some());
        config.trace = recording.trace.clone().filter(|_| recorded);
        let straps = config.straps;
        let checks = config.checks;
        let planted = config.plant.is_some();
        let slot = recording.stimulus.clone().filter(|_| recorded);
        let recorder = slot.map(|slot| Recorder::new(&config, slot));
        let mut simulation =
            Simulation::new(config).map_err(|error| Failure::setup(error.to_string()))?;
        if checks {
            self.checkers = Some(check::attach(&mut simulation, straps));
        }
        // What broken hardware reaches counts for nothing.
        if let (Some(collector), true, false) = (&self.coverage, checks, planted) {
            let cores = simulation.info().cores;
            collector.borrow_mut().begin(straps, cores);
            simulation.add_monitor(Rc::clone(collector));
        }
        recorder
            .into_iter()
            .for_each(|recorder| simulation.add_monitor(recorder));
        simulation.set_interrupt(self.context.interrupt.flag());
        if recorded {
            if let Some(path) = &recording.log {
                simulation.set_event_log(BufWriter::new(create(path)?));
            }
            if let Some(path) = &recording.transactions {
                let window = recording
                    .trace
                    .as_ref()
                    .and_then(|trace| trace.window.clone());
                let cores = simulation.info().cores;
                let writer = TransactionWriter::new(BufWriter::new(create(path)?), cores, window)
                    .map_err(|error| unwritable(path, &error))?;
                simulation.add_monitor(writer);
            }
        }
        self.opened += 1;
        Ok(simulation)
    }

    /// Whether the current simulation is the recorded one.
    fn recorded(&self) -> bool {
        self.context.recording.simulation + 1 == self.opened
    }

    pub(super) fn setup_failure(&self, error: impl ToString) -> Failure {
        self.located(Failure::setup(error.to_string()))
    }
}

fn create(path: &PathBuf) -> Result<File, Failure> {
    File::create(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::setup(format!("cannot write {}: {error}", path.display()))
}
