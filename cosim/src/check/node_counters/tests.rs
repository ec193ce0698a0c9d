// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The node counter monitor on hand-made sequences, with right and wrong counters.

use super::*;
use crate::check::feed::{assert_fires, assert_quiet, issue, judge, response, walk, walk_end};
use crate::dut::memory::{DramTiming, LinkLimit, NodeTiming};
use crate::dut::node_counter::NODE_COUNTERS;
use crate::dut::ports::WalkKind::{Begin, Step};
use crate::dut::ports::{
    CommitKind, CoreRequest, Counter, DramCommand, DramCommandKind, NodeCounter, NodeEvent, Traffic,
};
use vmsa::El;

const VA: u64 = 0x4000_3000;
const TABLES: [u64; 2] = [0x8000_0000, 0x8000_1018];
const LOADED: u64 = 0x9000_0000;
const STORED: u64 = 0x9000_1000;
const END: u64 = 10_000;

fn request(id: u16, store: bool) -> CoreRequest {
    let request = match store {
        true => CoreRequest::store(VA, 3, El::El0, 1),
        false => CoreRequest::load(VA, 3, El::El0),
    };
    CoreRequest { id, ..request }
}

fn at_port(cycle: u64, address: u64, write: bool) -> Event {
    let (node, tag, data, error) = ((address >> 12 & 1) as u8, 0, 0, false);
    let kind = match write {
        false => EventKind::DramRead {
            node,
            address,
            tag,
            data,
            error,
        },
        true => EventKind::DramWrite {
            node,
            address,
            tag,
            strobe: 0xff,
            data,
            error,
        },
    };
    Event { cycle, kind }
}

/// A load that walks with two reads, one of them of node 1, and reads a word of node 0; then a store
/// to node 1.
fn events() -> Vec<Event> {
    let (load, store) = (request(5, false), request(6, true));
    let stored = EventKind::Commit {
        node: 1,
        source: 0,
        kind: CommitKind::Store,
        address: STORED,
        strobe: 0xff,
        data: 1,
        before: 0,
        after: 1,
    };
    vec![
        issue(10, load),
        walk(11, 5, VA, Begin, 2, TABLES[0], 0),
        at_port(12, TABLES[0], false),
        walk(15, 5, VA, Step, 2, TABLES[0], 0),
        at_port(16, TABLES[1], false),
        walk(19, 5, VA, Step, 3, TABLES[1], 0),
        walk_end(20, 5, VA, None),
        at_port(22, LOADED, false),
        response(25, load, |response| response.pa = LOADED),
        issue(30, store),
        Event {
            cycle: 33,
            kind: stored,
        },
        at_port(33, STORED, true),
        response(36, store, |response| response.pa = STORED),
    ]
}

/// What the counters of core 0 and of both nodes read.
#[derive(Clone, Default)]
struct Values {
    core: Counts,
    nodes: [NodeCounts; 2],
}

impl Values {
    fn change(&mut self, node: usize, counter: NodeCounter, by: u64) {
        let value = self.nodes[node].get(counter);
        self.nodes[node].set(counter, value.wrapping_add(by));
    }

    /// Counts a request of `kind` at `node` and its answer.
    fn served(&mut self, node: usize, kind: Traffic) {
        let (to, from) = match kind {
            Traffic::Write => (64, 64),
            Traffic::WalkRead => (8, 8),
            _ => (8, 64),
        };
        for (traffic, by) in [
            (kind, 1),
            (Traffic::BytesTo, to),
            (Traffic::BytesFrom, from),
            (Traffic::Answer, 1),
        ] {
            self.change(node, NodeCounter::Of(0, traffic), by);
        }
        self.change(node, NodeCounter::Latency(0, 4), 1);
    }
}

fn right() -> Values {
    let mut values = Values::default();
    values.served(0, Traffic::WalkRead);
    values.served(0, Traffic::Read);
    values.served(1, Traffic::WalkRead);
    values.served(1, Traffic::Write);
    for (counter, value) in [
        (Counter::BusAccess, 4),
        (Counter::BusAccessRd, 3),
        (Counter::BusAccessWr, 1),
        (Counter::RemoteAccess, 1),
        (Counter::WalkReadRemote, 1),
    ] {
        values.core.set(counter, value);
    }
    values
}

