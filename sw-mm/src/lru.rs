// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Folios in the order in which reclaim looks at them, by node (section 2).

use crate::folio::Folio;
use crate::kernel::Kernel;
use crate::page::NodeId;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

/// The lists of all nodes. They hold no reference: a folio that was freed is skipped.
#[derive(Debug, Default)]
pub struct Lru {
    nodes: RefCell<BTreeMap<NodeId, VecDeque<Weak<Folio>>>>,
}

impl Lru {
    /// Folios of a node, the one that came first first.
    pub fn folios(&self, node: NodeId) -> Vec<Rc<Folio>> {
        let nodes = self.nodes.borrow();
        let list = nodes.get(&node).into_iter().flatten();
        list.filter_map(Weak::upgrade)
            .filter(|folio| folio.lru.get() && !folio.isolated.get())
            .collect()
    }

    /// Makes a folio the last one of its node, if it is listed.
    pub(crate) fn rotate(&self, folio: &Rc<Folio>) {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(list) = nodes.get_mut(&folio.node())
            && folio.lru.get()
        {
            list.retain(|other| !std::ptr::eq(other.as_ptr(), Rc::as_ptr(folio)));
            list.push_back(Rc::downgrade(folio));
        }
    }

    fn push(&self, folio: &Rc<Folio>) {
        let mut nodes = self.nodes.borrow_mut();
        let list = nodes.entry(folio.node()).or_default();
        // What was freed in front is thrown away here, so that the list stays as long as it has to be.
        while list
            .front()
            .is_some_and(|folio| folio.upgrade().is_none_or(|folio| !folio.lru.get()))
        {
            list.pop_front();
        }
        list.push_back(Rc::downgrade(folio));
    }
}

impl Kernel {
    /// Puts a folio last in the list of its node.
    pub fn add_to_lru(&self, folio: &Rc<Folio>) {
        if !folio.lru.replace(true) {
            self.lru.push(folio);
        }
    }
}
