// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Every typed view of the socket's lanes in one place; `rtl/pkg/socket_pkg.sv` is the original.

pub use super::counter::{COUNTERS, Counter};
pub use super::dram::{DramAnswer, DramRequest};
pub use super::dram_command::{DramCommand, DramCommandKind};
pub use super::info::{ABI_MAGIC, ABI_VERSION, Info};
pub use super::node_counter::{NODE_EVENTS, NodeCounter, NodeEvent, TRAFFIC, Traffic};
pub use super::observation::{
    CORE_OBS_WORDS, CommitKind, CommitLane, WalkEvent, WalkKind, commit_lane, merge_bytes,
    observed, walk_begin, walk_end, walk_step,
};
pub use super::request::{CoreRequest, Op, OpCode};
pub use super::response::{CoreResponse, HitPlace, req_ready};
pub use super::strap::{Delays, Straps};
pub use super::tlb_event::{
    DvmEvent, Invalidation, TlbFill, TlbStructure, dvm_event, invalidation, l1_fill, l2_fill,
    l2_invalidated, walk_cache_fill,
};
