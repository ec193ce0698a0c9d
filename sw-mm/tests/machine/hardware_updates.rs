// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the functional machine does to descriptors by itself: access flag and dirty state, of pages
//! and of contiguous runs, in all granules and for every extent of hardware updates.

use crate::booted::{Booted, boot_on};
use sw_mm::boot::{BootConfig, HardwareUpdate};
use sw_mm::functional::MachineConfig;
use sw_mm::{AccessSize, Attributes, Cpu, Permissions, Privilege, block_on};
use vmsa::{AtOp, Descriptor, FaultKind, Granule, geometry};

/// Neither accessed nor dirty yet.
const TRACKED: Attributes = Attributes {
    track_dirty: true,
    accessed: false,
    ..Attributes::normal(Permissions::USER_RW)
};
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x4000_0000;

const EXTENTS: [HardwareUpdate; 3] = [
    HardwareUpdate::None,
    HardwareUpdate::AccessFlag,
    HardwareUpdate::AccessFlagAndDirty,
];

fn machine(granule: Granule, update: HardwareUpdate, contiguous: bool) -> Booted {
    let config = BootConfig {
        hardware_update: update,
        ..BootConfig::with_granule(granule)
    };
    let machine = MachineConfig {
        contiguous,
        ..MachineConfig::default()
    };
    boot_on(&config, machine)
}

impl Booted {
    fn map_page(&self, attributes: &Attributes) {
        let (table, frames) = (&self.boot.user, &self.boot.user_frames);
        block_on(table.map(&self.cpu, frames, VA, PA, 3, attributes)).expect("maps");
    }

    fn map_run(&self, attributes: &Attributes) {
        let (table, frames) = (&self.boot.user, &self.boot.user_frames);
        block_on(table.map_contiguous(&self.cpu, frames, VA, PA, 3, attributes)).expect("maps");
    }

    /// Physical address of the descriptor of page `index`.
    fn slot(&self, index: u64) -> u64 {
        let table = *self.boot.user.table_pages().last().expect("a leaf table");
        table + index * 8
    }

    fn leaf(&self, index: u64) -> Descriptor {
        Descriptor(self.machine.newest(self.slot(index)))
    }

    /// The pages of the run at `VA` whose descriptor has the access flag, and those that are dirty.
    fn state(&self, members: u64) -> (Vec<u64>, Vec<u64>) {
        let of = |set: fn(Descriptor) -> bool| {
            let pages = (0..members).filter(|&page| set(self.leaf(page)));
            pages.collect()
        };
        (of(|d| d.af()), of(|d| d.dbm() && !d.ap_read_only()))
    }
}

#[test]
fn a_page_is_marked_as_far_as_hardware_does_it() {
    // HAF-05, HAF-06, HAF-09, HAF-10.
    for granule in Granule::ALL {
        for update in EXTENTS {
            let os = machine(granule, update, true);
            os.map_page(&TRACKED);
            let before = os.leaf(0);
            let (read, write) = (os.read(VA), os.write(VA, 1));
            let expected = match update {
                HardwareUpdate::None => {
                    assert_eq!(read, Err(FaultKind::AccessFlag));
                    assert_eq!(write, Err(FaultKind::AccessFlag));
                    before
                }
                HardwareUpdate::AccessFlag => {
                    assert_eq!((read, write), (Ok(0), Err(FaultKind::Permission)));
                    before.with_af(true)
                }
                HardwareUpdate::AccessFlagAndDirty => {
                    assert_eq!((read, write), (Ok(0), Ok(())));
                    before.with_af(true).with_ap_read_only(false)
                }
            };
            assert_eq!(os.leaf(0), expected, "{granule} {update:?}");
        }
    }
}

#[test]
fn an_access_that_is_refused_marks_nothing_and_at_never_dirties() {
    // HAF-10, HAF-14, HAF-15.
    for granule in Granule::ALL {
        let os = machine(granule, HardwareUpdate::AccessFlagAndDirty, true);
        os.map_page(&Attributes {
            accessed: false,
            ..Attributes::normal(Permissions::USER_RO)
        });
        assert_eq!(os.write(VA, 1), Err(FaultKind::Permission));
        assert!(!os.leaf(0).af());

        let os = machine(granule, HardwareUpdate::AccessFlagAndDirty, true);
        os.map_page(&TRACKED);
        block_on(os.cpu.address_translate(AtOp::S1E0W, VA)).expect("no abort");
        assert!(os.leaf(0).af() && os.leaf(0).ap_read_only());
    }
}

