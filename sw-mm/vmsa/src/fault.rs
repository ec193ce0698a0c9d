// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Fault status codes (ESR.ISS\[5:0\], PAR.FST) and the fault an access reports (VMSA-50).

use crate::operation::El;
use std::fmt;

/// What went wrong, without the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// An address has a bit set at or above the effective output size.
    AddressSize,
    /// No translation: invalid or reserved descriptor, disabled or illegal range.
    Translation,
    /// AF = 0 and no hardware update.
    AccessFlag,
    /// The access is not permitted.
    Permission,
    /// A descriptor read, or the access of a hardware update, got an error response.
    ExternalAbortOnWalk,
    /// The access itself got an error response.
    ExternalAbort,
    /// Unaligned access where alignment is required.
    Alignment,
    /// Two live entries match one address.
    TlbConflict,
    /// Memory cannot do the atomic descriptor update.
    UnsupportedUpdate,
}

impl FaultKind {
    /// Whether the status code of this fault carries a level.
    pub const fn has_level(self) -> bool {
        matches!(
            self,
            FaultKind::AddressSize
                | FaultKind::Translation
                | FaultKind::AccessFlag
                | FaultKind::Permission
                | FaultKind::ExternalAbortOnWalk
        )
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::AddressSize => "Address size fault",
            FaultKind::Translation => "Translation fault",
            FaultKind::AccessFlag => "Access flag fault",
            FaultKind::Permission => "Permission fault",
            FaultKind::ExternalAbortOnWalk => "External abort on walk",
            FaultKind::ExternalAbort => "External abort",
            FaultKind::Alignment => "Alignment fault",
            FaultKind::TlbConflict => "TLB conflict abort",
            FaultKind::UnsupportedUpdate => "Unsupported atomic hardware update",
        })
    }
}

/// Fault status code, 6 bits.
///
/// ```
/// use vmsa::{FaultKind, Fsc};
///
/// let fsc = Fsc::encode(FaultKind::Translation, 3);
/// assert_eq!(fsc, Fsc(0x07));
/// assert_eq!(fsc.decode(), Some((FaultKind::Translation, Some(3))));
/// assert_eq!(fsc.to_string(), "Translation fault, level 3 (0x07)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fsc(pub u8);

impl Fsc {
    /// Code of `kind` at `level` (0 to 3); `level` is ignored by kinds that carry none.
    pub const fn encode(kind: FaultKind, level: u8) -> Self {
        let level = level & 3;
        Self(match kind {
            FaultKind::AddressSize => level,
            FaultKind::Translation => 0x04 | level,
            FaultKind::AccessFlag => 0x08 | level,
            FaultKind::Permission => 0x0c | level,
            FaultKind::ExternalAbortOnWalk => 0x14 | level,
            FaultKind::ExternalAbort => 0x10,
            FaultKind::Alignment => 0x21,
            FaultKind::TlbConflict => 0x30,
            FaultKind::UnsupportedUpdate => 0x31,
        })
    }

    /// Kind, and level where the code has one; `None` for codes outside this profile.
    pub const fn decode(self) -> Option<(FaultKind, Option<u8>)> {
        let level = Some(self.0 & 3);
        Some(match self.0 {
            0x00..=0x03 => (FaultKind::AddressSize, level),
            0x04..=0x07 => (FaultKind::Translation, level),
            0x08..=0x0b => (FaultKind::AccessFlag, level),
            0x0c..=0x0f => (FaultKind::Permission, level),
            0x14..=0x17 => (FaultKind::ExternalAbortOnWalk, level),
            0x10 => (FaultKind::ExternalAbort, None),
            0x21 => (FaultKind::Alignment, None),
            0x30 => (FaultKind::TlbConflict, None),
            0x31 => (FaultKind::UnsupportedUpdate, None),
            _ => return None,
        })
    }

    /// Kind of the fault; `None` for codes outside this profile.
    pub const fn kind(self) -> Option<FaultKind> {
        match self.decode() {
            Some((kind, _)) => Some(kind),
            None => None,
        }
    }

    /// Level of the fault, where the code has one.
    pub const fn level(self) -> Option<u8> {
        match self.decode() {
            Some((_, level)) => level,
            None => None,
        }
    }
}

impl fmt::Display for Fsc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode() {
            Some((kind, Some(level))) => write!(f, "{kind}, level {level} ({:#04x})", self.0),
            Some((kind, None)) => write!(f, "{kind} ({:#04x})", self.0),
            None => write!(f, "fault status {:#04x}", self.0),
        }
    }
}

/// The fault that one access took, as its syndrome registers would tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessFault {
    /// Fault status code (ESR.ISS DFSC or IFSC).
    pub fsc: Fsc,
    /// FAR_EL1: the address as issued, tag byte included (VMSA-52).
    pub va: u64,
    /// WnR: the access wrote, or an atomic lacked only write permission (VMSA-51).
    pub write: bool,
    /// Privilege of the access.
    pub el: El,
    /// The access was an instruction fetch.
    pub instruction: bool,
}

impl fmt::Display for AccessFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.instruction, self.write) {
            (true, _) => "fetch",
            (false, true) => "write",
            (false, false) => "read",
        };
        write!(f, "{} on {} {what} of {:#018x}", self.fsc, self.el, self.va)
    }
}

impl std::error::Error for AccessFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_match_the_syndrome_table() {
        // VMSA-50.
        let rows = [
            (FaultKind::AddressSize, [0x00, 0x01, 0x02, 0x03]),
            (FaultKind::Translation, [0x04, 0x05, 0x06, 0x07]),
            (FaultKind::AccessFlag, [0x08, 0x09, 0x0a, 0x0b]),
            (FaultKind::Permission, [0x0c, 0x0d, 0x0e, 0x0f]),
            (FaultKind::ExternalAbortOnWalk, [0x14, 0x15, 0x16, 0x17]),
            (FaultKind::ExternalAbort, [0x10; 4]),
            (FaultKind::Alignment, [0x21; 4]),
            (FaultKind::TlbConflict, [0x30; 4]),
            (FaultKind::UnsupportedUpdate, [0x31; 4]),
        ];
        for (kind, codes) in rows {
            for level in 0..4u8 {
                let fsc = Fsc::encode(kind, level);
                assert_eq!(fsc.0, codes[usize::from(level)], "{kind} level {level}");
                let level = kind.has_level().then_some(level);
                assert_eq!(fsc.decode(), Some((kind, level)));
            }
        }
        assert_eq!(Fsc(0x35).decode(), None);
    }

    #[test]
    fn an_access_fault_reads_as_a_sentence() {
        let fault = AccessFault {
            fsc: Fsc(0x0f),
            va: 0x1000,
            write: true,
            el: El::El0,
            instruction: false,
        };
        assert_eq!(
            fault.to_string(),
            "Permission fault, level 3 (0x0f) on EL0 write of 0x0000000000001000"
        );
    }
}
