// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Reverse map: from a folio to the entries that map it (section 10).
//!
//! All areas that descend from one by splitting, moving and forking share one anon_vma, a tree in Linux,
//! a list here. A page keeps its index in it wherever its area moves, so that each area says at which
//! address the page would be; whether it is there, its table tells.

mod walk;

pub use walk::Place;
pub(crate) use walk::Span;

use crate::lock::{Class, Lock};
use crate::mm::{AddressSpace, Vma};
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// An area where a page may be mapped.
#[derive(Debug, Clone)]
pub struct Link {
    space: Weak<AddressSpace>,
    vma: Weak<Vma>,
}

/// Areas by address space, in the order in which they came.
#[derive(Debug, Default)]
pub struct Links(RefCell<Vec<Link>>);

impl Links {
    /// Adds an area.
    pub fn link(&self, space: &Rc<AddressSpace>, vma: &Rc<Vma>) {
        let mut links = self.0.borrow_mut();
        links.retain(|link| link.vma.strong_count() > 0 && link.space.strong_count() > 0);
        links.push(Link {
            space: Rc::downgrade(space),
            vma: Rc::downgrade(vma),
        });
    }

    /// Takes an area out.
    pub fn unlink(&self, vma: &Rc<Vma>) {
        let links = &mut self.0.borrow_mut();
        links.retain(|link| !std::ptr::eq(link.vma.as_ptr(), Rc::as_ptr(vma)));
    }

    /// The areas.
    pub fn all(&self) -> Vec<(Rc<AddressSpace>, Rc<Vma>)> {
        let links = self.0.borrow();
        let upgrade = |link: &Link| Some((link.space.upgrade()?, link.vma.upgrade()?));
        links.iter().filter_map(upgrade).collect()
    }
}

/// Areas whose private pages may be shared between them.
#[derive(Debug)]
pub struct AnonVma {
    links: Links,
    /// Guards a walk against areas that move.
    pub lock: Lock,
}

impl AnonVma {
    /// One without areas, first used by address space `space` at `va`.
    pub fn new(space: u32, va: u64) -> Rc<Self> {
        Rc::new(Self {
            links: Links::default(),
            lock: Lock::new(Class::AnonVma, u64::from(space) << 48 | va >> 12),
        })
    }

    /// Adds an area.
    pub fn link(&self, space: &Rc<AddressSpace>, vma: &Rc<Vma>) {
        self.links.link(space, vma);
    }

    /// Takes an area out.
    pub fn unlink(&self, vma: &Rc<Vma>) {
        self.links.unlink(vma);
    }

    /// The areas.
    pub fn areas(&self) -> Vec<(Rc<AddressSpace>, Rc<Vma>)> {
        self.links.all()
    }
}
