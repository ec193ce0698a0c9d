// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Map, unmap and protect in all granules, as a user thread sees them.

use crate::booted::{Booted, Mutant, Mutation, boot, boot_on};
use sw_mm::boot::{BootConfig, HardwareUpdate};
use sw_mm::functional::MachineConfig;
use sw_mm::{AccessSize, Attributes, Cpu, MmError, Permissions, Privilege, block_on};
use vmsa::{FaultKind, Granule, geometry};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x40_0000_0000;

fn map(os: &Booted, va: u64, pa: u64, level: u8, attributes: &Attributes) -> Result<(), MmError> {
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map(&os.cpu, frames, va, pa, level, attributes))
}

fn map_run(os: &Booted, va: u64, pa: u64, level: u8) {
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map_contiguous(&os.cpu, frames, va, pa, level, &RW)).expect("maps");
}

fn unmap(os: &Booted, va: u64, bytes: u64) -> Vec<sw_mm::Leaf> {
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.unmap(&os.cpu, frames, va, bytes)).expect("unmaps")
}

fn protect(os: &Booted, va: u64, bytes: u64, permissions: Permissions) {
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.protect(&os.cpu, frames, va, bytes, permissions, true)).expect("protects");
}

/// Every leaf size of every granule.
fn leaves() -> impl Iterator<Item = (Granule, u8)> {
    Granule::ALL.into_iter().flat_map(|granule| {
        (0..=3)
            .filter(move |&level| geometry::leaf_allowed(granule, level))
            .map(move |level| (granule, level))
    })
}

#[test]
fn a_leaf_of_every_size_translates_until_it_is_unmapped() {
    for (granule, level) in leaves() {
        let os = boot(&BootConfig::with_granule(granule));
        let bytes = geometry::level_bytes(granule, level);
        map(&os, VA, PA + bytes, level, &RW).expect("maps");
        assert_eq!(os.pa(VA + bytes - 8), Some(PA + 2 * bytes - 8));
        os.audit();
        let removed = unmap(&os, VA, bytes);
        assert_eq!(removed.len(), 1);
        assert_eq!((removed[0].pa, removed[0].bytes), (PA + bytes, bytes));
        assert_eq!(os.read(VA), Err(FaultKind::Translation));
        assert_eq!(os.boot.user_frames.in_use(), 1, "only the root is left");
        os.audit();
    }
}

#[test]
fn a_run_of_every_size_translates_until_it_is_unmapped() {
    // TLB-01, TLB-02.
    for (granule, level) in leaves() {
        let Some(members) = geometry::contiguous_run(granule, level) else {
            continue;
        };
        for contiguous in [false, true] {
            let machine = MachineConfig {
                contiguous,
                ..MachineConfig::default()
            };
            let os = boot_on(&BootConfig::with_granule(granule), machine);
            let page = geometry::level_bytes(granule, level);
            let bytes = page * u64::from(members);
            map_run(&os, VA, PA, level);
            assert_eq!(os.pa(VA + 3 * page), Some(PA + 3 * page));
            assert_eq!(os.pa(VA + bytes - 8), Some(PA + bytes - 8));
            os.audit();
            assert_eq!(unmap(&os, VA, bytes).len(), members as usize);
            assert_eq!(os.read(VA + 3 * page), Err(FaultKind::Translation));
            os.audit();
        }
    }
}

#[test]
fn a_page_unmapped_from_a_run_leaves_the_others_mapped() {
    for granule in Granule::ALL {
        let os = boot(&BootConfig::with_granule(granule));
        let page = granule.bytes();
        map_run(&os, VA, PA, 3);
        assert_eq!(os.pa(VA), Some(PA));
        assert_eq!(unmap(&os, VA + 5 * page, page).len(), 1);
        assert_eq!(os.pa(VA + 5 * page), None);
        assert_eq!(os.pa(VA + 4 * page), Some(PA + 4 * page));
        let leaf = block_on(os.boot.user.lookup(&os.cpu, VA)).expect("readable");
        assert!(leaf.is_some_and(|leaf| !leaf.descriptor.contiguous()));
        os.audit();
    }
}

#[test]
fn a_page_unmapped_from_a_block_splits_it() {
    for granule in Granule::ALL {
        let os = boot(&BootConfig::with_granule(granule));
        let page = granule.bytes();
        map(&os, VA, PA, 2, &RW).expect("maps");
        assert_eq!(os.pa(VA + 7 * page), Some(PA + 7 * page));
        unmap(&os, VA + 7 * page, page);
        assert_eq!(os.pa(VA + 7 * page), None);
        assert_eq!(os.pa(VA + 8 * page), Some(PA + 8 * page));
        os.audit();
    }
}

#[test]
fn a_block_mapped_over_pages_replaces_their_tables() {
    let os = boot(&BootConfig::default());
    for index in 0..3 {
        map(&os, VA + index * 0x1000, PA + index * 0x3000, 3, &RW).expect("maps");
        assert_eq!(os.pa(VA + index * 0x1000), Some(PA + index * 0x3000));
    }
    map(&os, VA, PA + (1 << 30), 1, &RW).expect("maps");
    assert_eq!(os.pa(VA + 0x1000), Some(PA + (1 << 30) + 0x1000));
    assert_eq!(
        os.boot.user_frames.in_use(),
        2,
        "the tables below went back"
    );
    os.audit();
}

