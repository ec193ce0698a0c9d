// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Every typed view of the socket's lanes in one place; `rtl/pkg/socket_pkg.sv` is the original.

pub use super::dram::{DramAnswer, DramRequest};
pub use super::observation::{
    CommitKind, CommitLane, TlbEvent, TlbKind, WalkEvent, WalkKind, commit_lane, merge_bytes,
    tlb_event, walk_event,
};
pub use super::request::{CoreRequest, Op, OpCode};
pub use super::response::{CoreResponse, HitPlace, req_ready};
pub use super::strap::{ABI_MAGIC, ABI_VERSION, Info, Straps};
