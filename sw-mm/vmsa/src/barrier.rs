// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! DSB: how far it reaches and which accesses it orders.

use crate::tlbi::TlbiScope;
use std::fmt;

/// Shareability domain of a barrier. Discriminants are bits 3:2 of CRm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DsbDomain {
    /// Outer Shareable.
    Osh = 0,
    /// Non-shareable: this PE.
    Nsh = 1,
    /// Inner Shareable.
    Ish = 2,
    /// Full system.
    Sy = 3,
}

/// Accesses that a barrier waits for. Discriminants are bits 1:0 of CRm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DsbTypes {
    /// Loads.
    Loads = 1,
    /// Stores.
    Stores = 2,
    /// Everything, TLB invalidations too.
    All = 3,
}

/// A data synchronization barrier.
///
/// ```
/// use vmsa::{DsbKind, TlbiScope};
///
/// assert_eq!(DsbKind::ISHST.to_string(), "DSB ISHST");
/// assert!(DsbKind::ISH.completes_tlbi(TlbiScope::InnerShareable));
/// assert!(!DsbKind::ISHST.completes_tlbi(TlbiScope::Local)); // TLBI-24
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DsbKind {
    /// How far it reaches.
    pub domain: DsbDomain,
    /// What it waits for.
    pub types: DsbTypes,
}

const fn kind(domain: DsbDomain, types: DsbTypes) -> DsbKind {
    DsbKind { domain, types }
}

impl DsbKind {
    /// Full system, everything.
    pub const SY: Self = kind(DsbDomain::Sy, DsbTypes::All);
    /// Full system, stores.
    pub const ST: Self = kind(DsbDomain::Sy, DsbTypes::Stores);
    /// Full system, loads.
    pub const LD: Self = kind(DsbDomain::Sy, DsbTypes::Loads);
    /// Inner Shareable, everything: completes earlier TLBIs of this core on every core.
    pub const ISH: Self = kind(DsbDomain::Ish, DsbTypes::All);
    /// Inner Shareable, stores: makes descriptor stores visible; completes no TLBI (TLBI-24).
    pub const ISHST: Self = kind(DsbDomain::Ish, DsbTypes::Stores);
    /// Inner Shareable, loads; completes no TLBI (TLBI-24).
    pub const ISHLD: Self = kind(DsbDomain::Ish, DsbTypes::Loads);
    /// Non-shareable, everything: completes earlier local TLBIs.
    pub const NSH: Self = kind(DsbDomain::Nsh, DsbTypes::All);
    /// Non-shareable, stores.
    pub const NSHST: Self = kind(DsbDomain::Nsh, DsbTypes::Stores);
    /// Non-shareable, loads.
    pub const NSHLD: Self = kind(DsbDomain::Nsh, DsbTypes::Loads);
    /// Outer Shareable, everything.
    pub const OSH: Self = kind(DsbDomain::Osh, DsbTypes::All);
    /// Outer Shareable, stores.
    pub const OSHST: Self = kind(DsbDomain::Osh, DsbTypes::Stores);
    /// Outer Shareable, loads.
    pub const OSHLD: Self = kind(DsbDomain::Osh, DsbTypes::Loads);

    /// All of them, by CRm.
    pub const ALL: [DsbKind; 12] = [
        Self::OSHLD,
        Self::OSHST,
        Self::OSH,
        Self::NSHLD,
        Self::NSHST,
        Self::NSH,
        Self::ISHLD,
        Self::ISHST,
        Self::ISH,
        Self::LD,
        Self::ST,
        Self::SY,
    ];

    /// CRm of the instruction.
    pub const fn crm(self) -> u8 {
        (self.domain as u8) << 2 | self.types as u8
    }

    /// The barrier of that CRm; `None` for codes that are no DSB.
    pub fn from_crm(crm: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.crm() == crm)
    }

    /// Whether its completion completes earlier TLBIs of `scope` of the same PE: it waits for
    /// everything and reaches as far (TLBI-24, section 11.3).
    pub const fn completes_tlbi(self, scope: TlbiScope) -> bool {
        let reaches = match scope {
            TlbiScope::Local => true,
            TlbiScope::InnerShareable => !matches!(self.domain, DsbDomain::Nsh),
            TlbiScope::OuterShareable => matches!(self.domain, DsbDomain::Osh | DsbDomain::Sy),
        };
        matches!(self.types, DsbTypes::All) && reaches
    }

    /// Whether it waits for earlier stores.
    pub const fn orders_stores(self) -> bool {
        !matches!(self.types, DsbTypes::Loads)
    }

    /// Whether it waits for earlier loads.
    pub const fn orders_loads(self) -> bool {
        !matches!(self.types, DsbTypes::Stores)
    }
}

impl fmt::Display for DsbKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = match self.domain {
            DsbDomain::Osh => "OSH",
            DsbDomain::Nsh => "NSH",
            DsbDomain::Ish => "ISH",
            DsbDomain::Sy if self.types == DsbTypes::All => "SY",
            DsbDomain::Sy => "",
        };
        let types = match self.types {
            DsbTypes::Loads => "LD",
            DsbTypes::Stores => "ST",
            DsbTypes::All => "",
        };
        write!(f, "DSB {domain}{types}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TlbiScope::{InnerShareable, Local, OuterShareable};

    #[test]
    fn crm_codes_round_trip_and_four_are_no_barrier() {
        let crms: Vec<_> = DsbKind::ALL.iter().map(|kind| kind.crm()).collect();
        assert_eq!(crms, [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15]);
        for kind in DsbKind::ALL {
            assert_eq!(DsbKind::from_crm(kind.crm()), Some(kind));
        }
        for crm in [0, 4, 8, 12, 16] {
            assert_eq!(DsbKind::from_crm(crm), None);
        }
    }

    #[test]
    fn names_are_those_of_the_assembler() {
        let names: Vec<_> = DsbKind::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(
            names.join(","),
            "DSB OSHLD,DSB OSHST,DSB OSH,DSB NSHLD,DSB NSHST,DSB NSH,DSB ISHLD,DSB ISHST,DSB ISH,\
             DSB LD,DSB ST,DSB SY"
        );
    }

    #[test]
    fn only_full_barriers_of_sufficient_domain_complete_a_tlbi() {
        // TLBI-24.
        for kind in DsbKind::ALL {
            let got = [Local, InnerShareable, OuterShareable].map(|s| kind.completes_tlbi(s));
            let expected = match kind {
                DsbKind::SY | DsbKind::OSH => [true, true, true],
                DsbKind::ISH => [true, true, false],
                DsbKind::NSH => [true, false, false],
                _ => [false, false, false],
            };
            assert_eq!(got, expected, "{kind}");
        }
    }
}
