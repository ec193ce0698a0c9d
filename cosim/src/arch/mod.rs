// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The architectural model of stage 1 of the EL1&0 regime: pure functions from memory and registers
//! to results, and the set of results that are permitted while memory or registers change.
//!
//! It is written from `docs/spec/vmsa.md` alone and never looks at RTL state: it is the second of
//! two independent minds. Start at [`walk::translate`]; [`permitted::Permitted`] builds on it.

pub mod access;
pub mod attributes;
pub mod binding;
pub mod candidate;
mod conflict;
pub mod context;
mod current;
pub mod diagnose;
pub mod enumerate;
pub mod explain;
pub mod fingerprint;
pub mod history;
pub mod invalidation;
pub mod machine;
mod passed;
pub mod path;
pub mod pending;
pub mod permission;
pub mod permitted;
pub mod program;
pub mod regime;
pub mod rules;
pub mod search;
pub mod walk;
mod window;
pub mod words;

pub use access::{Access, AccessKind, Fault, Outcome, Reason};
pub use context::{Context, Profile, Registers};
pub use walk::{ReadDescriptor, Translation, Update, Walk, translate};
