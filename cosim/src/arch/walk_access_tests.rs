// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of walks as accesses see them: memory types, two pages, translation off, and properties.

use proptest::prelude::*;

use super::*;
use crate::arch::Outcome;
use crate::arch::machine::Machine;

#[test]
fn the_machine_stores_nothing_if_either_page_faults() {
    // Section 7, ORD-09.
    let bench = Bench::new(Granule::K4);
    let mut machine = Machine::new(bench.context.profile);
    for register in vmsa::SysReg::ALL {
        machine.msr(register, bench.context.registers.get(register));
    }
    *machine.memory_mut() = bench.memory.clone();
    let crossing = write(0xffc).sized(3);
    let fault = machine.access(&crossing, u64::MAX, 0).unwrap_err();
    assert_eq!(fault.reason, Reason::Invalid);
    assert_eq!(machine.memory().get(0xff8), 0);
    machine
        .memory_mut()
        .set(table_at(3) + 8, bench.leaf(3, 0x9000).0);
    machine.access(&crossing, 0x0102_0304_0506_0708, 0).unwrap();
    assert_eq!(machine.memory().get(0xff8), 0x0506_0708 << 32);
    assert_eq!(machine.memory().get(0x9000), 0x0102_0304);
    let cas = Access {
        kind: AccessKind::Cas,
        ..write(0xff8).sized(3)
    };
    assert_eq!(
        machine.access(&cas, 7, 0x0506_0708 << 32).unwrap().0,
        0x0506_0708 << 32
    );
    assert_eq!(machine.memory().get(0xff8), 7);
    assert_eq!(machine.access(&cas, 9, 8).unwrap().0, 7);
    assert_eq!(machine.memory().get(0xff8), 7);
}

#[test]
fn device_memory_is_never_fetched_from_and_never_accessed_unaligned() {
    // VMSA-29, VMSA-62.
    let mut bench = Bench::new(Granule::K4);
    bench.put(3, bench.leaf(3, 0).with_attr_index(1));
    assert_eq!(bench.reason(fetch(0)), Some((Reason::DeviceFetch, Some(3))));
    assert_eq!(
        bench.reason(read(2).sized(2)),
        Some((Reason::DeviceMisaligned, None))
    );
    assert_eq!(bench.reason(read(4).sized(2)), None);
    // A page-crossing access that reaches Device memory only beyond the boundary.
    bench.put(3, bench.leaf(3, 0));
    bench
        .memory
        .set(table_at(3) + 8, bench.leaf(3, 0x1000).with_attr_index(1).0);
    let crossing = read(0xffe).sized(2);
    assert_eq!(bench.reason(crossing), None);
    let second = crossing.second_part().unwrap();
    assert_eq!(
        (second.va, bench.reason(second)),
        (0x1000, Some((Reason::DeviceMisaligned, None)))
    );
}

#[test]
fn translation_off_is_flat_up_to_the_physical_size() {
    // VMSA-01, VMSA-02, VMSA-03.
    let mut bench = Bench::new(Granule::K4);
    bench.sctlr(|sctlr| sctlr.with_m(false));
    let walk = bench.walk(read(0x1234_5678));
    assert_eq!(walk.outcome.unwrap().pa, 0x1234_5678);
    assert_eq!(walk.steps().count(), 0);
    let too_large = Some((Reason::FlatAddressTooLarge, Some(0)));
    for bit in 48..64 {
        assert_eq!(bench.reason(read(1 << bit)), too_large, "bit {bit}");
    }
    bench.tcr(|tcr| tcr.with_tbi(LOWER, true));
    assert_eq!(bench.walk(read(0xff << 56 | 8)).outcome.unwrap().pa, 8);
    assert_eq!(bench.reason(read(1 << 54)), too_large);
    assert_eq!(
        bench.reason(read(2).sized(2)),
        Some((Reason::DeviceMisaligned, None))
    );
}

fn visible(walk: &Walk) -> Outcome {
    match walk.outcome {
        Ok(Translation { pa, attributes, .. }) => Outcome::Translated {
            pa,
            attr: attributes.attr,
            sh: attributes.sh,
        },
        Err(fault) => Outcome::Fault {
            fsc: fault.fsc,
            wnr: fault.wnr.unwrap_or(false),
        },
    }
}

proptest! {
    #[test]
    fn hpd_makes_table_limits_meaningless(
        limits in any::<[u8; 3]>(), leaf in any::<u64>(), kind in 0..3usize, el1 in any::<bool>(),
    ) {
        // VMSA-23.
        let mut bench = Bench::new(Granule::K4);
        bench.tcr(|tcr| tcr.with_hpd(LOWER, true));
        bench.put(3, Descriptor(leaf | 3));
        let kind = [AccessKind::Read, AccessKind::Write, AccessKind::Execute][kind];
        let access = Access::new(kind, if el1 { El::El1 } else { El::El0 }, 0);
        let without = visible(&bench.walk(access));
        for (level, limits) in (0..3u8).zip(limits) {
            let table = Descriptor::table(table_at(level + 1));
            bench.put(level, Descriptor(table.0 | u64::from(limits & 15) << 59));
        }
        prop_assert_eq!(visible(&bench.walk(access)), without);
    }

    #[test]
    fn ignored_bits_never_alter_the_result(
        leaf in any::<u64>(), table_dirt in any::<u64>(), leaf_dirt in any::<u64>(), write in any::<bool>(),
    ) {
        // WALK-06.
        let mut bench = Bench::new(Granule::K4);
        bench.put(3, Descriptor(leaf | 3));
        let kind = if write { AccessKind::Write } else { AccessKind::Read };
        let access = Access::new(kind, El::El0, 0x123);
        let clean = visible(&bench.walk(access));
        // Table: bits 11:2, 58:48 and 63. Leaf: NS, 16 is address, 50, 58:55, 62:59, 63.
        let table_mask = 0xffc | 0x7ff << 48 | 1 << 63;
        for level in 0..3u8 {
            let table = Descriptor::table(table_at(level + 1));
            bench.put(level, Descriptor(table.0 | table_dirt & table_mask));
        }
        let leaf_mask = 1 << 5 | 3 << 48 | 1 << 50 | 0x1ff << 55;
        bench.put(3, Descriptor((leaf | 3) ^ leaf_dirt & leaf_mask));
        prop_assert_eq!(visible(&bench.walk(access)), clean);
    }
}
