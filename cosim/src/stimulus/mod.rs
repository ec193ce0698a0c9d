// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Stimulus as data: what a run asked of the hardware, recorded at the socket, replayed exactly or in
//! part, and shrunk to what a failure needs.
//!
//! Every testbench drives the hardware by requests of cores, back-door writes and error marks, whatever
//! program made them. Recorded with their cycles, beside the memory and the set-up that the run
//! started with, they are a run without its program: [`replay()`] does it again, judged by every
//! checker. Recording listens only, so a recorded run takes the same cycles.

mod file;
mod listing;
mod play;
mod record;
mod replay;
mod request_text;
pub mod shrink;
mod source;

use std::collections::BTreeMap;

pub use file::StimulusError;
pub use listing::listing;
pub use play::play;
pub use record::{Recorded, Recorder, Slot};
pub use replay::{Replayed, replay};
pub use source::testbench_source;

use crate::check::Violation;
use crate::dut::memory::MemorySystem;
use crate::dut::ports::{CoreRequest, Straps};
use crate::sim::{ErrorOn, MemoryTiming, SimConfig};

/// When a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this cycle: a request is sampled by its clock edge, anything else happens when it is over.
    At(u64),
    /// When every earlier step of the list is done: requests answered.
    Serial,
    /// When every earlier request of the same core is answered.
    Own,
    /// As soon as the socket takes it, behind the request before it.
    Behind,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A core makes a request.
    Request {
        /// Number of the core.
        core: u8,
        /// The request; its id is kept as long as the cycle is, else chosen anew.
        request: CoreRequest,
    },
    /// A word of memory is written through the back door.
    Poke {
        /// Physical address.
        address: u64,
        /// The word.
        value: u64,
    },
    /// A word of memory answers with errors from now on.
    Mark {
        /// Physical address.
        address: u64,
        /// Which requests fail.
        on: ErrorOn,
        /// How many of them; `None` is all until cleared.
        times: Option<u32>,
    },
    /// It does so no longer.
    Clear {
        /// Physical address.
        address: u64,
    },
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When it is taken.
    pub when: When,
    /// What it does.
    pub action: Action,
}

impl Step {
    /// `core` makes `request` when every earlier step is done.
    #[must_use]
    pub const fn serial(core: u8, request: CoreRequest) -> Self {
        Self {
            when: When::Serial,
            action: Action::Request { core, request },
        }
    }

    /// The same step at another time.
    #[must_use]
    pub const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// The core that takes it, if one does.
    #[must_use]
    pub const fn core(&self) -> Option<u8> {
        match self.action {
            Action::Request { core, .. } => Some(core),
            _ => None,
        }
    }
}

/// The hardware and what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Hardware configuration.
    pub config: String,
    /// Planted fault, by its name in `rtl/sva/plants.toml`.
    pub plant: Option<String>,
    /// Straps.
    pub straps: Straps,
    /// Seed of what hardware powers on with and of the memory's jitter.
    pub seed: u64,
    /// Links and memory controllers.
    pub memory_system: MemorySystem,
    /// How long the DRAM port takes, in cycles.
    pub memory: MemoryTiming,
    /// Cycles that a request may take before the run is called hung.
    pub watchdog: u64,
}

impl Setup {
    /// The set-up of a simulation made with `config`.
    #[must_use]
    pub fn of(config: &SimConfig) -> Self {
        let plants = cosim_bridge::plants();
        let plant = config
            .plant
            .and_then(|number| plants.iter().find(|plant| plant.number == number));
        Self {
            config: config.config.clone(),
            plant: plant.map(|plant| plant.id.to_owned()),
            straps: config.straps,
            seed: config.seed,
            memory_system: config.memory_system.clone(),
            memory: config.memory,
            watchdog: config.watchdog,
        }
    }
}

/// What a checker reported, by which a failure is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Name of the checker.
    pub checker: String,
    /// The requirement that it named first.
    pub requirement: String,
}

impl Broken {
    /// How `violation` is recognised.
    #[must_use]
    pub fn of(violation: &Violation) -> Self {
        Self {
            checker: violation.checker.to_owned(),
            requirement: violation.requirements.first().cloned().unwrap_or_default(),
        }
    }

    /// Whether `violation` is of this kind.
    #[must_use]
    pub fn is(&self, violation: &Violation) -> bool {
        violation.checker == self.checker && violation.breaks(&self.requirement)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (checker: {})", self.requirement, self.checker)
    }
}

/// A run without its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stimulus {
    /// The command whose run it was made from.
    pub origin: String,
    /// What that run, and so this one, is red for; `None` for a green one.
    pub broken: Option<Broken>,
    /// The hardware.
    pub setup: Setup,
    /// Words of memory before the first cycle, by physical address; all others are 0.
    pub memory: BTreeMap<u64, u64>,
    /// The steps, in the order of their cycles.
    pub steps: Vec<Step>,
    /// The run goes on to this cycle at least.
    pub end: u64,
}

impl Stimulus {
    /// Number of cores that take steps: one more than the greatest.
    #[must_use]
    pub fn cores(&self) -> usize {
        let cores = self.steps.iter().filter_map(Step::core);
        cores.max().map_or(1, |core| usize::from(core) + 1)
    }
}
