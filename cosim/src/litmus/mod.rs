// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Litmus scenarios: small programs of several cores that edit and use translations, each with
//! outcomes that the architecture allows, forbids or requires (`docs/spec/litmus.md`).
//!
//! A scenario is a text file ([`parse()`]); what it says is in [`scenario`].

pub mod condition;
pub mod explore;
pub mod grammar;
pub mod import;
pub mod instruction;
mod names;
pub mod parse;
pub mod run;
pub mod scenario;

pub use parse::{ParseError, parse};
pub use scenario::Scenario;
