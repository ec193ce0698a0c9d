// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The recorder: a listener that keeps requests, back-door writes and error marks with their cycles,
//! the memory that the run started with, and every later write, so that the run can also be taken up
//! in the middle.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Action, Setup, Step, Stimulus, When};
use crate::check::Violations;
use crate::sim::event::{BACKDOOR, Event, EventKind, Monitor};
use crate::sim::{Memory, SimConfig};

/// A recorded run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What it asked of the hardware.
    pub stimulus: Stimulus,
    /// Every write that became visible: cycle, address, and the word after it.
    pub commits: Vec<(u64, u64, u64)>,
}

/// Where a recording is left when the run ends, for whoever asked for it.
#[derive(Debug, Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Recorded>>>);

impl Slot {
    /// Takes the recording, if the run has ended.
    #[must_use]
    pub fn take(&self) -> Option<Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn leave(&self, recorded: Recorded) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorded);
    }
}

/// Listens to one simulation.
#[derive(Debug)]
pub struct Recorder {
    recorded: Recorded,
    slot: Slot,
}

impl Recorder {
    /// A recorder of a simulation made with `config`, which leaves what it heard in `slot`.
    #[must_use]
    pub fn new(config: &SimConfig, slot: Slot) -> Self {
        let stimulus = Stimulus {
            origin: String::new(),
            broken: None,
            setup: Setup::of(config),
            memory: std::collections::BTreeMap::new(),
            steps: Vec::new(),
            end: 0,
        };
        Self {
            recorded: Recorded {
                stimulus,
                commits: Vec::new(),
            },
            slot,
        }
    }

    fn step(&mut self, cycle: u64, action: Action) {
        self.recorded.stimulus.steps.push(Step {
            when: When::At(cycle),
            action,
        });
    }
}

impl Monitor for Recorder {
    fn name(&self) -> &'static str {
        "stimulus recorder"
    }

    fn start(&mut self, cycle: u64, memory: &Memory) {
        self.recorded.stimulus.memory = memory.words().collect();
        for (address, on, times) in memory.error_marks() {
            self.step(cycle, Action::Mark { address, on, times });
        }
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        match event.kind {
            EventKind::Issue { core, request } => {
                self.step(event.cycle, Action::Request { core, request });
            }
            EventKind::Commit {
                source,
                address,
                after,
                ..
            } => {
                self.recorded.commits.push((event.cycle, address, after));
                if source == BACKDOOR {
                    let value = after;
                    self.step(event.cycle, Action::Poke { address, value });
                }
            }
            EventKind::ErrorMark { address, mark } => {
                let action = match mark {
                    Some((on, times)) => Action::Mark { address, on, times },
                    None => Action::Clear { address },
                };
                self.step(event.cycle, action);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cycle: u64, _: &Memory, _: &mut Violations) {
        self.recorded.stimulus.end = cycle;
        self.slot.leave(self.recorded.clone());
    }
}
