// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The simulated hardware as Rust sees it: one [`Socket`] a Verilated model.
//!
//! The build script verilates the RTL once for each row of [`configs`] and compiles the models into
//! this crate. All lanes are the plain words of `rtl/pkg/socket_pkg.sv`; their meaning is decoded
//! elsewhere. This is the only crate with `unsafe` code, all of it in the file of the cxx bridge.

use std::sync::LazyLock;

mod configs;
mod convert;
mod error;
mod ffi;
mod plants;
mod recording;
mod socket;

pub use configs::{ConfigInfo, Parameters};
pub use error::BridgeError;
pub use ffi::{AssertionFired, CommandObs, CoreObs, CoreReq, CoreRsp, DramReq, DramRsp, NodeObs};
pub use plants::{MutantInfo, PlantInfo, assertions, mutants, plants};
pub use recording::Recording;
pub use socket::{MEMORY_WORDS, Socket, Stop, TraceFormat};

/// Every configuration compiled into this binary: all, unless `MMU_COSIM_CONFIGS` named some when it
/// was built.
pub fn configs() -> &'static [ConfigInfo] {
    static BUILT: LazyLock<Vec<ConfigInfo>> = LazyLock::new(|| {
        let built: &[&str] = include!(concat!(env!("OUT_DIR"), "/built.rs"));
        configs::CONFIGS
            .iter()
            .filter(|config| built.contains(&config.name))
            .copied()
            .collect()
    });
    &BUILT
}
