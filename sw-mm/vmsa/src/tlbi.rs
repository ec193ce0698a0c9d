// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLBI operations and the operand register they take (section 11.1 of the VMSA contract).

use crate::bits::{get, set};
use crate::geometry::Granule;
use std::fmt;

/// What a TLBI names. Discriminants are op2 of the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlbiOp {
    /// Everything of the EL1&0 regime.
    Vmalle1 = 0,
    /// By VA and ASID, leaf and table entries.
    Vae1 = 1,
    /// By ASID.
    Aside1 = 2,
    /// By VA, all ASIDs, leaf and table entries.
    Vaae1 = 3,
    /// By VA and ASID, leaf entries only.
    Vale1 = 5,
    /// By VA, all ASIDs, leaf entries only.
    Vaale1 = 7,
}

impl TlbiOp {
    /// All of them, by op2.
    pub const ALL: [TlbiOp; 6] = [
        TlbiOp::Vmalle1,
        TlbiOp::Vae1,
        TlbiOp::Aside1,
        TlbiOp::Vaae1,
        TlbiOp::Vale1,
        TlbiOp::Vaale1,
    ];

    /// op2 of the instruction.
    pub const fn op2(self) -> u8 {
        self as u8
    }

    /// Operation of that op2.
    pub fn from_op2(op2: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.op2() == op2)
    }

    /// Whether the operand names a VA.
    pub const fn by_va(self) -> bool {
        !matches!(self, TlbiOp::Vmalle1 | TlbiOp::Aside1)
    }

    /// Whether the operand names an ASID.
    pub const fn by_asid(self) -> bool {
        matches!(self, TlbiOp::Aside1 | TlbiOp::Vae1 | TlbiOp::Vale1)
    }

    /// Whether only leaf entries need be removed.
    pub const fn last_level(self) -> bool {
        matches!(self, TlbiOp::Vale1 | TlbiOp::Vaale1)
    }
}

/// Which PEs a TLBI reaches. Discriminants are the socket's group numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlbiScope {
    /// The executing PE.
    Local = 0,
    /// The Inner Shareable domain.
    InnerShareable = 1,
    /// The Outer Shareable domain.
    OuterShareable = 2,
}

/// One TLBI with its operand register.
///
/// ```
/// use vmsa::{Tlbi, TlbiScope};
///
/// let op = Tlbi::vale1(TlbiScope::InnerShareable, 0x4000_2000, 7, None);
/// assert_eq!(op.operand, 0x0007_0000_0004_0002);
/// assert_eq!((op.va(), op.asid()), (0x4000_2000, 7));
/// assert_eq!(op.to_string(), "TLBI VALE1IS 0x0007000000040002");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tlbi {
    /// What is named.
    pub op: TlbiOp,
    /// Who is reached.
    pub scope: TlbiScope,
    /// Xt: VA\[55:12\] in 43:0, TTL in 47:44, ASID in 63:48.
    pub operand: u64,
}

impl Tlbi {
    /// TLBI VMALLE1.
    pub const fn vmalle1(scope: TlbiScope) -> Self {
        Self {
            op: TlbiOp::Vmalle1,
            scope,
            operand: 0,
        }
    }

    /// TLBI ASIDE1.
    pub const fn aside1(scope: TlbiScope, asid: u16) -> Self {
        Self {
            op: TlbiOp::Aside1,
            scope,
            operand: set(0, 48, 16, asid as u64),
        }
    }

    /// TLBI VAE1 of the page at `va`; `leaf` is an optional TTL hint (granule and leaf level).
    pub const fn vae1(scope: TlbiScope, va: u64, asid: u16, leaf: Option<(Granule, u8)>) -> Self {
        Self {
            op: TlbiOp::Vae1,
            scope,
            operand: Self::pack(va, asid, leaf),
        }
    }

    /// TLBI VALE1 of the page at `va`; `leaf` is an optional TTL hint (granule and leaf level).
    pub const fn vale1(scope: TlbiScope, va: u64, asid: u16, leaf: Option<(Granule, u8)>) -> Self {
        Self {
            op: TlbiOp::Vale1,
            scope,
            operand: Self::pack(va, asid, leaf),
        }
    }

