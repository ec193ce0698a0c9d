// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Memory attributes: from AttrIndx, MAIR_EL1, SH and the SCTLR_EL1 overrides to the type reported.

use vmsa::{Descriptor, Mair};

use super::access::{Access, AccessKind};
use super::context::Context;

/// Shareability code of Outer Shareable.
pub const OUTER_SHAREABLE: u8 = 2;

/// Normal, inner and outer Write-Through, read-allocate: fetches with translation off and I = 1.
pub const NORMAL_WT_RA: u8 = 0xaa;

/// Attributes as PAR_EL1 shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// MAIR byte in effect.
    pub attr: u8,
    /// Shareability: 0 NSH, 2 OSH, 3 ISH.
    pub sh: u8,
}

impl Attributes {
    const fn new(attr: u8, sh: u8) -> Self {
        // Device and Normal iNC-oNC are always Outer Shareable; the reserved SH = 01 becomes it.
        let forced = is_device(attr) || attr == Mair::NORMAL_NC || sh == 1;
        Self {
            attr,
            sh: if forced { OUTER_SHAREABLE } else { sh },
        }
    }

    /// Whether the location is Device memory.
    #[must_use]
    pub const fn is_device(self) -> bool {
        is_device(self.attr)
    }
}

/// Whether `attr` is a Device type.
#[must_use]
pub const fn is_device(attr: u8) -> bool {
    attr & 0xf0 == 0
}

/// The byte in effect for MAIR byte `attr`: reserved ones become Device-nGnRnE (section 16).
#[must_use]
pub const fn legal(attr: u8) -> u8 {
    let device = attr & 0xf3 == 0;
    let normal = attr & 0xf0 != 0 && attr & 0x0f != 0;
    if device || normal {
        attr
    } else {
        Mair::DEVICE_NGNRNE
    }
}

/// Attributes of `access` through the leaf `descriptor` (VMSA-60, VMSA-61).
#[must_use]
pub const fn of_leaf(context: &Context, access: &Access, descriptor: Descriptor) -> Attributes {
    let attr = legal(context.registers.mair.attr(descriptor.attr_index()));
    let cacheable = match access.kind {
        AccessKind::Execute => context.registers.sctlr.i(),
        _ => context.registers.sctlr.c(),
    };
    if is_device(attr) || cacheable {
        Attributes::new(attr, descriptor.sh())
    } else {
        Attributes::new(Mair::NORMAL_NC, descriptor.sh())
    }
}

/// Attributes of `access` with translation off (VMSA-03).
#[must_use]
pub const fn untranslated(context: &Context, access: &Access) -> Attributes {
    let attr = match (access.kind, context.registers.sctlr.i()) {
        (AccessKind::Execute, true) => NORMAL_WT_RA,
        (AccessKind::Execute, false) => Mair::NORMAL_NC,
        _ => Mair::DEVICE_NGNRNE,
    };
    Attributes::new(attr, OUTER_SHAREABLE)
}

/// The attribute byte in words, such as `Normal WB` or `Device-nGnRE`.
#[must_use]
pub const fn describe(attr: u8) -> &'static str {
    match attr {
        0x00 => "Device-nGnRnE",
        0x04 => "Device-nGnRE",
        0x08 => "Device-nGRE",
        0x0c => "Device-GRE",
        0x44 => "Normal Non-cacheable",
        _ if attr & 0xf0 == 0 || attr & 0x0f == 0 => "reserved, taken as Device-nGnRnE",
        _ if attr >> 4 != attr & 0xf => "Normal, inner and outer differ",
        _ => match attr >> 6 {
            0 => "Normal Write-Through transient",
            1 => "Normal Write-Back transient",
            2 => "Normal Write-Through",
            _ => "Normal Write-Back",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::{El, Sctlr};

    fn of(attr: u8, sh: u8, kind: AccessKind, sctlr: Sctlr) -> Attributes {
        let mut context = Context::default();
        context.registers.mair = Mair(0).with_attr(3, attr);
        context.registers.sctlr = sctlr;
        let descriptor = Descriptor(0).with_attr_index(3).with_sh(sh);
        of_leaf(&context, &Access::new(kind, El::El1, 0), descriptor)
    }

    const CACHED: Sctlr = Sctlr(0).with_c(true).with_i(true);

    #[test]
    fn every_mair_byte_is_reported_or_is_reserved() {
        // VMSA-60; section 1.3.
        for attr in 0..=255u8 {
            let got = of(attr, 3, AccessKind::Read, CACHED);
            let (outer, inner) = (attr >> 4, attr & 15);
            match (outer, inner) {
                (0, 0 | 4 | 8 | 12) => assert_eq!(got, Attributes { attr, sh: 2 }),
                (0, _) | (_, 0) => assert_eq!(got, Attributes { attr: 0, sh: 2 }, "{attr:#x}"),
                (4, 4) => assert_eq!(got, Attributes { attr, sh: 2 }),
                _ => assert_eq!(got, Attributes { attr, sh: 3 }, "{attr:#x}"),
            }
        }
    }

    #[test]
    fn descriptor_shareability_is_reported_and_01_is_outer() {
        // VMSA-60; section 16.
        let sh = |sh| of(0xff, sh, AccessKind::Read, CACHED).sh;
        assert_eq!([0, 1, 2, 3].map(sh), [0, 2, 2, 3]);
    }

    #[test]
    fn cache_controls_make_normal_memory_non_cacheable() {
        // VMSA-61: C for data, I for fetches, Device unchanged.
        let (c, i) = (Sctlr(0).with_c(true), Sctlr(0).with_i(true));
        let nc = Attributes { attr: 0x44, sh: 2 };
        let wb = Attributes { attr: 0xff, sh: 0 };
        assert_eq!(of(0xff, 0, AccessKind::Read, i), nc);
        assert_eq!(of(0xff, 0, AccessKind::Write, c), wb);
        assert_eq!(of(0xff, 0, AccessKind::Execute, c), nc);
        assert_eq!(of(0xff, 0, AccessKind::Execute, i), wb);
        assert_eq!(
            of(0x04, 0, AccessKind::Read, i),
            Attributes { attr: 0x04, sh: 2 }
        );
    }

    #[test]
    fn untranslated_accesses_have_fixed_attributes() {
        // VMSA-03.
        let of = |kind, sctlr| {
            let mut context = Context::default();
            context.registers.sctlr = sctlr;
            untranslated(&context, &Access::new(kind, El::El1, 0))
        };
        assert_eq!(of(AccessKind::Read, CACHED), Attributes { attr: 0, sh: 2 });
        assert_eq!(
            of(AccessKind::Execute, CACHED),
            Attributes { attr: 0xaa, sh: 2 }
        );
        assert_eq!(
            of(AccessKind::Execute, Sctlr(0)),
            Attributes { attr: 0x44, sh: 2 }
        );
    }
}
