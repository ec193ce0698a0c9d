// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Directed testbenches that `mmu-cosim shrink` wrote: what was left of a red run of a random load, kept
//! so that its failure does not come back. Each is as it was written, `cargo fmt` aside.

pub mod inv_changes_while_waiting;
