// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the counts say: one row for each outcome and FEAT_ETS level, and the sums over all.

use super::campaign::Tally;
use crate::litmus::scenario::{Outcome, Scenario, Verdict};

/// What one outcome came to at one FEAT_ETS level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status<'a> {
    /// It was not run.
    NotRun,
    /// Forbidden and never seen, or required and always seen.
    Held,
    /// Forbidden, and seen.
    ForbiddenSeen,
    /// Required, and missing in a run.
    RequiredMissed,
    /// Allowed and seen.
    Seen,
    /// Allowed, seen, and the file says that it never would be.
    SeenAfterAll(&'a str),
    /// Allowed and not seen.
    Unseen,
    /// Allowed and not seen, as the file says: why.
    UnseenAsSaid(&'a str),
}

impl Status<'_> {
    /// Whether the row is red.
    #[must_use]
    pub const fn red(self) -> bool {
        matches!(
            self,
            Self::ForbiddenSeen | Self::RequiredMissed | Self::SeenAfterAll(_)
        )
    }

    /// In a word or two.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotRun => "not run",
            Self::Held => "ok",
            Self::ForbiddenSeen => "FORBIDDEN SEEN",
            Self::RequiredMissed => "REQUIRED MISSED",
            Self::Seen => "seen",
            Self::SeenAfterAll(_) => "SEEN AFTER ALL",
            Self::Unseen => "never seen",
            Self::UnseenAsSaid(_) => "never, as said",
        }
    }
}

/// What `outcome` came to at the FEAT_ETS level in place `ets` of pairs: seen `seen` times in `runs`.
#[must_use]
pub fn status(outcome: &Outcome, ets: usize, seen: u64, runs: u64) -> Status<'_> {
    let reason = outcome.unseen[ets].as_deref();
    match (outcome.verdict[ets], seen, reason) {
        _ if runs == 0 => Status::NotRun,
        (Verdict::Forbidden, 0, _) => Status::Held,
        (Verdict::Forbidden, ..) => Status::ForbiddenSeen,
        (Verdict::Required, seen, _) if seen == runs => Status::Held,
        (Verdict::Required, ..) => Status::RequiredMissed,
        (Verdict::Allowed, 0, Some(reason)) => Status::UnseenAsSaid(reason),
        (Verdict::Allowed, 0, None) => Status::Unseen,
        (Verdict::Allowed, _, Some(reason)) => Status::SeenAfterAll(reason),
        (Verdict::Allowed, _, None) => Status::Seen,
    }
}

/// Sums over scenarios.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Scenarios run.
    pub scenarios: u64,
    /// Scenarios left out.
    pub skipped: u64,
    /// Runs.
    pub runs: u64,
    /// Rows (an outcome at a FEAT_ETS level) that are forbidden and were seen.
    pub forbidden_seen: u64,
    /// Rows that are required and were missing in a run.
    pub required_missed: u64,
    /// Allowed rows for which the file gives no reason why they are never seen.
    pub allowed_rows: u64,
    /// Those of them that were seen.
    pub allowed_seen: u64,
    /// Allowed rows never seen, as their file says.
    pub unseen_as_said: u64,
    /// Allowed rows seen although their file says that they never are.
    pub reasons_wrong: u64,
    /// Simulations with a violation.
    pub violations: u64,
}

impl Sums {
    /// Adds a scenario.
    pub fn add(&mut self, scenario: &Scenario, tally: &Tally) {
        if tally.unfit.is_some() {
            self.skipped += 1;
            return;
        }
        self.scenarios += 1;
        self.runs += tally.runs.iter().sum::<u64>();
        self.violations += tally.violations;
        for (outcome, seen) in scenario.outcomes.iter().zip(&tally.seen) {
            for (ets, (&seen, &runs)) in seen.iter().zip(&tally.runs).enumerate() {
                let counter = match status(outcome, ets, seen, runs) {
                    Status::NotRun | Status::Held => continue,
                    Status::ForbiddenSeen => &mut self.forbidden_seen,
                    Status::RequiredMissed => &mut self.required_missed,
                    Status::UnseenAsSaid(_) => &mut self.unseen_as_said,
                    Status::SeenAfterAll(_) => &mut self.reasons_wrong,
                    Status::Unseen => &mut self.allowed_rows,
                    Status::Seen => {
                        self.allowed_rows += 1;
                        &mut self.allowed_seen
                    }
                };
                *counter += 1;
            }
        }
    }

    /// Whether nothing came that may not come.
    #[must_use]
    pub const fn pass(&self) -> bool {
        self.forbidden_seen == 0
            && self.required_missed == 0
            && self.violations == 0
            && self.reasons_wrong == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::parse;

    fn scenario(verdict: &str, reason: &str) -> Scenario {
        let text = format!(
            "title = \"t\"\nrequirements = [\"ORD-01\"]\n[[core]]\nprogram = [\"load r0, x\"]\n\
             [[outcome]]\nwhen = \"0:r0 = 0\"\nverdict = \"{verdict}\"\n{reason}"
        );
        parse("t", &text).unwrap()
    }

    #[test]
    fn what_was_seen_is_held_against_the_verdict_of_its_ets_level() {
        for (verdict, seen, expected) in [
            ("F", 0, Status::Held),
            ("F", 1, Status::ForbiddenSeen),
            ("R", 9, Status::RequiredMissed),
            ("R", 10, Status::Held),
            ("A", 0, Status::Unseen),
            ("A", 3, Status::Seen),
        ] {
            let scenario = scenario(verdict, "");
            assert_eq!(status(&scenario.outcomes[0], 0, seen, 10), expected);
            assert_eq!(status(&scenario.outcomes[0], 0, 0, 0), Status::NotRun);
        }
        let mixed = scenario("A/F", "unseen_ets0 = \"why\"");
        assert_eq!(
            status(&mixed.outcomes[0], 0, 0, 10),
            Status::UnseenAsSaid("why")
        );
        assert_eq!(
            status(&mixed.outcomes[0], 0, 1, 10),
            Status::SeenAfterAll("why")
        );
        assert_eq!(status(&mixed.outcomes[0], 1, 1, 10), Status::ForbiddenSeen);
    }

    #[test]
    fn rows_with_a_reason_do_not_count_as_allowed() {
        let mut sums = Sums::default();
        let tally = |seen| Tally {
            runs: [10, 10],
            seen: vec![seen],
            ..Tally::default()
        };
        sums.add(&scenario("A", ""), &tally([0, 4]));
        sums.add(&scenario("A", "unseen_ets0 = \"why\""), &tally([0, 4]));
        assert_eq!((sums.allowed_rows, sums.allowed_seen), (3, 2));
        assert_eq!((sums.unseen_as_said, sums.runs), (1, 40));
        assert!(sums.pass());
        sums.add(&scenario("A/F", ""), &tally([0, 1]));
        assert!(!sums.pass());
    }
}
