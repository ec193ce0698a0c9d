// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Runs the faults chosen, spread over workers, and tells of each in order.

use super::hunt::{Hunt, hunt};
use super::outcome::{Fault, Outcome, Row, judge};
use super::{SoftwareFault, Stimuli, detectors};
use crate::dut::memory::{MemorySystem, UnknownMemorySystem};
use crate::nearest::nearest;
use crate::regress::failure::FailureKind;
use crate::regress::interrupt::Interrupt;
use crate::regress::spread::{Told, spread};
use crate::regress::{Bench, Failure};

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads.
    pub workers: usize,
    /// Stops the runs.
    pub interrupt: Interrupt,
}

/// One thing to run.
#[derive(Debug, Clone, Copy)]
enum Task {
    /// The load without a fault, under that set-up, with the memory system of that name.
    Clean(usize, &'static str),
    /// A fault of the RTL, by its number.
    Hardware(Fault, u32),
    /// A fault of software.
    Software(Fault, &'static SoftwareFault),
}

/// What was chosen to run, and for which detectors.
#[derive(Debug, Clone)]
pub struct Selection {
    tasks: Vec<Task>,
    /// The detectors that have to see a fault.
    pub detectors: Vec<String>,
}

impl Selection {
    /// Number of runs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether nothing is to be run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

fn tasks(stimuli: &Stimuli) -> Vec<Task> {
    let hardware = cosim_bridge::plants().iter().map(|plant| {
        let fault = Fault {
            id: plant.id,
            fires: plant.fires,
            sees: plant.sees,
            also: plant.also,
            memory: plant.memory,
        };
        Task::Hardware(fault, plant.number)
    });
    let software = stimuli.software.iter().map(|software| {
        let fault = Fault {
            id: software.id,
            fires: software.fires,
            sees: software.sees,
            also: software.also,
            memory: "",
        };
        Task::Software(fault, software)
    });
    hardware.chain(software).collect()
}

/// Everything if `names` is empty, else the faults of those names and those that detectors of those
/// names see.
///
/// # Errors
/// What to tell who gave a name that neither a fault nor a detector has.
pub fn selection(stimuli: &Stimuli, names: &[String]) -> Result<Selection, String> {
    let (all, known) = (tasks(stimuli), detectors());
    let fault = |task: &Task| match task {
        Task::Clean(..) => None,
        Task::Hardware(fault, _) | Task::Software(fault, _) => Some(*fault),
    };
    if names.is_empty() {
        let mut memories: Vec<_> = all.iter().filter_map(fault).map(|f| f.memory).collect();
        memories.sort_unstable();
        memories.dedup();
        let clean = memories.into_iter().flat_map(|memory| {
            let setups = 0..stimuli.setups;
            setups.map(move |setup| Task::Clean(setup, memory))
        });
        return Ok(Selection {
            tasks: clean.chain(all.iter().copied()).collect(),
            detectors: known,
        });
    }
    let faults: Vec<Fault> = all.iter().filter_map(fault).collect();
    for name in names {
        let there = known.contains(name) || faults.iter().any(|fault| fault.id == name);
        if !there {
            let candidates = known
                .iter()
                .map(String::as_str)
                .chain(faults.iter().map(|f| f.id));
            let hint = nearest(name, candidates)
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(format!(
                "no planted fault and no detector is called `{name}`{hint}; \
                 `mmu-cosim selftest --list` shows all"
            ));
        }
    }
    let named = |name: &str| names.iter().any(|other| other == name);
    let tasks: Vec<Task> = all
        .into_iter()
        .filter(|task| fault(task).is_some_and(|fault| named(fault.id) || named(fault.sees)))
        .collect();
    let mut sees: Vec<String> = tasks
        .iter()
        .filter_map(fault)
        .map(|fault| fault.sees.to_owned())
        .chain(names.iter().filter(|name| known.contains(name)).cloned())
        .collect();
    sees.sort_unstable();
    sees.dedup();
    Ok(Selection {
        tasks,
        detectors: sees,
    })
}

/// Runs what `selection` names, and calls `told` with each row, in order; `alive` with the number of
/// runs that have ended, every second or so.
pub fn run(
    stimuli: &'static Stimuli,
    selection: &Selection,
    options: &Options,
    mut told: impl FnMut(&Row),
    mut alive: impl FnMut(usize),
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(selection.len());
    let work = |task: &Task| one(stimuli, task, &options.interrupt);
    spread(&selection.tasks, options.workers, work, |news| match news {
        Told::Result(_, row) => {
            told(&row);
            rows.push(row);
        }
        Told::Alive(ended) => alive(ended),
    });
    rows
}

fn one(stimuli: &'static Stimuli, task: &Task, interrupt: &Interrupt) -> Row {
    let (fault, hunted) = match task {
        Task::Clean(setup, memory) => (None, hunted(None, *setup, memory, stimuli, interrupt)),
        Task::Hardware(fault, number) => {
            // What one set-up has to do without, another has.
            let mut last = Ok((0, Hunt::default()));
            for setup in 0..stimuli.setups {
                last = hunted(Some(*number), setup, fault.memory, stimuli, interrupt);
                if last
                    .as_ref()
                    .map_or(true, |(_, hunt)| !hunt.speakers.is_empty())
                {
                    break;
                }
            }
            (Some(*fault), last)
        }
        Task::Software(fault, software) => {
            let hunt = hunt(None, MemorySystem::Default, interrupt, software.start);
            (Some(*fault), hunt.map(|hunt| (0, hunt)))
        }
    };
    let mut row = Row {
        fault: fault.map(|fault| fault.id),
        detector: fault.map_or("", |fault| fault.sees),
        setup: 0,
        speakers: Vec::new(),
        cycles: 0,
        outcome: Outcome::NotRun,
    };
    match hunted {
        Ok((setup, hunt)) => {
            row.outcome = judge(fault.as_ref(), &hunt);
            (row.setup, row.cycles, row.speakers) = (setup, hunt.cycles, hunt.speakers);
        }
        Err(failure) if failure.kind == FailureKind::Interrupted => {}
        Err(failure) => row.outcome = Outcome::Failed(failure.what),
    }
    row
}

fn hunted(
    number: Option<u32>,
    setup: usize,
    memory: &str,
    stimuli: &Stimuli,
    interrupt: &Interrupt,
) -> Result<(usize, Hunt), Failure> {
    if interrupt.raised() {
        return Err(Failure::interrupted());
    }
    let memory = match memory {
        "" => MemorySystem::Default,
        name => name
            .parse()
            .map_err(|error: UnknownMemorySystem| Failure::setup(error.to_string()))?,
    };
    let start = |bench: &mut Bench| (stimuli.start)(bench, setup);
    hunt(number, memory, interrupt, start).map(|hunt| (setup, hunt))
}
