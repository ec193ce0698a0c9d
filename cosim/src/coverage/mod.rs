// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Functional coverage: which of the situations that matter have come in simulations that passed.
//!
//! Bins are declared as data ([`groups`]), counted by a monitor ([`Collector`]), kept in files that
//! merge in any order ([`record`]), and reported with what was never reached ([`report`]).

mod access;
pub mod axis;
pub mod collector;
mod edit;
mod entry;
pub mod group;
pub mod groups;
mod message;
pub mod record;
pub mod report;
mod state;
#[cfg(test)]
mod tests;
mod tlb;
pub mod unreachable;
mod walk;

pub use collector::Collector;
pub use group::{Bin, GroupId, Hits, bins, combinations};