fn judged_with(config: MemoryConfig, mut events: Vec<Event>, values: Values) -> Violations {
    let words = [
        0x0000_0201_0003_4d4d,
        0,
        1 | 1 << 8 | (NODE_COUNTERS as u64) << 16,
    ];
    let info = Info::decode(&words).expect("one core on one of two nodes");
    let core = EventKind::Counters {
        core: 0,
        values: Box::new(values.core),
    };
    let nodes = (0..).zip(values.nodes);
    let nodes = nodes.map(|(node, values)| EventKind::NodeCounters {
        node,
        values: Box::new(values),
    });
    let kinds = std::iter::once(core).chain(nodes);
    events.extend(kinds.map(|kind| Event { cycle: END, kind }));
    let mut monitor = NodeCounterMonitor::new(&info, config);
    judge(&mut monitor, &Memory::default(), &events)
}

fn judged(events: Vec<Event>, values: Values) -> Violations {
    judged_with(MemoryConfig::flat(2), events, values)
}

#[track_caller]
fn assert_breaks(out: &Violations, requirement: &str, of: NodeCounter) {
    let found = out.iter().any(|violation| violation.breaks(requirement));
    assert!(found, "{of} broke no {requirement}");
}

#[test]
fn counters_that_agree_with_the_events_are_quiet() {
    assert_quiet(&judged(events(), right()));
}

#[test]
fn one_request_too_many_or_too_few_fires() {
    for (traffic, requirement) in [
        (Traffic::Read, "PMU-05"),
        (Traffic::WalkRead, "PMU-07"),
        (Traffic::Write, "PMU-05"),
        (Traffic::Swap, "PMU-05"),
        (Traffic::BytesTo, "PMU-05"),
        (Traffic::BytesFrom, "PMU-05"),
        (Traffic::Answer, "PMU-09"),
        (Traffic::Error, "PMU-05"),
    ] {
        let counter = NodeCounter::Of(0, traffic);
        for by in [1, u64::MAX] {
            let mut values = right();
            if by == u64::MAX && values.nodes[0].get(counter) == 0 {
                continue;
            }
            values.change(0, counter, by);
            assert_breaks(&judged(events(), values), requirement, counter);
        }
    }
}

#[test]
fn a_request_counted_at_the_other_node_fires() {
    let mut values = right();
    values.change(0, NodeCounter::Of(0, Traffic::Write), 1);
    values.change(1, NodeCounter::Of(0, Traffic::Write), u64::MAX);
    assert_fires(&judged(events(), values), "PMU-05");
}

#[test]
fn a_histogram_that_does_not_hold_each_answer_fires() {
    for by in [1, u64::MAX] {
        let mut values = right();
        values.change(1, NodeCounter::Latency(0, 4), by);
        assert_fires(&judged(events(), values), "PMU-09");
    }
}

#[test]
fn counters_of_the_core_that_the_nodes_contradict_fire() {
    for (counter, requirement) in [
        (Counter::BusAccess, "PMU-05"),
        (Counter::BusAccessRd, "PMU-05"),
        (Counter::BusAccessWr, "PMU-05"),
        (Counter::RemoteAccess, "PMU-06"),
        (Counter::RemoteAccessRd, "PMU-06"),
        (Counter::WalkReadRemote, "PMU-06"),
    ] {
        let mut values = right();
        values.core.set(counter, values.core.get(counter) + 1);
        assert_fires(&judged(events(), values), requirement);
    }
}

#[test]
fn what_is_under_way_may_be_counted_in_part() {
    let (mut all, mut values) = (events(), right());
    all.push(issue(40, request(7, false)));
    all.push(at_port(44, LOADED, false));
    assert_fires(&judged(all.clone(), values.clone()), "PMU-05");
    // Accepted, but not answered, and the core counts it when it leaves.
    values.change(0, NodeCounter::Of(0, Traffic::Read), 1);
    values.change(0, NodeCounter::Of(0, Traffic::BytesTo), 8);
    values.core.set(Counter::BusAccess, 5);
    values.core.set(Counter::BusAccessRd, 4);
    assert_quiet(&judged(all, values));
}

