// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim mutate` from outside: a mutant killed by a checker, one killed by what a testbench expects,
//! and the list with its arguments.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use cosim::dut::mutants;
use cosim::mutation::regression;
use serde_json::Value;
use testbenches::REGISTRY;

fn mutate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .arg("mutate")
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What `entry` says first spoke.
fn detector(entry: &Value) -> &str {
    entry["detector"].as_str().unwrap_or_default()
}

#[test]
fn mutants_are_killed_by_checkers_and_by_expectations() {
    // The same whatever runs beside it.
    let by = |jobs: &str| {
        last_line(&mutate(&[
            "l1_tlb/dropped-assignment-5",
            "dvm_port/constant-1",
            "l1_tlb/dropped-term-7",
            "--jobs",
            jobs,
            "--json",
        ]))
    };
    let result = by("2");
    assert_eq!(result["pass"], true);
    for (key, count) in [
        ("mutants", 3),
        ("killed", 3),
        ("equivalent", 0),
        ("survived", 0),
    ] {
        assert_eq!(result[key], count, "{key}");
    }
    let list = result["list"].as_array().expect("a list");
    let detectors: BTreeSet<_> = list.iter().map(detector).collect();
    assert!(detectors.contains("tlb contents"), "{detectors:?}");
    assert!(detectors.contains("expectation"), "{detectors:?}");
    for entry in list {
        assert!(entry["cycles"].as_u64() > Some(0), "{entry}");
        let reproduce = entry["reproduce"].as_str().unwrap_or_default();
        assert!(reproduce.contains("--plant "), "{entry}");
    }
    assert_eq!(result, by("1"));
}

#[test]
fn every_argument_for_equivalence_stands_for_a_mutant() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rtl/sva/equivalent.toml");
    let text = std::fs::read_to_string(path).expect("readable");
    // The build refuses arguments for mutants that do not exist or have changed.
    let argued = mutants()
        .iter()
        .filter(|mutant| mutant.equivalent.is_some());
    assert_eq!(argued.count(), text.matches("[[equivalent]]").count());
}

#[test]
fn the_list_covers_every_part_of_the_mmu() {
    let list = last_line(&mutate(&["--list", "--json"]));
    assert_eq!(list["mutants"], mutants().len());
    assert!(mutants().len() >= 150);
    let categories: BTreeSet<_> = mutants().iter().map(|mutant| mutant.category).collect();
    for category in [
        "match",
        "fill",
        "replacement",
        "walk",
        "permission",
        "fault-priority",
        "af-dirty",
        "tlbi-scope",
        "contiguous",
        "squash",
        "dsb-dvm",
        "counters",
    ] {
        assert!(categories.contains(category), "{category}");
    }
}

#[test]
fn a_name_that_no_mutant_has_is_refused_with_the_nearest() {
    for (arguments, part) in [
        (&["walker/equalty-1"][..], "did you mean `walker/equality-"),
        (&["--category", "wal"], "did you mean `walk`?"),
        (&["--sample", "3/2"], "such as 1/8"),
    ] {
        let output = mutate(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
}

#[test]
fn what_the_standard_regression_names_is_registered() {
    let runs = |short| regression::standard(REGISTRY, short).map(|runs| runs.len());
    let (brief, all) = (runs(true).expect("short"), runs(false).expect("whole"));
    assert!(brief < all, "{brief} of {all}");
}
