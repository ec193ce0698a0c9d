// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Directed testbenches of the memory system: links, home agents, controllers and what they must not
//! change (sections 3 to 6 of `docs/spec/memory_system.md`).
//!
//! Times are literal: a latency is computed from the configuration given and expected to the clock.

pub mod atomics;
pub mod coherence;
pub mod distance;
pub mod invariance;
pub mod latency;
pub mod links;
pub mod load;
pub mod migration;
pub mod order;
pub mod refused;
pub mod setting;
pub mod stream;
