// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The registered experiments: what measures the RTL and reports figures.

pub mod contpte;
pub mod memory_latency;

use cosim::experiment::Experiment;

/// Every experiment, in the order in which `mmu-cosim list` shows them.
pub static REGISTRY: &[Experiment] = &[memory_latency::EXPERIMENT, contpte::EXPERIMENT];
