// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The rows of `mmu-cosim litmus`: what one scenario came to, for people and as JSON.

use serde_json::{Value, json};

use super::say;
use crate::litmus::run::campaign::{Entry, Tally};
use crate::litmus::run::rows::{Status, status};
use crate::litmus::scenario::Verdict;

const fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Allowed => 'A',
        Verdict::Forbidden => 'F',
        Verdict::Required => 'R',
    }
}

/// Prints the rows of one scenario.
pub fn show(entry: &Entry, tally: &Tally, verbose: bool) {
    let scenario = &entry.scenario;
    if tally.unfit.is_some() {
        return;
    }
    say(&format!(
        "{}  {}  [{}]",
        scenario.name, scenario.title, entry.config
    ));
    for (outcome, seen) in scenario.outcomes.iter().zip(&tally.seen) {
        let status = [0, 1].map(|ets| status(outcome, ets, seen[ets], tally.runs[ets]));
        let [without, with] = outcome.verdict.map(letter);
        let counts = [0, 1].map(|ets| format!("{}/{}", seen[ets], tally.runs[ets]));
        let words = match status[0].word() == status[1].word() {
            true => status[0].word().to_owned(),
            false => format!("{}, {}", status[0].word(), status[1].word()),
        };
        let mut text = outcome.text.clone();
        if text.chars().count() > 60 && !verbose {
            text = text.chars().take(57).chain("...".chars()).collect();
        }
        say(&format!(
            "  {without}/{with}  {:>9} {:>9}  {words:<28}  {text}",
            counts[0], counts[1]
        ));
        let mut reasons: Vec<&str> = status
            .iter()
            .filter_map(|status| match status {
                Status::UnseenAsSaid(why) | Status::SeenAfterAll(why) => Some(*why),
                _ => None,
            })
            .collect();
        reasons.dedup();
        for why in reasons {
            say(&format!("       because {why}"));
        }
    }
    if tally.violations > 0 {
        say(&format!("  VIOLATIONS in {} simulations", tally.violations));
    }
    if verbose {
        for (text, counts) in &tally.endings {
            say(&format!("       {:>9} {:>9}  {text}", counts[0], counts[1]));
        }
    }
    if let Some(report) = &tally.report {
        say(&format!("\n{report}"));
    }
}

/// The same as JSON.
pub fn describe(entry: &Entry, tally: &Tally) -> Value {
    let scenario = &entry.scenario;
    let outcomes: Vec<Value> = scenario
        .outcomes
        .iter()
        .zip(&tally.seen)
        .map(|(outcome, seen)| {
            let status = [0, 1].map(|ets| status(outcome, ets, seen[ets], tally.runs[ets]));
            json!({
                "when": outcome.text,
                "verdict": outcome.verdict.map(|verdict| letter(verdict).to_string()),
                "seen": seen,
                "status": status.map(Status::word),
                "unseen": outcome.unseen,
            })
        })
        .collect();
    let endings: Vec<Value> = tally
        .endings
        .iter()
        .map(|(text, counts)| json!({"ending": text, "seen": counts}))
        .collect();
    json!({
        "name": entry.name, "title": scenario.title, "config": entry.config,
        "requirements": scenario.requirements, "runs": tally.runs, "cycles": tally.cycles,
        "violations": tally.violations, "outcomes": outcomes, "endings": endings,
    })
}
