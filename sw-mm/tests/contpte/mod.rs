// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Blocks of entries to operate on, a core that writes down what it does, and a witness that holds the
//! invariants of section 9 against all that happens.

mod scene;
mod tracer;
mod watch;

#[allow(unused_imports, reason = "not every test binary takes all of them")]
pub use scene::{Scene, VA};
#[allow(unused_imports, reason = "not every test binary takes all of them")]
pub use tracer::{Op, Tracer};
#[allow(unused_imports, reason = "not every test binary takes all of them")]
pub use watch::{Watch, boot_watched};
