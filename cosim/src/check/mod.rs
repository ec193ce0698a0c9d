// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Judging: monitors and the scoreboard, which turn the event stream into violations.

pub mod data;
#[cfg(test)]
pub(crate) mod feed;
pub mod haf;
pub mod registers;
pub mod response;
pub mod scoreboard;
pub mod tlb;
pub mod violation;
pub mod walk;
pub mod walks;

pub use data::DataMonitor;
pub use haf::HafMonitor;
pub use response::ResponseMonitor;
pub use scoreboard::Scoreboard;
pub use tlb::TlbMonitor;
pub use violation::{Violation, Violations};
pub use walk::WalkMonitor;

use crate::arch::Profile;
use crate::dut::ports::Straps;
use crate::sim::Simulation;

/// Adds every checker to `simulation`, whose hardware is strapped so.
pub fn attach(simulation: &mut Simulation, straps: Straps) {
    simulation.add_monitor(ResponseMonitor::new());
    simulation.add_monitor(DataMonitor::new());
    simulation.add_monitor(WalkMonitor::new());
    simulation.add_monitor(HafMonitor::new());
    simulation.add_monitor(TlbMonitor::new(straps));
    simulation.add_monitor(Scoreboard::new(profile(&straps)));
}

/// The choices of the specification that hardware strapped so has made.
#[must_use]
pub fn profile(straps: &Straps) -> Profile {
    Profile {
        contiguous: straps.contiguous,
        hafdbs: straps.hafdbs,
        asid_bits: if straps.asid8 { 8 } else { 16 },
        ..Profile::default()
    }
}
