// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The command line from outside: exit codes, the last line, and what bad input is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const LINUX: &str = "vectors/linux-6.12-4k.jsonl.gz";

fn mmu_cosim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn last_line(output: &Output) -> String {
    stdout(output).lines().last().unwrap_or("").to_owned()
}

/// The command ends with code 2 and one message that has all of `parts`.
fn refused(arguments: &[&str], parts: &[&str]) {
    let output = mmu_cosim(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    for part in parts {
        assert!(
            message.contains(part),
            "{arguments:?}: no {part:?} in {message}"
        );
    }
    let errors = message
        .lines()
        .filter(|line| line.starts_with("error"))
        .count();
    assert_eq!(errors, 1, "{arguments:?}: {message}");
    assert!(!message.contains("panicked"), "{message}");
}

/// A folder of its own for the files of one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// A scene with one query, in which `from` is replaced by `to`.
fn scene(name: &str, from: &str, to: &str) -> String {
    let good = r#"{"scene":"s","regs":{"TCR_EL1":"0x10","TTBR0_EL1":"0x0","TTBR1_EL1":"0x0",
        "MAIR_EL1":"0xff","SCTLR_EL1":"0x1005"},"mem":[],
        "queries":[{"va":"0x1000","el":0,"op":"r","fsc":"0x4"}]}"#
        .replace("\n        ", "");
    assert!(good.contains(from));
    let path = folder("scenes").join(format!("{name}.jsonl"));
    std::fs::write(&path, good.replacen(from, to, 1) + "\n").expect("the folder is writable");
    path.to_string_lossy().into_owned()
}

#[test]
fn replay_of_a_linux_scene_matches_with_both_engines() {
    for engine in ["rtl", "model"] {
        let output = mmu_cosim(&["replay", LINUX, "--engine", engine, "--config", "tiny"]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(last_line(&output), "queries=5089 mismatches=0");
    }
}

#[test]
fn replay_prints_json_as_its_last_line() {
    let output = mmu_cosim(&["replay", LINUX, "--engine", "model", "--json"]);
    let object: Value = serde_json::from_str(&last_line(&output)).expect("JSON");
    assert_eq!(object["pass"], true);
    assert_eq!(object["queries"], 5089);
    assert_eq!(object["mismatches"], 0);
}

#[test]
fn a_wrong_expectation_is_a_mismatch_that_is_explained() {
    // The range is walked and its table is empty: level 0 and level 1 differ in the answer.
    let path = scene("wrong", r#""fsc":"0x4""#, r#""fsc":"0x7""#);
    for engine in ["rtl", "model"] {
        let output = mmu_cosim(&["replay", &path, "--engine", engine]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(last_line(&output), "queries=1 mismatches=1");
        assert!(stdout(&output).contains("level 0"), "{}", stdout(&output));
    }
}

#[test]
fn walk_draws_every_level() {
    let scene = "linux-6.12-4k-blocks-m0-cpu0";
    let output = mmu_cosim(&[
        "walk",
        LINUX,
        "--scene",
        scene,
        "--va",
        "0xffff00002a0a9881",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for part in [
        "TTBR1_EL1",
        "level 0:",
        "level 1:",
        "level 2:",
        "PA 0x00006a0a9881",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn bad_scenes_name_file_line_and_field() {
    refused(&["replay", "vectors/none.jsonl"], &["vectors/none.jsonl"]);
    let path = scene("register", "TCR_EL1", "TCRR_EL1");
    refused(
        &["replay", &path],
        &["register.jsonl:1", "regs.TCRR_EL1", "\"TCR_EL1\""],
    );
    let path = scene("key", "\"queries\"", "\"querys\"");
    refused(&["replay", &path], &["key.jsonl:1", "querys", "queries"]);
    let path = scene("va", "0x1000", "0xZZ");
    refused(&["replay", &path], &["va.jsonl:1", "queries[0].va", "0xZZ"]);
    let path = scene("granule", "\"0x10\"", "\"0xc010\"");
    refused(&["replay", &path], &["granule.jsonl:1", "TG0"]);
    let path = scene("json", "]}", "]");
    refused(&["replay", &path], &["json.jsonl:1", "JSON"]);
}

#[test]
fn unknown_names_offer_the_nearest() {
    refused(&["run", "rndom"], &["rndom", "`random`"]);
    refused(
        &["run", "random", "--config", "tinny"],
        &["tinny", "`tiny`"],
    );
    refused(
        &["run", "random", "--plant", "af0-cache"],
        &["af0-cache", "`af0-cached`"],
    );
    refused(&["replay", LINUX, "--config", "tin"], &["`tiny`"]);
    refused(
        &["walk", LINUX, "--scene", "linux-6.12-4k", "--va", "0x0"],
        &["linux-6.12-4k-blocks-m0-cpu0"],
    );
    refused(&["walk", LINUX, "--scene", "x", "--va", "0xq"], &["0xq"]);
}

#[test]
fn usage_errors_end_with_code_2() {
    for arguments in [
        &["run"][..],
        &["run", "random", "--trace-window", "5:9"],
        &["run", "random", "--trace", "w.txt"],
        &["run", "random", "--seeds", "0"],
        &["replay", LINUX, "--engine", "qemu"],
        &["fly"],
    ] {
        assert_eq!(mmu_cosim(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn list_names_purpose_and_requirements() {
    let output = mmu_cosim(&["list", "--json"]);
    let object: Value = serde_json::from_str(&last_line(&output)).expect("JSON");
    let all = object["testbenches"].as_array().expect("a list");
    assert!(all.len() > 50);
    for testbench in all {
        assert!(
            testbench["purpose"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert!(testbench["requirements"].is_array());
    }
    assert_eq!(object["experiments"][0]["name"], "memory-latency");
}

#[test]
fn a_red_run_explains_itself_and_leaves_a_waveform() {
    let out = folder("red");
    let out = out.to_string_lossy();
    let output = mmu_cosim(&[
        "run",
        "access-flag-of-faults",
        "--plant",
        "af0-cached",
        "--out",
        &out,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for part in [
        "HAF-01",
        "broke at cycle",
        "mmu-cosim run access-flag-of-faults --plant af0-cached --seed 1",
        "waves.fst",
        "transactions.vcd",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let waveform = Path::new(&*out).join("access-flag-of-faults-planted-1/waves.fst");
    assert!(waveform.metadata().is_ok_and(|file| file.len() > 1000));
}
