// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLB flushes, and the gather that batches the flush of many changed entries.
//!
//! Form of the invalidation: leaf-only with a level hint while no table page is freed; by VA without
//! a hint, which also removes cached table descriptors, as soon as one is (BBM-09, BBM-10). Kernel
//! tables use the all-ASID forms, because a walk through TTBR1 caches its table descriptors under
//! the ASID of whoever ran then (TLB-23, TLBI-04).

use crate::cpu::Cpu;
use crate::frame::{Frame, FrameAllocator};
use vmsa::{DsbKind, Granule, Tlbi, TlbiScope};

const SCOPE: TlbiScope = TlbiScope::InnerShareable;

/// Beyond this many single invalidations one of the whole address space is cheaper.
pub const MAX_TLBI_OPS: usize = 512;

/// Removes everything from every TLB.
pub async fn flush_all(cpu: &impl Cpu) {
    cpu.dsb(DsbKind::ISHST).await;
    cpu.tlbi(Tlbi::vmalle1(SCOPE)).await;
    cpu.dsb(DsbKind::ISH).await;
    cpu.isb().await;
}

/// Removes what belongs to `asid` from every TLB; global entries may stay (TLBI-02).
pub async fn flush_asid(cpu: &impl Cpu, asid: u16) {
    cpu.dsb(DsbKind::ISHST).await;
    cpu.tlbi(Tlbi::aside1(SCOPE, asid)).await;
    cpu.dsb(DsbKind::ISH).await;
    cpu.isb().await;
}

/// Removes the leaf entries of the page at `va`: those of `asid` and global ones, or those of every
/// address space.
pub async fn flush_page(cpu: &impl Cpu, asid: Option<u16>, va: u64) {
    cpu.dsb(DsbKind::ISHST).await;
    cpu.tlbi(leaf_op(asid, va, None)).await;
    cpu.dsb(DsbKind::ISH).await;
    cpu.isb().await;
}

fn leaf_op(asid: Option<u16>, va: u64, hint: Option<(Granule, u8)>) -> Tlbi {
    match asid {
        Some(asid) => Tlbi::vale1(SCOPE, va, asid, hint),
        None => Tlbi::vaale1(SCOPE, va, hint),
    }
}

/// Entries that were changed and table pages that were unlinked since the last flush.
///
/// The rule it enforces: nothing gathered is relied upon, and no table page is freed, before the
/// invalidation of all of it has completed.
#[derive(Debug)]
pub(crate) struct Gather {
    granule: Granule,
    asid: Option<u16>,
    leaves: Vec<(u64, u8)>,
    tables: Vec<Frame>,
    global: bool,
    stored: bool,
}

impl Gather {
    /// An empty gather for tables of `granule` that belong to `asid` (`None`: to all).
    pub fn new(granule: Granule, asid: Option<u16>) -> Self {
        Self {
            granule,
            asid,
            leaves: Vec::new(),
            tables: Vec::new(),
            global: false,
            stored: false,
        }
    }

    /// The leaf of `level` at `va` was cleared or restricted.
    pub fn leaf(&mut self, va: u64, level: u8, global: bool) {
        self.leaves.push((va, level));
        self.global |= global;
    }

    /// The table page in `frame` was unlinked; the leaf whose removal emptied it is gathered too, and
    /// its by-VA invalidation covers the table descriptors on its path.
    pub fn table(&mut self, frame: Frame) {
        self.tables.push(frame);
    }

    /// A descriptor was stored that needs no invalidation.
    pub fn stored(&mut self) {
        self.stored = true;
    }

    /// Makes every store visible, completes every invalidation owed, then frees the tables.
    pub async fn flush(&mut self, cpu: &impl Cpu, frames: &impl FrameAllocator) {
        if self.leaves.is_empty() {
            if self.stored {
                publish(cpu).await;
                self.stored = false;
            }
            return;
        }
        cpu.dsb(DsbKind::ISHST).await;
        if self.leaves.len() > MAX_TLBI_OPS {
            let whole = match self.asid {
                Some(asid) if !self.global => Tlbi::aside1(SCOPE, asid),
                _ => Tlbi::vmalle1(SCOPE),
            };
            cpu.tlbi(whole).await;
        } else {
            for &(va, level) in &self.leaves {
                cpu.tlbi(self.operation(va, level)).await;
            }
        }
        cpu.dsb(DsbKind::ISH).await;
        cpu.isb().await;
        for frame in self.tables.drain(..) {
            frames.free(frame);
        }
        self.leaves.clear();
        self.global = false;
        self.stored = false;
    }

    fn operation(&self, va: u64, level: u8) -> Tlbi {
        if self.tables.is_empty() {
            return leaf_op(self.asid, va, Some((self.granule, level)));
        }
        match self.asid {
            Some(asid) => Tlbi::vae1(SCOPE, va, asid, None),
            None => Tlbi::vaae1(SCOPE, va, None),
        }
    }
}

/// Makes descriptor stores visible to every walker and later instructions of this core use them.
pub(crate) async fn publish(cpu: &impl Cpu) {
    cpu.dsb(DsbKind::ISHST).await;
    cpu.isb().await;
}
