// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Event counters: what the event stream says that each must read at the end of the run.

mod expected;
mod relations;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::expected::{Expected, Layout};
use super::walks::Walks;
use super::{Violation, Violations};
use crate::dut::Counts;
use crate::dut::memory::AddressMap;
use crate::dut::ports::{Counter, Info, Straps};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "event counters";
/// Cycles without an event after which a core with nothing in flight counts as quiet: its counters
/// have caught up with what it shows.
const SETTLED: u64 = 8;
/// How far a counter of a busy core may be from what its events say: what is in flight may have been
/// counted at its start or not until its end.
const BUSY: u64 = 16;

/// Counts for itself and compares.
#[derive(Debug)]
pub struct CounterMonitor {
    straps: Straps,
    layout: Layout,
    cores: BTreeMap<u8, Expected>,
    walks: Walks,
    /// Requests that DRAM ports took, less the second one of each atomic update (PMU-05).
    accepted: u64,
    /// BUS_ACCESS of all cores read so far, and of how many.
    bus: (u64, u8),
    /// Whether the sums may differ by what is in flight or failed.
    slack: u64,
}

impl CounterMonitor {
    /// A monitor of hardware strapped so, that is what `info` tells, with memory dealt out by
    /// `map`, out of reset.
    #[must_use]
    pub fn new(straps: Straps, info: &Info, map: AddressMap) -> Self {
        Self {
            straps,
            layout: Layout {
                cores: info.cores,
                cores_per_node: info.cores / info.cpu_nodes.max(1),
                map,
            },
            cores: BTreeMap::new(),
            walks: Walks::default(),
            accepted: 0,
            bus: (0, 0),
            slack: 0,
        }
    }

    fn compare(&mut self, cycle: u64, number: u8, values: &Counts, out: &mut Violations) {
        let expected = self.cores.entry(number).or_default();
        let busy = expected.in_flight() > 0
            || self.walks.of(number).any(|walk| walk.open())
            || cycle < expected.last_event + SETTLED;
        let slack = if busy { BUSY } else { 0 };
        for (counter, value) in values.iter() {
            let Some((low, high)) = expected.bounds(counter) else {
                continue;
            };
            if value + slack < low || value > high + slack {
                let came = format!("core {number} {} = {value}", counter.name());
                let permitted = match low == high {
                    true => format!("{low}"),
                    false => format!("{low} to {high}"),
                };
                out.push(
                    Violation::new(cycle, NAME, requirements(counter), came)
                        .on_core(number)
                        .permitting(permitted),
                );
            }
        }
        for broken in relations::broken(values, slack, cycle) {
            out.push(
                Violation::new(cycle, NAME, &[broken.requirement], broken.came)
                    .on_core(number)
                    .permitting(broken.rule),
            );
        }
        self.slack += slack + expected.uncertain;
        self.bus.0 += values.get(Counter::BusAccess);
        self.bus.1 += 1;
        // Each request is one read, one write, or a read and a write that is an atomic update.
        let (bus, accepted) = (self.bus.0, self.accepted);
        if self.bus.1 == self.layout.cores && bus.abs_diff(accepted) > self.slack {
            let came = format!("BUS_ACCESS of all cores = {bus}");
            out.push(
                Violation::new(cycle, NAME, &["PMU-05"], came)
                    .permitting(format!("{accepted}, which the homes accepted")),
            );
        }
    }
}

/// The requirement that a wrong value of `counter` breaks.
fn requirements(counter: Counter) -> &'static [&'static str] {
    use Counter as C;
    match counter {
        C::DtlbStep | C::ItlbStep => &["PMU-03"],
        C::DtlbWalkBegun
        | C::ItlbWalkBegun
        | C::DtlbWalkFault
        | C::ItlbWalkFault
        | C::DtlbWalkCancelled
        | C::ItlbWalkCancelled
        | C::DtlbWalkLarge
        | C::ItlbWalkLarge
        | C::DtlbWalkSmall
        | C::ItlbWalkSmall => &["PMU-04"],
        C::RemoteAccess | C::RemoteAccessRd => &["PMU-06"],
        C::DtlbWalkPrfm | C::ItlbWalkPrfm | C::PrefetchFill | C::PrefetchUsed => &["PMU-07"],
        _ => &["PMU-02"],
    }
}

impl Monitor for CounterMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        self.walks.event(event);
        match &event.kind {
            EventKind::Counters { core, values } => {
                self.compare(event.cycle, *core, values, out);
            }
            EventKind::DramRead { .. } => self.accepted += 1,
            EventKind::DramWrite { error, .. } => {
                self.accepted += 1;
                self.slack += u64::from(*error);
            }
            EventKind::Commit { source, kind, .. } => {
                self.accepted -= u64::from(expected::is_atomic(*kind)).min(self.accepted);
                if let Some(core) = self.cores.get_mut(source) {
                    core.event(event, *source, &self.layout, &self.straps, &self.walks);
                }
            }
            EventKind::Issue { core, .. }
            | EventKind::Response { core, .. }
            | EventKind::Walk { core, .. }
            | EventKind::Fill { core, .. }
            | EventKind::Invalidate { core, .. }
            | EventKind::L2Invalidated { core, .. }
            | EventKind::Dvm { core, .. } => {
                let expected = self.cores.entry(*core).or_default();
                expected.event(event, *core, &self.layout, &self.straps, &self.walks);
            }
            EventKind::NodeCounters { .. }
            | EventKind::DramCommand { .. }
            | EventKind::ErrorMark { .. }
            | EventKind::Assertion { .. }
            | EventKind::Os(_) => {}
        }
    }
}
