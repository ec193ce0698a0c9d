// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The flush rules are needed: with any one step left out the functional machine shows the damage.

use crate::booted::{Booted, Mutant, Mutation, boot, boot_on};
use sw_mm::boot::BootConfig;
use sw_mm::functional::MachineConfig;
use sw_mm::{AccessSize, Attributes, Cpu, FrameAllocator, Permissions, Privilege, block_on};
use vmsa::{Descriptor, FaultKind, Granule};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const OLD: u64 = 0x4000_0000;
const NEW: u64 = 0x4000_5000;

/// Maps a page, uses it, and moves it elsewhere with a core that may get a step wrong.
fn moved(mutation: Option<Mutation>, machine: MachineConfig) -> Booted {
    let os = boot_on(&BootConfig::default(), machine);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map(&os.cpu, frames, VA, OLD, 3, &RW)).expect("maps");
    assert_eq!(os.pa(VA), Some(OLD));
    let done = match mutation {
        Some(mutation) => {
            let cpu = Mutant::new(&os.cpu, mutation);
            block_on(table.map(&cpu, frames, VA, NEW, 3, &RW))
        }
        None => block_on(table.map(&os.cpu, frames, VA, NEW, 3, &RW)),
    };
    done.expect("maps");
    os
}

#[test]
fn a_moved_page_is_found_at_its_new_place() {
    // BBM-01.
    let os = moved(None, MachineConfig::default());
    assert_eq!(os.pa(VA), Some(NEW));
    os.audit();
}

#[test]
fn without_the_tlbi_the_old_place_is_still_used() {
    let os = moved(Some(Mutation::NoTlbi), MachineConfig::default());
    assert_eq!(os.pa(VA), Some(OLD));
    let violations = os.machine.violations();
    assert_eq!(violations.len(), 1);
    assert_eq!(
        (violations[0].va, violations[0].reason),
        (VA, "output address")
    );
}

#[test]
fn a_barrier_for_stores_does_not_complete_the_tlbi() {
    // TLBI-24.
    let os = moved(Some(Mutation::StoresOnlyBarrier), MachineConfig::default());
    assert_eq!(os.pa(VA), Some(OLD));
    assert_eq!(os.machine.violations().len(), 1);
}

#[test]
fn the_monitor_fires_on_a_direct_replacement_and_names_it() {
    // BBM-03: valid to valid with another output address, nothing in between.
    let os = moved(None, MachineConfig::default());
    os.audit();
    assert_eq!(os.pa(VA), Some(NEW));
    let table = *os.boot.user.table_pages().last().expect("the leaf table");
    let slot = os.boot.linear.virt(table).expect("in the window");
    let other = RW.leaf(Granule::K4, 3, OLD);
    let store = os
        .cpu
        .store(slot, AccessSize::Double, Privilege::Privileged, other.0);
    block_on(store).expect("stores");
    block_on(os.cpu.dsb(vmsa::DsbKind::ISH));
    let violations = os.machine.violations();
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].slot, table);
    assert_eq!(violations[0].new, other);
    assert!(violations[0].to_string().contains("BBM-03"));
}

#[test]
fn an_unmapped_page_stays_reachable_without_the_tlbi() {
    let os = moved(None, MachineConfig::default());
    assert_eq!(os.pa(VA), Some(NEW));
    let cpu = Mutant::new(&os.cpu, Mutation::NoTlbi);
    block_on(os.boot.user.unmap(&cpu, &os.boot.user_frames, VA, 0x1000)).expect("unmaps");
    assert_eq!(os.pa(VA), Some(NEW), "MM-15 is broken, and seen");
}

