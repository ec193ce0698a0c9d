// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Judging: monitors and the scoreboard, which turn the event stream into violations.

pub mod bbm;
pub mod counters;
pub mod data;
pub mod dram_timing;
pub mod dvm;
pub mod expectation;
#[cfg(test)]
pub(crate) mod feed;
pub mod frames;
pub mod haf;
pub mod home;
pub mod memory_order;
pub mod node_counters;
pub mod operations;
pub mod registers;
pub mod response;
pub mod runs;
pub mod scoreboard;
pub mod tlb;
pub mod violation;
pub mod walk;
pub mod walk_context;
pub mod walk_nodes;
pub mod walks;

pub use bbm::BbmMonitor;
pub use counters::CounterMonitor;
pub use data::DataMonitor;
pub use dram_timing::DramTimingMonitor;
pub use dvm::DvmMonitor;
pub use expectation::Expectation;
pub use frames::FramesMonitor;
pub use haf::HafMonitor;
pub use home::HomeMonitor;
pub use memory_order::MemoryOrderMonitor;
pub use node_counters::NodeCounterMonitor;
pub use response::ResponseMonitor;
pub use runs::RunMonitor;
pub use scoreboard::Scoreboard;
pub use tlb::TlbMonitor;
pub use violation::{FirstReport, Violation, Violations};
pub use walk::WalkMonitor;
pub use walk_nodes::WalkNodeMonitor;

use std::cell::RefCell;
use std::rc::Rc;

use crate::arch::Profile;
use crate::dut::ports::Straps;
use crate::sim::Simulation;

/// Every checker that [`attach`] adds, by its name in reports; those of the memory controllers only if
/// memory has timing.
pub const CHECKERS: [&str; 16] = [
    bbm::NAME,
    runs::NAME,
    data::NAME,
    dram_timing::NAME,
    counters::NAME,
    frames::NAME,
    haf::NAME,
    home::NAME,
    memory_order::NAME,
    node_counters::NAME,
    dvm::NAME,
    response::NAME,
    scoreboard::NAME,
    walk::NAME,
    tlb::NAME,
    walk_nodes::NAME,
];

/// Name under which an assertion of the RTL reports.
pub const ASSERTION: &str = "assertion";

/// The checkers that a testbench can ask for figures, or tell more than the architecture knows.
#[derive(Debug, Clone)]
pub struct Checkers {
    /// Break-before-make.
    pub bbm: Rc<RefCell<BbmMonitor>>,
    /// Which nodes serve walks, and which shall.
    pub walk_nodes: Rc<RefCell<WalkNodeMonitor>>,
}

/// Adds every checker to `simulation`, whose hardware is strapped so.
pub fn attach(simulation: &mut Simulation, straps: Straps) -> Checkers {
    let info = *simulation.info();
    let checkers = Checkers {
        bbm: Rc::new(RefCell::new(BbmMonitor::new(&straps))),
        walk_nodes: Rc::new(RefCell::new(WalkNodeMonitor::new(
            &info,
            simulation.address_map(),
        ))),
    };
    simulation.add_monitor(ResponseMonitor::new());
    simulation.add_monitor(DataMonitor::new());
    simulation.add_monitor(HomeMonitor::new(*simulation.address_map()));
    simulation.add_monitor(WalkMonitor::new());
    simulation.add_monitor(HafMonitor::new());
    let tlb = Rc::new(RefCell::new(TlbMonitor::new(straps)));
    simulation.add_monitor(Rc::clone(&tlb));
    simulation.add_monitor(FramesMonitor::new(tlb, straps.asid8));
    simulation.add_monitor(DvmMonitor::new(info.cores));
    simulation.add_monitor(Rc::clone(&checkers.bbm));
    simulation.add_monitor(RunMonitor::new(&straps));
    simulation.add_monitor(Rc::clone(&checkers.walk_nodes));
    let map = *simulation.address_map();
    simulation.add_monitor(CounterMonitor::new(straps, &info, map));
    let handle = simulation.handle();
    let memory = handle.memory_system();
    simulation.add_monitor(NodeCounterMonitor::new(&info, memory.clone()));
    let refused = memory.refused(info.cpu_nodes);
    simulation.add_monitor(Scoreboard::new(profile(&straps)).refusing(refused));
    if memory.nodes.iter().any(Option::is_some) {
        simulation.add_monitor(DramTimingMonitor::new(memory, &info));
        simulation.add_monitor(MemoryOrderMonitor::new(memory, &info));
    }
    checkers
}

/// For stimulus that breaks the rules of software at random: any number of violations of those rules,
/// none included. What hardware answers is judged as always.
#[must_use]
pub fn any_misuse() -> [Expectation; 2] {
    [
        Expectation::of("BBM-03").by(bbm::NAME).if_any(),
        Expectation::of("TLB-06").by(runs::NAME).if_any(),
    ]
}

/// The choices of the specification that hardware strapped so has made.
#[must_use]
pub fn profile(straps: &Straps) -> Profile {
    Profile {
        contiguous: straps.contiguous,
        hafdbs: straps.hafdbs,
        asid_bits: if straps.asid8 { 8 } else { 16 },
        ets: straps.ets,
        bbml: straps.bbml,
        conflict_abort: straps.conflict_abort,
        ..Profile::default()
    }
}
