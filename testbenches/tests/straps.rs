// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Translation vectors replay without a mismatch whatever the hardware is strapped to: each strap at
//! its extremes, alone, and on every topology of this build as it comes.

use std::path::Path;
use std::process::Command;

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
    &["itlb=1", "dtlb=1", "l2-ways=0", "walk-caches=off", "walkers=1"],
    &["prefetch=on", "delay=all", "conflict-abort=on", "ets=0"],
];

/// The last line of a replay of the vectors `names`, which has to succeed.
fn replay(names: &[&str], config: &str, straps: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmu-cosim"));
    command.args(["replay", "--engine", "rtl", "--config", config]);
    command.args(straps.iter().flat_map(|strap| ["--strap", strap]));
    command.args(names.iter().map(|name| folder.join(name)));
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{config} {straps:?}: {text}{errors}");
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn vectors_replay_at_every_extreme_of_every_strap() {
    for straps in EXTREMES {
        let last = replay(&["hafdbs.jsonl.gz", "linux-6.12-16k.jsonl.gz"], "tiny", straps);
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
