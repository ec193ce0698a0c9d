// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The allocator of all nodes: walks the zonelist of a request, and fails on demand.

use super::node::Node;
use super::zonelist::zonelists;
use super::{
    AuditError, Block, ConfigError, MAX_ORDER, NodeConfig, NodeId, PageError, Pfn, Request, Tier,
};
use std::cell::Cell;
use vmsa::Granule;

/// All physical memory, by node. Methods take `&self`, so that all threads of the kernel share it.
///
/// ```
/// use sw_mm::page::{NodeConfig, NodeId, PageAllocator, Request, Tier, Watermarks};
/// use vmsa::Granule;
///
/// # fn main() -> Result<(), sw_mm::page::PageError> {
/// let node = |base| NodeConfig {
///     base,
///     bytes: 0x40_0000,
///     movable_bytes: 0,
///     tier: Tier::Top,
///     watermarks: Watermarks::default(),
///     zeroed: true,
/// };
/// let pages = PageAllocator::new(Granule::K4, &[node(0), node(0x40_0000)], &[])?;
/// let request = Request::new(9, NodeId(1)).this_node();
/// let block = pages.allocate(&request).expect("all is free");
/// assert_eq!(block.pfn.0, 0x400);
/// assert_eq!(pages.free_pages(NodeId(1)), 512);
/// pages.free(block.pfn, block.order)?;
/// assert!(pages.free(block.pfn, block.order).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PageAllocator {
    granule: Granule,
    nodes: Vec<Node>,
    zonelists: Vec<Vec<NodeId>>,
    /// Nodes with memory, by address.
    by_address: Vec<NodeId>,
    attempts: Cell<u64>,
    fail_at: Cell<Option<u64>>,
}

impl PageAllocator {
    /// An allocator over `nodes`, all their memory free.
    ///
    /// `distances` is the SLIT: a row per node to start from, 10 on the diagonal, more elsewhere.
    /// Without rows every other node is at distance 20.
    ///
    /// # Errors
    /// [`PageError::Config`] says what is wrong with the nodes or distances.
    pub fn new(
        granule: Granule,
        nodes: &[NodeConfig],
        distances: &[Vec<u8>],
    ) -> Result<Self, PageError> {
        if nodes.is_empty() || nodes.len() > usize::from(u8::MAX) + 1 {
            return Err(ConfigError::NodeCount(nodes.len()).into());
        }
        let zonelists = zonelists(nodes.len(), distances)?;
        let nodes: Vec<Node> = (0..=u8::MAX)
            .zip(nodes)
            .map(|(id, config)| Node::new(NodeId(id), config, granule))
            .collect::<Result<_, _>>()?;
        let mut by_address: Vec<(NodeId, &Node)> = (0..=u8::MAX)
            .map(NodeId)
            .zip(&nodes)
            .filter(|(_, node)| !node.frames.is_empty())
            .collect();
        by_address.sort_by_key(|(_, node)| node.frames.start);
        for pair in by_address.windows(2) {
            if let [(lower, first), (upper, second)] = pair
                && first.frames.end > second.frames.start
            {
                return Err(ConfigError::Overlap(*lower, *upper).into());
            }
        }
        Ok(Self {
            granule,
            by_address: by_address.into_iter().map(|(id, _)| id).collect(),
            nodes,
            zonelists,
            attempts: Cell::new(0),
            fail_at: Cell::new(None),
        })
    }

    /// Hands out a block. `None`: no zone the request may use has one left above its watermark, the
    /// order is above [`MAX_ORDER`], the node does not exist, or this attempt was told to fail.
    ///
    /// Nodes that are allowed are tried by distance, or only the one named (MM-01). A node that cannot serve the
    /// request, or is below its low watermark after it, wants its reclaimer.
    pub fn allocate(&self, request: &Request) -> Option<Block> {
        if self.told_to_fail() || request.order > MAX_ORDER {
            return None;
        }
        let zonelist = self.zonelists.get(usize::from(request.node.0))?;
        let reach = if request.this_node { 1 } else { zonelist.len() };
        zonelist
            .iter()
            .take(reach)
            .filter(|&&node| request.allowed.contains(node))
            .find_map(|&node| self.node(node)?.allocate(request))
    }

    /// Takes back the block of `order` at `pfn`. The caller vouches that no translation, walker or
    /// core reaches it any more (MM-02, MM-05, MM-06).
    ///
    /// # Errors
    /// [`PageError::Foreign`], [`PageError::NotInUse`], [`PageError::InsideBlock`] and
    /// [`PageError::WrongOrder`]; nothing has changed then.
    pub fn free(&self, pfn: Pfn, order: u8) -> Result<(), PageError> {
        let zone = self.holder(pfn)?.zone_of(pfn);
        zone.borrow_mut().buddy.release(pfn, order)
    }

    /// Makes the block of `order` at `pfn`, which is in use, 2^`order` blocks of order 0, so that
    /// its frames can be freed one by one.
    ///
    /// # Errors
    /// As [`PageAllocator::free`].
    pub fn split(&self, pfn: Pfn, order: u8) -> Result<(), PageError> {
        let zone = self.holder(pfn)?.zone_of(pfn);
        zone.borrow_mut().buddy.split(pfn, order)
    }

