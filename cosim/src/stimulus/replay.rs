// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The replay agent: takes the steps of a stimulus at their times, one task for each core and one for
//! what happens behind the hardware's back, judged by every checker.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use bitvec::vec::BitVec;

use super::{Action, Setup, Step, Stimulus, When};
use crate::check::{self, Violation};
use crate::regress::testbench::find_plant;
use crate::sim::event::{Event, EventKind, Monitor};
use crate::sim::{Access, CoreHandle, Memory, RunEnd, SimConfig, SimHandle, Simulation};

/// Cycles after the last step in which what is under way may still break a rule.
const TAIL: u64 = 2_000;

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Broken requirements, the first one first.
    pub violations: Vec<Violation>,
    /// Cycle at which the run ended.
    pub cycles: u64,
    /// Words of memory that hardware read.
    pub read: BTreeSet<u64>,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
}

/// Keeps which words hardware reads.
struct Reads(Rc<RefCell<BTreeSet<u64>>>);

impl Monitor for Reads {
    fn name(&self) -> &'static str {
        "words read"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut check::Violations) {
        if let EventKind::DramRead { address, .. } = event.kind {
            self.0.borrow_mut().insert(address & !7);
        }
    }
}

/// Replays `stimulus`; `prepare` may add listeners. `interrupt` ends the run soon after it is set.
///
/// # Errors
/// When there is no such hardware: configuration, plant, straps or number of cores.
pub fn replay(
    stimulus: &Stimulus,
    interrupt: Option<Arc<AtomicBool>>,
    prepare: impl FnOnce(&mut Simulation),
) -> Result<Replayed, String> {
    let mut simulation = open(&stimulus.setup)?;
    let built = simulation.handle().cores();
    if stimulus.cores() > built {
        let (config, needed) = (&stimulus.setup.config, stimulus.cores());
        return Err(format!(
            "the stimulus needs {needed} cores, configuration {config} has {built}; name another one \
             with --config"
        ));
    }
    check::attach(&mut simulation, stimulus.setup.straps);
    let read = Rc::new(RefCell::new(BTreeSet::new()));
    simulation.add_monitor(Reads(Rc::clone(&read)));
    prepare(&mut simulation);
    if let Some(flag) = interrupt {
        simulation.set_interrupt(flag);
    }
    let handle = simulation.handle();
    // Hardware is on trial, not the software that the steps come from.
    for expectation in check::any_misuse() {
        handle.expect_violation(expectation);
    }
    for (&address, &word) in &stimulus.memory {
        handle.poke(address, word);
    }
    spawn(&handle, &stimulus.steps, stimulus.end);
    let last = stimulus.steps.iter().fold(0, |last, step| match step.when {
        When::At(cycle) => last.max(cycle),
        _ => last,
    });
    // No request takes longer than the watchdog allows.
    let patience = stimulus.setup.watchdog.saturating_add(TAIL);
    let steps = stimulus.steps.len() as u64 + 1;
    let budget = last.max(stimulus.end) + patience.saturating_mul(steps.min(64));
    let end = simulation.run(budget).map_err(|error| error.to_string())?;
    let violations = simulation
        .finish()
        .map_err(|error| error.to_string())?
        .iter()
        .cloned()
        .collect();
    let read = read.borrow().clone();
    Ok(Replayed {
        violations,
        cycles: simulation.now(),
        read,
        interrupted: end == RunEnd::Interrupted,
    })
}

fn open(setup: &Setup) -> Result<Simulation, String> {
    let plant = setup.plant.as_deref().map(find_plant).transpose()?;
    let config = SimConfig {
        config: setup.config.clone(),
        plant: plant.map(|plant| plant.number),
        straps: setup.straps,
        seed: setup.seed,
        memory_system: setup.memory_system.clone(),
        memory: setup.memory,
        watchdog: setup.watchdog,
        ..SimConfig::default()
    };
    Simulation::new(config).map_err(|error| error.to_string())
}

