// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Directed testbenches of what stands between a first-level miss and memory: second-level TLB, walk
//! caches, concurrent walks, prefetch; and of what software may change under their eyes
//! (sections 6 and 9 to 14 of `docs/spec/vmsa.md`).

pub mod bbm_change;
pub mod bbm_nt;
pub mod bbm_rules;
pub mod bbm_sizes;
pub mod concurrent;
pub mod in_flight;
pub mod prefetch;
pub mod prefetch_range;
pub mod recency;
pub mod record;
pub mod replacement;
pub mod second_level;
pub mod second_level_fill;
pub mod table_reuse;
pub mod update_order;
pub mod walk_cache;
pub mod walk_nodes;
