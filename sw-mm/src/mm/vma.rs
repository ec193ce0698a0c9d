// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Areas of an address space (section 4): what a range is for, and how areas split and merge. None of
//! that changes a descriptor (MM-31).

use crate::file::File;
use crate::policy::Policy;
use crate::pte::Pte;
use crate::rmap::AnonVma;
use crate::uffd;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What user accesses an area permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protection {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

impl Protection {
    /// Nothing.
    pub const NONE: Self = Self::new(false, false, false);
    /// Loads.
    pub const READ: Self = Self::new(true, false, false);
    /// Loads and stores.
    pub const READ_WRITE: Self = Self::new(true, true, false);
    /// Loads and fetches.
    pub const READ_EXECUTE: Self = Self::new(true, false, true);

    /// These.
    pub const fn new(read: bool, write: bool, execute: bool) -> Self {
        Self {
            read,
            write,
            execute,
        }
    }

    /// Whether anything is permitted.
    pub const fn any(self) -> bool {
        self.read || self.write || self.execute
    }
}

/// What an area is, apart from its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VmaFlags {
    /// Accesses permitted.
    pub protection: Protection,
    /// Stores are seen by everybody who maps the same pages.
    pub shared: bool,
    /// Large folios wanted (MADV_HUGEPAGE).
    pub huge: bool,
    /// No large folios (MADV_NOHUGEPAGE).
    pub no_huge: bool,
    /// A child does not get it.
    pub dont_fork: bool,
    /// Reclaim leaves it alone.
    pub locked: bool,
    /// Faults on missing pages go to user space (userfaultfd).
    pub user_fault: bool,
}

/// An area. Its range changes only under the mmap lock for writing.
#[derive(Debug)]
pub struct Vma {
    start: Cell<u64>,
    end: Cell<u64>,
    /// Page index, in the file or the anon_vma, of its first page.
    page_offset: Cell<u64>,
    flags: Cell<VmaFlags>,
    anon_vma: RefCell<Option<Rc<AnonVma>>>,
    policy: Cell<Option<Policy>>,
    user_fault: RefCell<Option<Rc<uffd::Context>>>,
    file: Option<Rc<File>>,
    shift: u32,
}

impl Vma {
    /// An area of pages of `1 << shift` bytes. Private memory gets its page offset from its address.
    pub fn new(
        start: u64,
        end: u64,
        flags: VmaFlags,
        file: Option<(Rc<File>, u64)>,
        shift: u32,
    ) -> Rc<Self> {
        let page_offset = file.as_ref().map_or(start >> shift, |(_, offset)| *offset);
        Rc::new(Self {
            start: Cell::new(start),
            end: Cell::new(end),
            page_offset: Cell::new(page_offset),
            flags: Cell::new(flags),
            anon_vma: RefCell::default(),
            policy: Cell::new(None),
            user_fault: RefCell::default(),
            file: file.map(|(file, _)| file),
            shift,
        })
    }

    /// First byte.
    pub fn start(&self) -> u64 {
        self.start.get()
    }

    /// First byte after it.
    pub fn end(&self) -> u64 {
        self.end.get()
    }

    /// Bytes.
    pub fn bytes(&self) -> u64 {
        self.end() - self.start()
    }

    /// Whether it holds `va`.
    pub fn contains(&self, va: u64) -> bool {
        (self.start()..self.end()).contains(&va)
    }

    /// What it is.
    pub fn flags(&self) -> VmaFlags {
        self.flags.get()
    }

    /// Accesses permitted.
    pub fn protection(&self) -> Protection {
        self.flags.get().protection
    }

    /// Changes what it is.
    pub fn set_flags(&self, flags: VmaFlags) {
        self.flags.set(flags);
    }

    /// The file behind it.
    pub fn file(&self) -> Option<Rc<File>> {
        self.file.clone()
    }

    /// Whether its pages are private memory until they are written to a file: there is none.
    pub fn is_anonymous(&self) -> bool {
        self.file.is_none()
    }

    /// Where its private pages are found from.
    pub fn anon_vma(&self) -> Option<Rc<AnonVma>> {
        self.anon_vma.borrow().clone()
    }

    /// Sets [`Vma::anon_vma`].
    pub fn set_anon_vma(&self, anon_vma: Option<Rc<AnonVma>>) {
        *self.anon_vma.borrow_mut() = anon_vma;
    }

