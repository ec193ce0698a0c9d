// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The memory configuration as a file: what users write, and what stimulus files carry.

use serde::{Deserialize, Serialize};

use super::map::MAP_ENTRIES;
use super::{AddressMap, LOCAL_DISTANCE, LinkLimit, MAX_NODES, MapEntry, MemoryConfig, NodeTiming};

/// A memory configuration without what only fills it up to [`MAX_NODES`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemoryText {
    clock_ps: u64,
    latency_unit_ps: u64,
    /// Rows from, columns to; nodes beyond them are near.
    distance: Vec<Vec<u8>>,
    #[serde(default)]
    map: Vec<MapText>,
    #[serde(default)]
    link: Vec<LinkText>,
    #[serde(default)]
    node: Vec<NodeText>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapText {
    base: u64,
    end: u64,
    nodes: Vec<u8>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkText {
    from: usize,
    to: usize,
    rate: u16,
    burst: u16,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct NodeText {
    number: usize,
    #[serde(flatten)]
    timing: NodeTiming,
}

impl From<MemoryConfig> for MemoryText {
    fn from(config: MemoryConfig) -> Self {
        let pairs = (0..MAX_NODES).flat_map(|from| (0..MAX_NODES).map(move |to| (from, to)));
        Self {
            clock_ps: config.clock_ps,
            latency_unit_ps: config.latency_unit_ps,
            distance: config.distance.iter().map(|row| row.to_vec()).collect(),
            map: (config.map.entries.iter())
                .filter(|entry| entry.base != entry.end)
                .map(|entry| MapText {
                    base: entry.base,
                    end: entry.end,
                    nodes: (0..MAX_NODES as u8)
                        .filter(|node| entry.nodes >> node & 1 == 1)
                        .collect(),
                })
                .collect(),
            link: pairs
                .map(|(from, to)| (from, to, config.links[from][to]))
                .filter(|(.., link)| *link != LinkLimit::default())
                .map(|(from, to, LinkLimit { rate, burst })| LinkText {
                    from,
                    to,
                    rate,
                    burst,
                })
                .collect(),
            node: (config.nodes.into_iter().enumerate())
                .filter_map(|(number, timing)| timing.map(|timing| NodeText { number, timing }))
                .collect(),
        }
    }
}

impl TryFrom<MemoryText> for MemoryConfig {
    type Error = String;

    fn try_from(text: MemoryText) -> Result<Self, String> {
        let node_in_range = |what: &str, node: usize| match node < MAX_NODES {
            true => Ok(node),
            false => Err(format!("{what}: node {node} of at most {MAX_NODES}")),
        };
        let mut distance = [[LOCAL_DISTANCE; MAX_NODES]; MAX_NODES];
        for (from, row) in text.distance.iter().enumerate() {
            for (to, &entry) in row.iter().enumerate() {
                distance[node_in_range("distance", from)?][node_in_range("distance", to)?] = entry;
            }
        }
        let mut map = AddressMap::default();
        if text.map.len() > MAP_ENTRIES {
            let given = text.map.len();
            return Err(format!("map: {given} entries of at most {MAP_ENTRIES}"));
        }
        for (entry, MapText { base, end, nodes }) in map.entries.iter_mut().zip(text.map) {
            let mut bits = 0;
            for node in nodes {
                bits |= 1 << node_in_range("map", node.into())?;
            }
            *entry = MapEntry {
                base,
                end,
                nodes: bits,
            };
        }
        let mut links = [[LinkLimit::default(); MAX_NODES]; MAX_NODES];
        for link in text.link {
            let LinkText { rate, burst, .. } = link;
            links[node_in_range("link", link.from)?][node_in_range("link", link.to)?] =
                LinkLimit { rate, burst };
        }
        let mut nodes = [None; MAX_NODES];
        for NodeText { number, timing } in text.node {
            nodes[node_in_range("node", number)?] = Some(timing);
        }
        Ok(Self {
            clock_ps: text.clock_ps,
            latency_unit_ps: text.latency_unit_ps,
            distance,
            links,
            map,
            nodes,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::dut::memory::{MemoryConfig, MemorySystem};
    use crate::dut::{configs, ports::Info};

    #[test]
    fn a_configuration_survives_its_text() {
        let info = Info::of_config(configs().last().expect("some configuration is built"));
        for seed in 0..50 {
            let config = MemorySystem::Random.resolve(&info, seed);
            let text = toml::to_string(&config).expect("it has a text");
            assert_eq!(toml::from_str::<MemoryConfig>(&text), Ok(config), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let head = "clock_ps = 500\nlatency_unit_ps = 0\ndistance = [[10]]\n";
        let refused = |tail: &str| {
            let text = format!("{head}{tail}");
            let error = toml::from_str::<MemoryConfig>(&text).expect_err("refused");
            error.to_string()
        };
        assert!(
            refused("[[link]]\nfrom = 8\nto = 0\nrate = 1\nburst = 1").contains("link: node 8")
        );
        assert!(refused("[[map]]\nbase = 0\nend = 1\nnodes = [9]").contains("map: node 9"));
        assert!(refused("colour = 1").contains("colour"));
        assert!(toml::from_str::<MemoryConfig>(head).is_ok());
    }
}
