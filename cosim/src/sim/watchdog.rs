// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Turns a lost response into a violation, where the run would otherwise wait for ever.

use super::handle::Shared;
use crate::check::Violation;

/// Looks at the age of the oldest request of each core.
pub(crate) struct Watchdog {
    /// Cycles that a request may take.
    limit: u64,
    /// Cycle of the next look. No request can be overdue before it.
    next_look: u64,
}

impl Watchdog {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            next_look: limit,
        }
    }

    /// The cycle at which a step must end, so that an overdue request is found in its cycle.
    pub(crate) fn boundary(&self) -> u64 {
        self.next_look
    }

    /// The overdue request at `now`, if there is one.
    pub(crate) fn look(&mut self, now: u64, shared: &Shared) -> Option<Violation> {
        if now < self.next_look {
            return None;
        }
        let oldest = shared
            .cores
            .iter()
            .enumerate()
            .filter_map(|(core, agent)| agent.borrow().oldest().map(|found| (core, found)))
            .min_by_key(|&(_, (_, since))| since);
        let since = oldest.map_or(now, |(_, (_, since))| since);
        self.next_look = since.saturating_add(self.limit).max(now + 1);
        let (core, (request, since)) = oldest?;
        (now >= since.saturating_add(self.limit)).then(|| {
            Violation::new(
                now,
                "watchdog",
                &["HANG"],
                format!(
                    "no response to {request} (id {}) since cycle {since}",
                    request.id
                ),
            )
            .on_core(core as u8)
            .at_va(request.va)
        })
    }
}
