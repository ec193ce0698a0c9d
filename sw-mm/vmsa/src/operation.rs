// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Names of what a PE can be asked: exception levels, system registers and AT operations.

use std::fmt;

/// Exception level of the EL1&0 regime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum El {
    /// Unprivileged; also LDTR/STTR executed at EL1 with UAO = 0.
    El0,
    /// Privileged.
    El1,
}

impl fmt::Display for El {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            El::El0 => "EL0",
            El::El1 => "EL1",
        })
    }
}

/// System registers that steer stage 1 of the EL1&0 regime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SysReg {
    /// Base and ASID of the lower VA range.
    Ttbr0,
    /// Base and ASID of the upper VA range.
    Ttbr1,
    /// Translation control.
    Tcr,
    /// Memory attribute bytes.
    Mair,
    /// System control.
    Sctlr,
}

impl SysReg {
    /// All of them, in the order of their socket numbers.
    pub const ALL: [SysReg; 5] = [
        SysReg::Ttbr0,
        SysReg::Ttbr1,
        SysReg::Tcr,
        SysReg::Mair,
        SysReg::Sctlr,
    ];

    /// Architectural name, such as `TCR_EL1`.
    pub const fn name(self) -> &'static str {
        match self {
            SysReg::Ttbr0 => "TTBR0_EL1",
            SysReg::Ttbr1 => "TTBR1_EL1",
            SysReg::Tcr => "TCR_EL1",
            SysReg::Mair => "MAIR_EL1",
            SysReg::Sctlr => "SCTLR_EL1",
        }
    }

    /// Register of that architectural name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == name)
    }
}

impl fmt::Display for SysReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Address translation instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AtOp {
    /// As an EL0 read.
    S1E0R,
    /// As an EL0 write.
    S1E0W,
    /// As an EL1 read, PAN ignored.
    S1E1R,
    /// As an EL1 write, PAN ignored.
    S1E1W,
    /// As an EL1 read under PSTATE.PAN.
    S1E1RP,
    /// As an EL1 write under PSTATE.PAN.
    S1E1WP,
}

impl AtOp {
    /// Privilege whose translation is asked for.
    pub const fn el(self) -> El {
        match self {
            AtOp::S1E0R | AtOp::S1E0W => El::El0,
            _ => El::El1,
        }
    }

    /// Whether write permission is asked for.
    pub const fn write(self) -> bool {
        matches!(self, AtOp::S1E0W | AtOp::S1E1W | AtOp::S1E1WP)
    }

    /// Whether PSTATE.PAN applies.
    pub const fn pan(self) -> bool {
        matches!(self, AtOp::S1E1RP | AtOp::S1E1WP)
    }
}

impl fmt::Display for AtOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AT {self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_names_round_trip() {
        for register in SysReg::ALL {
            assert_eq!(SysReg::from_name(register.name()), Some(register));
        }
        assert_eq!(SysReg::from_name("TCR_EL2"), None);
    }

    #[test]
    fn at_operations_name_their_access() {
        assert_eq!(AtOp::S1E1WP.to_string(), "AT S1E1WP");
        assert!(AtOp::S1E1WP.write() && AtOp::S1E1WP.pan());
        assert_eq!(AtOp::S1E0R.el(), El::El0);
    }
}