/// Unmaps the only page below a table with a core that may get a step wrong, lets the freed table
/// page be used for data that looks like a descriptor, and returns what the page translates to.
fn reused_table(mutation: Option<Mutation>) -> Option<u64> {
    let os = moved(None, MachineConfig::default());
    assert_eq!(os.pa(VA), Some(NEW));
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    let leaf_table = *table.table_pages().last().expect("the leaf table");
    match mutation {
        Some(mutation) => {
            let cpu = Mutant::new(&os.cpu, mutation);
            block_on(table.unmap(&cpu, frames, VA, 0x1000))
        }
        None => block_on(table.unmap(&os.cpu, frames, VA, 0x1000)),
    }
    .expect("unmaps");
    assert!(!frames.is_used(leaf_table));
    while frames
        .allocate()
        .is_some_and(|frame| frame.pa != leaf_table)
    {}
    let data = RW.leaf(Granule::K4, 3, 0x4abc_d000);
    os.machine.poke(leaf_table, data.0);
    os.pa(VA)
}

#[test]
fn a_freed_table_page_is_not_walked_again() {
    // BBM-09, MM-05.
    assert_eq!(reused_table(None), None);
}

#[test]
fn a_leaf_only_tlbi_lets_the_walker_into_a_freed_table_page() {
    // BBM-10, TLBI-05: the cached table descriptor still leads there.
    assert_eq!(
        reused_table(Some(Mutation::LeafOnlyTlbi)),
        Some(0x4abc_d000)
    );
}

/// Unmaps one page of a run that is cached page by page, and reads another page of the run after
/// the whole run was mapped elsewhere.
fn moved_run(mutation: Option<Mutation>) -> Booted {
    let machine = MachineConfig {
        contiguous: false,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::default(), machine);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map_contiguous(&os.cpu, frames, VA, OLD, 3, &RW)).expect("maps");
    for page in 0..16 {
        os.machine.speculate(0, VA + page * 0x1000);
    }
    let target = OLD + 0x10_0000;
    match mutation {
        Some(mutation) => {
            let cpu = Mutant::new(&os.cpu, mutation);
            block_on(table.map_contiguous(&cpu, frames, VA, target, 3, &RW))
        }
        None => block_on(table.map_contiguous(&os.cpu, frames, VA, target, 3, &RW)),
    }
    .expect("maps");
    os
}

#[test]
fn every_page_of_a_run_is_invalidated() {
    // Section 13.2: a TLB that ignores the hint holds a run page by page.
    let os = moved_run(None);
    for page in 0..16 {
        assert_eq!(
            os.pa(VA + page * 0x1000),
            Some(OLD + 0x10_0000 + page * 0x1000)
        );
    }
    os.audit();
}

#[test]
fn one_tlbi_for_a_run_leaves_its_other_pages_cached() {
    let os = moved_run(Some(Mutation::OneTlbi));
    assert_eq!(os.pa(VA), Some(OLD + 0x10_0000));
    assert_eq!(os.pa(VA + 0xf000), Some(OLD + 0xf000));
    assert!(!os.machine.violations().is_empty());
}

#[test]
fn the_monitor_fires_on_a_run_unfolded_page_by_page() {
    let machine = MachineConfig {
        contiguous: false,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::default(), machine);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map_contiguous(&os.cpu, frames, VA, OLD, 3, &RW)).expect("maps");
    for page in 0..16 {
        os.machine.speculate(0, VA + page * 0x1000);
    }
    assert_eq!(os.pa(VA + 0x1000), Some(OLD + 0x1000));
    let leaf_table = *table.table_pages().last().expect("the leaf table");
    let slot = os.boot.linear.virt(leaf_table).expect("in the window");
    block_on(async {
        let put = |value: Descriptor| {
            os.cpu
                .store(slot, AccessSize::Double, Privilege::Privileged, value.0)
        };
        put(Descriptor::INVALID).await?;
        sw_mm::flush::flush_page(&os.cpu, table.format().asid, VA).await;
        put(RW.leaf(Granule::K4, 3, OLD)).await?;
        os.cpu.dsb(vmsa::DsbKind::ISHST).await;
        Ok::<(), vmsa::AccessFault>(())
    })
    .expect("stores");
    let violations = os.machine.violations();
    assert!(
        violations
            .iter()
            .any(|v| v.reason.contains("contiguous run"))
    );
}

