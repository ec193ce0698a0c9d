// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One run of a stimulus under every detector, until shortly after the first of them speaks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{WINDOW, assertion_name};
use crate::check::{ASSERTION, Violations};
use crate::dut::memory::MemorySystem;
use crate::regress::context::RunContext;
use crate::regress::interrupt::Interrupt;
use crate::regress::testbench::PLANTED;
use crate::regress::{Bench, Failure};
use crate::sim::event::{Event, EventKind, Monitor};
use crate::sim::{Memory, RunEnd};

/// Cycles between two looks at the violations.
const LOOK: u64 = 500;
/// Cycles of the whole stimulus, hangs included, at most: several times what it takes with memory as slow
/// as it gets.
const LIMIT: u64 = 4_000_000;
/// A walk that does not end is reported after 2^16 cycles, so the watchdog has to wait for longer.
const PATIENCE: u64 = 80_000;

/// A detector that spoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The detector.
    pub detector: String,
    /// Cycle of its first report.
    pub cycle: u64,
    /// The requirements that it named within the window.
    pub requirements: Vec<String>,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hunt {
    /// Those who spoke within the window, the first first.
    pub speakers: Vec<Speaker>,
    /// Cycles simulated.
    pub cycles: u64,
}

/// Keeps when each assertion fired first, by requirement and text.
#[derive(Debug, Clone, Default)]
struct Fired(Rc<RefCell<BTreeMap<(String, String), u64>>>);

impl Monitor for Fired {
    fn name(&self) -> &'static str {
        "fired"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        if let EventKind::Assertion { id, text } = &event.kind {
            let mut fired = self.0.borrow_mut();
            fired
                .entry((id.clone(), text.clone()))
                .or_insert(event.cycle);
        }
    }
}

/// A bench on configuration `planted` for one run of a stimulus.
fn bench(interrupt: &Interrupt) -> Bench {
    Bench::new(RunContext {
        interrupt: interrupt.clone(),
        ..RunContext::new("selftest", PLANTED, 1)
    })
}

/// Runs what `start` loads on `memory`, with plant `number` if that is given, until [`WINDOW`] cycles after the
/// first report, or to its end.
///
/// # Errors
/// When the simulation cannot be set up, and after Ctrl-C.
pub fn hunt(
    number: Option<u32>,
    memory: MemorySystem,
    interrupt: &Interrupt,
    start: impl FnOnce(&mut Bench) -> Result<(), Failure>,
) -> Result<Hunt, Failure> {
    let mut bench = bench(interrupt);
    bench.setup().plant = number;
    bench.setup().memory_system = memory;
    bench.setup().stop_on_violation = false;
    bench.setup().watchdog = PATIENCE;
    start(&mut bench)?;
    let fired = Fired::default();
    let simulation = bench.simulation()?;
    simulation.add_monitor(fired.clone());
    let unrunnable = |error: crate::sim::SimError| Failure::setup(error.to_string());
    let mut until = LIMIT;
    loop {
        let look = LOOK.min(until.saturating_sub(simulation.now()));
        let end = simulation.run(look).map_err(unrunnable)?;
        if end == RunEnd::Interrupted {
            return Err(Failure::interrupted());
        }
        let ended = end != RunEnd::CycleBudget || simulation.now() >= until;
        if ended && simulation.violations().is_empty() {
            // The end of a run is when some checkers draw their conclusions.
            simulation.finish().map_err(unrunnable)?;
        }
        let first = simulation
            .violations()
            .firsts()
            .iter()
            .map(|first| first.cycle);
        if let Some(first) = first.min() {
            until = until.min(first + WINDOW);
        }
        if ended || simulation.now() >= until {
            break;
        }
    }
    let speakers = speakers(simulation.violations(), &fired.0.borrow());
    Ok(Hunt {
        speakers,
        cycles: simulation.now(),
    })
}

fn speakers(violations: &Violations, assertions: &BTreeMap<(String, String), u64>) -> Vec<Speaker> {
    let Some(first) = violations.firsts().iter().map(|first| first.cycle).min() else {
        return Vec::new();
    };
    let mut speakers: Vec<Speaker> = Vec::new();
    let mut heard = |detector: String, requirement: &str, cycle: u64| {
        if cycle > first + WINDOW {
            return;
        }
        match speakers
            .iter_mut()
            .find(|speaker| speaker.detector == detector)
        {
            Some(speaker) => {
                speaker.cycle = speaker.cycle.min(cycle);
                speaker.requirements.push(requirement.to_owned());
            }
            None => speakers.push(Speaker {
                detector,
                cycle,
                requirements: vec![requirement.to_owned()],
            }),
        }
    };
    for report in violations
        .firsts()
        .iter()
        .filter(|report| report.checker != ASSERTION)
    {
        heard(report.checker.to_owned(), &report.requirement, report.cycle);
    }
    for ((requirement, text), cycle) in assertions {
        heard(assertion_name(requirement, text), requirement, *cycle);
    }
    speakers.sort_by_key(|speaker| speaker.cycle);
    speakers
}
