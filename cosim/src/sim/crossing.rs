// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One exchange with the hardware: what is driven, how far it may run alone, what came out.
//!
//! A step is as long as nobody needs anything: until the next sleeper wakes, the next DRAM answer
//! is due, or an output asks for attention, whichever comes first. How steps are cut never changes
//! what happens, only what it costs.

use rand_pcg::Pcg64Mcg;

use super::config::Figures;
use super::dram::{DramAgents, MemoryTiming};
use super::event::{Event, EventKind};
use super::handle::Shared;
use super::sinks::Sinks;
use super::time::HasClock;
use crate::check::{ASSERTION, Violation};
use crate::dut::ports::{
    CoreResponse, DramCommand, DramRequest, Info, commit_lane, dvm_event, invalidation, l1_fill,
    l2_fill, l2_invalidated, observed, req_ready, walk_begin, walk_cache_fill, walk_end, walk_step,
};
use crate::dut::{AssertionFired, CoreReq, DramRsp, Lanes, StopOn};

/// Longest step in cycles, so that an interrupt is noticed soon.
const LONGEST_STEP: u64 = 1 << 16;

/// The boundary between simulated time and the hardware.
pub(crate) struct Crossing {
    lanes: Lanes,
    dram: DramAgents,
    observe: bool,
    assertions: Vec<AssertionFired>,
    figures: Figures,
}

impl Crossing {
    pub(crate) fn new(info: &Info, timing: MemoryTiming, rng: Pcg64Mcg) -> Self {
        let (cores, nodes) = (usize::from(info.cores), usize::from(info.nodes));
        Self {
            lanes: Lanes::new(cores, nodes, nodes * usize::from(info.channels)),
            dram: DramAgents::new(nodes, timing, rng),
            observe: false,
            assertions: Vec::new(),
            figures: Figures::default(),
        }
    }

    pub(crate) fn observe(&mut self, on: bool) {
        self.observe = on;
    }

    pub(crate) fn figures(&self) -> Figures {
        self.figures
    }

    /// Runs one step that ends at cycle `until` at the latest, but takes at least one cycle. Returns
    /// the cycle at which it ended.
    pub(crate) fn cross(&mut self, shared: &Shared, sinks: &mut Sinks, until: u64) -> u64 {
        let now = shared.now();
        let edge = now + 1;
        let mut until = until.min(now + LONGEST_STEP);
        let stop = StopOn {
            observations: self.observe,
            ready: self.drive_requests(shared, sinks, edge),
        };
        for node in 0..self.lanes.dram_rsp.len() {
            if let Some(answer) = self.dram.take_due(node, edge) {
                self.lanes.dram_rsp[node].w = answer.encode();
            }
            if let Some(due) = self.dram.next_due(node) {
                until = until.min(due - 1);
            }
        }
        if let Some(wake) = shared.clock().next_wake() {
            until = until.min(wake);
        }
        let cycle = {
            let mut dut = shared.dut.borrow_mut();
            dut.step(&mut self.lanes, stop, until.max(edge) - now);
            dut.drain_assertions(&mut self.assertions);
            dut.cycle()
        };
        self.figures.crossings += 1;
        self.lanes.core_req.fill(CoreReq::default());
        self.lanes.dram_rsp.fill(DramRsp::default());
        self.read_outputs(cycle, shared, sinks);
        cycle
    }

    /// Drives the next request of every core that may; returns the cores of which others wait for the
    /// socket, one bit a core.
    fn drive_requests(&mut self, shared: &Shared, sinks: &mut Sinks, edge: u64) -> u64 {
        let mut waiting = 0;
        for (core, agent) in shared.cores.iter().enumerate() {
            let mut agent = agent.borrow_mut();
            if !agent.queued() {
                continue;
            }
            if let Some(request) = agent.take_request(edge) {
                self.lanes.core_req[core].w = request.encode();
                self.figures.requests += 1;
                if sinks.listening() {
                    let kind = EventKind::Issue {
                        core: core as u8,
                        request,
                    };
                    sinks.emit(Event { cycle: edge, kind }, &shared.memory.borrow());
                }
            }
            waiting |= u64::from(agent.queued()) << core;
        }
        waiting
    }

