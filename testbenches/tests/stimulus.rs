// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Recording, replaying and shrinking: a recorded run takes the same cycles, its replay is the same run
//! to the letter, and what shrinking leaves of a red one is small, red with the fault, green without.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cosim::regress::context::{Recording, RunContext};
use cosim::regress::{Bench, find};
use cosim::stimulus::{Recorded, Slot, Stimulus, replay};
use serde_json::Value;
use testbenches::REGISTRY;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// Runs a testbench on `tiny`, green; its cycles, and the recording if one was asked for.
fn run(name: &str, seed: u64, recording: Recording) -> u64 {
    let testbench = find(REGISTRY, name).expect("registered");
    let mut bench = Bench::new(RunContext {
        cycles: Some(30_000),
        recording,
        ..RunContext::new(testbench.name, "tiny", seed)
    });
    let body = (testbench.run)(&mut bench);
    bench.conclude(body).expect("green");
    bench.cycles()
}

fn recorded(name: &str, seed: u64, log: &Path) -> (u64, Recorded) {
    let slot = Slot::default();
    let recording = Recording {
        stimulus: Some(slot.clone()),
        log: Some(log.to_owned()),
        ..Recording::default()
    };
    let cycles = run(name, seed, recording);
    (cycles, slot.take().expect("the run has ended"))
}

#[test]
fn a_recorded_run_takes_the_same_cycles_and_its_replay_is_the_same_run() {
    let folder = folder("stimulus");
    for (name, seed) in [("stress", 4), ("fault-injection", 2), ("stress-errors", 3)] {
        let logs = ["recorded", "replayed"].map(|log| folder.join(format!("{name}-{log}.log")));
        let (cycles, Recorded { stimulus, commits }) = recorded(name, seed, &logs[0]);
        assert_eq!(cycles, run(name, seed, Recording::default()), "{name}");
        assert!(stimulus.steps.len() > 100 && !commits.is_empty(), "{name}");

        // By way of the file, which loses nothing.
        let file = folder.join(format!("{name}.json"));
        stimulus.write(&file).expect("the folder is writable");
        let read = Stimulus::read(&file).expect("what was written");
        assert_eq!(read, stimulus, "{name}");
        let log = std::fs::File::create(&logs[1]).expect("the folder is writable");
        let replayed = replay(&read, None, |simulation| {
            simulation.set_event_log(std::io::BufWriter::new(log));
        })
        .expect("the hardware of the recording");
        assert_eq!(replayed.violations, [], "{name}");
        assert_eq!(replayed.cycles, cycles, "{name}");
        let [first, second] = logs.map(|log| std::fs::read(log).expect("written"));
        assert!(first.len() > 50_000, "{name}: {} bytes", first.len());
        assert!(first == second, "{name}: the logs differ");
    }
}

fn mmu_cosim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmu-cosim"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the program starts")
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().last().unwrap_or("");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_shrinking_leaves_of_a_planted_fault_is_small_and_the_plant_s_alone() {
    for (name, plant, requirement) in [
        ("random", "tlb-keeps-overlapped-entry", "TLB-11"),
        ("stress", "af0-cached", "VMSA-47"),
        ("stress", "lookup-during-register-write", "WALK-21"),
    ] {
        let arguments = [
            "shrink", name, "--plant", plant, "--seeds", "20", "--cycles", "60000", "--out",
            "shrunk", "--json",
        ];
        let output = mmu_cosim(&arguments);
        assert_eq!(output.status.code(), Some(0), "{plant}");
        let result = last_line(&output);
        assert_eq!(result["requirement"], requirement, "{plant}: {result}");
        assert_eq!(result["green_without_plant"], true, "{plant}: {result}");
        let steps = result["steps"].as_u64().expect("a number");
        assert!(steps < 25, "{plant}: {result}");
        assert!(
            result["steps_before"].as_u64().expect("a number") > steps,
            "{result}"
        );

        let file = result["stimulus"].as_str().expect("a path");
        let red = mmu_cosim(&["replay-stimulus", file, "--json"]);
        assert_eq!(red.status.code(), Some(1), "{plant}");
        assert_eq!(last_line(&red)["as_recorded"], true, "{plant}");
        let green = mmu_cosim(&["replay-stimulus", file, "--without-plant", "--json"]);
        assert_eq!(green.status.code(), Some(0), "{plant}");
        assert_eq!(last_line(&green)["pass"], true, "{plant}");
    }
}

#[test]
fn a_budget_that_is_used_up_keeps_the_best_so_far() {
    let output = mmu_cosim(&[
        "shrink",
        "random",
        "--plant",
        "tlb-keeps-overlapped-entry",
        "--cycles",
        "60000",
        "--budget",
        "6",
        "--out",
        "shrunk-early",
        "--json",
    ]);
    let result = last_line(&output);
    assert_eq!(
        (&result["complete"], &result["runs"]),
        (&Value::Bool(false), &6.into())
    );
    let file = result["stimulus"].as_str().expect("a path");
    assert_eq!(mmu_cosim(&["replay-stimulus", file]).status.code(), Some(1));
}

#[test]
fn what_cannot_be_shrunk_or_replayed_is_told_so() {
    let green = mmu_cosim(&[
        "shrink",
        "access-flag",
        "--config",
        "tiny",
        "--cycles",
        "100000",
    ]);
    let said = String::from_utf8_lossy(&green.stdout).into_owned();
    assert_eq!(green.status.code(), Some(1), "{said}");
    assert!(
        said.contains("nothing to shrink: 1 runs, all green"),
        "{said}"
    );

    let bad = folder("bad-stimulus").join("bad.json");
    std::fs::write(&bad, "{\"stimulus\": 1}").expect("the folder is writable");
    for (file, part) in [
        (bad.to_string_lossy().into_owned(), "not a stimulus file"),
        ("no-such-file.json".to_owned(), "no-such-file.json"),
    ] {
        let output = mmu_cosim(&["replay-stimulus", &file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part) && !said.contains("panicked"), "{said}");
    }
}
