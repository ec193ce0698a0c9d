// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What can be wrong with a configuration of nodes, or with a block given back.

use super::{AuditError, MAX_ORDER, NodeId, Pfn};
use thiserror::Error;
use vmsa::Granule;

/// Why a set of nodes cannot be managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The number of nodes does not fit a [`NodeId`], or is 0.
    #[error("{0} nodes: give 1 to 256")]
    NodeCount(usize),
    /// An address or size is not a whole number of frames.
    #[error("node {node}: {what} {value:#x} is not a multiple of the granule of {granule}")]
    Unaligned {
        /// The node.
        node: NodeId,
        /// `base`, `bytes` or `movable_bytes`.
        what: &'static str,
        /// Its value in bytes.
        value: u64,
        /// The granule.
        granule: Granule,
    },
    /// The node ends above the physical address space, or has more frames than can be numbered.
    #[error("node {node}: {bytes:#x} bytes at {base:#x} are too much: take fewer, or a lower base")]
    TooLarge {
        /// The node.
        node: NodeId,
        /// Its base.
        base: u64,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Zone MOVABLE is larger than its node.
    #[error("node {node}: {movable:#x} movable bytes in a node of {bytes:#x}")]
    Movable {
        /// The node.
        node: NodeId,
        /// Bytes asked for in zone MOVABLE.
        movable: u64,
        /// Bytes of the node.
        bytes: u64,
    },
    /// Watermarks shall rise, and lie within the node.
    #[error(
        "node {node}: watermarks min {min}, low {low}, high {high} shall not fall, nor pass its \
         {pages} pages"
    )]
    Watermarks {
        /// The node.
        node: NodeId,
        /// Watermark min in pages.
        min: u64,
        /// Watermark low in pages.
        low: u64,
        /// Watermark high in pages.
        high: u64,
        /// Pages of the node.
        pages: u64,
    },
    /// Two nodes share memory.
    #[error("nodes {0} and {1} overlap")]
    Overlap(NodeId, NodeId),
    /// The distances are not one row per node with one entry per node.
    #[error("distances: {rows} rows, row {row} of {columns} entries; want {nodes} of {nodes}")]
    DistanceShape {
        /// Rows given.
        rows: usize,
        /// The row that is too long or too short; the number of rows if all rows given are right.
        row: usize,
        /// Entries in it.
        columns: usize,
        /// Nodes.
        nodes: usize,
    },
    /// A node is 10 from itself and further from every other, as in the SLIT of ACPI.
    #[error(
        "distance {distance} from node {from} to node {to}: want 10 on the diagonal, more elsewhere"
    )]
    Distance {
        /// Row.
        from: NodeId,
        /// Column.
        to: NodeId,
        /// The value found.
        distance: u8,
    },
}

/// Why a call was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PageError {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The frame belongs to no node.
    #[error("frame {0} belongs to no node")]
    Foreign(Pfn),
    /// The frame is free already (MM-03).
    #[error("frame {0} is not in use: freed twice?")]
    NotInUse(Pfn),
    /// The frame lies inside a block, which is given back whole or split first.
    #[error("frame {pfn} is inside the block of order {order} at {head}")]
    InsideBlock {
        /// The frame named.
        pfn: Pfn,
        /// First frame of its block.
        head: Pfn,
        /// Order of its block.
        order: u8,
    },
    /// The block was handed out with another order.
    #[error("the block at {pfn} is of order {held}, not {given} (0 to {MAX_ORDER})")]
    WrongOrder {
        /// First frame of the block.
        pfn: Pfn,
        /// Order named by the caller.
        given: u8,
        /// Order of the block.
        held: u8,
    },
    /// The books of the allocator disagree: a defect of the allocator itself.
    #[error(transparent)]
    Audit(#[from] AuditError),
}
