// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The DRAM port of a node: the memory lanes of `rtl/pkg/socket_pkg.sv`, typed.

/// A request that a node makes of its DRAM, always one 8-byte word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DramRequest {
    /// Returned with the answer.
    pub tag: u16,
    /// Whether it writes.
    pub write: bool,
    /// Bytes written, one bit a byte.
    pub strobe: u8,
    /// Physical address, 8-byte aligned.
    pub address: u64,
    /// Bytes written, in place.
    pub data: u64,
}

impl DramRequest {
    /// Reads the lane words; `None` if the lane is not valid.
    #[must_use]
    pub fn decode(words: &[u64; 3]) -> Option<Self> {
        let control = words[0];
        (control & 1 == 1).then(|| Self {
            tag: (control >> 16) as u16,
            write: control >> 1 & 1 == 1,
            strobe: (control >> 8) as u8,
            address: words[1] & !7,
            data: words[2],
        })
    }

    /// The lane words, `valid` set.
    #[must_use]
    pub fn encode(&self) -> [u64; 3] {
        let control = 1
            | u64::from(self.write) << 1
            | u64::from(self.strobe) << 8
            | u64::from(self.tag) << 16;
        [control, self.address, self.data]
    }
}

/// The answer of DRAM to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DramAnswer {
    /// Tag of the request answered.
    pub tag: u16,
    /// Whether the request failed and had no effect.
    pub error: bool,
    /// Word read.
    pub data: u64,
}

impl DramAnswer {
    /// The lane words, `valid` set.
    #[must_use]
    pub fn encode(&self) -> [u64; 2] {
        [
            1 | u64::from(self.error) << 1 | u64::from(self.tag) << 16,
            self.data,
        ]
    }

    /// Reads the lane words; `None` if the lane is not valid.
    #[must_use]
    pub fn decode(words: &[u64; 2]) -> Option<Self> {
        let control = words[0];
        (control & 1 == 1).then(|| Self {
            tag: (control >> 16) as u16,
            error: control >> 1 & 1 == 1,
            data: words[1],
        })
    }
}
