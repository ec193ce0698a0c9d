// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of single walks against hand-made tables.

use vmsa::geometry::{block_allowed, level_bytes, start_level};
use vmsa::{El, Granule, Mair, Sctlr, Tcr, Ttbr, VaRange};

use super::*;
use crate::arch::words::Words;

const ROOT: u64 = 0x100_0000;
const LOWER: VaRange = VaRange::Lower;

/// Tables of one granule with full VA range: each table of a level is at a fixed place, and VA 0 goes
/// through index 0 of each.
struct Bench {
    context: Context,
    memory: Words,
    granule: Granule,
}

fn table_at(level: u8) -> u64 {
    ROOT + 0x10_0000 * u64::from(level)
}

impl Bench {
    fn new(granule: Granule) -> Self {
        let mut context = Context::default();
        let start = start_level(granule, 48);
        context.registers.ttbr0 = Ttbr::new(0, table_at(start));
        context.registers.tcr = Tcr(0)
            .with_tsz(LOWER, 16)
            .with_granule(LOWER, granule)
            .with_ips(5);
        context.registers.mair = Mair(0).with_attr(0, Mair::NORMAL_WB).with_attr(1, 0x04);
        context.registers.sctlr = Sctlr(0).with_m(true).with_c(true).with_i(true);
        let mut bench = Self {
            context,
            memory: Words::new(),
            granule,
        };
        for level in start..3 {
            bench.put(level, Descriptor::table(table_at(level + 1)));
        }
        bench.put(3, bench.leaf(3, 0));
        bench
    }

    /// Accessible to all, accessed, at `pa`.
    fn leaf(&self, level: u8, pa: u64) -> Descriptor {
        Descriptor::leaf(self.granule, level, pa)
            .with_af(true)
            .with_ap(1)
    }

    fn put(&mut self, level: u8, descriptor: Descriptor) {
        self.memory
            .set(table_at(level), encode_word(&self.context, descriptor));
    }

    fn walk(&self, access: Access) -> Walk {
        translate(&self.memory, &self.context, &access)
    }

    fn reason(&self, access: Access) -> Option<(Reason, Option<u8>)> {
        self.walk(access)
            .outcome
            .err()
            .map(|fault| (fault.reason, fault.fsc.level()))
    }

    fn tcr(&mut self, change: impl FnOnce(Tcr) -> Tcr) {
        self.context.registers.tcr = change(self.context.registers.tcr);
    }

    fn sctlr(&mut self, change: impl FnOnce(Sctlr) -> Sctlr) {
        self.context.registers.sctlr = change(self.context.registers.sctlr);
    }
}

fn read(va: u64) -> Access {
    Access::new(AccessKind::Read, El::El0, va)
}

fn write(va: u64) -> Access {
    Access::new(AccessKind::Write, El::El0, va)
}

fn fetch(va: u64) -> Access {
    Access::new(AccessKind::Execute, El::El0, va)
}

#[test]
fn every_leaf_level_maps_its_size_and_takes_low_bits_from_the_va() {
    // VMSA-15, WALK-05.
    for granule in Granule::ALL {
        for level in 1..=3 {
            if level < 3 && !block_allowed(granule, level) {
                continue;
            }
            let mut bench = Bench::new(granule);
            let bytes = level_bytes(granule, level);
            // Garbage below the leaf size is not part of the address.
            let dirt = if level < 3 {
                Descriptor(1 << 12 & (bytes - 1))
            } else {
                Descriptor(0)
            };
            bench.put(level, Descriptor(bench.leaf(level, 5 * bytes).0 | dirt.0));
            let translation = bench.walk(read(bytes - 1)).outcome;
            // The last byte of the leaf lies under another index of lower levels: none is read.
            assert_eq!(
                translation.unwrap().pa,
                6 * bytes - 1,
                "{granule} level {level}"
            );
        }
    }
}

