// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Memory policy: from which node the pages of an area come, and whether a page that is elsewhere is to
//! move there (section 12).
//!
//! An area has a policy of its own or that of its address space. What a policy says depends on the
//! core that asks, the page index and nothing else, so that the same page gets the same home whoever
//! touches it first, and in whatever order.

use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::Folio;
use crate::kernel::Kernel;
use crate::mm::{AddressSpace, Error, Vma};
use crate::page::{NodeId, NodeMask, PageAllocator, Request};
use crate::thread::Thread;

/// Where pages come from.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The node of the core that touches the page first (MPOL_LOCAL), or the nearest with memory left.
    #[default]
    Local,
    /// This node, or the nearest with memory left.
    Preferred(NodeId),
    /// One of these nodes, the nearest first, and no other.
    Bind(NodeMask),
    /// These nodes in turn, by page index; if one has no memory left, the nearest to it.
    Interleave(NodeMask),
}

/// A memory policy.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Where pages come from.
    pub mode: Mode,
    /// A page that a hinting fault finds elsewhere may move to where it belongs (MPOL_F_MOF).
    pub migrate_on_fault: bool,
}

impl Default for Policy {
    /// Pages come from, and follow to, the core that uses them.
    fn default() -> Self {
        Self {
            mode: Mode::Local,
            migrate_on_fault: true,
        }
    }
}

impl Policy {
    /// This mode; pages stay where they are.
    pub const fn new(mode: Mode) -> Self {
        Self {
            mode,
            migrate_on_fault: false,
        }
    }

    /// The same; pages move to where they belong.
    #[must_use]
    pub const fn migrate_on_fault(mut self) -> Self {
        self.migrate_on_fault = true;
        self
    }

    /// Whether a page belongs where it is used (MPOL_F_MORON), rather than at a place of its own.
    pub const fn follows_use(&self) -> bool {
        matches!(self.mode, Mode::Local | Mode::Bind(_))
    }

    /// The node where the folio of `1 << order` pages with page index `index` belongs if a core of node
    /// `local` uses it. With [`Mode::Bind`] to nodes that do not exist, `local`.
    pub fn home(&self, memory: &PageAllocator, local: NodeId, index: u64, order: u8) -> NodeId {
        match self.mode {
            Mode::Local => local,
            Mode::Preferred(node) => node,
            Mode::Bind(nodes) => {
                let list = memory.zonelist(local).iter().copied();
                let mut allowed = list.filter(|&node| nodes.contains(node));
                let with_memory = |&node: &NodeId| memory.total_pages(node) > 0;
                allowed.find(with_memory).unwrap_or(local)
            }
            Mode::Interleave(nodes) => {
                let count = nodes.iter().count() as u64;
                let turn = (index >> order).checked_rem(count).unwrap_or(0);
                nodes.iter().nth(turn as usize).unwrap_or(local)
            }
        }
    }

    /// The request for that folio, for content that can be moved.
    pub fn request(&self, memory: &PageAllocator, local: NodeId, index: u64, order: u8) -> Request {
        let home = self.home(memory, local, index, order);
        match self.mode {
            // Distances count from the core, also to nodes far from it.
            Mode::Bind(nodes) => Request::new(order, local).within(nodes).movable(),
            _ => Request::new(order, home).movable(),
        }
    }

    /// Whether there are nodes to take pages from.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self, memory: &PageAllocator) -> Result<(), Error> {
        let there = |node: NodeId| usize::from(node.0) < memory.nodes();
        match self.mode {
            Mode::Local => Ok(()),
            Mode::Preferred(node) if there(node) => Ok(()),
            Mode::Bind(nodes) | Mode::Interleave(nodes)
                if nodes.iter().all(there)
                    && nodes.iter().any(|node| memory.total_pages(node) > 0) =>
            {
                Ok(())
            }
            _ => Err(Error::Invalid("a memory policy of nodes without memory")),
        }
    }
}

impl Kernel {
    /// The node to which the policy of `vma` would move `folio`, of which a core uses the page at `va`;
    /// `None` if it may stay where it is. Whether moving it pays is for others to say.
    pub fn misplaced(
        &self,
        space: &AddressSpace,
        vma: &Vma,
        folio: &Folio,
        va: u64,
        core: u8,
    ) -> Option<NodeId> {
        let policy = space.policy_of(vma);
        if !policy.migrate_on_fault {
            return None;
        }
        let (local, is) = (self.node_of_core(core), folio.node());
        let home = match policy.mode {
            Mode::Bind(nodes) if nodes.contains(local) => local,
            Mode::Bind(nodes) if nodes.contains(is) => is,
            _ => policy.home(&self.memory, local, vma.index(va), folio.order()),
        };
        Some(home).filter(|&home| home != is && self.memory.total_pages(home) > 0)
    }
}

impl<C: Cpu> Thread<C> {
    /// The request for a folio of `1 << order` pages at `va` in `vma`, as the policy there has it.
    pub fn request_for(&self, space: &AddressSpace, vma: &Vma, va: u64, order: u8) -> Request {
        let local = self.kernel.node_of_core(self.core);
        let policy = space.policy_of(vma);
        policy.request(&self.kernel.memory, local, vma.index(va), order)
    }

    /// Sets the policy of the address space of this thread, for pages to come.
    ///
    /// # Errors
    /// [`Error::Invalid`] for nodes that are not there, [`Error::NotMapped`] without an address space.
    pub fn set_mempolicy(&self, policy: Policy) -> Result<(), Error> {
        policy.check(&self.kernel.memory)?;
        self.space().ok_or(Error::NotMapped)?.policy.set(policy);
        Ok(())
    }

    /// Sets the policy of `bytes` bytes at `va`, for pages to come; `None`: that of the address space.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::NotMapped`] if an address has no area (nothing is changed then).
    pub async fn mbind(&self, va: u64, bytes: u64, policy: Option<Policy>) -> Result<(), Error> {
        let space = self.space().ok_or(Error::NotMapped)?;
        let end = self.checked_range(va, bytes)?;
        if let Some(policy) = policy {
            policy.check(&self.kernel.memory)?;
        }
        let _span = self.span(Activity::Madvise, space.number(), va, bytes);
        let _mmap = space.mmap_lock.write(&self.held).await;
        for vma in space.cut(va, end)? {
            vma.set_policy(policy);
        }
        space.merge(va, end);
        Ok(())
    }
}
