// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Blocks of entries to operate on: a table, a folio of some blocks, two threads of one address space;
//! and what hardware shows of an operation, in its order.

use std::ops::Range;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, Op};
use cosim::regress::Failure;
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use sw_mm::Cpu;
use sw_mm::contpte::{block_pages, set_ptes};
use sw_mm::folio::Folio;
use sw_mm::mm::{AddressSpace, Error, Found, Map, Protection, Table};
use sw_mm::page::{NodeId, Request};
use sw_mm::pte::{Pte, PtePtr};
use sw_mm::thread::Thread;
use vmsa::{DsbKind, Granule, Tlbi};

use super::os::{Os, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// Where the first block begins.
pub const VA: u64 = 0x4000_0000;

/// Entries of a block: what CONTPTE-01 says, not what the kernel thinks.
#[must_use]
pub fn block_entries(granule: Granule) -> u64 {
    match granule {
        Granule::K4 => 16,
        Granule::K16 => 128,
        Granule::K64 => 32,
    }
}

/// The blocks. Nobody takes them down: the simulation ends with them.
pub struct Scene {
    /// The kernel.
    pub os: Rc<Os>,
    /// Who operates.
    pub thread: Rc<Thread<CoreHandle>>,
    /// Another user of the address space, on another core if there is one.
    pub other: Rc<Thread<CoreHandle>>,
    /// The address space.
    pub space: Rc<AddressSpace>,
    /// What the entries map.
    pub folio: Rc<Folio>,
    /// Page size.
    pub granule: Granule,
    /// Entries of a block.
    pub n: u64,
    table: Rc<Table>,
    first: PtePtr,
}

impl Scene {
    /// A folio of 2^`order` blocks; nothing of it is mapped.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn new(os: &Rc<Os>, order: u8) -> Result<Self, Failure> {
        let granule = os.kernel.granule();
        let n = block_entries(granule);
        let same = block_pages(granule) == n;
        expect("CONTPTE-01", same, || format!("{}", block_pages(granule)))?;
        let (thread, other) = os.pair();
        let space = os.space().await?;
        join(&other, &space).await;
        let folio = folio(os, n.trailing_zeros() as u8 + order)?;
        let bytes = folio.pages() * granule.bytes();
        let map = Map::anonymous(VA, bytes, Protection::READ_WRITE);
        thread.mmap(&map).await?;
        let Found::Table(table) = space.walk_or_make(&thread, VA).await? else {
            return Err("there is no table".into());
        };
        let first = table.entry(&os.kernel, VA)?;
        Ok(Self {
            os: Rc::clone(os),
            thread,
            other,
            space,
            folio,
            granule,
            n,
            table,
            first,
        })
    }

    /// A scene whose blocks are all folded, young, writable and clean.
    ///
    /// # Errors
    /// As [`Scene::new`].
    pub async fn folded(os: &Rc<Os>, order: u8) -> Result<Self, Failure> {
        let scene = Self::new(os, order).await?;
        let pages = scene.folio.pages();
        scene.set(0, scene.pte(0), pages).await?;
        let hints = scene.hints(0..pages).await;
        expect("CONTPTE-02", hints == pages, || {
            format!("{hints} of {pages} entries are folded")
        })?;
        Ok(scene)
    }

    /// The entry of page `page`.
    #[must_use]
    pub fn ptr(&self, page: u64) -> PtePtr {
        self.first.offset(page as i64)
    }

    /// First byte of page `page`.
    #[must_use]
    pub fn va(&self, page: u64) -> u64 {
        self.ptr(page).va
    }

    /// Physical address of the entry of page `page`.
    #[must_use]
    pub fn slot(&self, page: u64) -> u64 {
        let leaf = self.os.leaf(&self.space, self.va(page));
        leaf.map_or(0, |(slot, _)| slot)
    }

    /// A writable, clean, young entry for page `page` of the folio.
    #[must_use]
    pub fn pte(&self, page: u64) -> Pte {
        Pte::page(self.granule, self.folio.pfn())
            .advance(self.granule, page as i64)
            .with_young(true)
            .make_writable()
    }

    /// Runs what changes entries, with the lock of the table.
    ///
    /// # Errors
    /// What it answers.
    pub async fn locked<T>(
        &self,
        f: impl AsyncFnOnce(&Thread<CoreHandle>) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let _ptl = self.table.lock.lock(&self.thread.held).await;
        Ok(f(&self.thread).await?)
    }

    /// Maps `count` pages from page `page` on, all at once.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn set(&self, page: u64, pte: Pte, count: u64) -> Result<(), Failure> {
        let (space, ptr) = (&self.space, self.ptr(page));
        self.locked(async |thread| set_ptes(thread, space, ptr, pte, count).await)
            .await
    }

    /// Waits until what was stored is visible.
    pub async fn publish(&self) {
        self.thread.cpu.dsb(DsbKind::ISHST).await;
    }

    /// Flushes the whole address space, as callers of operations that do not flush have to.
    pub async fn flush(&self) {
        self.thread.flush_mm(&self.space).await;
    }

    /// Entries as they are in memory.
    pub async fn entries(&self, pages: Range<u64>) -> Vec<Pte> {
        self.publish().await;
        let entry = |page| Pte(self.os.handle.peek(self.slot(page)));
        pages.map(entry).collect()
    }

    /// The entry of page `page` as it is in memory.
    pub async fn raw(&self, page: u64) -> Pte {
        self.publish().await;
        Pte(self.os.handle.peek(self.slot(page)))
    }

    /// Entries with the contiguous hint.
    pub async fn hints(&self, pages: Range<u64>) -> u64 {
        let entries = self.entries(pages).await;
        entries.iter().filter(|pte| pte.cont()).count() as u64
    }

    /// Conversions so far: folds and unfolds.
    #[must_use]
    pub fn conversions(&self) -> (u64, u64) {
        let counters = &self.os.kernel.counters;
        (counters.folds.get(), counters.unfolds.get())
    }

    /// Whether `op` names exactly the block of page `page`, last level only.
    #[must_use]
    pub fn covers_block(&self, op: Tlbi, page: u64) -> bool {
        let bytes = self.n * self.granule.bytes();
        let start = self.va(page) & !(bytes - 1);
        let exact = op.range().is_some_and(|range| {
            range.start == start && range.bytes == bytes && range.level == Some(3)
        });
        exact && op.op.last_level() && op.asid() == self.space.context.asid()
    }
}

