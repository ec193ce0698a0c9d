// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What an instruction of the functional machine costs, on four cores of which each has cached a
//! thousand pages: property tests of the kernel execute hundreds of them for an operation.
//!
//! `cargo bench -p sw-mm --bench functional --profile dev` measures with the optimization that tests are built with.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use sw_mm::boot::{Boot, BootConfig, image};
use sw_mm::functional::{Core, Machine, MachineConfig, RunEnd, Scheduler};
use sw_mm::{AccessSize, Attributes, Cpu, MmError, Permissions, Privilege, block_on};
use vmsa::{AccessFault, DsbKind, Tlbi, TlbiScope};

const PAGES: u64 = 1000;
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x4000_0000;
const SIZE: AccessSize = AccessSize::Double;
const USER: Privilege = Privilege::Unprivileged;
const KERNEL: Privilege = Privilege::Privileged;
const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const IS: TlbiScope = TlbiScope::InnerShareable;

struct System {
    machine: Machine,
    core: Core,
    boot: Boot,
}

/// A thousand pages, mapped to a thousand frames and cached by each of `cores` cores.
fn system(cores: usize) -> Result<System, MmError> {
    let (memory, boot) = image(&BootConfig::default())?;
    let machine = Machine::new(MachineConfig {
        cores,
        ..MachineConfig::default()
    });
    machine.load(&memory, &boot.registers);
    let core = machine.core(0);
    for page in 0..PAGES {
        let offset = page * 0x1000;
        let frames = &boot.user_frames;
        block_on(
            boot.user
                .map(&core, frames, VA + offset, PA + offset, 3, &RW),
        )?;
        for index in 0..cores {
            machine.speculate(index, VA + offset);
        }
    }
    Ok(System {
        machine,
        core,
        boot,
    })
}

/// Pages in an order that is neither one page again and again nor a scan.
fn pages() -> impl Iterator<Item = u64> {
    (0..PAGES).map(|i| i * 37 % PAGES * 0x1000)
}

async fn loads(core: &Core, base: u64, who: Privilege) -> Result<u64, AccessFault> {
    let mut sum = 0;
    for page in pages() {
        sum ^= core.load(base + page, SIZE, who).await?;
    }
    Ok(sum)
}

/// Stores, with the barrier of one that edits tables.
async fn stores(core: &Core, base: u64, who: Privilege) -> Result<(), AccessFault> {
    for (i, page) in pages().enumerate() {
        core.store(base + page, SIZE, who, page).await?;
        if i % 16 == 15 {
            core.dsb(DsbKind::ISHST).await;
        }
    }
    Ok(())
}

async fn flushes(core: &Core) {
    for page in pages() {
        core.tlbi(Tlbi::vale1(IS, VA + page, 1, None)).await;
        core.dsb(DsbKind::ISH).await;
    }
}

async fn remaps(system: &System, pages: u64) -> Result<(), MmError> {
    let (core, frames) = (&system.core, &system.boot.user_frames);
    for page in 0..pages {
        let (va, pa) = (VA + (1 << 30) + page * 0x1000, PA + (32 << 20));
        system.boot.user.map(core, frames, va, pa, 3, &RW).await?;
        black_box(core.store(va, SIZE, USER, 1).await).ok();
        system.boot.user.unmap(core, frames, va, 0x1000).await?;
    }
    Ok(())
}

fn accesses(c: &mut Criterion) -> Result<(), MmError> {
    let system = system(4)?;
    let core = &system.core;
    let linear = system.boot.linear.base();
    let mut group = c.benchmark_group("instruction");
    group.throughput(Throughput::Elements(PAGES));
    group.bench_function("user load", |b| b.iter(|| block_on(loads(core, VA, USER))));
    group.bench_function("kernel load", |b| {
        b.iter(|| block_on(loads(core, linear, KERNEL)));
    });
    group.bench_function("user store", |b| {
        b.iter(|| block_on(stores(core, VA, USER)))
    });
    group.bench_function("kernel store", |b| {
        b.iter(|| block_on(stores(core, linear, KERNEL)));
    });
    group.bench_function("TLBI VALE1IS and DSB ISH", |b| {
        b.iter(|| block_on(flushes(core)));
    });
    group.bench_function("interleaved load", |b| {
        b.iter(|| {
            let mut scheduler = Scheduler::new(1);
            for index in 0..4 {
                let core = system.machine.core(index).interleaved();
                scheduler.spawn(async move {
                    for page in pages().take(PAGES as usize / 4) {
                        black_box(core.load(VA + page, SIZE, USER).await).ok();
                    }
                });
            }
            assert_eq!(scheduler.run(u64::MAX), RunEnd::Done);
        });
    });
    let (page, other) = (linear + (31 << 20), linear + (30 << 20));
    group.throughput(Throughput::Elements(512));
    group.bench_function("word of a page clear", |b| {
        b.iter(|| block_on(core.clear(page, 0x1000)));
    });
    group.bench_function("word of a page copy", |b| {
        b.iter(|| block_on(core.copy(page, other, 0x1000)));
    });
    Ok(())
}

fn operations(c: &mut Criterion) -> Result<(), MmError> {
    let system = system(4)?;
    let mut group = c.benchmark_group("operation");
    group.throughput(Throughput::Elements(10));
    group.bench_function("map, touch, unmap", |b| {
        b.iter(|| block_on(remaps(&system, 10)));
    });
    group.throughput(Throughput::Elements(PAGES));
    group.bench_function("who reaches a frame", |b| {
        b.iter(|| {
            pages()
                .map(|page| system.machine.translations_to(PA + page, 0x1000).len())
                .sum::<usize>()
        });
    });
    Ok(())
}

fn all(c: &mut Criterion) {
    if let Err(error) = accesses(c).and_then(|()| operations(c)) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
