// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which areas a context has.

use super::Context;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::mm::{AddressSpace, Error, Vma};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// Opens a context for the address space of this thread.
    ///
    /// # Errors
    /// [`Error::NotMapped`] without an address space.
    pub fn userfaultfd(&self) -> Result<Rc<Context>, Error> {
        let space = self.space().ok_or(Error::NotMapped)?;
        Ok(Context::new(&space, self.kernel.number_context(), None))
    }

    /// From now on accesses to missing pages in the `bytes` bytes at `va`, where there are areas, wait
    /// for the handler of `context` (UFFDIO_REGISTER, missing mode). Pages that are there stay.
    ///
    /// # Errors
    /// [`Error::NotMapped`] if there is no area, [`Error::Invalid`] for areas of files,
    /// [`Error::Busy`] for those of another context, [`Error::Gone`]. Nothing is registered then.
    pub async fn uffd_register(
        &self,
        context: &Rc<Context>,
        va: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        context.features()?;
        let end = self.checked_range(va, bytes)?;
        let space = context.space()?;
        let _span = self.span(Activity::Madvise, space.number(), va, bytes);
        let _mmap = space.mmap_lock.write(&self.held).await;
        let areas = space.areas_in(va, end);
        if areas.is_empty() {
            return Err(Error::NotMapped);
        }
        for vma in &areas {
            if !vma.is_anonymous() || vma.flags().shared {
                return Err(Error::Invalid("the pages are those of a file"));
            }
            if vma.user_fault_context().is_some() && !has(vma, context) {
                return Err(Error::Busy);
            }
        }
        space.split_at(va);
        space.split_at(end);
        for vma in space.areas_in(va, end) {
            vma.set_user_fault_context(Some(Rc::clone(context)));
        }
        space.merge(va, end);
        Ok(())
    }

    /// Takes that back; whoever waits there goes on, and finds what any access finds
    /// (UFFDIO_UNREGISTER).
    ///
    /// # Errors
    /// [`Error::NotMapped`] if there is no area, [`Error::Invalid`] for areas of another context,
    /// [`Error::Gone`].
    pub async fn uffd_unregister(
        &self,
        context: &Rc<Context>,
        va: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        context.features()?;
        let end = self.checked_range(va, bytes)?;
        let space = context.space()?;
        let _span = self.span(Activity::Madvise, space.number(), va, bytes);
        let _mmap = space.mmap_lock.write(&self.held).await;
        let areas = space.areas_in(va, end);
        if areas.is_empty() {
            return Err(Error::NotMapped);
        }
        let foreign = |vma: &Rc<Vma>| vma.user_fault_context().is_some() && !has(vma, context);
        if areas.iter().any(foreign) {
            return Err(Error::Invalid("registered with another context"));
        }
        space.split_at(va);
        space.split_at(end);
        forget(&space, context, va, end);
        context.wake(va, bytes);
        Ok(())
    }

    /// Nobody reads from `context` any more: what it has is as if never registered, and whoever waits
    /// goes on.
    pub async fn uffd_close(&self, context: &Rc<Context>) {
        context.shut();
        if let Ok(space) = context.space() {
            let _mmap = space.mmap_lock.write(&self.held).await;
            forget(&space, context, 0, space.end());
        }
        // Who came in between.
        context.wake(0, u64::MAX);
    }
}

/// Areas in `start..end` have `context` no longer. The mmap lock is held for writing.
fn forget(space: &Rc<AddressSpace>, context: &Rc<Context>, start: u64, end: u64) {
    for vma in space.areas_in(start, end) {
        if has(&vma, context) {
            vma.set_user_fault_context(None);
        }
    }
    space.merge(start, end);
}

/// Whether `vma` is registered with `context`.
pub(super) fn has(vma: &Vma, context: &Rc<Context>) -> bool {
    let own = vma.user_fault_context();
    own.is_some_and(|own| Rc::ptr_eq(&own, context))
}
