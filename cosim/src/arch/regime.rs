// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What is settled before the first descriptor is read: which range an address belongs to, how its
//! table is shaped, and the level 0 faults (lines 2 to 6 of the priority table).

use vmsa::geometry::{base_table_shift, start_level};
use vmsa::{Granule, VaRange};

use super::access::{Access, AccessKind, Fault, Reason};
use super::context::Context;

/// The walk parameters of one VA range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regime {
    /// Which half.
    pub range: VaRange,
    /// Translation granule.
    pub granule: Granule,
    /// VA bits translated: 64 - TxSZ.
    pub iasize: u32,
    /// Level at which the walk begins.
    pub start: u8,
    /// Physical byte address of the first table, aligned to its size.
    pub base: u64,
    /// Bits of output address.
    pub output_bits: u32,
}

/// Least TxSZ without 52-bit addresses.
pub const TSZ_MIN: u8 = 16;

/// Greatest TxSZ with small translation tables.
#[must_use]
pub const fn tsz_max(granule: Granule) -> u8 {
    match granule {
        Granule::K64 => 47,
        Granule::K4 | Granule::K16 => 48,
    }
}

/// Granule that `context` selects for `range`; the reserved code selects 4K (section 16).
#[must_use]
pub const fn granule(context: &Context, range: VaRange) -> Granule {
    match context.registers.tcr.granule(range) {
        Some(granule) => granule,
        None => Granule::K4,
    }
}

/// Whether the top byte of the address is a tag for `access` (VMSA-07).
#[must_use]
pub const fn top_byte_ignored(context: &Context, access: &Access) -> bool {
    let (tcr, range) = (context.registers.tcr, VaRange::of(access.va));
    tcr.tbi(range) && !(tcr.tbid(range) && matches!(access.kind, AccessKind::Execute))
}

impl Regime {
    /// Parameters of the walk for `access`, stage 1 being enabled.
    ///
    /// # Errors
    /// The level 0 fault that ends the access before a descriptor is read, the first one in the
    /// order of the priority table (VMSA-40, VMSA-41).
    pub const fn of(context: &Context, access: &Access) -> Result<Self, Fault> {
        let tcr = context.registers.tcr;
        // VMSA-04: bit 55 alone chooses, tag or not.
        let range = VaRange::of(access.va);
        let granule = granule(context, range);
        let tsz = tcr.tsz(range);
        if tsz < TSZ_MIN || tsz > tsz_max(granule) {
            return Err(Fault::new(access, Reason::TxszIllegal, 0));
        }
        let iasize = 64 - tsz as u32;
        // VMSA-05: shift the untested tag out, then all bits down to IASIZE shall be the sign.
        let tag = if top_byte_ignored(context, access) {
            8
        } else {
            0
        };
        let high = (access.va << tag) as i64 >> (iasize + tag);
        let sign = match range {
            VaRange::Lower => 0,
            VaRange::Upper => -1,
        };
        if high != sign {
            return Err(Fault::new(access, Reason::OutOfRange, 0));
        }
        if tcr.e0pd(range) && matches!(access.el, vmsa::El::El0) {
            return Err(Fault::new(access, Reason::E0pd, 0));
        }
        if tcr.epd(range) {
            return Err(Fault::new(access, Reason::Epd, 0));
        }
        let align = base_table_shift(granule, iasize);
        let base = context.registers.ttbr(range).base() >> align << align;
        let output_bits = context.output_bits();
        if base >> output_bits != 0 {
            return Err(Fault::new(access, Reason::BaseTooLarge, 0));
        }
        let start = start_level(granule, iasize);
        Ok(Self {
            range,
            granule,
            iasize,
            start,
            base,
            output_bits,
        })
    }

    /// Whether `address` has a bit at or above the output size.
    #[must_use]
    pub const fn exceeds_output(&self, address: u64) -> bool {
        address >> self.output_bits != 0
    }

