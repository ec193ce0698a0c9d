// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Why a run is red: a broken requirement, a missed expectation, or a run that could not be done.

use std::fmt;

use crate::check::Violation;

/// What kind of end a red run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    /// Checkers saw broken requirements.
    Violations,
    /// An expectation that the testbench states literally was not met.
    Expectation,
    /// The cycle budget ran out before the program ended.
    Timeout,
    /// The body panicked: the testbench itself is at fault.
    Panic,
    /// The run could not be set up (configuration, file, trace).
    Setup,
    /// Ctrl-C.
    Interrupted,
}

/// Why a run is red, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of end it was.
    pub kind: FailureKind,
    /// One sentence: what went wrong.
    pub what: String,
    /// Cycle of the first evidence, where one is known.
    pub cycle: Option<u64>,
    /// Which simulation of the run failed: 0 for the first that the body opened.
    pub simulation: usize,
    /// Violations kept, the first one first.
    pub violations: Vec<Violation>,
    /// Number of violations, kept or not.
    pub total: u64,
    /// What went on around it.
    pub evidence: Box<Evidence>,
}

/// What went on in the simulation that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What the OS was in the middle of, one line a core that was in anything.
    pub activities: Vec<String>,
    /// The last events before the failure, one a line, oldest first.
    pub recent: Vec<String>,
}

impl Failure {
    fn of(kind: FailureKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            cycle: None,
            simulation: 0,
            violations: Vec::new(),
            total: 0,
            evidence: Box::default(),
        }
    }

    /// A missed expectation of the testbench, stated as one sentence.
    #[must_use]
    pub fn expectation(what: impl Into<String>) -> Self {
        Self::of(FailureKind::Expectation, what)
    }

    /// The program did not end within its budget of cycles.
    #[must_use]
    pub fn timeout(what: impl Into<String>) -> Self {
        Self::of(FailureKind::Timeout, what)
    }

    /// The testbench body panicked with `message`.
    #[must_use]
    pub fn panic(message: impl Into<String>) -> Self {
        Self::of(FailureKind::Panic, message)
    }

    /// The run could not be set up.
    #[must_use]
    pub fn setup(what: impl Into<String>) -> Self {
        Self::of(FailureKind::Setup, what)
    }

    /// Ctrl-C ended the run.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::of(FailureKind::Interrupted, "interrupted")
    }

    /// Violations that checkers saw; `total` counts those not kept as well.
    #[must_use]
    pub fn violations(violations: Vec<Violation>, total: u64) -> Self {
        let what = violations
            .first()
            .map_or_else(String::new, ToString::to_string);
        let cycle = violations.first().map(|violation| violation.cycle);
        Self {
            cycle,
            violations,
            total,
            ..Self::of(FailureKind::Violations, what)
        }
    }

    /// A missed expectation in the form of the checkers: ids, core, VA, what came.
    #[must_use]
    pub fn unmet(violation: Violation) -> Self {
        Self {
            kind: FailureKind::Expectation,
            ..Self::violations(vec![violation], 1)
        }
    }

    /// Names the cycle of the evidence, unless one is known already.
    #[must_use]
    pub fn at_cycle(mut self, cycle: u64) -> Self {
        if self.cycle.is_none() {
            self.cycle = Some(cycle);
            // An expectation does not know the time; its violation gets it here.
            self.violations
                .iter_mut()
                .for_each(|violation| violation.cycle = cycle);
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::expectation(what)
    }
}

impl From<&str> for Failure {
    fn from(what: &str) -> Self {
        Self::expectation(what)
    }
}

impl From<sw_mm::mm::Error> for Failure {
    fn from(error: sw_mm::mm::Error) -> Self {
        Self::expectation(format!("the kernel failed: {error}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::setup(error.to_string())
    }
}
