// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The files of `testbenches/litmus` say what the tables of `docs/spec/litmus.md` say: the same
//! scenarios, the same published tests, the same requirements, the same verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cosim::litmus::scenario::{Scenario, Verdict};

/// What a row of a table says of its scenario.
#[derive(Debug)]
struct Row {
    /// Published tests named in the last column.
    cite: Vec<String>,
    /// Requirements named in the last column.
    requirements: Vec<String>,
    /// Verdicts of the row in order; without FEAT_ETS2 where the row is silent on that: none.
    verdicts: Vec<[Option<Verdict>; 2]>,
    /// The verdict column is one verdict and nothing more.
    one_verdict: bool,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `text` without what stands in parentheses.
fn bare(text: &str) -> String {
    let mut depth = 0;
    let outside = |c: &char| {
        depth += i32::from(*c == '(');
        let outside = depth == 0;
        depth -= i32::from(*c == ')');
        outside
    };
    text.chars().filter(outside).collect()
}

/// Runs of characters for which `part` holds.
fn runs(text: &str, part: impl Fn(char) -> bool) -> Vec<&str> {
    text.split(|c| !part(c)).filter(|s| !s.is_empty()).collect()
}

fn letter(text: &str) -> Option<Verdict> {
    match text {
        "A" => Some(Verdict::Allowed),
        "F" => Some(Verdict::Forbidden),
        "R" => Some(Verdict::Required),
        _ => None,
    }
}

fn verdicts(column: &str) -> Vec<[Option<Verdict>; 2]> {
    let only_ets2 = column.contains("(ETS=2)");
    let words = bare(column);
    let words = runs(&words, |c| {
        c.is_ascii_alphanumeric() || c == '/' || c == '-'
    });
    let read = |word: &&str| {
        let (without, with) = word.split_once('/').unwrap_or((word, word));
        let (without, with) = (letter(without)?, letter(with)?);
        Some([(!only_ets2).then_some(without), Some(with)])
    };
    words.iter().filter_map(read).collect()
}

fn is_requirement(word: &str) -> bool {
    let family = word.trim_end_matches(|c: char| c.is_ascii_digit());
    word.len() == family.len() + 2
        && ["WALK-", "TLB-", "HAF-", "TLBI-", "BBM-", "ORD-", "VMSA-"].contains(&family)
}

/// Published names of the last column: `D` stands for "derived", parentheses and `[R]` explain.
fn cited(column: &str) -> Vec<String> {
    let outside = bare(column);
    // A colon begins an explanation.
    let names = outside.split(':').next().unwrap_or_default();
    let names = names.split([',', ';']).map(|name| name.trim());
    let names = names.map(|name| name.trim_end_matches("[R]").trim());
    let names = names.filter(|name| !name.is_empty() && *name != "D");
    names.map(str::to_owned).collect()
}

fn rows() -> BTreeMap<String, Row> {
    let path = repository().join("docs/spec/litmus.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, .., verdict, basis, _] = &columns[..] else {
            continue;
        };
        if !id.starts_with('L') || !id[1..].chars().all(|c| c.is_ascii_digit()) {
            continue;
        }
        let words = runs(basis, |c| c.is_ascii_alphanumeric() || c == '-');
        let requirements = words.into_iter().filter(|word| is_requirement(word));
        let row = Row {
            cite: cited(basis),
            requirements: requirements.map(str::to_owned).collect(),
            verdicts: verdicts(verdict),
            one_verdict: bare(verdict).trim().len() <= 3,
        };
        assert!(rows.insert((*id).to_owned(), row).is_none(), "{id} twice");
    }
    rows
}

fn scenarios() -> BTreeMap<String, Scenario> {
    let mut scenarios = BTreeMap::new();
    let folder = repository().join("testbenches/litmus");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario = cosim::litmus::parse(&name, &text).unwrap_or_else(|e| panic!("{e}"));
        scenarios.insert(name, scenario);
    }
    scenarios
}

#[test]
fn there_is_one_file_for_each_row() {
    let files: BTreeSet<String> = scenarios().into_keys().collect();
    let rows: BTreeSet<String> = rows().into_keys().collect();
    assert_eq!(rows.len(), 108);
    assert_eq!(files, rows);
}

#[test]
fn files_cite_and_prove_what_their_rows_do() {
    let rows = rows();
    for (id, scenario) in scenarios() {
        let row = &rows[&id];
        assert_eq!(scenario.cite, row.cite, "{id}");
        for requirement in &row.requirements {
            let named = scenario.requirements.contains(requirement);
            assert!(named, "{id}: {requirement} of the row is not in the file");
        }
    }
}

#[test]
fn files_judge_as_their_rows_do() {
    let rows = rows();
    for (id, scenario) in scenarios() {
        let row = &rows[&id];
        assert!(!row.verdicts.is_empty(), "{id}: no verdict in its row");
        assert!(!row.one_verdict || row.verdicts.len() == 1, "{id}: {row:?}");
        let asked = scenario.outcomes.len();
        assert!(asked >= row.verdicts.len(), "{id}: {asked} outcomes");
        for (outcome, row) in scenario.outcomes.iter().zip(&row.verdicts) {
            for (file, row) in outcome.verdict.iter().zip(row) {
                let same = row.is_none_or(|row| row == *file);
                assert!(same, "{id}: {}: {:?}", outcome.text, outcome.verdict);
            }
        }
    }
}

#[test]
fn files_name_requirements_that_exist() {
    let path = repository().join("docs/spec/vmsa.md");
    let text = std::fs::read_to_string(path).unwrap();
    let defined = text.lines().filter_map(|line| line.split('|').nth(1));
    let defined: BTreeSet<&str> = defined.map(str::trim).collect();
    for (id, scenario) in scenarios() {
        assert!(!scenario.requirements.is_empty(), "{id} proves nothing");
        for requirement in &scenario.requirements {
            let known = is_requirement(requirement) && defined.contains(requirement.as_str());
            assert!(known, "{id}: {requirement}");
        }
    }
}

#[test]
fn the_example_of_the_format_is_a_scenario() {
    let path = repository().join("docs/litmus.md");
    let text = std::fs::read_to_string(path).unwrap();
    let example = text
        .split("```toml")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let scenario = cosim::litmus::parse("example", example.unwrap()).unwrap();
    let row = &scenarios()["L24"];
    assert_eq!(scenario.cores, row.cores);
}