    /// The node that a frame belongs to.
    pub fn node_of(&self, pfn: Pfn) -> Option<NodeId> {
        let above = self
            .by_address
            .partition_point(|&id| self.node(id).is_some_and(|node| node.frames.start <= pfn.0));
        let id = *self.by_address.get(above.checked_sub(1)?)?;
        self.node(id)?.frames.contains(&pfn.0).then_some(id)
    }

    /// Kind of memory of a node; `None` if there is no such node.
    pub fn tier(&self, node: NodeId) -> Option<Tier> {
        self.node(node).map(|node| node.tier)
    }

    /// Number of nodes, those without memory included.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Nodes by distance from `node`, itself first; empty if there is no such node.
    pub fn zonelist(&self, node: NodeId) -> &[NodeId] {
        self.zonelists
            .get(usize::from(node.0))
            .map_or(&[], Vec::as_slice)
    }

    /// Size of a frame.
    pub fn granule(&self) -> Granule {
        self.granule
    }

    /// Free pages of a node; 0 if there is no such node.
    pub fn free_pages(&self, node: NodeId) -> u64 {
        self.node(node).map_or(0, Node::free_pages)
    }

    /// Pages of a node, free or in use; 0 if there is no such node.
    pub fn total_pages(&self, node: NodeId) -> u64 {
        self.node(node).map_or(0, Node::total_pages)
    }

    /// Whether the node is above its high watermark, even with `pages` fewer (MM-37).
    pub fn balanced(&self, node: NodeId, pages: u64) -> bool {
        self.node(node)
            .is_some_and(|node| node.watermarks.balanced(node.free_pages(), pages))
    }

    /// Whether fewer pages are free than the low watermark of the node: it is time to reclaim.
    pub fn below_low(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(Node::below_low)
    }

    /// Whether an allocation since the last call left the node below its low watermark, or found
    /// nothing there: the wake-up of its reclaimer.
    pub fn take_reclaim_wanted(&self, node: NodeId) -> bool {
        self.node(node)
            .is_some_and(|node| node.reclaim_wanted.take())
    }

    /// Whether the frame is in a block that was handed out and not given back.
    pub fn in_use(&self, pfn: Pfn) -> bool {
        self.holder(pfn)
            .is_ok_and(|node| node.zone_of(pfn).borrow().buddy.in_use(pfn))
    }

    /// Calls of [`PageAllocator::allocate`] so far, those that failed included.
    pub fn attempts(&self) -> u64 {
        self.attempts.get()
    }

    /// Makes one attempt fail as if memory were out: the `nth` from now, 0 the next one. `None`
    /// takes that back. For trying each allocation of an operation in turn.
    pub fn fail_attempt(&self, nth: Option<u64>) {
        self.fail_at
            .set(nth.map(|nth| self.attempts.get().saturating_add(nth)));
    }

    /// Whether the last attempt failed because it was told to: nothing helps against that.
    pub fn failed_on_demand(&self) -> bool {
        let last = self.attempts.get().checked_sub(1);
        last.is_some() && self.fail_at.get() == last
    }

    /// Checks the books: frame states, free lists and counts agree, blocks are aligned and merged,
    /// free and used pages add up per node. Looks at every frame.
    ///
    /// # Errors
    /// [`PageError::Audit`] with the first disagreement.
    pub fn audit(&self) -> Result<(), PageError> {
        for (id, node) in (0..=u8::MAX).map(NodeId).zip(&self.nodes) {
            let normal = node.normal.borrow().buddy.audit()?;
            let movable = node.movable.borrow().buddy.audit()?;
            let (free, used) = (normal.free + movable.free, normal.used + movable.used);
            let total = node.frames.end - node.frames.start;
            if free + used != total {
                return Err(AuditError::Total {
                    node: id,
                    free,
                    used,
                    total,
                }
                .into());
            }
        }
        Ok(())
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id.0))
    }

    /// The node of `pfn`.
    fn holder(&self, pfn: Pfn) -> Result<&Node, PageError> {
        self.node_of(pfn)
            .and_then(|id| self.node(id))
            .ok_or(PageError::Foreign(pfn))
    }

    /// Counts an attempt; whether it is the one to fail.
    fn told_to_fail(&self) -> bool {
        let attempt = self.attempts.get();
        self.attempts.set(attempt + 1);
        self.fail_at.get() == Some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Watermarks;
    use super::super::frame_table::State;
    use super::*;

    #[test]
    fn a_page_that_no_zone_accounts_for_is_found() {
        let config = NodeConfig {
            base: 0,
            bytes: 0x1_0000,
            movable_bytes: 0x8000,
            tier: Tier::Top,
            watermarks: Watermarks::default(),
            zeroed: true,
        };
        let pages = PageAllocator::new(Granule::K4, &[config], &[]).expect("valid");
        let request = Request::new(0, NodeId(0)).movable();
        assert!(pages.allocate(&request).is_some());
        assert_eq!(pages.audit(), Ok(()));
        let mut zone = pages.nodes[0].movable.borrow_mut();
        zone.buddy.table.set(8, State::Absent);
        drop(zone);
        let lost = AuditError::Total {
            node: NodeId(0),
            free: 15,
            used: 0,
            total: 16,
        };
        assert_eq!(pages.audit(), Err(PageError::Audit(lost)));
    }
}
