// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Whether the books of a zone agree with each other: frame states, free lists and counts.

use super::buddy::Buddy;
use super::frame_table::State;
use super::{MAX_ORDER, NodeId, Pfn};
use thiserror::Error;

/// A disagreement in the books of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuditError {
    /// The frame where a block shall begin is in no block.
    #[error("frame {0} is in no block")]
    NoBlock(Pfn),
    /// A block is not naturally aligned, overlaps another, or leaves its zone.
    #[error(
        "the block of order {order} at {pfn} is not aligned, overlaps another or leaves its zone"
    )]
    Misplaced {
        /// First frame of the block.
        pfn: Pfn,
        /// Its order.
        order: u8,
    },
    /// Two buddies are both free and still apart.
    #[error("the free blocks of order {order} at {pfn} and its buddy are not merged")]
    Unmerged {
        /// First frame of the lower one.
        pfn: Pfn,
        /// Order of both.
        order: u8,
    },
    /// The free list of an order holds what is no free block of that order, or runs in a circle.
    #[error("the free list of order {order} is wrong at {pfn}")]
    List {
        /// The frame that ought not to be there.
        pfn: Pfn,
        /// Order of the list.
        order: u8,
    },
    /// Free blocks of an order are missing from its list.
    #[error("{listed} blocks in the free list of order {order}, {found} free blocks")]
    Unlisted {
        /// Order of the list.
        order: u8,
        /// Blocks in it.
        listed: u64,
        /// Free blocks by the states of frames.
        found: u64,
    },
    /// The count of free pages is wrong.
    #[error("{counted} pages counted as free, {found} are")]
    FreeCount {
        /// Free pages as counted.
        counted: u64,
        /// Free pages by the states of frames.
        found: u64,
    },
    /// Free and used pages of a node do not add up to the node.
    #[error("node {node}: {free} free and {used} used pages of {total}")]
    Total {
        /// The node.
        node: NodeId,
        /// Free pages.
        free: u64,
        /// Pages in use.
        used: u64,
        /// Pages of the node.
        total: u64,
    },
}

/// Pages of a zone by the states of its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub free: u64,
    pub used: u64,
}

impl Buddy {
    /// Looks at every frame and every list of the zone.
    ///
    /// # Errors
    /// The first disagreement found.
    pub fn audit(&self) -> Result<Census, AuditError> {
        let table = &self.table;
        let mut census = Census::default();
        let mut found = [0_u64; MAX_ORDER as usize + 1];
        let mut at = 0;
        while at < table.len() {
            let pfn = Pfn(table.pfn(at));
            let order = match table.state(at) {
                State::Absent => {
                    at += 1;
                    continue;
                }
                State::Inside => return Err(AuditError::NoBlock(pfn)),
                State::Free(order) | State::Used(order) => order,
            };
            let size = 1_u32 << order;
            let inside = |index| table.state(index) == State::Inside;
            if !at.is_multiple_of(size) || !(at + 1..at + size).all(inside) {
                return Err(AuditError::Misplaced { pfn, order });
            }
            if table.state(at) == State::Free(order) {
                let merges = order < MAX_ORDER && at & size == 0;
                if merges && table.state(at + size) == State::Free(order) {
                    return Err(AuditError::Unmerged { pfn, order });
                }
                found[usize::from(order)] += 1;
                census.free += u64::from(size);
            } else {
                census.used += u64::from(size);
            }
            at += size;
        }
        for (order, found) in (0..=MAX_ORDER).zip(found) {
            self.audit_list(order, found)?;
        }
        if census.free != self.free {
            return Err(AuditError::FreeCount {
                counted: self.free,
                found: census.free,
            });
        }
        Ok(census)
    }

    /// The list of `order` holds `found` blocks, all free and of that order. No block can be in it
    /// twice without closing a circle, which is longer than any list.
    fn audit_list(&self, order: u8, found: u64) -> Result<(), AuditError> {
        let mut listed = 0;
        let mut next = self.table.first_free(order);
        while let Some(index) = next {
            listed += 1;
            if self.table.state(index) != State::Free(order) || listed > found {
                let pfn = Pfn(self.table.pfn(index));
                return Err(AuditError::List { pfn, order });
            }
            next = self.table.next_free(index);
        }
        if listed != found {
            return Err(AuditError::Unlisted {
                order,
                listed,
                found,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 frames, those below 2 in use, after `plant` has done its damage.
    fn audit(plant: impl FnOnce(&mut Buddy)) -> Result<Census, AuditError> {
        let mut buddy = Buddy::new(0, 16, true);
        buddy.allocate(1);
        plant(&mut buddy);
        buddy.audit()
    }

    #[test]
    fn sound_books_pass() {
        assert_eq!(audit(|_| {}), Ok(Census { free: 14, used: 2 }));
    }

    #[test]
    fn a_frame_in_no_block_is_found() {
        let lost = audit(|buddy| buddy.table.set(0, State::Inside));
        assert_eq!(lost, Err(AuditError::NoBlock(Pfn(0))));
    }

    #[test]
    fn misplaced_blocks_are_found() {
        let misplaced = |at, order| {
            Err(AuditError::Misplaced {
                pfn: Pfn(at),
                order,
            })
        };
        let overlapping = audit(|buddy| buddy.table.set(1, State::Used(0)));
        assert_eq!(overlapping, misplaced(0, 1));
        let too_long = audit(|buddy| buddy.table.set(8, State::Used(4)));
        assert_eq!(too_long, misplaced(8, 4));
        let beyond = audit(|buddy| {
            buddy.table.set(0, State::Used(5));
            (1..16).for_each(|index| buddy.table.set(index, State::Inside));
        });
        assert_eq!(beyond, misplaced(0, 5));
    }

    #[test]
    fn buddies_left_apart_are_found() {
        let apart = audit(|buddy| {
            buddy.table.unlink(4, 2);
            buddy.table.link(6, 1);
            buddy.table.link(4, 1);
        });
        let unmerged = AuditError::Unmerged {
            pfn: Pfn(4),
            order: 1,
        };
        assert_eq!(apart, Err(unmerged));
    }

    #[test]
    fn a_used_block_in_a_free_list_is_found() {
        let used = audit(|buddy| buddy.table.set(4, State::Used(2)));
        let wrong = AuditError::List {
            pfn: Pfn(4),
            order: 2,
        };
        assert_eq!(used, Err(wrong));
    }

    #[test]
    fn a_list_in_a_circle_is_found() {
        // Linked twice, a block is its own successor.
        let circle = audit(|buddy| buddy.table.link(4, 2));
        let wrong = AuditError::List {
            pfn: Pfn(4),
            order: 2,
        };
        assert_eq!(circle, Err(wrong));
    }

    #[test]
    fn a_free_block_in_no_list_is_found() {
        let unlisted = audit(|buddy| {
            buddy.table.unlink(4, 2);
            buddy.table.set(4, State::Free(2));
        });
        let missing = AuditError::Unlisted {
            order: 2,
            listed: 0,
            found: 1,
        };
        assert_eq!(unlisted, Err(missing));
    }

    #[test]
    fn a_wrong_count_is_found() {
        let counted = audit(|buddy| buddy.free += 1);
        let wrong = AuditError::FreeCount {
            counted: 15,
            found: 14,
        };
        assert_eq!(counted, Err(wrong));
    }
}
