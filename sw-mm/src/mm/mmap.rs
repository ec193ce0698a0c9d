// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! mmap: a new area. No table changes; pages come with the faults.

use super::error::Error;
use super::vma::{Protection, Vma, VmaFlags};
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::file::File;
use crate::thread::Thread;
use std::rc::Rc;

/// What to map.
#[derive(Debug, Clone)]
pub struct Map {
    /// First byte, a multiple of the page size.
    pub va: u64,
    /// Bytes, a multiple of the page size.
    pub bytes: u64,
    /// Accesses permitted.
    pub protection: Protection,
    /// Stores are seen by everybody who maps the same pages. Without a file this needs one of its own.
    pub shared: bool,
    /// File and first page of it; private memory without.
    pub file: Option<(Rc<File>, u64)>,
}

impl Map {
    /// Private memory.
    pub fn anonymous(va: u64, bytes: u64, protection: Protection) -> Self {
        Self {
            va,
            bytes,
            protection,
            shared: false,
            file: None,
        }
    }
}

impl<C: Cpu> Thread<C> {
    /// Adds an area to the address space of this thread, where there is none yet.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::Exists`] if something is mapped there.
    pub async fn mmap(&self, map: &Map) -> Result<(), Error> {
        let space = self.space().ok_or(Error::NotMapped)?;
        let end = self.checked_range(map.va, map.bytes)?;
        let _span = self.span(Activity::Mmap, space.number(), map.va, map.bytes);
        let _mmap = space.mmap_lock.write(&self.held).await;
        if !space.areas_in(map.va, end).is_empty() {
            return Err(Error::Exists);
        }
        if map.shared && map.file.is_none() {
            return Err(Error::Invalid("shared memory is that of a file"));
        }
        let flags = VmaFlags {
            protection: map.protection,
            shared: map.shared,
            ..VmaFlags::default()
        };
        let vma = Vma::new(map.va, end, flags, map.file.clone(), space.shift());
        space.insert(vma);
        Ok(())
    }

    /// End of the range of `bytes` bytes at `va`.
    pub(crate) fn checked_range(&self, va: u64, bytes: u64) -> Result<u64, Error> {
        let page = self.kernel.granule().bytes();
        let last = 1 << self.kernel.config().va_bits;
        if !va.is_multiple_of(page) || !bytes.is_multiple_of(page) || bytes == 0 {
            return Err(Error::Invalid("not a multiple of the page size"));
        }
        va.checked_add(bytes)
            .filter(|&end| end <= last)
            .ok_or(Error::Invalid("beyond the address space"))
    }
}
