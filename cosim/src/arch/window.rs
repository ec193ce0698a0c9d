// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When a walk may have read a value: the lower bounds of sections 13.2 and 13.3 applied to a path of
//! tables and what it leads to (point 2 of section 13.4).

use vmsa::Descriptor;
use vmsa::geometry::level_lsb;

use super::binding::Bound;
use super::history::Span;
use super::invalidation::{Held, untagged};
use super::path::Path;
use super::search::{Search, Way};

impl Search<'_> {
    /// Whether a value that is never held may have been read for this access (section 13.3); `level`
    /// is where. An operation that would remove what it is no value of also ends it (S_any).
    pub(super) fn fresh(&self, way: &Way<'_>, path: &Path, level: u8, span: Span) -> bool {
        // After the ISB only an entry of the replaced context leads a walk on (section 13.5).
        if way.until.is_some() && path.is_empty() {
            return false;
        }
        let recent = if self.unbound { 0 } else { self.pending.recent };
        if span.end <= recent {
            return false;
        }
        let any = [false, true].map(|table| {
            let entry = held(way, level, Descriptor(1 << Descriptor::NG), table, 0);
            self.bound(&entry, u64::MAX)
        });
        self.possible(way, path, span, recent.max(any[0]).max(any[1]))
    }

    /// Whether a walk may have read the last value at some instant from `floor` on, having read the
    /// tables of `path` in order before it.
    ///
    /// The bound of a table (S_tab) counts operations up to the read of what lies below it only: one
    /// that removed the table entry later removed neither the leaf nor the deeper table already held
    /// (TLBI-15). The first read of a walk of a replaced context was made before the ISB that ended it
    /// (WALK-22); what its entries lead to may be read later.
    pub(super) fn possible(&self, way: &Way<'_>, path: &Path, span: Span, floor: u64) -> bool {
        let first_by = way.until.unwrap_or(u64::MAX);
        // The least instants of the reads that satisfy every lower bound. Each bound grows with the
        // instant of the read below, so raising them in turn ends there.
        let mut instants = [0; 3];
        let mut instant = floor.max(span.begin);
        loop {
            let before = instant;
            let mut below = instant;
            for (own, table) in instants.iter_mut().zip(&path.tables).rev() {
                if let Some((held, table)) = table {
                    *own = (*own).max(table.begin).max(self.bound(held, below));
                    below = *own;
                }
            }
            // tau never decreases along the path.
            let mut tau = 0;
            let mut raised = false;
            for (own, table) in instants.iter_mut().zip(&path.tables) {
                if table.is_some() {
                    raised |= *own < tau;
                    tau = tau.max(*own);
                    *own = tau;
                }
            }
            instant = instant.max(tau);
            if instant == before && !raised {
                break;
            }
        }
        let in_time = |(table, instant): (&Option<(Held, Span)>, &u64)| {
            table.is_none_or(|(_, table)| *instant < table.end)
        };
        let lawful = path.tables.iter().zip(&instants).all(in_time) && instant < span.end;
        let mut reads = path.tables.iter().zip(&instants);
        let first = reads.find(|(table, _)| table.is_some());
        let in_context = first.map_or(instant, |(_, first)| *first) < first_by;
        (lawful && in_context || self.unbound) && instant <= self.used
    }

    /// The latest operation up to `until` that an entry like `held` shall not be older than.
    pub(super) fn bound(&self, held: &Held, until: u64) -> u64 {
        if self.unbound {
            return 0;
        }
        let access = Bound {
            remote: !self.local,
            ..self.pending.bound(self.done)
        };
        self.program.invalidations().bound(&access, held, until)
    }
}

/// The entry that a TLB would hold for `descriptor`; `run_bits` is the log2 of the run length.
pub(super) fn held(
    way: &Way<'_>,
    level: u8,
    descriptor: Descriptor,
    table: bool,
    run_bits: u32,
) -> Held {
    let granule = way.regime.granule;
    Held {
        va: untagged(way.access.va),
        span: level_lsb(granule, level) + run_bits,
        granule,
        level,
        asid: way.context.asid(),
        table,
        global: !table && !descriptor.ng(),
    }
}
