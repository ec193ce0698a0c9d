// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A broken requirement, with everything that the failure report says about it.

use std::fmt;

use super::Expectation;

/// One broken requirement at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Cycle (since the release of reset) at which the fault was seen.
    pub cycle: u64,
    /// Ids of the requirements that broke, the most specific first, e.g. `HAF-05`.
    pub requirements: Vec<String>,
    /// Name of the checker that saw it.
    pub checker: &'static str,
    /// Core whose behaviour broke the requirement, where one is to blame.
    pub core: Option<u8>,
    /// Virtual address of the access concerned, tag byte included.
    pub va: Option<u64>,
    /// Physical address of the descriptor concerned, where the rule is about one.
    pub descriptor: Option<u64>,
    /// Every outcome that was permitted, one a line.
    pub permitted: Vec<String>,
    /// The outcome that came.
    pub came: String,
    /// The walk as the model does it, one step a line.
    pub walk: Vec<String>,
}

impl Violation {
    /// A violation of `requirements` seen by `checker`: `came` says what happened.
    #[must_use]
    pub fn new(
        cycle: u64,
        checker: &'static str,
        requirements: &[&str],
        came: impl Into<String>,
    ) -> Self {
        Self {
            cycle,
            requirements: requirements.iter().map(|id| (*id).to_owned()).collect(),
            checker,
            core: None,
            va: None,
            descriptor: None,
            permitted: Vec::new(),
            came: came.into(),
            walk: Vec::new(),
        }
    }

    /// Names the core to blame.
    #[must_use]
    pub fn on_core(mut self, core: u8) -> Self {
        self.core = Some(core);
        self
    }

    /// Names the virtual address concerned.
    #[must_use]
    pub fn at_va(mut self, va: u64) -> Self {
        self.va = Some(va);
        self
    }

    /// Names the physical address of the descriptor concerned.
    #[must_use]
    pub fn of_descriptor(mut self, address: u64) -> Self {
        self.descriptor = Some(address);
        self
    }

    /// Adds one permitted outcome.
    #[must_use]
    pub fn permitting(mut self, outcome: impl Into<String>) -> Self {
        self.permitted.push(outcome.into());
        self
    }

    /// Attaches the walk, one step a line.
    #[must_use]
    pub fn with_walk(mut self, steps: Vec<String>) -> Self {
        self.walk = steps;
        self
    }

    /// Whether `requirement` is one of those that broke.
    #[must_use]
    pub fn breaks(&self, requirement: &str) -> bool {
        self.requirements.iter().any(|id| id == requirement)
    }
}

impl fmt::Display for Violation {
    /// The one-line form: cycle, checker, ids and what came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cycle {}: {} [{}]",
            self.cycle,
            self.checker,
            self.requirements.join(", ")
        )?;
        if let Some(core) = self.core {
            write!(f, " core {core}")?;
        }
        if let Some(va) = self.va {
            write!(f, " va {va:#018x}")?;
        }
        write!(f, ": {}", self.came)
    }
}

/// The first report of one requirement by one checker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstReport {
    /// Name of the checker.
    pub checker: &'static str,
    /// The requirement that it named.
    pub requirement: String,
    /// Cycle of the report.
    pub cycle: u64,
}

/// Violations in the order seen. The first ones are kept in full, the rest are counted: a broken
/// design can break a rule every cycle, and only the first report is ever read. Those that a test
/// declared are counted by themselves and are no violations of the run.
#[derive(Debug, Clone, Default)]
pub struct Violations {
    kept: Vec<Violation>,
    total: u64,
    expected: Vec<Expectation>,
    firsts: Vec<FirstReport>,
}

impl Violations {
    /// How many violations are kept in full.
    pub const KEPT: usize = 64;

    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, takes what `expectation` declares as expected.
    pub fn expect(&mut self, expectation: Expectation) {
        self.expected.push(expectation);
    }

    /// What was declared, with how often it came.
    #[must_use]
    pub fn expected(&self) -> &[Expectation] {
        &self.expected
    }

    /// The first declared violation that did not come as often as declared.
    #[must_use]
    pub fn unmet(&self) -> Option<&Expectation> {
        self.expected.iter().find(|expectation| !expectation.met())
    }

    /// Records one violation, unless it was declared.
    pub fn push(&mut self, violation: Violation) {
        let mut expected = self.expected.iter_mut();
        if expected.any(|expectation| expectation.takes(&violation)) {
            return;
        }
        self.total += 1;
        for requirement in &violation.requirements {
            let known = |first: &FirstReport| {
                first.checker == violation.checker && first.requirement == *requirement
            };
            if !self.firsts.iter().any(known) {
                self.firsts.push(FirstReport {
                    checker: violation.checker,
                    requirement: requirement.clone(),
                    cycle: violation.cycle,
                });
            }
        }
        if self.kept.len() < Self::KEPT {
            self.kept.push(violation);
        }
    }

    /// Number of violations seen, kept or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether none was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The first report of each requirement by each checker, kept or not.
    #[must_use]
    pub fn firsts(&self) -> &[FirstReport] {
        &self.firsts
    }

    /// The violations kept, in the order seen.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.kept.iter()
    }

    /// The first violation.
    #[must_use]
    pub fn first(&self) -> Option<&Violation> {
        self.kept.first()
    }

    /// Takes the violations kept out of the list and resets the count.
    pub fn take(&mut self) -> Vec<Violation> {
        self.total = 0;
        std::mem::take(&mut self.kept)
    }
}

impl<'a> IntoIterator for &'a Violations {
    type Item = &'a Violation;
    type IntoIter = std::slice::Iter<'a, Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.iter()
    }
}
