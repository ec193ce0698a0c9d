// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim experiment` from outside: figures, files, exit codes, and what bad input is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn experiment(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .arg("experiment")
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The command ends with code 2 and one message that has all of `parts`.
fn refused(arguments: &[&str], parts: &[&str]) {
    let output = experiment(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    for part in parts {
        assert!(
            message.contains(part),
            "{arguments:?}: no {part:?} in {message}"
        );
    }
}

#[test]
fn memory_latency_meets_the_distances_and_writes_the_files_asked_for() {
    let (csv, svg) = (file("latency.csv"), file("latency.svg"));
    let paths = [&csv, &svg].map(|path| path.to_string_lossy().into_owned());
    let output = experiment(&[
        "memory-latency",
        "--quick",
        "--json",
        "--csv",
        &paths[0],
        "--svg",
        &paths[1],
    ]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let object: Value = serde_json::from_str(text.lines().last().unwrap_or("")).expect("JSON");
    assert_eq!(object["pass"], true);
    assert_eq!(object["seed"], 1);
    assert_eq!(object["parameters"]["clock_ps"], 500);
    let expected = serde_json::json!([[90.0, 153.0, 216.0, 306.0], [153.0, 90.0, 306.0, 216.0]]);
    assert_eq!(object["expected_ns"], expected);
    assert_eq!(
        object["matrix_ns"], expected,
        "NOC-01 grants a clock, none is needed"
    );
    let services = object["service"].as_array().expect("a list");
    assert_eq!(services.len(), 12, "three states at four nodes");
    for service in services {
        assert_eq!(
            service["service_clocks"], service["expected_clocks"],
            "{service}"
        );
    }
    let checks = object["checks"].as_array().expect("a list");
    assert!(checks.iter().all(|check| check["pass"] == true));

    let csv = std::fs::read_to_string(csv).expect("the table is written");
    assert!(csv.starts_with("table,row,column,value\n"));
    assert!(
        csv.lines()
            .any(|line| line.contains("node 0,") && line.ends_with(",153.0"))
    );
    let svg = std::fs::read_to_string(svg).expect("the image is written");
    assert!(svg.contains("slow tier") && svg.trim_end().ends_with("</svg>"));
}

// CONTPTE-01, 26, 28, 34, 36.
#[test]
fn contpte_gains_beyond_the_tlb_and_batches_repair_fork_and_munmap() {
    let (csv, svg) = (file("contpte.csv"), file("contpte.svg"));
    let paths = [&csv, &svg].map(|path| path.to_string_lossy().into_owned());
    let output = experiment(&[
        "contpte", "--quick", "--json", "--csv", &paths[0], "--svg", &paths[1],
    ]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let object: Value = serde_json::from_str(text.lines().last().unwrap_or("")).expect("JSON");
    assert_eq!(object["pass"], true);
    assert_eq!(object["seed"], 1);
    assert_eq!(object["parameters"]["hardware"]["DtlbEntries"], 48);

    let curves = object["working_sets"].as_array().expect("a list");
    let largest = |order: u8, contpte: bool| {
        let mut curves = curves.iter();
        let curve = curves.find(|curve| curve["order"] == order && curve["contpte"] == contpte);
        let points = curve.and_then(|curve| curve["points"].as_array());
        points
            .and_then(|points| points.last()?["cycles"].as_f64())
            .expect("a measured kernel")
    };
    assert!(largest(4, true) < largest(4, false), "{text}");
    assert!(
        (largest(0, true) - largest(0, false)).abs() < 1e-9,
        "{text}"
    );

    let calls = object["calls"].as_array().expect("a list");
    let conversions = |form: &str, call: &str| {
        let mut calls = calls.iter();
        let found = calls.find(|call| call["form"] == form && call["contpte"] == true);
        found.map(|found| found[call]["conversions"].clone())
    };
    for call in ["fork", "munmap"] {
        assert_eq!(conversions("batched", call), Some(0.into()), "{call}");
        assert!(conversions("single", call).and_then(|count| count.as_u64()) >= Some(32));
    }

    let csv = std::fs::read_to_string(csv).expect("the table is written");
    assert!(csv.starts_with("table,row,column,value\n"));
    let svg = std::fs::read_to_string(svg).expect("the image is written");
    assert!(svg.contains("64 KiB folios, contpte") && svg.trim_end().ends_with("</svg>"));
}

#[test]
fn what_cannot_be_measured_is_refused_at_once() {
    refused(
        &["memory-latncy"],
        &["memory-latncy", "did you mean `memory-latency`"],
    );
    refused(&["memory-latency", "--config", "nmua"], &["nmua", "`numa`"]);
    refused(
        &["memory-latency", "--memory", "flat"],
        &["flat", "--memory ddr4 or ddr5"],
    );
    refused(
        &["memory-latency", "--svg", "no/such/folder/a.svg"],
        &["no/such/folder"],
    );
}