    /// Descriptors of a contiguous run at `level`, unless the hint has no meaning there: a run larger
    /// than the VA range is ignored (section 16).
    #[must_use]
    pub fn run_entries(&self, level: u8) -> Option<u32> {
        let entries = vmsa::geometry::contiguous_run(self.granule, level)?;
        let bits = vmsa::geometry::level_lsb(self.granule, level) + entries.trailing_zeros();
        (bits <= self.iasize).then_some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::{El, Tcr};

    fn context(tcr: Tcr) -> Context {
        let mut context = Context::default();
        context.registers.tcr = tcr.with_ips(5);
        context
    }

    fn reason(tcr: Tcr, access: Access) -> Option<Reason> {
        Regime::of(&context(tcr), &access).err().map(|fault| {
            // VMSA-41: all of them report level 0.
            assert_eq!(fault.fsc.level(), Some(0));
            fault.reason
        })
    }

    fn read(va: u64) -> Access {
        Access::new(AccessKind::Read, El::El0, va)
    }

    #[test]
    fn every_txsz_outside_16_to_the_maximum_faults() {
        // VMSA-10.
        for granule in Granule::ALL {
            for tsz in 0..64u8 {
                let tcr = Tcr(0)
                    .with_granule(VaRange::Lower, granule)
                    .with_tsz(VaRange::Lower, tsz);
                let legal = tsz >= 16 && tsz <= if granule == Granule::K64 { 47 } else { 48 };
                let expected = (!legal).then_some(Reason::TxszIllegal);
                assert_eq!(reason(tcr, read(0)), expected, "{granule} TxSZ {tsz}");
            }
        }
    }

    #[test]
    fn high_bits_shall_all_equal_bit_55() {
        // VMSA-04, VMSA-05: TxSZ = 25, 39 bits of VA in both halves.
        let tcr = Tcr(0)
            .with_tsz(VaRange::Lower, 25)
            .with_tsz(VaRange::Upper, 25)
            .with_tg(VaRange::Upper, 2);
        for bit in 39..64 {
            assert_eq!(
                reason(tcr, read(1 << bit)),
                Some(Reason::OutOfRange),
                "bit {bit}"
            );
            assert_eq!(
                reason(tcr, read(!(1 << bit))),
                Some(Reason::OutOfRange),
                "bit {bit}"
            );
        }
        for bit in 0..39 {
            assert_eq!(reason(tcr, read(1 << bit)), None);
            assert_eq!(reason(tcr, read(!(1 << bit))), None);
        }
    }

    #[test]
    fn a_tag_is_ignored_only_where_tbi_applies() {
        // VMSA-05, VMSA-07.
        let tagged = 0xa5 << 56;
        let tcr = Tcr(0).with_tsz(VaRange::Lower, 25);
        let fetch = Access::new(AccessKind::Execute, El::El0, tagged);
        assert_eq!(reason(tcr, read(tagged)), Some(Reason::OutOfRange));
        let tbi = tcr.with_tbi(VaRange::Lower, true);
        assert_eq!(reason(tbi, read(tagged)), None);
        assert_eq!(reason(tbi, fetch), None);
        assert_eq!(
            reason(tbi, read(tagged | 1 << 54)),
            Some(Reason::OutOfRange)
        );
        let tbid = tbi.with_tbid(VaRange::Lower, true);
        assert_eq!(reason(tbid, read(tagged)), None);
        assert_eq!(reason(tbid, fetch), Some(Reason::OutOfRange));
    }

    #[test]
    fn e0pd_keeps_out_el0_only_and_epd_everyone() {
        // VMSA-08, VMSA-09.
        let tcr = Tcr(0).with_tsz(VaRange::Lower, 16);
        let privileged = Access {
            el: El::El1,
            ..read(0)
        };
        let e0pd = tcr.with_e0pd(VaRange::Lower, true);
        assert_eq!(reason(e0pd, read(0)), Some(Reason::E0pd));
        assert_eq!(reason(e0pd, privileged), None);
        let epd = tcr.with_epd(VaRange::Lower, true);
        assert_eq!(reason(epd, read(0)), Some(Reason::Epd));
        assert_eq!(reason(epd, privileged), Some(Reason::Epd));
        // Of the other range: no effect.
        assert_eq!(reason(tcr.with_epd(VaRange::Upper, true), read(0)), None);
    }

    #[test]
    fn level_0_faults_follow_the_priority_table() {
        // VMSA-40: TxSZ, range, E0PD, EPD, base, each removed in turn.
        let mut all = context(
            Tcr(0)
                .with_epd(VaRange::Lower, true)
                .with_e0pd(VaRange::Lower, true),
        );
        all.registers.tcr = all.registers.tcr.with_ips(0);
        all.registers.ttbr0 = vmsa::Ttbr::new(0, 1 << 40);
        let mut access = read(1 << 50);
        let expect = |context: &Context, access: &Access, reason| {
            assert_eq!(Regime::of(context, access).err().map(|f| f.reason), reason);
        };
        expect(&all, &access, Some(Reason::TxszIllegal));
        all.registers.tcr = all.registers.tcr.with_tsz(VaRange::Lower, 25);
        expect(&all, &access, Some(Reason::OutOfRange));
        access.va = 0;
        expect(&all, &access, Some(Reason::E0pd));
        access.el = El::El1;
        expect(&all, &access, Some(Reason::Epd));
        all.registers.tcr = all.registers.tcr.with_epd(VaRange::Lower, false);
        expect(&all, &access, Some(Reason::BaseTooLarge));
        all.registers.tcr = all.registers.tcr.with_ips(5);
        expect(&all, &access, None);
    }

    #[test]
    fn the_base_is_aligned_down_to_the_table() {
        // VMSA-13, VMSA-14: TxSZ = 24 with 4K has a two-entry table of level 0.
        let mut context = context(Tcr(0).with_tsz(VaRange::Lower, 24));
        context.registers.ttbr0 = vmsa::Ttbr(0x1_0000_0000_1fff);
        let regime = Regime::of(&context, &read(0)).unwrap();
        assert_eq!((regime.start, regime.base), (0, 0x1ff0));
    }

    #[test]
    fn a_run_larger_than_the_range_is_ignored() {
        // Section 4 and section 16: 4K TxSZ = 48 leaves 16 pages, exactly one run.
        let regime =
            |tsz| Regime::of(&context(Tcr(0).with_tsz(VaRange::Lower, tsz)), &read(0)).unwrap();
        assert_eq!(regime(48).run_entries(3), Some(16));
        // TxSZ = 40: 24 VA bits, 8 entries of level 2, fewer than a run.
        assert_eq!(regime(40).run_entries(2), None);
        assert_eq!(regime(39).run_entries(2), Some(16));
        assert_eq!(regime(25).run_entries(0), None);
    }
}
