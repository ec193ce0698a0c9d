// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Races, made small, that once showed a mistake of the kernel.

use crate::run::Counts;
use crate::step::Setup;
use crate::threads::op::{Op::*, Race};
use crate::threads::race::run;
use sw_mm::boot::HardwareUpdate;
use sw_mm::contpte;
use vmsa::Granule;

/// A folio was split while a fork copied its migration entries, into a table that the walk which was to
/// bring them back had not seen: the child kept one for good (MM-26).
#[test]
fn a_fork_during_a_split_leaves_no_migration_entry_behind() {
    let race = Race {
        setup: Setup {
            granule: Granule::K16,
            update: HardwareUpdate::None,
            contpte: contpte::Config {
                enabled: false,
                bbm2_noabort: false,
                eager: false,
            },
            batched: false,
            range_tlbi: true,
            spare_asids: None,
            orders: vec![4],
            cores: 4,
            contiguous: true,
            ets2: false,
            bbm2: false,
            swap_slots: 1024,
            mapped: false,
            huge: false,
        },
        seed: 5470719910958255049,
        policy: 3,
        two_spaces: false,
        round: 20,
        threads: vec![
            vec![LoadShared(1, 0), LoadOwn(0), SwapOut(17)],
            vec![
                Store(4),
                Toggle,
                Store(21),
                DontNeed(0, 1),
                Store(20),
                StoreShared(0),
                StoreShared(0),
                Store(0),
                DontNeed(0, 1),
                LoadDevice(22, 0),
                Load(23, 0),
                Fork,
                Load(0, 0),
                Load(0, 0),
            ],
            vec![
                LoadVolatile(0, 0, 0),
                Swap(34),
                SwapOut(2),
                Pin(20),
                Load(4, 0),
                Load(0, 0),
            ],
        ],
    };
    if let Err(failure) = run(&race, None, |core| core, &mut Counts::new()) {
        panic!("{failure}");
    }
}
