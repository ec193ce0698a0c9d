// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim selftest` from outside: what it says of some faults, and of names that nothing has.

use std::process::{Command, Output};

use serde_json::Value;

fn selftest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .arg("selftest")
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn object(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(text.lines().last().unwrap_or("")).expect("the last line is JSON")
}

#[test]
fn a_detector_sees_its_faults_whatever_the_number_of_jobs() {
    let names = ["break-before-make", "af0-cached", "--json", "--jobs"];
    let [one, two] = ["1", "2"].map(|jobs| selftest(&[&names[..], &[jobs]].concat()));
    assert_eq!(one.status.code(), Some(0));
    assert_eq!(one.stdout, two.stdout);
    let object = object(&one);
    assert_eq!(object["pass"], true);
    assert_eq!(object["detectors"], 2);
    assert_eq!(object["fired"], 2);
    assert_eq!(object["silent"], Value::Array(Vec::new()));
    assert_eq!(object["noisy"], Value::Array(Vec::new()));
    assert_eq!(object["faults"].as_array().map(Vec::len), Some(5));
}

#[test]
fn every_detector_is_listed_with_a_fault() {
    let output = selftest(&["--list", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let object = object(&output);
    let detectors = object["detectors"].as_array().expect("a list");
    assert!(detectors.len() > 50);
    for detector in detectors {
        let faults = detector["faults"].as_array().map_or(0, Vec::len);
        assert!(faults > 0, "{detector}");
    }
}

#[test]
fn a_name_that_nothing_has_is_a_usage_error() {
    let output = selftest(&["scorebord"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("did you mean `scoreboard`?"), "{message}");
}
