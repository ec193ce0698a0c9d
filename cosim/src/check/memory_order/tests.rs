// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::check::feed::{assert_fires, assert_quiet, judge};
use crate::dut::configs;
use crate::dut::memory::{DramTiming, NodeTiming};

const LINE: u64 = 0x12_3440;

fn judged(events: &[Event]) -> Violations {
    let mut config = MemoryConfig::flat(1);
    config.nodes[0] = Some(NodeTiming::new(DramTiming::DDR4_2666));
    let mut info = Info::of_config(&configs()[0]);
    (info.nodes, info.channels) = (1, 2);
    judge(
        &mut MemoryOrderMonitor::new(&config, &info),
        &Memory::default(),
        events,
    )
}

fn bound() -> u64 {
    read_bound(&NodeTiming::new(DramTiming::DDR4_2666), 500)
}

fn port_read(cycle: u64, address: u64) -> Event {
    let kind = EventKind::DramRead {
        node: 0,
        address,
        tag: 0,
        data: 0,
        error: false,
    };
    Event { cycle, kind }
}

fn port_write(cycle: u64, address: u64) -> Event {
    let kind = EventKind::DramWrite {
        node: 0,
        address,
        tag: 0,
        strobe: 0xff,
        data: 0,
        error: false,
    };
    Event { cycle, kind }
}

/// A column command of the line of `address`, on two channels.
fn column(cycle: u64, kind: DramCommandKind, address: u64) -> Event {
    let line = address >> 7;
    let row = line >> 9;
    let command = DramCommand {
        kind,
        rank: (line >> 8 & 1) as u8,
        group: (line >> 2 & 3 ^ row & 3) as u8,
        bank: (line >> 4 & 3 ^ row >> 2 & 3) as u8,
        row,
        column: (line & 3 | (line >> 6 & 3) << 2) as u8,
    };
    let kind = EventKind::DramCommand {
        node: 0,
        channel: (address >> 6 & 1) as u8,
        command,
    };
    Event { cycle, kind }
}

fn read(cycle: u64) -> Event {
    column(cycle, DramCommandKind::Read, LINE)
}

fn write(cycle: u64) -> Event {
    column(cycle, DramCommandKind::Write, LINE)
}

#[test]
fn commands_name_the_line_that_was_asked() {
    for address in [0, 0x40, LINE, 0xffff_ffff_ffc0, 0x2_1234_5680] {
        let EventKind::DramCommand {
            channel, command, ..
        } = column(1, DramCommandKind::Read, address).kind
        else {
            unreachable!()
        };
        assert_eq!(line_of(&command, channel, 2), address >> 6);
    }
}

#[test]
fn each_request_has_its_command() {
    let events = [
        port_read(10, LINE),
        port_read(11, LINE + 8),
        read(50),
        read(60),
        port_write(70, LINE),
        write(90),
        port_read(100, LINE),
        read(130),
    ];
    assert_quiet(&judged(&events));
}

#[test]
fn a_command_that_nobody_asked_for_fires() {
    let twice = [
        port_read(10, LINE),
        read(50),
        read(60),
        port_read(70, LINE + 64),
    ];
    assert_fires(&judged(&twice), "MEM-12");
    assert_fires(&judged(&[read(60), port_write(70, LINE)]), "MEM-12");
    let twice = [port_write(10, LINE), write(50), write(60)];
    assert_fires(&judged(&twice), "MEM-12");
}

#[test]
fn the_read_of_a_swap_may_come_before_its_request_shows() {
    assert_quiet(&judged(&[
        read(8),
        port_read(10, LINE),
        port_write(13, LINE),
        write(99),
    ]));
}

#[test]
fn a_read_that_passes_an_older_write_fires() {
    let events = [port_write(10, LINE), port_read(20, LINE), read(50)];
    assert_fires(&judged(&events), "MEM-04");
}

#[test]
fn a_write_that_passes_an_older_read_fires() {
    let events = [port_read(10, LINE), port_write(20, LINE), write(50)];
    assert_fires(&judged(&events), "MEM-04");
}

#[test]
fn reads_of_a_queued_write_need_no_command_and_writes_join() {
    let events = [
        port_write(10, LINE),
        port_read(20, LINE),
        port_write(25, LINE),
        write(50),
        // The last of them may have come too late to join.
        write(80),
        port_read(90, LINE),
        read(130),
    ];
    assert_quiet(&judged(&events));
    let mut three = events[..5].to_vec();
    three.push(write(90));
    assert_fires(&judged(&three), "MEM-12");
}

#[test]
fn writes_long_in_the_queue_have_joined() {
    let mut events = vec![port_write(1, LINE), port_write(2, LINE)];
    events.extend((0..IN_PORT).map(|i| port_write(10 + i, 0x100_0000 + 64 * i)));
    events.push(write(100));
    assert_quiet(&judged(&events));
    events.push(write(110));
    assert_fires(&judged(&events), "MEM-12");
}

#[test]
fn a_read_without_a_command_fires_after_the_bound() {
    let until = |cycle| [port_read(10, LINE), port_write(cycle, 0x8000)];
    assert_quiet(&judged(&until(9 + bound())));
    assert_fires(&judged(&until(10 + bound())), "MEM-06");
    let served = [
        port_read(10, LINE),
        read(60),
        port_write(10 + bound(), 0x8000),
    ];
    assert_quiet(&judged(&served));
}

#[test]
fn a_line_with_too_many_requests_in_doubt_is_not_judged() {
    let reads = |count| (0..count).map(|_| port_read(1, LINE));
    let judged = |count| judged(&reads(count).chain([write(10)]).collect::<Vec<_>>());
    assert_fires(&judged(100), "MEM-04");
    assert_quiet(&judged(130));
}

#[test]
fn a_read_that_a_write_may_have_answered_is_not_late() {
    let events = [
        port_write(10, LINE),
        port_read(20, LINE),
        port_write(30 + bound(), 0x8000),
        write(40 + bound()),
    ];
    assert_quiet(&judged(&events));
}
