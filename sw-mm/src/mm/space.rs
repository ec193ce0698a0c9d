// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! An address space: its areas, its tree of tables, and who uses it (section 4).

use super::error::Error;
use super::table::Table;
use super::vma::Vma;
use crate::asid::Context;
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::lock::{Class, Lock, ReadWriteLock};
use crate::policy::Policy;
use crate::rmap::AnonVma;
use crate::thread::Thread;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use vmsa::geometry;

/// An address space.
#[derive(Debug)]
pub struct AddressSpace {
    number: u32,
    /// Start-level table.
    pub root: Rc<Table>,
    areas: RefCell<BTreeMap<u64, Rc<Vma>>>,
    /// Guards the areas; held for reading while a fault is handled.
    pub mmap_lock: ReadWriteLock,
    /// Guards the links between tables.
    pub upper_lock: Lock,
    /// Its context number.
    pub context: Context,
    /// Threads that run in it or will (mm_users); the last one takes it down.
    pub users: Cell<u32>,
    /// Pages mapped.
    pub resident: Cell<u64>,
    /// Pages in the swap area.
    pub swapped: Cell<u64>,
    /// Table pages, the root included.
    pub tables: Cell<u64>,
    /// Changes of entries whose flush is not over yet.
    pub flush_pending: Cell<u32>,
    /// Cores that ran it: bit by number.
    pub cores: Cell<u64>,
    /// Where pages come from in areas that do not say it.
    pub policy: Cell<Policy>,
    va_bits: u32,
    shift: u32,
}

impl AddressSpace {
    /// An empty address space with one user.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] without a frame for the root, or the fault of a store.
    pub async fn new<C: Cpu>(thread: &Thread<C>) -> Result<Rc<Self>, Error> {
        let kernel = &thread.kernel;
        let config = kernel.config();
        let number = kernel.number_space();
        let level = geometry::start_level(config.granule, config.va_bits);
        let root = Table::allocate(thread, number, level, 0).await?;
        let space = Rc::new(Self {
            number,
            root,
            areas: RefCell::default(),
            mmap_lock: ReadWriteLock::new(Class::Mmap, u64::from(number)),
            upper_lock: Lock::new(Class::UpperTable, u64::from(number)),
            context: Context::default(),
            users: Cell::new(1),
            resident: Cell::new(0),
            swapped: Cell::new(0),
            tables: Cell::new(1),
            flush_pending: Cell::new(0),
            cores: Cell::new(0),
            policy: Cell::default(),
            va_bits: config.va_bits,
            shift: config.granule.shift(),
        });
        kernel.add_space(&space);
        Ok(space)
    }

    /// Its number: address spaces are numbered from 1 in the order of their making.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// First address that it does not have.
    pub fn end(&self) -> u64 {
        1 << self.va_bits
    }

    /// The area that holds `va`.
    pub fn find(&self, va: u64) -> Option<Rc<Vma>> {
        let areas = self.areas.borrow();
        let (_, vma) = areas.range(..=va).next_back()?;
        vma.contains(va).then(|| Rc::clone(vma))
    }

    /// Every area, ascending.
    pub fn areas(&self) -> Vec<Rc<Vma>> {
        self.areas.borrow().values().cloned().collect()
    }

    /// The areas that have a byte in `start..end`, ascending.
    pub fn areas_in(&self, start: u64, end: u64) -> Vec<Rc<Vma>> {
        let areas = self.areas.borrow();
        let first = areas
            .range(..=start)
            .next_back()
            .map_or(start, |(&from, _)| from);
        areas
            .range(first..end)
            .map(|(_, vma)| vma)
            .filter(|vma| vma.end() > start)
            .cloned()
            .collect()
    }

    /// Where the area before `va` ends, and where the one from `va` on begins: what tables between
    /// them are free to go (floor and ceiling, MM-32).
    pub(crate) fn neighbours(&self, start: u64, end: u64) -> (u64, u64) {
        let areas = self.areas.borrow();
        let below = areas.range(..start).next_back();
        let floor = below.map_or(0, |(_, vma)| vma.end());
        let above = areas.range(end..).next();
        (floor, above.map_or(self.end(), |(&from, _)| from))
    }

    /// Adds an area, and merges it with its neighbours where they are of one kind. The mmap lock is
    /// held for writing, here and below.
    pub(crate) fn insert(self: &Rc<Self>, vma: Rc<Vma>) {
        if let Some(anon_vma) = vma.anon_vma() {
            anon_vma.link(self, &vma);
        }
        if let Some(file) = vma.file() {
            file.link(self, &vma);
        }
        let start = vma.start();
        self.areas.borrow_mut().insert(start, vma);
        self.merge_around(start);
    }

    fn merge_around(self: &Rc<Self>, start: u64) {
        let mut areas = self.areas.borrow_mut();
        let Some(mut vma) = areas.get(&start).cloned() else {
            return;
        };
        let before = areas.range(..start).next_back().map(|(_, v)| Rc::clone(v));
        if let Some(before) = before
            && before.continues(&vma)
        {
            self.absorb(&mut areas, &before, &vma);
            vma = before;
        }
        let after = areas.get(&vma.end()).cloned();
        if let Some(after) = after
            && vma.continues(&after)
        {
            self.absorb(&mut areas, &vma, &after);
        }
    }

