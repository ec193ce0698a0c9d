// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tables of an address space: how they are made, linked, walked and unlinked (section 4).
//!
//! A table page is zeroed, and that visible, before it is linked (MM-04). Links change under the lock
//! of the upper tables. A table goes away only under the mmap lock for writing, so whoever holds that
//! for reading may keep what a walk found; whoever does not looks at [`Table::dead`] once it has the
//! table's lock.

use super::error::Error;
use super::gather::Gather;
use super::space::AddressSpace;
use super::vma::Vma;
use crate::cpu::{AccessSize, Cpu, Privilege};
use crate::event::{Activity, OsEvent, Phase};
use crate::folio::Owner;
use crate::kernel::Kernel;
use crate::lock::{Class, Lock};
use crate::page::{NodeId, Pfn, Request};
use crate::pte::{Pte, PtePtr};
use crate::thread::Thread;
use std::cell::Cell;
use std::rc::Rc;
use vmsa::{Descriptor, DsbKind, geometry};

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Frame that holds it.
    pub pfn: Pfn,
    /// Its physical address.
    pub pa: u64,
    /// Level of its entries.
    pub level: u8,
    /// First user address that it translates.
    pub base: u64,
    /// Number of the address space that it belongs to.
    pub space: u32,
    /// Guards its entries (PTL).
    pub lock: Lock,
    /// It was unlinked.
    pub dead: Cell<bool>,
}

/// What a walk ended at.
#[derive(Debug, Clone)]
pub enum Found {
    /// No table at this level.
    Nothing(u8),
    /// A leaf of this level above the last.
    Block(Rc<Table>, PtePtr, Pte),
    /// The last-level table.
    Table(Rc<Table>),
}

impl Table {
    /// A table without entries for address space `space`, on the node of the thread's core.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or the fault of a store.
    pub(crate) async fn allocate<C: Cpu>(
        thread: &Thread<C>,
        space: u32,
        level: u8,
        base: u64,
    ) -> Result<Rc<Self>, Error> {
        let kernel = &thread.kernel;
        let request = Request::new(0, kernel.node_of_core(thread.core));
        let allocate = |request: &Request| kernel.allocate_block(thread.core, request);
        let block = thread.allocate_with(&request, allocate).await?;
        let pa = kernel.pa(block.pfn);
        if !block.zeroed {
            let cleared = thread.clear_memory(pa, kernel.granule().bytes()).await;
            if let Err(error) = cleared {
                kernel.free_block(thread.core, block.pfn, 0);
                return Err(error);
            }
        }
        let table = Rc::new(Self {
            pfn: block.pfn,
            pa,
            level,
            base,
            space,
            lock: Lock::new(Class::PageTable, pa),
            dead: Cell::new(false),
        });
        kernel
            .frames
            .insert(block.pfn, Owner::Table(Rc::clone(&table)));
        Ok(table)
    }

    /// The entry that translates `va`.
    ///
    /// # Errors
    /// [`Error::OutsideLinearMap`].
    pub fn entry(&self, kernel: &Kernel, va: u64) -> Result<PtePtr, Error> {
        let shift = geometry::level_lsb(kernel.granule(), self.level);
        let granule = kernel.granule();
        let index = geometry::index(granule, kernel.config().va_bits, self.level, va);
        Ok(PtePtr {
            slot: kernel.virt(self.pa)? + index * 8,
            va: va >> shift << shift,
            table: self.pa,
            shift,
        })
    }

    /// First address after those that it translates.
    pub fn end(&self, kernel: &Kernel) -> u64 {
        let entries = kernel.granule().entries();
        self.base + entries * geometry::level_bytes(kernel.granule(), self.level)
    }

    /// Node of its frame.
    pub fn node(&self, kernel: &Kernel) -> NodeId {
        kernel.memory.node_of(self.pfn).unwrap_or(NodeId(0))
    }
}

impl AddressSpace {
    /// Walks down to the last-level table for `va`, reading each entry on the way.
    ///
    /// # Errors
    /// The fault of an access, or [`Error::Corrupt`].
    pub async fn walk<C: Cpu>(&self, thread: &Thread<C>, va: u64) -> Result<Found, Error> {
        let mut table = Rc::clone(&self.root);
        while table.level < geometry::FINAL_LEVEL {
            let ptr = table.entry(&thread.kernel, va)?;
            let entry = read(thread, ptr).await?;
            if entry.0 == 0 {
                return Ok(Found::Nothing(table.level));
            }
            // A block is one too while hardware may not use it.
            if !entry.is_table_bit() {
                return Ok(Found::Block(table, ptr, Pte(entry.0)));
            }
            table = next(thread, entry, va)?;
        }
        Ok(Found::Table(table))
    }

    /// The last-level table for `va`, made with all above it that is missing. A leaf in the way is
    /// returned as it is.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], the fault of an access, or [`Error::Corrupt`].
    pub async fn walk_or_make<C: Cpu>(&self, thread: &Thread<C>, va: u64) -> Result<Found, Error> {
        self.walk_or_make_to(thread, va, geometry::FINAL_LEVEL)
            .await
    }

    /// As [`AddressSpace::walk_or_make`], down to the table of `level`.
    ///
    /// # Errors
    /// As [`AddressSpace::walk_or_make`].
    pub(crate) async fn walk_or_make_to<C: Cpu>(
        &self,
        thread: &Thread<C>,
        va: u64,
        level: u8,
    ) -> Result<Found, Error> {
        let mut table = Rc::clone(&self.root);
        while table.level < level {
            let ptr = table.entry(&thread.kernel, va)?;
            let mut entry = read(thread, ptr).await?;
            if entry.0 == 0 {
                self.make(thread, &table, va).await?;
                entry = read(thread, ptr).await?;
            }
            if !entry.is_table_bit() {
                return Ok(Found::Block(table, ptr, Pte(entry.0)));
            }
            table = next(thread, entry, va)?;
        }
        Ok(Found::Table(table))
    }

