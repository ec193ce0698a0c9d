// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The verdicts of the litmus catalogue follow from the rules alone: every execution of every
//! scenario is tried against the oracle that also judges the hardware.

use std::path::PathBuf;

use cosim::litmus::explore::{Exploration, explore};
use cosim::litmus::parse;

fn catalogue() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testbenches/litmus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the catalogue")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).expect("a text"))
    };
    files.into_iter().map(read).collect()
}

#[test]
fn the_rules_give_every_verdict_of_the_catalogue() {
    let mut differing = Vec::new();
    let catalogue = catalogue();
    assert!(!catalogue.is_empty());
    for (name, text) in catalogue {
        let scenario = parse(&name, &text).expect("a scenario");
        for ets in [0, 2] {
            let found: Exploration =
                explore(&scenario, ets).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(!found.endings.is_empty(), "{name}: no execution ends");
            if !found.agrees() {
                differing.push(format!("{found}{}", found.endings.join("\n")));
            }
        }
    }
    assert!(differing.is_empty(), "\n{}", differing.join("\n"));
}
