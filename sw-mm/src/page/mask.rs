// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Sets of nodes.

use super::NodeId;
use std::fmt;

const WORDS: usize = 4;

/// A set of nodes.
///
/// ```
/// use sw_mm::page::{NodeId, NodeMask};
///
/// let mask: NodeMask = [NodeId(2), NodeId(0)].into_iter().collect();
/// assert!(mask.contains(NodeId(2)) && !mask.contains(NodeId(1)));
/// assert_eq!(mask.iter().collect::<Vec<_>>(), [NodeId(0), NodeId(2)]);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct NodeMask([u64; WORDS]);

impl NodeMask {
    /// No node.
    pub const NONE: Self = Self([0; WORDS]);
    /// Every node that may be.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// This node only.
    pub const fn of(node: NodeId) -> Self {
        Self::NONE.with(node)
    }

    /// The same and `node`.
    #[must_use]
    pub const fn with(mut self, node: NodeId) -> Self {
        self.0[node.0 as usize / 64] |= 1 << (node.0 % 64);
        self
    }

    /// Whether `node` is in it.
    pub const fn contains(self, node: NodeId) -> bool {
        self.0[node.0 as usize / 64] >> (node.0 % 64) & 1 == 1
    }

    /// Whether no node is in it.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// The nodes, ascending.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        let all = (0..=u8::MAX).map(NodeId);
        all.filter(move |&node| self.contains(node))
    }
}

impl FromIterator<NodeId> for NodeMask {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for NodeMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all nodes");
        }
        f.debug_set()
            .entries(self.iter().map(|node| node.0))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_every_word_are_told_apart() {
        for node in [0, 63, 64, 127, 128, 255].map(NodeId) {
            let mask = NodeMask::of(node);
            assert_eq!(mask.iter().collect::<Vec<_>>(), [node]);
            assert!(!mask.is_empty() && NodeMask::ALL.contains(node));
        }
        assert_eq!(NodeMask::ALL.iter().count(), 256);
        assert_eq!(NodeMask::NONE.iter().count(), 0);
        let mask = NodeMask::of(NodeId(3)).with(NodeId(200));
        assert_eq!(
            format!("{mask:?} {:?}", NodeMask::ALL),
            "{3, 200} all nodes"
        );
    }
}