    fn read_outputs(&mut self, cycle: u64, shared: &Shared, sinks: &mut Sinks) {
        let listening = sinks.listening();
        if self.observe {
            self.read_commits(cycle, shared, sinks);
        }
        for node in 0..self.lanes.dram_req.len() {
            if let Some(request) = DramRequest::decode(&self.lanes.dram_req[node].w) {
                self.serve(cycle, node, &request, shared, sinks);
            }
        }
        if self.observe {
            self.read_commands(cycle, shared, sinks);
            self.read_mmu_events(cycle, shared, sinks);
        }
        for core in 0..self.lanes.core_rsp.len() {
            let words = &self.lanes.core_rsp[core].w;
            let mut agent = shared.cores[core].borrow_mut();
            agent.ready = req_ready(words);
            let Some(response) = CoreResponse::decode(words) else {
                continue;
            };
            self.figures.responses += 1;
            self.figures.faults += u64::from(response.fault.is_some());
            let Some((request, issued_at)) = agent.respond(response) else {
                sinks.violations.push(
                    Violation::new(
                        cycle,
                        "core agent",
                        &["SOCKET"],
                        format!(
                            "response of id {} answers no request in flight",
                            response.id
                        ),
                    )
                    .on_core(core as u8),
                );
                continue;
            };
            if listening {
                let core = core as u8;
                let kind = EventKind::Response {
                    core,
                    request,
                    issued_at,
                    response,
                };
                sinks.emit(Event { cycle, kind }, &shared.memory.borrow());
            }
        }
        self.read_assertions(shared, sinks);
    }

    fn read_commits(&mut self, cycle: u64, shared: &Shared, sinks: &mut Sinks) {
        for (node, lane) in self.lanes.node_obs.iter().enumerate() {
            let Some(commit) = commit_lane(&lane.w) else {
                continue;
            };
            let mut memory = shared.memory.borrow_mut();
            // The write stands at the DRAM port in this cycle; one that DRAM refuses has no effect.
            if memory.refuses_write(commit.address) {
                continue;
            }
            let (before, after) = memory.commit(commit.address, commit.strobe, commit.data);
            let kind = EventKind::Commit {
                node: node as u8,
                source: commit.source,
                kind: commit.kind,
                address: commit.address,
                strobe: commit.strobe,
                data: commit.data,
                before,
                after,
            };
            sinks.emit(Event { cycle, kind }, &memory);
        }
    }

    fn read_commands(&self, cycle: u64, shared: &Shared, sinks: &mut Sinks) {
        let channels = self.lanes.command.len() / self.lanes.dram_req.len().max(1);
        for (place, lane) in self.lanes.command.iter().enumerate() {
            let Some(command) = DramCommand::decode(lane.w[0]) else {
                continue;
            };
            let kind = EventKind::DramCommand {
                node: (place / channels) as u8,
                channel: (place % channels) as u8,
                command,
            };
            sinks.emit(Event { cycle, kind }, &shared.memory.borrow());
        }
    }

    fn read_mmu_events(&mut self, cycle: u64, shared: &Shared, sinks: &mut Sinks) {
        for (core, lane) in self.lanes.core_obs.iter().enumerate() {
            let words = &lane.w;
            if !observed(words) {
                continue;
            }
            let core = core as u8;
            let memory = shared.memory.borrow();
            let mut emit = |kind| sinks.emit(Event { cycle, kind }, &memory);
            let walk = |step| EventKind::Walk { core, step };
            let fill = |change| EventKind::Fill { core, change };
            // What is filled in the cycle of an invalidation is younger than it.
            if let Some(change) = invalidation(words) {
                emit(EventKind::Invalidate { core, change });
            }
            walk_step(words).map(walk).into_iter().for_each(&mut emit);
            walk_end(words).map(walk).into_iter().for_each(&mut emit);
            for change in [walk_cache_fill(words), l2_fill(words), l1_fill(words)] {
                change.map(fill).into_iter().for_each(&mut emit);
            }
            walk_begin(words).map(walk).into_iter().for_each(&mut emit);
            if let Some(event) = dvm_event(words) {
                emit(EventKind::Dvm { core, event });
            }
            if let Some(count) = l2_invalidated(words) {
                emit(EventKind::L2Invalidated { core, count });
            }
        }
    }

    fn serve(
        &mut self,
        cycle: u64,
        node: usize,
        request: &DramRequest,
        shared: &Shared,
        sinks: &mut Sinks,
    ) {
        let mut memory = shared.memory.borrow_mut();
        let answer = self.dram.accept(cycle, node, request, &mut memory);
        let DramRequest {
            tag,
            strobe,
            address,
            ..
        } = *request;
        let node = node as u8;
        let kind = if request.write {
            self.figures.dram_writes += 1;
            let data = request.data;
            EventKind::DramWrite {
                node,
                address,
                tag,
                strobe,
                data,
                error: answer.error,
            }
        } else {
            self.figures.dram_reads += 1;
            EventKind::DramRead {
                node,
                address,
                tag,
                data: answer.data,
                error: answer.error,
            }
        };
        if sinks.listening() {
            sinks.emit(Event { cycle, kind }, &memory);
        }
    }

    fn read_assertions(&mut self, shared: &Shared, sinks: &mut Sinks) {
        for AssertionFired { cycle, id, text } in self.assertions.drain(..) {
            sinks
                .violations
                .push(Violation::new(cycle, ASSERTION, &[&id], text.clone()));
            let kind = EventKind::Assertion { id, text };
            sinks.emit(Event { cycle, kind }, &shared.memory.borrow());
        }
    }
}
