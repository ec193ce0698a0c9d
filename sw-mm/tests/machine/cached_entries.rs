// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the machine tells checkers about its caches (MM-02, MM-05, MM-06, CONTPTE I3 to I5).

use crate::booted::{Booted, boot_on};
use sw_mm::boot::BootConfig;
use sw_mm::functional::{Cached, MachineConfig, Target};
use sw_mm::{Attributes, Cpu, Permissions, block_on};
use vmsa::{Descriptor, DsbKind, Tlbi, TlbiScope};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x4000_0000;

fn two_cores(contiguous: bool) -> Booted {
    let machine = MachineConfig {
        cores: 2,
        contiguous,
        ..MachineConfig::default()
    };
    boot_on(&BootConfig::default(), machine)
}

fn places(entries: &[Cached], target: Target) -> Vec<(usize, u64)> {
    let of = entries.iter().filter(|e| e.target == target);
    of.map(|e| (e.core, e.va)).collect()
}

#[test]
fn a_frame_is_reachable_until_the_invalidation_has_completed() {
    let os = two_cores(true);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    let to = |pa, bytes| places(&os.machine.translations_to(pa, bytes), Target::Leaf);
    block_on(table.map(&os.cpu, frames, VA, PA, 3, &RW)).expect("maps");
    assert_eq!(to(PA, 0x1000), []);
    os.machine.speculate(1, VA);
    assert_eq!(os.read(VA), Ok(0));
    assert_eq!(to(PA, 0x1000), [(0, VA), (1, VA)]);
    assert_eq!(to(PA + 0xfff, 1), [(0, VA), (1, VA)]);
    assert_eq!(to(PA - 0x1000, 0x1000), []);
    assert_eq!(to(PA + 0x1000, 0x10_0000), []);
    assert_eq!(to(PA - 0x10_0000, 0x20_0000), [(0, VA), (1, VA)]);
    let slot = os
        .boot
        .linear
        .virt(*table.table_pages().last().expect("a table"));
    let slot = slot.expect("in the window");
    let (size, who) = (sw_mm::AccessSize::Double, sw_mm::Privilege::Privileged);
    block_on(os.cpu.store(slot, size, who, Descriptor::INVALID.0)).expect("stores");
    block_on(os.cpu.dsb(DsbKind::ISHST));
    block_on(
        os.cpu
            .tlbi(Tlbi::vaale1(TlbiScope::InnerShareable, VA, None)),
    );
    let found = os.machine.translations_to(PA, 0x1000);
    assert!(found.len() == 2 && found.iter().all(|e| e.doomed));
    block_on(os.cpu.dsb(DsbKind::ISH));
    assert_eq!(to(PA, 0x1000), []);
}

#[test]
fn a_table_is_reachable_through_walk_caches_until_a_non_leaf_invalidation() {
    let os = two_cores(true);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map(&os.cpu, frames, VA, PA, 3, &RW)).expect("maps");
    assert_eq!(os.read(VA), Ok(0));
    let pages = table.table_pages();
    let to = |pa| {
        let mut found = os.machine.translations_to(pa, 0x1000);
        found.retain(|e| e.target == Target::Table && VA - e.va < e.bytes);
        found
    };
    // The root is in a register, not in a walk cache.
    let root = table.root();
    for &page in &pages {
        let found: Vec<_> = to(page).iter().map(|e| (e.core, e.pa)).collect();
        let expected: &[(usize, u64)] = if page == root { &[] } else { &[(0, page)] };
        assert_eq!(found, expected, "{page:#x}");
    }
    let asid = table.format().asid.expect("a user tree");
    let is = TlbiScope::InnerShareable;
    let leaf = *pages.last().expect("a leaf table");
    for (op, left) in [
        (Tlbi::vale1(is, VA, asid, None), 1),
        (Tlbi::vae1(is, VA, asid + 1, None), 1),
        (Tlbi::vae1(is, VA + 0x20_0000, asid, None), 1),
        (Tlbi::vae1(is, VA, asid, None), 0),
    ] {
        os.machine.poke(leaf, 0);
        block_on(os.cpu.tlbi(op));
        block_on(os.cpu.dsb(DsbKind::ISH));
        assert_eq!(to(leaf).len(), left, "{op}");
    }
}

