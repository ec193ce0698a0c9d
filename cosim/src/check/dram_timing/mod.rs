// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! MEM-01, MEM-02, MEM-08: the stream of commands to each DRAM channel keeps to its timing.
//!
//! Written from section 4.1 of the memory system contract: every parameter comes from the memory
//! configuration, in picoseconds, and is rounded up to clocks here.

mod channel;
mod clocks;
#[cfg(test)]
mod tests;

use self::channel::{Breach, Channel};
use self::clocks::Clocks;
use super::{Violation, Violations};
use crate::dut::memory::MemoryConfig;
use crate::dut::ports::Info;
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "dram commands";

/// Watches the command buses of every node.
#[derive(Debug)]
pub struct DramTimingMonitor {
    /// Timing of each node, `None` for one without a controller.
    clocks: Vec<Option<Clocks>>,
    /// Channels of one node after each other.
    channels: Vec<Channel>,
    channels_of_node: usize,
    /// First cycle in which some rank has too many refreshes owing.
    deadline: u64,
}

impl DramTimingMonitor {
    /// A monitor of the channels of hardware of the shape `info`, whose memory is `config`.
    #[must_use]
    pub fn new(config: &MemoryConfig, info: &Info) -> Self {
        let (nodes, channels) = (usize::from(info.nodes), usize::from(info.channels));
        let clocks = config.nodes[..nodes]
            .iter()
            .map(|node| node.map(|timing| Clocks::new(&timing.dram, config.clock_ps)));
        let mut monitor = Self {
            clocks: clocks.collect(),
            channels: vec![Channel::default(); nodes * channels],
            channels_of_node: channels,
            deadline: 0,
        };
        monitor.deadline = monitor.next_deadline();
        monitor
    }

    fn next_deadline(&self) -> u64 {
        let channels = self.channels.iter().enumerate();
        let deadlines = channels.filter_map(|(place, channel)| {
            let clocks = self.clocks[place / self.channels_of_node].as_ref()?;
            Some(channel.refresh_deadline(clocks).1)
        });
        deadlines.min().unwrap_or(u64::MAX)
    }

    /// Reports ranks that had more than eight intervals without their refresh by `cycle` (MEM-08).
    fn refreshes(&mut self, cycle: u64, out: &mut Violations) {
        while cycle >= self.deadline {
            for (place, channel) in self.channels.iter_mut().enumerate() {
                let node = place / self.channels_of_node;
                let Some(clocks) = &self.clocks[node] else {
                    continue;
                };
                let (rank, deadline) = channel.refresh_deadline(clocks);
                if cycle >= deadline {
                    // Counted as done, so that each is reported once.
                    channel.forgive_refresh(rank);
                    let came = format!(
                        "node {node} channel {} rank {rank}: more than eight refreshes owing",
                        place % self.channels_of_node
                    );
                    out.push(
                        Violation::new(cycle, NAME, &["MEM-08"], came)
                            .permitting(format!("a REFRESH before cycle {deadline}")),
                    );
                }
            }
            self.deadline = self.next_deadline();
        }
    }
}

impl Monitor for DramTimingMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _: &Memory, out: &mut Violations) {
        let cycle = event.cycle;
        self.refreshes(cycle, out);
        let EventKind::DramCommand {
            node,
            channel,
            command,
        } = &event.kind
        else {
            return;
        };
        let (node, channel) = (usize::from(*node), usize::from(*channel));
        let place = node * self.channels_of_node + channel;
        let mut report = |breach: Breach| {
            let came = format!("node {node} channel {channel}: {command}: {}", breach.rule);
            let violation = Violation::new(cycle, NAME, &[breach.requirement], came);
            out.push(match breach.earliest {
                Some(earliest) => violation.permitting(format!("from cycle {earliest} on")),
                None => violation,
            });
        };
        match (
            self.clocks.get(node).and_then(Option::as_ref),
            self.channels.get_mut(place),
        ) {
            (Some(clocks), Some(state)) => state.command(cycle, command, clocks, &mut report),
            _ => report(Breach {
                requirement: "MEM-01",
                rule: "a command where there is no controller",
                earliest: None,
            }),
        }
        self.deadline = self.next_deadline();
    }

    fn finish(&mut self, cycle: u64, _: &Memory, out: &mut Violations) {
        self.refreshes(cycle, out);
    }
}
