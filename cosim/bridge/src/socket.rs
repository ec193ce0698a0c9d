// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The safe wrapper around one simulated socket.

use crate::convert::fst_to_vcd;
use crate::ffi::{self, SocketModel};
use crate::{
    AssertionFired, BridgeError, CommandObs, CoreObs, CoreReq, CoreRsp, DramReq, DramRsp, NodeObs,
    Recording, configs, mutants, plants,
};
use cxx::UniquePtr;
use std::ops::BitOr;
use std::path::{Path, PathBuf};

/// Magic and version of `rtl/pkg/socket_pkg.sv`, as the info port shows them.
const ABI_MAGIC: u16 = 0x4d4d;
const ABI_VERSION: u16 = 3;

/// Words of the memory configuration, `memory_config_t` of `rtl/pkg/memory_pkg.sv`.
pub const MEMORY_WORDS: usize = 113;

/// What ends [`Socket::step`] early. Responses, DRAM requests and assertions always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// Also a valid observation lane (event of an MMU, or commit).
    pub observations: bool,
    /// Also that `req_ready` of any of these cores is 1; one bit a core.
    pub ready: u64,
}

impl Stop {
    /// Nothing besides what always stops.
    pub const NONE: Stop = Stop {
        observations: false,
        ready: 0,
    };
    /// A valid observation lane.
    pub const OBS: Stop = Stop {
        observations: true,
        ready: 0,
    };
    /// That any core can take a request.
    pub const READY: Stop = Stop {
        observations: false,
        ready: u64::MAX,
    };
}

impl BitOr for Stop {
    type Output = Stop;

    fn bitor(self, other: Stop) -> Stop {
        Stop {
            observations: self.observations || other.observations,
            ready: self.ready | other.ready,
        }
    }
}

/// Format of a waveform file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFormat {
    /// Compressed, for GTKWave and Surfer.
    Fst,
    /// Text. Written when the trace is closed, by converting an FST file beside it.
    Vcd,
}

#[derive(Debug)]
struct OpenTrace {
    path: PathBuf,
    /// The FST file being written: `path` itself unless a VCD is wanted.
    fst: PathBuf,
}

/// One simulated socket: cores, nodes and their memory ports, after reset.
pub struct Socket {
    model: UniquePtr<SocketModel>,
    config: &'static str,
    cores: usize,
    nodes: usize,
    channels: usize,
    trace: Option<OpenTrace>,
    recording: Option<Recording>,
}

impl Socket {
    /// Builds and resets the hardware of a configuration.
    ///
    /// `straps` is the word of `strap_t` and `memory` the words of `memory_config_t` seen during
    /// reset. `plant` switches on one fault of
    /// [`plants`] in configuration `planted`, of [`mutants`] in `mutated`; no other takes one. `seed` decides the power-on value of
    /// whatever reset leaves undefined.
    ///
    /// # Errors
    /// Unknown configuration or plant, RTL with another socket ABI, or a model that dies in reset.
    pub fn open(
        config: &str,
        straps: u64,
        memory: &[u64; MEMORY_WORDS],
        plant: Option<u32>,
        seed: u64,
    ) -> Result<Socket, BridgeError> {
        let Some(info) = configs().iter().find(|c| c.name == config) else {
            let known: Vec<&str> = configs().iter().map(|c| c.name).collect();
            return Err(BridgeError::UnknownConfig {
                name: config.into(),
                known: known.join(", "),
            });
        };
        let count = match info {
            info if info.planted => plants().len(),
            info if info.mutated => mutants().len(),
            _ => 0,
        };
        if let Some(plant) = plant
            && (plant == 0 || plant as usize > count)
        {
            return Err(BridgeError::UnknownPlant {
                config: config.into(),
                plant,
                count,
            });
        }
        let model = ffi::open_model(info.name, straps, memory, plant.unwrap_or(0), seed);
        let model = model.map_err(|e| BridgeError::Model {
            config: config.into(),
            text: e.what().into(),
        })?;
        let socket = Socket {
            config: info.name,
            cores: ffi::model_cores(&model),
            nodes: ffi::model_nodes(&model),
            channels: ffi::model_channels(&model),
            model,
            trace: None,
            recording: None,
        };
        socket.check_abi()?;
        Ok(socket)
    }