    /// TLBI VAAE1 of the page at `va`; `leaf` is an optional TTL hint (granule and leaf level).
    pub const fn vaae1(scope: TlbiScope, va: u64, leaf: Option<(Granule, u8)>) -> Self {
        Self {
            op: TlbiOp::Vaae1,
            scope,
            operand: Self::pack(va, 0, leaf),
        }
    }

    /// TLBI VAALE1 of the page at `va`; `leaf` is an optional TTL hint (granule and leaf level).
    pub const fn vaale1(scope: TlbiScope, va: u64, leaf: Option<(Granule, u8)>) -> Self {
        Self {
            op: TlbiOp::Vaale1,
            scope,
            operand: Self::pack(va, 0, leaf),
        }
    }

    /// First byte of the 4 KiB page named, sign extended from bit 55.
    pub const fn va(self) -> u64 {
        let va = get(self.operand, 0, 44) << 12;
        ((va << 8) as i64 >> 8) as u64
    }

    /// ASID named.
    pub const fn asid(self) -> u16 {
        get(self.operand, 48, 16) as u16
    }

    /// TTL field as coded; values below 4 are no hint.
    pub const fn ttl(self) -> u8 {
        get(self.operand, 44, 4) as u8
    }

    const fn pack(va: u64, asid: u16, leaf: Option<(Granule, u8)>) -> u64 {
        let ttl = match leaf {
            None => 0,
            Some((Granule::K4, level)) => 0b0100 | (level & 3) as u64,
            Some((Granule::K16, level)) => 0b1000 | (level & 3) as u64,
            Some((Granule::K64, level)) => 0b1100 | (level & 3) as u64,
        };
        set(
            set(set(0, 0, 44, va >> 12), 44, 4, ttl),
            48,
            16,
            asid as u64,
        )
    }
}

impl fmt::Display for Tlbi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.op {
            TlbiOp::Vmalle1 => "VMALLE1",
            TlbiOp::Vae1 => "VAE1",
            TlbiOp::Aside1 => "ASIDE1",
            TlbiOp::Vaae1 => "VAAE1",
            TlbiOp::Vale1 => "VALE1",
            TlbiOp::Vaale1 => "VAALE1",
        };
        let scope = match self.scope {
            TlbiScope::Local => "",
            TlbiScope::InnerShareable => "IS",
            TlbiScope::OuterShareable => "OS",
        };
        write!(f, "TLBI {name}{scope}")?;
        if self.op != TlbiOp::Vmalle1 {
            write!(f, " {:#018x}", self.operand)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_pack_va_ttl_and_asid() {
        let op = Tlbi::vae1(
            TlbiScope::Local,
            0xffff_8000_1234_5678,
            0xabcd,
            Some((Granule::K16, 3)),
        );
        assert_eq!(op.operand, 0xabcd_bff8_0001_2345);
        assert_eq!(op.va(), 0xffff_8000_1234_5000);
        assert_eq!(op.asid(), 0xabcd);
        assert_eq!(op.ttl(), 0b1011);
    }

    #[test]
    fn op2_values_match_the_encoding_table() {
        let op2: Vec<_> = TlbiOp::ALL.iter().map(|op| op.op2()).collect();
        assert_eq!(op2, [0, 1, 2, 3, 5, 7]);
        assert_eq!(TlbiOp::from_op2(4), None);
        assert_eq!(TlbiOp::from_op2(7), Some(TlbiOp::Vaale1));
    }

    #[test]
    fn classes_of_operations() {
        assert!(TlbiOp::Vale1.by_asid() && TlbiOp::Vale1.last_level() && TlbiOp::Vale1.by_va());
        assert!(!TlbiOp::Vaae1.by_asid() && !TlbiOp::Vaae1.last_level());
        assert!(!TlbiOp::Aside1.by_va());
    }
}
