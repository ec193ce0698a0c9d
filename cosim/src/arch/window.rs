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
        let any = [false, true].map(|table| {
            let entry = held(way, level, Descriptor(1 << Descriptor::NG), table, 0);
            self.bound(&entry, u64::MAX)
        });
        self.possible(way, path, span, recent.max(any[0]).max(any[1]))
    }

    /// Whether a walk may have read the last value at some instant from `floor` on, having read the
    /// tables of `path` in order before it.
    ///
    /// The bound of a table (S_tab) counts operations up to that instant only: one that removed the
    /// table entry later did not remove the leaf already held (TLBI-15). The first read of a walk of a
    /// replaced context was made before the ISB that ended it (WALK-22); what its entries lead to may be
    /// read later.
    pub(super) fn possible(&self, way: &Way<'_>, path: &Path, span: Span, floor: u64) -> bool {
        let first_by = way.until.unwrap_or(u64::MAX);
        let mut instant = floor.max(span.begin);
        loop {
            // tau never decreases along the path.
            let (mut tau, mut first) = (0, None);
            for (held, table) in path.tables.iter().flatten() {
                tau = tau.max(table.begin).max(self.bound(held, instant));
                if tau >= table.end && !self.unbound {
                    return false;
                }
                first.get_or_insert(tau);
            }
            if tau <= instant || self.unbound {
                let in_context = first.unwrap_or(instant) < first_by;
                return (in_context && instant < span.end || self.unbound) && instant <= self.used;
            }
            instant = tau;
        }
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
