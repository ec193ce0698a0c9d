// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which invalidations bind the accesses of one PE, its own and those broadcast by others, and since
//! when an entry shall not come from before them: the lower bounds of section 13.2.

use vmsa::{DsbKind, Tlbi, TlbiOp, TlbiScope};

use super::fingerprint::Fingerprint;
use super::invalidation::{Held, removes};

/// An operation as the PE that issued it knows it.
#[derive(Clone, Copy, Debug)]
pub struct Issued {
    /// PE that issued it.
    pub source: u8,
    /// Its place in program order there.
    pub order: u64,
    /// Cycle of issue.
    pub cycle: u64,
    /// The operation.
    pub tlbi: Tlbi,
    /// The ASID it names under the old and under the new TCR_EL1.AS of its PE, if a write of that is
    /// not synchronised: it has a duty only where both agree (TLBI-13).
    pub asids: [u16; 2],
    /// Number among the broadcast operations of its PE.
    pub number: u64,
}

/// The same as the PE that is reached knows it.
#[derive(Clone, Copy, Debug)]
struct Reaching {
    issued: Issued,
    /// It took effect here, as far as is known: at the earliest when it was issued.
    effect: u64,
    /// The effect was seen, or will not be.
    seen: bool,
    /// Own: place of the first DSB after it that completes it.
    dsb: Option<u64>,
    /// Own: accesses after this place are bound.
    fence: Option<u64>,
    /// Of another PE: completion of that DSB there.
    completed: Option<u64>,
}

/// An access to be bound.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Place in program order.
    pub order: u64,
    /// Cycle at which all its effects were performed: t_done.
    pub performed: u64,
    /// Operations of other PEs count.
    pub remote: bool,
}

/// The TLBI operations that may still bind an access of one PE.
#[derive(Clone, Debug, Default)]
pub struct Invalidations {
    /// Number of this PE.
    own: u8,
    /// FEAT_ETS2: the DSB alone suffices, without it a context synchronisation event has to follow.
    ets2: bool,
    reaching: Vec<Reaching>,
    /// How many were left when repeated ones were last dropped.
    settled: usize,
}

/// Fewer operations than this many twice are not worth looking for repeated ones.
const SETTLED_MIN: usize = 16;

impl Invalidations {
    /// Those of PE `own`.
    #[must_use]
    pub fn new(own: u8, ets2: bool) -> Self {
        Self {
            own,
            ets2,
            reaching: Vec::new(),
            settled: 0,
        }
    }

    /// An operation was issued, here or by another PE; one of another PE that does not reach this one
    /// is ignored.
    pub fn issue(&mut self, issued: Issued) {
        if issued.source == self.own || issued.tlbi.scope != TlbiScope::Local {
            self.reaching.push(Reaching {
                issued,
                effect: issued.cycle,
                seen: false,
                dsb: None,
                fence: None,
                completed: None,
            });
        }
    }

    /// An operation of PE `source` took effect here at `cycle`: the oldest local one, or the broadcast
    /// one whose number ends in `tag`. That instant replaces the one of issue.
    pub fn took_effect(&mut self, cycle: u64, source: u8, tag: u8, local: bool) {
        let which = |op: &&mut Reaching| {
            let scope = op.issued.tlbi.scope == TlbiScope::Local;
            let named = local || op.issued.number as u8 == tag;
            !op.seen && op.issued.source == source && scope == local && named
        };
        if let Some(op) = self.reaching.iter_mut().find(which) {
            op.effect = cycle.max(op.effect);
            op.seen = true;
        }
    }

    /// The own local operation at `order` is done: it takes no effect later.
    pub fn answered(&mut self, order: u64) {
        let own = self.own;
        for op in &mut self.reaching {
            let local = op.issued.tlbi.scope == TlbiScope::Local;
            op.seen |= local && op.issued.source == own && op.issued.order == order;
        }
    }

    /// An own DSB stands at `order`: accesses after it are bound by the operations that it completes.
    pub fn fence(&mut self, order: u64, kind: DsbKind) {
        let (own, ets2) = (self.own, self.ets2);
        for op in self.reaching.iter_mut() {
            let waits = op.issued.source == own && kind.completes_tlbi(op.issued.tlbi.scope);
            if waits && op.dsb.is_none() {
                op.dsb = Some(order);
                op.fence = ets2.then_some(order);
            }
        }
    }

    /// An own context synchronisation event stands at `order`.
    pub fn synchronise(&mut self, order: u64) {
        for op in self.reaching.iter_mut().filter(|op| op.dsb.is_some()) {
            op.fence.get_or_insert(order);
        }
    }

