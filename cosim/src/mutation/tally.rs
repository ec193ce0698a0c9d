// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A campaign in numbers: by category of mutant, and by what spoke first.

use std::collections::BTreeMap;

use cosim_bridge::MutantInfo;
use serde_json::{Value, json};

use super::Outcome;

/// Numbers of mutants by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub mutants: u64,
    /// A run was red.
    pub killed: u64,
    /// Argued to be equivalent.
    pub equivalent: u64,
    /// Every run was green.
    pub survived: u64,
    /// Ctrl-C came first.
    pub not_run: u64,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        self.mutants += 1;
        match outcome {
            Outcome::Killed(_) => self.killed += 1,
            Outcome::Equivalent => self.equivalent += 1,
            Outcome::Survived { .. } => self.survived += 1,
            Outcome::NotRun => self.not_run += 1,
        }
    }
}

/// A campaign in numbers.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// All mutants.
    pub all: Count,
    /// By category, in the order of the alphabet.
    pub categories: BTreeMap<&'static str, Count>,
    /// Kills by what spoke first.
    pub detectors: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds one mutant.
    pub fn add(&mut self, mutant: &MutantInfo, outcome: &Outcome) {
        self.all.add(outcome);
        self.categories
            .entry(mutant.category)
            .or_default()
            .add(outcome);
        if let Outcome::Killed(kill) = outcome {
            *self.detectors.entry(kill.detector.clone()).or_default() += 1;
        }
    }

    /// The tables as text.
    #[must_use]
    pub fn table(&self) -> String {
        let names = self.categories.keys().map(|name| name.len());
        let width = names.max().unwrap_or(0).max("category".len());
        let mut lines = vec![format!(
            "{:width$}  mutants  killed  equivalent  survived",
            "category"
        )];
        let rows = self.categories.iter().map(|(name, count)| (*name, count));
        for (name, count) in rows.chain([("all", &self.all)]) {
            let Count {
                mutants,
                killed,
                equivalent,
                survived,
                ..
            } = count;
            lines.push(format!(
                "{name:width$}  {mutants:7}  {killed:6}  {equivalent:10}  {survived:8}"
            ));
        }
        let names = self.detectors.keys().map(String::len);
        let width = names.max().unwrap_or(0).max("first detector".len());
        lines.push(format!("\n{:width$}   kills", "first detector"));
        let mut detectors: Vec<_> = self.detectors.iter().collect();
        detectors.sort_by_key(|&(name, kills)| (u64::MAX - kills, name));
        for (name, kills) in detectors {
            lines.push(format!("{name:width$}  {kills:6}"));
        }
        lines.join("\n")
    }

    /// The numbers of the tables.
    #[must_use]
    pub fn json(&self) -> Value {
        let count = |count: &Count| {
            json!({
                "mutants": count.mutants, "killed": count.killed,
                "equivalent": count.equivalent, "survived": count.survived,
                "not_run": count.not_run,
            })
        };
        let mut all = count(&self.all);
        all["by_category"] = self
            .categories
            .iter()
            .map(|(name, of)| ((*name).to_owned(), count(of)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        all["by_detector"] = json!(self.detectors);
        all
    }
}
