// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a core asks of its MMU: the request lane of `rtl/pkg/socket_pkg.sv`, typed.

use std::fmt;

use vmsa::{DsbKind, El, SysReg, Tlbi};

/// Operation code as it travels in both directions (`core_op_e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// Data read.
    Load = 0,
    /// Data write.
    Store = 1,
    /// Compare-and-swap.
    Cas = 2,
    /// Instruction fetch.
    Fetch = 3,
    /// Address translation instruction.
    At = 4,
    /// TLB invalidation.
    Tlbi = 5,
    /// Data synchronisation barrier.
    Dsb = 6,
    /// Instruction synchronisation barrier.
    Isb = 7,
    /// System register write.
    Msr = 8,
}

impl OpCode {
    /// Decodes the four bits of the lane; `None` for a code that the socket does not define.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        Some(match bits & 0xf {
            0 => Self::Load,
            1 => Self::Store,
            2 => Self::Cas,
            3 => Self::Fetch,
            4 => Self::At,
            5 => Self::Tlbi,
            6 => Self::Dsb,
            7 => Self::Isb,
            8 => Self::Msr,
            _ => return None,
        })
    }
}

/// What a core does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Reads `1 << size` bytes.
    Load,
    /// Writes the low `1 << size` bytes of `data`.
    Store,
    /// Writes `data` if memory holds `compare`; the response carries the value found.
    Cas,
    /// Fetches an instruction.
    Fetch,
    /// `AT S1ExR`, or `AT S1ExW` with `true`; the exception level is `el`, PAN form with `pan`.
    At(bool),
    /// TLB invalidation.
    Tlbi(Tlbi),
    /// Data synchronisation barrier.
    Dsb(DsbKind),
    /// Instruction synchronisation barrier.
    Isb,
    /// Writes `data` to a system register.
    Msr(SysReg),
}

impl Op {
    /// The code of the lane.
    #[must_use]
    pub fn code(&self) -> OpCode {
        match self {
            Self::Load => OpCode::Load,
            Self::Store => OpCode::Store,
            Self::Cas => OpCode::Cas,
            Self::Fetch => OpCode::Fetch,
            Self::At(_) => OpCode::At,
            Self::Tlbi(_) => OpCode::Tlbi,
            Self::Dsb(_) => OpCode::Dsb,
            Self::Isb => OpCode::Isb,
            Self::Msr(_) => OpCode::Msr,
        }
    }

    /// Whether the operation translates an address.
    #[must_use]
    pub fn translates(&self) -> bool {
        matches!(
            self,
            Self::Load | Self::Store | Self::Cas | Self::Fetch | Self::At(_)
        )
    }

    fn sub(&self) -> u64 {
        match self {
            Self::At(write) => u64::from(*write),
            Self::Tlbi(tlbi) => u64::from(tlbi.group()) << 3 | u64::from(tlbi.op.op2()),
            Self::Dsb(kind) => u64::from(kind.crm()),
            Self::Msr(register) => *register as u64,
            _ => 0,
        }
    }
}

/// One request of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreRequest {
    /// What to do.
    pub op: Op,
    /// Returned with the response; the core agent chooses it.
    pub id: u16,
    /// Virtual address as issued, tag byte included.
    pub va: u64,
    /// Log2 of the bytes accessed, 0 to 3.
    pub size: u8,
    /// Privilege of the access.
    pub el: El,
    /// PSTATE.PAN of the access; for AT the form that honours PAN.
    pub pan: bool,
    /// Store data, CAS new value, or register value.
    pub data: u64,
    /// Value that a CAS expects.
    pub compare: u64,
}

impl CoreRequest {
    /// A request with every operand zero, at EL1.
    #[must_use]
    pub fn new(op: Op) -> Self {
        Self {
            op,
            id: 0,
            va: 0,
            size: 3,
            el: El::El1,
            pan: false,
            data: 0,
            compare: 0,
        }
    }

    /// A read of `1 << size` bytes at `va`.
    #[must_use]
    pub fn load(va: u64, size: u8, el: El) -> Self {
        Self {
            va,
            size,
            el,
            ..Self::new(Op::Load)
        }
    }

    /// A write of the low `1 << size` bytes of `data` at `va`.
    #[must_use]
    pub fn store(va: u64, size: u8, el: El, data: u64) -> Self {
        Self {
            va,
            size,
            el,
            data,
            ..Self::new(Op::Store)
        }
    }

    /// An 8-byte compare-and-swap at `va`.
    #[must_use]
    pub fn cas(va: u64, el: El, compare: u64, data: u64) -> Self {
        Self {
            va,
            el,
            data,
            compare,
            ..Self::new(Op::Cas)
        }
    }

    /// A 4-byte instruction fetch at `va`.
    #[must_use]
    pub fn fetch(va: u64, el: El) -> Self {
        Self {
            va,
            el,
            size: 2,
            ..Self::new(Op::Fetch)
        }
    }

    /// An address translation of `va` as seen from `el`, for a write if `write`.
    #[must_use]
    pub fn at(va: u64, el: El, write: bool, pan: bool) -> Self {
        Self {
            va,
            el,
            pan,
            size: 0,
            ..Self::new(Op::At(write))
        }
    }

    /// A TLB invalidation.
    #[must_use]
    pub fn tlbi(tlbi: Tlbi) -> Self {
        Self {
            data: tlbi.operand,
            ..Self::new(Op::Tlbi(tlbi))
        }
    }

