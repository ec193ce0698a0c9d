// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLBI operations and the operand register they take (section 11.1 of the VMSA contract).

use crate::bits::{get, set};
use crate::geometry::Granule;
use crate::range::{self, RangeOperand};
use std::fmt;

/// What a TLBI names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlbiOp {
    /// Everything of the EL1&0 regime.
    Vmalle1,
    /// By VA and ASID, leaf and table entries.
    Vae1,
    /// By ASID.
    Aside1,
    /// By VA, all ASIDs, leaf and table entries.
    Vaae1,
    /// By VA and ASID, leaf entries only.
    Vale1,
    /// By VA, all ASIDs, leaf entries only.
    Vaale1,
    /// By range of VAs and ASID, leaf and table entries.
    Rvae1,
    /// By range of VAs, all ASIDs, leaf and table entries.
    Rvaae1,
    /// By range of VAs and ASID, leaf entries only.
    Rvale1,
    /// By range of VAs, all ASIDs, leaf entries only.
    Rvaale1,
}

impl TlbiOp {
    /// All of them: the single forms by op2, then the range forms by op2.
    pub const ALL: [TlbiOp; 10] = [
        TlbiOp::Vmalle1,
        TlbiOp::Vae1,
        TlbiOp::Aside1,
        TlbiOp::Vaae1,
        TlbiOp::Vale1,
        TlbiOp::Vaale1,
        TlbiOp::Rvae1,
        TlbiOp::Rvaae1,
        TlbiOp::Rvale1,
        TlbiOp::Rvaale1,
    ];

    /// op2 of the instruction.
    pub const fn op2(self) -> u8 {
        match self {
            TlbiOp::Vmalle1 => 0,
            TlbiOp::Vae1 | TlbiOp::Rvae1 => 1,
            TlbiOp::Aside1 => 2,
            TlbiOp::Vaae1 | TlbiOp::Rvaae1 => 3,
            TlbiOp::Vale1 | TlbiOp::Rvale1 => 5,
            TlbiOp::Vaale1 | TlbiOp::Rvaale1 => 7,
        }
    }

    /// Operation of that op2, a range form or not.
    pub fn from_op2(op2: u8, range: bool) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|op| op.op2() == op2 && op.is_range() == range)
    }

    /// Whether the operand names a range of VAs.
    pub const fn is_range(self) -> bool {
        matches!(
            self,
            TlbiOp::Rvae1 | TlbiOp::Rvaae1 | TlbiOp::Rvale1 | TlbiOp::Rvaale1
        )
    }

    /// Whether the operand names a VA or a range of them.
    pub const fn by_va(self) -> bool {
        !matches!(self, TlbiOp::Vmalle1 | TlbiOp::Aside1)
    }

    /// Whether the operand names an ASID.
    pub const fn by_asid(self) -> bool {
        matches!(
            self,
            TlbiOp::Aside1 | TlbiOp::Vae1 | TlbiOp::Vale1 | TlbiOp::Rvae1 | TlbiOp::Rvale1
        )
    }

    /// Whether only leaf entries need be removed.
    pub const fn last_level(self) -> bool {
        matches!(
            self,
            TlbiOp::Vale1 | TlbiOp::Vaale1 | TlbiOp::Rvale1 | TlbiOp::Rvaale1
        )
    }
}

