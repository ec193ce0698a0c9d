// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a seed decides before the first cycle: straps, memory timing, shape of the two ranges.

use cosim::dut::ports::{Delays, Straps};
use cosim::regress::Bench;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use sw_mm::boot::{BootConfig, HardwareUpdate, RangeConfig};
use vmsa::{Granule, Mair};

/// MAIR bytes by index: Normal of three kinds, Device of two, two reserved codes.
pub const MAIR: [u8; 8] = [0xff, 0x44, 0x04, 0xbb, 0x00, 0x01, 0xf0, 0x4f];

/// Draws straps and memory timing.
pub fn hardware(bench: &mut Bench, rng: &mut Pcg64Mcg) {
    let entries = rng.random_range(1..=4);
    let setup = bench.setup();
    setup.straps = Straps {
        itlb_entries: rng.random_bool(0.5).then_some(entries.min(2)),
        dtlb_entries: rng.random_bool(0.5).then_some(entries),
        contiguous: rng.random_bool(0.8),
        hafdbs: [0, 1, 2, 2][rng.random_range(0..4)],
        asid8: rng.random_bool(0.25),
        delay: delays(rng),
        delay_seed: rng.random(),
        l2_ways: rng.random_bool(0.3).then(|| rng.random_range(0..=2)),
        walk_caches: rng.random_bool(0.8),
        walkers: rng.random_bool(0.3).then_some(1),
        prefetch: rng.random_bool(0.5),
        ets: if rng.random_bool(0.25) { 0 } else { 2 },
        bbml: rng.random_range(0..=2),
        ..Straps::default()
    };
    setup.memory.latency = [1, 5, 20, 60][rng.random_range(0..4)];
    setup.memory.jitter = [0, 0, 10, 40][rng.random_range(0..4)];
}

/// No delays, one channel's, or those of all channels.
fn delays(rng: &mut Pcg64Mcg) -> Delays {
    match rng.random_range(0..4) {
        0 | 1 => Delays::NONE,
        2 => Delays::CHANNELS[rng.random_range(0..Delays::CHANNELS.len())].1,
        _ => Delays::ALL,
    }
}

/// Draws what to boot with, for hardware strapped so.
pub fn software(rng: &mut Pcg64Mcg, straps: Straps) -> BootConfig {
    let kernel = RangeConfig {
        granule: granule(rng),
        va_bits: rng.random_range(39..=48),
    };
    // A lower range of 25 bits or more holds some leaves of every granule.
    let user = RangeConfig {
        granule: granule(rng),
        va_bits: rng.random_range(25..=48),
    };
    // Asking for what the hardware does not have (hafdbs below) is legal, and does nothing.
    let hardware_update = match rng.random_range(0..4) {
        0 => HardwareUpdate::None,
        1 => HardwareUpdate::AccessFlag,
        _ => HardwareUpdate::AccessFlagAndDirty,
    };
    let mut mair = Mair(0);
    for (index, attr) in (0..).zip(MAIR) {
        mair = mair.with_attr(index, attr);
    }
    BootConfig {
        kernel,
        user,
        asid16: !straps.asid8 && rng.random_bool(0.7),
        hardware_update,
        contiguous: rng.random_bool(0.5),
        mair,
        big_endian: rng.random_bool(0.2),
        ..BootConfig::default()
    }
}

fn granule(rng: &mut Pcg64Mcg) -> Granule {
    Granule::ALL[rng.random_range(0..3)]
}
