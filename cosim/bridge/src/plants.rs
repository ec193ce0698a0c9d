// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The faults that can be switched on in the configuration `planted`.

/// One fault planted in a copy of the RTL (`rtl/sva/plants.toml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlantInfo {
    /// What `Socket::open` takes; the first is 1.
    pub number: u32,
    /// Name of the fault.
    pub id: &'static str,
    /// RTL file that it is planted in.
    pub file: &'static str,
    /// Assertion or checker that must report it.
    pub fires: &'static str,
    /// What the fault does.
    pub why: &'static str,
}

static PLANTS: &[PlantInfo] = &include!(concat!(env!("OUT_DIR"), "/plants.rs"));

/// Every planted fault, ordered by number.
pub fn plants() -> &'static [PlantInfo] {
    PLANTS
}
