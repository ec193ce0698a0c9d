// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Every planted fault, one after the other, under a load that exercises everything: each has to be
//! reported by the requirement that its entry in `rtl/sva/plants.toml` names; without a plant the
//! same load is clean.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use cosim::check::Violations;
use cosim::regress::{Bench, Failure};
use cosim::sim::event::{Event, EventKind, Monitor};
use cosim::sim::{Memory, RunEnd};

use super::exercise::{Exercise, SETUPS};

/// Cycles between two looks at the violations.
const LOOK: u64 = 500;
/// Cycles of the whole load, hangs included, at most.
const LIMIT: u64 = 400_000;
/// A walk that does not end is reported after 2^16 cycles, so the watchdog has to wait for longer.
const PATIENCE: u64 = 80_000;

/// How a planted fault was seen.
#[derive(Debug, Clone)]
pub struct Detection {
    /// Checker that named the requirement.
    pub by: &'static str,
    /// Every checker that had something to report by then.
    pub checkers: BTreeSet<&'static str>,
    /// Every assertion that had fired by then: requirement and text of its report.
    pub assertions: BTreeSet<(String, String)>,
    /// Cycle of the report.
    pub cycle: u64,
}

/// Keeps which assertions fired, by requirement and text. The list of violations is bounded, and one
/// checker may fill it.
#[derive(Debug, Clone, Default)]
struct Fired(Rc<RefCell<BTreeSet<(String, String)>>>);

impl Monitor for Fired {
    fn name(&self) -> &'static str {
        "fired"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        if let EventKind::Assertion { id, text } = &event.kind {
            self.0.borrow_mut().insert((id.clone(), text.clone()));
        }
    }
}

/// Runs the load with plant `number` until a checker or an assertion names `fires`, under one set-up
/// of the hardware after the other. If none does, says what was reported instead.
///
/// # Errors
/// When the simulation cannot be set up.
pub fn detect(
    bench: &mut Bench,
    number: u32,
    fires: &str,
) -> Result<Result<Detection, String>, Failure> {
    let mut instead = String::new();
    for setup in 0..SETUPS {
        match detect_with(bench, setup, number, fires)? {
            Ok(detection) => return Ok(Ok(detection)),
            Err(other) => instead = other,
        }
    }
    Ok(Err(instead))
}

fn detect_with(
    bench: &mut Bench,
    setup: usize,
    number: u32,
    fires: &str,
) -> Result<Result<Detection, String>, Failure> {
    bench.setup().plant = Some(number);
    bench.setup().stop_on_violation = false;
    bench.setup().watchdog = PATIENCE;
    let exercise = Exercise::load(bench, setup)?;
    exercise.start(bench)?;
    let fired = Fired::default();
    bench.simulation()?.add_monitor(fired.clone());
    let mut found = None;
    let mut ended = false;
    while found.is_none() && !ended {
        let simulation = bench.simulation()?;
        let end = simulation
            .run(LOOK)
            .map_err(|error| Failure::setup(error.to_string()))?;
        ended = !matches!(end, RunEnd::CycleBudget) || simulation.now() > LIMIT;
        if ended {
            simulation
                .finish()
                .map_err(|error| Failure::setup(error.to_string()))?;
        }
        let seen = simulation
            .violations()
            .iter()
            .find(|violation| violation.breaks(fires));
        found = seen.map(|violation| Detection {
            by: violation.checker,
            checkers: simulation
                .violations()
                .iter()
                .map(|other| other.checker)
                .collect(),
            assertions: fired.0.borrow().clone(),
            cycle: violation.cycle,
        });
        if end == RunEnd::Interrupted {
            return Err(Failure::interrupted());
        }
    }
    let first = bench
        .simulation()?
        .violations()
        .first()
        .map(ToString::to_string);
    // The violations of this simulation are what was asked for.
    drop(bench.restart());
    bench.setup().plant = None;
    Ok(found.ok_or_else(|| first.unwrap_or_else(|| "nothing was reported".to_owned())))
}

/// The testbench.
pub fn plants(bench: &mut Bench) -> Result<(), Failure> {
    for setup in 0..SETUPS {
        let exercise = Exercise::load(bench, setup)?;
        exercise.start(bench)?;
        bench.run_tasks()?;
        bench.restart()?;
    }
    let planted = cosim::dut::configs()
        .iter()
        .any(|config| config.planted && config.name == bench.config());
    if !planted {
        return Ok(());
    }
    let mut missed = Vec::new();
    for plant in cosim::dut::plants() {
        match detect(bench, plant.number, plant.fires)? {
            Ok(detection) => {
                bench.count("plants seen", 1);
                bench.count(plant.id, detection.cycle);
            }
            Err(instead) => missed.push(format!("{} ({}): {instead}", plant.id, plant.fires)),
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::expectation(format!(
        "planted faults passed unseen: {}",
        missed.join("; ")
    )))
}
