// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The invalidations that software made, and how far each has got: behind which stores a DSB put it,
//! and whether a DSB completed it (section 11.3).

use std::collections::VecDeque;

use vmsa::{DsbKind, Tlbi, TlbiScope};

use crate::arch::invalidation::{Held, removes};

/// Complete operations kept for reports after what they removed is gone.
const KEPT: usize = 64;
/// Operations after which it is time to forget what they removed.
const DUE: usize = 256;

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Issued {
    /// PE that issued it.
    pub source: u8,
    /// The operation.
    pub tlbi: Tlbi,
    /// The ASID that it names, cut to the bits in use (TLBI-13).
    pub asid: u16,
    /// Cycle of its issue.
    pub issued_at: u64,
    /// Issue of the last DSB before it on its PE that orders stores.
    barrier: u64,
    /// Completion of that DSB: what was visible by then comes before the operation.
    pub after: u64,
    /// Completion of a DSB that completes it.
    pub complete: Option<u64>,
    /// A later DSB that did not complete it.
    pub too_weak: Option<DsbKind>,
}

impl Issued {
    /// Whether it reaches `core`.
    #[must_use]
    pub fn reaches(&self, core: u8) -> bool {
        self.source == core || self.tlbi.scope != TlbiScope::Local
    }

    /// Whether it names `held` under one of `asids`.
    #[must_use]
    pub fn names(&self, held: &Held, asids: [u16; 2]) -> bool {
        asids
            .iter()
            .any(|&asid| removes(&self.tlbi, &Held { asid, ..*held }, self.asid))
    }
}

/// The last DSB of a core that orders stores.
#[derive(Debug, Clone, Copy, Default)]
struct Barrier {
    issued_at: u64,
    done_at: u64,
}

/// The operations of every core, oldest first.
#[derive(Debug, Default)]
pub struct Log {
    operations: VecDeque<Issued>,
    barriers: Vec<Barrier>,
}

impl Log {
    fn barrier(&mut self, core: u8) -> &mut Barrier {
        let index = usize::from(core);
        if self.barriers.len() <= index {
            self.barriers.resize_with(index + 1, Barrier::default);
        }
        &mut self.barriers[index]
    }

    /// `core` issued a DSB at `cycle`.
    pub fn fence(&mut self, cycle: u64, core: u8, kind: DsbKind) {
        if kind.orders_stores() {
            *self.barrier(core) = Barrier {
                issued_at: cycle,
                done_at: 0,
            };
        }
    }

    /// `core` issued `tlbi`, which names `asid`, at `cycle`.
    pub fn issue(&mut self, cycle: u64, source: u8, tlbi: Tlbi, asid: u16) {
        let Barrier { issued_at, done_at } = *self.barrier(source);
        self.operations.push_back(Issued {
            source,
            tlbi,
            asid,
            issued_at: cycle,
            barrier: issued_at,
            after: done_at,
            complete: None,
            too_weak: None,
        });
    }

    /// The DSB that `core` issued at `issued_at` completed at `cycle`.
    pub fn fenced(&mut self, cycle: u64, core: u8, kind: DsbKind, issued_at: u64) {
        let orders = kind.orders_stores();
        let barrier = self.barrier(core);
        if orders && barrier.issued_at == issued_at {
            barrier.done_at = cycle;
        }
        for operation in self
            .operations
            .iter_mut()
            .rev()
            .filter(|op| op.source == core)
        {
            if operation.barrier == issued_at && orders {
                operation.after = cycle;
            }
            if operation.issued_at < issued_at && operation.complete.is_none() {
                if kind.completes_tlbi(operation.tlbi.scope) {
                    operation.complete = Some(cycle);
                } else {
                    operation.too_weak = Some(kind);
                }
            }
        }
    }

    /// The operations remembered, the latest first.
    pub fn latest(&self) -> impl Iterator<Item = &Issued> {
        self.operations.iter().rev()
    }

    /// Whether so many are complete that what they removed should be forgotten, and then they.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.operations.len() >= DUE
    }

    /// Forgets complete operations: what they removed is forgotten.
    pub fn forget(&mut self) {
        let mut surplus = self.operations.len().saturating_sub(KEPT);
        self.operations.retain(|operation| {
            let goes = surplus > 0 && operation.complete.is_some();
            surplus -= usize::from(goes);
            !goes
        });
    }
}