    fn check_abi(&self) -> Result<(), BridgeError> {
        let word = self.info()[0];
        let (magic, version) = (word as u16, (word >> 16) as u16);
        if (magic, version) == (ABI_MAGIC, ABI_VERSION) {
            return Ok(());
        }
        Err(BridgeError::Abi {
            config: self.config.into(),
            magic,
            version,
            expected_magic: ABI_MAGIC,
            expected_version: ABI_VERSION,
        })
    }

    /// Name of the configuration.
    pub fn config(&self) -> &'static str {
        self.config
    }

    /// Number of core lanes.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Number of memory nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Number of memory channels of all nodes; those of one node follow each other.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The words of `info_t`.
    pub fn info(&self) -> [u64; 3] {
        [0, 1, 2].map(|word| ffi::model_info(&self.model, word))
    }

    /// Cycles run since reset was released.
    pub fn cycle(&self) -> u64 {
        ffi::model_cycle(&self.model)
    }

    /// Drives the inputs for one cycle, then runs without input until `stop` says so, at most
    /// `max_cycles` cycles and at least one. Outputs are those of the last cycle run. Returns the
    /// number of cycles run.
    ///
    /// A fatal error in the model (logic that does not settle) is reported as an assertion `fatal`;
    /// afterwards outputs stand still and time only passes.
    ///
    /// # Panics
    /// If a slice does not have exactly one lane for each core, node or channel.
    #[allow(clippy::too_many_arguments, reason = "one crossing carries every lane")]
    pub fn step(
        &mut self,
        core_req: &[CoreReq],
        dram_rsp: &[DramRsp],
        core_rsp: &mut [CoreRsp],
        core_obs: &mut [CoreObs],
        dram_req: &mut [DramReq],
        node_obs: &mut [NodeObs],
        command: &mut [CommandObs],
        stop: Stop,
        max_cycles: u64,
    ) -> u64 {
        let cores = [core_req.len(), core_rsp.len(), core_obs.len()];
        let nodes = [dram_rsp.len(), dram_req.len(), node_obs.len()];
        assert_eq!(
            cores, [self.cores; 3],
            "lanes of core_req, core_rsp, core_obs"
        );
        assert_eq!(
            nodes, [self.nodes; 3],
            "lanes of dram_rsp, dram_req, node_obs"
        );
        assert_eq!(command.len(), self.channels, "lanes of command");
        let model = self.model.pin_mut();
        let cycles = ffi::model_step(
            model,
            core_req,
            dram_rsp,
            core_rsp,
            core_obs,
            dram_req,
            node_obs,
            command,
            stop.observations,
            stop.ready,
            max_cycles,
        );
        if let Some(recording) = &mut self.recording {
            recording.push(cycles, core_req, dram_rsp);
        }
        cycles
    }

    /// Value of event counter `index` (`pmu_e` of `rtl/pkg/pmu_pkg.sv`) of `core` as of this cycle.
    /// No time passes, nothing shows in a waveform, and no later cycle depends on it (PMU-08).
    ///
    /// # Panics
    /// If there is no such core.
    pub fn counter(&mut self, core: usize, index: u8) -> u64 {
        assert!(core < self.cores, "core {core} of {}", self.cores);
        ffi::model_counter(self.model.pin_mut(), core, index)
    }

    /// Value of event counter `index` (`node_pmu_e` of `rtl/pkg/node_pmu_pkg.sv`) of `node` as of this
    /// cycle, as [`Socket::counter`].
    ///
    /// # Panics
    /// If there is no such node.
    pub fn node_counter(&mut self, node: usize, index: u8) -> u64 {
        assert!(node < self.nodes, "node {node} of {}", self.nodes);
        ffi::model_node_counter(self.model.pin_mut(), node, index)
    }

    /// From now on keeps what every step drives.
    pub fn start_recording(&mut self) {
        self.recording = Some(Recording::new(self.cores, self.nodes));
    }

    /// Ends the recording and returns it; `None` if none was started.
    pub fn take_recording(&mut self) -> Option<Recording> {
        self.recording.take()
    }

    /// Replays a recorded input stream in a loop that is all C++: the speed limit of the model.
    /// Returns the number of cycles run.
    ///
    /// # Panics
    /// If the recording is of a socket with another number of cores or nodes.
    pub fn bare_loop(&mut self, recording: &Recording) -> u64 {
        let expected = Recording::new(self.cores, self.nodes).record_words;
        assert_eq!(recording.record_words, expected, "words of a record");
        ffi::model_replay(self.model.pin_mut(), &recording.words)
    }

    /// Writes a waveform of every following cycle until [`Socket::close_trace`]. Times are in ns,
    /// ten a cycle: cycle n rises at 10 n and falls at 10 n + 5. A trace already open is closed.
    ///
    /// # Errors
    /// The file cannot be created, or closing the earlier trace fails.
    pub fn open_trace(
        &mut self,
        path: impl AsRef<Path>,
        format: TraceFormat,
    ) -> Result<(), BridgeError> {
        self.close_trace()?;
        let path = path.as_ref().to_owned();
        let failed = |text: String| BridgeError::Trace {
            path: path.clone(),
            text,
        };
        // Verilator says only that opening failed; trying first finds out why.
        std::fs::File::create(&path).map_err(|e| failed(e.to_string()))?;
        let fst = match format {
            TraceFormat::Fst => path.clone(),
            TraceFormat::Vcd => {
                let mut name = path.clone().into_os_string();
                name.push(".part.fst");
                PathBuf::from(name)
            }
        };
        let name = fst
            .to_str()
            .ok_or_else(|| failed("the path is not UTF-8".into()))?;
        if !ffi::model_open_trace(self.model.pin_mut(), name) {
            return Err(failed(format!("cannot open {name}")));
        }
        self.trace = Some(OpenTrace { path, fst });
        Ok(())
    }

    /// Completes the waveform file, if one is open. Dropping the socket does the same.
    ///
    /// # Errors
    /// The VCD file cannot be written.
    pub fn close_trace(&mut self) -> Result<(), BridgeError> {
        let Some(trace) = self.trace.take() else {
            return Ok(());
        };
        ffi::model_close_trace(self.model.pin_mut());
        if trace.fst == trace.path {
            return Ok(());
        }
        fst_to_vcd(&trace.fst, &trace.path).map_err(|text| BridgeError::Trace {
            path: trace.path,
            text,
        })?;
        // The VCD is complete: a left-over FST file harms nobody.
        let _ = std::fs::remove_file(&trace.fst);
        Ok(())
    }

    /// Whether [`Socket::fired_assertions`] has anything to return; cheap enough for every step.
    pub fn has_fired(&self) -> bool {
        ffi::model_fired(&self.model)
    }

    /// Takes the reports of assertions since the last call, oldest first. At most 1024 are kept.
    pub fn fired_assertions(&mut self) -> Vec<AssertionFired> {
        let mut all = Vec::new();
        let mut one = AssertionFired::default();
        while ffi::model_take_report(self.model.pin_mut(), &mut one) {
            all.push(std::mem::take(&mut one));
        }
        all
    }

    /// Switches the RTL's assertions on (as after opening) or off.
    pub fn set_assertions(&mut self, on: bool) {
        ffi::model_assertions(self.model.pin_mut(), on);
    }

    /// The whole state of the hardware. Pending assertion reports, traces and whether assertions
    /// are on are not part of it. Equal states may differ in unused bytes of their snapshots.
    pub fn save(&mut self) -> Vec<u8> {
        ffi::model_save(self.model.pin_mut())
    }

    /// Goes back to a saved state, of this socket or of another one of the same configuration.
    ///
    /// # Errors
    /// The snapshot is of another configuration or build, or damaged.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), BridgeError> {
        if ffi::model_restore(self.model.pin_mut(), snapshot) {
            Ok(())
        } else {
            Err(BridgeError::Snapshot {
                config: self.config.into(),
            })
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(e) = self.close_trace() {
            eprintln!("mmu-cosim: {e}");
        }
    }
}
