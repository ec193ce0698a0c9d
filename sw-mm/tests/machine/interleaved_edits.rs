// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Page tables edited under a lock while users on other cores go on: no user reaches a frame that was
//! given back, whatever the interleaving, and a flush that is left out is found.

use crate::booted::{Booted, boot_on};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use sw_mm::boot::{BootConfig, HardwareUpdate};
use sw_mm::functional::{Core, MachineConfig, Policy, RunEnd, Scheduler, Target};
use sw_mm::{AccessSize, Attributes, Cpu, Permissions, Privilege};
use tokio::sync::Mutex;
use vmsa::{AccessFault, FaultKind};

const VA: u64 = 0x40_0000_0000;
const FRAMES: u64 = 0x4010_0000;
const PAGES: u64 = 12;
const WORD: AccessSize = AccessSize::Double;
const USER: Privilege = Privilege::Unprivileged;
const KERNEL: Privilege = Privilege::Privileged;
const TRACKED: Attributes = Attributes {
    track_dirty: true,
    accessed: false,
    ..Attributes::normal(Permissions::USER_RW)
};

struct World {
    os: Booted,
    /// Which frame backs each page.
    pages: Mutex<[Option<u64>; PAGES as usize]>,
    free: RefCell<Vec<u64>>,
    /// The invalidation of every edit is left out.
    broken: bool,
    wrong: RefCell<Vec<String>>,
    operations: Cell<u64>,
}

impl World {
    fn wrong(&self, what: String) {
        self.wrong.borrow_mut().push(what);
    }

    /// What the page holds that only its users and its kernel write.
    fn tag(page: u64) -> u64 {
        0x7a6_0000 + page
    }

    /// A thread of the kernel: maps pages that are not, unmaps those that are.
    async fn edit(&self, core: Core, seed: u64, count: u64) -> Result<(), sw_mm::MmError> {
        let mut rng = Pcg32::seed_from_u64(seed);
        let (table, frames, linear) = (
            &self.os.boot.user,
            &self.os.boot.user_frames,
            &self.os.boot.linear,
        );
        let quiet = Unflushed(&core);
        for _ in 0..count {
            let page = rng.random_range(0..PAGES);
            let va = VA + page * 0x1000;
            let mut pages = self.pages.lock().await;
            match pages[page as usize].take() {
                None => {
                    let index = rng.random_range(0..self.free.borrow().len());
                    let pa = self.free.borrow_mut().swap_remove(index);
                    let at = linear.virt(pa).expect("in the window");
                    core.clear(at, 0x40).await?;
                    core.store(at, WORD, KERNEL, Self::tag(page)).await?;
                    table.map(&core, frames, va, pa, 3, &TRACKED).await?;
                    pages[page as usize] = Some(pa);
                }
                Some(pa) => {
                    if self.broken {
                        table.unmap(&quiet, frames, va, 0x1000).await?;
                    } else {
                        table.unmap(&core, frames, va, 0x1000).await?;
                    }
                    self.give_back(pa);
                }
            }
            self.operations.set(self.operations.get() + 1);
        }
        Ok(())
    }

    /// MM-02, MM-06.
    fn give_back(&self, pa: u64) {
        let reach = self.os.machine.translations_to(pa, 0x1000);
        if let Some(entry) = reach.iter().find(|e| e.target == Target::Leaf) {
            self.wrong(format!("{pa:#x} is given back but cached: {entry:?}"));
        }
        self.free.borrow_mut().push(pa);
    }

    /// A user thread: whatever it reaches belongs to its page.
    async fn access(&self, core: Core, seed: u64, count: u64) -> Result<(), AccessFault> {
        let mut rng = Pcg32::seed_from_u64(seed);
        for _ in 0..count {
            let page = rng.random_range(0..PAGES);
            let va = VA + page * 0x1000;
            let result = if rng.random() {
                core.load(va, WORD, USER).await.map(|seen| {
                    if seen != Self::tag(page) {
                        self.wrong(format!("page {page} holds {seen:#x}"));
                    }
                })
            } else {
                core.store(va, WORD, USER, Self::tag(page)).await
            };
            match result {
                Ok(()) => {}
                Err(fault) if fault.fsc.kind() == Some(FaultKind::Translation) => {}
                Err(fault) => return Err(fault),
            }
            self.operations.set(self.operations.get() + 1);
        }
        Ok(())
    }
}

