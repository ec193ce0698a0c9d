// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Folios: one or more frames that are allocated, aged and moved as one (section 2).
//!
//! A folio lives while somebody refers to it. References are counted as Linux counts them: one for
//! each page table entry that maps a page of it, one for the page cache or the swap cache, one for each who
//! works with it, [`PIN`] for each who needs its frames to stay where they are.

mod frames;
mod locked;

pub use frames::{Frames, Owner};
pub use locked::LockedFolio;

use crate::file::File;
use crate::lock::{Class, Lock};
use crate::page::{NodeId, Pfn};
use crate::pte::SwapEntry;
use crate::rmap::AnonVma;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// References that stand for one pin (GUP_PIN_COUNTING_BIAS): a folio of one page with so many may be
/// pinned.
pub const PIN: u64 = 1024;

/// What a folio belongs to.
#[derive(Clone, Debug, Default)]
pub enum Mapping {
    /// Nothing yet, or nothing any more.
    #[default]
    None,
    /// Private memory, found through the areas of this anon_vma.
    Anon(Rc<AnonVma>),
    /// The page cache of a file.
    File(Rc<File>),
}

/// What is known of one page of a folio.
#[derive(Debug, Default)]
struct Page {
    mapcount: Cell<u32>,
    anon_exclusive: Cell<bool>,
}

/// A folio.
#[derive(Debug)]
pub struct Folio {
    pfn: Cell<Pfn>,
    order: Cell<u8>,
    node: Cell<NodeId>,
    references: Cell<u64>,
    pins: Cell<u64>,
    pages: RefCell<Vec<Page>>,
    mapping: RefCell<Mapping>,
    index: Cell<u64>,
    /// Written since it was last written back (MM-36).
    pub dirty: Cell<bool>,
    /// Accessed since reclaim last looked.
    pub referenced: Cell<bool>,
    /// On the list of pages in use rather than that of candidates for reclaim.
    pub active: Cell<bool>,
    /// On a list of reclaim.
    pub lru: Cell<bool>,
    /// Taken off the lists by who works with it.
    pub isolated: Cell<bool>,
    /// Its place in the swap area, while it is in the swap cache. Folios of more than one page have none.
    pub swap: Cell<Option<SwapEntry>>,
    /// Core and time of the last NUMA hinting fault, for who decides on migration.
    pub last_hint: Cell<Option<(u8, u64)>>,
    /// Folio lock.
    pub lock: Lock,
}

impl Folio {
    /// A folio of `1 << order` frames from `pfn` on, with one reference, that belongs to nothing.
    pub fn new(pfn: Pfn, order: u8, node: NodeId) -> Self {
        Self {
            pfn: Cell::new(pfn),
            order: Cell::new(order),
            node: Cell::new(node),
            references: Cell::new(1),
            pins: Cell::new(0),
            pages: RefCell::new((0..1u64 << order).map(|_| Page::default()).collect()),
            mapping: RefCell::default(),
            index: Cell::new(0),
            dirty: Cell::new(false),
            referenced: Cell::new(false),
            active: Cell::new(false),
            lru: Cell::new(false),
            isolated: Cell::new(false),
            swap: Cell::new(None),
            last_hint: Cell::new(None),
            lock: Lock::new(Class::Folio, pfn.0),
        }
    }

    /// First frame.
    pub fn pfn(&self) -> Pfn {
        self.pfn.get()
    }

    /// log2 of the pages.
    pub fn order(&self) -> u8 {
        self.order.get()
    }

    /// Pages.
    pub fn pages(&self) -> u64 {
        1 << self.order.get()
    }

    /// Node of its frames.
    pub fn node(&self) -> NodeId {
        self.node.get()
    }

    /// What it belongs to.
    pub fn mapping(&self) -> Mapping {
        self.mapping.borrow().clone()
    }

    /// Whether it is private memory.
    pub fn is_anon(&self) -> bool {
        matches!(*self.mapping.borrow(), Mapping::Anon(_))
    }

    /// Page index of its first page in what it belongs to.
    pub fn index(&self) -> u64 {
        self.index.get()
    }