#[test]
fn a_node_without_a_controller_counts_none_of_its_events() {
    for event in [NodeEvent::RowHit, NodeEvent::Refresh, NodeEvent::Tail] {
        let mut values = right();
        values.change(0, NodeCounter::Event(event), 1);
        assert_fires(&judged(events(), values), "MEM-01");
    }
    let mut values = right();
    values.change(1, NodeCounter::RequestStall(0), 1);
    assert_fires(&judged(events(), values), "NOC-04");
}

/// Node 0 with a controller that opened a row for the first read and found it open for the second.
fn timed() -> (MemoryConfig, Vec<Event>, Values) {
    let mut config = MemoryConfig::flat(2);
    config.nodes[0] = Some(NodeTiming::new(DramTiming::DDR4_2666));
    config.links[0][0] = LinkLimit { rate: 1, burst: 1 };
    let mut values = right();
    for (event, value) in [
        (NodeEvent::RowClosed, 1),
        (NodeEvent::RowHit, 1),
        (NodeEvent::Activate, 1),
        (NodeEvent::ReadQueue, 20),
        (NodeEvent::ReadQueueMost, 1),
    ] {
        values.change(0, NodeCounter::Event(event), value);
    }
    values.change(0, NodeCounter::RequestStall(0), 5);
    let commands = [
        (11, DramCommandKind::Activate),
        (14, DramCommandKind::Read),
        (19, DramCommandKind::Read),
        (22, DramCommandKind::Precharge),
    ];
    let commands = commands.map(|(cycle, kind)| {
        let command = DramCommand {
            kind,
            rank: 1,
            group: 3,
            bank: 2,
            row: 7,
            column: 0,
        };
        let kind = EventKind::DramCommand {
            node: 0,
            channel: 0,
            command,
        };
        Event { cycle, kind }
    });
    let mut all = events();
    all.extend(commands);
    all.sort_by_key(|event| event.cycle);
    (config, all, values)
}

#[test]
fn a_controller_that_counts_what_it_can_have_done_is_quiet() {
    let (config, events, values) = timed();
    assert_quiet(&judged_with(config, events, values));
}

#[test]
fn what_the_controller_cannot_have_done_fires() {
    for (event, value, requirement) in [
        (NodeEvent::RowHit, 2, "PMU-05"),
        (NodeEvent::RowHit, 0, "MEM-01"),
        (NodeEvent::RowClosed, 0, "MEM-01"),
        (NodeEvent::RowConflict, 1, "MEM-01"),
        (NodeEvent::Activate, 2, "MEM-01"),
        (NodeEvent::Refresh, 1, "MEM-01"),
        (NodeEvent::Activate, 0, "MEM-02"),
        (NodeEvent::ReadForwarded, 3, "PMU-05"),
        (NodeEvent::Turnaround, 1, "MEM-01"),
        (NodeEvent::AgeOverride, 3, "MEM-06"),
        (NodeEvent::ReadQueueMost, 33, "MEM-12"),
        (NodeEvent::WriteQueueMost, 1, "MEM-12"),
        (NodeEvent::ReadQueue, END + 1, "MEM-12"),
        (NodeEvent::WriteQueue, 1, "MEM-12"),
        (NodeEvent::Refresh, 1, "MEM-08"),
        (NodeEvent::RefreshWait, END + 1, "MEM-08"),
        (NodeEvent::SliceHit, 1, "PMU-05"),
        (NodeEvent::SliceMiss, 1, "PMU-05"),
        (NodeEvent::Tail, 1, "MEM-13"),
        (NodeEvent::TokenStall, 1, "MEM-13"),
        (NodeEvent::CreditStall, 1, "MEM-13"),
    ] {
        let (config, events, mut values) = timed();
        values.nodes[0].set(NodeCounter::Event(event), value);
        let out = judged_with(config, events, values);
        assert_breaks(&out, requirement, NodeCounter::Event(event));
    }
}
