// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The event counters on the command line: the table that `run --stats` prints, the file that
//! `--stats-json` writes, and the list of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn mmu_cosim(arguments: &[&str]) -> String {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
    text
}

/// A file of its own for one test.
fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stats");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder.join(name)
}

/// The rows of a table: the values of the columns, by the name of the event.
fn rows(text: &str) -> BTreeMap<String, Vec<u64>> {
    rows_from(text, &["core 0", "total"])
}

/// The rows of the table of the nodes.
fn node_rows(text: &str) -> BTreeMap<String, Vec<u64>> {
    rows_from(text, &["node 0"])
}

/// The rows of the table whose head begins with one of `heads`.
fn rows_from(text: &str, heads: &[&str]) -> BTreeMap<String, Vec<u64>> {
    let row = |line: &str| {
        let before_comment = line.split('#').next().unwrap_or("");
        let words: Vec<&str> = before_comment.split_whitespace().collect();
        let (name, values) = words.split_last()?;
        let number = |word: &&str| word.replace(',', "").parse::<u64>().ok();
        let values: Option<Vec<u64>> = values.iter().map(number).collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some(((*name).to_owned(), values))
    };
    let is_head = |line: &str| heads.iter().any(|head| line.trim_start().starts_with(head));
    let table = text.lines().skip_while(|line| !is_head(line));
    let body = table.skip(1).take_while(|line| !line.trim().is_empty());
    body.filter_map(row).collect()
}

/// The one run that a file of counters describes.
fn written(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the file is written");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let runs = all["runs"].as_array().expect("a list of runs");
    assert_eq!(runs.len(), 1);
    runs[0].clone()
}

#[test]
fn the_table_has_the_events_of_a_run_by_their_arm_names() {
    let text = mmu_cosim(&["run", "counter-lookups", "--config", "tiny", "--stats"]);
    assert!(
        text.contains("Event counters of counter-lookups, config tiny, seed 1"),
        "{text}"
    );
    let rows = rows(&text);
    // One run of the testbench: 8 data accesses, of which 4 read, and 3 fetches.
    for (name, value) in [
        ("L1D_TLB", 8),
        ("L1D_TLB_RD", 4),
        ("L1D_TLB_WR", 4),
        ("L1D_TLB_REFILL", 3),
        ("L1I_TLB", 3),
        ("L1I_TLB_REFILL", 2),
        ("DTLB_WALK", 3),
        ("ITLB_WALK", 1),
        ("DTLB_STEP", 5),
        ("ITLB_STEP", 1),
        ("TTBR_WRITE_RETIRED", 2),
        ("EXC_TAKEN", 0),
    ] {
        assert_eq!(rows.get(name), Some(&vec![value]), "{name} in {text}");
    }
    assert!(rows["CPU_CYCLES"][0] > 1000);
    // As perf stat does: what it comes to, behind the name.
    let refill = text.lines().find(|line| line.contains("L1D_TLB_REFILL "));
    let refill = refill.expect("a row");
    assert!(refill.contains("#  37.50% of data lookups"), "{refill}");
}

#[test]
fn the_file_agrees_with_the_table() {
    let path = file("agrees.json");
    let text = mmu_cosim(&[
        "run",
        "counter-relations",
        "--config",
        "tiny",
        "--stats",
        "--stats-json",
        &path.to_string_lossy(),
    ]);
    let rows = rows(&text);
    let run = written(&path);
    assert_eq!(
        (&run["name"], &run["config"], &run["seed"]),
        (&"counter-relations".into(), &"tiny".into(), &1.into())
    );
    let total = run["total"].as_object().expect("an object");
    let cores = run["cores"].as_array().expect("a list");
    assert_eq!(cores.len(), 1);
    assert!(total.len() > 70 && total.len() == rows.len());
    for (name, value) in total {
        let value = value.as_u64().expect("a number");
        assert_eq!(rows.get(name), Some(&vec![value]), "{name}");
        assert_eq!(cores[0][name].as_u64(), Some(value), "{name}");
    }
    let counted = total.values().filter(|value| value.as_u64() > Some(0));
    assert!(counted.count() > 60, "{text}");
}

#[test]
fn every_core_has_a_column_and_the_last_one_is_the_sum() {
    // Two nodes with one core each.
    let path = file("columns.json");
    let text = mmu_cosim(&[
        "run",
        "dvm-all-at-once",
        "--config",
        "planted",
        "--stats",
        "--stats-json",
        &path.to_string_lossy(),
    ]);
    assert!(text.contains("core 0") && text.contains("core 1") && text.contains("total"));
    let rows = rows(&text);
    let run = written(&path);
    for (name, columns) in &rows {
        let [zero, one, total] = columns.as_slice() else {
            panic!("{name}: {columns:?}");
        };
        assert_eq!(zero + one, *total, "{name}");
        let of = |index: usize| run["cores"][index][name].as_u64();
        assert_eq!((of(0), of(1)), (Some(*zero), Some(*one)), "{name}");
    }
    let nodes = node_rows(&text);
    assert!(nodes["CORE0_READ"].len() == 2 && nodes["CORE1_WALK_READ"][1] > 0);
    for (name, columns) in &nodes {
        let of = |index: usize| run["nodes"][index][name].as_u64();
        assert_eq!(
            (of(0), of(1)),
            (Some(columns[0]), Some(columns[1])),
            "{name}"
        );
    }
    // 4 simulations, 40 rounds each of 2 operations and a barrier, every INV received by both.
    assert_eq!(rows["DVM_INV_SENT"], [320, 320, 640]);
    assert_eq!(rows["DVM_SYNC_SENT"], [160, 160, 320]);
    assert_eq!(rows["DVM_INV_RECEIVED"], [640, 640, 1280]);
    assert!(rows["REMOTE_ACCESS"][2] > 0 && rows["WALK_READ_REMOTE"][2] > 0);
}

#[test]
fn the_list_gives_code_and_meaning_of_every_counter() {
    let text = mmu_cosim(&["list", "--counters"]);
    for (code, name) in [
        ("0x0025", "L1D_TLB"),
        ("0x0034", "DTLB_WALK"),
        ("0x8136", "DTLB_STEP"),
        ("0x00c0", "DTLB_WALK_BEGUN"),
    ] {
        let listed = text.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.len() > 2 && words[1] == name && number(words[0]) == number(code)
        });
        assert!(listed, "{code} {name} in {text}");
    }
    let text = mmu_cosim(&["list", "--counters", "--json"]);
    let last = text.lines().last().unwrap_or("");
    let object: Value = serde_json::from_str(last).expect("JSON");
    let counters = object["counters"].as_array().expect("a list");
    let table = rows(&mmu_cosim(&[
        "run",
        "counter-merged",
        "--config",
        "tiny",
        "--stats",
    ]));
    assert_eq!(counters.len(), table.len());
    for counter in counters {
        let name = counter["name"].as_str().expect("a name");
        assert!(table.contains_key(name), "{name}");
        let described = counter["description"].as_str();
        assert!(described.is_some_and(|text| !text.is_empty()), "{name}");
    }
}

/// The number that hexadecimal `digits` behind an optional `0x` stand for.
fn number(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits.trim_start_matches("0x"), 16).ok()
}
