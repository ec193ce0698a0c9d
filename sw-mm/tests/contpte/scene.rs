// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A table, a folio of some blocks, and a thread that operates on the entries.

use super::tracer::{Op, Tracer};
use crate::kernel::{Setup, boot, map};
use std::rc::Rc;
use sw_mm::contpte::{block_pages, set_ptes};
use sw_mm::folio::Folio;
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Found, Table};
use sw_mm::page::{NodeId, Request};
use sw_mm::pte::{Pte, PtePtr};
use sw_mm::thread::Thread;
use sw_mm::{AccessSize, Cpu, Privilege, block_on};
use vmsa::{AccessFault, DsbKind, Granule, Tlbi};

/// Where the first block begins.
pub const VA: u64 = 0x4000_0000;

pub struct Scene {
    pub setup: Setup,
    pub space: Rc<AddressSpace>,
    pub thread: Thread<Tracer>,
    pub table: Rc<Table>,
    pub folio: Rc<Folio>,
    pub granule: Granule,
    /// Entries of a block.
    pub n: u64,
}

#[allow(dead_code, reason = "not every test binary uses every part")]
impl Scene {
    /// A folio of 2^`order` blocks; nothing of it is mapped. All cores run the address space.
    pub fn new(config: KernelConfig, order: u8) -> Self {
        let granule = config.granule;
        let setup = boot(config);
        let space = setup.space();
        let n = block_pages(granule);
        let folio = Self::folio_of(&setup, n.trailing_zeros() as u8 + order);
        let thread = Thread::new(&setup.kernel, Tracer::new(setup.machine.core(0)), 0);
        let table = block_on(async {
            let bytes = folio.pages() * granule.bytes();
            map(&setup.threads[0], VA, bytes).await.expect("maps");
            thread.switch_to(&space).await;
            for other in &setup.threads[1..] {
                other.switch_to(&space).await;
            }
            match space.walk_or_make(&thread, VA).await.expect("walks") {
                Found::Table(table) => table,
                other => panic!("{other:?}"),
            }
        });
        thread.cpu.take();
        Self {
            setup,
            space,
            thread,
            table,
            folio,
            granule,
            n,
        }
    }

    pub fn folio_of(setup: &Setup, order: u8) -> Rc<Folio> {
        let request = Request::new(order, NodeId(0));
        let (folio, _) = setup.kernel.allocate_folio(0, &request).expect("memory");
        folio
    }

    /// The entry of page `page` of the range.
    pub fn ptr(&self, page: u64) -> PtePtr {
        let va = VA + page * self.granule.bytes();
        self.table.entry(&self.setup.kernel, va).expect("in reach")
    }

    pub fn va(&self, page: u64) -> u64 {
        self.ptr(page).va
    }

    /// A writable, clean, young entry for page `page` of the folio.
    pub fn pte(&self, page: u64) -> Pte {
        Pte::page(self.granule, self.folio.pfn())
            .advance(self.granule, page as i64)
            .with_young(true)
            .make_writable()
    }

    /// Runs what changes entries, with the lock.
    pub fn locked<T>(&self, f: impl AsyncFnOnce(&Thread<Tracer>) -> T) -> T {
        block_on(async {
            let _ptl = self.table.lock.lock(&self.thread.held).await;
            f(&self.thread).await
        })
    }

    /// Maps `pages` pages from page `page` on, of the folio, all at once.
    pub fn set(&self, page: u64, pte: Pte, pages: u64) {
        let (space, ptr) = (&self.space, self.ptr(page));
        self.locked(async |thread| set_ptes(thread, space, ptr, pte, pages).await)
            .expect("sets");
    }

    /// A scene with its first block folded, of which every core has a TLB entry.
    pub fn folded(config: KernelConfig, order: u8) -> Self {
        let scene = Self::new(config, order);
        let pages = scene.folio.pages();
        scene.set(0, scene.pte(0), pages);
        scene.publish();
        for core in 0..scene.setup.threads.len() {
            for block in 0..pages / scene.n {
                scene
                    .load(core, scene.va(block * scene.n + 3))
                    .expect("mapped");
            }
        }
        assert_eq!(scene.hints(0..pages), pages);
        scene.thread.cpu.take();
        scene
    }

    pub fn publish(&self) {
        block_on(self.thread.cpu.dsb(DsbKind::ISHST));
    }

    /// An entry as it is in memory.
    pub fn raw(&self, page: u64) -> Pte {
        self.publish();
        let index = (self.ptr(page).slot - self.ptr(0).slot) / 8;
        let first = (VA >> self.granule.shift()) & (self.granule.entries() - 1);
        Pte(self.setup.machine.peek(self.table.pa + (first + index) * 8))
    }

    /// Replaces an entry behind the kernel's back, and forgets it everywhere.
    pub fn poke(&self, page: u64, pte: Pte) {
        self.publish();
        let index = (self.ptr(page).slot - self.ptr(0).slot) / 8;
        let first = (VA >> self.granule.shift()) & (self.granule.entries() - 1);
        let pa = self.table.pa + (first + index) * 8;
        self.setup.machine.poke(pa, pte.0);
    }

    /// Entries with the hint.
    pub fn hints(&self, pages: std::ops::Range<u64>) -> u64 {
        pages.filter(|&page| self.raw(page).cont()).count() as u64
    }

    pub fn load(&self, core: usize, va: u64) -> Result<u64, AccessFault> {
        let cpu = self.setup.machine.core(core);
        block_on(cpu.load(va, AccessSize::Double, Privilege::Unprivileged))
    }

    pub fn store(&self, core: usize, va: u64) -> Result<(), AccessFault> {
        let cpu = self.setup.machine.core(core);
        block_on(cpu.store(va, AccessSize::Double, Privilege::Unprivileged, va))
    }

    pub fn folds(&self) -> u64 {
        self.setup.kernel.counters.folds.get()
    }

    pub fn unfolds(&self) -> u64 {
        self.setup.kernel.counters.unfolds.get()
    }

    /// TLBIs and DSB ISH since the last time.
    pub fn maintenance(&self) -> (Vec<Tlbi>, usize) {
        let ops = self.thread.cpu.take();
        let tlbis = ops.iter().filter_map(|op| match op {
            Op::Tlbi(tlbi) => Some(*tlbi),
            _ => None,
        });
        let dsbs = ops.iter().filter(|op| **op == Op::Dsb(DsbKind::ISH));
        (tlbis.collect(), dsbs.count())
    }

    /// Whether `op` is a range operation that covers exactly the block of page `page`.
    pub fn covers_block(&self, op: Tlbi, page: u64) -> bool {
        let bytes = self.n * self.granule.bytes();
        let start = self.va(page) & !(bytes - 1);
        op.range().is_some_and(|range| {
            range.start == start
                && range.overlaps(start + bytes - 1, 1)
                && !range.overlaps(start + bytes, 1)
                && range.level == Some(3)
        }) && op.op.last_level()
    }

    /// Fails if a lock, break-before-make or an invariant was broken.
    pub fn judge(&self) {
        self.publish();
        self.setup.judge();
        let machine = &self.setup.machine;
        let mut broken = sw_mm::contpte::check::tables(&self.setup.kernel, |pa| machine.newest(pa));
        for core in 0..self.setup.threads.len() {
            let bbm2 = self.setup.kernel.config().contpte.bbm2_noabort;
            let leaves = machine.cached_leaves(core);
            broken.extend(sw_mm::contpte::check::tlb(&leaves, bbm2));
        }
        assert!(broken.is_empty(), "{}", broken[0]);
    }
}
