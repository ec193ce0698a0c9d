// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! MEM-04, MEM-06, MEM-12: what a home performs reaches the banks of its memory once, in the order of
//! each line, and in time.
//!
//! A home performs a request at its DRAM port; the controller behind it gives one column command for
//! each read and each write, but for reads that a queued write answers and writes that join one
//! queued. Neither shows, so each line keeps every history that is possible ([`line`]); a command, or a
//! bound that has passed, that fits none of them is a violation.

mod bound;
mod line;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use self::bound::{IN_PORT, read_bound};
use self::line::{Item, LineOrder};
use super::{Violation, Violations};
use crate::dut::memory::MemoryConfig;
use crate::dut::ports::{DramCommand, DramCommandKind, Info};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "memory order";

/// One node with a controller.
#[derive(Debug, Clone)]
struct Node {
    /// Most cycles from a read at the DRAM port to its command.
    bound: u64,
    /// Whether a memory-side cache may answer reads, so that only writes are held to commands.
    cached: bool,
    /// Requests performed.
    performed: u64,
    /// Reads that may wait for their command: cycle of the bound, line.
    waiting: VecDeque<(u64, u64)>,
    /// Lines of which a command was possibly given before the request showed at the port.
    early: Vec<u64>,
    /// By line number; lines without a request under way are left out.
    lines: HashMap<u64, LineOrder>,
}

/// Watches DRAM ports and command buses.
#[derive(Debug)]
pub struct MemoryOrderMonitor {
    nodes: Vec<Option<Node>>,
    channels: u64,
}

impl MemoryOrderMonitor {
    /// A monitor of hardware of the shape `info`, whose memory is `config`.
    #[must_use]
    pub fn new(config: &MemoryConfig, info: &Info) -> Self {
        let nodes = config.nodes[..usize::from(info.nodes)].iter().map(|node| {
            node.map(|timing| Node {
                bound: read_bound(&timing, config.clock_ps),
                cached: timing.slice_hit_ps.is_some(),
                performed: 0,
                waiting: VecDeque::new(),
                early: Vec::new(),
                lines: HashMap::new(),
            })
        });
        Self {
            nodes: nodes.collect(),
            channels: u64::from(info.channels),
        }
    }
}

/// The number of the line that a column command of `channel` means: the address map of section 4.2,
/// low to high channel, two bits of column, bank group, bank, two bits of column, rank, row; the bits of
/// group and bank are XORed with the lowest bits of the row.
fn line_of(command: &DramCommand, channel: u8, channels: u64) -> u64 {
    let (row, column) = (command.row, u64::from(command.column));
    let group = u64::from(command.group) ^ (row & 3);
    let bank = u64::from(command.bank) ^ (row >> 2 & 3);
    let in_channel = column & 3
        | group << 2
        | bank << 4
        | (column >> 2 & 3) << 6
        | u64::from(command.rank) << 8
        | row << 9;
    in_channel * channels + u64::from(channel)
}

impl Node {
    /// A request is performed at the port.
    fn performed(&mut self, cycle: u64, address: u64, write: bool, tell: &mut impl FnMut(Finding)) {
        let line = address >> 6;
        // A command that came first was for the very next request.
        for other in self.early.drain(..) {
            if (other != line || write)
                && let Some(order) = self.lines.get_mut(&other)
                && !order.nothing_early()
            {
                order.forget();
                tell(Finding::new("MEM-12", "READ that nobody asked for", other));
            }
        }
        self.performed += 1;
        if self.cached && !write {
            return;
        }
        let item = Item {
            write,
            number: self.performed,
            cycle,
        };
        self.lines.entry(line).or_default().arrive(item);
        if !write {
            self.waiting.push_back((cycle + self.bound, line));
        }
    }

    /// Reports reads whose bound has passed by `cycle` (MEM-06).
    fn overdue(&mut self, cycle: u64, tell: &mut impl FnMut(Finding)) {
        while let Some(&(deadline, line)) = self.waiting.front()
            && deadline <= cycle
        {
            self.waiting.pop_front();
            if let Some(order) = self.lines.get_mut(&line) {
                if !order.served_until(deadline - self.bound) {
                    order.forget();
                    tell(Finding::new("MEM-06", "read waits beyond its bound", line));
                }
                self.tidy(line);
            }
        }
    }

    fn column(&mut self, line: u64, write: bool, tell: &mut impl FnMut(Finding)) {
        if self.cached && !write {
            return;
        }
        // What came before as many requests as the way to the queues holds is in a queue.
        let queued = self.performed.saturating_sub(IN_PORT);
        let order = self.lines.entry(line).or_default();
        let (passes, fits) = match write {
            true => (order.awaits(false), order.write(queued)),
            false => (order.awaits(true), order.read()),
        };
        if !fits {
            order.forget();
            tell(match (passes, write) {
                (true, true) => Finding::new("MEM-04", "WRITE passes an older read", line),
                (true, false) => Finding::new("MEM-04", "READ passes an older write", line),
                (false, true) => Finding::new("MEM-12", "WRITE that nobody asked for", line),
                (false, false) => Finding::new("MEM-12", "READ that nobody asked for", line),
            });
        } else if order.is_early() && !self.early.contains(&line) {
            self.early.push(line);
        }
        self.tidy(line);
    }

    fn tidy(&mut self, line: u64) {
        let queued = self.performed.saturating_sub(IN_PORT);
        if let Some(order) = self.lines.get_mut(&line) {
            order.tidy(queued);
            if order.is_idle() {
                self.lines.remove(&line);
            }
        }
    }
}

/// What is wrong with a line.
struct Finding {
    requirement: &'static str,
    what: &'static str,
    line: u64,
}

impl Finding {
    fn new(requirement: &'static str, what: &'static str, line: u64) -> Self {
        Self {
            requirement,
            what,
            line,
        }
    }
}

impl Monitor for MemoryOrderMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _: &Memory, out: &mut Violations) {
        let (node, what) = match &event.kind {
            EventKind::DramRead { node, address, .. } => (*node, Ok((*address, false))),
            EventKind::DramWrite { node, address, .. } => (*node, Ok((*address, true))),
            EventKind::DramCommand {
                node,
                channel,
                command,
            } => {
                let write = match command.kind {
                    DramCommandKind::Read => false,
                    DramCommandKind::Write => true,
                    _ => return,
                };
                (
                    *node,
                    Err((line_of(command, *channel, self.channels), write)),
                )
            }
            _ => return,
        };
        let Some(Some(state)) = self.nodes.get_mut(usize::from(node)) else {
            return;
        };
        let mut tell = |finding: Finding| {
            let Finding {
                requirement,
                what,
                line,
            } = finding;
            let came = format!("node {node} line {:#x}: {what}", line << 6);
            out.push(Violation::new(event.cycle, NAME, &[requirement], came));
        };
        state.overdue(event.cycle, &mut tell);
        match what {
            Ok((address, write)) => state.performed(event.cycle, address, write, &mut tell),
            Err((line, write)) => state.column(line, write, &mut tell),
        }
    }

    fn finish(&mut self, cycle: u64, _: &Memory, out: &mut Violations) {
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if let Some(node) = node {
                node.overdue(cycle, &mut |finding| {
                    let came = format!(
                        "node {number} line {:#x}: {}",
                        finding.line << 6,
                        finding.what
                    );
                    out.push(Violation::new(cycle, NAME, &[finding.requirement], came));
                });
            }
        }
    }
}
