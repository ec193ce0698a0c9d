// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The lanes of the OS in the transaction file, read back by a reader of VCD.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use sw_mm::{Activity, OsEvent, Phase};
use vcd::{Command, IdCode, Value};

use super::TransactionWriter;
use crate::check::Violations;
use crate::check::feed::{commit, issue};
use crate::dut::ports::{CommitKind, CoreRequest};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};
use Phase::{Begin, End, Instant};
use vmsa::El;

fn os(cycle: u64, phase: Phase, activity: Activity, va: u64) -> Event {
    let event = OsEvent {
        core: 1,
        phase,
        activity,
        space: 3,
        va,
        pa: 0x8000,
        bytes: 0x1000,
    };
    Event {
        cycle,
        kind: EventKind::Os(event),
    }
}

/// A file of two cores about `events`, of a run that ends at `end`.
struct File {
    header: vcd::Header,
    changes: BTreeMap<IdCode, Vec<(u64, String)>>,
}

impl File {
    fn of(window: Option<RangeInclusive<u64>>, events: &[Event], end: u64) -> Self {
        let mut bytes = Vec::new();
        let mut writer = TransactionWriter::new(&mut bytes, 2, window).unwrap();
        let (memory, mut out) = (Memory::default(), Violations::new());
        for event in events {
            writer.event(event, &memory, &mut out);
        }
        writer.finish(end, &memory, &mut out);
        assert!(out.is_empty());
        drop(writer);
        let mut parser = vcd::Parser::new(&bytes[..]);
        let header = parser.parse_header().unwrap();
        let (mut now, mut changes) = (0, BTreeMap::<_, Vec<_>>::new());
        for command in parser {
            let (id, value) = match command.unwrap() {
                Command::Timestamp(time) => {
                    assert!(time >= now, "time goes on");
                    now = time;
                    continue;
                }
                Command::ChangeScalar(id, value) => (id, value.to_string()),
                Command::ChangeVector(id, value) => (id, number(&value)),
                Command::ChangeString(id, value) => (id, value),
                _ => continue,
            };
            let list = changes.entry(id).or_default();
            // Of several values at one time the last one shows.
            match list.last_mut() {
                Some((time, shown)) if *time == now => *shown = value,
                _ => list.push((now, value)),
            }
        }
        Self { header, changes }
    }

    /// The values of a variable of core 1, each from its time in ns on.
    fn of_core(&self, lane: &str, name: &str) -> Vec<(u64, &str)> {
        let path = ["transactions", "core1", lane, name];
        let variable = self.header.find_var(&path).expect("declared");
        let list = &self.changes[&variable.code];
        list.iter()
            .map(|(time, value)| (*time, value.as_str()))
            .collect()
    }
}

/// A vector in hexadecimal, or `x`.
fn number(value: &vcd::Vector) -> String {
    let mut number = 0u64;
    for bit in value {
        match bit {
            Value::V0 => number <<= 1,
            Value::V1 => number = number << 1 | 1,
            _ => return "x".into(),
        }
    }
    format!("{number:x}")
}

#[test]
fn nested_activities_lie_one_below_the_other_while_they_last() {
    let file = File::of(
        None,
        &[
            os(5, Begin, Activity::Fault, 0x4000),
            os(7, Begin, Activity::CopyOnWrite, 0x4000),
            os(8, Begin, Activity::Flush, 0x4000),
            os(12, End, Activity::Flush, 0x4000),
            os(14, End, Activity::CopyOnWrite, 0x4000),
            os(15, End, Activity::Fault, 0x4000),
        ],
        20,
    );
    let text = |activity: &str| format!("{activity}_mm3_va_0x4000_pa_0x8000_+0x1000");
    for (lane, activity, from, to) in [
        ("os0", Activity::Fault, 50, 150),
        ("os1", Activity::CopyOnWrite, 70, 140),
        ("os2", Activity::Flush, 80, 120),
    ] {
        let text = text(activity.name());
        let code = format!("{:x}", activity as u8);
        let lasts = |shown| [(0, "-"), (from, shown), (to, "-")];
        assert_eq!(file.of_core(lane, "text"), lasts(text.as_str()));
        let while_it_lasts = |name| file.of_core(lane, name);
        assert_eq!(while_it_lasts("valid"), [(0, "0"), (from, "1"), (to, "0")]);
        for (name, value) in [
            ("activity", code.as_str()),
            ("space", "3"),
            ("va", "4000"),
            ("pa", "8000"),
            ("bytes", "1000"),
        ] {
            assert_eq!(while_it_lasts(name), [(0, "x"), (from, value), (to, "x")]);
        }
    }
    assert_eq!(file.of_core("os3", "text"), [(0, "-")]);
}

