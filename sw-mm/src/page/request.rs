// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What is asked of the allocator, and what it hands out.

use super::{NodeId, NodeMask, Pfn};

/// A request for one block of frames.
///
/// ```
/// use sw_mm::page::{NodeId, Request};
///
/// let request = Request::new(9, NodeId(1)).this_node().movable();
/// assert!(request.this_node && request.movable && !request.reserve);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// log2 of the frames wanted, at most [`MAX_ORDER`](super::MAX_ORDER).
    pub order: u8,
    /// Node to take them from, or to start from.
    pub node: NodeId,
    /// That node or none (MM-01).
    pub this_node: bool,
    /// Nodes that may serve it; a memory policy that binds names fewer than all.
    pub allowed: NodeMask,
    /// The content can be moved later, so zone MOVABLE will do, and is preferred.
    pub movable: bool,
    /// May use the pages below the min watermark: the caller frees memory, or must not fail.
    pub reserve: bool,
}

impl Request {
    /// An unmovable block of 2^`order` frames, by preference of `node`, above the min watermark.
    pub const fn new(order: u8, node: NodeId) -> Self {
        Self {
            order,
            node,
            this_node: false,
            allowed: NodeMask::ALL,
            movable: false,
            reserve: false,
        }
    }

    /// The same, without falling back to other nodes.
    pub const fn this_node(mut self) -> Self {
        self.this_node = true;
        self
    }

    /// The same, served by these nodes only.
    pub const fn within(mut self, allowed: NodeMask) -> Self {
        self.allowed = allowed;
        self
    }

    /// The same, for content that can be moved.
    pub const fn movable(mut self) -> Self {
        self.movable = true;
        self
    }

    /// The same, with access to the reserve below the min watermark.
    pub const fn reserve(mut self) -> Self {
        self.reserve = true;
        self
    }
}

/// A block handed out: 2^`order` frames from `pfn` on, which is a multiple of that.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// First frame.
    pub pfn: Pfn,
    /// log2 of the frames.
    pub order: u8,
    /// Node the frames are of.
    pub node: NodeId,
    /// Every byte is known to be zero, so nothing need be cleared (MM-04).
    pub zeroed: bool,
}
