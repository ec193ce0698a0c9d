// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the hardware is: the configuration straps it samples in reset and the constants it reports.

use super::DutError;

/// Magic number of the socket's information word.
pub const ABI_MAGIC: u16 = 0x4d4d;
/// Version of the socket that this crate speaks.
pub const ABI_VERSION: u16 = 1;

/// Configuration inputs, sampled while the socket is in reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Straps {
    /// ITLB entries in use; `None` is all that are built.
    pub itlb_entries: Option<u8>,
    /// DTLB entries in use; `None` is all that are built.
    pub dtlb_entries: Option<u8>,
    /// Whether a contiguous run is one entry; if not, the hint is ignored.
    pub contiguous: bool,
    /// Hardware updates: 0 none, 1 access flag, 2 access flag and dirty state.
    pub hafdbs: u8,
    /// Whether ASIDs are 8 bits wide instead of 16.
    pub asid8: bool,
    /// Whether memory refuses requests in pseudo-random cycles, to exercise back-pressure.
    pub stall: bool,
}

impl Default for Straps {
    /// The profile of the specification: all entries, contiguous hint on, AF and dirty updates,
    /// 16-bit ASIDs, no back-pressure.
    fn default() -> Self {
        Self {
            itlb_entries: None,
            dtlb_entries: None,
            contiguous: true,
            hafdbs: 2,
            asid8: false,
            stall: false,
        }
    }
}

impl Straps {
    /// The strap word for hardware built with the given numbers of TLB entries.
    ///
    /// # Errors
    /// [`DutError::Strap`] if a number of entries is 0 or more than is built, or `hafdbs` exceeds 2.
    pub fn encode(&self, built_itlb: u8, built_dtlb: u8) -> Result<u64, DutError> {
        let entries = |field, asked: Option<u8>, built| match asked {
            Some(n) if n == 0 || n > built => Err(DutError::Strap {
                field,
                value: u64::from(n),
                low: 1,
                high: u64::from(built),
            }),
            asked => Ok(u64::from(asked.unwrap_or(built))),
        };
        if self.hafdbs > 2 {
            return Err(DutError::Strap {
                field: "hafdbs",
                value: u64::from(self.hafdbs),
                low: 0,
                high: 2,
            });
        }
        Ok(entries("itlb_entries", self.itlb_entries, built_itlb)?
            | entries("dtlb_entries", self.dtlb_entries, built_dtlb)? << 8
            | u64::from(self.contiguous) << 16
            | u64::from(self.hafdbs) << 17
            | u64::from(self.asid8) << 19
            | u64::from(self.stall) << 20)
    }
}

/// What the hardware reports about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Version of the socket.
    pub version: u16,
    /// Number of cores.
    pub cores: u8,
    /// Number of memory nodes.
    pub nodes: u8,
    /// ITLB entries built.
    pub itlb_entries: u8,
    /// DTLB entries built.
    pub dtlb_entries: u8,
    /// Width of an ASID in bits.
    pub asid_bits: u8,
    /// Width of a physical address in bits.
    pub pamax: u8,
}

impl Info {
    /// Reads the information words and refuses hardware that does not speak this socket.
    ///
    /// # Errors
    /// [`DutError::NotASocket`] if the magic number is wrong, [`DutError::AbiVersion`] if the
    /// version is another one, [`DutError::Shape`] if there is no core or no node.
    pub fn decode(words: &[u64; 2]) -> Result<Self, DutError> {
        let magic = words[0] as u16;
        if magic != ABI_MAGIC {
            return Err(DutError::NotASocket { found: magic });
        }
        let version = (words[0] >> 16) as u16;
        if version != ABI_VERSION {
            return Err(DutError::AbiVersion { found: version });
        }
        let info = Self {
            version,
            cores: (words[0] >> 32) as u8,
            nodes: (words[0] >> 40) as u8,
            itlb_entries: words[1] as u8,
            dtlb_entries: (words[1] >> 8) as u8,
            asid_bits: (words[1] >> 16) as u8,
            pamax: (words[1] >> 24) as u8,
        };
        if info.cores == 0 || info.nodes == 0 {
            return Err(DutError::Shape {
                cores: info.cores,
                nodes: info.nodes,
            });
        }
        Ok(info)
    }

    /// The information words.
    #[must_use]
    pub fn encode(&self) -> [u64; 2] {
        [
            u64::from(ABI_MAGIC)
                | u64::from(self.version) << 16
                | u64::from(self.cores) << 32
                | u64::from(self.nodes) << 40,
            u64::from(self.itlb_entries)
                | u64::from(self.dtlb_entries) << 8
                | u64::from(self.asid_bits) << 16
                | u64::from(self.pamax) << 24,
        ]
    }
}