#[test]
fn what_began_before_the_window_shows_when_it_opens() {
    let events = [
        os(5, Begin, Activity::Munmap, 0x4000),
        os(6, Begin, Activity::Flush, 0x4000),
        os(7, End, Activity::Flush, 0x4000),
        os(8, Instant, Activity::FrameFreed, 0x4000),
        commit(25, CommitKind::Store, 0x8000, 1, 3),
        os(30, End, Activity::Munmap, 0x4000),
        os(31, Begin, Activity::Fork, 0),
    ];
    let file = File::of(Some(20..=30), &events, 40);
    let shown = "munmap_mm3_va_0x4000_pa_0x8000_+0x1000";
    assert_eq!(file.of_core("os0", "text"), [(200, shown), (300, "-")]);
    assert_eq!(file.of_core("os1", "text"), [(200, "-")]);
    assert_eq!(file.of_core("os_instant", "valid"), [(200, "0")]);
    // Also if nothing at all happens in it.
    let file = File::of(Some(10..=20), &events, 40);
    assert_eq!(file.of_core("os0", "text"), [(100, shown)]);
    let file = File::of(Some(10..=20), &events[..3], 40);
    assert_eq!(file.of_core("os0", "text"), [(100, shown)]);
}

#[test]
fn instants_of_one_cycle_stand_one_behind_the_other_and_are_counted() {
    let freed = |va| os(5, Instant, Activity::FrameFreed, va);
    let request = CoreRequest::load(0x1000, 3, El::El0);
    let mut events = vec![freed(1), freed(2), freed(3), issue(5, request)];
    let file = File::of(None, &events, 20);
    let shown = [(0, "x"), (50, "1"), (51, "2"), (52, "3")];
    assert_eq!(file.of_core("os_instant", "va"), shown);
    assert_eq!(file.of_core("os_instant", "count"), shown);
    assert_eq!(file.of_core("os_instant", "valid").last(), Some(&(60, "0")));
    // More than a cycle holds: the last one shows, and how many there were.
    events.extend((4..=30).map(freed));
    events.push(os(6, Instant, Activity::FrameAllocated, 31));
    let file = File::of(None, &events, 20);
    let tail: Vec<_> = file.of_core("os_instant", "count").split_off(9);
    assert_eq!(tail, [(58, "9"), (59, "1e"), (60, "1")]);
}

#[test]
fn an_activity_without_length_is_seen() {
    let file = File::of(
        None,
        &[
            os(5, Begin, Activity::Fold, 0),
            os(5, End, Activity::Fold, 0),
            os(5, Begin, Activity::Fault, 0),
        ],
        20,
    );
    let codes = file.of_core("os0", "activity");
    assert_eq!(codes, [(0, "x"), (50, "b"), (51, "x"), (52, "0")]);
}

#[test]
fn unmatched_ends_unknown_cores_and_deep_nesting_do_no_harm() {
    let mut events = vec![os(4, End, Activity::Fault, 0)];
    events.extend((0..6).map(|va| os(5 + va, Begin, Activity::Fault, va)));
    events.extend((0..6).rev().map(|va| os(30 - va, End, Activity::Fault, va)));
    for event in &mut events.clone() {
        if let EventKind::Os(told) = &mut event.kind {
            told.core = 200;
        }
        events.push(event.clone());
    }
    events.sort_by_key(|event| event.cycle);
    let file = File::of(None, &events, 40);
    assert_eq!(file.of_core("os3", "va"), [(0, "x"), (80, "3"), (270, "x")]);
}

/// Signals that the layouts of viewers name.
fn named_signals(layout: &str) -> impl Iterator<Item = &str> {
    layout
        .lines()
        .map(|line| line.trim_start_matches("variable_add "))
        .filter(|line| line.starts_with("transactions."))
        .map(|line| line.split('[').next().unwrap_or(line))
}

#[test]
fn the_layouts_of_viewers_name_signals_of_the_file() {
    let file = File::of(None, &[], 1);
    for layout in [
        include_str!("../../../waveforms/transactions.gtkw"),
        include_str!("../../../waveforms/transactions.sucl"),
    ] {
        let mut count = 0;
        for name in named_signals(layout) {
            let path: Vec<&str> = name.split('.').collect();
            assert!(file.header.find_var(&path).is_some(), "{name}");
            count += 1;
        }
        assert!(count > 20, "{count} signals");
        for lane in ["os0", "os3", "os_instant"] {
            let name = format!("transactions.core0.{lane}.text");
            assert!(named_signals(layout).any(|named| named == name), "{name}");
        }
    }
}

#[test]
fn the_translate_file_of_activities_holds_each_under_its_code() {
    let file = include_str!("../../../waveforms/activity.filter");
    let expected: Vec<String> = Activity::ALL
        .iter()
        .map(|activity| format!("{:02X} {activity}", *activity as u8))
        .collect();
    assert_eq!(file.lines().collect::<Vec<_>>(), expected);
}
