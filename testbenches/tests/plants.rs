// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Each detector fires on a planted fault: every assertion of `rtl/sva` and every checker.

use std::collections::BTreeSet;
use std::path::Path;

use cosim::dut::plants;
use cosim::regress::Bench;
use cosim::regress::context::RunContext;
use testbenches::random::detect;

/// Every checker that `check::attach` adds, by the name in its reports, and the assertions.
const CHECKERS: [&str; 9] = [
    "assertion",
    "data",
    "event counters",
    "hardware update",
    "invalidation messages",
    "response",
    "scoreboard",
    "table walk",
    "tlb contents",
];

#[test]
fn every_assertion_and_every_checker_fires_on_a_plant() {
    let mut bench = Bench::new(RunContext {
        testbench: "plants",
        config: "planted".to_owned(),
        seed: 1,
        plant: None,
        cycles: None,
        recording: Default::default(),
        interrupt: Default::default(),
    });
    let (mut fired, mut spoke, mut unseen) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for plant in plants() {
        let seen = detect(&mut bench, plant.number, plant.fires).expect("the simulation opens");
        match seen {
            Ok(detection) => {
                fired.extend(detection.assertions);
                spoke.extend(detection.checkers);
            }
            Err(instead) => unseen.push(format!("{} ({}): {instead}", plant.id, plant.fires)),
        }
    }
    let silent: Vec<_> = assertions().difference(&fired).cloned().collect();
    assert!(
        silent.is_empty(),
        "no plant makes these assertions fire: {silent:#?}"
    );
    for checker in CHECKERS {
        assert!(
            spoke.contains(checker),
            "no plant makes checker {checker} fire"
        );
    }
    assert!(unseen.is_empty(), "plants unseen: {unseen:#?}");
}

/// Every assertion of `rtl/sva/*.sv`: requirement and text of its report, which no two share.
fn assertions() -> BTreeSet<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rtl/sva");
    let (mut all, mut properties) = (BTreeSet::new(), 0);
    for entry in std::fs::read_dir(folder).expect("rtl/sva is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "sv") {
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("readable");
        properties += source.matches("assert property").count();
        for call in source.split("sva_fired(\"").skip(1) {
            let strings: Vec<_> = call.split('"').take(3).collect();
            let [id, ", ", text] = strings[..] else {
                panic!("{}: no id and text in {strings:?}", path.display());
            };
            let new = all.insert((id.to_owned(), text.to_owned()));
            assert!(new, "two assertions report {id}: {text}");
        }
    }
    assert!(!all.is_empty(), "the assertions were not found");
    assert_eq!(
        all.len(),
        properties,
        "an assertion does not report by sva_fired"
    );
    all
}