    /// Links a new table below `above` for `va`, unless somebody else was faster.
    async fn make<C: Cpu>(&self, thread: &Thread<C>, above: &Table, va: u64) -> Result<(), Error> {
        let (kernel, level) = (&thread.kernel, above.level + 1);
        let shift = geometry::level_lsb(kernel.granule(), above.level);
        let new = Table::allocate(thread, self.number(), level, va >> shift << shift).await?;
        let ptr = above.entry(kernel, va)?;
        let linked = {
            let _upper = self.upper_lock.lock(&thread.held).await;
            let vacant = read(thread, ptr).await?.0 == 0;
            if vacant {
                self.link(thread, ptr, &new).await?;
            }
            vacant
        };
        if !linked {
            kernel.free_block(thread.core, new.pfn, 0);
        }
        Ok(())
    }

    /// Links `table` at `ptr`, with its contents visible before it. The lock of the upper tables is
    /// held.
    pub(crate) async fn link<C: Cpu>(
        &self,
        thread: &Thread<C>,
        ptr: PtePtr,
        table: &Table,
    ) -> Result<(), Error> {
        thread.cpu.dsb(DsbKind::ISHST).await;
        let descriptor = Descriptor::table(table.pa);
        store(thread, ptr, descriptor).await?;
        self.tables.set(self.tables.get() + 1);
        self.tell_table(thread, Activity::TableLinked, table);
        Ok(())
    }

    /// Clears the entry at `ptr`, which links `table`. What it held goes into a gather, which frees
    /// it after the flush (MM-05).
    pub(crate) async fn unlink_table<C: Cpu>(
        &self,
        thread: &Thread<C>,
        ptr: PtePtr,
        table: &Table,
    ) -> Result<(), Error> {
        store(thread, ptr, Descriptor::INVALID).await?;
        table.dead.set(true);
        self.tables.set(self.tables.get().saturating_sub(1));
        self.tell_table(thread, Activity::TableUnlinked, table);
        Ok(())
    }

    fn tell_table<C>(&self, thread: &Thread<C>, activity: Activity, table: &Table) {
        thread.kernel.tell(&OsEvent {
            core: thread.core,
            phase: Phase::Instant,
            activity,
            space: self.number(),
            va: table.base,
            pa: table.pa,
            bytes: thread.kernel.granule().bytes(),
        });
    }

    /// Unlinks the tables of `areas`, which were taken out and whose entries are all clear, as far as
    /// they translate nothing outside of `limits`: where the next areas below and above are (floor and
    /// ceiling, MM-32). The mmap lock is held for writing.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn free_tables_of<C: Cpu>(
        &self,
        thread: &Thread<C>,
        gather: &mut Gather,
        areas: &[Rc<Vma>],
        limits: (u64, u64),
    ) -> Result<(), Error> {
        for (index, vma) in areas.iter().enumerate() {
            // A table that the next area uses too goes with that one.
            let ceiling = areas.get(index + 1).map_or(limits.1, |next| next.start());
            let range = (vma.start(), vma.end());
            let limits = (limits.0, ceiling);
            self.free_below(thread, gather, Rc::clone(&self.root), range, limits)
                .await?;
        }
        Ok(())
    }

    async fn free_below<C: Cpu>(
        &self,
        thread: &Thread<C>,
        gather: &mut Gather,
        table: Rc<Table>,
        (start, end): (u64, u64),
        limits: (u64, u64),
    ) -> Result<(), Error> {
        let kernel = &thread.kernel;
        let bytes = geometry::level_bytes(kernel.granule(), table.level);
        if table.level == geometry::FINAL_LEVEL {
            return Ok(());
        }
        let mut va = start.max(table.base) & !(bytes - 1);
        while va < end.min(table.end(kernel)) {
            let ptr = table.entry(kernel, va)?;
            let entry = read(thread, ptr).await?;
            if entry.valid() && entry.is_table_bit() {
                let below = next(thread, entry, va)?;
                let deeper =
                    self.free_below(thread, gather, Rc::clone(&below), (start, end), limits);
                Box::pin(deeper).await?;
                if limits.0 <= va && va + bytes <= limits.1 {
                    let _upper = self.upper_lock.lock(&thread.held).await;
                    // Whoever found the table before and waits for its lock sees that it is dead.
                    let _entries = below.lock.lock(&thread.held).await;
                    self.unlink_table(thread, ptr, &below).await?;
                    gather.table(&below);
                }
            }
            va += bytes;
        }
        Ok(())
    }
}

/// The table that `entry` points at.
pub(crate) fn next<C>(thread: &Thread<C>, entry: Descriptor, va: u64) -> Result<Rc<Table>, Error> {
    let kernel = &thread.kernel;
    let pa = entry.next_table(kernel.granule());
    let table = kernel.frames.table(Pfn(pa >> kernel.granule().shift()));
    table.ok_or(Error::Corrupt { entry: entry.0, va })
}

async fn read<C: Cpu>(thread: &Thread<C>, ptr: PtePtr) -> Result<Descriptor, Error> {
    let word = thread
        .cpu
        .load(ptr.slot, AccessSize::Double, Privilege::Privileged)
        .await?;
    Ok(Descriptor(word))
}

async fn store<C: Cpu>(thread: &Thread<C>, ptr: PtePtr, value: Descriptor) -> Result<(), Error> {
    let (size, level) = (AccessSize::Double, Privilege::Privileged);
    Ok(thread.cpu.store(ptr.slot, size, level, value.0).await?)
}
