// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a program brings for its command line to run.

use crate::experiment::Experiment;
use crate::regress::Testbench;
use crate::selftest::Stimuli;

/// Litmus scenarios built into a program: name and text of each.
pub type Catalogue<'a> = &'a [(&'a str, &'a str)];

/// What a program brings; whatever is left out, the commands that need it say so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Suite<'a> {
    /// Testbenches, in the order in which they are listed.
    pub testbenches: &'a [Testbench],
    /// Litmus scenarios.
    pub scenarios: Catalogue<'a>,
    /// Experiments, in the order in which they are listed.
    pub experiments: &'a [Experiment],
    /// The load of the self-test.
    pub stimuli: Option<&'static Stimuli>,
}

impl<'a> Suite<'a> {
    /// Testbenches and nothing else.
    #[must_use]
    pub const fn of(testbenches: &'a [Testbench]) -> Self {
        Self {
            testbenches,
            scenarios: &[],
            experiments: &[],
            stimuli: None,
        }
    }
}
