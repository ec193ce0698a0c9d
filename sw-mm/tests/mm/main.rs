// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The kernel on the functional machine: address spaces, ASIDs, flushes, policies, swap.

mod address_space;
mod asid;
#[path = "../booted/mod.rs"]
mod booted;
mod flush_range;
mod frame_safety;
#[path = "../kernel/mod.rs"]
mod kernel;
mod madvise;
mod policy;
mod swap;
#[path = "../traced/mod.rs"]
mod traced;
mod unflushed;
