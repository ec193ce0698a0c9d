// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the event counters of a core counted between two points of a program, against literal
//! numbers.

use cosim::dut::Counts;
use cosim::dut::ports::{COUNTERS, Counter};
use cosim::regress::Failure;
use cosim::sim::SimHandle;

use crate::stage1::watch::unmet;

/// Cycles after which everything that an answered access does is done and counted: fills of the
/// second level, events on their way to the counter, prefetches of cached tables.
const SETTLED: u64 = 100;

/// Counters that tell time, and so depend on more than the accesses made.
const OF_TIME: [Counter; 17] = [
    Counter::CpuCycles,
    Counter::BusCycles,
    Counter::DtlbWalkPercyc,
    Counter::ItlbWalkPercyc,
    Counter::StallBackendMem,
    Counter::StallBackendTlb,
    Counter::StallFrontendTlb,
    Counter::DvmSyncWait,
    Counter::DsbWait,
    Counter::WalkCycles16,
    Counter::WalkCycles32,
    Counter::WalkCycles64,
    Counter::WalkCycles128,
    Counter::WalkCycles256,
    Counter::WalkCycles512,
    Counter::WalkCycles1024,
    Counter::WalkCyclesMore,
];

/// The counters of one core as they stood at one time.
#[derive(Clone)]
pub struct Reading {
    handle: SimHandle,
    core: usize,
    before: Counts,
}

impl Reading {
    /// Reads the counters of core `core` once nothing is under way.
    pub async fn start(handle: &SimHandle, core: usize) -> Self {
        handle.sleep(SETTLED).await;
        Self {
            handle: handle.clone(),
            core,
            before: handle.counters(core),
        }
    }

    /// What has been counted since, once nothing is under way.
    pub async fn since(&self) -> Counts {
        self.handle.sleep(SETTLED).await;
        let now = self.handle.counters(self.core);
        let mut counted = Counts::default();
        for counter in COUNTERS {
            counted.set(counter, now.get(counter) - self.before.get(counter));
        }
        counted
    }

    /// Expects that since then exactly `expected` was counted: every other counter that tells no time
    /// stands still.
    ///
    /// # Errors
    /// Names `requirement` and each counter that is wrong.
    pub async fn exactly(
        &self,
        requirement: &str,
        what: &str,
        expected: &[(Counter, u64)],
    ) -> Result<Counts, Failure> {
        let counted = self.since().await;
        let wanted = |counter: Counter| {
            let found = expected.iter().find(|(known, _)| *known == counter);
            found.map(|&(_, value)| value)
        };
        let wrong: Vec<String> = counted
            .iter()
            .filter_map(|(counter, value)| {
                let of_time = OF_TIME.contains(&counter);
                let wanted = wanted(counter).or((!of_time).then_some(0))?;
                (value != wanted).then(|| format!("{counter} counts {value}, not {wanted}"))
            })
            .collect();
        if wrong.is_empty() {
            return Ok(counted);
        }
        Err(unmet(requirement, format!("{what}: {}", wrong.join(", "))))
    }
}
