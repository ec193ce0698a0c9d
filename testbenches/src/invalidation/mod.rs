// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Directed testbenches of TLB maintenance between cores: ranges and level hints (section 11.1 of
//! `docs/spec/vmsa.md`), broadcast and completion (section 11.3), and the messages that carry them
//! (section 6 of `docs/spec/memory_system.md`).
//!
//! They take as many cores as the configuration has. With one core, it is the issuer and the only
//! receiver of its own broadcasts.

pub mod barriers;
pub mod completion;
pub mod hints;
pub mod progress;
pub mod range_lengths;
pub mod range_sets;
pub mod record;
pub mod scope;
pub mod shield;
pub mod walks;
