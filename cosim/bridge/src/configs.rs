// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The table of hardware configurations that one binary contains.
//!
//! The build script verilates one model for each row; `Socket::open` chooses one by name at run time.

/// One configuration of the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigInfo {
    /// The name given to `Socket::open` and on the command line.
    pub name: &'static str,
    /// What the configuration is for, in one line.
    pub purpose: &'static str,
    /// SystemVerilog parameters of the top module, as verilated.
    pub parameters: &'static [(&'static str, u64)],
    /// Whether the model is built from a copy of the RTL with faults planted in it.
    pub planted: bool,
}

/// Every configuration in the binary, in the order in which they are listed to users.
pub const CONFIGS: &[ConfigInfo] = &[
    ConfigInfo {
        name: "tiny",
        purpose: "TLBs of 2 and 4 entries, so that every replacement case is met early",
        parameters: &[
            ("Cores", 1),
            ("Nodes", 1),
            ("ItlbEntries", 2),
            ("DtlbEntries", 4),
        ],
        planted: false,
    },
    ConfigInfo {
        name: "base",
        purpose: "TLBs of 32 and 48 entries: the size of a shipping core",
        parameters: &[
            ("Cores", 1),
            ("Nodes", 1),
            ("ItlbEntries", 32),
            ("DtlbEntries", 48),
        ],
        planted: false,
    },
    ConfigInfo {
        name: "planted",
        purpose: "tiny with selectable faults planted in the RTL, to show that the checks fire",
        parameters: &[
            ("Cores", 1),
            ("Nodes", 1),
            ("ItlbEntries", 2),
            ("DtlbEntries", 4),
        ],
        planted: true,
    },
];