    /// Where its pages come from, if not from where the address space says.
    pub fn policy(&self) -> Option<Policy> {
        self.policy.get()
    }

    /// Sets [`Vma::policy`].
    pub(crate) fn set_policy(&self, policy: Option<Policy>) {
        self.policy.set(policy);
    }

    /// Who brings its missing pages, of an area with [`VmaFlags::user_fault`].
    pub fn user_fault_context(&self) -> Option<Rc<uffd::Context>> {
        self.user_fault.borrow().clone()
    }

    /// Sets [`Vma::user_fault_context`].
    pub(crate) fn set_user_fault_context(&self, context: Option<Rc<uffd::Context>>) {
        self.flags.set(VmaFlags {
            user_fault: context.is_some(),
            ..self.flags()
        });
        *self.user_fault.borrow_mut() = context;
    }

    /// Page index of its first page.
    pub fn page_offset(&self) -> u64 {
        self.page_offset.get()
    }

    /// Page index of the page at `va`.
    pub fn index(&self, va: u64) -> u64 {
        self.page_offset.get() + ((va - self.start()) >> self.shift)
    }

    /// Address of the page with `index`, if it lies in the area.
    pub fn address(&self, index: u64) -> Option<u64> {
        let page = index.checked_sub(self.page_offset.get())?;
        let va = self.start() + (page << self.shift);
        self.contains(va).then_some(va)
    }

    /// `pte` with the rights that a fault for a read gives: never writable yet, because a private page
    /// has to be copied first and a shared one noticed (section 4).
    pub fn protect(&self, pte: Pte) -> Pte {
        let protection = self.protection();
        let pte = pte.with_execute(protection.execute);
        if protection.any() {
            pte
        } else {
            pte.make_prot_none()
        }
    }

    /// Cuts it at `va`, which lies inside: it keeps what is below, the area returned is the rest.
    pub(crate) fn split(&self, va: u64) -> Rc<Vma> {
        let upper = Rc::new(Self {
            start: Cell::new(va),
            end: Cell::new(self.end()),
            page_offset: Cell::new(self.index(va)),
            flags: self.flags.clone(),
            anon_vma: RefCell::new(self.anon_vma()),
            policy: self.policy.clone(),
            user_fault: self.user_fault.clone(),
            file: self.file(),
            shift: self.shift,
        });
        self.end.set(va);
        upper
    }

    /// Makes it end at `end`.
    pub(crate) fn set_end(&self, end: u64) {
        self.end.set(end);
    }

    /// A copy for another address space, or another address, with the same pages from `first` on. Where
    /// there never was a private page, none has an index yet, and the copy counts from its own
    /// address, so that it can merge with what is there.
    pub(crate) fn copy_at(&self, start: u64, bytes: u64, first: u64) -> Rc<Vma> {
        let untouched = self.is_anonymous() && self.anon_vma().is_none();
        let page_offset = match untouched {
            true => start >> self.shift,
            false => self.index(first),
        };
        Rc::new(Self {
            start: Cell::new(start),
            end: Cell::new(start + bytes),
            page_offset: Cell::new(page_offset),
            flags: self.flags.clone(),
            anon_vma: RefCell::new(self.anon_vma()),
            policy: self.policy.clone(),
            user_fault: self.user_fault.clone(),
            file: self.file(),
            shift: self.shift,
        })
    }

    /// Whether `next`, which begins where it ends, is more of the same.
    pub(crate) fn continues(&self, next: &Vma) -> bool {
        let same_file = match (&self.file, &next.file) {
            (None, None) => true,
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            _ => false,
        };
        let same_anon = match (&*self.anon_vma.borrow(), &*next.anon_vma.borrow()) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            _ => true,
        };
        let same_handler = match (&*self.user_fault.borrow(), &*next.user_fault.borrow()) {
            (None, None) => true,
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            _ => false,
        };
        self.end() == next.start()
            && same_handler
            && self.flags() == next.flags()
            && self.policy() == next.policy()
            && same_file
            && same_anon
            && self.page_offset() + (self.bytes() >> self.shift) == next.page_offset()
    }

    /// Takes in `next`, of which [`Vma::continues`] holds.
    pub(crate) fn merge(&self, next: &Vma) {
        self.end.set(next.end());
        if self.anon_vma().is_none() {
            self.set_anon_vma(next.anon_vma());
        }
    }
}
