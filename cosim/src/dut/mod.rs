// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The hardware as the simulation drives it: one batched exchange of lanes a step.
//!
//! [`Dut`] is all that simulated time needs of hardware. The Verilated socket of `cosim-bridge`
//! implements it; hardware of another kind can stand in its place.

mod counter;
mod dram;
mod dram_command;
mod info;
pub mod memory;
pub mod node_counter;
mod observation;
pub mod ports;
mod request;
mod response;
mod socket;
mod strap;
pub mod strap_setting;
mod tlb_event;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use cosim_bridge::BridgeError;
pub use cosim_bridge::{
    AssertionFired, CommandObs, ConfigInfo, CoreObs, CoreReq, CoreRsp, DramReq, DramRsp,
    MutantInfo, NodeObs, Socket, TraceFormat, configs, mutants, plants,
};
pub use counter::Counts;
pub use node_counter::NodeCounts;
pub use socket::open;

/// Why hardware cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DutError {
    /// The Verilated model cannot be opened or cannot write its waveform.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The information word has no socket's magic number.
    #[error(
        "hardware is no mmu-cosim socket: magic number {found:#06x}, expected {:#06x}",
        info::ABI_MAGIC
    )]
    NotASocket {
        /// Magic number found.
        found: u16,
    },
    /// The socket is of another version.
    #[error(
        "hardware speaks version {found} of the socket, this program version {}: rebuild both \
         from one tree",
        info::ABI_VERSION
    )]
    AbiVersion {
        /// Version found.
        found: u16,
    },
    /// The socket reports no core, or nodes that it cannot have.
    #[error("hardware reports {cores} cores on {cpu_nodes} of {nodes} nodes")]
    Shape {
        /// Cores reported.
        cores: u8,
        /// Nodes reported.
        nodes: u8,
        /// Nodes with cores reported.
        cpu_nodes: u8,
    },
    /// The memory configuration is refused.
    #[error("memory configuration: {0}")]
    Memory(#[from] memory::MemoryConfigError),
    /// A strap is out of the range of the hardware built.
    #[error("strap {field} = {value} is outside {low}..={high}")]
    Strap {
        /// Name of the strap.
        field: &'static str,
        /// Value asked for.
        value: u64,
        /// Least value.
        low: u64,
        /// Greatest value.
        high: u64,
    },
    /// The hardware has no waveform.
    #[error("this hardware cannot write a waveform")]
    NoTrace,
}

/// What ends a step early, beside responses and DRAM requests, which always do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopOn {
    /// Stop when an observation lane is valid.
    pub observations: bool,
    /// Stop once `req_ready` of any of these cores is 1; one bit a core.
    pub ready: u64,
}

/// The words of all lanes of a socket: inputs that software sets, outputs of the last cycle run.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    /// Requests, one a core.
    pub core_req: Vec<CoreReq>,
    /// DRAM answers, one a node.
    pub dram_rsp: Vec<DramRsp>,
    /// Responses, one a core.
    pub core_rsp: Vec<CoreRsp>,
    /// Observations, one a core.
    pub core_obs: Vec<CoreObs>,
    /// DRAM requests, one a node.
    pub dram_req: Vec<DramReq>,
    /// Observations, one a node.
    pub node_obs: Vec<NodeObs>,
    /// Commands on the buses of memory channels, those of one node after each other.
    pub command: Vec<CommandObs>,
}

impl Lanes {
    /// Lanes for `cores` cores and `nodes` nodes with `channels` memory channels in all, all zero.
    #[must_use]
    pub fn new(cores: usize, nodes: usize, channels: usize) -> Self {
        Self {
            core_req: vec![CoreReq::default(); cores],
            dram_rsp: vec![DramRsp::default(); nodes],
            core_rsp: vec![CoreRsp::default(); cores],
            core_obs: vec![CoreObs::default(); cores],
            dram_req: vec![DramReq::default(); nodes],
            node_obs: vec![NodeObs::default(); nodes],
            command: vec![CommandObs::default(); channels],
        }
    }
}

/// Hardware behind the socket, out of reset.
pub trait Dut {
    /// Information words.
    fn info(&self) -> [u64; 3];

    /// Cycles since the release of reset.
    fn cycle(&self) -> u64;

    /// Drives the input lanes for one cycle, then runs with no input until an output lane that
    /// always stops, or that `stop` selects, is valid, for at most `max_cycles` cycles in all. The
    /// output lanes are those of the last cycle run. Returns the number of cycles run, at least 1.
    fn step(&mut self, lanes: &mut Lanes, stop: StopOn, max_cycles: u64) -> u64;

    /// Value of the event counter `index` of `core` at the current cycle. No time passes and nothing
    /// that the hardware does afterwards depends on it (PMU-08). Hardware without counters shows 0.
    fn counter(&mut self, core: usize, index: u8) -> u64 {
        let _ = (core, index);
        0
    }

    /// Value of the event counter `index` of `node` at the current cycle, as [`Dut::counter`].
    fn node_counter(&mut self, node: usize, index: u8) -> u64 {
        let _ = (node, index);
        0
    }

    /// Opens a waveform file that holds the cycles run from now on.
    ///
    /// # Errors
    /// [`DutError`] if the file cannot be written or the hardware has no waveform.
    fn open_trace(&mut self, path: &Path, format: TraceFormat) -> Result<(), DutError> {
        let _ = (path, format);
        Err(DutError::NoTrace)
    }

    /// Completes and closes the waveform file, if one is open.
    ///
    /// # Errors
    /// [`DutError`] if the file cannot be completed.
    fn close_trace(&mut self) -> Result<(), DutError> {
        Ok(())
    }

    /// Switches the evaluation of RTL assertions.
    fn set_assertions(&mut self, on: bool) {
        let _ = on;
    }

    /// Moves the assertions that fired since the last call into `into`.
    fn drain_assertions(&mut self, into: &mut Vec<AssertionFired>) {
        let _ = into;
    }
}

/// Hardware that somebody outside the simulation keeps a handle to.
impl<D: Dut> Dut for Rc<RefCell<D>> {
    fn info(&self) -> [u64; 3] {
        self.borrow().info()
    }

    fn cycle(&self) -> u64 {
        self.borrow().cycle()
    }

    fn step(&mut self, lanes: &mut Lanes, stop: StopOn, max_cycles: u64) -> u64 {
        self.borrow_mut().step(lanes, stop, max_cycles)
    }

    fn counter(&mut self, core: usize, index: u8) -> u64 {
        self.borrow_mut().counter(core, index)
    }

    fn node_counter(&mut self, node: usize, index: u8) -> u64 {
        self.borrow_mut().node_counter(node, index)
    }

    fn open_trace(&mut self, path: &Path, format: TraceFormat) -> Result<(), DutError> {
        self.borrow_mut().open_trace(path, format)
    }

    fn close_trace(&mut self) -> Result<(), DutError> {
        self.borrow_mut().close_trace()
    }

    fn set_assertions(&mut self, on: bool) {
        self.borrow_mut().set_assertions(on);
    }

    fn drain_assertions(&mut self, into: &mut Vec<AssertionFired>) {
        self.borrow_mut().drain_assertions(into);
    }
}
