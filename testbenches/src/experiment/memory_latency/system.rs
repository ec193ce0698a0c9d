// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the memory system promises: distances, service times and bandwidths, in clocks.

use cosim::dut::configs;
use cosim::dut::memory::{MemoryConfig, NodeTiming, node_base};
use cosim::dut::ports::Info;
use cosim::experiment::{ExperimentError, Parameters};
use serde_json::{Value, json};

/// Bytes of a line.
pub const LINE: u64 = 64;
/// Lines of a row of one channel.
const ROW_LINES: u64 = 16;
/// Banks of one channel.
const BANKS: u64 = 32;
/// The bank of a line depends on that many low row bits.
const HASHED_ROWS: u64 = 16;

/// Hardware and memory system of an experiment.
pub struct System {
    pub info: Info,
    pub memory: MemoryConfig,
    /// Timing of each node.
    nodes: Vec<NodeTiming>,
}

/// The states that a bank can be in when a read comes (MEM-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    Hit,
    Closed,
    Conflict,
}

impl System {
    /// # Errors
    /// [`ExperimentError::Unfit`] if the memory system has nothing to measure, or not the same twice.
    pub fn of(parameters: &Parameters) -> Result<Self, ExperimentError> {
        let unfit = |why: &str| {
            ExperimentError::Unfit(format!(
                "memory system `{}` on configuration `{}` {why}: choose --memory ddr4 or ddr5",
                parameters.memory, parameters.config
            ))
        };
        let known = configs()
            .iter()
            .find(|known| known.name == parameters.config);
        let known = known.ok_or_else(|| unfit("is not built"))?;
        let info = Info::of_config(known);
        let memory = parameters.memory.resolve(&info, parameters.seed);
        let timed = memory.nodes.iter().take(usize::from(info.nodes)).copied();
        let nodes: Option<Vec<NodeTiming>> = timed.collect();
        let nodes = nodes.ok_or_else(|| unfit("has no timing to measure"))?;
        if memory.latency_unit_ps == 0 {
            return Err(unfit(
                "has links without delay, so that nothing says what to expect",
            ));
        }
        let drawn = |node: &NodeTiming| node.port.is_some_and(|port| port.tail.chance > 0);
        if nodes.iter().any(drawn) {
            return Err(unfit("draws the latency of some requests"));
        }
        let system = Self {
            info,
            memory,
            nodes,
        };
        let own = |node: u8| system.memory.map.home(system.base(node)) == Some(node);
        match (0..info.nodes).all(own) {
            true => Ok(system),
            false => Err(unfit("has no addresses that belong to one node alone")),
        }
    }

    /// First address of memory that `node` alone is home to.
    pub fn base(&self, node: u8) -> u64 {
        node_base(node)
    }

    /// Nodes with cores.
    pub fn source_nodes(&self) -> std::ops::Range<u8> {
        0..self.info.cpu_nodes
    }

    /// Nodes with memory: all.
    pub fn target_nodes(&self) -> std::ops::Range<u8> {
        0..self.info.nodes
    }

    pub fn cores_of(&self, node: u8) -> std::ops::Range<usize> {
        let each = usize::from(self.info.cores / self.info.cpu_nodes);
        usize::from(node) * each..(usize::from(node) + 1) * each
    }

    pub fn timing(&self, node: u8) -> &NodeTiming {
        &self.nodes[usize::from(node)]
    }

    /// `ps` in clocks, rounded up as the hardware does.
    pub fn clocks(&self, ps: u64) -> u64 {
        ps.div_ceil(self.memory.clock_ps)
    }

    pub fn nanoseconds(&self, clocks: u64) -> f64 {
        (clocks * self.memory.clock_ps) as f64 / 1000.0
    }

    pub fn distance(&self, from: u8, to: u8) -> u8 {
        self.memory.distance[usize::from(from)][usize::from(to)]
    }

    /// LAT(from, to) of section 3, in picoseconds.
    pub fn latency_ps(&self, from: u8, to: u8) -> u64 {
        u64::from(self.distance(from, to)) * self.memory.latency_unit_ps
    }

    /// Idle service time of a read at `node` (section 4.1), without the port of a slow tier.
    pub fn service(&self, node: u8, row: RowState) -> u64 {
        let dram = self.timing(node).dram;
        let [cl, rcd, rp, burst] =
            [dram.cl, dram.t_rcd, dram.t_rp, dram.burst].map(|ps| self.clocks(ps));
        match row {
            RowState::Hit => cl + burst,
            RowState::Closed => rcd + cl + burst,
            RowState::Conflict => rp + rcd + cl + burst,
        }
    }

