// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One member of the permitted set, and when it is what was observed.

use std::fmt;

use super::access::{Fault, Outcome};
use super::walk::Translation;

/// One member of the permitted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Success.
    Translation(Translation),
    /// Fault.
    Fault(Fault),
}

impl Candidate {
    /// Whether it is what was observed.
    #[must_use]
    pub fn is(&self, observed: Outcome) -> bool {
        match self {
            Candidate::Translation(translation) => equals_translation(translation, observed),
            Candidate::Fault(fault) => equals_fault(fault, observed),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Candidate::Translation(translation) => {
                let attributes = translation.attributes;
                let outcome = Outcome::Translated {
                    pa: translation.pa,
                    attr: attributes.attr,
                    sh: attributes.sh,
                };
                outcome.fmt(f)
            }
            Candidate::Fault(fault) => fault.fmt(f),
        }
    }
}

/// Whether `translation` is what was observed.
#[must_use]
pub fn equals_translation(translation: &Translation, observed: Outcome) -> bool {
    let attributes = translation.attributes;
    observed
        == Outcome::Translated {
            pa: translation.pa,
            attr: attributes.attr,
            sh: attributes.sh,
        }
}

/// Whether `fault` is what was observed, WnR included where it is known.
#[must_use]
pub fn equals_fault(fault: &Fault, observed: Outcome) -> bool {
    match observed {
        Outcome::Fault { fsc, wnr } => {
            fault.fsc == fsc && fault.wnr.is_none_or(|known| known == wnr)
        }
        Outcome::Translated { .. } => false,
    }
}
