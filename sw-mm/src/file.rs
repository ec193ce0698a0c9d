// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Files that live in memory: a page cache without a disk behind it, as tmpfs has.

use crate::folio::Folio;
use crate::lock::{Class, Lock};
use crate::mm::{AddressSpace, Vma};
use crate::rmap::Links;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A file. Its pages come to be, zeroed, when they are first touched.
#[derive(Debug)]
pub struct File {
    pages: RefCell<BTreeMap<u64, Rc<Folio>>>,
    length: u64,
    links: Links,
    /// Guards a walk of its mappings against areas that move (i_mmap lock).
    pub lock: Lock,
}

impl File {
    /// An empty file of `length` pages; `number` tells files apart.
    pub fn new(number: u64, length: u64) -> Rc<Self> {
        Rc::new(Self {
            pages: RefCell::default(),
            length,
            links: Links::default(),
            lock: Lock::new(Class::AnonVma, 1 << 63 | number),
        })
    }

    /// Pages.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The folio of page `index`, if it is in memory.
    pub fn page(&self, index: u64) -> Option<Rc<Folio>> {
        let pages = self.pages.borrow();
        let (first, folio) = pages.range(..=index).next_back()?;
        (index - first < folio.pages()).then(|| Rc::clone(folio))
    }

    /// Puts a folio in at its index; the cache takes one reference of the caller's.
    pub fn insert(&self, index: u64, folio: Rc<Folio>) {
        self.pages.borrow_mut().insert(index, folio);
    }

    /// Takes the folio at `index` out, with the reference that the cache had.
    pub fn remove(&self, index: u64) -> Option<Rc<Folio>> {
        self.pages.borrow_mut().remove(&index)
    }

    /// Every folio in memory, ascending.
    pub fn pages(&self) -> Vec<Rc<Folio>> {
        self.pages.borrow().values().cloned().collect()
    }

    /// Adds an area that maps it.
    pub fn link(&self, space: &Rc<AddressSpace>, vma: &Rc<Vma>) {
        self.links.link(space, vma);
    }

    /// Takes an area out.
    pub fn unlink(&self, vma: &Rc<Vma>) {
        self.links.unlink(vma);
    }

    /// The areas that map it.
    pub fn areas(&self) -> Vec<(Rc<AddressSpace>, Rc<Vma>)> {
        self.links.all()
    }
}