#[test]
fn the_linear_map_is_no_translation_of_a_frame() {
    let os = two_cores(true);
    let core = os.machine.core(1);
    let (size, who) = (sw_mm::AccessSize::Double, sw_mm::Privilege::Privileged);
    block_on(core.load(os.boot.linear.base(), size, who)).expect("mapped");
    assert_eq!(os.machine.translations_to(PA, 0x1000), []);
    assert_eq!(os.machine.cached_leaves(1).len(), 1);
    assert!(os.machine.cached_leaves(1)[0].global);
    assert_eq!(os.machine.cached_tables(1).len(), 2);
    assert_eq!(os.machine.cached_leaves(2), []);
}

#[test]
fn leaves_show_whether_a_run_is_one_entry() {
    for contiguous in [true, false] {
        let os = two_cores(contiguous);
        let (table, frames) = (&os.boot.user, &os.boot.user_frames);
        block_on(table.map_contiguous(&os.cpu, frames, VA, PA, 3, &RW)).expect("maps");
        assert_eq!(os.read(VA + 0x3000), Ok(0));
        let leaves = os.machine.cached_leaves(0);
        let user = leaves.iter().find(|e| e.va < 1 << 48).expect("a user leaf");
        let (base, bytes) = match contiguous {
            true => (0, 0x1_0000),
            false => (0x3000, 0x1000),
        };
        assert_eq!((user.va, user.bytes), (VA + base, bytes));
        assert_eq!((user.pa, user.run), (PA + base, contiguous));
        assert_eq!((user.asid, user.level), (1, 3));
        assert_eq!(user.permissions, Permissions::USER_RW);
        assert!(user.descriptor.contiguous() && !user.global && !user.doomed);
        let found = os.machine.translations_to(PA + 0x3000, 8);
        assert_eq!(found, [*user]);
        assert_eq!(
            os.machine.translations_to(PA, 8).len(),
            usize::from(contiguous)
        );
    }
}

#[test]
fn leaves_over_a_range_are_those_that_match_an_address_in_it() {
    let os = two_cores(false);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    for page in 0..8 {
        let offset = page * 0x1000;
        block_on(table.map(&os.cpu, frames, VA + offset, PA + offset, 3, &RW)).expect("maps");
        os.machine.speculate(1, VA + offset);
    }
    let block = VA + 0x20_0000;
    block_on(table.map(&os.cpu, frames, block, PA, 2, &RW)).expect("maps");
    os.machine.speculate(1, block + 0x5000);
    let over = |va, bytes| {
        let leaves = os.machine.cached_leaves_over(1, va, bytes);
        leaves.iter().map(|e| e.va).collect::<Vec<_>>()
    };
    assert_eq!(over(VA + 0x2fff, 2), [VA + 0x2000, VA + 0x3000]);
    assert_eq!(over(VA + 0x7000, 0x20_0000), [VA + 0x7000, block]);
    assert_eq!(over(block + 0x1f_ffff, 1), [block]);
    assert_eq!(over(block + 0x20_0000, 0x1000), []);
    assert_eq!(over(0, 1 << 48).len(), 9);
    assert_eq!(over(VA, 0), []);
}

/// Gives a table page back that still holds a valid descriptor, and uses it as a table again.
fn reused(released: bool) -> usize {
    let os = two_cores(true);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    let leaf = |os: &Booted, pa| {
        block_on(table.map(&os.cpu, frames, VA, pa, 3, &RW)).expect("maps");
        *table.table_pages().last().expect("a leaf table")
    };
    let page = leaf(&os, PA);
    assert_eq!(os.read(VA), Ok(0));
    // Only the descriptors above it are cleared, and all is invalidated.
    for &above in &table.table_pages()[..3] {
        os.machine.poke(above + VA / (1 << 39) % 512 * 8, 0);
        os.machine.poke(above, 0);
    }
    block_on(sw_mm::flush::flush_all(&os.cpu));
    assert_eq!(os.machine.translations_to(page, 0x1000), []);
    if released {
        os.machine.release(page, 0x1000);
    }
    let slot = os.boot.linear.virt(page).expect("in the window");
    let (size, who) = (sw_mm::AccessSize::Double, sw_mm::Privilege::Privileged);
    let other = RW.leaf(vmsa::Granule::K4, 3, PA + 0x5000);
    block_on(os.cpu.store(slot, size, who, other.0)).expect("mapped");
    block_on(os.cpu.dsb(DsbKind::ISHST));
    os.machine.violations().len()
}

#[test]
fn a_table_page_given_back_is_watched_until_it_is_released() {
    assert_eq!((reused(true), reused(false)), (0, 1));
}
