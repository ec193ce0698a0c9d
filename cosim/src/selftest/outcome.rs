// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the self-test concludes from who spoke.

use std::collections::BTreeSet;

use super::hunt::{Hunt, Speaker};

/// A fault and what was declared about it.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Name of the fault.
    pub id: &'static str,
    /// Requirement that the detector has to name.
    pub fires: &'static str,
    /// The detector that sees it first.
    pub sees: &'static str,
    /// Other detectors that rightly speak as early.
    pub also: &'static [&'static str],
    /// Name of the memory system with which it is run; empty for that of the load.
    pub memory: &'static str,
}

/// Whether a fault was seen as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As declared.
    Seen,
    /// The detector was not among the first to speak, or did not name the requirement.
    Silent,
    /// These spoke as early as it and are not declared.
    Noisy(Vec<String>),
    /// The stimulus could not be run.
    Failed(String),
    /// Ctrl-C came first.
    NotRun,
}

/// One fault, run.
#[derive(Debug, Clone)]
pub struct Row {
    /// Name of the fault; none is the run without one.
    pub fault: Option<&'static str>,
    /// The detector that sees it; empty for the run without a fault.
    pub detector: &'static str,
    /// Set-up of the hardware under which it was seen.
    pub setup: usize,
    /// Those who spoke within the window.
    pub speakers: Vec<Speaker>,
    /// Cycles simulated.
    pub cycles: u64,
    /// Verdict.
    pub outcome: Outcome,
}

/// The verdict on `hunt` for `fault`, or on a run without one.
#[must_use]
pub fn judge(fault: Option<&Fault>, hunt: &Hunt) -> Outcome {
    let Some(fault) = fault else {
        let all = hunt.speakers.iter().map(|speaker| speaker.detector.clone());
        let all: Vec<_> = all.collect();
        return match all.is_empty() {
            true => Outcome::Seen,
            false => Outcome::Noisy(all),
        };
    };
    let seen = hunt.speakers.iter().any(|speaker| {
        speaker.detector == fault.sees && speaker.requirements.iter().any(|id| id == fault.fires)
    });
    let declared = |name: &str| name == fault.sees || fault.also.contains(&name);
    let others = hunt.speakers.iter().map(|speaker| &speaker.detector);
    let others: Vec<_> = others.filter(|name| !declared(name)).cloned().collect();
    match (seen, others.is_empty()) {
        (false, _) => Outcome::Silent,
        (true, true) => Outcome::Seen,
        (true, false) => Outcome::Noisy(others),
    }
}

/// What all rows come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Detectors asked about.
    pub detectors: usize,
    /// Those among them that saw a fault of theirs as declared.
    pub fired: usize,
    /// Detectors with no fault that they see as declared.
    pub silent: Vec<String>,
    /// Faults, or `clean`, of which somebody spoke who is not declared, and who.
    pub noisy: Vec<(String, Vec<String>)>,
    /// Faults whose detector did not see them.
    pub unseen: Vec<String>,
    /// Faults whose stimulus did not run, and why.
    pub failed: Vec<(String, String)>,
    /// Faults that Ctrl-C left out.
    pub not_run: usize,
}

impl Summary {
    /// Of `rows`, for `detectors`.
    #[must_use]
    pub fn of(rows: &[Row], detectors: &[String]) -> Self {
        let fired: BTreeSet<&str> = rows
            .iter()
            .filter(|row| row.outcome == Outcome::Seen)
            .map(|row| row.detector)
            .collect();
        let missing = detectors
            .iter()
            .filter(|name| !fired.contains(name.as_str()));
        let silent: Vec<String> = missing.cloned().collect();
        let mut summary = Self {
            detectors: detectors.len(),
            fired: detectors.len() - silent.len(),
            silent,
            ..Self::default()
        };
        for row in rows {
            let name = row.fault.unwrap_or("clean").to_owned();
            match &row.outcome {
                Outcome::Seen => {}
                Outcome::Silent => summary.unseen.push(name),
                Outcome::Noisy(who) => summary.noisy.push((name, who.clone())),
                Outcome::Failed(why) => summary.failed.push((name, why.clone())),
                Outcome::NotRun => summary.not_run += 1,
            }
        }
        summary
    }

    /// Whether everything was as declared.
    #[must_use]
    pub fn pass(&self) -> bool {
        self.silent.is_empty()
            && self.noisy.is_empty()
            && self.unseen.is_empty()
            && self.failed.is_empty()
            && self.not_run == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: Fault = Fault {
        id: "f",
        fires: "X-1",
        sees: "a",
        also: &["b"],
        memory: "",
    };

    fn hunt(speakers: &[(&str, &str)]) -> Hunt {
        let speaker = |(detector, requirement): &(&str, &str)| Speaker {
            detector: (*detector).to_owned(),
            cycle: 5,
            requirements: vec![(*requirement).to_owned()],
        };
        Hunt {
            speakers: speakers.iter().map(speaker).collect(),
            cycles: 9,
        }
    }

    #[test]
    fn a_fault_is_seen_by_its_detector_and_by_those_declared() {
        assert_eq!(judge(Some(&FAULT), &hunt(&[("a", "X-1")])), Outcome::Seen);
        assert_eq!(
            judge(Some(&FAULT), &hunt(&[("b", "X-2"), ("a", "X-1")])),
            Outcome::Seen
        );
    }

    #[test]
    fn a_detector_that_says_nothing_or_something_else_is_silent() {
        for speakers in [&[][..], &[("b", "X-1")], &[("a", "X-2")]] {
            assert_eq!(judge(Some(&FAULT), &hunt(speakers)), Outcome::Silent);
        }
    }

    #[test]
    fn an_undeclared_speaker_is_noise() {
        let outcome = judge(Some(&FAULT), &hunt(&[("c", "X-1"), ("a", "X-1")]));
        assert_eq!(outcome, Outcome::Noisy(vec!["c".to_owned()]));
        assert_eq!(judge(None, &hunt(&[])), Outcome::Seen);
        assert_eq!(
            judge(None, &hunt(&[("a", "X-1")])),
            Outcome::Noisy(vec!["a".to_owned()])
        );
    }

    #[test]
    fn a_summary_passes_only_if_every_detector_saw_a_fault() {
        let row = |detector, outcome| Row {
            fault: Some("f"),
            detector,
            setup: 0,
            speakers: Vec::new(),
            cycles: 9,
            outcome,
        };
        let names = ["a".to_owned(), "b".to_owned()];
        let both = [row("a", Outcome::Seen), row("b", Outcome::Seen)];
        assert!(Summary::of(&both, &names).pass());
        let one = Summary::of(&both[..1], &names);
        assert_eq!((one.fired, one.silent.len(), one.pass()), (1, 1, false));
        let noisy = [
            both[0].clone(),
            both[1].clone(),
            row("a", Outcome::Noisy(Vec::new())),
        ];
        assert!(!Summary::of(&noisy, &names).pass());
    }
}
