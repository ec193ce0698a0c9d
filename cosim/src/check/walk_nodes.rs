// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which node served each descriptor read of each core, and walks that shall stay on a node.

use std::ops::RangeInclusive;

use super::{Violation, Violations};
use crate::arch::invalidation::untagged;
use crate::dut::memory::AddressMap;
use crate::dut::ports::{Info, WalkEvent, WalkKind};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "walk nodes";
/// DRAM reads remembered: a walk tells of its read some cycles after memory was asked.
const READS: usize = 64;

/// Walks of some addresses by the cores of a node that shall be served by that node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Confined {
    requirement: String,
    range: RangeInclusive<u64>,
    node: u8,
}

/// Counts descriptor reads by core and serving node.
#[derive(Debug)]
pub struct WalkNodeMonitor {
    info: Info,
    map: AddressMap,
    /// By core and node.
    counts: Vec<u64>,
    confined: Vec<Confined>,
    /// Address and node of the last DRAM reads, and the place of the oldest.
    reads: [(u64, u8); READS],
    next: usize,
}

impl WalkNodeMonitor {
    /// A monitor of the hardware that `info` tells of, with memory dealt out by `map`.
    #[must_use]
    pub fn new(info: &Info, map: &AddressMap) -> Self {
        Self {
            info: *info,
            map: *map,
            counts: vec![0; usize::from(info.cores) * usize::from(info.nodes)],
            confined: Vec::new(),
            reads: [(u64::MAX, 0); READS],
            next: 0,
        }
    }

    /// From now on, a walk by a core of `node` of an address in `range` (sign extended from bit 55)
    /// breaks `requirement` if another node serves one of its reads.
    pub fn confine(&mut self, requirement: &str, range: RangeInclusive<u64>, node: u8) {
        self.confined.push(Confined {
            requirement: requirement.to_owned(),
            range,
            node,
        });
    }

    /// Walks may go anywhere again.
    pub fn release(&mut self) {
        self.confined.clear();
    }

    /// Descriptor reads of `core` that `node` served so far; 0 if there is no such core or node.
    #[must_use]
    pub fn served(&self, core: u8, node: u8) -> u64 {
        self.place(core, node)
            .and_then(|place| self.counts.get(place))
            .copied()
            .unwrap_or(0)
    }

    /// Descriptor reads of `core` that its own node served, and those that others did.
    #[must_use]
    pub fn near_and_far(&self, core: u8) -> [u64; 2] {
        let own = self.info.node_of_core(core);
        let all: u64 = (0..self.info.nodes)
            .map(|node| self.served(core, node))
            .sum();
        let near = self.served(core, own);
        [near, all - near]
    }

    fn place(&self, core: u8, node: u8) -> Option<usize> {
        let there = core < self.info.cores && node < self.info.nodes;
        there.then(|| usize::from(core) * usize::from(self.info.nodes) + usize::from(node))
    }

    /// The node that served a read of `address` last.
    fn server(&self, address: u64) -> u8 {
        let (newer, older) = self.reads.split_at(self.next);
        let mut latest = newer.iter().rev().chain(older.iter().rev());
        latest
            .find(|(read, _)| *read == address)
            .map(|&(_, node)| node)
            .or_else(|| self.map.home(address))
            .unwrap_or(u8::MAX)
    }

    fn walked(&mut self, cycle: u64, core: u8, step: &WalkEvent, out: &mut Violations) {
        let node = self.server(step.address);
        if let Some(count) = self
            .place(core, node)
            .and_then(|place| self.counts.get_mut(place))
        {
            *count += 1;
        }
        let own = self.info.node_of_core(core);
        let va = untagged(step.va);
        for confined in &self.confined {
            if own == confined.node && node != own && confined.range.contains(&va) {
                let came = format!(
                    "node {node} served the read of L{} [{:#014x}] for core {core} of node {own}",
                    step.level, step.address
                );
                out.push(
                    Violation::new(cycle, NAME, &[&confined.requirement], came)
                        .on_core(core)
                        .at_va(step.va)
                        .of_descriptor(step.address)
                        .permitting(format!("tables on node {own} only, as the test declared")),
                );
            }
        }
    }
}

impl Monitor for WalkNodeMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        match &event.kind {
            EventKind::Walk { core, step } if step.kind == WalkKind::Step => {
                self.walked(event.cycle, *core, step, out);
            }
            EventKind::DramRead { node, address, .. } => {
                self.reads[self.next] = (*address & !7, *node);
                self.next = (self.next + 1) % READS;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::feed::{assert_fires, assert_quiet, change_walk, judge, walk};

    const VA: u64 = 0x40_3000;

    fn two_nodes() -> WalkNodeMonitor {
        let info = Info {
            version: 0,
            cores: 2,
            nodes: 2,
            cpu_nodes: 2,
            channels: 1,
            node_counters: 0,
            counters: 0,
            itlb_entries: 2,
            dtlb_entries: 2,
            asid_bits: 16,
            pamax: 48,
            l2_ways: 1,
            l2_sets_log2: 1,
            walkers: 1,
            walk_cache_entries: 1,
        };
        WalkNodeMonitor::new(&info, &AddressMap::interleaved(2))
    }

    fn read(cycle: u64, node: u8, address: u64) -> Event {
        let kind = EventKind::DramRead {
            node,
            address,
            tag: 0,
            data: 0,
            error: false,
        };
        Event { cycle, kind }
    }

    fn step(cycle: u64, address: u64) -> Event {
        change_walk(walk(cycle, 1, VA, WalkKind::Step, 3, address, 3), |_| ())
    }

    #[test]
    fn reads_are_counted_where_they_were_served() {
        let mut monitor = two_nodes();
        let out = judge(
            &mut monitor,
            &Memory::default(),
            &[
                read(1, 0, 0x8000_0008),
                step(9, 0x8000_0008),
                read(10, 1, 0x8000_1000),
                step(19, 0x8000_1000),
            ],
        );
        assert_quiet(&out);
        assert_eq!([monitor.served(0, 0), monitor.served(0, 1)], [1, 1]);
        assert_eq!(monitor.near_and_far(0), [1, 1]);
        assert_eq!(monitor.near_and_far(1), [0, 0]);
        assert_eq!(monitor.served(2, 0), 0);
    }

    #[test]
    fn a_confined_walk_that_leaves_its_node_is_a_violation() {
        let mut monitor = two_nodes();
        monitor.confine("UREPL-01", VA..=VA + 0xfff, 0);
        let memory = Memory::default();
        assert_quiet(&judge(
            &mut monitor,
            &memory,
            &[read(1, 0, 0x8000_0000), step(9, 0x8000_0000)],
        ));
        let far = [read(11, 1, 0x8000_1000), step(19, 0x8000_1000)];
        assert_fires(&judge(&mut monitor, &memory, &far), "UREPL-01");
        monitor.release();
        monitor.confine("UREPL-01", VA + 0x1000..=VA + 0x1fff, 0);
        monitor.confine("UREPL-01", VA..=VA + 0xfff, 1);
        assert_quiet(&judge(&mut monitor, &memory, &far));
    }
}
