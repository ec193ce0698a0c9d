// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLB flushes of user address spaces (section 9), and what each costs in instructions.
//!
//! Every flush begins with DSB ISHST, so that walkers see the new entries before the old ones go, and
//! ends with DSB ISH, after which no core uses an old one. The `nosync` forms leave that to the next
//! DSB ISH of the core (MM-21).

use super::space::AddressSpace;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::thread::Thread;
use vmsa::{DsbKind, Granule, RangeOperand, Tlbi, TlbiScope, geometry};

const SCOPE: TlbiScope = TlbiScope::InnerShareable;

/// Pages from which on a flush of the whole address space is cheaper, whatever the range
/// (MAX_TLBI_RANGE_PAGES).
const MAX_RANGE_PAGES: u64 = 1 << 21;

/// What to flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushRange {
    /// First byte, a multiple of the page size.
    pub start: u64,
    /// First byte after the range, a multiple of the page size.
    pub end: u64,
    /// Bytes of the leaves in it.
    pub stride: u64,
    /// Leaf entries only: no table was taken out.
    pub leaf: bool,
    /// Level of the leaves, if all are of one.
    pub level: Option<u8>,
}

impl FlushRange {
    /// Pages of the last level.
    pub fn pages(granule: Granule, start: u64, end: u64) -> Self {
        Self {
            start,
            end,
            stride: granule.bytes(),
            leaf: true,
            level: Some(geometry::FINAL_LEVEL),
        }
    }
}

impl<C: Cpu> Thread<C> {
    async fn invalidate(&self, op: Tlbi) {
        self.kernel.counters.tlbis.increment();
        self.cpu.tlbi(op).await;
    }

    /// Waits until the invalidations that this core has under way are over on every core.
    pub(crate) async fn complete_flush(&self) {
        self.kernel.counters.dsbs.increment();
        self.cpu.dsb(DsbKind::ISH).await;
    }

    /// Removes everything from every TLB.
    pub async fn flush_all(&self) {
        let _span = self.span(Activity::Flush, 0, 0, 0);
        self.cpu.dsb(DsbKind::ISHST).await;
        self.invalidate(Tlbi::vmalle1(SCOPE)).await;
        self.complete_flush().await;
        self.cpu.isb().await;
    }

    /// Removes everything from the TLB of this core.
    pub async fn flush_local_all(&self) {
        let _span = self.span(Activity::Flush, 0, 0, 0);
        self.cpu.dsb(DsbKind::NSHST).await;
        self.invalidate(Tlbi::vmalle1(TlbiScope::Local)).await;
        self.kernel.counters.dsbs.increment();
        self.cpu.dsb(DsbKind::NSH).await;
        self.cpu.isb().await;
    }

    /// Removes what belongs to `space` from every TLB.
    pub async fn flush_mm(&self, space: &AddressSpace) {
        let _span = self.span(Activity::Flush, space.number(), 0, 0);
        self.cpu.dsb(DsbKind::ISHST).await;
        self.invalidate(Tlbi::aside1(SCOPE, space.context.asid()))
            .await;
        self.complete_flush().await;
    }

    /// Removes the leaf entry of the page at `va` from every TLB.
    pub async fn flush_page(&self, space: &AddressSpace, va: u64) {
        let bytes = self.kernel.granule().bytes();
        let _span = self.span(Activity::Flush, space.number(), va, bytes);
        self.flush_page_nosync(space, va).await;
        self.complete_flush().await;
    }

    /// As [`Thread::flush_page`], over with the next DSB ISH of this core.
    pub async fn flush_page_nosync(&self, space: &AddressSpace, va: u64) {
        self.cpu.dsb(DsbKind::ISHST).await;
        let hint = Some((self.kernel.granule(), geometry::FINAL_LEVEL));
        let op = Tlbi::vale1(SCOPE, va, space.context.asid(), hint);
        self.invalidate(op).await;
    }

    /// Removes the leaf entry of the page at `va` from the TLB of this core: after a fault that a
    /// stale entry caused (MM-13).
    pub async fn flush_page_local(&self, space: &AddressSpace, va: u64) {
        self.flush_leaf_local(space, va, geometry::FINAL_LEVEL)
            .await;
    }

    /// As [`Thread::flush_page_local`], for a leaf of `level`.
    pub(crate) async fn flush_leaf_local(&self, space: &AddressSpace, va: u64, level: u8) {
        let bytes = geometry::level_bytes(self.kernel.granule(), level);
        let _span = self.span(Activity::Flush, space.number(), va, bytes);
        self.cpu.dsb(DsbKind::NSHST).await;
        let hint = Some((self.kernel.granule(), level));
        let op = Tlbi::vale1(TlbiScope::Local, va, space.context.asid(), hint);
        self.invalidate(op).await;
        self.kernel.counters.dsbs.increment();
        self.cpu.dsb(DsbKind::NSH).await;
        self.cpu.isb().await;
    }

    /// Removes the entries of a range from every TLB (MM-20).
    pub async fn flush_range(&self, space: &AddressSpace, range: FlushRange) {
        let bytes = range.end - range.start;
        let _span = self.span(Activity::Flush, space.number(), range.start, bytes);
        self.flush_range_nosync(space, range).await;
        self.complete_flush().await;
    }

    /// As [`Thread::flush_range`], over with the next DSB ISH of this core.
    pub async fn flush_range_nosync(&self, space: &AddressSpace, range: FlushRange) {
        let granule = self.kernel.granule();
        let start = range.start & !(range.stride - 1);
        let end = range.end.next_multiple_of(range.stride);
        self.cpu.dsb(DsbKind::ISHST).await;
        // Only now: under an ASID that it gets from here on, walkers see the new entries.
        let asid = space.context.asid();
        if start >= end {
            return;
        }
        let ranges = self.kernel.config().range_tlbi;
        let too_large = end - start >= granule.entries() * range.stride;
        let pages = (end - start) >> granule.shift();
        if !ranges && too_large || pages >= MAX_RANGE_PAGES {
            return self.invalidate(Tlbi::aside1(SCOPE, asid)).await;
        }
        let mut va = start;
        // From the largest scale down, so that each is used once (section 9).
        let mut scale = if ranges {
            RangeOperand::SCALE_MAX as i8
        } else {
            -1
        };
        while va < end {
            let left = (end - va) >> granule.shift();
            if left == 1 || scale < 0 {
                let hint = range.level.map(|level| (granule, level));
                let op = if range.leaf {
                    Tlbi::vale1(SCOPE, va, asid, hint)
                } else {
                    Tlbi::vae1(SCOPE, va, asid, None)
                };
                self.invalidate(op).await;
                va += range.stride;
                continue;
            }
            let unit = RangeOperand::pages(scale as u8, 0);
            let num = (left / unit).min(u64::from(RangeOperand::NUM_MAX) + 1);
            if num > 0 {
                let num = num as u8 - 1;
                let operand = (va, granule, scale as u8, num);
                self.invalidate(range_operation(range, asid, operand)).await;
                va += RangeOperand::pages(scale as u8, num) << granule.shift();
            }
            scale -= 1;
        }
    }
}

fn range_operation(
    range: FlushRange,
    asid: u16,
    (va, granule, scale, num): (u64, Granule, u8, u8),
) -> Tlbi {
    if range.leaf {
        Tlbi::rvale1(SCOPE, granule, va, scale, num, range.level, asid)
    } else {
        Tlbi::rvae1(SCOPE, granule, va, scale, num, None, asid)
    }
}
