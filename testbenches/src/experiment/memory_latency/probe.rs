// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One simulation of the experiment: tasks that load, and a record of when each load was accepted and
//! answered.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use cosim::check::Violations;
use cosim::experiment::{Context, ExperimentError};
use cosim::sim::{Event, EventKind, Memory, Monitor, RunEnd, SimHandle, Simulation};

/// Most cycles of one simulation: far more than any needs.
const MOST_CYCLES: u64 = 20_000_000;

/// A request that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Cycle of the clock edge that sampled the request.
    pub issued: u64,
    /// Cycle of the response.
    pub answered: u64,
    /// Whether it carried a fault.
    pub fault: bool,
}

impl Answer {
    /// Load to use, in clocks.
    pub fn latency(&self) -> u64 {
        self.answered - self.issued
    }
}

/// Every answer of a simulation, in the order in which they came.
#[derive(Debug, Default)]
pub struct Record {
    pub answers: Vec<Answer>,
}

impl Monitor for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        if let EventKind::Response {
            issued_at,
            response,
            ..
        } = &event.kind
        {
            self.answers.push(Answer {
                issued: *issued_at,
                answered: event.cycle,
                fault: response.fault.is_some(),
            });
        }
    }
}

/// Runs the task that `program` makes to its end, on fresh hardware; returns all answers.
///
/// # Errors
/// [`ExperimentError::Broken`] if the task does not end, or a request faults.
pub fn measure<F>(
    context: &Context<'_>,
    program: impl FnOnce(SimHandle) -> F,
) -> Result<Vec<Answer>, ExperimentError>
where
    F: Future<Output = ()> + 'static,
{
    let mut simulation = Simulation::new(context.parameters.simulation())?;
    simulation.set_interrupt(context.interrupt.flag());
    let record = Rc::new(RefCell::new(Record::default()));
    simulation.add_monitor(Rc::clone(&record));
    let task = program(simulation.handle());
    simulation.spawn(task);
    let broken = |text: String| Err(ExperimentError::Broken(text));
    match simulation.run(MOST_CYCLES)? {
        RunEnd::TasksDone => {}
        RunEnd::Interrupted => return broken("interrupted".to_owned()),
        RunEnd::CycleBudget => {
            return broken(format!(
                "no end of a measurement after {MOST_CYCLES} cycles"
            ));
        }
        RunEnd::Violation => {
            let first = simulation.violations().first();
            return broken(first.map_or_else(String::new, |violation| violation.to_string()));
        }
    }
    let answers = std::mem::take(&mut record.borrow_mut().answers);
    match answers.iter().find(|answer| answer.fault) {
        Some(answer) => broken(format!(
            "the load issued in cycle {} faulted",
            answer.issued
        )),
        None => Ok(answers),
    }
}