#[test]
fn one_descriptor_of_a_run_is_marked_for_all_that_share_the_entry() {
    // Section 4: state of a run is the OR over its members, hardware may update one of them.
    for granule in Granule::ALL {
        let page = granule.bytes();
        let members = u64::from(geometry::contiguous_run(granule, 3).expect("runs of pages"));
        let os = machine(granule, HardwareUpdate::AccessFlagAndDirty, true);
        os.map_run(&TRACKED);
        assert_eq!(os.read(VA + 3 * page), Ok(0));
        assert_eq!(os.read(VA + 5 * page), Ok(0));
        assert_eq!(os.state(members), (vec![3], vec![]), "{granule}");
        assert_eq!(os.write(VA + 7 * page, 1), Ok(()));
        assert_eq!(os.write(VA, 1), Ok(()));
        assert_eq!(os.state(members), (vec![3], vec![3]), "{granule}");
        // Page by page otherwise.
        let os = machine(granule, HardwareUpdate::AccessFlagAndDirty, false);
        os.map_run(&TRACKED);
        assert_eq!(os.read(VA + 3 * page), Ok(0));
        assert_eq!(os.read(VA + 5 * page), Ok(0));
        assert_eq!(os.write(VA + 7 * page, 1), Ok(()));
        assert_eq!(os.state(members), (vec![3, 5, 7], vec![7]), "{granule}");
    }
}

#[test]
fn software_state_of_a_run_faults_once_or_page_by_page() {
    // CONTPTE section 6: without hardware updates each descriptor counts that a walk reads.
    for granule in Granule::ALL {
        let page = granule.bytes();
        for contiguous in [true, false] {
            let os = machine(granule, HardwareUpdate::None, contiguous);
            os.map_run(&TRACKED);
            assert_eq!(os.read(VA + 3 * page), Err(FaultKind::AccessFlag));
            let touched = os.leaf(3).with_af(true);
            os.machine.poke(os.slot(3), touched.0);
            assert_eq!(os.read(VA + 3 * page), Ok(0));
            let sibling = os.read(VA + 4 * page);
            let expected = match contiguous {
                true => Ok(0),
                false => Err(FaultKind::AccessFlag),
            };
            assert_eq!(sibling, expected, "{granule}");
        }
    }
}

#[test]
fn an_update_that_meets_another_descriptor_uses_what_is_there_now() {
    // HAF-03, HAF-04, HAF-22: the entry is cached clean, then the OS changes memory under it.
    for granule in Granule::ALL {
        for (change, expected) in [
            (
                (|_| Descriptor::INVALID) as fn(Descriptor) -> Descriptor,
                Err(FaultKind::Translation),
            ),
            (|d| d.with_dbm(false), Err(FaultKind::Permission)),
            (|d| d.with_software(1), Ok(())),
            (|d| Descriptor(d.0 + (1 << 20)), Ok(())),
        ] {
            let os = machine(granule, HardwareUpdate::AccessFlagAndDirty, true);
            os.map_page(&TRACKED);
            assert_eq!(os.read(VA), Ok(0));
            let now = change(os.leaf(0));
            os.machine.poke(os.slot(0), now.0);
            assert_eq!(os.write(VA, 1), expected, "{granule} {now}");
            let marked = match expected {
                Ok(()) => now.with_ap_read_only(false),
                Err(_) => now,
            };
            assert_eq!(os.leaf(0), marked);
            let pa = now.output_address(granule, 3);
            assert_eq!(os.machine.newest(pa) == 1, expected.is_ok());
        }
    }
}

#[test]
fn an_entry_cached_clean_marks_the_page_again_after_it_was_cleaned() {
    // HAF-12, HAF-13: with the invalidation the next write is noticed, without it it is not.
    for flushed in [true, false] {
        let os = machine(Granule::K4, HardwareUpdate::AccessFlagAndDirty, true);
        os.map_page(&TRACKED);
        assert_eq!(os.write(VA, 1), Ok(()));
        let cleaned = os.leaf(0).with_ap_read_only(true);
        let slot = os.boot.linear.virt(os.slot(0)).expect("in the window");
        let who = Privilege::Privileged;
        block_on(os.cpu.store(slot, AccessSize::Double, who, cleaned.0)).expect("mapped");
        if flushed {
            block_on(sw_mm::flush::flush_page(&os.cpu, Some(1), VA));
        } else {
            block_on(os.cpu.dsb(vmsa::DsbKind::ISH));
        }
        assert_eq!(os.write(VA, 2), Ok(()));
        assert_eq!(!os.leaf(0).ap_read_only(), flushed);
    }
}
