// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Contiguous mappings on the functional machine (docs/spec/contpte.md): blocks of entries to operate on,
//! a core that writes down what it does, and a witness that holds the invariants of section 9 against all
//! that happens.

mod access;
mod calls;
mod change;
mod check;
mod fold;
#[path = "../kernel/mod.rs"]
mod kernel;
mod modes;
mod races;
mod scene;
mod tracer;
mod watch;

use scene::{Scene, VA};
use tracer::Op;
use watch::{Watch, boot_watched};
