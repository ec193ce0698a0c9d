// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Functional coverage from the command line: collected by runs, kept in files that add up, reported.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// Its runs are short; it has entries in the middle of ranges.
const TESTBENCH: &str = "range-middle";
const REACHED: &str = "tlbi-range-entry.l1.16K.inside";
/// Takes two cores.
const MISSED: &str = "dvm.inv-crosses-inv";

fn mmu_cosim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json_of(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(text.lines().last().unwrap_or("")).expect("JSON")
}

/// A name for a coverage file that is not there.
fn file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("coverage-{name}.json"));
    let _ = std::fs::remove_file(&path);
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the target folder has a plain name")
}

fn collect(path: &Path, seed: &str) {
    let run = ["run", TESTBENCH, "--config", "tiny", "--seed", seed];
    let output = mmu_cosim(&[&run[..], &["--coverage", text(path)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the file is there");
    serde_json::from_str(&text).expect("JSON")
}

/// The report on `path` after `change` was made to the file.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Output {
    let path = file(name);
    collect(&path, "1");
    let mut record = read(&path);
    change(&mut record);
    std::fs::write(&path, record.to_string()).expect("the target folder is writable");
    mmu_cosim(&["coverage", text(&path), "--json"])
}

#[test]
fn what_a_run_surely_does_is_reached_and_what_it_cannot_do_is_missed() {
    let path = file("one");
    collect(&path, "1");
    let report = mmu_cosim(&["coverage", text(&path), "--uncovered", "--json"]);
    assert_eq!(report.status.code(), Some(0));
    let object = json_of(&report);
    let missed = object["missed"].as_array().expect("a list");
    assert!(missed.contains(&json!(MISSED)));
    assert!(!missed.contains(&json!(REACHED)));
    let count = |name: &str| object[name].as_u64().expect("a number");
    let all = count("reached") + count("unreachable") + missed.len() as u64;
    assert_eq!(count("bins"), all);
    assert!(count("reached") > 0);
    let lines = stdout(&report);
    assert!(lines.contains(&format!("missed       {MISSED}")));
    assert!(lines.contains("tlbi-range-entry"));
    let first = &read(&path)["bins"][REACHED]["run"];
    let run = json!({"seed": 1, "config": "tiny", "testbench": TESTBENCH});
    assert_eq!(first, &run);
}

#[test]
fn files_add_up_whether_merged_by_a_run_or_by_a_report() {
    let (both, first, second) = (file("both"), file("first"), file("second"));
    collect(&both, "2");
    collect(&both, "1");
    collect(&first, "1");
    collect(&second, "2");
    let one = mmu_cosim(&["coverage", text(&both), "--json"]);
    let two = mmu_cosim(&["coverage", text(&second), text(&first), "--json"]);
    assert_eq!(json_of(&one)["runs"], 2);
    assert_eq!(json_of(&one), json_of(&two));
    let (all, part) = (read(&both), read(&first));
    let count = |record: &Value| record["bins"][REACHED]["count"].as_u64();
    assert_eq!(count(&all), count(&part).map(|count| 2 * count));
    assert_eq!(all["bins"][REACHED]["run"]["seed"], 1);
}

#[test]
fn one_group_can_be_reported_alone() {
    let path = file("group");
    collect(&path, "1");
    let report = mmu_cosim(&["coverage", text(&path), "--group", "asid-reuse", "--json"]);
    assert_eq!(json_of(&report)["bins"], 3);
}

#[test]
fn an_unreachable_bin_that_is_reached_fails_the_report() {
    let name = "cancel.start.local.demand";
    let report = changed("refuted", |record| {
        record["bins"][name] = record["bins"][REACHED].clone();
    });
    assert_eq!(report.status.code(), Some(1));
    assert_eq!(json_of(&report)["refuted"], json!([name]));
    assert!(stdout(&report).contains(&format!("mmu-cosim run {TESTBENCH} --config tiny --seed 1")));
}

#[test]
fn names_of_another_version_are_told() {
    let report = changed("unknown", |record| {
        record["bins"]["no.such.bin"] = record["bins"][REACHED].clone();
    });
    assert_eq!(report.status.code(), Some(0));
    assert_eq!(json_of(&report)["unknown"], json!(["no.such.bin"]));
    assert!(stdout(&report).contains("unknown      no.such.bin"));
}

#[test]
fn broken_hardware_covers_nothing() {
    let path = file("planted");
    let run = ["run", "access-flag-of-faults", "--plant", "af0-cached"];
    let output = mmu_cosim(&[&run[..], &["--coverage", text(&path)]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(read(&path)["bins"], json!({}));
    assert_eq!(read(&path)["runs"], 0);
}

#[test]
fn bad_input_is_refused_with_one_message() {
    let scene = file("scene");
    std::fs::write(&scene, "{}").expect("the target folder is writable");
    let format = changed("format", |record| record["format"] = json!("other 9"));
    assert_eq!(format.status.code(), Some(2));
    let run = ["run", TESTBENCH, "--config", "tiny", "--coverage"];
    let cases: [(Vec<&str>, &[&str]); 5] = [
        (vec!["coverage", "nowhere.json"], &["nowhere.json", "read"]),
        (vec!["coverage", text(&scene)], &["no coverage file", "run"]),
        (
            vec!["coverage", text(&scene), "--group", "tlbl"],
            &["`tlbl`", "did you mean `tlbi`"],
        ),
        ([&run[..], &[text(&scene)]].concat(), &["no coverage file"]),
        (
            [&run[..], &["nowhere/c.json"]].concat(),
            &["no folder nowhere"],
        ),
    ];
    for (arguments, parts) in cases {
        let output = mmu_cosim(&arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        for part in parts {
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
        assert!(stdout(&output).is_empty(), "refused before anything runs");
    }
    let kept = std::fs::read_to_string(&scene).expect("the file is there");
    assert_eq!(kept, "{}", "a file that is not understood is left alone");
}
