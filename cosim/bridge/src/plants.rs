// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The faults that can be switched on: planted by hand in the configuration `planted`, generated ones in
//! the configuration `mutated`; and the assertions of the RTL.

/// One fault planted in a copy of the RTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlantInfo {
    /// What `Socket::open` takes; the first is 1.
    pub number: u32,
    /// Name of the fault.
    pub id: &'static str,
    /// The configuration that has it.
    pub config: &'static str,
    /// RTL file that it is planted in.
    pub file: &'static str,
    /// Assertion or checker that must report it; empty if any may.
    pub fires: &'static str,
    /// The detector that sees the fault first: a checker by its name, an assertion by requirement and
    /// text.
    pub sees: &'static str,
    /// Other detectors that rightly speak as early.
    pub also: &'static [&'static str],
    /// Name of the memory system with which it is run; empty for that of the load.
    pub memory: &'static str,
    /// What the fault does.
    pub why: &'static str,
}

static PLANTS: &[PlantInfo] = &include!(concat!(env!("OUT_DIR"), "/plants.rs"));

/// One generated fault (`rtl/sva/mutants.toml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutantInfo {
    /// As a fault of the configuration `mutated`.
    pub plant: PlantInfo,
    /// Which part of the MMU's work it is in.
    pub category: &'static str,
    /// How it was made.
    pub operator: &'static str,
    /// Line of the file, from 1.
    pub line: u32,
    /// What stands in the RTL.
    pub original: &'static str,
    /// What stands there instead; nothing for a statement taken away.
    pub mutated: &'static str,
    /// Why no behaviour that the specification speaks of can differ (`rtl/sva/equivalent.toml`).
    pub equivalent: Option<&'static str>,
}

static MUTANTS: &[MutantInfo] = &include!(concat!(env!("OUT_DIR"), "/mutants.rs"));

/// Every generated fault, ordered by number.
pub fn mutants() -> &'static [MutantInfo] {
    MUTANTS
}

/// Every planted fault, ordered by number.
pub fn plants() -> &'static [PlantInfo] {
    PLANTS
}

static ASSERTIONS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/assertions.rs"));

/// Every assertion of the RTL, ordered: requirement and text of its report.
pub fn assertions() -> &'static [(&'static str, &'static str)] {
    ASSERTIONS
}
