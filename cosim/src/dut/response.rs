// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the MMU answers to a core: the response lane of `rtl/pkg/socket_pkg.sv`, typed.

use std::fmt;

use vmsa::Fsc;

use super::request::OpCode;

/// Where the translation that an access used came from (`hit_place_e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HitPlace {
    /// Translation is off, or the access faulted before a lookup.
    None,
    /// First-level TLB.
    L1,
    /// Second-level TLB.
    L2,
    /// A table walk.
    Walk,
}

/// One response to a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreResponse {
    /// Id of the request answered.
    pub id: u16,
    /// Operation answered; `None` if the lane held a code without meaning.
    pub op: Option<OpCode>,
    /// Address as issued (FAR_EL1).
    pub va: u64,
    /// Fault status code, if the access faulted.
    pub fault: Option<Fsc>,
    /// ESR.ISS.WnR; 0 without a fault.
    pub wnr: bool,
    /// ESR.ISS.CM; 0 without a fault.
    pub cm: bool,
    /// ESR.ISS.S1PTW; 0 without a fault.
    pub s1ptw: bool,
    /// Output address; 0 on a fault.
    pub pa: u64,
    /// Memory attributes in the form of PAR_EL1.ATTR.
    pub attr: u8,
    /// Shareability in the form of PAR_EL1.SH.
    pub sh: u8,
    /// Load, fetch or CAS result.
    pub data: u64,
    /// Where the translation came from.
    pub place: HitPlace,
    /// The operation does not exist in this hardware.
    pub undef: bool,
    /// The access looked up a first-level TLB.
    pub lookup: bool,
    /// A table walk was begun for this access.
    pub walked: bool,
}

/// Bit of word 0 that says that a request driven for the next cycle is accepted.
const REQ_READY: u32 = 63;

/// Whether a response word, valid or not, lets the core drive a request for the next cycle.
#[must_use]
pub fn req_ready(words: &[u64; 4]) -> bool {
    words[0] >> REQ_READY & 1 == 1
}

impl CoreResponse {
    /// Reads the lane words; `None` if the lane is not valid.
    #[must_use]
    pub fn decode(words: &[u64; 4]) -> Option<Self> {
        let control = words[0];
        if control & 1 == 0 {
            return None;
        }
        let fault = control >> 1 & 1 == 1;
        Some(Self {
            id: (control >> 32) as u16,
            op: OpCode::from_bits(control >> 48),
            va: words[3],
            fault: fault.then_some(Fsc((control >> 2 & 0x3f) as u8)),
            wnr: control >> 8 & 1 == 1,
            s1ptw: control >> 9 & 1 == 1,
            cm: control >> 10 & 1 == 1,
            pa: words[1],
            attr: (control >> 16) as u8,
            sh: (control >> 24 & 3) as u8,
            data: words[2],
            place: match control >> 52 & 3 {
                0 => HitPlace::None,
                1 => HitPlace::L1,
                2 => HitPlace::L2,
                _ => HitPlace::Walk,
            },
            undef: control >> 11 & 1 == 1,
            lookup: control >> 12 & 1 == 1,
            walked: control >> 13 & 1 == 1,
        })
    }

    /// The lane words, `valid` set; `ready` is the request handshake that travels with them.
    #[must_use]
    pub fn encode(&self, ready: bool) -> [u64; 4] {
        let fsc = self.fault.map_or(0, |fsc| u64::from(fsc.0 & 0x3f));
        let control = 1
            | u64::from(self.fault.is_some()) << 1
            | fsc << 2
            | u64::from(self.wnr) << 8
            | u64::from(self.s1ptw) << 9
            | u64::from(self.cm) << 10
            | u64::from(self.undef) << 11
            | u64::from(self.lookup) << 12
            | u64::from(self.walked) << 13
            | u64::from(self.attr) << 16
            | u64::from(self.sh & 3) << 24
            | u64::from(self.id) << 32
            | self.op.map_or(0xf, |op| op as u64) << 48
            | (self.place as u64) << 52
            | u64::from(ready) << REQ_READY;
        [control, self.pa, self.data, self.va]
    }
}

impl fmt::Display for CoreResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.undef {
            return f.write_str("UNDEFINED");
        }
        if let Some(fsc) = self.fault {
            write!(f, "{fsc} WnR={} FAR={:#018x}", u8::from(self.wnr), self.va)?;
            if self.cm {
                f.write_str(" CM=1")?;
            }
            if self.s1ptw {
                f.write_str(" S1PTW=1")?;
            }
            return Ok(());
        }
        match self.op {
            Some(OpCode::Tlbi | OpCode::Dsb | OpCode::Isb | OpCode::Msr) => f.write_str("done"),
            _ => write!(
                f,
                "PA={:#014x} ATTR={:#04x} SH={} data={:#x} from {:?}",
                self.pa, self.attr, self.sh, self.data, self.place
            ),
        }
    }
}
