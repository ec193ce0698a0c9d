// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the kernel tells of itself, held against what the hardware does.

pub mod frames;
mod mapping;
