// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the parts of an access count: a lookup, a request to memory, a walk.

use cosim::dut::ports::{CoreRequest, Counter as C};

/// Counters with what each counts.
pub type Counted = Vec<(C, u64)>;

/// What is done, how it is called, and what it counts.
pub type Case = (&'static str, CoreRequest, Counted);

/// Counts of one first-level lookup that hits, to read.
pub const HIT_RD: [(C, u64); 2] = [(C::L1dTlb, 1), (C::L1dTlbRd, 1)];
/// The same to write.
pub const HIT_WR: [(C, u64); 2] = [(C::L1dTlb, 1), (C::L1dTlbWr, 1)];
/// A request to memory that reads.
pub const READ: [(C, u64); 4] = [
    (C::MemAccess, 1),
    (C::MemAccessRd, 1),
    (C::BusAccess, 1),
    (C::BusAccessRd, 1),
];
/// One that writes.
pub const WRITE: [(C, u64); 4] = [
    (C::MemAccess, 1),
    (C::MemAccessWr, 1),
    (C::BusAccess, 1),
    (C::BusAccessWr, 1),
];

/// The sum of `parts`.
#[must_use]
pub fn sum(parts: &[&[(C, u64)]]) -> Counted {
    let mut total: Counted = Vec::new();
    for &(counter, count) in parts.iter().copied().flatten() {
        match total.iter_mut().find(|(known, _)| *known == counter) {
            Some((_, value)) => *value += count,
            None => total.push((counter, count)),
        }
    }
    total
}

/// A data walk to a page in `steps` reads, below a cached table of level 2 if there is one, that fills
/// both levels of the TLB.
#[must_use]
pub fn data_walk(steps: u64, write: bool) -> Counted {
    let [l2, refill, l2_refill] = if write {
        [C::L2dTlbWr, C::L1dTlbRefillWr, C::L2dTlbRefillWr]
    } else {
        [C::L2dTlbRd, C::L1dTlbRefillRd, C::L2dTlbRefillRd]
    };
    vec![
        (C::L2dTlb, 1),
        (l2, 1),
        (C::L1dTlbRefill, 1),
        (refill, 1),
        (C::L2dTlbRefill, 1),
        (l2_refill, 1),
        (C::DtlbWalk, 1),
        (C::DtlbWalkBegun, 1),
        (C::DtlbWalkSmall, 1),
        (C::DtlbStep, steps),
        (C::WalkReadLocal, steps),
        (C::BusAccess, steps),
        (C::BusAccessRd, steps),
        (C::WalkCacheHitL2, u64::from(steps == 1)),
    ]
}
