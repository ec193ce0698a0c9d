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

#[test]
fn a_wrong_verdict_differs() {
    let text = r#"
        title = "a page made invalid and shot down"
        requirements = ["TLBI-01"]
        [[core]]
        program = ["store pte(x), inv; dsb; tlbi vae1is x; dsb; isb; load r0, x"]
        [[outcome]]
        when = "0:r0 = flt"
        verdict = "VERDICT"
    "#;
    for (verdict, agrees) in [("R", true), ("A", true), ("F", false)] {
        let scenario = parse("X", &text.replace("VERDICT", verdict)).expect("a scenario");
        let found = explore(&scenario, 2).expect("an exploration");
        assert_eq!(found.agrees(), agrees, "{found}");
        assert_eq!(found.to_string().contains("DIFFERS"), !agrees);
    }
    let text = text.replace("tlbi vae1is x; dsb; ", "");
    let scenario = parse("X", &text.replace("VERDICT", "R")).expect("a scenario");
    assert!(
        !explore(&scenario, 2).expect("an exploration").agrees(),
        "the entry may live on"
    );
}
