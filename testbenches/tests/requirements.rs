// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Every requirement of the memory system is cited by a testbench that proves it.

use std::collections::BTreeSet;

use testbenches::REGISTRY;

const CONTRACT: &str = include_str!("../../docs/spec/memory_system.md");

/// What no directed testbench can see, and who holds it instead: DRAM commands, which are judged one by
/// one, under every load, by the checker of the command bus and the assertions of the channel.
const JUDGED_BY_CHECKERS: [&str; 2] = ["MEM-01", "MEM-02"];

/// The ids of the rows of requirements.
fn ids() -> BTreeSet<&'static str> {
    let first_cell = |line: &'static str| line.strip_prefix("| ")?.split(" |").next();
    let is_id = |cell: &&str| {
        let known = ["NOC-", "MEM-", "ORD-", "DVM-", "PMU-"];
        let number = known.iter().find_map(|prefix| cell.strip_prefix(prefix));
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    };
    CONTRACT
        .lines()
        .filter_map(first_cell)
        .filter(is_id)
        .collect()
}

#[test]
fn every_requirement_of_the_memory_system_is_cited() {
    let ids = ids();
    assert_eq!(ids.len(), 8 + 15 + 4 + 11 + 14 + 9, "rows of the contract");
    let cited: BTreeSet<&str> = REGISTRY
        .iter()
        .flat_map(|testbench| testbench.requirements.iter().copied())
        .chain(JUDGED_BY_CHECKERS)
        .collect();
    let missing: Vec<_> = ids.difference(&cited).collect();
    assert!(missing.is_empty(), "no testbench cites {missing:?}");
}
