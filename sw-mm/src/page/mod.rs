// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Physical pages: who gets which frame, by node, zone and order (contract: memory-management
//! substrate, section 3).
//!
//! This is bookkeeping of the kernel only. It touches no memory and costs no bus traffic; clearing
//! what is handed out is the caller's work on a core. Each node has a zone NORMAL and above it a
//! zone MOVABLE, each zone a binary buddy system: blocks of 2^order frames, naturally aligned, that
//! split to serve a request and merge with their buddy when freed.
//!
//! What is handed out next is a function of the calls so far alone. A zone serves a request of an
//! order with, first to last:
//! 1. the frames last freed in that order, last one first, even out of a larger block they have
//!    merged into meanwhile, as long as they are among the last few freed. So a frame that was freed
//!    too early is in use again at once, where checkers see it (MM-02);
//! 2. the smallest free block that is large enough, the one that came to be free last, the lower half
//!    of each split. In untouched memory that is ascending addresses.
//!
//! | module | idea |
//! | --- | --- |
//! | `allocator` | the zonelist walk, fault injection |
//! | `node`, `zone` | a node and its zones |
//! | `watermark` | when a node is short of pages |
//! | `zonelist`, `mask` | which node comes next, and which may |
//! | `buddy` | splitting and merging |
//! | `frame_table` | the state of each frame, and the free lists through it |
//! | `recent` | the frames freed last |
//! | `zero_map` | frames that nobody has had so far |
//! | `audit` | whether all that agrees |

mod allocator;
mod audit;
mod buddy;
mod error;
mod frame_table;
mod mask;
mod node;
mod recent;
mod request;
mod watermark;
mod zero_map;
mod zone;
mod zonelist;

pub use allocator::PageAllocator;
pub use audit::AuditError;
pub use error::{ConfigError, PageError};
pub use mask::NodeMask;
pub use node::{NodeConfig, Tier};
pub use request::{Block, Request};
pub use watermark::Watermarks;

use std::fmt;

/// Largest order: blocks have at most 2^10 frames, in every granule.
pub const MAX_ORDER: u8 = 10;

/// Number of orders, 0 to [`MAX_ORDER`].
const ORDERS: usize = MAX_ORDER as usize + 1;

/// Frames of a block of `order`.
const fn pages(order: u8) -> u64 {
    1 << order
}

/// Number of a physical frame: its physical address shifted right by the shift of the granule.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(pub u64);

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Number of a NUMA node: its place in the configuration.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
