// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! madvise and mlock: what is to become of the pages of a range. Areas split and merge; no entry
//! changes (MM-31).

use super::error::Error;
use super::vma::VmaFlags;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::thread::Thread;

/// What to do with the pages of a range from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Large folios, as large as a block (MADV_HUGEPAGE).
    HugePage,
    /// No large folios (MADV_NOHUGEPAGE). Those that are there stay.
    NoHugePage,
    /// A child does not get the range (MADV_DONTFORK).
    DontFork,
    /// A child gets it (MADV_DOFORK).
    DoFork,
}

impl Advice {
    const fn apply(self, flags: VmaFlags) -> VmaFlags {
        match self {
            Self::HugePage => VmaFlags {
                huge: true,
                no_huge: false,
                ..flags
            },
            Self::NoHugePage => VmaFlags {
                huge: false,
                no_huge: true,
                ..flags
            },
            Self::DontFork => VmaFlags {
                dont_fork: true,
                ..flags
            },
            Self::DoFork => VmaFlags {
                dont_fork: false,
                ..flags
            },
        }
    }
}

impl<C: Cpu> Thread<C> {
    /// Gives advice on `bytes` bytes at `va`.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::NotMapped`] if an address has no area (nothing is changed then).
    pub async fn madvise(&self, va: u64, bytes: u64, advice: Advice) -> Result<(), Error> {
        self.change_flags(va, bytes, |flags| advice.apply(flags))
            .await
    }

    /// Keeps the pages of `bytes` bytes at `va` from reclaim, those to come too (MLOCK_ONFAULT).
    ///
    /// # Errors
    /// As [`Thread::madvise`].
    pub async fn mlock(&self, va: u64, bytes: u64) -> Result<(), Error> {
        self.change_flags(va, bytes, |flags| VmaFlags {
            locked: true,
            ..flags
        })
        .await
    }

    /// Leaves the pages of `bytes` bytes at `va` to reclaim again.
    ///
    /// # Errors
    /// As [`Thread::madvise`].
    pub async fn munlock(&self, va: u64, bytes: u64) -> Result<(), Error> {
        self.change_flags(va, bytes, |flags| VmaFlags {
            locked: false,
            ..flags
        })
        .await
    }

    async fn change_flags(
        &self,
        va: u64,
        bytes: u64,
        change: impl Fn(VmaFlags) -> VmaFlags,
    ) -> Result<(), Error> {
        let space = self.space().ok_or(Error::NotMapped)?;
        let end = self.checked_range(va, bytes)?;
        let _span = self.span(Activity::Madvise, space.number(), va, bytes);
        let _mmap = space.mmap_lock.write(&self.held).await;
        for vma in space.cut(va, end)? {
            vma.set_flags(change(vma.flags()));
        }
        space.merge(va, end);
        Ok(())
    }
}
