// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where table pages come from: the allocator interface, and a small pool that satisfies it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// One physical frame of the size of a granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// Address of the first byte.
    pub pa: u64,
    /// The frame is known to hold zeros only, so a table page need not be cleared (MM-04).
    pub zeroed: bool,
}

/// A source of frames. Methods take `&self` so that several tasks can share one allocator.
pub trait FrameAllocator {
    /// Takes a frame, aligned to its size; `None` when none is left.
    fn allocate(&self) -> Option<Frame>;

    /// Gives a frame back. The caller vouches that no translation, no walker and no core reaches it
    /// any more (MM-05, BBM-09).
    fn free(&self, frame: Frame);
}

/// Hands out fresh frames in ascending order and freed ones before them, last freed first, so that
/// a frame that was freed too early is reused at once and seen.
///
/// ```
/// use sw_mm::{Frame, FrameAllocator, FramePool};
///
/// let pool = FramePool::new(0x10_0000, 0x2000, 0x1000);
/// let first = pool.allocate().unwrap();
/// assert_eq!(first, Frame { pa: 0x10_0000, zeroed: true });
/// pool.free(Frame { zeroed: false, ..first });
/// assert_eq!(pool.in_use(), 0);
/// assert_eq!(pool.allocate(), Some(Frame { zeroed: false, ..first }));
/// ```
#[derive(Debug)]
pub struct FramePool {
    frame_bytes: u64,
    next: Cell<u64>,
    end: u64,
    free: RefCell<Vec<Frame>>,
    used: RefCell<BTreeSet<u64>>,
}

impl FramePool {
    /// A pool over `bytes` bytes of zero-filled memory at `base`, in frames of `frame_bytes` (a power
    /// of two). `base` is rounded up to a frame.
    pub fn new(base: u64, bytes: u64, frame_bytes: u64) -> Self {
        Self {
            frame_bytes,
            next: Cell::new(base.next_multiple_of(frame_bytes)),
            end: base + bytes,
            free: RefCell::default(),
            used: RefCell::default(),
        }
    }

    /// Frames handed out and not given back.
    pub fn in_use(&self) -> usize {
        self.used.borrow().len()
    }

    /// Whether the frame at `pa` is handed out.
    pub fn is_used(&self, pa: u64) -> bool {
        self.used.borrow().contains(&pa)
    }

    /// Address of the next frame never handed out so far.
    pub fn fresh(&self) -> u64 {
        self.next.get()
    }
}

impl FrameAllocator for FramePool {
    fn allocate(&self) -> Option<Frame> {
        let frame = match self.free.borrow_mut().pop() {
            Some(frame) => frame,
            None => {
                let pa = self.next.get();
                if pa + self.frame_bytes > self.end {
                    return None;
                }
                self.next.set(pa + self.frame_bytes);
                Frame { pa, zeroed: true }
            }
        };
        self.used.borrow_mut().insert(frame.pa);
        Some(frame)
    }

    /// A frame that is not in use is ignored, so that one freed twice is never handed out twice.
    fn free(&self, frame: Frame) {
        if self.used.borrow_mut().remove(&frame.pa) {
            self.free.borrow_mut().push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_pool_says_so() {
        let pool = FramePool::new(0x1000, 0x1000, 0x1000);
        assert!(pool.allocate().is_some());
        assert_eq!(pool.allocate(), None);
    }

    #[test]
    fn a_frame_freed_twice_is_handed_out_once() {
        let pool = FramePool::new(0x1000, 0x2000, 0x1000);
        let Some(frame) = pool.allocate() else {
            panic!("two frames")
        };
        pool.free(frame);
        pool.free(frame);
        assert_eq!(pool.allocate().map(|f| f.pa), Some(0x1000));
        assert_eq!(pool.allocate().map(|f| f.pa), Some(0x2000));
    }
}