/// Clears a descriptor by a plain store, with or without the barrier before the TLBI.
fn cleared(barrier: bool) -> Result<u64, FaultKind> {
    let os = moved(None, MachineConfig::default());
    assert_eq!(os.read(VA), Ok(0));
    let leaf_table = *os.boot.user.table_pages().last().expect("the leaf table");
    let slot = os.boot.linear.virt(leaf_table).expect("in the window");
    let store = os
        .cpu
        .store(slot, AccessSize::Double, Privilege::Privileged, 0);
    block_on(store).expect("stores");
    let asid = os.boot.user.format().asid;
    if barrier {
        block_on(sw_mm::flush::flush_page(&os.cpu, asid, VA));
    } else {
        let cpu = Mutant::new(&os.cpu, Mutation::NoBarrierBeforeTlbi);
        block_on(sw_mm::flush::flush_page(&cpu, asid, VA));
    }
    os.read(VA)
}

#[test]
fn a_store_is_ordered_before_a_tlbi_by_a_barrier_only() {
    // Section 11.3, point 1: a walk may read the old value after the TLBI, and keep it.
    assert_eq!(cleared(true), Err(FaultKind::Translation));
    assert_eq!(cleared(false), Ok(0));
}

#[test]
fn kernel_table_descriptors_of_other_address_spaces_are_invalidated() {
    // TLB-23, TLBI-04: TTBR1 walks are cached under the ASID in force, so kernel tables need the
    // all-ASID form.
    let os = boot(&BootConfig::default());
    let (kernel, frames) = (&os.boot.kernel, &os.boot.kernel_frames);
    let va = os.boot.linear.base() + (1 << 40);
    let global = Attributes {
        global: true,
        ..Attributes::normal(Permissions::KERNEL_RW)
    };
    block_on(kernel.map(&os.cpu, frames, va, OLD, 3, &global)).expect("maps");
    let load = |va| {
        let load = os.cpu.load(va, AccessSize::Double, Privilege::Privileged);
        block_on(load).map_err(crate::booted::kind)
    };
    assert_eq!(load(va), Ok(0));
    let leaf_table = *kernel.table_pages().last().expect("the leaf table");
    for asid in [9, 10] {
        let other = vmsa::Ttbr::new(asid, os.boot.user.root());
        block_on(os.cpu.write_sysreg(vmsa::SysReg::Ttbr0, other.0));
        // Another page below the same table, so that the walk is under this ASID.
        assert!(load(va + u64::from(asid) * 0x1000).is_err());
    }
    block_on(kernel.unmap(&os.cpu, frames, va, 0x1000)).expect("unmaps");
    os.machine
        .poke(leaf_table, global.leaf(Granule::K4, 3, OLD).0);
    assert_eq!(load(va), Err(FaultKind::Translation));
    block_on(sw_mm::context::switch_to(&os.cpu, &os.boot.user));
    assert_eq!(load(va), Err(FaultKind::Translation));
}

#[test]
fn a_page_unmapped_by_one_core_is_gone_on_all() {
    // TLBI-01, MM-15.
    let machine = MachineConfig {
        cores: 3,
        ..MachineConfig::default()
    };
    let os = moved(None, machine);
    for core in 0..3 {
        os.machine.speculate(core, VA);
    }
    block_on(
        os.boot
            .user
            .unmap(&os.cpu, &os.boot.user_frames, VA, 0x1000),
    )
    .expect("unmaps");
    for core in 0..3 {
        let cpu = os.machine.core(core);
        let load = cpu.load(VA, AccessSize::Double, Privilege::Unprivileged);
        assert!(block_on(load).is_err(), "core {core}");
    }
    os.audit();
}
