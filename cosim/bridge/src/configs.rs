// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The table of hardware configurations that one binary contains.
//!
//! The build script verilates one model for each row; `Socket::open` chooses one by name at run time.

/// SystemVerilog parameters of the top module: names and values.
pub type Parameters = [(&'static str, u64); 10];

/// One configuration of the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigInfo {
    /// The name given to `Socket::open` and on the command line.
    pub name: &'static str,
    /// What the configuration is for, in one line.
    pub purpose: &'static str,
    /// SystemVerilog parameters of the top module, as verilated.
    pub parameters: Parameters,
    /// Whether the model is built from a copy of the RTL with faults planted in it.
    pub planted: bool,
    /// Whether the model is built from a copy of the RTL with the mutants of `rtl/sva/mutants.toml`.
    pub mutated: bool,
}

/// Entries and ways of a small core: every replacement case is met early.
const fn small(cores_per_node: u64, nodes: u64) -> Parameters {
    parameters([cores_per_node, nodes, nodes, 1, 2, 4, 3, 2, 4, 2])
}

/// Entries and ways of a shipping core.
const fn full(cores_per_node: u64, cpu_nodes: u64, nodes: u64, channels: u64) -> Parameters {
    parameters([
        cores_per_node,
        cpu_nodes,
        nodes,
        channels,
        32,
        48,
        8,
        5,
        16,
        4,
    ])
}

const fn parameters(values: [u64; 10]) -> Parameters {
    [
        ("CoresPerNode", values[0]),
        ("CpuNodes", values[1]),
        ("Nodes", values[2]),
        ("Channels", values[3]),
        ("ItlbEntries", values[4]),
        ("DtlbEntries", values[5]),
        ("L2SetsLog2", values[6]),
        ("L2Ways", values[7]),
        ("WalkCacheEntries", values[8]),
        ("Walkers", values[9]),
    ]
}

/// Every configuration in the binary, in the order in which they are listed to users. Two
/// numbers tell the cores of a node and the nodes.
pub const CONFIGS: &[ConfigInfo] = &[
    ConfigInfo {
        name: "tiny",
        purpose: "one core with TLBs of 2, 4 and 16 entries: every replacement case is met early",
        parameters: small(1, 1),
        planted: false,
        mutated: false,
    },
    ConfigInfo {
        name: "1x1",
        purpose: "one core with TLBs of 32, 48 and 1280 entries: the size of a shipping core",
        parameters: full(1, 1, 1, 1),
        planted: false,
        mutated: false,
    },
    ConfigInfo {
        name: "2x1",
        purpose: "two such cores on one memory node: invalidations between cores",
        parameters: full(2, 1, 1, 1),
        planted: false,
        mutated: false,
    },
    ConfigInfo {
        name: "2x2",
        purpose: "two such cores on each of two memory nodes: remote tables and data",
        parameters: full(2, 2, 2, 1),
        planted: false,
        mutated: false,
    },
    ConfigInfo {
        name: "4x2",
        purpose: "four such cores on each of two memory nodes: the largest built",
        parameters: full(4, 2, 2, 1),
        planted: false,
        mutated: false,
    },
    ConfigInfo {
        name: "numa",
        purpose: "two such cores on each of two memory nodes, and two nodes of slow memory without cores",
        parameters: full(2, 2, 4, 2),
        planted: false,
        mutated: false,
    },
    ConfigInfo {
        name: "planted",
        purpose: "tiny on two nodes with selectable faults planted in the RTL, to show that the checks fire",
        parameters: small(1, 2),
        planted: true,
        mutated: false,
    },
    ConfigInfo {
        name: "mutated",
        purpose: "the same with three ways, and with the selectable single faults of `mmu-cosim mutate`",
        // Modulo two, forwards is backwards.
        parameters: parameters([1, 2, 2, 1, 2, 4, 3, 3, 4, 2]),
        planted: false,
        mutated: true,
    },
];
