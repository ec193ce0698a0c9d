// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The counter monitor on hand-made sequences, with right and wrong counters.

use super::*;
use crate::check::feed::{
    assert_fires, assert_quiet, change_walk, fill, issue, judge, response, walk, walk_end,
};
use crate::dut::memory::AddressMap;
use crate::dut::ports::WalkKind::{Begin, Step};
use crate::dut::ports::{CoreRequest, HitPlace, Info};
use vmsa::{Descriptor, El};

const VA: u64 = 0x4000_3000;
const PAGE: u64 = 0x9000_0403;

/// A load that walks with two reads, one of them of node 1, and fills the DTLB.
fn events() -> Vec<Event> {
    let load = CoreRequest {
        id: 5,
        ..CoreRequest::load(VA, 3, El::El0)
    };
    vec![
        issue(10, load),
        walk(11, 5, VA, Begin, 2, 0x8000_0000, 0),
        walk(
            15,
            5,
            VA,
            Step,
            2,
            0x8000_0000,
            Descriptor::table(0x8000_1000).0,
        ),
        walk(19, 5, VA, Step, 3, 0x8000_1018, PAGE),
        walk_end(20, 5, VA, None),
        fill(21, 0, VA, 0x9000_0000, 4096),
        response(25, load, |r| {
            (r.place, r.pa, r.walked) = (HitPlace::Walk, 0x9000_0000, true);
        }),
    ]
}

fn right() -> Counts {
    use Counter::*;
    let mut counts = Counts::default();
    for counter in [
        L1dTlb,
        L1dTlbRd,
        L1dTlbRefill,
        L1dTlbRefillRd,
        DtlbWalk,
        DtlbWalkBegun,
        DtlbWalkSmall,
        WalkCycles16,
        WalkReadLocal,
        WalkReadRemote,
        MemAccess,
        MemAccessRd,
    ] {
        counts.set(counter, 1);
    }
    counts.set(DtlbStep, 2);
    counts.set(BusAccess, 3);
    counts.set(BusAccessRd, 3);
    counts.set(CpuCycles, 100);
    counts
}

fn judged(events: Vec<Event>, values: Counts) -> Violations {
    let reads = [0x8000_0000, 0x8000_1018, 0x9000_0000].map(|address| Event {
        cycle: 14,
        kind: EventKind::DramRead {
            node: 0,
            address,
            tag: 0,
            data: 0,
            error: false,
        },
    });
    let counters = Event {
        cycle: 100,
        kind: EventKind::Counters {
            core: 0,
            values: Box::new(values),
        },
    };
    let all: Vec<Event> = events.into_iter().chain(reads).chain([counters]).collect();
    let info = Info::decode(&[0x0000_0201_0003_4d4d, 0, 1]).expect("one core, two nodes");
    let map = AddressMap::interleaved(2);
    let mut monitor = CounterMonitor::new(Straps::default(), &info, map);
    judge(&mut monitor, &Memory::default(), &all)
}

#[test]
fn counters_that_agree_with_the_events_are_quiet() {
    assert_quiet(&judged(events(), right()));
}

#[test]
fn one_too_many_or_too_few_fires() {
    for (counter, requirement) in [
        (Counter::DtlbStep, "PMU-03"),
        (Counter::DtlbWalkSmall, "PMU-04"),
        (Counter::RemoteAccess, "PMU-06"),
        (Counter::DtlbWalkPrfm, "PMU-07"),
        (Counter::L1dTlbRefill, "PMU-02"),
        (Counter::WalkCycles32, "PMU-09"),
        (Counter::L2dTlbRd, "PMU-01"),
    ] {
        let mut wrong = right();
        wrong.set(counter, right().get(counter) + 1);
        let out = judged(events(), wrong);
        assert!(
            out.iter().any(|violation| violation.breaks(requirement)),
            "{counter}"
        );
    }
    let mut lost = right();
    lost.set(Counter::DtlbWalkBegun, 0);
    assert_fires(&judged(events(), lost), "PMU-04");
}

#[test]
fn requests_that_no_home_accepted_fire_pmu_05() {
    let mut more = right();
    more.set(Counter::BusAccess, 4);
    more.set(Counter::BusAccessRd, 4);
    let out = judged(events(), more);
    assert!(out.iter().any(|violation| violation.breaks("PMU-05")));
}

#[test]
fn a_prefetch_counts_apart_from_demand() {
    let mut all = events();
    let prefetch = |event| change_walk(event, |step| step.prefetch = true);
    all.push(prefetch(walk(30, 5, VA + 4096, Begin, 3, 0x8000_1020, 0)));
    all.push(prefetch(walk(34, 5, VA + 4096, Step, 3, 0x8000_1020, 0)));
    all.push(prefetch(walk_end(35, 5, VA + 4096, Some(vmsa::Fsc(7)))));
    let mut counts = right();
    for counter in [Counter::DtlbWalkPrfm, Counter::DtlbWalkFault] {
        counts.set(counter, 1);
    }
    counts.set(Counter::DtlbWalkBegun, 2);
    counts.set(Counter::DtlbStep, 3);
    counts.set(Counter::WalkReadRemote, 2);
    counts.set(Counter::WalkCycles16, 2);
    counts.set(Counter::BusAccess, 4);
    counts.set(Counter::BusAccessRd, 4);
    all.push(Event {
        cycle: 33,
        kind: EventKind::DramRead {
            node: 1,
            address: 0x8000_1020,
            tag: 0,
            data: 0,
            error: false,
        },
    });
    assert_quiet(&judged(all, counts));
}
