// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which operation and which barrier of which core takes a translation away from which core.

use crate::booted::{Booted, boot_on};
use sw_mm::boot::BootConfig;
use sw_mm::functional::{Core, MachineConfig};
use sw_mm::{AccessSize, Attributes, Cpu, Par, Permissions, Privilege, block_on};
use vmsa::TlbiScope::{InnerShareable, Local, OuterShareable};
use vmsa::{AtOp, Descriptor, DsbKind, Granule, Tlbi, TlbiScope};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const OLD: u64 = 0x4000_0000;

fn cached(core: &Core, va: u64) -> bool {
    matches!(
        block_on(core.address_translate(AtOp::S1E0R, va)),
        Ok(Par::Translated { .. })
    )
}

/// Four cores that have cached the pages at `VA`, and whose tables no longer map the first `pages`.
fn unmapped(pages: u64) -> Booted {
    let machine = MachineConfig {
        cores: 4,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::default(), machine);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    for page in 0..pages {
        let offset = page * 0x1000;
        block_on(table.map(&os.cpu, frames, VA + offset, OLD + offset, 3, &RW)).expect("maps");
    }
    let leaves = *table.table_pages().last().expect("the leaf table");
    for page in 0..pages {
        for core in 0..4 {
            assert!(cached(&os.machine.core(core), VA + page * 0x1000));
        }
        let slot = os
            .boot
            .linear
            .virt(leaves + page * 8)
            .expect("in the window");
        let store = os.cpu.store(
            slot,
            AccessSize::Double,
            Privilege::Privileged,
            Descriptor::INVALID.0,
        );
        block_on(store).expect("stores");
    }
    block_on(os.cpu.dsb(DsbKind::ISHST));
    os
}

fn held_after(op: Tlbi, barrier: DsbKind) -> Vec<bool> {
    let os = unmapped(1);
    block_on(os.cpu.tlbi(op));
    block_on(os.cpu.dsb(barrier));
    (0..4).map(|i| cached(&os.machine.core(i), VA)).collect()
}

#[test]
fn scope_and_barrier_decide_who_loses_the_entry() {
    // TLBI-12, TLBI-24, section 11.3.
    let op = |scope: TlbiScope| Tlbi::vaale1(scope, VA, None);
    let (all, own, nobody) = ([false; 4], [false, true, true, true], [true; 4]);
    for (scope, barrier, expected) in [
        (Local, DsbKind::NSH, own),
        (Local, DsbKind::SY, own),
        (Local, DsbKind::NSHST, nobody),
        (InnerShareable, DsbKind::ISH, all),
        (InnerShareable, DsbKind::OSH, all),
        (InnerShareable, DsbKind::NSH, nobody),
        (InnerShareable, DsbKind::ISHST, nobody),
        (InnerShareable, DsbKind::ISHLD, nobody),
        (OuterShareable, DsbKind::SY, all),
        (OuterShareable, DsbKind::OSH, all),
        (OuterShareable, DsbKind::ISH, nobody),
    ] {
        let held = held_after(op(scope), barrier);
        assert_eq!(held, expected, "{scope:?}, {barrier}");
    }
}

#[test]
fn a_barrier_completes_only_what_its_own_core_issued() {
    // TLBI-27.
    let os = unmapped(1);
    block_on(os.cpu.tlbi(Tlbi::vmalle1(InnerShareable)));
    block_on(os.machine.core(1).dsb(DsbKind::SY));
    assert!(cached(&os.machine.core(1), VA));
    block_on(os.cpu.dsb(DsbKind::SY));
    assert!(!cached(&os.machine.core(1), VA));
}

#[test]
fn a_range_removes_its_pages_and_no_other_on_every_core() {
    // TLBI-08, TLBI-09.
    let held = |op: Tlbi| {
        let os = unmapped(6);
        block_on(os.cpu.tlbi(op));
        block_on(os.cpu.dsb(DsbKind::ISH));
        let core = os.machine.core(3);
        (0..6)
            .map(|page| cached(&core, VA + page * 0x1000))
            .collect::<Vec<_>>()
    };
    let range = |granule, level| Tlbi::rvaale1(InnerShareable, granule, VA + 0x1000, 0, 1, level);
    let named = [true, false, false, false, false, true];
    assert_eq!(held(range(Granule::K4, None)), named);
    assert_eq!(held(range(Granule::K4, Some(3))), named);
    // A hint at another level, and another granule than the one in use.
    assert_eq!(held(range(Granule::K4, Some(2))), [true; 6]);
    assert_eq!(held(range(Granule::K16, None)), [true; 6]);
    let asid = 0x7f;
    let other = Tlbi::rvale1(InnerShareable, Granule::K4, VA, 0, 31, None, asid);
    assert_eq!(held(other), [true; 6], "not this ASID");
}

/// Break-before-make violations of a page that gets a new frame: broken, invalidated, marked with
/// another invalid value, `barrier`, made.
fn marked_between(barrier: DsbKind) -> usize {
    let os = unmapped(1);
    let leaves = *os.boot.user.table_pages().last().expect("the leaf table");
    let slot = os.boot.linear.virt(leaves).expect("in the window");
    let store = |value| {
        os.cpu
            .store(slot, AccessSize::Double, Privilege::Privileged, value)
    };
    block_on(async {
        os.cpu.tlbi(Tlbi::vaale1(InnerShareable, VA, None)).await;
        store(0xdead_0000).await.expect("stores");
        os.cpu.dsb(barrier).await;
        let leaf = Descriptor::leaf(Granule::K4, 3, OLD + 0x5000).with_af(true);
        store(leaf.0).await.expect("stores");
        os.cpu.dsb(DsbKind::ISHST).await;
    });
    os.machine.violations().len()
}

#[test]
fn a_mark_on_a_broken_entry_neither_undoes_nor_completes_its_invalidation() {
    // Section 12.1: a migration entry is stored while the flush is under way.
    assert_eq!(marked_between(DsbKind::ISH), 0);
    assert_eq!(marked_between(DsbKind::ISHST), 1);
}
