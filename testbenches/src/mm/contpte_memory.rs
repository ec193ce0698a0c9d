// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Memory that faults have mapped by folded blocks, and two threads that use it.

use std::ops::Range;
use std::rc::Rc;

use cosim::regress::Failure;
use cosim::sim::CoreHandle;
use sw_mm::Cpu;
use sw_mm::mm::{AddressSpace, Found, Map, Protection, Table};
use sw_mm::pte::Pte;
use sw_mm::thread::Thread;
use vmsa::DsbKind;

use super::access::{access, store};
use super::contpte_scene::{VA, block_entries};
use super::os::{Os, join};
use crate::stage1::watch::expect;

/// Memory of which faults have made one folded folio a block, with two threads that use it. Each block
/// holds its number, from 1 on, at the beginning of its page 2.
pub struct Folded {
    /// Who made it.
    pub thread: Rc<Thread<CoreHandle>>,
    /// Another user of the address space, on another core if there is one.
    pub other: Rc<Thread<CoreHandle>>,
    /// The address space.
    pub space: Rc<AddressSpace>,
    /// The last-level table of all of it.
    pub table: Rc<Table>,
    /// Entries of a block.
    pub n: u64,
}

impl Folded {
    /// `blocks` blocks from [`VA`] on. The kernel is configured to try folios of a block.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn new(os: &Os, blocks: u64) -> Result<Self, Failure> {
        let (thread, other) = os.pair();
        let space = os.space().await?;
        let granule = os.kernel.granule();
        let (n, page) = (block_entries(granule), granule.bytes());
        let map = Map::anonymous(VA, blocks * n * page, Protection::READ_WRITE);
        thread.mmap(&map).await?;
        for block in 0..blocks {
            let va = VA + (block * n + 2) * page;
            access(&thread, store(va, block + 1)).await?;
        }
        thread.cpu.dsb(DsbKind::ISH).await;
        join(&other, &space).await;
        let Found::Table(table) = space.walk(&thread, VA).await? else {
            return Err("there is no table".into());
        };
        let folded = Self {
            thread,
            other,
            space,
            table,
            n,
        };
        let hints = folded.hints(os, &folded.space, 0..blocks * n);
        expect("CONTPTE-02", hints == blocks * n, || {
            format!("{hints} of {} entries are folded", blocks * n)
        })?;
        Ok(folded)
    }

    /// `offset` bytes into the memory.
    #[must_use]
    pub fn va(&self, offset: u64) -> u64 {
        VA + offset
    }

    /// The entry of page `page` in `space`, one of those that have this memory.
    #[must_use]
    pub fn pte(&self, os: &Os, space: &AddressSpace, page: u64) -> Pte {
        let leaf = os.leaf(space, VA + page * os.kernel.granule().bytes());
        leaf.map_or(Pte::NONE, |(_, leaf)| Pte(leaf.0))
    }

    /// Entries of `space` with the contiguous hint.
    #[must_use]
    pub fn hints(&self, os: &Os, space: &AddressSpace, pages: Range<u64>) -> u64 {
        let hinted = pages.filter(|&page| self.pte(os, space, page).cont());
        hinted.count() as u64
    }

    /// Takes everything down; every frame is free again.
    ///
    /// # Errors
    /// As [`Os::all_freed`].
    pub async fn end(self, os: &Os) -> Result<(), Failure> {
        self.other.exit().await?;
        self.thread.switch_to(&self.space).await;
        self.thread.exit().await?;
        os.all_freed()
    }
}
