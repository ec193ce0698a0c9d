// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a fault asks for (section 6). Every fault either changes a table, waits for somebody, ends in
//! a signal, or flushes a stale entry.

use super::error::{Error, Signal};
use super::flush::FlushRange;
use super::space::AddressSpace;
use super::table::{Found, Table};
use super::vma::Vma;
use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::lock::ReadGuard;
use crate::pte::{Kind, Pte, PtePtr};
use crate::thread::Thread;
use crate::uffd::Waiting;
use std::rc::Rc;
use vmsa::{AccessFault, DsbKind, FaultKind};

/// A fault as the handlers see it.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The address space.
    pub space: Rc<AddressSpace>,
    /// The area.
    pub vma: Rc<Vma>,
    /// First byte of the page.
    pub va: u64,
    /// The access was a store or an atomic.
    pub write: bool,
    /// The page has to be a page of memory, not the zero page, whatever the area permits
    /// (FAULT_FLAG_UNSHARE).
    pub unshare: bool,
    /// Kind that hardware reported.
    pub kind: FaultKind,
    /// Keeps the areas as they are.
    _mmap: ReadGuard,
}

/// What is left to do when a fault was looked at and the mmap lock is let go.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing: the access is made again.
    Done,
    /// Wait until the folio that is on its way has arrived.
    Migration(Rc<crate::folio::Folio>),
    /// Sleep until a handler in user space has brought the page.
    UserFault(Waiting),
}

impl<C: Cpu> Thread<C> {
    /// Handles a fault of a user access of this thread.
    ///
    /// # Errors
    /// [`Error::Signal`] if the access is not permitted; whatever kept it from being handled.
    pub async fn handle_fault(&self, fault: &AccessFault) -> Result<(), Error> {
        self.handle_fault_for(fault, false).await
    }

    /// [`Thread::handle_fault`], for a load with `unshare` as [`Fault::unshare`] says.
    pub(crate) async fn handle_fault_for(
        &self,
        fault: &AccessFault,
        unshare: bool,
    ) -> Result<(), Error> {
        let va = fault.va & !(0xff << 56);
        let space = self.space().ok_or(Error::segv(va))?;
        let page = space.page(va);
        let _span = self.span(Activity::Fault, space.number(), page, 0);
        let counters = &self.kernel.counters;
        let kind = fault.fsc.kind().ok_or(Error::Kernel(*fault))?;
        match kind {
            FaultKind::Translation => counters.translation_faults.increment(),
            FaultKind::AccessFlag => counters.access_flag_faults.increment(),
            FaultKind::Permission => counters.permission_faults.increment(),
            FaultKind::AddressSize => return Err(Error::segv(va)),
            FaultKind::Alignment => {
                let signal = Signal::Bus;
                return Err(Error::Signal { signal, va });
            }
            _ => return Err(Error::Kernel(*fault)),
        }
        let mmap = space.mmap_lock.read(&self.held).await;
        let vma = space.find(va).ok_or(Error::segv(va))?;
        let protection = vma.protection();
        let permitted = if fault.instruction {
            protection.execute
        } else if fault.write {
            protection.write
        } else {
            protection.any()
        };
        if !permitted {
            return Err(Error::segv(va));
        }
        let fault = Fault {
            space,
            vma,
            va: page,
            write: fault.write,
            unshare,
            kind,
            _mmap: mmap,
        };
        match self.handle_mm_fault(&fault).await? {
            Outcome::Done => Ok(()),
            Outcome::Migration(folio) => {
                drop(fault);
                self.held.may_sleep();
                drop(self.lock_folio(&folio).await);
                Ok(())
            }
            Outcome::UserFault(waiting) => {
                let number = fault.space.number();
                drop(fault);
                self.held.may_sleep();
                counters.user_faults.increment();
                let _span = self.span(Activity::UserFault, number, page, 0);
                waiting.sleep().await;
                Ok(())
            }
        }
    }

    async fn handle_mm_fault(&self, fault: &Fault) -> Result<Outcome, Error> {
        if self.fault_huge(fault).await? {
            return Ok(Outcome::Done);
        }
        let table = match fault.space.walk_or_make(self, fault.va).await? {
            Found::Table(table) => table,
            Found::Block(table, ..) => {
                self.fault_block(fault, &table).await?;
                return Ok(Outcome::Done);
            }
            Found::Nothing(_) => return Ok(Outcome::Done),
        };
        let ptr = table.entry(&self.kernel, fault.va)?;
        let pte = contpte::get_lockless(self, ptr).await?;
        if pte.is_none()
            && fault.vma.flags().user_fault
            && let Some(outcome) = self.fault_missing(fault, ptr).await?
        {
            return Ok(outcome);
        }
        match pte.kind() {
            Kind::None if fault.vma.is_anonymous() => {
                self.fault_anonymous(fault, &table, ptr).await?;
            }
            Kind::None => self.fault_file(fault, &table, ptr).await?,
            Kind::Present => self.fault_present(fault, &table, ptr, pte).await?,
            Kind::Swap { .. } => self.fault_swap(fault, &table, ptr, pte).await?,
            Kind::Migration(_) => {
                let folio = self.moving_folio(&table, ptr).await?;
                return Ok(folio.map_or(Outcome::Done, Outcome::Migration));
            }
            Kind::ProtNone => self.fault_hinting(fault, &table, ptr, pte).await?,
            Kind::Unknown => {
                return Err(Error::Corrupt {
                    entry: pte.0,
                    va: fault.va,
                });
            }
        }
        Ok(Outcome::Done)
    }

    /// The page is there, but not for this access: write permission, dirty state or access flag.
    async fn fault_present(
        &self,
        fault: &Fault,
        table: &Rc<Table>,
        ptr: PtePtr,
        seen: Pte,
    ) -> Result<(), Error> {
        let ptl = table.lock.lock(&self.held).await;
        let pte = contpte::get(self, ptr).await?;
        if pte.norm() != seen.norm() || !pte.valid() {
            // Somebody changed it meanwhile: the access finds out what it is now.
            return Ok(());
        }
        let unshare = fault.unshare && pte.special();
        if (fault.write || unshare) && !pte.writable() {
            return self.write_protected(fault, table, ptr, pte, ptl).await;
        }
        let wanted = pte.with_young(true);
        let wanted = if fault.write {
            wanted.make_dirty()
        } else {
            wanted
        };
        let space = &fault.space;
        if contpte::set_access_flags(self, space, ptr, wanted, fault.write).await? {
            return Ok(());
        }
        drop(ptl);
        self.spurious(fault).await;
        Ok(())
    }

    /// Nothing was to be changed: an entry that is stale, or a store that is not visible yet, caused
    /// the fault (MM-13).
    pub(crate) async fn spurious(&self, fault: &Fault) {
        self.kernel.counters.spurious_faults.increment();
        if fault.kind == FaultKind::Permission {
            self.flush_page_local(&fault.space, fault.va).await;
        } else {
            // Entries that cause translation and access flag faults are not cached.
            self.cpu.dsb(DsbKind::ISHST).await;
            self.cpu.isb().await;
        }
    }

    /// If somebody took entries out of `space` and has not flushed yet, flushes for them, because what
    /// follows relies on nobody using the old ones (section 8).
    pub(crate) async fn flush_pending(&self, space: &AddressSpace, va: u64, bytes: u64) {
        if space.flush_pending.get() > 0 {
            let range = FlushRange::pages(self.kernel.granule(), va, va + bytes);
            self.flush_range(space, range).await;
        }
    }
}
