// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One member of the permitted set, and when it is what was observed.

use std::fmt;

use vmsa::Descriptor;

use super::access::{Fault, Outcome};
use super::walk::Translation;

/// One member of the permitted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Success.
    Translation(Translation),
    /// Fault.
    Fault(Fault),
    /// A leaf that a TLB may hold, told only where those are asked for.
    Held(HeldLeaf),
}

/// A leaf that a TLB may hold for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLeaf {
    /// Level of the descriptor.
    pub level: u8,
    /// Its value.
    pub descriptor: Descriptor,
    /// Output address that it gives.
    pub pa: u64,
    /// The Contiguous bit means something at this level.
    pub runs: bool,
}

impl HeldLeaf {
    /// Whether going from one to the other is a change of section 12.1, so that a lookup that meets
    /// both may abort (BBM-03). Access flag and dirty state never are.
    #[must_use]
    pub const fn conflicts(&self, other: &Self) -> bool {
        let (a, b) = (self.descriptor, other.descriptor);
        let run = self.runs && (a.contiguous() || b.contiguous());
        self.level != other.level
            || self.pa != other.pa
            || a.attr_index() != b.attr_index()
            || a.sh() != b.sh()
            || a.ng() != b.ng()
            || run
                && (a.contiguous() != b.contiguous()
                    || a.ap_el0() != b.ap_el0()
                    || a.uxn() != b.uxn()
                    || a.pxn() != b.pxn()
                    || a.dbm() != b.dbm()
                    || !a.dbm() && a.ap_read_only() != b.ap_read_only())
    }
}

impl Candidate {
    /// Whether it is what was observed.
    #[must_use]
    pub fn is(&self, observed: Outcome) -> bool {
        match self {
            Candidate::Translation(translation) => equals_translation(translation, observed),
            Candidate::Fault(fault) => equals_fault(fault, observed),
            Candidate::Held(_) => false,
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
            Candidate::Held(held) => write!(f, "held {} PA {:#x}", held.descriptor, held.pa),
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