/// A folio that belongs to nothing.
///
/// # Errors
/// When there is no memory.
pub fn folio(os: &Os, order: u8) -> Result<Rc<Folio>, Failure> {
    let request = Request::new(order, NodeId(0));
    let (folio, _) = os.kernel.allocate_folio(0, &request)?;
    Ok(folio)
}

/// What others can notice of a core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A store or compare-and-swap became visible: address and word after.
    Write(u64, u64),
    /// A TLBI was issued.
    Tlbi(Tlbi),
    /// An operation took effect on a core.
    Effect(u8),
    /// A DSB completed.
    Dsb(DsbKind),
}

/// What core `core` did since the record was cleared, in order.
#[must_use]
pub fn trace(record: &Record, core: u8) -> Vec<Step> {
    let steps = record.collect(|kind| match kind {
        EventKind::Commit {
            source,
            kind: CommitKind::Store | CommitKind::Cas,
            address,
            after,
            ..
        } if *source == core => Some(Step::Write(*address, *after)),
        EventKind::Issue {
            core: issuer,
            request,
        } if *issuer == core => match request.op {
            Op::Tlbi(op) => Some(Step::Tlbi(op)),
            _ => None,
        },
        EventKind::Invalidate { core: on, change } if change.source == core => {
            Some(Step::Effect(*on))
        }
        EventKind::Response {
            core: issuer,
            request,
            ..
        } if *issuer == core => match request.op {
            Op::Dsb(kind) => Some(Step::Dsb(kind)),
            _ => None,
        },
        _ => None,
    });
    steps.into_iter().map(|(_, step)| step).collect()
}

/// TLBIs that core `core` issued and DSB ISH that it completed since the record was cleared.
#[must_use]
pub fn maintenance(record: &Record, core: u8) -> (Vec<Tlbi>, usize) {
    let steps = trace(record, core);
    let tlbis = steps.iter().filter_map(|step| match step {
        Step::Tlbi(op) => Some(*op),
        _ => None,
    });
    let barriers = steps
        .iter()
        .filter(|&&step| step == Step::Dsb(DsbKind::ISH));
    (tlbis.collect(), barriers.count())
}
