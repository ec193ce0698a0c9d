// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The Verilated socket as hardware of a simulation.

use std::path::Path;

use cosim_bridge::{AssertionFired, Socket, Stop, TraceFormat, configs};

use super::memory::MemoryConfig;
use super::ports::{Info, Straps};
use super::{Dut, DutError, Lanes, StopOn};

/// Opens the configuration called `config` with `straps` and `memory`, out of reset. `plant` switches a planted
/// fault on; `seed` decides what reset leaves undefined.
///
/// # Errors
/// [`DutError`] if there is no such configuration or plant, a strap is out of its range,
/// or memory cannot be so.
pub fn open(
    config: &str,
    straps: &Straps,
    memory: &MemoryConfig,
    plant: Option<u32>,
    seed: u64,
) -> Result<Socket, DutError> {
    // An unknown name is the bridge's to refuse: it knows them all.
    let known = configs().iter().find(|known| known.name == config);
    let word = match known {
        Some(known) => straps.encode(&Info::of_config(known))?,
        None => 0,
    };
    Ok(Socket::open(config, word, &memory.encode()?, plant, seed)?)
}

impl Dut for Socket {
    fn info(&self) -> [u64; 3] {
        Socket::info(self)
    }

    fn cycle(&self) -> u64 {
        Socket::cycle(self)
    }

    fn step(&mut self, lanes: &mut Lanes, stop: StopOn, max_cycles: u64) -> u64 {
        let on = Stop {
            observations: stop.observations,
            ready: stop.ready,
        };
        Socket::step(
            self,
            &lanes.core_req,
            &lanes.dram_rsp,
            &mut lanes.core_rsp,
            &mut lanes.core_obs,
            &mut lanes.dram_req,
            &mut lanes.node_obs,
            &mut lanes.command,
            on,
            max_cycles,
        )
    }

    fn counter(&mut self, core: usize, index: u8) -> u64 {
        Socket::counter(self, core, index)
    }

    fn node_counter(&mut self, node: usize, index: u8) -> u64 {
        Socket::node_counter(self, node, index)
    }

    fn open_trace(&mut self, path: &Path, format: TraceFormat) -> Result<(), DutError> {
        Ok(Socket::open_trace(self, path, format)?)
    }

    fn close_trace(&mut self) -> Result<(), DutError> {
        Ok(Socket::close_trace(self)?)
    }

    fn set_assertions(&mut self, on: bool) {
        Socket::set_assertions(self, on);
    }

    fn drain_assertions(&mut self, into: &mut Vec<AssertionFired>) {
        if self.has_fired() {
            into.append(&mut self.fired_assertions());
        }
    }
}