    /// Makes it belong to `mapping`, its first page at `index`.
    pub fn set_mapping(&self, mapping: Mapping, index: u64) {
        *self.mapping.borrow_mut() = mapping;
        self.index.set(index);
    }

    /// Position of frame `pfn` in it, in pages; the first page for a frame of another folio.
    pub fn page_of(&self, pfn: Pfn) -> u64 {
        let page = pfn.0.wrapping_sub(self.pfn.get().0);
        if page < self.pages() { page } else { 0 }
    }

    /// References.
    pub fn references(&self) -> u64 {
        self.references.get()
    }

    /// `count` more references.
    pub fn get(&self, count: u64) {
        self.references.set(self.references.get() + count);
    }

    /// `count` references less; returns whether that were the last. Kernel code calls
    /// [`crate::kernel::Kernel::put_folio`], which frees it then.
    pub(crate) fn put(&self, count: u64) -> bool {
        let left = self.references.get().saturating_sub(count);
        self.references.set(left);
        left == 0
    }

    /// Pins it: its frames stay where they are.
    pub fn pin(&self) {
        self.pins.set(self.pins.get() + 1);
        self.get(PIN);
    }

    /// A pin less. Kernel code calls [`crate::kernel::Kernel::unpin_folio`], which drops its references
    /// too.
    pub(crate) fn unpin(&self) {
        self.pins.set(self.pins.get().saturating_sub(1));
    }

    /// Whether somebody may have pinned it: never wrongly false (section 2).
    ///
    /// A large folio has a reference for each of its pages in each table, so two processes would make
    /// one of 512 pages look pinned: its pins are counted apart (Linux: `_pincount`).
    pub fn maybe_pinned(&self) -> bool {
        match self.order.get() {
            0 => self.references.get() >= PIN,
            _ => self.pins.get() > 0,
        }
    }

    /// Entries that map any page of it.
    pub fn mapcount(&self) -> u64 {
        let pages = self.pages.borrow();
        pages
            .iter()
            .map(|page| u64::from(page.mapcount.get()))
            .sum()
    }

    /// Entries that map page `page`.
    pub fn page_mapcount(&self, page: u64) -> u32 {
        self.pages.borrow()[page as usize].mapcount.get()
    }

    /// Whether page `page` belongs to one address space only, so that a write may reuse it (MM-10).
    pub fn anon_exclusive(&self, page: u64) -> bool {
        self.pages.borrow()[page as usize].anon_exclusive.get()
    }

    /// Sets [`Folio::anon_exclusive`] of `count` pages.
    pub fn set_anon_exclusive(&self, page: u64, count: u64, exclusive: bool) {
        let pages = self.pages.borrow();
        for page in &pages[page as usize..(page + count) as usize] {
            page.anon_exclusive.set(exclusive);
        }
    }

    /// `count` pages from `page` on are mapped by one more entry each.
    pub fn add_map(&self, page: u64, count: u64) {
        let pages = self.pages.borrow();
        for page in &pages[page as usize..(page + count) as usize] {
            page.mapcount.set(page.mapcount.get() + 1);
        }
    }

    /// `count` pages from `page` on are mapped by one entry less each.
    pub fn remove_map(&self, page: u64, count: u64) {
        let pages = self.pages.borrow();
        for page in &pages[page as usize..(page + count) as usize] {
            let left = page.mapcount.get().saturating_sub(1);
            page.mapcount.set(left);
            if left == 0 {
                page.anon_exclusive.set(false);
            }
        }
    }

    /// Makes it a folio of its first page. Nothing maps the others.
    pub(crate) fn cut_tail(&self) {
        self.order.set(0);
        self.pages.borrow_mut().truncate(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_folio_that_is_mapped_often_does_not_look_pinned() {
        // MM-27.
        let (small, large) = [0, 9]
            .map(|order| Folio::new(Pfn(512), order, NodeId(0)))
            .into();
        for folio in [&small, &large] {
            assert!(!folio.maybe_pinned());
            folio.pin();
            assert!(folio.maybe_pinned());
            folio.unpin();
            folio.put(PIN);
            // As many as two tables have entries for 512 pages.
            folio.get(1024);
        }
        assert!(small.maybe_pinned(), "never wrongly false");
        assert!(!large.maybe_pinned());
    }
}
