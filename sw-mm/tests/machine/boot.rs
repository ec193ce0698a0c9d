// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The boot image turns the MMU on in every shape of the two ranges.

use crate::booted::boot;
use sw_mm::boot::{Bank, BootConfig, HardwareUpdate, RangeConfig, build, image_banks};
use sw_mm::functional::Machine;
use sw_mm::{AccessSize, Cpu, MmError, Privilege, block_on};
use vmsa::{FaultKind, Granule, geometry};

/// Every granule, with a VA size for each start level that it has (VMSA-12), 25 bits at least.
fn shapes() -> Vec<RangeConfig> {
    let mut shapes = Vec::new();
    for granule in Granule::ALL {
        let mut last = None;
        for va_bits in (25..=48).rev() {
            let level = geometry::start_level(granule, va_bits);
            if last.replace(level) != Some(level) {
                shapes.push(RangeConfig { granule, va_bits });
            }
        }
    }
    shapes
}

#[test]
fn every_pair_of_granules_and_start_levels_boots() {
    for kernel in shapes() {
        for user in shapes() {
            for contiguous in [false, true] {
                let os = boot(&BootConfig {
                    kernel,
                    user,
                    memory_bytes: 16 << 20,
                    tables_base: 0x4080_0000,
                    tables_bytes: 8 << 20,
                    contiguous,
                    ..BootConfig::default()
                });
                for pa in [0x4000_0000, 0x4012_3458, 0x40ff_fff8] {
                    os.machine.poke(pa, pa ^ 0x55);
                    let va = os.boot.linear.virt(pa).expect("in the window");
                    let load = os.cpu.load(va, AccessSize::Double, Privilege::Privileged);
                    assert_eq!(block_on(load), Ok(pa ^ 0x55), "{kernel:?} {user:?} {pa:#x}");
                }
                assert_eq!(os.read(0), Err(FaultKind::Translation));
                os.audit();
            }
        }
    }
}

#[test]
fn user_accesses_are_kept_out_of_the_linear_map() {
    let os = boot(&BootConfig::default());
    assert_eq!(os.read(os.boot.linear.base()), Err(FaultKind::Permission));
}

#[test]
fn the_contiguous_hint_is_set_where_a_run_fits() {
    let config = BootConfig {
        contiguous: true,
        ..BootConfig::with_granule(Granule::K4)
    };
    let os = boot(&config);
    let leaf = block_on(os.boot.kernel.lookup(&os.cpu, os.boot.linear.base()))
        .expect("readable")
        .expect("mapped");
    // 64 MiB are two runs of sixteen 2 MiB blocks.
    assert_eq!((leaf.level, leaf.descriptor.contiguous()), (2, true));
}

#[test]
fn banks_are_shown_by_their_largest_blocks_and_what_lies_between_is_not() {
    let bank = |base, bytes| Bank { base, bytes };
    for granule in Granule::ALL {
        let page = granule.bytes();
        let config = BootConfig {
            memory_base: 2 << 40,
            memory_bytes: 64 << 20,
            tables_base: (2 << 40) + (32 << 20),
            ..BootConfig::with_granule(granule)
        };
        // One below the first, one that ends within a block.
        let more = [bank(1 << 40, 1 << 30), bank(5 << 40, (32 << 20) + page)];
        let (memory, boot) = image_banks(&config, &more).expect("boots");
        let machine = Machine::new(Default::default());
        machine.load(&memory, &boot.registers);
        let cpu = machine.core(0);
        let read = |pa| {
            let va = boot.linear.virt(pa).expect("in the window");
            block_on(cpu.load(va, AccessSize::Double, Privilege::Privileged))
                .map_err(|fault| fault.fsc.kind())
        };
        let own = bank(config.memory_base, config.memory_bytes);
        for bank in more.into_iter().chain([own]) {
            for pa in [bank.base, bank.base + bank.bytes - 8] {
                machine.poke(pa, pa ^ 0x55);
                assert_eq!(read(pa), Ok(pa ^ 0x55), "{granule} {pa:#x}");
            }
            let end = bank.base + bank.bytes;
            if boot.linear.virt(end).is_some() {
                assert_eq!(read(end), Err(Some(FaultKind::Translation)), "{end:#x}");
            }
        }
        let level = |pa| {
            let va = boot.linear.virt(pa).expect("in the window");
            let leaf = block_on(boot.kernel.lookup(&cpu, va)).expect("readable");
            leaf.expect("mapped").level
        };
        let largest = if granule == Granule::K4 { 1 } else { 2 };
        assert_eq!(level(1 << 40), largest);
        assert_eq!(level((5 << 40) + (32 << 20)), 3);
    }
}

#[test]
fn memory_larger_than_the_upper_range_is_refused() {
    let config = BootConfig {
        kernel: RangeConfig {
            granule: Granule::K4,
            va_bits: 25,
        },
        ..BootConfig::default()
    };
    let machine = Machine::new(Default::default());
    let error = block_on(build(&machine.core(0), &config)).map(|_| ());
    assert!(matches!(
        error,
        Err(MmError::OutOfRange { va_bits: 25, .. })
    ));
}

#[test]
fn a_core_can_build_its_tables_and_then_turn_its_mmu_on() {
    let config = BootConfig {
        hardware_update: HardwareUpdate::AccessFlagAndDirty,
        ..BootConfig::default()
    };
    let machine = Machine::new(Default::default());
    let cpu = machine.core(0);
    let boot = block_on(build(&cpu, &config)).expect("builds");
    block_on(boot.registers.load(&cpu));
    let load = cpu.load(
        boot.linear.base(),
        AccessSize::Double,
        Privilege::Privileged,
    );
    assert_eq!(block_on(load), Ok(0));
    assert!(block_on(boot.kernel.audit(&cpu)).is_ok());
}

#[test]
fn big_endian_descriptors_are_walked_and_edited() {
    // WALK-02.
    let config = BootConfig {
        big_endian: true,
        ..BootConfig::default()
    };
    let os = boot(&config);
    let rw = sw_mm::Attributes::normal(sw_mm::Permissions::USER_RW);
    let user = &os.boot.user;
    block_on(user.map(&os.cpu, &os.boot.user_frames, 0x1000, 0x4000_0000, 3, &rw)).expect("maps");
    assert_eq!(os.write(0x1008, 7), Ok(()));
    assert_eq!(os.read(0x1008), Ok(7));
    assert_eq!(os.pa(0x1008), Some(0x4000_0008));
    os.audit();
}
