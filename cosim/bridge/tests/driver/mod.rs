// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A minimal software side: one core at a time, memory that answers after a few cycles, the MMU off.

#![allow(dead_code, reason = "each test binary uses a part")]

use cosim_bridge::{
    CommandObs, CoreObs, CoreReq, CoreRsp, DramReq, DramRsp, MEMORY_WORDS, NodeObs, Socket, Stop,
    configs,
};
use std::collections::BTreeMap;

pub const LOAD: u64 = 0;
pub const STORE: u64 = 1;
pub const DSB: u64 = 6;
/// `sub` of DSB SY.
pub const SY: u64 = 0xf;

/// Memory without links and controllers, all of it on node 0: entry 0 of the address map.
pub const MEMORY: [u64; MEMORY_WORDS] = {
    let mut words = [0; MEMORY_WORDS];
    words[72] = 1 << 63 | 1 << 54 | ((1 << 27) - 1) << 27;
    words
};

const MEMORY_CYCLES: u64 = 5;
const GIVE_UP: u64 = 10_000;

/// Everything built, contiguous runs, access flag and dirty state, BBM level 2.
pub fn straps(config: &str) -> u64 {
    let info = configs()
        .iter()
        .find(|c| c.name == config)
        .expect("a known configuration");
    let parameter = |name| {
        info.parameters
            .iter()
            .find(|(n, _)| *n == name)
            .expect("a parameter")
            .1
    };
    parameter("ItlbEntries")
        | parameter("DtlbEntries") << 8
        | 1 << 16
        | 2 << 17
        | parameter("L2Ways") << 20
        | parameter("L2SetsLog2") << 23
        | 1 << 27
        | parameter("Walkers") << 28
        | 2 << 33
}

pub fn request(op: u64, id: u16, va: u64, data: u64) -> CoreReq {
    let (el1, eight_bytes) = (1 << 7, 3 << 5);
    let sub = if op == DSB { SY << 10 } else { 0 };
    CoreReq {
        w: [
            1 | op << 1 | eight_bytes | el1 | sub | u64::from(id) << 16,
            va,
            data,
            0,
        ],
    }
}

/// The lanes of a socket with one core and one node.
#[derive(Default)]
pub struct Ports {
    pub core_rsp: [CoreRsp; 1],
    pub core_obs: [CoreObs; 1],
    pub dram_req: [DramReq; 1],
    pub node_obs: [NodeObs; 1],
    pub command: [CommandObs; 1],
}

impl Ports {
    pub fn step(
        &mut self,
        socket: &mut Socket,
        req: CoreReq,
        rsp: DramRsp,
        stop: Stop,
        max: u64,
    ) -> u64 {
        socket.step(
            &[req],
            &[rsp],
            &mut self.core_rsp,
            &mut self.core_obs,
            &mut self.dram_req,
            &mut self.node_obs,
            &mut self.command,
            stop,
            max,
        )
    }

    pub fn ready(&self) -> bool {
        self.core_rsp[0].w[0] >> 63 == 1
    }
}

/// A socket with memory behind it.
pub struct Machine {
    pub socket: Socket,
    pub ports: Ports,
    pub memory: BTreeMap<u64, u64>,
    /// Answers under way, by the cycle before which they are due.
    due: BTreeMap<u64, DramRsp>,
    /// Steps that ended with a valid commit event.
    pub commits: usize,
}

impl Machine {
    pub fn open(config: &str, seed: u64) -> Machine {
        let socket = Socket::open(config, straps(config), &MEMORY, None, seed).expect("opens");
        Machine {
            socket,
            ports: Ports::default(),
            memory: BTreeMap::new(),
            due: BTreeMap::new(),
            commits: 0,
        }
    }

    fn step(&mut self, req: CoreReq, stop: Stop) {
        let now = self.socket.cycle();
        let mut max = GIVE_UP;
        let mut answer = DramRsp::default();
        if let Some((&at, &rsp)) = self.due.iter().next() {
            if at <= now {
                answer = rsp;
                self.due.remove(&at);
            }
            max = self
                .due
                .keys()
                .next()
                .map_or(GIVE_UP, |at| at.saturating_sub(now).max(1));
        }
        self.ports.step(&mut self.socket, req, answer, stop, max);
        self.commits += usize::from(self.ports.node_obs[0].w[0] & 1 == 1);
        let [control, address, data] = self.ports.dram_req[0].w;
        if control & 1 == 1 {
            let old = self
                .memory
                .get(&address)
                .copied()
                .unwrap_or(address ^ 0x5555);
            if control & 2 == 2 {
                let mask = (0..8)
                    .filter(|b| control >> (8 + b) & 1 == 1)
                    .fold(0, |m, b| m | 0xff << (8 * b));
                self.memory.insert(address, old & !mask | data & mask);
            }
            let tag = control & 0xffff_0000;
            let mut at = self.socket.cycle() + MEMORY_CYCLES;
            while self.due.contains_key(&at) {
                at += 1;
            }
            self.due.insert(at, DramRsp { w: [1 | tag, old] });
        }
    }

    /// Runs one operation to its response.
    pub fn run(&mut self, req: CoreReq, stop: Stop) -> CoreRsp {
        let deadline = self.socket.cycle() + GIVE_UP;
        while !self.ports.ready() {
            self.step(CoreReq::default(), stop | Stop::READY);
            assert!(
                self.socket.cycle() < deadline,
                "the core never became ready"
            );
        }
        self.step(req, stop);
        while self.ports.core_rsp[0].w[0] & 1 == 0 {
            self.step(CoreReq::default(), stop);
            assert!(self.socket.cycle() < deadline, "no response");
        }
        self.ports.core_rsp[0]
    }

    /// Drives a request every cycle, whether the core is ready or not.
    pub fn flood(&mut self) {
        for i in 0..256 {
            let req = request(LOAD, i, 0x40, 0);
            self.ports
                .step(&mut self.socket, req, DramRsp::default(), Stop::NONE, 1);
        }
    }

    /// Operation `i` of a mix of loads and stores; when its response came, and the response.
    pub fn operation(&mut self, i: u64, salt: u64) -> (u64, CoreRsp) {
        let address = (i * 0x248 + salt * 8) & 0xf_fff8;
        let op = if i % 3 == 1 { STORE } else { LOAD };
        let rsp = self.run(request(op, i as u16, address, i << 32 | salt), Stop::NONE);
        (self.socket.cycle(), rsp)
    }

    /// The first operations of the mix.
    pub fn traffic(&mut self, operations: u64, salt: u64) -> Vec<(u64, CoreRsp)> {
        (0..operations).map(|i| self.operation(i, salt)).collect()
    }
}
