// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The memory configuration that the hardware samples in reset: distances, the address map, and the
//! timing of each node (`memory_config_t` of `rtl/pkg/memory_pkg.sv`).
//!
//! Times are given in picoseconds and rounded up to clocks of the socket (section 4.1 of the memory
//! system contract). Any of this changes from run to run without a rebuild (MEM-23).

pub mod dram;
pub mod map;
pub mod node;
mod system;
mod text;
mod topology;
mod words;

pub use dram::DramTiming;
pub use map::{AddressMap, MapEntry};
pub use node::{NodeTiming, PagePolicy, Port, Tail};
pub use system::{MemorySystem, UnknownMemorySystem};
pub use topology::{NODE_SPAN, node_base, slow_tier};

use std::ops::Range;

use serde::{Deserialize, Serialize};

use self::words::Words;

/// Most nodes that hardware can have.
pub const MAX_NODES: usize = 8;
/// Places of the write queue of a channel.
pub const WRITE_QUEUE: u8 = 32;
/// SLIT distance of a node to itself.
pub const LOCAL_DISTANCE: u8 = 10;
/// SLIT distance of a node that cannot be reached.
pub const UNREACHABLE: u8 = 255;
/// Most clocks that a link can delay a message: later is earlier to its 16-bit clock.
pub const LONGEST_DELAY: u64 = (1 << 15) - 1;
/// Words of the configuration input.
pub const CONFIG_WORDS: usize = cosim_bridge::MEMORY_WORDS;

/// Bandwidth of the link from one node to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkLimit {
    /// Bytes in 256 clocks; 0 is no limit.
    pub rate: u16,
    /// Bytes that may pass at once after a pause.
    pub burst: u16,
}

/// Why a memory configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryConfigError {
    /// A time does not fit.
    #[error("{what} of {clocks} clocks: the hardware counts to {most}")]
    TooLong {
        /// Which parameter.
        what: &'static str,
        /// Clocks asked.
        clocks: u64,
        /// The most it can hold.
        most: u64,
    },
    /// The clock has no period.
    #[error("a clock period of 0 ps")]
    NoClock,
    /// A distance that SLIT reserves.
    #[error("distance {distance} from node {from} to node {to}: SLIT reserves 0 to 9")]
    Distance {
        /// Node that asks.
        from: usize,
        /// Node asked.
        to: usize,
        /// The distance.
        distance: u8,
    },
    /// A node that is slower than its distance says.
    #[error(
        "distance {distance} from node {from} to node {to} is a latency of {latency} clocks, but an idle \
         read of a closed row takes {least} clocks there: raise the distance or the latency unit, or \
         set the latency unit to 0 for links without delay"
    )]
    TooNear {
        /// Node that asks.
        from: usize,
        /// Node asked.
        to: usize,
        /// The distance.
        distance: u8,
        /// Clocks that distance and latency unit make of it.
        latency: u64,
        /// Clocks that it takes without any delay of the links.
        least: u64,
    },
    /// A way that is longer than a link can count.
    #[error(
        "distance {distance} from node {from} to node {to} is a latency of {latency} clocks, a link counts \
         to {LONGEST_DELAY}: lower the distance or the latency unit"
    )]
    TooFar {
        /// Node that asks.
        from: usize,
        /// Node asked.
        to: usize,
        /// The distance.
        distance: u8,
        /// Clocks that distance and latency unit make of it.
        latency: u64,
    },
    /// Writes would never be drained, or always.
    #[error(
        "a write drain from {high} writes to {low}: it begins at 1 to {WRITE_QUEUE}, and ends at fewer than \
         it begins at"
    )]
    Drain {
        /// Writes at which it begins.
        high: u8,
        /// Writes at which it ends.
        low: u8,
    },
    /// A limit that lets nothing pass.
    #[error(
        "the link from node {from} to node {to} is limited to bursts of 0 bytes: nothing could pass"
    )]
    NoBurst {
        /// Node that sends.
        from: usize,
        /// Node that receives.
        to: usize,
    },
    /// An entry of the address map.
    #[error("entry {entry} of the address map: {why}")]
    Map {
        /// Its number.
        entry: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Everything about memory that a run can choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "text::MemoryText", into = "text::MemoryText")]
pub struct MemoryConfig {
    /// Period of the socket's clock in picoseconds.
    pub clock_ps: u64,
    /// Latency of one unit of distance in picoseconds; 0 makes all links immediate.
    pub latency_unit_ps: u64,
    /// SLIT distances, `[from][to]`.
    pub distance: [[u8; MAX_NODES]; MAX_NODES],
    /// Bandwidth limits, `[from][to]`.
    pub links: [[LinkLimit; MAX_NODES]; MAX_NODES],
    /// Which node is home to which address.
    pub map: AddressMap,
    /// Timing of each node; `None` answers as soon as the DRAM port does.
    pub nodes: [Option<NodeTiming>; MAX_NODES],
}