#[test]
fn reserved_and_invalid_encodings_fault_at_their_level() {
    // WALK-03, VMSA-41.
    for granule in Granule::ALL {
        for level in start_level(granule, 48)..=3 {
            for bits in 0..4u64 {
                let mut bench = Bench::new(granule);
                bench.put(level, Descriptor(bits | 1 << 10));
                let expected = match bits {
                    0 | 2 => Some((Reason::Invalid, Some(level))),
                    1 if level == 3 || !block_allowed(granule, level) => {
                        Some((Reason::Reserved, Some(level)))
                    }
                    1 => None,
                    // Tables at address 0 hold nothing.
                    _ if level < 3 => Some((Reason::Invalid, Some(level + 1))),
                    _ => None,
                };
                let got = bench.reason(Access {
                    el: El::El1,
                    ..read(0)
                });
                assert_eq!(got, expected, "{granule} level {level} bits {bits:02b}");
            }
        }
    }
}

#[test]
fn addresses_beyond_the_output_size_fault_where_they_stand() {
    // VMSA-42, VMSA-45, WALK-04.
    for (ips, bits) in [(0, 32), (1, 36), (2, 40), (3, 42), (4, 44)] {
        let mut bench = Bench::new(Granule::K4);
        bench.tcr(|tcr| tcr.with_ips(ips));
        for bit in 30..48 {
            let big = bit >= bits;
            bench.put(2, Descriptor::table(1 << bit));
            let table = bench
                .reason(read(0))
                .filter(|(reason, _)| *reason == Reason::NextTableTooLarge);
            assert_eq!(
                table,
                big.then_some((Reason::NextTableTooLarge, Some(2))),
                "bit {bit}"
            );
            bench.put(2, Descriptor::table(table_at(3)));
            bench.put(3, bench.leaf(3, 1 << bit));
            assert_eq!(
                bench.reason(read(0)),
                big.then_some((Reason::OutputTooLarge, Some(3)))
            );
        }
        bench.put(3, Descriptor(bench.leaf(3, 0).0 | 3 << 48));
        assert_eq!(bench.reason(read(0)), None);
    }
}

#[test]
fn faults_at_the_leaf_follow_the_priority_table() {
    // VMSA-40, VMSA-43, VMSA-44: everything wrong at once, mended from the top.
    let mut bench = Bench::new(Granule::K4);
    bench.tcr(|tcr| tcr.with_ips(0));
    bench.sctlr(|sctlr| sctlr.with_a(true));
    let access = Access {
        va: 1,
        size: 2,
        ..write(0)
    };
    let mut leaf = bench
        .leaf(3, 1 << 40)
        .with_af(false)
        .with_attr_index(1)
        .with_ap(2);
    bench.put(3, leaf.with_valid(false));
    assert_eq!(bench.reason(access), Some((Reason::Misaligned, None)));
    bench.sctlr(|sctlr| sctlr.with_a(false));
    assert_eq!(bench.reason(access), Some((Reason::Invalid, Some(3))));
    bench.put(3, leaf);
    assert_eq!(
        bench.reason(access),
        Some((Reason::OutputTooLarge, Some(3)))
    );
    leaf = Descriptor(leaf.0 & !(1 << 40));
    bench.put(3, leaf);
    assert_eq!(bench.reason(access), Some((Reason::AccessFlag, Some(3))));
    leaf = leaf.with_af(true);
    bench.put(3, leaf);
    assert_eq!(bench.reason(access), Some((Reason::DeviceMisaligned, None)));
    leaf = leaf.with_attr_index(0);
    bench.put(3, leaf);
    assert_eq!(bench.reason(access), Some((Reason::NotPermitted, Some(3))));
    bench.put(3, leaf.with_ap(1));
    assert_eq!(bench.reason(access), None);
}

#[test]
fn big_endian_descriptors_are_swapped_before_decode() {
    // WALK-02; updates are written back swapped.
    let mut bench = Bench::new(Granule::K4);
    bench.sctlr(|sctlr| sctlr.with_ee(true));
    assert!(bench.walk(read(0)).outcome.is_err());
    for level in 0..3 {
        bench.put(level, Descriptor::table(table_at(level + 1)));
    }
    let leaf = bench.leaf(3, 0x5000).with_af(false);
    bench.put(3, leaf);
    bench.tcr(|tcr| tcr.with_ha(true));
    let walk = bench.walk(read(0));
    assert_eq!(walk.outcome.unwrap().pa, 0x5000);
    let to = leaf.with_af(true).0.swap_bytes();
    assert_eq!(
        walk.update,
        Some(Update {
            address: table_at(3),
            from: leaf.0.swap_bytes(),
            to
        })
    );
}