/// A core that executes no TLBI.
struct Unflushed<'a>(&'a Core);

impl Cpu for Unflushed<'_> {
    async fn load(&self, va: u64, s: AccessSize, p: Privilege) -> Result<u64, AccessFault> {
        self.0.load(va, s, p).await
    }

    async fn store(&self, va: u64, s: AccessSize, p: Privilege, v: u64) -> Result<(), AccessFault> {
        self.0.store(va, s, p, v).await
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.0.compare_and_swap(va, s, p, expected, new).await
    }

    async fn fetch(&self, va: u64, p: Privilege) -> Result<u32, AccessFault> {
        self.0.fetch(va, p).await
    }

    async fn address_translate(&self, op: vmsa::AtOp, va: u64) -> Result<sw_mm::Par, AccessFault> {
        self.0.address_translate(op, va).await
    }

    async fn tlbi(&self, _: vmsa::Tlbi) {}

    async fn dsb(&self, kind: vmsa::DsbKind) {
        self.0.dsb(kind).await;
    }

    async fn isb(&self) {
        self.0.isb().await;
    }

    async fn write_sysreg(&self, register: vmsa::SysReg, value: u64) {
        self.0.write_sysreg(register, value).await;
    }
}

/// Two kernel and two user threads on four cores; what was wrong, operations, and the digest.
fn run(seed: u64, count: u64, broken: bool) -> (Vec<String>, u64, u64) {
    let config = BootConfig {
        hardware_update: HardwareUpdate::AccessFlagAndDirty,
        ..BootConfig::default()
    };
    let machine = MachineConfig {
        cores: 4,
        contiguous: seed.is_multiple_of(2),
        ets2: seed.is_multiple_of(3),
        ..MachineConfig::default()
    };
    let steps = NonZeroU32::new(20).expect("not 0");
    let policies = [
        Policy::Uniform,
        Policy::Bursts(steps),
        Policy::Priorities(steps),
    ];
    let world = Rc::new(World {
        os: boot_on(&config, machine),
        pages: Mutex::new([None; PAGES as usize]),
        free: RefCell::new((0..PAGES + 2).map(|i| FRAMES + i * 0x1000).collect()),
        broken,
        wrong: RefCell::default(),
        operations: Cell::default(),
    });
    let mut scheduler = Scheduler::with_policy(seed, policies[seed as usize % 3]);
    let mut ends = (Vec::new(), Vec::new());
    for index in 0..2 {
        let (here, core) = (
            Rc::clone(&world),
            world.os.machine.core(index).interleaved(),
        );
        let editing = async move { here.edit(core, seed * 4 + index as u64, count / 10).await };
        ends.0.push(scheduler.spawn_named("kernel", editing));
        let index = index + 2;
        let (here, core) = (
            Rc::clone(&world),
            world.os.machine.core(index).interleaved(),
        );
        let using = async move { here.access(core, seed * 4 + index as u64, count).await };
        ends.1.push(scheduler.spawn_named("user", using));
    }
    assert_eq!(scheduler.run(u64::MAX), RunEnd::Done);
    for end in ends.0 {
        assert_eq!(end.take(), Some(Ok(())), "seed {seed}");
    }
    for end in ends.1 {
        assert_eq!(end.take(), Some(Ok(())), "seed {seed}");
    }
    let mut wrong = world.wrong.take();
    let violations = world.os.machine.violations();
    wrong.extend(violations.iter().map(ToString::to_string));
    (wrong, world.operations.get(), scheduler.digest())
}

#[test]
fn users_reach_only_what_their_pages_hold() {
    let mut operations = 0;
    for seed in 0..30 {
        let (wrong, count, _) = run(seed, 300, false);
        assert!(wrong.is_empty(), "seed {seed}: {}", wrong[0]);
        operations += count;
    }
    assert_eq!(operations, 30 * 2 * (300 + 30));
}

#[test]
fn a_flush_that_is_left_out_is_found() {
    let (found, _, _) = run(1, 300, true);
    assert!(found.iter().any(|what| what.contains("given back")));
    assert!(found.iter().any(|what| what.contains("page")));
    assert!(found.iter().any(|what| what.contains("break-before-make")));
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..6 {
        assert_eq!(run(seed, 100, seed > 2), run(seed, 100, seed > 2));
    }
}
