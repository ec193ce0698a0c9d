// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Directed testbenches of the event counters: literal counts for known sequences of accesses, and
//! the relations of section 7 of `docs/spec/memory_system.md`.

pub mod lookups;
pub mod messages;
pub mod outcomes;
pub mod parts;
pub mod reading;
pub mod relations;
pub mod time;
pub mod walks;