#[test]
fn an_error_response_is_an_external_abort_at_its_level() {
    // WALK-10.
    struct Marked<'a>(&'a Words, u64);
    impl ReadDescriptor for Marked<'_> {
        fn read(&self, address: u64) -> Option<u64> {
            (address != self.1).then(|| self.0.get(address))
        }
    }
    let bench = Bench::new(Granule::K4);
    for level in 0..4 {
        let memory = Marked(&bench.memory, table_at(level));
        let walk = translate(&memory, &bench.context, &read(0));
        assert_eq!(walk.outcome.unwrap_err().fsc.0, 0x14 + level);
        assert_eq!(walk.steps().count(), usize::from(level) + 1);
    }
}

#[test]
fn updates_change_af_and_ap2_only_when_the_access_may_use_the_page() {
    // HAF-05, HAF-06, HAF-09 to HAF-11, HAF-14, HAF-15, HAF-16.
    let mut bench = Bench::new(Granule::K4);
    bench.tcr(|tcr| tcr.with_ha(true).with_hd(true));
    let clean = bench
        .leaf(3, 0x5000)
        .with_af(false)
        .with_ap(3)
        .with_dbm(true);
    bench.put(3, clean);
    let to = |bench: &Bench, access| {
        bench
            .walk(access)
            .update
            .map(|update| Descriptor(update.to))
    };
    let dirty = clean.with_af(true).with_ap(1);
    assert_eq!(to(&bench, read(0)), Some(clean.with_af(true)));
    assert_eq!(to(&bench, write(0)), Some(dirty), "both bits by one swap");
    assert_eq!(
        to(&bench, write(0).as_at()),
        Some(clean.with_af(true)),
        "AT never dirties"
    );
    assert_eq!(
        to(
            &bench,
            Access {
                kind: AccessKind::Cas,
                ..write(0)
            }
        ),
        Some(dirty)
    );
    bench.put(3, clean.with_af(true));
    assert_eq!(to(&bench, read(0)), None);
    assert_eq!(to(&bench, write(0).as_at()), None);
    // Faults change nothing: a limit on the way, or Device alignment.
    bench.put(2, Descriptor::table(table_at(3)).with_ap_table(2));
    bench.put(3, clean);
    assert_eq!(
        bench.reason(write(0)),
        Some((Reason::NotPermitted, Some(3))),
        "VMSA-26, VMSA-28"
    );
    assert_eq!(to(&bench, write(0)), None);
    bench.put(3, clean.with_attr_index(1));
    assert_eq!(
        to(
            &bench,
            Access {
                va: 1,
                size: 1,
                ..read(0)
            }
        ),
        None
    );
    // HD alone does nothing.
    bench.put(2, Descriptor::table(table_at(3)));
    bench.put(3, clean.with_af(true));
    bench.tcr(|tcr| tcr.with_ha(false));
    assert_eq!(
        bench.reason(write(0)),
        Some((Reason::NotPermitted, Some(3)))
    );
}

#[test]
fn atomics_are_aligned_and_report_what_they_lack() {
    // VMSA-30, VMSA-51.
    let mut bench = Bench::new(Granule::K4);
    let cas = |va| Access {
        kind: AccessKind::Cas,
        size: 3,
        ..read(va)
    };
    assert_eq!(bench.reason(cas(4)), Some((Reason::Misaligned, None)));
    bench.put(3, bench.leaf(3, 0).with_ap(3));
    assert_eq!(bench.walk(cas(0)).outcome.unwrap_err().wnr, Some(true));
    bench.put(3, bench.leaf(3, 0).with_ap(0));
    assert_eq!(bench.walk(cas(0)).outcome.unwrap_err().wnr, Some(false));
    assert_eq!(bench.walk(write(0)).outcome.unwrap_err().wnr, Some(true));
}

#[path = "walk_access_tests.rs"]
mod accesses;
