// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A node: a range of physical memory, its zones and its watermarks.

use super::error::ConfigError;
use super::zone::Zone;
use super::{Block, NodeId, Pfn, Request, Watermarks};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use vmsa::Granule;

/// Frames of one node are fewer than this, so that 31 bits number those of a zone.
const MAX_FRAMES: u64 = 1 << 30;

/// Kind of memory a node has.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Fast memory, where hot pages belong.
    Top,
    /// Slow memory, from which hot pages are promoted. Allocation reaches it by distance like any
    /// other.
    Slow,
}

/// The memory of a node. A node without memory has 0 bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Physical address of the first byte, a multiple of the granule.
    pub base: u64,
    /// Size in bytes, a multiple of the granule.
    pub bytes: u64,
    /// Bytes of zone MOVABLE, the top part of the node, a multiple of the granule; the rest is zone
    /// NORMAL.
    pub movable_bytes: u64,
    /// Kind of memory.
    pub tier: Tier,
    /// When the node is short of pages. Each zone keeps its share of `min`, by its size.
    pub watermarks: Watermarks,
    /// All of it holds zeros at boot.
    pub zeroed: bool,
}

/// A node at work.
#[derive(Debug)]
pub(super) struct Node {
    id: NodeId,
    pub tier: Tier,
    pub watermarks: Watermarks,
    /// Frames of the node.
    pub frames: Range<u64>,
    /// First frame of zone MOVABLE.
    boundary: u64,
    pub normal: RefCell<Zone>,
    pub movable: RefCell<Zone>,
    /// The reclaimer has work.
    pub reclaim_wanted: Cell<bool>,
}

impl Node {
    /// A node with all its memory free.
    ///
    /// # Errors
    /// Each [`ConfigError`] about a single node.
    pub fn new(id: NodeId, config: &NodeConfig, granule: Granule) -> Result<Self, ConfigError> {
        let NodeConfig {
            base,
            bytes,
            movable_bytes,
            watermarks,
            ..
        } = *config;
        for (what, value) in [
            ("base", base),
            ("bytes", bytes),
            ("movable_bytes", movable_bytes),
        ] {
            if !value.is_multiple_of(granule.bytes()) {
                return Err(ConfigError::Unaligned {
                    node: id,
                    what,
                    value,
                    granule,
                });
            }
        }
        let total = bytes >> granule.shift();
        let Some(end) = base.checked_add(bytes).filter(|_| total < MAX_FRAMES) else {
            return Err(ConfigError::TooLarge {
                node: id,
                base,
                bytes,
            });
        };
        if movable_bytes > bytes {
            return Err(ConfigError::Movable {
                node: id,
                movable: movable_bytes,
                bytes,
            });
        }
        let Watermarks { min, low, high } = watermarks;
        if !(min <= low && low <= high && high <= total) {
            return Err(ConfigError::Watermarks {
                node: id,
                min,
                low,
                high,
                pages: total,
            });
        }
        let frames = base >> granule.shift()..end >> granule.shift();
        let boundary = frames.end - (movable_bytes >> granule.shift());
        let movable_min = watermarks.min_share(frames.end - boundary, total);
        let zone = |frames, min| RefCell::new(Zone::new(frames, config.zeroed, min));
        Ok(Self {
            id,
            tier: config.tier,
            watermarks,
            normal: zone(frames.start..boundary, min - movable_min),
            movable: zone(boundary..frames.end, movable_min),
            frames,
            boundary,
            reclaim_wanted: Cell::new(false),
        })
    }

    /// Free pages of both zones.
    pub fn free_pages(&self) -> u64 {
        self.normal.borrow().buddy.free_pages() + self.movable.borrow().buddy.free_pages()
    }

    /// Pages of both zones.
    pub fn total_pages(&self) -> u64 {
        self.normal.borrow().buddy.total() + self.movable.borrow().buddy.total()
    }

    /// Fewer pages are free than the low watermark asks for.
    pub fn below_low(&self) -> bool {
        self.free_pages() < self.watermarks.low
    }

    /// The zone that frame `pfn` of this node is in.
    pub fn zone_of(&self, pfn: Pfn) -> &RefCell<Zone> {
        if pfn.0 < self.boundary {
            &self.normal
        } else {
            &self.movable
        }
    }

    /// Serves a request out of this node if it can, zone MOVABLE first for movable ones, and notes
    /// whether that leaves the reclaimer something to do.
    pub fn allocate(&self, request: &Request) -> Option<Block> {
        let Request { order, reserve, .. } = *request;
        let from = |zone: &RefCell<Zone>| zone.borrow_mut().allocate(order, reserve);
        let movable = request.movable.then(|| from(&self.movable)).flatten();
        let found = movable.or_else(|| from(&self.normal));
        if self.below_low() || (found.is_none() && !self.frames.is_empty()) {
            self.reclaim_wanted.set(true);
        }
        found.map(|(pfn, zeroed)| Block {
            pfn,
            order,
            node: self.id,
            zeroed,
        })
    }
}
