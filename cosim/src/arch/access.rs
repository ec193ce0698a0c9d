// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What is asked of the MMU, and the two ways in which it answers: a translation or a fault.

use std::fmt;

use vmsa::{El, FaultKind, Fsc};

/// What an access does at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// Load.
    Read,
    /// Store.
    Write,
    /// Compare-and-swap: needs read and write permission, counts as a write for dirty state even if
    /// its compare fails (HAF-16).
    Cas,
    /// Instruction fetch.
    Execute,
}

impl AccessKind {
    /// Whether the access needs read permission.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, AccessKind::Read | AccessKind::Cas)
    }

    /// Whether the access needs write permission.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, AccessKind::Write | AccessKind::Cas)
    }
}

/// One access, or one AT operation (`at`) that asks what such an access would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// Address as issued, tag byte included.
    pub va: u64,
    /// Privilege; unprivileged loads and stores of EL1 are EL0 accesses.
    pub el: El,
    /// PSTATE.PAN of the access.
    pub pan: bool,
    /// What it does.
    pub kind: AccessKind,
    /// log2 of the bytes accessed, 0 to 3.
    pub size: u8,
    /// An AT operation: no effect on memory but the access flag, no alignment check.
    pub at: bool,
    /// The part beyond a page boundary of an access that crosses one: `va` is that boundary.
    pub beyond_page: bool,
}

impl Access {
    /// An access of one byte (a fetch: four bytes) with PAN = 0.
    #[must_use]
    pub const fn new(kind: AccessKind, el: El, va: u64) -> Self {
        let size = if matches!(kind, AccessKind::Execute) {
            2
        } else {
            0
        };
        Self {
            va,
            el,
            pan: false,
            kind,
            size,
            at: false,
            beyond_page: false,
        }
    }

    /// The same as an AT operation.
    #[must_use]
    pub const fn as_at(self) -> Self {
        Self { at: true, ..self }
    }

    /// The same with `size` = log2 of the bytes accessed.
    #[must_use]
    pub const fn sized(self, size: u8) -> Self {
        Self { size, ..self }
    }

    /// Bytes accessed.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.size
    }

    /// Whether the access moves data, so that alignment and PAN concern it.
    #[must_use]
    pub const fn is_data(self) -> bool {
        !matches!(self.kind, AccessKind::Execute)
    }

    /// Whether the alignment rules see an unaligned access; AT operations access nothing.
    #[must_use]
    pub const fn unaligned(self) -> bool {
        self.is_data() && !self.at && (self.beyond_page || self.va & (self.bytes() - 1) != 0)
    }

    /// The part of a page-crossing access that lies beyond the boundary, where a second translation
    /// begins (section 7); `None` if the access stays in one page. The smallest page counts, as
    /// splitting inside a larger one changes no result.
    #[must_use]
    pub const fn second_part(self) -> Option<Self> {
        let last = self.va.wrapping_add(self.bytes() - 1);
        if self.beyond_page || !self.unaligned() || self.va >> 12 == last >> 12 {
            return None;
        }
        Some(Self {
            va: last & !0xfff,
            beyond_page: true,
            ..self
        })
    }

    /// WnR that a fault of `kind` on this access reports; `None` where it is unknown (VMSA-51).
    /// `lacks_only_write` is for a Permission fault of an atomic that may read.
    #[must_use]
    pub const fn wnr(self, kind: FaultKind, lacks_only_write: bool) -> Option<bool> {
        if self.at {
            return Some(true);
        }
        match (self.kind, kind) {
            (AccessKind::Read | AccessKind::Execute, _) => Some(false),
            (AccessKind::Write, _) => Some(true),
            (
                AccessKind::Cas,
                FaultKind::ExternalAbort
                | FaultKind::ExternalAbortOnWalk
                | FaultKind::UnsupportedUpdate,
            ) => None,
            (AccessKind::Cas, FaultKind::Permission) => Some(lacks_only_write),
            (AccessKind::Cas, _) => Some(false),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            AccessKind::Read => "read",
            AccessKind::Write => "write",
            AccessKind::Cas => "compare-and-swap",
            AccessKind::Execute => "fetch",
        };
        let at = if self.at { "AT as " } else { "" };
        let pan = if self.pan { " with PAN" } else { "" };
        write!(f, "{at}{} {what}{pan} of {:#018x}", self.el, self.va)
    }
}

/// Why a fault was taken; each is one line of the priority table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Unaligned under SCTLR_EL1.A, or an unaligned atomic.
    Misaligned,
    /// TxSZ outside its range.
    TxszIllegal,
    /// VA bits above IASIZE are not the sign of the range.
    OutOfRange,
    /// EL0 access to a range with E0PD.
    E0pd,
    /// Miss in a range with EPD.
    Epd,
    /// Translation off and the address exceeds the physical address size.
    FlatAddressTooLarge,
    /// Table base beyond the output size.
    BaseTooLarge,
    /// The descriptor read got an error response.
    ReadError,
    /// Bit 0 of the descriptor is 0.
    Invalid,
    /// Bits 1:0 = 01 where no block exists.
    Reserved,
    /// Next-table address beyond the output size.
    NextTableTooLarge,
    /// Output address beyond the output size.
    OutputTooLarge,
    /// AF = 0 without hardware update.
    AccessFlag,
    /// Unaligned access to Device memory.
    DeviceMisaligned,
    /// Fetch from Device memory.
    DeviceFetch,
    /// Several cached entries match.
    Conflict,
    /// Permission bits, table limits, PAN or WXN forbid the access.
    NotPermitted,
    /// The access itself got an error response.
    AccessError,
}

