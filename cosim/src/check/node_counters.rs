// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Counters of the nodes: what DRAM ports, commits, answers and the counters of the cores say that
//! each must read at the end of the run.

mod commands;
mod controller;
mod seen;
#[cfg(test)]
mod tests;
mod traffic;

use self::seen::{CoreSeen, NodeSeen, Place};
use super::{Violation, Violations};
use crate::dut::memory::MemoryConfig;
use crate::dut::ports::Info;
use crate::dut::{Counts, NodeCounts};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "node counters";

/// Counts for itself and compares once the counters of the last node are known.
#[derive(Debug)]
pub struct NodeCounterMonitor {
    place: Place,
    cores: Vec<CoreSeen>,
    nodes: Vec<NodeSeen>,
    core_values: Vec<Counts>,
    node_values: Vec<NodeCounts>,
}

impl NodeCounterMonitor {
    /// A monitor of hardware that is what `info` tells, with the memory system `config`, out of
    /// reset.
    #[must_use]
    pub fn new(info: &Info, config: MemoryConfig) -> Self {
        let (cores, nodes) = (usize::from(info.cores), usize::from(info.nodes));
        Self {
            place: Place::new(info, config),
            cores: vec![CoreSeen::new(nodes); cores],
            nodes: vec![NodeSeen::new(cores, usize::from(info.channels)); nodes],
            core_values: Vec::with_capacity(cores),
            node_values: Vec::with_capacity(nodes),
        }
    }

    /// Compares everything: the counters of all cores and nodes are of `cycle`.
    fn judge(&self, cycle: u64, out: &mut Violations) {
        if self.core_values.len() < self.cores.len() {
            return;
        }
        let mut report = Report { cycle, out };
        traffic::of_nodes(self, &mut report);
        traffic::of_cores(self, &mut report);
        controller::check(self, &mut report);
    }
}

/// Where broken rules go.
struct Report<'a> {
    cycle: u64,
    out: &'a mut Violations,
}

impl Report<'_> {
    /// Reports `value`, which `what` names, unless it lies within `low..=high`.
    fn within(
        &mut self,
        requirement: &'static str,
        what: impl FnOnce() -> String,
        value: u64,
        (low, high): (u64, u64),
    ) {
        if (low..=high).contains(&value) {
            return;
        }
        let permitted = match low == high {
            true => format!("{low}"),
            false => format!("{low} to {high}"),
        };
        let came = format!("{} = {value}", what());
        self.out
            .push(Violation::new(self.cycle, NAME, &[requirement], came).permitting(permitted));
    }
}

impl Monitor for NodeCounterMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        match &event.kind {
            EventKind::Counters { values, .. } => self.core_values.push(**values),
            EventKind::NodeCounters { values, .. } => {
                self.node_values.push(**values);
                if self.node_values.len() == self.nodes.len() {
                    self.judge(event.cycle, out);
                }
            }
            EventKind::Issue { core, .. }
            | EventKind::Response { core, .. }
            | EventKind::Walk { core, .. } => {
                if let Some(seen) = self.cores.get_mut(usize::from(*core)) {
                    seen.event(&event.kind, *core, &self.place);
                }
            }
            EventKind::Commit { node, .. }
            | EventKind::DramRead { node, .. }
            | EventKind::DramWrite { node, .. }
            | EventKind::DramCommand { node, .. } => {
                if let Some(seen) = self.nodes.get_mut(usize::from(*node)) {
                    seen.event(&event.kind);
                }
            }
            _ => {}
        }
    }
}
