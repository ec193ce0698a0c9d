// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the event stream tells of the requests of each core and of the DRAM port of each node.

use vmsa::FaultKind;

use super::commands::ChannelSeen;
use crate::dut::memory::{MemoryConfig, UNREACHABLE};
use crate::dut::ports::{CommitKind, CoreRequest, CoreResponse, Info, Op, WalkEvent, WalkKind};
use crate::sim::event::EventKind;

/// How cores and memory lie on the nodes.
#[derive(Debug, Clone)]
pub struct Place {
    /// Cores of a node that has any.
    pub cores_per_node: u8,
    /// Nodes with cores.
    pub cpu_nodes: u8,
    /// Memory channels of a node.
    pub channels: u8,
    /// Links, address map and timing.
    pub config: MemoryConfig,
}

impl Place {
    pub fn new(info: &Info, config: MemoryConfig) -> Self {
        Self {
            cores_per_node: (info.cores / info.cpu_nodes.max(1)).max(1),
            cpu_nodes: info.cpu_nodes,
            channels: info.channels,
            config,
        }
    }

    /// The node of `core`.
    pub fn node(&self, core: u8) -> usize {
        usize::from(core / self.cores_per_node)
    }

    /// The node at which `core` reaches `address`; `None` if it cannot (NOC-03).
    fn home(&self, core: u8, address: u64) -> Option<usize> {
        let home = usize::from(self.config.map.home(address)?);
        (self.config.distance[self.node(core)][home] != UNREACHABLE).then_some(home)
    }
}

/// What a core was answered that one node served.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// Words read for loads and fetches.
    pub reads: u64,
    /// Compare-and-swaps of the core.
    pub swaps: u64,
    /// Descriptor reads.
    pub steps: u64,
    /// Hardware updates.
    pub updates: u64,
}

/// What the events tell of one core.
#[derive(Debug, Clone)]
pub struct CoreSeen {
    /// Requests answered, by node.
    pub served: Vec<Served>,
    /// Words read whose home the events do not tell: the second half of accesses that cross a page,
    /// and whatever an access that failed has read.
    pub unknown_reads: u64,
    /// Compare-and-swaps that failed.
    pub unknown_swaps: u64,
    /// Translating requests not answered.
    waiting: u64,
    /// Compare-and-swaps among them.
    waiting_swaps: u64,
    /// Walk slots that may have a request under way.
    walking: u8,
}

impl CoreSeen {
    pub fn new(nodes: usize) -> Self {
        Self {
            served: vec![Served::default(); nodes],
            unknown_reads: 0,
            unknown_swaps: 0,
            waiting: 0,
            waiting_swaps: 0,
            walking: 0,
        }
    }

    /// The most requests of accesses that may be under way: an access makes two at most.
    pub fn data_under_way(&self) -> u64 {
        2 * self.waiting
    }

    /// The most compare-and-swaps of the core that may be under way.
    pub fn swaps_under_way(&self) -> u64 {
        self.waiting_swaps
    }

    /// The most requests of walks that may be under way: a walk makes one at a time.
    pub fn walks_under_way(&self) -> u64 {
        u64::from(self.walking.count_ones())
    }

    /// The most requests that may be under way.
    pub fn under_way(&self) -> u64 {
        self.data_under_way() + self.walks_under_way()
    }

    /// Follows an event of this core, which is number `core`.
    pub fn event(&mut self, event: &EventKind, core: u8, place: &Place) {
        match event {
            EventKind::Issue { request, .. } if request.op.translates() => {
                self.waiting += 1;
                self.waiting_swaps += u64::from(request.op == Op::Cas);
            }
            EventKind::Response {
                request, response, ..
            } if request.op.translates() => {
                self.waiting = self.waiting.saturating_sub(1);
                if request.op == Op::Cas {
                    self.waiting_swaps = self.waiting_swaps.saturating_sub(1);
                }
                self.answered(core, request, response, place);
            }
            EventKind::Walk { step, .. } => self.walk(core, step, place),
            _ => {}
        }
    }

    fn answered(
        &mut self,
        core: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        place: &Place,
    ) {
        let failed = match response.fault.map(|fsc| fsc.kind()) {
            None => false,
            Some(Some(FaultKind::ExternalAbort)) => true,
            Some(_) => return,
        };
        let crosses = (request.va & 7) + (1 << request.size) > 8;
        let words = 1 + u64::from(crosses);
        match request.op {
            Op::Load | Op::Fetch if failed => self.unknown_reads += words,
            Op::Load | Op::Fetch => {
                let page_crossed = (request.va & 0xfff) + (1 << request.size) > 0x1000;
                let known = if page_crossed { 1 } else { words };
                self.unknown_reads += words - known;
                if let Some(home) = place.home(core, response.pa) {
                    self.served[home].reads += known;
                }
            }
            Op::Cas if failed => self.unknown_swaps += 1,
            Op::Cas => {
                if let Some(home) = place.home(core, response.pa) {
                    self.served[home].swaps += 1;
                }
            }
            // Stores show in the commits.
            _ => {}
        }
    }

    fn walk(&mut self, core: u8, step: &WalkEvent, place: &Place) {
        let slot = 1 << (step.slot & 7);
        let home = place.home(core, step.address);
        match (step.kind, home) {
            (WalkKind::Begin, _) => self.walking |= slot,
            (WalkKind::End, _) => self.walking &= !slot,
            (WalkKind::Step, Some(home)) => self.served[home].steps += 1,
            (WalkKind::Swap, Some(home)) => self.served[home].updates += 1,
            (WalkKind::Step | WalkKind::Swap, None) => {}
        }
        // The answer to the last request of a walk that was cancelled.
        if step.discarded {
            self.walking &= !slot;
        }
    }
}

/// What the events tell of one node.
#[derive(Debug, Clone)]
pub struct NodeSeen {
    /// Words read at the DRAM port.
    pub reads: u64,
    /// Words written there.
    pub writes: u64,
    /// Writes that DRAM refused.
    pub refused: u64,
    /// Reads and writes that it answered with an error.
    pub errors: u64,
    /// Stores that became visible, by core.
    pub stores: Vec<u64>,
    /// Compare-and-swaps and hardware updates that became visible, by core.
    pub swaps: Vec<u64>,
    /// Commands on the bus of each memory channel.
    pub channels: Vec<ChannelSeen>,
}

impl NodeSeen {
    pub fn new(cores: usize, channels: usize) -> Self {
        Self {
            reads: 0,
            writes: 0,
            refused: 0,
            errors: 0,
            stores: vec![0; cores],
            swaps: vec![0; cores],
            channels: vec![ChannelSeen::default(); channels],
        }
    }

    /// Follows an event of this node.
    pub fn event(&mut self, event: &EventKind) {
        match event {
            EventKind::Commit { source, kind, .. } => {
                let source = usize::from(*source);
                let counts = match kind {
                    CommitKind::Store => &mut self.stores,
                    CommitKind::Cas | CommitKind::Update => &mut self.swaps,
                    CommitKind::Backdoor => return,
                };
                if let Some(count) = counts.get_mut(source) {
                    *count += 1;
                }
            }
            EventKind::DramRead { error, .. } => {
                self.reads += 1;
                self.errors += u64::from(*error);
            }
            EventKind::DramWrite { error, .. } => {
                self.writes += 1;
                self.refused += u64::from(*error);
                self.errors += u64::from(*error);
            }
            EventKind::DramCommand {
                channel, command, ..
            } => {
                if let Some(seen) = self.channels.get_mut(usize::from(*channel)) {
                    seen.command(command);
                }
            }
            _ => {}
        }
    }
}