#[test]
fn removed_write_permission_is_refused_at_once() {
    // MM-14, BBM-02.
    let os = boot(&BootConfig::default());
    map(&os, VA, 0x4000_0000, 3, &RW).expect("maps");
    assert_eq!(os.write(VA, 1), Ok(()));
    let before = os.cpu.traffic();
    protect(&os, VA, 0x1000, Permissions::USER_RO);
    assert_eq!(os.write(VA, 2), Err(FaultKind::Permission));
    assert_eq!(os.read(VA), Ok(1));
    let spent = os.cpu.traffic();
    // In place: one swap, no store of an invalid descriptor, one TLBI between two barriers.
    assert_eq!(spent.swaps - before.swaps, 1);
    assert_eq!(spent.tlbis - before.tlbis, 1);
    assert_eq!(spent.dsbs - before.dsbs, 2);
    os.audit();
}

#[test]
fn permissions_of_part_of_a_run_change_for_that_part_only() {
    let os = boot(&BootConfig::default());
    map_run(&os, VA, 0x4000_0000, 3);
    assert_eq!(os.write(VA + 0x3000, 1), Ok(()));
    protect(&os, VA + 0x2000, 0x1000, Permissions::USER_RO);
    assert_eq!(os.write(VA + 0x2000, 1), Err(FaultKind::Permission));
    assert_eq!(os.write(VA + 0x3000, 1), Ok(()));
    protect(&os, VA, 0x1_0000, Permissions::USER_RO);
    assert_eq!(os.write(VA + 0x3000, 1), Err(FaultKind::Permission));
    os.audit();
}

#[test]
fn a_whole_run_keeps_the_hint_when_its_permissions_change() {
    let os = boot(&BootConfig::default());
    map_run(&os, VA, 0x4000_0000, 3);
    assert_eq!(os.write(VA, 1), Ok(()));
    protect(&os, VA, 0x1_0000, Permissions::USER_RO);
    let leaf = block_on(os.boot.user.lookup(&os.cpu, VA)).expect("readable");
    assert!(leaf.is_some_and(|leaf| leaf.descriptor.contiguous()));
    assert_eq!(os.write(VA + 0x4000, 1), Err(FaultKind::Permission));
    os.audit();
}

#[test]
fn hardware_dirty_state_is_not_lost_by_unmapping() {
    // MM-12, MM-36; HAF-05, HAF-12: the write finds a clean page in the TLB and still marks it.
    let os = boot(&BootConfig {
        hardware_update: HardwareUpdate::AccessFlagAndDirty,
        ..BootConfig::default()
    });
    let tracked = Attributes {
        track_dirty: true,
        accessed: false,
        ..RW
    };
    for (page, written) in [(0, false), (1, true)] {
        let va = VA + page * 0x1000;
        map(&os, va, 0x4000_0000 + page * 0x1000, 3, &tracked).expect("maps");
        assert_eq!(os.read(va), Ok(0));
        if written {
            assert_eq!(os.write(va, 1), Ok(()));
        }
    }
    let removed = unmap(&os, VA, 0x2000);
    let state = |i: usize| {
        let leaf = removed[i].descriptor;
        (leaf.af(), sw_mm::attributes::is_dirty(leaf))
    };
    assert_eq!((state(0), state(1)), ((true, false), (true, true)));
    os.audit();
}

#[test]
fn state_of_a_run_is_spread_when_it_is_unfolded() {
    // Section 4: access flag and dirty state of a run are the OR over its members.
    let os = boot(&BootConfig {
        hardware_update: HardwareUpdate::AccessFlagAndDirty,
        ..BootConfig::default()
    });
    let tracked = Attributes {
        track_dirty: true,
        accessed: false,
        ..RW
    };
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map_contiguous(&os.cpu, frames, VA, 0x4000_0000, 3, &tracked)).expect("maps");
    assert_eq!(os.write(VA + 0x3000, 1), Ok(()));
    unmap(&os, VA, 0x1000);
    for page in 1..16 {
        let leaf = block_on(table.lookup(&os.cpu, VA + page * 0x1000)).expect("readable");
        let leaf = leaf.expect("mapped").descriptor;
        assert!(
            leaf.af() && sw_mm::attributes::is_dirty(leaf),
            "page {page}"
        );
    }
    os.audit();
}

/// A mapping that tracks state in hardware, and the core on which a user writes to it in the middle
/// of every compare-and-swap of the OS.
fn raced(level: u8) -> Booted {
    let os = boot(&BootConfig {
        hardware_update: HardwareUpdate::AccessFlagAndDirty,
        ..BootConfig::default()
    });
    let tracked = Attributes {
        track_dirty: true,
        accessed: false,
        ..RW
    };
    map(&os, VA, 0x4000_0000, level, &tracked).expect("maps");
    os
}

