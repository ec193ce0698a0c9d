// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Simulated time and what lives in it: cores, memory, tasks, and the stream of events.
//!
//! *Cycle n* is what the outputs show after the n-th clock edge since the release of reset has
//! settled. A task polled at cycle n has seen them; what it asks for is sampled by the clock edge
//! of cycle n+1. All that happens is a function of the hardware, the seed, the configuration and
//! the tasks: no wall clock, thread or allocation takes part.

mod activities;
mod config;
mod core;
mod cpu;
mod crossing;
mod dram;
pub mod event;
mod event_text;
mod executor;
mod handle;
pub mod memory;
mod seed;
mod simulation;
mod sinks;
mod time;
mod trace;
mod watchdog;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use activities::{Activities, Running};
pub use config::{Figures, RunEnd, SimConfig, SimError};
pub use core::{Access, CoreHandle};
pub use dram::MemoryTiming;
pub use event::{BACKDOOR, Event, EventKind, Monitor};
pub use handle::{JoinHandle, SimHandle};
pub use memory::{ErrorOn, Memory};
pub use seed::Seed;
pub use simulation::Simulation;
pub use sinks::FlightRecorder;
pub use trace::TraceRequest;