impl Reason {
    /// Kind of fault reported.
    #[must_use]
    pub const fn kind(self) -> FaultKind {
        match self {
            Reason::Misaligned | Reason::DeviceMisaligned => FaultKind::Alignment,
            Reason::TxszIllegal
            | Reason::OutOfRange
            | Reason::E0pd
            | Reason::Epd
            | Reason::Invalid
            | Reason::Reserved => FaultKind::Translation,
            Reason::FlatAddressTooLarge
            | Reason::BaseTooLarge
            | Reason::NextTableTooLarge
            | Reason::OutputTooLarge => FaultKind::AddressSize,
            Reason::ReadError => FaultKind::ExternalAbortOnWalk,
            Reason::Conflict => FaultKind::TlbConflict,
            Reason::AccessFlag => FaultKind::AccessFlag,
            Reason::DeviceFetch | Reason::NotPermitted => FaultKind::Permission,
            Reason::AccessError => FaultKind::ExternalAbort,
        }
    }

    /// Requirement that asks for the fault.
    #[must_use]
    pub const fn requirement(self) -> &'static str {
        match self {
            Reason::Misaligned => "VMSA-40",
            Reason::TxszIllegal => "VMSA-10",
            Reason::OutOfRange => "VMSA-05",
            Reason::E0pd => "VMSA-08",
            Reason::Epd => "VMSA-09",
            Reason::FlatAddressTooLarge => "VMSA-02",
            Reason::BaseTooLarge | Reason::OutputTooLarge => "VMSA-45",
            Reason::ReadError => "WALK-10",
            Reason::Conflict => "TLB-10",
            Reason::Invalid | Reason::Reserved => "WALK-03",
            Reason::NextTableTooLarge => "VMSA-42",
            Reason::AccessFlag => "VMSA-43",
            Reason::DeviceMisaligned => "VMSA-62",
            Reason::DeviceFetch => "VMSA-29",
            Reason::NotPermitted => "VMSA-20",
            Reason::AccessError => "VMSA-50",
        }
    }

    /// The reason in a few words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Reason::Misaligned => {
                "the address is not aligned to the access and alignment is checked"
            }
            Reason::TxszIllegal => "TxSZ is outside the legal range",
            Reason::OutOfRange => "the VA bits above IASIZE are not all equal to VA[55]",
            Reason::E0pd => "E0PDx = 1 keeps EL0 out of the range",
            Reason::Epd => "EPDx = 1 forbids walks of the range",
            Reason::FlatAddressTooLarge => {
                "translation is off and the VA exceeds the physical size"
            }
            Reason::BaseTooLarge => "the table base exceeds the output size",
            Reason::ReadError => "the descriptor read got an error response",
            Reason::Conflict => "entries that differ may both be cached",
            Reason::Invalid => "the descriptor is invalid (bit 0 = 0)",
            Reason::Reserved => "bits 1:0 = 01 at a level without blocks count as invalid",
            Reason::NextTableTooLarge => "the next-table address exceeds the output size",
            Reason::OutputTooLarge => "the output address exceeds the output size",
            Reason::AccessFlag => "AF = 0 and hardware does not set it",
            Reason::DeviceMisaligned => "unaligned access to Device memory",
            Reason::DeviceFetch => "instruction fetch from Device memory",
            Reason::NotPermitted => "the permissions do not allow the access",
            Reason::AccessError => "the access got an error response",
        }
    }
}

/// A fault as reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Status code.
    pub fsc: Fsc,
    /// WnR; `None` where it is unknown.
    pub wnr: Option<bool>,
    /// Why.
    pub reason: Reason,
}

impl Fault {
    /// The fault that `access` takes for `reason` at `level` (ignored by kinds without level).
    #[must_use]
    pub const fn new(access: &Access, reason: Reason, level: u8) -> Self {
        Self {
            fsc: Fsc::encode(reason.kind(), level),
            wnr: access.wnr(reason.kind(), false),
            reason,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({})",
            self.fsc,
            self.reason.text(),
            self.reason.requirement()
        )
    }
}

/// An answer as seen from outside, to be compared with what is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Success.
    Translated {
        /// Output address of the first byte.
        pa: u64,
        /// Attribute byte as PAR_EL1.ATTR.
        attr: u8,
        /// Shareability as PAR_EL1.SH: 0 NSH, 2 OSH, 3 ISH.
        sh: u8,
    },
    /// Fault.
    Fault {
        /// Status code.
        fsc: Fsc,
        /// WnR as reported.
        wnr: bool,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Translated { pa, attr, sh } => {
                write!(f, "PA {pa:#x}, attributes {attr:#04x}, SH {sh}")
            }
            Outcome::Fault { fsc, wnr } => write!(f, "{fsc}, WnR {}", u8::from(*wnr)),
        }
    }
}