#[test]
fn a_write_that_races_with_write_protection_is_not_lost() {
    // HAF-22, MM-36: the swap of the OS fails and it looks again.
    let os = raced(3);
    let cpu = Mutant::new(&os.cpu, Mutation::UserStoreBeforeSwap(VA));
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.protect(&cpu, frames, VA, 0x1000, Permissions::USER_RO, true))
        .expect("protects");
    let leaf = block_on(table.lookup(&os.cpu, VA)).expect("readable");
    let leaf = leaf.expect("mapped").descriptor;
    assert!(leaf.af() && !Permissions::of(leaf).write);
    assert!(sw_mm::attributes::is_dirty(leaf));
    assert_eq!(os.write(VA, 2), Err(FaultKind::Permission));
    os.audit();
}

#[test]
fn a_write_that_races_with_a_split_is_not_lost() {
    let os = raced(2);
    let cpu = Mutant::new(&os.cpu, Mutation::UserStoreBeforeSwap(VA));
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.unmap(&cpu, frames, VA + 0x5000, 0x1000)).expect("unmaps");
    let leaf = block_on(table.lookup(&os.cpu, VA)).expect("readable");
    let leaf = leaf.expect("mapped");
    assert_eq!(leaf.level, 3);
    assert!(leaf.descriptor.af() && sw_mm::attributes::is_dirty(leaf.descriptor));
    os.audit();
}

#[test]
fn mapping_the_same_again_costs_no_invalidation() {
    let os = boot(&BootConfig::default());
    map(&os, VA, 0x4000_0000, 3, &RW).expect("maps");
    assert_eq!(os.read(VA), Ok(0));
    let before = os.cpu.traffic();
    map(&os, VA, 0x4000_0000, 3, &RW).expect("maps");
    assert_eq!(os.cpu.traffic().tlbis, before.tlbis);
    assert_eq!(os.cpu.traffic().stores, before.stores);
}

#[test]
fn a_new_translation_is_visible_without_ets2() {
    // 12.2: invalid to valid needs a barrier and no TLBI; without ETS2 the barrier is needed.
    let machine = MachineConfig {
        ets2: false,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::default(), machine);
    assert_eq!(os.read(VA), Err(FaultKind::Translation));
    let before = os.cpu.traffic();
    map(&os, VA, 0x4000_0000, 3, &RW).expect("maps");
    assert_eq!(os.cpu.traffic().tlbis, before.tlbis);
    assert_eq!(os.read(VA), Ok(0));
}

#[test]
fn a_store_without_a_barrier_is_not_yet_walked_without_ets2() {
    // The machine would notice if map left the barrier out.
    let machine = MachineConfig {
        ets2: false,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::default(), machine);
    map(&os, VA, 0x4000_0000, 3, &RW).expect("maps");
    let table = *os.boot.user.table_pages().last().expect("a leaf table");
    let slot = os.boot.linear.virt(table + 8).expect("in the window");
    let leaf = RW.leaf(Granule::K4, 3, 0x4000_1000);
    let store = os
        .cpu
        .store(slot, AccessSize::Double, Privilege::Privileged, leaf.0);
    block_on(store).expect("stores");
    assert_eq!(os.read(VA + 0x1000), Err(FaultKind::Translation));
    block_on(os.cpu.dsb(vmsa::DsbKind::ISHST));
    assert_eq!(os.read(VA + 0x1000), Ok(0));
}

#[test]
fn what_cannot_be_mapped_is_refused_and_changes_nothing() {
    let os = boot(&BootConfig::with_granule(Granule::K16));
    let refused = [
        (1 << 48, 0, 3),
        (0x1000, 0, 3),
        (0x4000, 0x1000, 3),
        (0, 1 << 48, 3),
        (0, 0, 1),
        (0, 0, 4),
    ];
    for (va, pa, level) in refused {
        assert!(
            map(&os, va, pa, level, &RW).is_err(),
            "{va:#x} {pa:#x} {level}"
        );
    }
    assert!(
        block_on(
            os.boot
                .user
                .unmap(&os.cpu, &os.boot.user_frames, 0x10, 0x4000)
        )
        .is_err()
    );
    os.audit();
}

#[test]
fn running_out_of_table_pages_leaves_no_empty_table_behind() {
    let os = boot(&BootConfig {
        // The user's half of the table memory has two frames: the root and one more.
        tables_bytes: 8 << 12,
        memory_bytes: 64 << 20,
        ..BootConfig::default()
    });
    let error = map(&os, VA, 0x4000_0000, 3, &RW).and(map(&os, 2 * VA, 0x4000_0000, 3, &RW));
    assert_eq!(error, Err(MmError::OutOfFrames));
    os.audit();
    assert_eq!(os.read(VA), Ok(0));
}

#[test]
fn a_destroyed_tree_gives_every_frame_back() {
    let os = boot(&BootConfig::default());
    map(&os, VA, 0x4000_0000, 3, &RW).expect("maps");
    map_run(&os, 2 * VA, 0x4000_0000, 3);
    let Booted { cpu, boot, .. } = os;
    block_on(boot.user.destroy(&cpu, &boot.user_frames)).expect("clears");
    assert_eq!(boot.user_frames.in_use(), 0);
}
