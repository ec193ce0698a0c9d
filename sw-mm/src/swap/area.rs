// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The swap area: slots of one page each, and the cache of those that are in memory too.
//!
//! A slot is in use while an entry of a table names it (its count) or a folio in the swap cache stands
//! for it (HAS_CACHE). What it holds is memory of the host: a block device without the delay.

use crate::folio::Folio;
use crate::pte::SwapEntry;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// State of a slot.
#[derive(Clone, Debug, Default)]
struct Slot {
    count: u32,
    cached: bool,
    content: Option<Rc<[u64]>>,
}

/// A slot as checkers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// Which.
    pub entry: SwapEntry,
    /// Table entries that name it.
    pub count: u32,
    /// A folio in the swap cache stands for it, or is about to (HAS_CACHE).
    pub cached: bool,
}

/// The swap area.
#[derive(Debug)]
pub struct SwapArea {
    slots: RefCell<BTreeMap<SwapEntry, Slot>>,
    cache: RefCell<BTreeMap<SwapEntry, Rc<Folio>>>,
    /// Slots that were freed; the last one is used again first, so that one freed too early is seen.
    free: RefCell<Vec<SwapEntry>>,
    /// The first slot that was never used.
    fresh: Cell<u64>,
    size: u64,
}

impl SwapArea {
    /// An area of `size` slots, all free.
    pub fn new(size: u64) -> Self {
        Self {
            slots: RefCell::default(),
            cache: RefCell::default(),
            free: RefCell::default(),
            fresh: Cell::new(0),
            size,
        }
    }

    /// Slots.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Slots in use.
    pub fn used(&self) -> u64 {
        self.slots.borrow().len() as u64
    }

    /// Every slot in use, ascending.
    pub fn slots(&self) -> Vec<SlotState> {
        let slots = self.slots.borrow();
        let state = |(&entry, slot): (&SwapEntry, &Slot)| SlotState {
            entry,
            count: slot.count,
            cached: slot.cached,
        };
        slots.iter().map(state).collect()
    }

    /// Table entries that name a slot; 0 for one that is free.
    pub fn count(&self, entry: SwapEntry) -> u32 {
        self.slots.borrow().get(&entry).map_or(0, |slot| slot.count)
    }

    /// What a slot holds, in words of 8 bytes.
    pub fn content(&self, entry: SwapEntry) -> Option<Rc<[u64]>> {
        self.slots.borrow().get(&entry)?.content.clone()
    }

    /// The folio in the swap cache for a slot.
    pub fn folio(&self, entry: SwapEntry) -> Option<Rc<Folio>> {
        self.cache.borrow().get(&entry).cloned()
    }

    /// Takes a free slot, marked HAS_CACHE for the folio that the caller puts into the cache.
    pub(super) fn allocate(&self) -> Option<SwapEntry> {
        let entry = self.free.borrow_mut().pop().or_else(|| {
            let fresh = self.fresh.get();
            (fresh < self.size).then(|| {
                self.fresh.set(fresh + 1);
                SwapEntry(fresh)
            })
        })?;
        let slot = Slot {
            cached: true,
            ..Slot::default()
        };
        self.slots.borrow_mut().insert(entry, slot);
        Some(entry)
    }

    /// Marks a slot in use HAS_CACHE; false if it is already, or is free.
    pub(super) fn claim(&self, entry: SwapEntry) -> bool {
        match self.slots.borrow_mut().get_mut(&entry) {
            Some(slot) => !std::mem::replace(&mut slot.cached, true),
            None => false,
        }
    }

    /// Puts the folio of a slot marked HAS_CACHE into the cache, which takes one reference.
    pub(super) fn insert(&self, entry: SwapEntry, folio: &Rc<Folio>) {
        folio.get(1);
        folio.swap.set(Some(entry));
        self.cache.borrow_mut().insert(entry, Rc::clone(folio));
    }

    /// Takes the folio of a slot out of the cache, with the reference that the cache had.
    pub(super) fn remove(&self, entry: SwapEntry) -> Option<Rc<Folio>> {
        let folio = self.cache.borrow_mut().remove(&entry)?;
        folio.swap.set(None);
        if let Some(slot) = self.slots.borrow_mut().get_mut(&entry) {
            slot.cached = false;
        }
        self.release(entry);
        Some(folio)
    }

    /// Puts `to` into the place of the folio in the cache for `entry`; the reference of the cache goes
    /// over to it.
    pub(crate) fn replace(&self, entry: SwapEntry, to: &Rc<Folio>) -> Option<Rc<Folio>> {
        let from = self.cache.borrow_mut().insert(entry, Rc::clone(to));
        to.get(1);
        to.swap.set(Some(entry));
        if let Some(from) = &from {
            from.swap.set(None);
        }
        from
    }

    /// One more table entry names the slot.
    pub(crate) fn duplicate(&self, entry: SwapEntry) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&entry) {
            slot.count += 1;
        }
    }

    /// One table entry less names the slot; whether that was the last one.
    pub(super) fn put(&self, entry: SwapEntry) -> bool {
        let left = match self.slots.borrow_mut().get_mut(&entry) {
            Some(slot) => {
                slot.count = slot.count.saturating_sub(1);
                slot.count
            }
            None => return false,
        };
        self.release(entry);
        left == 0
    }

    /// Stores what a slot holds from now on.
    pub(super) fn write(&self, entry: SwapEntry, content: Rc<[u64]>) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&entry) {
            slot.content = Some(content);
        }
    }

    /// Frees the slot if nobody names it and nothing stands for it (MM-25).
    fn release(&self, entry: SwapEntry) {
        let mut slots = self.slots.borrow_mut();
        let unused = |slot: &Slot| slot.count == 0 && !slot.cached;
        if slots.get(&entry).is_some_and(unused) {
            slots.remove(&entry);
            self.free.borrow_mut().push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{NodeId, Pfn};

    #[test]
    fn a_slot_is_free_when_nobody_names_it_and_nothing_stands_for_it() {
        // MM-25.
        let area = SwapArea::new(1);
        let Some(entry) = area.allocate() else {
            panic!("a free slot")
        };
        assert_eq!(area.allocate(), None, "the area is full");
        let folio = Rc::new(Folio::new(Pfn(7), 0, NodeId(0)));
        area.insert(entry, &folio);
        area.duplicate(entry);
        area.write(entry, Rc::from([5]));
        assert!(!area.claim(entry), "there is a folio for it");
        assert!(area.remove(entry).is_some());
        assert_eq!(area.content(entry).as_deref(), Some([5].as_slice()));
        assert!(area.claim(entry), "one faulting thread reads it");
        assert!(!area.claim(entry), "the other one finds that");
        area.insert(entry, &folio);
        assert!(area.put(entry));
        assert_eq!(area.used(), 1, "the cache has it still");
        area.remove(entry);
        assert_eq!(area.used(), 0);
        assert!(!area.claim(entry) && area.content(entry).is_none());
        assert_eq!(area.allocate(), Some(entry));
    }
}
