// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A run is a function of testbench, configuration, seed and cycles: the same events, byte for byte,
//! and the same results with any number of workers.

use std::path::Path;
use std::process::Command;

fn run(arguments: &[&str]) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_mmu-cosim"));
    let output = Command::new(program)
        .arg("run")
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn one_seed_gives_the_same_event_log_twice() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (testbench, seed) in [("random", "3"), ("fault-injection", "5")] {
        let logs = ["first", "second"].map(|name| {
            let log = folder.join(format!("{testbench}-{name}.log"));
            let path = log.to_str().expect("text");
            run(&[
                testbench, "--config", "tiny", "--seed", seed, "--cycles", "40000", "--log", path,
            ]);
            std::fs::read(&log).expect("the log was written")
        });
        assert!(
            logs[0].len() > 100_000,
            "{testbench}: {} bytes",
            logs[0].len()
        );
        assert!(logs[0] == logs[1], "{testbench}: the logs differ");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_jobs() {
    let with = |jobs| {
        let text = run(&[
            "random",
            "contiguous-run",
            "--config",
            "tiny,2x1",
            "--seeds",
            "4",
            "--cycles",
            "20000",
            "--jobs",
            jobs,
        ]);
        // Lines come as runs end; what they say is what counts.
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| {
                line.split_once(']')
                    .map_or(line, |(_, rest)| rest)
                    .to_owned()
            })
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(with("1"), with("4"));
}