    /// A DSB.
    #[must_use]
    pub fn dsb(kind: DsbKind) -> Self {
        Self::new(Op::Dsb(kind))
    }

    /// An ISB.
    #[must_use]
    pub fn isb() -> Self {
        Self::new(Op::Isb)
    }

    /// A write of `value` to `register`.
    #[must_use]
    pub fn msr(register: SysReg, value: u64) -> Self {
        Self {
            data: value,
            ..Self::new(Op::Msr(register))
        }
    }

    /// The lane words, `valid` set.
    #[must_use]
    pub fn encode(&self) -> [u64; 4] {
        let control = 1
            | (self.op.code() as u64) << 1
            | u64::from(self.size & 3) << 5
            | u64::from(self.el == El::El1) << 7
            | u64::from(self.pan) << 8
            | self.op.sub() << 10
            | u64::from(self.id) << 16;
        let data = match self.op {
            Op::Tlbi(tlbi) => tlbi.operand,
            _ => self.data,
        };
        [control, self.va, data, self.compare]
    }

    /// Reads lane words back; `None` if not valid or if a field holds a code without meaning.
    #[must_use]
    pub fn decode(words: &[u64; 4]) -> Option<Self> {
        let control = words[0];
        if control & 1 == 0 {
            return None;
        }
        let sub = control >> 10 & 0x3f;
        let op = match OpCode::from_bits(control >> 1)? {
            OpCode::Load => Op::Load,
            OpCode::Store => Op::Store,
            OpCode::Cas => Op::Cas,
            OpCode::Fetch => Op::Fetch,
            OpCode::At => Op::At(sub & 1 != 0),
            OpCode::Tlbi => {
                let (op2, group) = ((sub & 7) as u8, (sub >> 3) as u8);
                Op::Tlbi(Tlbi::from_socket(op2, group, words[2])?)
            }
            OpCode::Dsb => Op::Dsb(DsbKind::from_crm(sub as u8)?),
            OpCode::Isb => Op::Isb,
            OpCode::Msr => Op::Msr(*SysReg::ALL.get(sub as usize)?),
        };
        Some(Self {
            op,
            id: (control >> 16) as u16,
            va: words[1],
            size: (control >> 5 & 3) as u8,
            el: if control >> 7 & 1 == 1 {
                El::El1
            } else {
                El::El0
            },
            pan: control >> 8 & 1 == 1,
            data: words[2],
            compare: words[3],
        })
    }
}

impl fmt::Display for CoreRequest {
    /// The operation as a reader of assembly would write it, e.g. `STR8 EL0 0x…1000 <- 0x2a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = 1u32 << self.size;
        let el = self.el;
        let pan = if self.pan { " PAN" } else { "" };
        match &self.op {
            Op::Load => write!(f, "LDR{bytes} {el}{pan} {:#018x}", self.va),
            Op::Store => write!(
                f,
                "STR{bytes} {el}{pan} {:#018x} <- {:#x}",
                self.va, self.data
            ),
            Op::Cas => write!(
                f,
                "CAS{bytes} {el}{pan} {:#018x} {:#x} -> {:#x}",
                self.va, self.compare, self.data
            ),
            Op::Fetch => write!(f, "FETCH {el} {:#018x}", self.va),
            Op::At(write) => {
                let letter = if *write { 'W' } else { 'R' };
                let suffix = if self.pan { "P" } else { "" };
                let level = if self.el == El::El1 { 1 } else { 0 };
                write!(f, "AT S1E{level}{letter}{suffix} {:#018x}", self.va)
            }
            Op::Tlbi(tlbi) => write!(f, "{tlbi}"),
            Op::Dsb(kind) => write!(f, "{kind}"),
            Op::Isb => f.write_str("ISB"),
            Op::Msr(register) => write!(f, "MSR {register} {:#018x}", self.data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::{Granule, TlbiScope};

    #[test]
    fn barriers_and_invalidations_travel_with_their_kind() {
        let scope = TlbiScope::InnerShareable;
        let range = Tlbi::rvale1(scope, Granule::K4, 0x40_0000, 1, 3, Some(3), 7);
        let single = Tlbi::vae1(TlbiScope::OuterShareable, 0x1000, 7, None);
        let requests = DsbKind::ALL
            .map(CoreRequest::dsb)
            .into_iter()
            .chain([range, single].map(CoreRequest::tlbi));
        for request in requests {
            assert_eq!(CoreRequest::decode(&request.encode()), Some(request));
        }
        let sub = |request: CoreRequest| request.encode()[0] >> 10 & 0x3f;
        assert_eq!(sub(CoreRequest::dsb(DsbKind::ISHST)), 0b1010);
        assert_eq!(sub(CoreRequest::tlbi(range)), 4 << 3 | 5);
        assert_eq!(sub(CoreRequest::tlbi(single)), 2 << 3 | 1);
    }

    #[test]
    fn codes_without_meaning_are_refused() {
        let word = |op: OpCode, sub: u64| [1 | (op as u64) << 1 | sub << 10, 0, 0, 0];
        assert_eq!(CoreRequest::decode(&word(OpCode::Dsb, 0b1100)), None);
        assert_eq!(CoreRequest::decode(&word(OpCode::Tlbi, 3 << 3)), None);
        assert_eq!(CoreRequest::decode(&word(OpCode::Msr, 9)), None);
    }
}
