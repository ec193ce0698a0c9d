// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Translation vectors replay without a mismatch whatever the hardware is strapped to: each strap at
//! its extremes, alone, and on every topology of this build as it comes.

use std::path::Path;
use std::process::{Command, Output};

use cosim::dut::configs;

/// Each strap at the ends of its range that are not its default; of numbers the least.
const EXTREMES: [&[&str]; 17] = [
    &["itlb=1"],
    &["dtlb=1"],
    &["l2-ways=0"],
    &["l2-ways=1"],
    &["l2-sets=0"],
    &["walk-caches=off"],
    &["walkers=1"],
    &["prefetch=on"],
    &["contiguous=off"],
    &["ets=0"],
    &["bbml=0"],
    &["bbml=1"],
    &["conflict-abort=on"],
    &["delay=all", "delay-seed=1"],
    &["delay=all", "delay-seed=65535"],
    &[
        "itlb=1",
        "dtlb=1",
        "l2-ways=0",
        "walk-caches=off",
        "walkers=1",
    ],
    &["prefetch=on", "delay=all", "conflict-abort=on", "ets=0"],
];

/// The end of a replay of the vectors `names` by `engine`.
fn run(engine: &str, names: &[&str], config: &str, straps: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmu-cosim"));
    command.args(["replay", "--engine", engine, "--config", config]);
    command.args(straps.iter().flat_map(|strap| ["--strap", strap]));
    command.args(names.iter().map(|name| folder.join(name)));
    command.output().expect("it runs")
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().last().unwrap_or_default().to_owned()
}

/// The last line of a replay that has to succeed.
fn replay(names: &[&str], config: &str, straps: &[&str]) -> String {
    let output = run("rtl", names, config, straps);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = last_line(&output);
    assert!(
        output.status.success(),
        "{config} {straps:?}: {last} {errors}"
    );
    last
}

#[test]
fn vectors_replay_at_every_extreme_of_every_strap() {
    for straps in EXTREMES {
        let last = replay(
            &["hafdbs.jsonl.gz", "linux-6.12-16k.jsonl.gz"],
            "tiny",
            straps,
        );
        assert_eq!(last, "queries=5166 mismatches=0", "{straps:?}");
    }
}

#[test]
fn vectors_of_every_kind_replay_on_every_topology() {
    let all = [
        "hafdbs.jsonl.gz",
        "linux-6.12-16k.jsonl.gz",
        "linux-6.12-4k.jsonl.gz",
        "random.jsonl.gz",
    ];
    for config in configs() {
        let last = replay(&all, config.name, &[]);
        assert_eq!(last, "queries=22182 mismatches=0", "{}", config.name);
    }
}

/// The vectors were recorded with hardware updates: with less of them other answers are right, the
/// same ones for the hardware as for the model.
#[test]
fn without_hardware_updates_hardware_and_model_differ_from_the_vectors_alike() {
    for level in ["hafdbs=0", "hafdbs=1"] {
        let [rtl, model] = ["rtl", "model"].map(|engine| {
            let straps = [level, "contiguous=off"];
            last_line(&run(engine, &["hafdbs.jsonl.gz"], "tiny", &straps))
        });
        assert!(!rtl.ends_with("mismatches=0"), "{level}: {rtl}");
        assert_eq!(rtl, model, "{level}");
    }
}
