// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Each location has one home: what reaches the memory of a node belongs there by the address map.

use super::{Violation, Violations};
use crate::dut::memory::AddressMap;
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "home";

/// Watches the DRAM ports and the commits of every node.
#[derive(Debug)]
pub struct HomeMonitor {
    map: AddressMap,
}

impl HomeMonitor {
    /// A monitor of memory dealt out by `map`.
    #[must_use]
    pub fn new(map: AddressMap) -> Self {
        Self { map }
    }
}

impl Monitor for HomeMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _: &Memory, out: &mut Violations) {
        let (EventKind::Commit { node, address, .. }
        | EventKind::DramRead { node, address, .. }
        | EventKind::DramWrite { node, address, .. }) = &event.kind
        else {
            return;
        };
        let home = self.map.home(*address);
        if Some(*node) != home {
            let came = format!("node {node} accesses {address:#014x}");
            out.push(
                Violation::new(event.cycle, NAME, &["ORD-20"], came).permitting(home.map_or_else(
                    || "no node: it has no home".to_owned(),
                    |home| format!("node {home}, its home"),
                )),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::feed::{assert_fires, assert_quiet, judge};

    fn read(node: u8, address: u64) -> Event {
        let kind = EventKind::DramRead {
            node,
            address,
            tag: 0,
            data: 0,
            error: false,
        };
        Event { cycle: 1, kind }
    }

    fn judge_read(node: u8, address: u64) -> Violations {
        judge(
            &mut HomeMonitor::new(AddressMap::interleaved(2)),
            &Memory::default(),
            &[read(node, address)],
        )
    }

    #[test]
    fn a_read_at_its_home_is_quiet() {
        assert_quiet(&judge_read(0, 0x2ff8));
        assert_quiet(&judge_read(1, 0x3000));
    }

    #[test]
    fn a_read_elsewhere_fires() {
        assert_fires(&judge_read(1, 0x2800), "ORD-20");
    }
}