impl Default for MemoryConfig {
    /// Memory without timing: no delay on links, no controller, pages dealt out to `nodes` of the
    /// hardware in turn once [`MemoryConfig::flat`] says how many there are.
    fn default() -> Self {
        Self::flat(1)
    }
}

impl MemoryConfig {
    /// Memory without timing, pages of 4 KB dealt out in turn to `nodes` nodes (a power of two).
    #[must_use]
    pub fn flat(nodes: usize) -> Self {
        let mut distance = [[20; MAX_NODES]; MAX_NODES];
        for (node, row) in distance.iter_mut().enumerate() {
            row[node] = LOCAL_DISTANCE;
        }
        Self {
            clock_ps: 500,
            latency_unit_ps: 0,
            distance,
            links: [[LinkLimit::default(); MAX_NODES]; MAX_NODES],
            map: AddressMap::interleaved(nodes),
            nodes: [None; MAX_NODES],
        }
    }

    /// The addresses that some of the first `cpu_nodes` nodes gets an error for (NOC-03): those without
    /// a home, and the entries of the map with a node out of reach.
    #[must_use]
    pub fn refused(&self, cpu_nodes: u8) -> Vec<Range<u64>> {
        let out_of_reach = |nodes: u8| {
            let reach = self.distance.iter().take(usize::from(cpu_nodes));
            reach
                .flat_map(|row| row.iter().enumerate())
                .any(|(node, &distance)| nodes >> node & 1 == 1 && distance == UNREACHABLE)
        };
        let ends = self.map.entries.iter().flat_map(|e| [e.base, e.end]);
        let mut ends: Vec<u64> = ends.chain([0, map::PA_SIZE]).collect();
        ends.sort_unstable();
        ends.dedup();
        let between = ends.windows(2).map(|pair| pair[0]..pair[1]);
        between
            .filter(|range| self.map.nodes(range.start).is_none_or(out_of_reach))
            .collect()
    }

    /// The words of the configuration input.
    ///
    /// # Errors
    /// [`MemoryConfigError`] if something cannot be or does not fit.
    pub fn encode(&self) -> Result<[u64; CONFIG_WORDS], MemoryConfigError> {
        if self.clock_ps == 0 {
            return Err(MemoryConfigError::NoClock);
        }
        let mut words = Words::new(self.clock_ps);
        for node in &self.nodes {
            match node {
                Some(timing) => timing.encode(&mut words)?,
                None => words.skip(512),
            }
        }
        for (from, row) in self.distance.iter().enumerate() {
            for (to, &distance) in row.iter().enumerate() {
                if distance < LOCAL_DISTANCE {
                    return Err(MemoryConfigError::Distance { from, to, distance });
                }
                words.put(8, u64::from(distance));
            }
        }
        self.check_latencies()?;
        self.map.encode(&mut words)?;
        for (from, row) in self.links.iter().enumerate() {
            for (to, link) in row.iter().enumerate() {
                if link.rate != 0 && link.burst == 0 {
                    return Err(MemoryConfigError::NoBurst { from, to });
                }
                words.put(16, u64::from(link.rate));
                words.put(16, u64::from(link.burst));
            }
        }
        words.bounded("latency unit (in sixteenths)", 16, self.latency_unit())?;
        words.skip(48);
        Ok(words.finish())
    }

    /// The latency unit in sixteenths of a clock.
    fn latency_unit(&self) -> u64 {
        self.latency_unit_ps
            .saturating_mul(16)
            .div_ceil(self.clock_ps)
    }

    /// The least distance of node `to` that its idle latency does not exceed.
    fn least_distance(&self, to: usize) -> u8 {
        let least = self.nodes[to].map_or(0, |timing| timing.least_latency(self.clock_ps));
        match self.latency_unit() {
            0 => 0,
            unit => (16 * least).div_ceil(unit).min(u64::from(UNREACHABLE)) as u8,
        }
    }

