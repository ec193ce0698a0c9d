// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Scenarios run on the hardware: laid out in memory, executed by its cores, judged by every checker,
//! and their outcomes counted.

pub mod agent;
pub mod areas;
pub mod campaign;
pub mod evaluate;
pub mod given;
pub mod kinds;
pub mod layout;
pub mod machine;
pub mod order;
pub mod rows;
pub mod simulate;
pub mod variation;

pub use simulate::{Batch, Endings, simulate};
pub use variation::Mode;
