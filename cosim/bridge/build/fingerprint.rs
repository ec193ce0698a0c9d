// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A fingerprint of build inputs: what decides whether a model has to be made again.

/// FNV-1a over length-prefixed parts; stable across machines and compiler versions.
pub struct Fingerprint(u64);

impl Fingerprint {
    pub fn new() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(&mut self, part: impl AsRef<[u8]>) -> &mut Self {
        let part = part.as_ref();
        for byte in (part.len() as u64).to_le_bytes().iter().chain(part) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self
    }

    pub fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}
