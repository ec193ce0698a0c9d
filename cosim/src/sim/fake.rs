// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A scripted socket for the tests of the simulation itself: addresses are physical, each request
//! is one DRAM access or a fixed delay, and it can be told to misbehave.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use crate::dut::ports::{
    ABI_VERSION, COUNTERS, CoreRequest, CoreResponse, DramAnswer, DramRequest, HitPlace, Info, Op,
    req_ready,
};
use crate::dut::{AssertionFired, Dut, DutError, Lanes, StopOn, TraceFormat};

/// Cycles that a request without DRAM access takes.
pub(crate) const FIXED_DELAY: u64 = 3;

/// What the fake saw, shared with the test.
#[derive(Default)]
pub(crate) struct Seen {
    /// First and last cycle of every step.
    pub(crate) steps: Vec<(u64, u64)>,
    /// Cycle at which a waveform was opened or closed.
    pub(crate) opened: Vec<u64>,
    pub(crate) closed: Vec<u64>,
}

/// How the fake misbehaves.
#[derive(Default, Clone)]
pub(crate) struct Faults {
    /// Response (counted from 0) that never comes.
    pub(crate) lose: Option<u64>,
    /// Response that comes with an id nobody used.
    pub(crate) wrong_id: Option<u64>,
    /// Cycle at which an assertion fires.
    pub(crate) assertion: Option<u64>,
}

pub(crate) struct FakeDut {
    info: [u64; 3],
    cycle: u64,
    depth: usize,
    inbox: VecDeque<CoreRequest>,
    waiting: BTreeMap<u16, CoreRequest>,
    due: VecDeque<(u64, CoreResponse)>,
    ready: bool,
    responses: u64,
    faults: Faults,
    seen: Rc<RefCell<Seen>>,
}

impl FakeDut {
    pub(crate) fn new(faults: Faults) -> (Self, Rc<RefCell<Seen>>) {
        let info = Info {
            version: ABI_VERSION,
            cores: 1,
            nodes: 1,
            cpu_nodes: 1,
            channels: 1,
            node_counters: 0,
            counters: COUNTERS.len() as u16,
            itlb_entries: 2,
            dtlb_entries: 4,
            asid_bits: 16,
            pamax: 48,
            l2_ways: 2,
            l2_sets_log2: 3,
            walkers: 2,
            walk_cache_entries: 4,
        };
        let seen = Rc::new(RefCell::new(Seen::default()));
        let fake = Self {
            info: info.encode(),
            cycle: 0,
            depth: 4,
            inbox: VecDeque::new(),
            waiting: BTreeMap::new(),
            due: VecDeque::new(),
            ready: false,
            responses: 0,
            faults,
            seen: Rc::clone(&seen),
        };
        (fake, seen)
    }

    pub(crate) fn with_info(mut self, info: [u64; 3]) -> Self {
        self.info = info;
        self
    }

    pub(crate) fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    fn answer(&mut self, at: u64, request: &CoreRequest, data: u64) {
        let response = CoreResponse {
            id: request.id,
            op: Some(request.op.code()),
            va: request.va,
            fault: None,
            wnr: false,
            cm: false,
            s1ptw: false,
            pa: request.va,
            attr: 0xff,
            sh: 3,
            data,
            place: HitPlace::None,
            undef: false,
            lookup: false,
            walked: false,
        };
        self.due.push_back((at, response));
    }

    fn tick(&mut self, lanes: &mut Lanes, first: bool) {
        self.cycle += 1;
        lanes.dram_req[0].w = [0; 3];
        lanes.node_obs[0].w = [0; 4];
        if first {
            if let Some(answer) = DramAnswer::decode(&lanes.dram_rsp[0].w) {
                let request = self
                    .waiting
                    .remove(&answer.tag)
                    .expect("answer to a request");
                self.answer(self.cycle + 1, &request, answer.data);
            }
            if let Some(request) = CoreRequest::decode(&lanes.core_req[0].w) {
                assert!(self.ready, "request driven although req_ready was 0");
                self.inbox.push_back(request);
            }
        }
        if let Some(request) = self.inbox.pop_front() {
            match request.op {
                Op::Load | Op::Store => self.access_dram(request, lanes),
                _ => self.answer(self.cycle + FIXED_DELAY, &request, 0),
            }
        }
        self.ready = self.inbox.len() < self.depth && self.waiting.len() < self.depth;
        lanes.core_rsp[0].w = [u64::from(self.ready) << 63, 0, 0, 0];
        self.respond(lanes);
    }

    fn access_dram(&mut self, request: CoreRequest, lanes: &mut Lanes) {
        let write = request.op == Op::Store;
        let dram = DramRequest {
            tag: request.id,
            write,
            strobe: if write { 0xff } else { 0 },
            address: request.va & !7,
            data: request.data,
        };
        lanes.dram_req[0].w = dram.encode();
        if write {
            lanes.node_obs[0].w = [1 | 0xff << 16, dram.address, dram.data, 0];
        }
        self.waiting.insert(request.id, request);
    }

    fn respond(&mut self, lanes: &mut Lanes) {
        let due = self.due.iter().position(|&(at, _)| at <= self.cycle);
        let Some((_, mut response)) = due.and_then(|place| self.due.remove(place)) else {
            return;
        };
        let number = self.responses;
        self.responses += 1;
        if self.faults.lose == Some(number) {
            return;
        }
        if self.faults.wrong_id == Some(number) {
            response.id = 0x7777;
        }
        lanes.core_rsp[0].w = response.encode(self.ready);
    }

    fn stopped(&self, lanes: &Lanes, stop: StopOn) -> bool {
        let rsp = &lanes.core_rsp[0].w;
        let mut valid = rsp[0] | lanes.dram_req[0].w[0];
        if stop.observations {
            valid |= lanes.node_obs[0].w[0];
        }
        valid & 1 == 1
            || stop.ready & 1 == 1 && req_ready(rsp)
            || self.faults.assertion == Some(self.cycle)
    }
}

impl Dut for FakeDut {
    fn info(&self) -> [u64; 3] {
        self.info
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }

    fn step(&mut self, lanes: &mut Lanes, stop: StopOn, max_cycles: u64) -> u64 {
        let start = self.cycle;
        loop {
            self.tick(lanes, self.cycle == start);
            if self.cycle - start >= max_cycles || self.stopped(lanes, stop) {
                break;
            }
        }
        self.seen.borrow_mut().steps.push((start + 1, self.cycle));
        self.cycle - start
    }

    fn counter(&mut self, core: usize, index: u8) -> u64 {
        self.cycle * 1000 + core as u64 * 100 + u64::from(index)
    }

    fn open_trace(&mut self, _: &Path, _: TraceFormat) -> Result<(), DutError> {
        self.seen.borrow_mut().opened.push(self.cycle);
        Ok(())
    }

    fn close_trace(&mut self) -> Result<(), DutError> {
        self.seen.borrow_mut().closed.push(self.cycle);
        Ok(())
    }

    fn drain_assertions(&mut self, into: &mut Vec<AssertionFired>) {
        if self.faults.assertion == Some(self.cycle) {
            into.push(AssertionFired {
                cycle: self.cycle,
                id: "FakeRuleHolds".to_owned(),
                text: "it does not".to_owned(),
            });
        }
    }
}