    /// Clocks of the port of a slow tier, both ways.
    pub fn port(&self, node: u8) -> u64 {
        let port = self.timing(node).port;
        port.map_or(0, |port| 2 * self.clocks(port.delay_ps))
    }

    /// What the medium and its port do not take of LAT: links and controllers.
    pub fn path(&self, from: u8, to: u8) -> u64 {
        let medium = self.service(to, RowState::Closed) + self.port(to);
        self.clocks(self.latency_ps(from, to))
            .saturating_sub(medium)
    }

    /// GB/s of `bytes` in `clocks`.
    pub fn bandwidth(&self, bytes: u64, clocks: u64) -> f64 {
        bytes as f64 / self.nanoseconds(clocks)
    }

    /// GB/s of all channels of `node`.
    pub fn channels_peak(&self, node: u8) -> f64 {
        let dram = self.timing(node).dram;
        let line = self.clocks(dram.burst).max(self.clocks(dram.t_ccd_s));
        f64::from(self.info.channels) * self.bandwidth(LINE, line)
    }

    /// GB/s of the port of `node`, reads and writes, if it is limited.
    pub fn port_limit(&self, node: u8) -> Option<(f64, f64)> {
        let port = self.timing(node).port?;
        let limit = |rate: u16| match rate {
            0 => f64::INFINITY,
            rate => self.bandwidth(u64::from(rate), 256),
        };
        Some((limit(port.read_rate), limit(port.write_rate)))
    }

    /// Whether the memory of `node` is a slow tier.
    pub fn slow(&self, node: u8) -> bool {
        self.timing(node).port.is_some()
    }

    /// How far apart two lines are that lie in the same bank and follow each other in a row.
    pub fn next_column(&self) -> u64 {
        u64::from(self.info.channels) * LINE
    }

    /// How far apart two lines are that lie in the same bank in different rows.
    pub fn next_row(&self) -> u64 {
        u64::from(self.info.channels) * LINE * ROW_LINES * BANKS * HASHED_ROWS
    }

    pub fn json(&self) -> Value {
        json!({
            "clock_ps": self.memory.clock_ps, "latency_unit_ps": self.memory.latency_unit_ps,
            "distance": self.source_nodes()
                .map(|from| self.target_nodes().map(|to| self.distance(from, to)).collect())
                .collect::<Vec<Vec<u8>>>(),
            "nodes": self.nodes, "cores": self.info.cores, "cpu_nodes": self.info.cpu_nodes,
            "channels": self.info.channels,
        })
    }
}

#[cfg(test)]
mod tests {
    use cosim::dut::memory::MemorySystem;

    use super::*;

    fn parameters(memory: MemorySystem) -> Option<Parameters> {
        // Only some configurations may be built.
        let built = configs().iter().find(|config| config.name == "numa")?;
        Some(Parameters {
            config: built.name.to_owned(),
            memory,
            seed: 1,
            quick: true,
        })
    }

    #[test]
    fn the_defaults_promise_the_figures_of_the_contract() {
        let Some(parameters) = parameters(MemorySystem::Ddr5) else {
            return;
        };
        let system = System::of(&parameters).unwrap();
        let latency = |from, to| system.latency_ps(from, to) / 1000;
        assert_eq!([0, 1, 2, 3].map(|to| latency(0, to)), [90, 153, 216, 306]);
        // 16.2, 16.6 and 3.328 ns in clocks of 0.5 ns.
        assert_eq!(system.service(0, RowState::Closed), 33 + 34 + 7);
        assert_eq!(system.service(0, RowState::Conflict), 33 + 33 + 34 + 7);
        assert_eq!(system.port(2), 100);
        assert_eq!(system.path(0, 0), 180 - 74);
        let (read, write) = system.port_limit(2).unwrap();
        assert!((read - 20.0).abs() < 0.1 && (write - 16.0).abs() < 0.1);
    }

    #[test]
    fn what_cannot_be_measured_is_refused_with_a_way_out() {
        let Some(parameters) = parameters(MemorySystem::Flat) else {
            return;
        };
        let error = System::of(&parameters).err().unwrap().to_string();
        assert!(
            error.contains("flat") && error.contains("--memory ddr4"),
            "{error}"
        );
    }
}
