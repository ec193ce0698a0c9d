// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Waveform files: they appear, readers accept them, and their time axis is the documented one.

mod driver;

use cosim_bridge::{BridgeError, TraceFormat};
use driver::Machine;
use fst_reader::{FstFilter, FstHierarchyEntry, FstReader, FstSignalValue};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// (time, new value) of the top module's clock.
type Edges = Vec<(u64, bool)>;

fn clock_of_fst(path: &Path) -> Edges {
    let mut reader =
        FstReader::open(BufReader::new(File::open(path).expect("exists"))).expect("is FST");
    let mut clock = None;
    reader
        .read_hierarchy(|entry| {
            if let FstHierarchyEntry::Var { name, handle, .. } = entry
                && name == "clk_i"
            {
                clock.get_or_insert(handle);
            }
        })
        .expect("has a hierarchy");
    let clock = clock.expect("has a clock");
    let mut edges = Vec::new();
    reader
        .read_signals(&FstFilter::filter_signals(vec![clock]), |time, _, value| {
            if let FstSignalValue::String(bits) = value {
                edges.push((time, bits == b"1"));
            }
            Ok::<(), std::io::Error>(())
        })
        .expect("has values");
    edges
}

fn clock_of_vcd(path: &Path) -> Edges {
    let mut parser = vcd::Parser::new(BufReader::new(File::open(path).expect("exists")));
    let header = parser.parse_header().expect("is VCD");
    fn find(items: &[vcd::ScopeItem]) -> Option<vcd::IdCode> {
        items.iter().find_map(|item| match item {
            vcd::ScopeItem::Var(v) if v.reference == "clk_i" => Some(v.code),
            vcd::ScopeItem::Scope(s) => find(&s.items),
            _ => None,
        })
    }
    let clock = find(&header.items).expect("has a clock");
    let (mut now, mut edges) = (0, Vec::new());
    for command in parser {
        match command.expect("is VCD") {
            vcd::Command::Timestamp(t) => {
                assert!(t > now || now == 0, "time goes back: {now} then {t}");
                now = t;
            }
            vcd::Command::ChangeScalar(id, value) if id == clock => {
                edges.push((now, value == vcd::Value::V1))
            }
            _ => {}
        }
    }
    edges
}

/// Cycles `from` + 1 to `to`.
fn expected(from: u64, to: u64) -> Edges {
    (from + 1..=to)
        .flat_map(|n| [(10 * n, true), (10 * n + 5, false)])
        .collect()
}

#[test]
fn both_formats_hold_both_edges_of_every_cycle_in_the_window() {
    let folder = tempfile::tempdir().expect("a folder");
    for format in [TraceFormat::Fst, TraceFormat::Vcd] {
        let mut machine = Machine::open("tiny", 1);
        machine.traffic(5, 1);
        let from = machine.socket.cycle();
        let path = folder.path().join("window");
        machine.socket.open_trace(&path, format).expect("opens");
        machine.traffic(20, 1);
        let to = machine.socket.cycle();
        machine.socket.close_trace().expect("closes");
        machine.traffic(5, 1);
        let edges = match format {
            TraceFormat::Fst => clock_of_fst(&path),
            TraceFormat::Vcd => clock_of_vcd(&path),
        };
        assert_eq!(edges, expected(from, to), "{format:?}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("lists").collect();
    assert_eq!(left.len(), 1, "temporary files are removed: {left:?}");
}

#[test]
fn a_second_trace_of_one_socket_is_as_complete_as_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut machine = Machine::open("tiny", 1);
    let mut windows = BTreeMap::new();
    for name in ["first.fst", "second.fst"] {
        let path = folder.path().join(name);
        let from = machine.socket.cycle();
        machine
            .socket
            .open_trace(&path, TraceFormat::Fst)
            .expect("opens");
        machine.traffic(10, 1);
        windows.insert(path, (from, machine.socket.cycle()));
    }
    drop(machine);
    for (path, (from, to)) in windows {
        assert_eq!(
            clock_of_fst(&path),
            expected(from, to),
            "{}",
            path.display()
        );
    }
}

#[test]
fn tracing_does_not_change_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut traced = Machine::open("tiny", 1);
    traced
        .socket
        .open_trace(folder.path().join("t.fst"), TraceFormat::Fst)
        .expect("opens");
    assert_eq!(
        traced.traffic(30, 3),
        Machine::open("tiny", 1).traffic(30, 3)
    );
}

#[test]
fn a_path_that_cannot_be_written_is_an_error() {
    let mut machine = Machine::open("tiny", 1);
    let result = machine
        .socket
        .open_trace("/nonexistent/folder/t.fst", TraceFormat::Fst);
    assert!(matches!(result, Err(BridgeError::Trace { .. })));
}