/// Spawns the tasks that take `steps` and go on to cycle `end` at least.
pub(super) fn spawn(handle: &SimHandle, steps: &[Step], end: u64) {
    let shared = Rc::new(RefCell::new(Progress {
        done: BitVec::repeat(false, steps.len()),
        first_open: 0,
        wakers: Vec::new(),
    }));
    let actors = (0..handle.cores() as u8)
        .map(Some)
        .chain([None])
        .filter(|&actor| steps.iter().any(|step| step.core() == actor));
    for actor in actors {
        let own: VecDeque<(usize, Step)> = steps
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, step)| step.core() == actor)
            .collect();
        let mut agent = Agent {
            core: actor.and_then(|core| handle.core(usize::from(core))),
            handle: handle.clone(),
            steps: own,
            open: Vec::new(),
            shared: Rc::clone(&shared),
            asleep: None,
        };
        handle.spawn(poll_fn(move |context| agent.poll(context)));
    }
    let idle = handle.clone();
    handle.spawn(async move { idle.sleep_until(end).await });
}

/// Which steps are done.
struct Progress {
    done: BitVec,
    /// Every step before this one is done.
    first_open: usize,
    wakers: Vec<Waker>,
}

impl Progress {
    fn done(&mut self, step: usize) {
        self.done.set(step, true);
        while self.done.get(self.first_open).is_some_and(|done| *done) {
            self.first_open += 1;
        }
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

type Sleep = Pin<Box<dyn Future<Output = ()>>>;

/// Takes the steps of one core, or those of none.
struct Agent {
    core: Option<CoreHandle>,
    handle: SimHandle,
    steps: VecDeque<(usize, Step)>,
    open: Vec<(usize, Access)>,
    shared: Rc<RefCell<Progress>>,
    /// Until which cycle the task sleeps, and what wakes it.
    asleep: Option<(u64, Sleep)>,
}

impl Agent {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.collect(context);
        while let Some(&(index, step)) = self.steps.front() {
            if !self.due(index, &step, context) {
                return Poll::Pending;
            }
            self.steps.pop_front();
            self.take(index, &step);
            self.collect(context);
        }
        match self.open.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Notes the requests that are answered.
    fn collect(&mut self, context: &mut Context<'_>) {
        let shared = &self.shared;
        self.open.retain_mut(|(index, access)| {
            let answered = Pin::new(access).poll(context).is_ready();
            if answered {
                shared.borrow_mut().done(*index);
            }
            !answered
        });
    }

    /// Whether the time of a step has come; if not, somebody will wake this task.
    fn due(&mut self, index: usize, step: &Step, context: &mut Context<'_>) -> bool {
        match step.when {
            When::At(cycle) => {
                // What is asked for in cycle n is sampled by the edge of cycle n + 1.
                let early = u64::from(step.core().is_some());
                let cycle = cycle.saturating_sub(early);
                if self.handle.now() >= cycle {
                    return true;
                }
                if self
                    .asleep
                    .as_ref()
                    .is_none_or(|&(until, _)| until != cycle)
                {
                    let handle = self.handle.clone();
                    let sleep = Box::pin(async move { handle.sleep_until(cycle).await });
                    self.asleep = Some((cycle, sleep));
                }
                let (_, sleep) = match &mut self.asleep {
                    Some(asleep) => asleep,
                    None => return true,
                };
                sleep.as_mut().poll(context).is_ready()
            }
            When::Serial => {
                let mut shared = self.shared.borrow_mut();
                if shared.first_open < index {
                    shared.wakers.push(context.waker().clone());
                    return false;
                }
                true
            }
            // An answer wakes the task.
            When::Own => self.open.is_empty(),
            When::Behind => true,
        }
    }

    fn take(&mut self, index: usize, step: &Step) {
        match step.action {
            Action::Request { request, .. } => {
                if let Some(core) = &self.core {
                    let access = match step.when {
                        When::At(_) => core.issue_as_before(request),
                        _ => core.issue(request),
                    };
                    self.open.push((index, access));
                }
                return;
            }
            Action::Poke { address, value } => self.handle.poke(address, value),
            Action::Mark { address, on, times } => self.handle.mark_error(address, on, times),
            Action::Clear { address } => self.handle.clear_error(address),
        }
        self.shared.borrow_mut().done(index);
    }
}
