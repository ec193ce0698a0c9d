// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a run is: testbench, configuration, seed and budget, and what it writes down.

use std::path::PathBuf;

use cosim_bridge::PlantInfo;

use super::interrupt::Interrupt;
use crate::sim::TraceRequest;
use crate::stimulus::Slot;

/// Files that a run writes beside its verdict.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Which simulation of the run is recorded: 0 is the first that the body opens.
    pub simulation: usize,
    /// Waveform of the hardware.
    pub trace: Option<TraceRequest>,
    /// Transactions as a VCD file, in the window of `trace`.
    pub transactions: Option<PathBuf>,
    /// Event log, one line an event.
    pub log: Option<PathBuf>,
    /// Where the stimulus is left when the simulation ends.
    pub stimulus: Option<Slot>,
    /// Run on past violations and stop after this cycle, to show what follows a failure.
    pub stop_after: Option<u64>,
}

/// What the runner tells a bench about its run.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// Name of the testbench.
    pub testbench: &'static str,
    /// Name of the hardware configuration.
    pub config: String,
    /// Seed of the run.
    pub seed: u64,
    /// Fault planted in the hardware from the command line; `config` is then the one that has them.
    pub plant: Option<&'static PlantInfo>,
    /// Budget of cycles from the command line.
    pub cycles: Option<u64>,
    /// What to write.
    pub recording: Recording,
    /// Whether functional coverage is collected.
    pub coverage: bool,
    /// Raised by Ctrl-C.
    pub interrupt: Interrupt,
}

impl RunContext {
    /// A run of `testbench` on `config` with `seed`, without a fault or a budget, that writes nothing.
    #[must_use]
    pub fn new(testbench: &'static str, config: &str, seed: u64) -> Self {
        Self {
            testbench,
            config: config.to_owned(),
            seed,
            plant: None,
            cycles: None,
            recording: Recording::default(),
            coverage: false,
            interrupt: Interrupt::new(),
        }
    }
}
