// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Every requirement of the memory system and of the OS side is cited by a testbench that proves it.

use std::collections::BTreeSet;

use testbenches::REGISTRY;

const MEMORY_SYSTEM: &str = include_str!("../../docs/spec/memory_system.md");
const MM_SUBSTRATE: &str = include_str!("../../docs/spec/mm_substrate.md");
const CONTPTE: &str = include_str!("../../docs/spec/contpte.md");

/// What no directed testbench can see, and who holds it instead: DRAM commands, which are judged one by
/// one, under every load, by the checker of the command bus and the assertions of the channel.
const JUDGED_BY_CHECKERS: [&str; 2] = ["MEM-01", "MEM-02"];

/// The ids of the rows of requirements whose prefix is one of `prefixes`.
fn ids(contract: &'static str, prefixes: &[&str]) -> BTreeSet<&'static str> {
    let first_cell = |line: &'static str| line.strip_prefix("| ")?.split(" |").next();
    let is_id = |cell: &&str| {
        let number = prefixes.iter().find_map(|prefix| cell.strip_prefix(prefix));
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    };
    contract
        .lines()
        .filter_map(first_cell)
        .filter(is_id)
        .collect()
}

/// What testbenches cite.
fn on_the_rtl() -> BTreeSet<&'static str> {
    let cited = REGISTRY
        .iter()
        .flat_map(|testbench| testbench.requirements.iter().copied());
    cited.collect()
}

#[test]
fn every_requirement_of_the_memory_system_is_cited() {
    let ids = ids(MEMORY_SYSTEM, &["NOC-", "MEM-", "ORD-", "DVM-", "PMU-"]);
    assert_eq!(ids.len(), 8 + 15 + 4 + 11 + 14 + 9, "rows of the contract");
    let mut cited = on_the_rtl();
    cited.extend(JUDGED_BY_CHECKERS);
    let missing: Vec<_> = ids.difference(&cited).collect();
    assert!(missing.is_empty(), "no testbench cites {missing:?}");
}

#[test]
fn every_requirement_of_the_os_side_is_cited() {
    for (contract, prefix, rows) in [(MM_SUBSTRATE, "MM-", 38), (CONTPTE, "CONTPTE-", 36)] {
        let ids = ids(contract, &[prefix]);
        assert_eq!(ids.len(), rows, "rows of the contract");
        let cited = on_the_rtl();
        let missing: Vec<_> = ids.difference(&cited).collect();
        assert!(missing.is_empty(), "no testbench cites {missing:?}");
    }
}
