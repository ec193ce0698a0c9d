// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The functional machine alone: what it permits, what it catches, how it interleaves.

mod boot;
#[path = "../booted/mod.rs"]
mod booted;
mod break_before_make;
mod cached_entries;
mod hardware_updates;
mod instruction_order;
mod interleaved_edits;
mod invalidation;
mod mapping;
mod random_edits;
mod range_invalidation;
mod retired_asid;
mod runs_in_place;
mod scheduler;
mod store_visibility;
