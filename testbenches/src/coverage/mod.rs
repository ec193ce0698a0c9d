// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Directed testbenches that close functional coverage: each goes through a cross of situations that
//! chance reaches too seldom (`docs/coverage.md`).

pub mod cancelled;
pub mod edits;
pub mod faults;
pub mod leaf;
pub mod maintenance;
pub mod overlaps;
pub mod places;
pub mod races;

pub mod updates;
