// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a simulation is a function of, and how it ends.

use super::dram::MemoryTiming;
use super::trace::TraceRequest;
use crate::dut::DutError;
use crate::dut::memory::MemorySystem;
use crate::dut::ports::Straps;

/// Everything that decides what happens in a simulation, apart from its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimConfig {
    /// Name of the hardware configuration.
    pub config: String,
    /// Configuration straps.
    pub straps: Straps,
    /// Fault to plant; only the configuration made for it has any.
    pub plant: Option<u32>,
    /// Seed of the run.
    pub seed: u64,
    /// Links and memory controllers of the nodes.
    pub memory_system: MemorySystem,
    /// How long the DRAM port takes, in cycles; one cycle behind memory controllers, which tell when
    /// an access is over.
    pub memory: MemoryTiming,
    /// Whether RTL assertions are evaluated and observation lanes listened to. Without, monitors
    /// see requests, responses and DRAM requests only.
    pub checks: bool,
    /// Waveform to write.
    pub trace: Option<TraceRequest>,
    /// Cycles that a request may take before the run is called hung.
    pub watchdog: u64,
    /// Number of last events kept for the report of a failure.
    pub flight_recorder: usize,
    /// Whether the run ends at the first violation.
    pub stop_on_violation: bool,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            config: "1x1".to_owned(),
            straps: Straps::default(),
            plant: None,
            seed: 1,
            memory_system: MemorySystem::default(),
            memory: MemoryTiming::default(),
            checks: true,
            trace: None,
            watchdog: 100_000,
            flight_recorder: 256,
            stop_on_violation: true,
        }
    }
}

/// Why a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// Every task that the run waits for is done.
    TasksDone,
    /// The cycles granted are used up.
    CycleBudget,
    /// A requirement broke.
    Violation,
    /// The interrupt flag was raised.
    Interrupted,
}

/// What a simulation did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Cycles since the release of reset.
    pub cycles: u64,
    /// Requests that cores made.
    pub requests: u64,
    /// Responses that cores got.
    pub responses: u64,
    /// Responses that carried a fault.
    pub faults: u64,
    /// DRAM reads.
    pub dram_reads: u64,
    /// DRAM writes.
    pub dram_writes: u64,
    /// Exchanges with the hardware; cycles beyond them cost no software.
    pub crossings: u64,
}

/// Why a simulation cannot be made or go on. It is no verdict about the hardware.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The hardware cannot be used.
    #[error(transparent)]
    Dut(#[from] DutError),
    /// The event log cannot be written.
    #[error("cannot write the event log: {0}")]
    EventLog(#[from] std::io::Error),
}