    /// The DSB at `order` of PE `source` completed at `cycle` (TLBI-20, TLBI-27).
    pub fn completed(&mut self, cycle: u64, source: u8, order: u64, kind: DsbKind) {
        for op in &mut self.reaching {
            let older = op.issued.source == source && op.issued.order < order;
            if older && kind.completes_tlbi(op.issued.tlbi.scope) {
                op.completed.get_or_insert(cycle);
            }
        }
    }

    fn binds(&self, op: &Reaching, access: &Bound) -> bool {
        if op.issued.source == self.own {
            op.fence.is_some_and(|fence| fence < access.order)
        } else {
            access.remote && op.completed.is_some_and(|cycle| cycle < access.performed)
        }
    }

    /// The latest cycle, up to `until`, from before which `access` may not use `held`; 0 if none.
    #[must_use]
    pub fn bound(&self, access: &Bound, held: &Held, until: u64) -> u64 {
        self.reaching
            .iter()
            .filter(|op| op.effect <= until && self.binds(op, access))
            .filter(|op| {
                op.issued
                    .asids
                    .iter()
                    .all(|asid| removes(&op.issued.tlbi, held, *asid))
            })
            .map(|op| op.effect)
            .max()
            .unwrap_or(0)
    }

    /// Completion of the last operation of another PE that binds `access` and removes `held`.
    #[must_use]
    pub fn remote_completion(&self, access: &Bound) -> Option<u64> {
        let remote = |op: &&Reaching| op.issued.source != self.own && self.binds(op, access);
        self.reaching
            .iter()
            .filter(remote)
            .filter_map(|op| op.completed)
            .max()
    }

    /// Completions of the operations of other PEs that reach this one.
    pub fn completions(&self) -> impl Iterator<Item = u64> + '_ {
        let remote = self
            .reaching
            .iter()
            .filter(|op| op.issued.source != self.own);
        remote.filter_map(|op| op.completed)
    }

    /// Drops operations that later ones make pointless, where the oldest access to come stands at
    /// `order` and was issued at `issued`. Returns the cycle of the last operation that removed
    /// everything, if there was one.
    pub fn compact(&mut self, order: u64, issued: u64) -> Option<u64> {
        let all = Bound {
            order,
            performed: issued,
            remote: true,
        };
        let binding: Vec<bool> = (self.reaching.iter())
            .map(|op| self.binds(op, &all))
            .collect();
        let wiped = (self.reaching.iter().zip(&binding))
            .filter(|(op, binds)| **binds && op.issued.tlbi.op == TlbiOp::Vmalle1)
            .map(|(op, _)| op.effect)
            .max();
        let mut binding = binding.into_iter();
        self.reaching.retain(|op| {
            let binds = binding.next().unwrap_or(false);
            let last = op.issued.tlbi.op == TlbiOp::Vmalle1 && Some(op.effect) == wiped;
            !binds || last || wiped.is_none_or(|wiped| op.effect > wiped)
        });
        if self.reaching.len() >= 2 * self.settled.max(SETTLED_MIN) {
            self.drop_repeated(&all);
            self.settled = self.reaching.len();
        }
        wiped
    }

    /// Drops what a later operation like it makes pointless, both binding `all`.
    fn drop_repeated(&mut self, all: &Bound) {
        let reaching = &self.reaching;
        let repeated = |i: usize, op: &Reaching| {
            reaching[i + 1..].iter().any(|later| {
                later.issued.tlbi == op.issued.tlbi
                    && later.issued.asids == op.issued.asids
                    && later.effect >= op.effect
                    && self.binds(later, all)
            })
        };
        let kept = (reaching.iter().enumerate())
            .filter(|(i, op)| !(self.binds(op, all) && repeated(*i, op)))
            .map(|(_, op)| *op)
            .collect();
        self.reaching = kept;
    }

    /// Adds what it knows to `print`.
    pub(super) fn mark(&self, print: &mut Fingerprint) {
        for op in &self.reaching {
            let Issued {
                source,
                order,
                tlbi,
                ..
            } = op.issued;
            let name = u64::from(tlbi.group()) << 8 | u64::from(tlbi.op.op2());
            for value in [u64::from(source), order, name, tlbi.operand] {
                print.value(value);
            }
            print.instant(op.effect);
            print.value(op.dsb.unwrap_or(u64::MAX));
            print.value(op.fence.unwrap_or(u64::MAX));
            // It binds everything that is still to be done.
            print.value(u64::from(op.completed.is_some()));
        }
    }

    /// Operations remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reaching.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reaching.is_empty()
    }
}

#[cfg(test)]
#[path = "binding_tests.rs"]
mod tests;