/// Which PEs a TLBI reaches.
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
    /// Xt. Single forms: VA\[55:12\] in 43:0, TTL in 47:44, ASID in 63:48. Range forms: BaseADDR in
    /// 36:0, TTL in 38:37, NUM in 43:39, SCALE in 45:44, TG in 47:46, ASID in 63:48.
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

    /// TLBI RVAE1 of the pages of `granule` from `start` on: (`num` + 1) * 2^(5 * `scale` + 1) of
    /// them. `num` is 0 to 31, `scale` 0 to 3; `level` is an optional hint of the leaf level, 1 to 3.
    pub const fn rvae1(
        scope: TlbiScope,
        granule: Granule,
        start: u64,
        scale: u8,
        num: u8,
        level: Option<u8>,
        asid: u16,
    ) -> Self {
        Self {
            op: TlbiOp::Rvae1,
            scope,
            operand: range::pack(granule, start, scale, num, level, asid),
        }
    }

    /// TLBI RVALE1; operands as of [`Tlbi::rvae1`].
    pub const fn rvale1(
        scope: TlbiScope,
        granule: Granule,
        start: u64,
        scale: u8,
        num: u8,
        level: Option<u8>,
        asid: u16,
    ) -> Self {
        Self {
            op: TlbiOp::Rvale1,
            scope,
            operand: range::pack(granule, start, scale, num, level, asid),
        }
    }

    /// TLBI RVAAE1; operands as of [`Tlbi::rvae1`].
    pub const fn rvaae1(
        scope: TlbiScope,
        granule: Granule,
        start: u64,
        scale: u8,
        num: u8,
        level: Option<u8>,
    ) -> Self {
        Self {
            op: TlbiOp::Rvaae1,
            scope,
            operand: range::pack(granule, start, scale, num, level, 0),
        }
    }

    /// TLBI RVAALE1; operands as of [`Tlbi::rvae1`].
    pub const fn rvaale1(
        scope: TlbiScope,
        granule: Granule,
        start: u64,
        scale: u8,
        num: u8,
        level: Option<u8>,
    ) -> Self {
        Self {
            op: TlbiOp::Rvaale1,
            scope,
            operand: range::pack(granule, start, scale, num, level, 0),
        }
    }

    /// The operation of that op2 and group number; `None` if there is none.
    pub fn from_socket(op2: u8, group: u8, operand: u64) -> Option<Self> {
        let scope = match group % 3 {
            0 => TlbiScope::Local,
            1 => TlbiScope::InnerShareable,
            _ => TlbiScope::OuterShareable,
        };
        let op = match group {
            0..=2 => TlbiOp::from_op2(op2, false)?,
            3..=5 => TlbiOp::from_op2(op2, true)?,
            _ => return None,
        };
        Some(Self { op, scope, operand })
    }

    /// Number of the group at the socket, which stands for CRm of the instruction: the scope, 3 more
    /// for range forms.
    pub const fn group(self) -> u8 {
        self.scope as u8 + if self.op.is_range() { 3 } else { 0 }
    }

    /// The operand of a range form, decoded; `None` for the others.
    pub const fn range(self) -> Option<RangeOperand> {
        if self.op.is_range() {
            Some(range::unpack(self.operand))
        } else {
            None
        }
    }

    /// First byte of the 4 KiB page that a single form names, sign extended from bit 55.
    pub const fn va(self) -> u64 {
        let va = get(self.operand, 0, 44) << 12;
        ((va << 8) as i64 >> 8) as u64
    }

    /// ASID named.
    pub const fn asid(self) -> u16 {
        get(self.operand, 48, 16) as u16
    }

    /// TTL field of a single form as coded; values below 4 are no hint.
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
            TlbiOp::Rvae1 => "RVAE1",
            TlbiOp::Rvaae1 => "RVAAE1",
            TlbiOp::Rvale1 => "RVALE1",
            TlbiOp::Rvaale1 => "RVAALE1",
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
        assert_eq!(op2, [0, 1, 2, 3, 5, 7, 1, 3, 5, 7]);
        assert_eq!(TlbiOp::from_op2(4, false), None);
        assert_eq!(TlbiOp::from_op2(0, true), None);
        assert_eq!(TlbiOp::from_op2(7, false), Some(TlbiOp::Vaale1));
        for op in TlbiOp::ALL {
            assert_eq!(TlbiOp::from_op2(op.op2(), op.is_range()), Some(op));
        }
    }

    #[test]
    fn socket_groups_hold_scope_and_form() {
        let mut groups = Vec::new();
        for op in [TlbiOp::Vae1, TlbiOp::Rvaale1] {
            for scope in [
                TlbiScope::Local,
                TlbiScope::InnerShareable,
                TlbiScope::OuterShareable,
            ] {
                let tlbi = Tlbi {
                    op,
                    scope,
                    operand: 5,
                };
                groups.push(tlbi.group());
                assert_eq!(Tlbi::from_socket(op.op2(), tlbi.group(), 5), Some(tlbi));
            }
        }
        assert_eq!(groups, [0, 1, 2, 3, 4, 5]);
        assert_eq!(Tlbi::from_socket(0, 3, 0), None, "no range form of VMALLE1");
        assert_eq!(Tlbi::from_socket(2, 4, 0), None);
        assert_eq!(Tlbi::from_socket(1, 6, 0), None);
    }

    #[test]
    fn classes_of_operations() {
        assert!(TlbiOp::Vale1.by_asid() && TlbiOp::Vale1.last_level() && TlbiOp::Vale1.by_va());
        assert!(!TlbiOp::Vaae1.by_asid() && !TlbiOp::Vaae1.last_level());
        assert!(!TlbiOp::Aside1.by_va());
        assert!(TlbiOp::Rvale1.by_asid() && TlbiOp::Rvale1.last_level() && TlbiOp::Rvale1.by_va());
        assert!(!TlbiOp::Rvaae1.by_asid() && !TlbiOp::Rvaae1.last_level());
    }
}
