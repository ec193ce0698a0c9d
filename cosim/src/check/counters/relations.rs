// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the counters of one core must satisfy among themselves, whatever happened.

use crate::dut::Counts;
use crate::dut::ports::Counter::{self, *};

/// A relation that does not hold.
#[derive(Debug)]
pub struct Broken {
    /// Its requirement.
    pub requirement: &'static str,
    /// The values found.
    pub came: String,
    /// What should hold.
    pub rule: String,
}

/// Equal sums: left, right.
const SUMS: [(&str, &[Counter], &[Counter]); 8] = [
    ("PMU-01", &[L1dTlb], &[L1dTlbRd, L1dTlbWr]),
    ("PMU-01", &[L1dTlbRefill], &[L1dTlbRefillRd, L1dTlbRefillWr]),
    ("PMU-01", &[L2dTlb], &[L2dTlbRd, L2dTlbWr]),
    ("PMU-01", &[L2dTlbRefill], &[L2dTlbRefillRd, L2dTlbRefillWr]),
    ("PMU-01", &[MemAccess], &[MemAccessRd, MemAccessWr]),
    ("PMU-01", &[BusAccess], &[BusAccessRd, BusAccessWr]),
    ("PMU-01", &[ExcTaken], &[ExcPabort, ExcDabort]),
    (
        "PMU-03",
        &[DtlbStep, ItlbStep],
        &[WalkReadLocal, WalkReadRemote],
    ),
];

/// Bounds: not more of the left than of the right.
const BOUNDS: [(&str, &[Counter], &[Counter]); 14] = [
    ("PMU-02", &[L1dTlbRefill], &[L1dTlb]),
    ("PMU-02", &[L1iTlbRefill], &[L1iTlb]),
    ("PMU-02", &[DtlbWalk], &[L1dTlb]),
    ("PMU-02", &[ItlbWalk], &[L1iTlb]),
    ("PMU-02", &[L2dTlbRefill], &[L2dTlb]),
    ("PMU-06", &[RemoteAccess], &[MemAccess]),
    ("PMU-06", &[RemoteAccessRd], &[RemoteAccess]),
    ("PMU-01", &[MemAccess], &[BusAccess]),
    ("PMU-07", &[PrefetchUsed], &[PrefetchFill]),
    ("PMU-07", &[DtlbWalkPrfm], &[DtlbWalkBegun]),
    ("PMU-07", &[ItlbWalkPrfm], &[ItlbWalkBegun]),
    ("PMU-02", &[EtsRewalk], &[DtlbWalkFault, ItlbWalkFault]),
    ("PMU-02", &[ContiguousHit], &[L1dTlb, L1iTlb]),
    ("PMU-02", &[WalkMerged], &[L1dTlb, L1iTlb]),
];

/// Counters of cycles: at most one each cycle.
const CYCLES: [Counter; 7] = [
    CpuCycles,
    BusCycles,
    StallBackendMem,
    StallBackendTlb,
    StallFrontendTlb,
    DvmSyncWait,
    DsbWait,
];

/// The latency histogram of walks.
const HISTOGRAM: [Counter; 8] = [
    WalkCycles16,
    WalkCycles32,
    WalkCycles64,
    WalkCycles128,
    WalkCycles256,
    WalkCycles512,
    WalkCycles1024,
    WalkCyclesMore,
];
/// Walks that ended, and those that were cancelled, which may count or not.
const ENDED: [Counter; 6] = [
    DtlbWalkLarge,
    ItlbWalkLarge,
    DtlbWalkSmall,
    ItlbWalkSmall,
    DtlbWalkFault,
    ItlbWalkFault,
];
const CANCELLED: [Counter; 2] = [DtlbWalkCancelled, ItlbWalkCancelled];

/// The relations that `values`, read at `cycle`, break. Sums of counters that are not updated in the
/// same cycle may differ by `slack`.
pub fn broken(values: &Counts, slack: u64, cycle: u64) -> Vec<Broken> {
    let sum =
        |counters: &[Counter]| -> u64 { counters.iter().map(|&counter| values.get(counter)).sum() };
    let names = |counters: &[Counter]| {
        let names: Vec<&str> = counters.iter().map(|counter| counter.name()).collect();
        names.join(" + ")
    };
    let mut found = Vec::new();
    let mut refuse = |requirement, left: &[Counter], right: u64, rule: String| {
        found.push(Broken {
            requirement,
            came: format!("{} = {}, against {right}", names(left), sum(left)),
            rule,
        });
    };
    for (requirement, left, right) in SUMS {
        let tolerance = if requirement == "PMU-03" { slack } else { 0 };
        if sum(left).abs_diff(sum(right)) > tolerance {
            let rule = format!("{} = {}", names(left), names(right));
            refuse(requirement, left, sum(right), rule);
        }
    }
    for (requirement, left, right) in BOUNDS {
        if sum(left) > sum(right) + slack {
            let rule = format!("{} <= {}", names(left), names(right));
            refuse(requirement, left, sum(right), rule);
        }
    }
    for counter in CYCLES {
        if values.get(counter) > cycle + 2 {
            let rule = format!("at most one a cycle, of {cycle} cycles");
            refuse("PMU-02", &[counter], cycle, rule);
        }
    }
    let (ended, cancelled) = (sum(&ENDED), sum(&CANCELLED));
    let histogram = sum(&HISTOGRAM);
    if histogram + slack < ended || histogram > ended + cancelled + slack {
        let rule = format!("{} = walks completed", names(&HISTOGRAM));
        refuse("PMU-09", &HISTOGRAM, ended, rule);
    }
    found
}
