// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Fields of MAIR_EL1 and SCTLR_EL1, which are not split by VA range.

use crate::bits::{flags, get, set};

/// MAIR_EL1: eight attribute bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mair(pub u64);

impl Mair {
    /// Device-nGnRnE.
    pub const DEVICE_NGNRNE: u8 = 0x00;
    /// Normal, inner and outer Non-cacheable.
    pub const NORMAL_NC: u8 = 0x44;
    /// Normal, inner and outer Write-Back, read and write allocate.
    pub const NORMAL_WB: u8 = 0xff;

    /// Attribute byte `index` (low 3 bits).
    pub const fn attr(self, index: u8) -> u8 {
        get(self.0, (index & 7) as u32 * 8, 8) as u8
    }

    /// Copy with attribute byte `index` (low 3 bits) replaced.
    #[must_use]
    pub const fn with_attr(self, index: u8, attr: u8) -> Self {
        Self(set(self.0, (index & 7) as u32 * 8, 8, attr as u64))
    }
}

/// SCTLR_EL1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sctlr(pub u64);

impl Sctlr {
    flags! {
        /// M: stage 1 translation on.
        m, with_m, 0;
        /// A: alignment check on every data access.
        a, with_a, 1;
        /// C: 0 makes Normal data accesses and walks Non-cacheable.
        c, with_c, 2;
        /// I: 0 makes instruction fetches Non-cacheable.
        i, with_i, 12;
        /// WXN: writable implies execute-never.
        wxn, with_wxn, 19;
        /// SPAN: 0 sets PSTATE.PAN on exception entry.
        span, with_span, 23;
        /// E0E: EL0 data accesses are big endian.
        e0e, with_e0e, 24;
        /// EE: EL1 data accesses and descriptors are big endian.
        ee, with_ee, 25;
        /// EPAN: PAN also covers pages that EL0 can only execute.
        epan, with_epan, 57;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mair_bytes_are_indexed_from_the_bottom() {
        let mair = Mair(0).with_attr(0, 0xff).with_attr(7, 0x44);
        assert_eq!(mair.0, 0x4400_0000_0000_00ff);
        assert_eq!(mair.attr(7), 0x44);
    }

    #[test]
    fn sctlr_flags_sit_at_their_bits() {
        let z = Sctlr(0);
        let cases = [
            (z.with_m(true), 0),
            (z.with_a(true), 1),
            (z.with_c(true), 2),
            (z.with_i(true), 12),
            (z.with_wxn(true), 19),
            (z.with_span(true), 23),
            (z.with_e0e(true), 24),
            (z.with_ee(true), 25),
            (z.with_epan(true), 57),
        ];
        for (sctlr, bit) in cases {
            assert_eq!(sctlr.0, 1 << bit);
        }
    }
}
