// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLBI by range on the functional machine: the operands that cover a contiguous run, in all granules
//! and both halves (TLBI-05, TLBI-08 to TLBI-11, CONTPTE section 2).

use crate::booted::{Booted, boot_on};
use sw_mm::boot::BootConfig;
use sw_mm::functional::{Cached, MachineConfig};
use sw_mm::{Attributes, Cpu, Permissions, block_on};
use vmsa::{DsbKind, Granule, Tlbi, TlbiScope, geometry};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x4000_0000;
const ASID: u16 = 1;
const IS: TlbiScope = TlbiScope::InnerShareable;

/// SCALE and NUM that cover one run of pages.
const fn run_operand(granule: Granule) -> (u8, u8) {
    match granule {
        Granule::K4 => (0, 7),
        Granule::K16 => (1, 1),
        Granule::K64 => (0, 15),
    }
}

struct Runs {
    os: Booted,
    granule: Granule,
    /// Bytes of a run.
    run: u64,
}

/// Three runs side by side, cached by the second of two cores.
fn runs(granule: Granule, contiguous: bool) -> Runs {
    let machine = MachineConfig {
        cores: 2,
        contiguous,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::with_granule(granule), machine);
    let members = u64::from(geometry::contiguous_run(granule, 3).expect("runs of pages"));
    let run = members * granule.bytes();
    for index in 0..3 {
        let (table, frames, offset) = (&os.boot.user, &os.boot.user_frames, index * run);
        block_on(table.map_contiguous(&os.cpu, frames, VA + offset, PA + offset, 3, &RW))
            .expect("maps");
        for page in 0..members {
            os.machine
                .speculate(1, VA + offset + page * granule.bytes());
        }
    }
    // Nothing is there to be cached again.
    for table in os.boot.user.table_pages() {
        for slot in (table..table + granule.bytes()).step_by(8) {
            os.machine.poke(slot, 0);
        }
    }
    Runs { os, granule, run }
}

impl Runs {
    /// Whether each of the three runs has entries left after `op`.
    fn left(&self, op: Tlbi) -> [bool; 3] {
        block_on(self.os.cpu.tlbi(op));
        block_on(self.os.cpu.dsb(DsbKind::ISH));
        let leaves = self.os.machine.cached_leaves(1);
        let of = |index: u64| move |e: &Cached| (e.va.wrapping_sub(VA)) / self.run == index;
        [0, 1, 2].map(|index| leaves.iter().any(of(index)))
    }

    fn tables(&self) -> usize {
        let tables = self.os.machine.cached_tables(1);
        tables.iter().filter(|e| e.va < 1 << 48).count()
    }
}

#[test]
fn the_operand_of_a_run_removes_that_run_and_no_other() {
    for granule in Granule::ALL {
        for contiguous in [true, false] {
            let with = |level, asid| {
                let runs = runs(granule, contiguous);
                let (scale, num) = run_operand(granule);
                let va = VA + runs.run;
                let op = Tlbi::rvale1(IS, granule, va, scale, num, level, asid);
                let range = op.range().expect("a range form");
                assert_eq!((range.start, range.bytes), (va, runs.run));
                let left = runs.left(op);
                assert!(runs.tables() > 0, "TLBI-05");
                left
            };
            let only = [true, false, true];
            assert_eq!(with(Some(3), ASID), only, "{granule} {contiguous}");
            assert_eq!(with(None, ASID), only);
            assert_eq!(with(Some(2), ASID), [true; 3], "a hint at another level");
            assert_eq!(with(Some(3), ASID + 1), [true; 3], "another ASID");
        }
    }
}

#[test]
fn another_granule_than_the_one_in_use_removes_nothing() {
    // TLBI-09.
    for granule in Granule::ALL {
        for named in Granule::ALL {
            let runs = runs(granule, true);
            let left = runs.left(Tlbi::rvaale1(IS, named, VA, 3, 31, None));
            assert_eq!(left, [named != granule; 3], "{granule} {named}");
        }
    }
}

#[test]
fn a_range_that_touches_a_run_removes_its_combined_entry() {
    // TLBI-06, TLBI-08: two pages, the last of the first run and the first of the second.
    for granule in Granule::ALL {
        let two = |runs: &Runs| {
            let va = VA + runs.run - granule.bytes();
            Tlbi::rvale1(IS, granule, va, 0, 0, Some(3), ASID)
        };
        let combined = runs(granule, true);
        assert_eq!(combined.left(two(&combined)), [false, false, true]);
        // Cached page by page, the other pages stay.
        let fragments = runs(granule, false);
        assert_eq!(fragments.left(two(&fragments)), [true; 3]);
        let count = fragments.os.machine.cached_leaves(1).len() as u64;
        assert_eq!(count, 3 * fragments.run / granule.bytes() - 2);
    }
}

#[test]
fn the_non_leaf_forms_remove_cached_tables_too() {
    for granule in Granule::ALL {
        let (scale, num) = run_operand(granule);
        for (op, left) in [
            (Tlbi::rvaale1(IS, granule, VA, scale, num, None), true),
            (Tlbi::rvaae1(IS, granule, VA, scale, num, None), false),
            (Tlbi::rvae1(IS, granule, VA, scale, num, None, ASID), false),
            (Tlbi::rvae1(IS, granule, VA, scale, num, None, 2), true),
        ] {
            let runs = runs(granule, true);
            assert!(runs.tables() > 0);
            runs.left(op);
            assert_eq!(runs.tables() > 0, left, "{granule} {op}");
        }
    }
}

#[test]
fn a_range_of_the_upper_half_stays_in_it() {
    // TLBI-10.
    for granule in Granule::ALL {
        let runs = runs(granule, true);
        let linear = runs.os.boot.linear.base();
        runs.os.machine.speculate(1, linear);
        let upper = || {
            let leaves = runs.os.machine.cached_leaves(1);
            leaves.iter().filter(|e| e.va >= linear).count()
        };
        assert_eq!(upper(), 1);
        assert_eq!(
            runs.left(Tlbi::rvaale1(IS, granule, VA, 3, 31, None)),
            [false; 3]
        );
        assert_eq!(upper(), 1);
        for pa in runs.os.boot.kernel.table_pages() {
            runs.os.machine.poke(pa, 0);
        }
        let everything = Tlbi::rvaale1(IS, runs.granule, linear, 3, 31, None);
        runs.left(everything);
        assert_eq!(upper(), 0);
    }
}
