// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim litmus` from outside: verdicts, counts, files of one's own, and what bad input is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const MESSAGE: &str = r#"
    title = "message passing over a new entry"
    requirements = ["ORD-03"]
    [init]
    x = "inv"
    [[core]]
    program = ["store pte(x), PA_y; dsb; store flag, 1"]
    [[core]]
    program = ["load r0, flag; dsb; isb; load r1, x"]
    [[outcome]]
    when = "1:r0 = 1 & 1:r1 = flt"
    verdict = "F"
    [[outcome]]
    when = "1:r0 = 1 & 1:r1 = 1"
    verdict = "A"
    [[outcome]]
    when = "1:r0 = 0 & 1:r1 = flt"
    verdict = "A"
"#;

fn litmus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .arg("litmus")
        .args(arguments)
        .args(["--out", env!("CARGO_TARGET_TMPDIR")])
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    let text = stdout(output);
    let last = text.lines().last().unwrap_or("");
    serde_json::from_str(last).expect(last)
}

/// A file of its own for one test, with `from` replaced by `to`.
fn file(name: &str, from: &str, to: &str) -> String {
    assert!(MESSAGE.contains(from));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("litmus");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let path: PathBuf = folder.join(name).with_extension("toml");
    std::fs::write(&path, MESSAGE.replacen(from, to, 1)).expect("the folder is writable");
    path.to_string_lossy().into_owned()
}

#[test]
fn scenarios_of_the_catalogue_hold_on_hardware() {
    let names = ["L03", "L08", "L20", "L56", "L97", "L105", "L108"];
    let mut arguments = names.to_vec();
    arguments.extend(["--config", "tiny", "--runs", "6", "--json"]);
    let output = litmus(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let all = json(&output);
    assert_eq!(all["pass"], true);
    assert_eq!(all["scenarios"], names.len());
    // Four modes, with and without FEAT_ETS2.
    assert_eq!(all["runs"], names.len() * 6 * 4 * 2);
    for count in [
        "forbidden_seen",
        "required_missed",
        "violations",
        "reasons_wrong",
    ] {
        assert_eq!(all[count], 0, "{count}");
    }
    assert_eq!(all["details"][0]["name"], "L03");
    assert_eq!(all["details"][0]["runs"], serde_json::json!([24, 24]));
}

#[test]
fn a_file_of_ones_own_runs_and_its_allowed_outcomes_are_counted() {
    let path = file("own", "message", "message");
    let output = litmus(&[&path, "--config", "planted", "--runs", "50", "--json", "-v"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let all = json(&output);
    assert_eq!(
        (&all["allowed_rows"], &all["allowed_seen"]),
        (&4.into(), &4.into())
    );
    assert!(
        stdout(&output).contains("1:r0=1 1:r1=1"),
        "{}",
        stdout(&output)
    );
    let again = litmus(&[
        &path, "--config", "planted", "--runs", "50", "--json", "--jobs", "2",
    ]);
    assert_eq!(json(&again), all, "the number of jobs changes nothing");
}

#[test]
fn a_scenario_with_more_cores_than_the_configuration_is_left_out_and_said_so() {
    let path = file("two-cores", "message", "message");
    let output = litmus(&[&path, "L03", "--config", "tiny", "--runs", "1", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let all = json(&output);
    assert_eq!(all["scenarios"], 1);
    assert_eq!(all["skipped"][0]["name"], path);
    assert!(stdout(&output).contains("it needs 2 cores, configuration tiny has 1"));
}

#[test]
fn a_wrong_verdict_is_red_with_a_report_that_can_be_repeated() {
    let seen = "1:r0 = 1 & 1:r1 = 1\"\n    verdict = \"A\"";
    let path = file("wrong", seen, &seen.replace("\"A\"", "\"F\""));
    let output = litmus(&[
        &path, "--config", "planted", "--runs", "25", "--ets", "2", "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["forbidden_seen"], 1);
    let text = stdout(&output);
    assert!(text.contains("FORBIDDEN SEEN"), "{text}");
    assert!(text.contains("never: 1:r0 = 1 & 1:r1 = 1"), "{text}");
    let command = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("reproduce"));
    let words: Vec<&str> = command.expect("a command").split_whitespace().collect();
    assert_eq!(words[..2], ["mmu-cosim", "litmus"]);
    assert_eq!(litmus(&words[2..]).status.code(), Some(1), "{words:?}");

    let never = "1:r0 = 1 & 1:r1 = flt\"\n    verdict = \"F\"";
    let path = file("missed", never, &never.replace("\"F\"", "\"R\""));
    let output = litmus(&[&path, "--config", "planted", "--runs", "5", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["required_missed"], 2);

    let path = file(
        "reason",
        seen,
        &format!("{seen}\n    unseen = \"it is thought\""),
    );
    let output = litmus(&[&path, "--config", "planted", "--runs", "25", "--json"]);
    assert_eq!(output.status.code(), Some(1), "a reason that is wrong");
    assert_eq!(json(&output)["reasons_wrong"], 2);
}

#[test]
fn what_cannot_be_run_is_refused_with_one_message() {
    let broken = file("broken", "load r1, x", "load r1 x");
    let range = file("range", "dsb; isb;", "tlbi rvae1is x[0..3];");
    for (arguments, part) in [
        (vec![broken.as_str()], "expected `,`"),
        (
            vec![range.as_str(), "--config", "planted"],
            "no SCALE and NUM say 3 pages",
        ),
        (vec!["L240"], "no scenario is called `L240`"),
        (vec!["nowhere.toml"], "cannot read nowhere.toml"),
        (
            vec!["L03", "--config", "huge"],
            "no configuration is called `huge`",
        ),
        (vec!["L03", "--mode", "warm"], "`warm` is none of cold"),
        (vec!["L03", "--ets", "1"], "`1` is neither 0 nor 2"),
        (vec!["--dir", "nowhere"], "--dir nowhere"),
    ] {
        let output = litmus(&arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(part), "{arguments:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

/// Faults in invalidation and barriers, and a scenario that each breaks.
#[test]
fn planted_faults_turn_scenarios_red() {
    for (plant, scenario) in [
        ("tlbi-spares-entry-0", "L08"),
        ("dsb-without-sync", "L24"),
        ("inv-never-carried-out", "L30"),
        ("walk-cache-keeps-table", "L80"),
        ("asid-ignored", "L97"),
        ("dirty-by-read", "L108"),
    ] {
        let arguments = [scenario, "--plant", plant, "--runs", "25", "--json"];
        let output = litmus(&arguments);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{plant}: {}",
            stdout(&output)
        );
        let all = json(&output);
        let red = ["forbidden_seen", "required_missed", "violations"];
        assert!(red.iter().any(|count| all[*count] != 0), "{plant}: {all}");
        assert!(
            stdout(&output).contains(&format!("--plant {plant}")),
            "{plant}"
        );
    }
}

#[test]
fn the_catalogue_is_listed() {
    let output = litmus(&["--list", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let scenarios = json(&output)["scenarios"].clone();
    assert_eq!(scenarios.as_array().map(Vec::len), Some(108));
    assert_eq!(scenarios[23]["name"], "L24");
    assert_eq!(scenarios[23]["cores"], 2);
}