    /// The delay of a link makes up for what the rest of the way does not take of the latency that the
    /// distance asks for (NOC-01); it cannot take anything off. Nodes that there are have a timing.
    fn check_latencies(&self) -> Result<(), MemoryConfigError> {
        if self.latency_unit_ps == 0 {
            return Ok(());
        }
        for (from, row) in self.distance.iter().enumerate() {
            for (to, &distance) in row.iter().enumerate() {
                let latency = u64::from(distance).saturating_mul(self.latency_unit()) >> 4;
                // A node out of reach as well: invalidation messages go there all the same.
                if latency > LONGEST_DELAY {
                    return Err(MemoryConfigError::TooFar {
                        from,
                        to,
                        distance,
                        latency,
                    });
                }
                let (Some(_), Some(timing)) = (&self.nodes[from], &self.nodes[to]) else {
                    continue;
                };
                let least = timing.least_latency(self.clock_ps);
                if distance != UNREACHABLE && latency < least {
                    return Err(MemoryConfigError::TooNear {
                        from,
                        to,
                        distance,
                        latency,
                        least,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_stands_at_its_place() {
        let mut config = MemoryConfig::flat(2);
        config.latency_unit_ps = 9_000;
        config.distance[1][2] = 34;
        config.links[1][2] = LinkLimit {
            rate: 0x1234,
            burst: 0x5678,
        };
        config.nodes[1] = Some(NodeTiming::new(DramTiming::DDR4_2666));
        let words = config.encode().unwrap();
        assert!(
            words[..8].iter().all(|word| *word == 0),
            "node 0 has no timing"
        );
        // Lowest lane of node 1: reserved, CL, tRCD, tRP of 13.75 ns in clocks of 0.5 ns.
        assert_eq!(words[8], 28 << 16 | 28 << 32 | 28 << 48);
        assert_eq!(words[64 + 1] >> 16 & 0xff, 34);
        assert_eq!(words[80 + (8 + 2) / 2] as u32, 0x5678_1234);
        assert_eq!(words[112], 288);
        assert_eq!(words[72] >> 63, 1);
    }

    #[test]
    fn addresses_without_a_home_or_out_of_reach_are_known() {
        let mut config = MemoryConfig::flat(2);
        assert_eq!(config.refused(2), []);
        let (low, high) = (1 << 30, 1 << 40);
        config.map.entries[1] = config.map.entries[0];
        config.map.entries[0] = MapEntry {
            base: low,
            end: 2 * low,
            nodes: 0b10,
        };
        config.map.entries[1].end = high;
        config.map.entries[1].nodes = 0b01;
        let beyond = high..map::PA_SIZE;
        assert_eq!(config.refused(2), std::slice::from_ref(&beyond));
        config.distance[0][1] = UNREACHABLE;
        assert_eq!(config.refused(2), [low..2 * low, high..map::PA_SIZE]);
        config.distance[0][1] = 20;
        config.distance[1][1] = UNREACHABLE;
        assert_eq!(config.refused(1), [beyond]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |change: fn(&mut MemoryConfig)| {
            let mut config = MemoryConfig::flat(1);
            change(&mut config);
            config.encode().unwrap_err().to_string()
        };
        assert!(refused(|c| c.clock_ps = 0).contains("0 ps"));
        assert!(refused(|c| c.distance[0][1] = 9).contains("from node 0 to node 1"));
        assert!(refused(|c| c.latency_unit_ps = u64::MAX / 32).contains("latency unit"));
        assert!(refused(|c| c.map.entries[0].nodes = 0b111).contains("entry 0"));
        assert!(refused(|c| c.latency_unit_ps = 900_000).contains("a link counts to 32767"));
        let far =
            |c: &mut MemoryConfig| (c.latency_unit_ps, c.distance[0][1]) = (65_000, UNREACHABLE);
        assert!(refused(far).contains("distance 255 from node 0 to node 1"));
        assert!(refused(|c| c.links[1][2].rate = 1).contains("from node 1 to node 2"));
        for drain in [(0, 0), (33, 8), (8, 8)] {
            let mut config = MemoryConfig::flat(1);
            let mut timing = NodeTiming::new(DramTiming::DDR4_2666);
            timing.drain = drain;
            config.nodes[0] = Some(timing);
            let error = config.encode().unwrap_err().to_string();
            assert!(error.contains("write drain"), "{error}");
        }
    }

    #[test]
    fn a_node_nearer_than_its_dram_is_fast_is_refused() {
        let mut config = MemoryConfig::flat(1);
        config.nodes[0] = Some(NodeTiming::new(DramTiming::DDR4_2666));
        // tRCD + CL + burst is 28 + 28 + 6 clocks, the rest of the way 7: 34.5 ns.
        config.latency_unit_ps = 3_450;
        assert!(config.encode().is_ok());
        config.latency_unit_ps = 3_400;
        let error = config.encode().unwrap_err().to_string();
        for part in ["node 0 to node 0", "of 68 clocks", "69 clocks"] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        config.distance[0][0] = UNREACHABLE;
        assert!(config.encode().is_ok());
        config.distance[0][0] = LOCAL_DISTANCE;
        config.latency_unit_ps = 0;
        assert!(config.encode().is_ok());
    }

    #[test]
    fn the_clocks_of_the_way_are_those_of_the_rtl() {
        let rtl = include_str!("../../../../rtl/mem/memory_system.sv");
        let fixed = format!("localparam int unsigned Fixed = {};", node::FIXED_CLOCKS);
        assert!(rtl.contains(&fixed), "no `{fixed}`");
    }
}
