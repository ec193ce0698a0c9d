// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the hardware is: the constants it reports, and how memory and cores lie on its nodes.

use cosim_bridge::ConfigInfo;

use super::DutError;
use super::counter::COUNTERS;
use super::memory::MAX_NODES;
use super::node_counter::NODE_COUNTERS;

/// Magic number of the socket's information word.
pub const ABI_MAGIC: u16 = 0x4d4d;
/// Version of the socket that this crate speaks.
pub const ABI_VERSION: u16 = 3;

/// What the hardware reports about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Version of the socket.
    pub version: u16,
    /// Number of cores of all nodes.
    pub cores: u8,
    /// Number of memory nodes.
    pub nodes: u8,
    /// Number of nodes with cores: the first ones.
    pub cpu_nodes: u8,
    /// Memory channels of a node.
    pub channels: u8,
    /// Event counters of a node.
    pub node_counters: u8,
    /// Event counters of a core.
    pub counters: u16,
    /// ITLB entries built.
    pub itlb_entries: u8,
    /// DTLB entries built.
    pub dtlb_entries: u8,
    /// Width of an ASID in bits.
    pub asid_bits: u8,
    /// Width of a physical address in bits.
    pub pamax: u8,
    /// Ways of the second-level TLB built.
    pub l2_ways: u8,
    /// Sets of the second-level TLB built, as log2.
    pub l2_sets_log2: u8,
    /// Concurrent walks built.
    pub walkers: u8,
    /// Walk-cache entries built.
    pub walk_cache_entries: u8,
}

impl Info {
    /// Reads the information words and refuses hardware that does not speak this socket.
    ///
    /// # Errors
    /// [`DutError::NotASocket`] if the magic number is wrong, [`DutError::AbiVersion`] if the
    /// version is another one, [`DutError::Shape`] if there is no core or no node, more nodes than
    /// [`MAX_NODES`], or cores that cannot be shared out to the nodes that have some.
    pub fn decode(words: &[u64; 3]) -> Result<Self, DutError> {
        let magic = words[0] as u16;
        if magic != ABI_MAGIC {
            return Err(DutError::NotASocket { found: magic });
        }
        let version = (words[0] >> 16) as u16;
        if version != ABI_VERSION {
            return Err(DutError::AbiVersion { found: version });
        }
        let [built, sizes] = [words[1], words[1] >> 32];
        let info = Self {
            version,
            cores: (words[0] >> 32) as u8,
            nodes: (words[0] >> 40) as u8,
            cpu_nodes: words[2] as u8,
            channels: (words[2] >> 8) as u8,
            node_counters: (words[2] >> 16) as u8,
            counters: (words[0] >> 48) as u16,
            itlb_entries: built as u8,
            dtlb_entries: (built >> 8) as u8,
            asid_bits: (built >> 16) as u8,
            pamax: (built >> 24) as u8,
            l2_ways: sizes as u8,
            l2_sets_log2: (sizes >> 8) as u8,
            walkers: (sizes >> 16) as u8,
            walk_cache_entries: (sizes >> 24) as u8,
        };
        let nodes = 1..=MAX_NODES as u8;
        if info.cores == 0
            || !nodes.contains(&info.nodes)
            || !(1..=info.nodes).contains(&info.cpu_nodes)
            || !info.cores.is_multiple_of(info.cpu_nodes)
        {
            return Err(DutError::Shape {
                cores: info.cores,
                nodes: info.nodes,
                cpu_nodes: info.cpu_nodes,
            });
        }
        Ok(info)
    }

    /// The information words.
    #[must_use]
    pub fn encode(&self) -> [u64; 3] {
        [
            u64::from(ABI_MAGIC)
                | u64::from(self.version) << 16
                | u64::from(self.cores) << 32
                | u64::from(self.nodes) << 40
                | u64::from(self.counters) << 48,
            u64::from(self.itlb_entries)
                | u64::from(self.dtlb_entries) << 8
                | u64::from(self.asid_bits) << 16
                | u64::from(self.pamax) << 24
                | u64::from(self.l2_ways) << 32
                | u64::from(self.l2_sets_log2) << 40
                | u64::from(self.walkers) << 48
                | u64::from(self.walk_cache_entries) << 56,
            u64::from(self.cpu_nodes)
                | u64::from(self.channels) << 8
                | u64::from(self.node_counters) << 16,
        ]
    }

    /// What hardware of `config` reports: its sizes decide which straps it takes.
    #[must_use]
    pub fn of_config(config: &ConfigInfo) -> Self {
        let parameter = |name: &str| {
            let found = config.parameters.iter().find(|(known, _)| *known == name);
            found.map_or(0, |&(_, value)| u8::try_from(value).unwrap_or(u8::MAX))
        };
        let cpu_nodes = parameter("CpuNodes");
        Self {
            version: ABI_VERSION,
            cores: cpu_nodes.saturating_mul(parameter("CoresPerNode")),
            nodes: parameter("Nodes"),
            cpu_nodes,
            channels: parameter("Channels"),
            node_counters: NODE_COUNTERS as u8,
            counters: COUNTERS.len() as u16,
            itlb_entries: parameter("ItlbEntries"),
            dtlb_entries: parameter("DtlbEntries"),
            asid_bits: 16,
            pamax: 48,
            l2_ways: parameter("L2Ways"),
            l2_sets_log2: parameter("L2SetsLog2"),
            walkers: parameter("Walkers"),
            walk_cache_entries: parameter("WalkCacheEntries"),
        }
    }

    /// The node that core `core` lives on.
    #[must_use]
    pub const fn node_of_core(&self, core: u8) -> u8 {
        core / (self.cores / self.cpu_nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::{configs, memory::MemoryConfig, open, ports::Straps};

    #[test]
    fn every_configuration_is_what_its_parameters_say() {
        for config in configs() {
            let socket = open(
                config.name,
                &Straps::default(),
                &MemoryConfig::default(),
                None,
                1,
            )
            .expect(config.name);
            let info = Info::decode(&socket.info()).expect(config.name);
            assert_eq!(info, Info::of_config(config), "{}", config.name);
            assert_eq!(Info::decode(&info.encode()).ok(), Some(info));
        }
    }

    #[test]
    fn cores_are_shared_out_to_the_nodes_that_have_some() {
        let info = Info {
            cores: 8,
            nodes: 4,
            cpu_nodes: 2,
            ..Info::of_config(&configs()[0])
        };
        assert_eq!(
            [0, 3, 4, 7].map(|core| info.node_of_core(core)),
            [0, 0, 1, 1]
        );
    }
}
