// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The audit: silent on a sound kernel, and each of its rules shown to fire.

mod books;
mod entries;
#[path = "../kernel/mod.rs"]
mod kernel;
mod sound;
mod swap;
mod tables;

use kernel::{Setup, boot, config, map, variants};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::audit::{Census, Disagreement, Held, Wrong, WrongRun, audit, audit_with};
use sw_mm::file::File;
use sw_mm::folio::{Folio, Mapping, Owner, PIN};
use sw_mm::kernel::KernelConfig;
use sw_mm::lock::LockViolation;
use sw_mm::mm::{AddressSpace, Error, Found, Map, Protection, Table};
use sw_mm::page::{NodeId, Request};
use sw_mm::pte::{Migration, Pte, PtePtr, SwapEntry};
use sw_mm::rmap::AnonVma;
use sw_mm::{Cpu, block_on, contpte};
use vmsa::{DsbKind, Granule, geometry};

/// Private memory: a large folio, pages of its own, and one page that was only read.
const VA: u64 = 0x4000_0000;
/// A shared mapping of a file.
const SHARED: u64 = VA + 0x10_0000;
/// Memory without any right.
const NONE: u64 = VA + 0x18_0000;

const PAGE: u64 = Granule::K4.bytes();
const LARGE: u64 = VA + 0x1_0000;
/// In the private area, read but never written.
const ZERO: u64 = VA;
const OWN: u64 = VA + PAGE;

struct World {
    setup: Setup,
    parent: Rc<AddressSpace>,
    file: Rc<File>,
}

impl World {
    fn new() -> Self {
        let config = KernelConfig {
            anonymous_orders: vec![4],
            ..config(2)
        };
        let setup = boot(config);
        let parent = setup.space();
        let file = File::new(1, 16);
        let world = Self {
            setup,
            parent,
            file,
        };
        block_on(world.populate()).expect("no error");
        world
    }

    async fn populate(&self) -> Result<(), Error> {
        let thread = &self.setup.threads[0];
        map(thread, VA, 32 * PAGE).await?;
        thread.user_load(ZERO, Double).await?;
        thread.user_store(LARGE, Double, 1).await?;
        thread.user_store(OWN, Double, 2).await?;
        let file = Some((Rc::clone(&self.file), 0));
        let shared = Map {
            shared: true,
            file,
            ..Map::anonymous(SHARED, 4 * PAGE, Protection::READ_WRITE)
        };
        thread.mmap(&shared).await?;
        thread.user_store(SHARED, Double, 3).await?;
        map(thread, NONE, 2 * PAGE).await?;
        thread.user_store(NONE, Double, 4).await?;
        thread.mprotect(NONE, 2 * PAGE, Protection::NONE).await?;
        thread.cpu.dsb(DsbKind::ISH).await;
        Ok(())
    }

    fn audit(&self) -> Result<Census, Disagreement> {
        audit(&self.setup.kernel, |pa| self.setup.machine.peek(pa))
    }

    fn table(&self, va: u64) -> Rc<Table> {
        let walk = self.parent.walk(&self.setup.threads[0], va);
        match block_on(walk) {
            Ok(Found::Table(table)) => table,
            found => panic!("no table at {va:#x}: {found:?}"),
        }
    }

    /// Physical address of the entry for `va`.
    fn slot(&self, va: u64) -> u64 {
        let PtePtr { slot, .. } = self
            .table(va)
            .entry(&self.setup.kernel, va)
            .expect("in the linear map");
        let linear = self.setup.kernel.linear();
        linear.phys(slot).expect("in the linear map")
    }

    fn pte(&self, va: u64) -> Pte {
        Pte(self.setup.machine.peek(self.slot(va)))
    }

    fn poke(&self, va: u64, pte: Pte) {
        self.setup.machine.poke(self.slot(va), pte.0);
    }

    fn folio(&self, va: u64) -> Rc<Folio> {
        let pfn = self.pte(va).pfn(Granule::K4);
        self.setup.kernel.frames.folio(pfn).expect("a folio")
    }

    /// What the audit says about the entry for `va`.
    fn found_in_entry(&self, va: u64, why: Wrong) {
        let expected = Disagreement::Entry {
            space: self.parent.number(),
            va,
            pte: self.pte(va),
            why,
        };
        assert_eq!(self.audit(), Err(expected));
    }

    /// Makes the large folio a contiguous run, or single pages.
    fn fold(&self, cont: bool) {
        for va in (LARGE..LARGE + 16 * PAGE).step_by(PAGE as usize) {
            self.poke(va, self.pte(va).with_cont(cont));
        }
    }
}

/// What the audit says after `plant` did its damage to a sound world.
fn found(plant: impl FnOnce(&World)) -> Disagreement {
    let world = World::new();
    plant(&world);
    world.audit().expect_err("the damage is found")
}
