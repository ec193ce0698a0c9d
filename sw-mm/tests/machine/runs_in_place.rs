// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What may change in a live contiguous run without break-before-make, and what not (section 12.1,
//! CONTPTE-17).

use crate::booted::{Booted, boot_on};
use sw_mm::boot::BootConfig;
use sw_mm::functional::MachineConfig;
use sw_mm::{AccessSize, Attributes, Cpu, Permissions, Privilege, block_on};
use vmsa::{Descriptor, DsbKind, FaultKind};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x4000_0000;

/// A run that a TLB holds, and its table.
fn run(machine: MachineConfig) -> (Booted, u64) {
    let os = boot_on(&BootConfig::default(), machine);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(table.map_contiguous(&os.cpu, frames, VA, PA, 3, &RW)).expect("maps");
    assert_eq!(os.read(VA + 0x5000), Ok(0));
    let table = *table.table_pages().last().expect("a leaf table");
    (os, table)
}

fn change(os: &Booted, table: u64, index: u64, change: impl Fn(Descriptor) -> Descriptor) {
    let pa = table + index * 8;
    let slot = os.boot.linear.virt(pa).expect("in the window");
    let (size, who) = (AccessSize::Double, Privilege::Privileged);
    let new = change(Descriptor(os.machine.peek(pa))).0;
    block_on(async {
        os.cpu.store(slot, size, who, new).await.expect("stores");
        os.cpu.dsb(DsbKind::ISHST).await;
    });
}

fn protect(leaf: Descriptor) -> Descriptor {
    leaf.with_dbm(false).with_ap_read_only(true)
}

fn flush(os: &Booted) {
    let asid = os.boot.user.format().asid;
    block_on(sw_mm::flush::flush_page(&os.cpu, asid, VA));
}

fn reasons(os: &Booted) -> Vec<&'static str> {
    let violations = os.machine.violations();
    violations.iter().map(|v| v.reason).collect()
}

#[test]
fn a_whole_run_is_write_protected_in_place() {
    let (os, table) = run(MachineConfig::default());
    for index in 0..16 {
        change(&os, table, index, protect);
    }
    flush(&os);
    assert_eq!(reasons(&os), [""; 0]);
    assert_eq!(os.write(VA + 0x5000, 1), Err(FaultKind::Permission));
}

#[test]
fn a_run_left_mixed_is_reported_once_the_invalidation_is_over() {
    let (os, table) = run(MachineConfig::default());
    for index in 0..5 {
        change(&os, table, index, protect);
    }
    assert_eq!(reasons(&os), [""; 0], "a flush may follow");
    flush(&os);
    let violations = os.machine.violations();
    assert_eq!(violations.len(), 1);
    let broken = violations[0];
    assert!(broken.reason.contains("left mixed"), "{broken}");
    assert_eq!((broken.slot, broken.va), (table + 4 * 8, VA + 0x4000));
    let read_only = [broken.old, broken.new].map(Descriptor::ap_read_only);
    assert_eq!(read_only, [false, true]);
    // Made whole it is in order; left as it is, it stays reported when the run goes.
    let (whole, other) = run(MachineConfig::default());
    for round in [0..5, 5..16] {
        round.for_each(|index| change(&whole, other, index, protect));
        flush(&whole);
    }
    assert_eq!(reasons(&whole), [""; 0]);
    change(&os, table, 9, |_| Descriptor::INVALID);
    assert_eq!(os.machine.violations(), [broken]);
}

#[test]
fn an_invalidation_in_the_midst_of_a_change_does_no_harm() {
    let (os, table) = run(MachineConfig::default());
    for index in 0..16 {
        change(&os, table, index, protect);
        if index % 5 == 0 {
            flush(&os);
        }
    }
    flush(&os);
    assert_eq!(reasons(&os), [""; 0]);
}

#[test]
fn other_attributes_of_a_run_do_not_change_in_place() {
    type Change = fn(Descriptor) -> Descriptor;
    let changes: [(Change, &str); 4] = [
        (|leaf| leaf.with_uxn(!leaf.uxn()), "attribute"),
        (|leaf| leaf.with_ap_el0(false), "attribute"),
        (|leaf| Descriptor(leaf.0 + 0x1000), "output address"),
        (|leaf| leaf.with_contiguous(false), "contiguous bit"),
    ];
    for (other, why) in changes {
        for index in [5, 6] {
            let (os, table) = run(MachineConfig::default());
            change(&os, table, index, other);
            let found = reasons(&os);
            // A member that no walk has read is judged by the one that was.
            let why = if index == 5 { why } else { "another member" };
            assert!(found.len() == 1 && found[0].contains(why), "{found:?}");
        }
    }
}

#[test]
fn with_bbm_level_2_the_contiguous_bit_changes_in_place_and_nothing_else() {
    // CONTPTE-35.
    let machine = MachineConfig {
        bbm2: true,
        ..MachineConfig::default()
    };
    let (os, table) = run(machine);
    for index in 0..16 {
        change(&os, table, index, |leaf| leaf.with_contiguous(false));
    }
    assert_eq!(reasons(&os), [""; 0]);
    let (os, table) = run(machine);
    change(&os, table, 5, |leaf| leaf.with_uxn(!leaf.uxn()));
    assert_eq!(reasons(&os).len(), 1);
}

#[test]
fn an_invalidation_of_any_page_ends_the_entry_of_a_run_that_is_clear() {
    // TLB-05: what other pages of the run are made of is then no concern of the run any more.
    let clear = || {
        let (os, table) = run(MachineConfig::default());
        for index in 0..16 {
            change(&os, table, index, |_| Descriptor::INVALID);
        }
        (os, table)
    };
    let other = |leaf: Descriptor| Descriptor(leaf.0 + 0x10_0000).with_contiguous(false);
    let page = |os: &Booted| {
        let leaf = os.boot.user.format().granule;
        other(Descriptor::leaf(leaf, 3, PA).with_af(true).with_ng(true))
    };
    let (os, table) = clear();
    flush(&os);
    change(&os, table, 0, |_| page(&os));
    assert_eq!(reasons(&os), [""; 0]);
    // The page that the walk was for is to be invalidated by its own address.
    change(&os, table, 5, |_| page(&os));
    assert_eq!(reasons(&os).len(), 1);
    let (os, table) = clear();
    change(&os, table, 0, |_| page(&os));
    assert_eq!(
        reasons(&os),
        ["another member of the contiguous run may still be cached"]
    );
}
