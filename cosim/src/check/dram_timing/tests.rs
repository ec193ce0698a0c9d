// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::check::feed::{assert_fires, assert_quiet, judge};
use crate::dut::configs;
use crate::dut::memory::{DramTiming, NodeTiming};
use crate::dut::ports::{DramCommand, DramCommandKind};
use DramCommandKind::{Activate, Precharge, PrechargeAll, Read, Refresh, Write};

/// DDR4-2666 in clocks of 0.5 ns: tRCD, tRP and CL 28, tRAS 64, tRC 92, tRRD 6 and 10, tFAW 42, tCCD 6
/// and 10, CWL 21, tWR 30, tWTR 5 and 15, tRTP 15, tRFC 700, tREFI 15600, burst 6.
fn monitor() -> DramTimingMonitor {
    let mut config = MemoryConfig::flat(1);
    config.nodes[0] = Some(NodeTiming::new(DramTiming::DDR4_2666));
    let mut info = Info::of_config(&configs()[0]);
    (info.nodes, info.channels) = (1, 1);
    DramTimingMonitor::new(&config, &info)
}

/// A command to `bank` (rank, group, bank), row 1.
fn at(cycle: u64, kind: DramCommandKind, (rank, group, bank): (u8, u8, u8)) -> Event {
    let command = DramCommand {
        kind,
        rank,
        group,
        bank,
        row: 1,
        column: 0,
    };
    let kind = EventKind::DramCommand {
        node: 0,
        channel: 0,
        command,
    };
    Event { cycle, kind }
}

fn to_row(mut event: Event, number: u64) -> Event {
    if let EventKind::DramCommand { command, .. } = &mut event.kind {
        command.row = number;
    }
    event
}

/// Quiet with the last command where it is; names `rule` when that comes one cycle earlier.
fn least(rule: &str, events: &[Event]) {
    assert_quiet(&judge(&mut monitor(), &Memory::default(), events));
    let mut early = events.to_vec();
    if let Some(last) = early.last_mut() {
        last.cycle -= 1;
    }
    let out = judge(&mut monitor(), &Memory::default(), &early);
    assert_fires(&out, "MEM-01");
    let first = out.first().map(|first| first.came.clone());
    assert!(first.is_some_and(|came| came.ends_with(rule)), "{rule}");
}

const B: (u8, u8, u8) = (0, 0, 0);
const SAME_GROUP: (u8, u8, u8) = (0, 0, 1);
const OTHER_GROUP: (u8, u8, u8) = (0, 1, 0);
const OTHER_RANK: (u8, u8, u8) = (1, 0, 0);

/// Two banks opened long ago.
fn open(other: (u8, u8, u8)) -> Vec<Event> {
    vec![at(100, Activate, B), at(200, Activate, other)]
}

fn then(mut events: Vec<Event>, more: &[Event]) -> Vec<Event> {
    events.extend_from_slice(more);
    events
}

#[test]
fn rules_of_one_bank() {
    least("tRCD", &[at(100, Activate, B), at(128, Read, B)]);
    least("tRCD", &[at(100, Activate, B), at(128, Write, B)]);
    least("tRAS", &[at(100, Activate, B), at(164, Precharge, B)]);
    least("tRAS", &[at(100, Activate, B), at(164, PrechargeAll, B)]);
    let late = [at(100, Activate, B), at(190, Precharge, B)];
    least("tRP", &then(late.to_vec(), &[at(218, Activate, B)]));
    let soon = [at(100, Activate, B), at(164, Precharge, B)];
    least("tRP", &then(soon.to_vec(), &[at(192, Activate, B)]));
    let read = [at(100, Activate, B), at(200, Read, B)];
    least("tRTP", &then(read.to_vec(), &[at(215, Precharge, B)]));
    let write = [at(100, Activate, B), at(200, Write, B)];
    least("tWR", &then(write.to_vec(), &[at(257, Precharge, B)]));
}

#[test]
fn the_row_cycle_counts_by_itself() {
    let mut config = MemoryConfig::flat(1);
    let mut timing = NodeTiming::new(DramTiming::DDR4_2666);
    timing.dram.t_rc = 60_000;
    config.nodes[0] = Some(timing);
    let mut info = Info::of_config(&configs()[0]);
    (info.nodes, info.channels) = (1, 1);
    let run = |cycle| {
        let events = [
            at(100, Activate, B),
            at(164, Precharge, B),
            at(cycle, Activate, B),
        ];
        let mut monitor = DramTimingMonitor::new(&config, &info);
        judge(&mut monitor, &Memory::default(), &events)
    };
    assert_quiet(&run(220));
    assert!(run(219).first().is_some_and(|v| v.came.ends_with("tRC")));
}

