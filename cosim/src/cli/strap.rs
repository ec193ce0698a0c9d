// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The option that sets configuration straps.

use clap::Args;

use super::UsageError;
use crate::dut::ports::Straps;
use crate::dut::strap_setting;

/// How straps are given, shown below the help of a subcommand that takes them.
pub const HELP: &str = "Straps:\n  \
    itlb=N, dtlb=N                 first-level entries in use\n  \
    l2-ways=N, l2-sets=N           second-level TLB in use: ways (0 is none) and log2 of the sets\n  \
    walkers=N, walk-caches=on|off  concurrent walks, and whether they begin below cached tables\n  \
    prefetch=on|off                a walk for the next page after each demand walk\n  \
    contiguous=on|off              a contiguous run is one entry, or the hint is ignored\n  \
    hafdbs=0|1|2                   hardware updates: none, access flag, and dirty state\n  \
    asid8=on|off                   8-bit ASIDs\n  \
    ets=0|2, bbml=0|1|2            FEAT_ETS2 and the FEAT_BBM level\n  \
    conflict-abort=on|off          a lookup that matches several entries is an abort\n  \
    delay=all|none|LIST            random delays on channels core-req, core-rsp, mem-req, mem-rsp,\n                                 \
    miss and dvm, joined by `+`\n  \
    delay-seed=N                   their seed, 0 to 65535";

/// The option that sets straps.
#[derive(Debug, Clone, Default, Args)]
pub struct StrapArguments {
    /// Configuration strap, such as contiguous=off; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub strap: Vec<String>,
}

impl StrapArguments {
    /// The default straps with those given applied.
    ///
    /// # Errors
    /// What is wrong with the first bad setting, and how to write it.
    pub fn straps(&self) -> Result<Straps, UsageError> {
        strap_setting::apply(Straps::default(), &self.strap)
            .map_err(|wrong| UsageError(format!("--strap {wrong}")))
    }
}
