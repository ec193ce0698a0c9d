// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Violations that a test declares: it breaks a rule on purpose, and the run is red without the report.

use std::fmt;
use std::ops::RangeInclusive;

use super::Violation;

/// How often an expected violation has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    AtLeast(u64),
    Exactly(u64),
}

/// A violation that a test declares, by the requirement that breaks and, where that is said, by its
/// checker, its virtual address and its descriptor. One that is expected fails no run; one that is
/// declared and never comes does.
///
/// ```
/// use cosim::check::Expectation;
///
/// let misuse = Expectation::of("BBM-03").within(0x40_0000..=0x40_0fff).times(2);
/// assert_eq!(misuse.to_string(), "BBM-03 at VA 0x0000000000400000 to 0x0000000000400fff, 2 times");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    requirement: String,
    checker: Option<&'static str>,
    va: Option<RangeInclusive<u64>>,
    descriptor: Option<u64>,
    times: Times,
    seen: u64,
}

impl Expectation {
    /// A violation of `requirement`, at least once.
    #[must_use]
    pub fn of(requirement: &str) -> Self {
        Self {
            requirement: requirement.to_owned(),
            checker: None,
            va: None,
            descriptor: None,
            times: Times::AtLeast(1),
            seen: 0,
        }
    }

    /// Only what the checker called `name` reports.
    #[must_use]
    pub fn by(mut self, name: &'static str) -> Self {
        self.checker = Some(name);
        self
    }

    /// Only at virtual addresses in `range`, as the report names them.
    #[must_use]
    pub fn within(mut self, range: RangeInclusive<u64>) -> Self {
        self.va = Some(range);
        self
    }

    /// Only about the descriptor at physical address `address`.
    #[must_use]
    pub fn descriptor(mut self, address: u64) -> Self {
        self.descriptor = Some(address);
        self
    }

    /// Exactly `count` times. What comes beyond that is a violation like any other.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Times::Exactly(count);
        self
    }

    /// Any number of times, none included: for loads whose seed decides whether the rule is broken.
    #[must_use]
    pub fn if_any(mut self) -> Self {
        self.times = Times::AtLeast(0);
        self
    }

    /// The requirement.
    #[must_use]
    pub fn requirement(&self) -> &str {
        &self.requirement
    }

    /// How often it came so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether it came as often as declared.
    #[must_use]
    pub fn met(&self) -> bool {
        match self.times {
            Times::AtLeast(count) => self.seen >= count,
            Times::Exactly(count) => self.seen == count,
        }
    }

    /// Takes `violation` if it is one of those declared and not one too many.
    pub(super) fn takes(&mut self, violation: &Violation) -> bool {
        let inside =
            |range: &RangeInclusive<u64>| violation.va.is_some_and(|va| range.contains(&va));
        let takes = violation.breaks(&self.requirement)
            && self.checker.is_none_or(|name| name == violation.checker)
            && self.va.as_ref().is_none_or(inside)
            && self
                .descriptor
                .is_none_or(|address| violation.descriptor == Some(address))
            && self.times != Times::Exactly(self.seen);
        self.seen += u64::from(takes);
        takes
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.requirement)?;
        if let Some(name) = self.checker {
            write!(f, " by {name}")?;
        }
        if let Some(range) = &self.va {
            write!(f, " at VA {:#018x} to {:#018x}", range.start(), range.end())?;
        }
        if let Some(address) = self.descriptor {
            write!(f, " of descriptor [{address:#014x}]")?;
        }
        match self.times {
            Times::AtLeast(0) => f.write_str(", any number of times"),
            Times::AtLeast(1) => f.write_str(", at least once"),
            Times::AtLeast(count) => write!(f, ", at least {count} times"),
            Times::Exactly(1) => f.write_str(", once"),
            Times::Exactly(count) => write!(f, ", {count} times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Violations;

    fn violation(requirement: &str, va: u64, descriptor: u64) -> Violation {
        Violation::new(1, "a checker", &[requirement], "came")
            .at_va(va)
            .of_descriptor(descriptor)
    }

    #[test]
    fn what_is_expected_is_counted_and_fails_nothing() {
        let mut out = Violations::new();
        out.expect(Expectation::of("X-1").within(0x1000..=0x1fff));
        out.push(violation("X-1", 0x1008, 0x80));
        out.push(violation("X-1", 0x1ff8, 0x88));
        assert!(out.is_empty());
        assert_eq!(out.expected()[0].seen(), 2);
        assert!(out.unmet().is_none());
    }

    #[test]
    fn what_differs_from_the_declaration_is_a_violation() {
        let mut out = Violations::new();
        out.expect(
            Expectation::of("X-1")
                .by("a checker")
                .within(0x1000..=0x1fff)
                .descriptor(0x80),
        );
        out.push(violation("X-2", 0x1000, 0x80));
        out.push(violation("X-1", 0x2000, 0x80));
        out.push(violation("X-1", 0x1000, 0x88));
        out.push(
            Violation::new(1, "another", &["X-1"], "")
                .at_va(0x1000)
                .of_descriptor(0x80),
        );
        out.push(Violation::new(1, "a checker", &["X-1"], ""));
        assert_eq!(out.total(), 5);
        assert_eq!(out.expected()[0].seen(), 0);
    }

    #[test]
    fn one_that_never_comes_is_unmet() {
        let mut out = Violations::new();
        out.expect(Expectation::of("X-1").if_any());
        assert!(out.unmet().is_none());
        out.expect(Expectation::of("X-2"));
        assert_eq!(out.unmet().map(Expectation::requirement), Some("X-2"));
    }

    #[test]
    fn an_exact_count_is_neither_missed_nor_exceeded() {
        let mut out = Violations::new();
        out.expect(Expectation::of("X-1").times(2));
        out.push(violation("X-1", 0, 0));
        assert!(out.unmet().is_some());
        out.push(violation("X-1", 0, 0));
        assert!(out.unmet().is_none() && out.is_empty());
        out.push(violation("X-1", 0, 0));
        assert_eq!(out.total(), 1);
    }
}