#[test]
fn rules_between_banks() {
    least(
        "tRRD_L",
        &[at(100, Activate, B), at(110, Activate, SAME_GROUP)],
    );
    least(
        "tRRD_S",
        &[at(100, Activate, B), at(106, Activate, OTHER_GROUP)],
    );
    let banks = [(0, 0, 0), (0, 1, 0), (0, 2, 0), (0, 3, 0)];
    let four = (0..)
        .zip(banks)
        .map(|(i, bank)| at(100 + 6 * i, Activate, bank));
    let four: Vec<Event> = four.collect();
    least(
        "tFAW",
        &then(four.clone(), &[at(142, Activate, SAME_GROUP)]),
    );
    // Another rank has a window of its own.
    let other = then(four, &[at(119, Activate, OTHER_RANK)]);
    assert_quiet(&judge(&mut monitor(), &Memory::default(), &other));
}

#[test]
fn rules_of_column_commands() {
    for kind in [Read, Write] {
        let events = then(
            open(SAME_GROUP),
            &[at(300, kind, B), at(310, kind, SAME_GROUP)],
        );
        least("tCCD_L", &events);
        for other in [OTHER_GROUP, OTHER_RANK] {
            let events = then(open(other), &[at(300, kind, B), at(306, kind, other)]);
            least("tCCD_S", &events[..events.len()]);
        }
    }
    // Data of the write end at 300 + CWL + burst = 327.
    let write = at(300, Write, B);
    least(
        "tWTR_L",
        &then(
            open(SAME_GROUP),
            &[write.clone(), at(342, Read, SAME_GROUP)],
        ),
    );
    least(
        "tWTR_S",
        &then(open(OTHER_GROUP), &[write, at(332, Read, OTHER_GROUP)]),
    );
}

#[test]
fn data_of_two_commands_do_not_meet() {
    // Data of the read: 328 to 334; of the write, from CWL = 21 on.
    let read = at(300, Read, B);
    let events = then(open(OTHER_RANK), &[read, at(313, Write, OTHER_RANK)]);
    least("bus", &events);
    // In another rank tWTR does not hold, but the bus does: data from 327 on, CL is 28.
    let write = at(300, Write, B);
    let events = then(open(OTHER_RANK), &[write, at(306, Read, OTHER_RANK)]);
    assert_quiet(&judge(&mut monitor(), &Memory::default(), &events));
}

#[test]
fn refreshes_find_closed_banks_and_keep_their_rank_busy() {
    let closed = [at(100, Activate, B), at(200, PrechargeAll, B)];
    least("tRP", &then(closed.to_vec(), &[at(228, Refresh, B)]));
    least(
        "tRFC",
        &[at(100, Refresh, B), at(800, Activate, SAME_GROUP)],
    );
    least("tRFC", &[at(100, Refresh, B), at(800, Refresh, B)]);
    let other = [at(100, Refresh, B), at(101, Activate, OTHER_RANK)];
    assert_quiet(&judge(&mut monitor(), &Memory::default(), &other));
    let open = [at(100, Activate, B), at(300, Refresh, B)];
    let out = judge(&mut monitor(), &Memory::default(), &open);
    assert_fires(&out, "MEM-01");
}

#[test]
fn column_commands_need_their_row_and_activates_a_closed_bank() {
    let judged = |events: &[Event]| judge(&mut monitor(), &Memory::default(), events);
    assert_fires(&judged(&[at(100, Read, B)]), "MEM-02");
    assert_fires(&judged(&[at(100, Write, B)]), "MEM-02");
    let other_row = [at(100, Activate, B), to_row(at(200, Read, B), 2)];
    assert_fires(&judged(&other_row), "MEM-02");
    let closed = [
        at(100, Activate, B),
        at(200, Precharge, B),
        at(300, Read, B),
    ];
    assert_fires(&judged(&closed), "MEM-02");
    let twice = [at(100, Activate, B), at(300, Activate, B)];
    assert_fires(&judged(&twice), "MEM-02");
}

#[test]
fn eight_refreshes_may_be_owing_and_nine_may_not() {
    let end = |cycle| at(cycle, Precharge, B);
    let judged = |events: &[Event]| judge(&mut monitor(), &Memory::default(), events);
    assert_quiet(&judged(&[end(9 * 15_600 - 1)]));
    assert_fires(&judged(&[end(9 * 15_600)]), "MEM-08");
    let ranks = [at(50, Refresh, B), at(60, Refresh, OTHER_RANK)];
    assert_quiet(&judged(&then(ranks.to_vec(), &[end(9 * 15_600)])));
    assert_fires(&judged(&[at(50, Refresh, B), end(9 * 15_600)]), "MEM-08");
}

#[test]
fn a_command_of_a_node_without_controller_fires() {
    let mut info = Info::of_config(&configs()[0]);
    (info.nodes, info.channels) = (1, 1);
    let mut monitor = DramTimingMonitor::new(&MemoryConfig::flat(1), &info);
    let out = judge(&mut monitor, &Memory::default(), &[at(100, Activate, B)]);
    assert_fires(&out, "MEM-01");
}