    fn absorb(
        self: &Rc<Self>,
        areas: &mut BTreeMap<u64, Rc<Vma>>,
        lower: &Rc<Vma>,
        upper: &Rc<Vma>,
    ) {
        areas.remove(&upper.start());
        unlink(upper);
        let had = lower.anon_vma().is_some();
        lower.merge(upper);
        if let Some(anon_vma) = lower.anon_vma().filter(|_| !had) {
            anon_vma.link(self, lower);
        }
    }

    /// Merges neighbours of one kind in and around `start..end`.
    pub(crate) fn merge(self: &Rc<Self>, start: u64, end: u64) {
        for vma in self.areas_in(start, end) {
            self.merge_around(vma.start());
        }
    }

    /// Makes `vma` end at `end`; nothing is mapped between.
    pub(crate) fn grow(self: &Rc<Self>, vma: &Rc<Vma>, end: u64) {
        vma.set_end(end);
        self.merge_around(vma.start());
    }

    /// Makes an area begin at `va`, if one lies across it.
    pub(crate) fn split_at(self: &Rc<Self>, va: u64) {
        let Some(vma) = self.find(va).filter(|vma| vma.start() != va) else {
            return;
        };
        let upper = vma.split(va);
        if let Some(anon_vma) = upper.anon_vma() {
            anon_vma.link(self, &upper);
        }
        if let Some(file) = upper.file() {
            file.link(self, &upper);
        }
        self.areas.borrow_mut().insert(va, upper);
    }

    /// The areas that have a byte in `start..end`.
    ///
    /// # Errors
    /// [`Error::NotMapped`] if an address has no area.
    pub(crate) fn covered(&self, start: u64, end: u64) -> Result<Vec<Rc<Vma>>, Error> {
        let areas = self.areas_in(start, end);
        let bytes = |vma: &Rc<Vma>| vma.end().min(end) - vma.start().max(start);
        match areas.iter().map(bytes).sum::<u64>() == end - start {
            true => Ok(areas),
            false => Err(Error::NotMapped),
        }
    }

    /// The areas of `start..end`, cut so that they begin and end there.
    ///
    /// # Errors
    /// [`Error::NotMapped`] if an address has no area; nothing is cut then.
    pub(crate) fn cut(self: &Rc<Self>, start: u64, end: u64) -> Result<Vec<Rc<Vma>>, Error> {
        self.covered(start, end)?;
        self.split_at(start);
        self.split_at(end);
        Ok(self.areas_in(start, end))
    }

    /// Takes the areas in `start..end` out; they begin and end there.
    pub(crate) fn detach(&self, start: u64, end: u64) -> Vec<Rc<Vma>> {
        let taken = self.areas_in(start, end);
        let mut areas = self.areas.borrow_mut();
        for vma in &taken {
            areas.remove(&vma.start());
        }
        taken
    }

    /// The anon_vma of `vma`, made now if there is none.
    pub(crate) fn prepare_anon_vma(self: &Rc<Self>, vma: &Rc<Vma>) -> Rc<AnonVma> {
        vma.anon_vma().unwrap_or_else(|| {
            let anon_vma = AnonVma::new(self.number, vma.start());
            vma.set_anon_vma(Some(Rc::clone(&anon_vma)));
            anon_vma.link(self, vma);
            anon_vma
        })
    }

    /// Where pages of `vma` come from.
    pub fn policy_of(&self, vma: &Vma) -> Policy {
        vma.policy().unwrap_or(self.policy.get())
    }

    /// `count` pages more are mapped.
    pub(crate) fn add_resident(&self, count: u64) {
        self.resident.set(self.resident.get() + count);
    }

    /// `count` pages less are mapped.
    pub(crate) fn remove_resident(&self, count: u64) {
        self.resident.set(self.resident.get().saturating_sub(count));
    }

    /// `va` rounded down to its page.
    pub fn page(&self, va: u64) -> u64 {
        va >> self.shift << self.shift
    }

    /// log2 of the page size.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// A user less; returns whether that was the last one, who then calls
    /// [`Thread::exit_space`].
    pub(crate) fn drop_user(&self) -> bool {
        let left = self.users.get().saturating_sub(1);
        self.users.set(left);
        left == 0
    }
}

/// Takes an area out of what pages are found from.
pub(crate) fn unlink(vma: &Rc<Vma>) {
    if let Some(anon_vma) = vma.anon_vma() {
        anon_vma.unlink(vma);
    }
    if let Some(file) = vma.file() {
        file.unlink(vma);
    }
}

impl Kernel {
    /// The address space called `number`, while it lives.
    pub fn space(&self, number: u32) -> Option<Rc<AddressSpace>> {
        self.spaces().into_iter().find(|s| s.number() == number)
    }
}
