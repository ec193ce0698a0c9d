// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The agents at the DRAM ports: requests take effect as they appear, answers come later.
//!
//! A request seen in the outputs of cycle n is executed then, and the clock edge of cycle
//! n + latency samples its answer. With a jitter each answer takes up to that many cycles more, so
//! that answers overtake each other. One answer a node and cycle.

use std::collections::VecDeque;

use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::memory::Memory;
use crate::dut::ports::{DramAnswer, DramRequest};

/// How long DRAM takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryTiming {
    /// Cycles from request to answer, at least 1.
    pub latency: u64,
    /// Greatest random addition in cycles; 0 is none.
    pub jitter: u64,
}

impl Default for MemoryTiming {
    /// 20 cycles, always.
    fn default() -> Self {
        Self {
            latency: 20,
            jitter: 0,
        }
    }
}

/// An answer and the cycle whose clock edge samples it at the earliest.
type Due = (u64, DramAnswer);

/// The agents of all nodes.
pub(crate) struct DramAgents {
    timing: MemoryTiming,
    rng: Pcg64Mcg,
    /// One queue a node, ordered by due cycle and, within one, by request.
    queues: Vec<VecDeque<Due>>,
}

impl DramAgents {
    pub(crate) fn new(nodes: usize, timing: MemoryTiming, rng: Pcg64Mcg) -> Self {
        let queues = (0..nodes).map(|_| VecDeque::with_capacity(64)).collect();
        Self {
            timing,
            rng,
            queues,
        }
    }

    /// Executes a request seen in the outputs of cycle `now`; returns the answer it will get.
    pub(crate) fn accept(
        &mut self,
        now: u64,
        node: usize,
        request: &DramRequest,
        memory: &mut Memory,
    ) -> DramAnswer {
        let answer = memory.serve(request);
        let extra = if self.timing.jitter == 0 {
            0
        } else {
            self.rng.random_range(0..=self.timing.jitter)
        };
        let due = now + self.timing.latency.max(1) + extra;
        let queue = &mut self.queues[node];
        // With a constant latency this is a push at the back.
        let place = queue
            .iter()
            .rposition(|&(other, _)| other <= due)
            .map_or(0, |i| i + 1);
        queue.insert(place, (due, answer));
        answer
    }

    /// Takes the answer of `node` that the clock edge of cycle `edge` samples.
    pub(crate) fn take_due(&mut self, node: usize, edge: u64) -> Option<DramAnswer> {
        let queue = &mut self.queues[node];
        if queue.front().is_some_and(|&(due, _)| due <= edge) {
            return queue.pop_front().map(|(_, answer)| answer);
        }
        None
    }

    /// The next cycle whose clock edge samples an answer of `node`.
    pub(crate) fn next_due(&self, node: usize) -> Option<u64> {
        self.queues[node].front().map(|&(due, _)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::seed::Seed;

    fn read(tag: u16, address: u64) -> DramRequest {
        DramRequest {
            tag,
            write: false,
            strobe: 0,
            address,
            data: 0,
        }
    }

    #[test]
    fn requests_take_effect_at_once_and_are_answered_after_the_latency() {
        let mut memory = Memory::new();
        let timing = MemoryTiming {
            latency: 5,
            jitter: 0,
        };
        let mut agents = DramAgents::new(1, timing, Seed::new(0).rng());
        let write = DramRequest {
            tag: 1,
            write: true,
            strobe: 0xff,
            address: 8,
            data: 3,
        };
        agents.accept(10, 0, &write, &mut memory);
        assert_eq!(memory.read_u64(8), 3);
        agents.accept(10, 0, &read(2, 8), &mut memory);
        assert_eq!(agents.next_due(0), Some(15));
        assert_eq!(agents.take_due(0, 14), None);
        assert_eq!(agents.take_due(0, 15).map(|a| a.tag), Some(1));
        // The read was due in the same cycle, and there is one answer a cycle.
        let answer = agents.take_due(0, 16);
        assert_eq!(
            answer,
            Some(DramAnswer {
                tag: 2,
                error: false,
                data: 3
            })
        );
        assert_eq!(agents.next_due(0), None);
    }

    #[test]
    fn jitter_stays_in_range_reorders_and_repeats_with_the_seed() {
        let timing = MemoryTiming {
            latency: 4,
            jitter: 9,
        };
        let run = |seed| {
            let mut memory = Memory::new();
            let mut agents = DramAgents::new(1, timing, Seed::new(seed).rng());
            for tag in 0..100 {
                agents.accept(0, 0, &read(tag, 0), &mut memory);
            }
            let mut order = Vec::new();
            while let Some(due) = agents.next_due(0) {
                assert!((4..=13).contains(&due));
                order.extend(agents.take_due(0, due).map(|answer| answer.tag));
            }
            order
        };
        let order = run(3);
        assert_eq!(order.len(), 100);
        assert!(!order.is_sorted());
        assert_eq!(order, run(3));
        assert_ne!(order, run(4));
    }
}
