// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Who has which frame, and the ways of a folio from and to the allocator.

use super::{Folio, PIN};
use crate::cpu::Cpu;
use crate::event::{Activity, OsEvent, Phase};
use crate::kernel::Kernel;
use crate::mm::{Error, Table};
use crate::page::{Block, Pfn, Request};
use crate::thread::Thread;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Who has a frame.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A folio.
    Folio(Rc<Folio>),
    /// A translation table.
    Table(Rc<Table>),
}

/// The frames in use, by the first of each owner.
#[derive(Debug, Default)]
pub struct Frames {
    owners: RefCell<BTreeMap<Pfn, Owner>>,
}

impl Frames {
    /// The folio that frame `pfn` belongs to.
    pub fn folio(&self, pfn: Pfn) -> Option<Rc<Folio>> {
        let owners = self.owners.borrow();
        match owners.range(..=pfn).next_back()? {
            (head, Owner::Folio(folio)) if pfn.0 - head.0 < folio.pages() => Some(Rc::clone(folio)),
            _ => None,
        }
    }

    /// The table in frame `pfn`.
    pub fn table(&self, pfn: Pfn) -> Option<Rc<Table>> {
        match self.owners.borrow().get(&pfn)? {
            Owner::Table(table) => Some(Rc::clone(table)),
            Owner::Folio(_) => None,
        }
    }

    /// Every owner, ascending.
    pub fn all(&self) -> Vec<Owner> {
        self.owners.borrow().values().cloned().collect()
    }

    pub(crate) fn insert(&self, pfn: Pfn, owner: Owner) {
        self.owners.borrow_mut().insert(pfn, owner);
    }

    pub(crate) fn remove(&self, pfn: Pfn) {
        self.owners.borrow_mut().remove(&pfn);
    }
}

impl Kernel {
    /// Takes a block of frames and tells the witness.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn allocate_block(&self, core: u8, request: &Request) -> Result<Block, Error> {
        let block = self.memory.allocate(request).ok_or(Error::OutOfMemory)?;
        self.tell_frames(core, Activity::FrameAllocated, block.pfn, block.order);
        Ok(block)
    }

    /// Gives a block back. The caller vouches that no translation reaches it any more (MM-02).
    pub(crate) fn free_block(&self, core: u8, pfn: Pfn, order: u8) {
        self.frames.remove(pfn);
        self.tell_frames(core, Activity::FrameFreed, pfn, order);
        // A frame freed twice stays as it is; the audit of the allocator tells.
        let _ = self.memory.free(pfn, order);
    }

    fn tell_frames(&self, core: u8, activity: Activity, pfn: Pfn, order: u8) {
        self.tell(&OsEvent {
            core,
            phase: Phase::Instant,
            activity,
            space: 0,
            va: 0,
            pa: self.pa(pfn),
            bytes: self.granule().bytes() << order,
        });
    }

    /// A new folio with one reference; its contents are what the frames last held, or zeros if the
    /// answer says so.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn allocate_folio(&self, core: u8, request: &Request) -> Result<(Rc<Folio>, bool), Error> {
        let block = self.allocate_block(core, request)?;
        let folio = Rc::new(Folio::new(block.pfn, block.order, block.node));
        self.frames
            .insert(block.pfn, Owner::Folio(Rc::clone(&folio)));
        Ok((folio, block.zeroed))
    }

    /// `count` references less; the last one frees the folio.
    pub fn put_folio(&self, core: u8, folio: &Folio, count: u64) {
        if folio.put(count) {
            folio.lru.set(false);
            self.free_block(core, folio.pfn(), folio.order());
        }
    }

    /// Takes a pin back ([`Folio::pin`]).
    pub fn unpin_folio(&self, core: u8, folio: &Folio) {
        folio.unpin();
        self.put_folio(core, folio, PIN);
    }
}

impl<C: Cpu> Thread<C> {
    /// As [`Kernel::allocate_folio`]; makes room if there is none.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or the fault of an access.
    pub async fn allocate_folio(&self, request: &Request) -> Result<(Rc<Folio>, bool), Error> {
        let allocate = |request: &Request| self.kernel.allocate_folio(self.core, request);
        self.allocate_with(request, allocate).await
    }

    /// A new folio that holds zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or the fault of a store.
    pub async fn allocate_zeroed_folio(&self, request: &Request) -> Result<Rc<Folio>, Error> {
        let (folio, zeroed) = self.allocate_folio(request).await?;
        if !zeroed {
            let pa = self.kernel.pa(folio.pfn());
            let bytes = self.kernel.granule().bytes() << folio.order();
            self.clear_memory(pa, bytes).await?;
            self.kernel.counters.clears.add(folio.pages());
        }
        Ok(folio)
    }
}
