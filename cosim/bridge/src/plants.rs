// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The faults that can be switched on in the configuration `planted`, and the assertions of the RTL.

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
    /// The detector that sees the fault first: a checker by its name, an assertion by requirement and
    /// text.
    pub sees: &'static str,
    /// Other detectors that rightly speak as early.
    pub also: &'static [&'static str],
    /// What the fault does.
    pub why: &'static str,
}

static PLANTS: &[PlantInfo] = &include!(concat!(env!("OUT_DIR"), "/plants.rs"));

/// Every planted fault, ordered by number.
pub fn plants() -> &'static [PlantInfo] {
    PLANTS
}

static ASSERTIONS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/assertions.rs"));

/// Every assertion of the RTL, ordered: requirement and text of its report.
pub fn assertions() -> &'static [(&'static str, &'static str)] {
    ASSERTIONS
}
