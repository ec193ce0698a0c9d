// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Filling missing pages: a page is there with all its contents, or not there.

use super::Context;
use super::register::has;
use crate::contpte;
use crate::cpu::{AccessSize, Cpu, Privilege};
use crate::folio::{Folio, Mapping};
use crate::mm::{AddressSpace, Error, Found, Vma};
use crate::pte::Pte;
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::DsbKind;

const SIZE: AccessSize = AccessSize::Double;

/// What to copy to where (UFFDIO_COPY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// First byte in the address space of the context, a multiple of the page size.
    pub to: u64,
    /// First byte in the address space of the handler.
    pub from: u64,
    /// Bytes, a multiple of the page size.
    pub bytes: u64,
    /// Leave those asleep who wait for the pages.
    pub dont_wake: bool,
}

impl<C: Cpu> Thread<C> {
    /// Copies pages of the address space of this thread to where pages are missing, and wakes who waits
    /// for them. Returns how many bytes: fewer than asked for if the rest failed, which says why when it
    /// is tried again.
    ///
    /// # Errors
    /// [`Error::Again`] while a mapping is changing, [`Error::Exists`] if a page is there,
    /// [`Error::NotMapped`] if the range is not in one registered area, [`Error::Signal`] if there is
    /// nothing to copy from, [`Error::OutOfMemory`], [`Error::Gone`], [`Error::Invalid`].
    pub async fn uffd_copy(&self, context: &Rc<Context>, copy: Copy) -> Result<u64, Error> {
        let (to, bytes) = (copy.to, copy.bytes);
        let space = self.fillable(context, to, bytes)?;
        self.checked_end(copy.from, bytes)?;
        let page = self.kernel.granule().bytes();
        let mut done = 0;
        let failed = loop {
            if done == bytes {
                break None;
            }
            let place = (to + done, to + bytes);
            let copied = self.copy_page(context, &space, place, copy.from + done);
            match copied.await {
                Ok(()) => done += page,
                Err(error) => break Some(error),
            }
        };
        self.filled(context, (to, done), copy.dont_wake, failed)
            .await
    }

    /// Lets pages that are missing be pages of zeros, and wakes who waits for them. Otherwise as
    /// [`Thread::uffd_copy`].
    ///
    /// # Errors
    /// As [`Thread::uffd_copy`].
    pub async fn uffd_zeropage(
        &self,
        context: &Rc<Context>,
        to: u64,
        bytes: u64,
        dont_wake: bool,
    ) -> Result<u64, Error> {
        let space = self.fillable(context, to, bytes)?;
        let page = self.kernel.granule().bytes();
        let mut done = 0;
        let failed = loop {
            if done == bytes {
                break None;
            }
            let place = (to + done, to + bytes);
            match self.install(context, &space, place, None).await {
                Ok(()) => done += page,
                Err(error) => break Some(error),
            }
        };
        self.filled(context, (to, done), dont_wake, failed).await
    }

    fn fillable(&self, context: &Context, to: u64, bytes: u64) -> Result<Rc<AddressSpace>, Error> {
        context.features()?;
        if context.is_changing() {
            return Err(Error::Again);
        }
        self.checked_range(to, bytes)?;
        context.space()
    }

    /// The source need not be aligned.
    fn checked_end(&self, va: u64, bytes: u64) -> Result<u64, Error> {
        let last = 1 << self.kernel.config().va_bits;
        va.checked_add(bytes)
            .filter(|&end| end <= last)
            .ok_or(Error::Invalid("beyond the address space"))
    }

    async fn copy_page(
        &self,
        context: &Rc<Context>,
        space: &Rc<AddressSpace>,
        place: (u64, u64),
        from: u64,
    ) -> Result<(), Error> {
        // As the policy there has it, if there is an area: it is looked at again under the lock.
        let request = match space.find(place.0) {
            Some(vma) => self.request_for(space, &vma, place.0, 0),
            None => return Err(Error::NotMapped),
        };
        let (folio, _) = self.kernel.allocate_folio(self.core, &request)?;
        let copied = match self.copy_from_user(&folio, from).await {
            Ok(()) => self.install(context, space, place, Some(&folio)).await,
            Err(error) => Err(error),
        };
        if copied.is_err() {
            self.kernel.put_folio(self.core, &folio, 1);
        }
        copied
    }

    /// Without locks, because the source may fault.
    async fn copy_from_user(&self, folio: &Folio, from: u64) -> Result<(), Error> {
        let to = self.kernel.virt(self.kernel.pa(folio.pfn()))?;
        for offset in (0..self.kernel.granule().bytes()).step_by(8) {
            let word = self.user_load(from + offset, SIZE).await?;
            let store = self
                .cpu
                .store(to + offset, SIZE, Privilege::Privileged, word);
            store.await?;
        }
        Ok(())
    }

    /// Maps `folio`, or the zero page, at `va`, where nothing is; all up to `end` has to lie in one
    /// area of the context.
    async fn install(
        &self,
        context: &Rc<Context>,
        space: &Rc<AddressSpace>,
        (va, end): (u64, u64),
        folio: Option<&Rc<Folio>>,
    ) -> Result<(), Error> {
        let _mmap = space.mmap_lock.read(&self.held).await;
        let registered = |vma: &Rc<Vma>| end <= vma.end() && has(vma, context);
        let vma = space.find(va).filter(registered).ok_or(Error::NotMapped)?;
        let _changes = context.map_changing.read(&self.held).await;
        if context.is_changing() {
            return Err(Error::Again);
        }
        let Found::Table(table) = space.walk_or_make(self, va).await? else {
            return Err(Error::Exists);
        };
        let ptr = table.entry(&self.kernel, va)?;
        let _ptl = table.lock.lock(&self.held).await;
        if !contpte::get(self, ptr).await?.is_none() {
            return Err(Error::Exists);
        }
        self.flush_pending(space, va, 1 << ptr.shift).await;
        let granule = self.kernel.granule();
        let pte = match folio {
            Some(folio) => {
                let anon_vma = space.prepare_anon_vma(&vma);
                folio.set_mapping(Mapping::Anon(anon_vma), vma.index(va));
                folio.add_map(0, 1);
                folio.set_anon_exclusive(0, 1, true);
                self.kernel.add_to_lru(folio);
                space.add_resident(1);
                // Its contents are there before it is.
                self.cpu.dsb(DsbKind::ISHST).await;
                let pte = Pte::page(granule, folio.pfn()).with_young(true);
                let pte = vma.protect(pte).make_dirty();
                match vma.protection().write {
                    true => pte.make_writable(),
                    false => pte,
                }
            }
            None => {
                let zero = Pte::page(granule, self.kernel.zero_page());
                vma.protect(zero.with_young(true).make_special())
            }
        };
        contpte::set_ptes(self, space, ptr, pte, 1).await
    }

    /// The end of a fill: who waits for what came to be goes on.
    async fn filled(
        &self,
        context: &Context,
        (to, done): (u64, u64),
        dont_wake: bool,
        failed: Option<Error>,
    ) -> Result<u64, Error> {
        if done > 0 && !dont_wake {
            // The entries are visible before the queue is looked at: who is not in it yet sees them.
            self.cpu.dsb(DsbKind::ISH).await;
            context.wake(to, done);
        }
        match failed {
            Some(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }
}
