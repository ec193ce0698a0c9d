// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Table walks: each descriptor read is where the registers and the values read before lead to, and
//! brings what memory held.

use std::collections::{BTreeMap, VecDeque};

use vmsa::geometry::{FINAL_LEVEL, base_table_shift, index, start_level};
use vmsa::{Descriptor, Granule, Tcr, VaRange};

use super::registers::Registers;
use super::walks::{Read, WalkRecord, Walks};
use super::{Violation, Violations};
use crate::dut::ports::{WalkEvent, WalkKind};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
const NAME: &str = "table walk";
/// Changes of a word remembered: a read may have been answered before the latest ones.
const CHANGES: usize = 16;
/// Cycles that the answer of a descriptor read may be on its way: the age up to which a replaced
/// value is taken for what memory held. The previous read of the walk bounds it too.
const PATIENCE: u64 = 2000;

/// Watches the walkers of every core.
#[derive(Debug, Default)]
pub struct WalkMonitor {
    registers: BTreeMap<u8, Registers>,
    walks: Walks,
    /// Values that words held: until which cycle.
    replaced: BTreeMap<u64, VecDeque<(u64, u64)>>,
}

impl WalkMonitor {
    /// A monitor that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn step(&self, cycle: u64, core: u8, step: &WalkEvent, memory: &Memory, out: &mut Violations) {
        let Some(walk) = self.walks.open(core, step.instruction, step.id) else {
            return;
        };
        let Some((read, earlier)) = walk.reads.split_last() else {
            return;
        };
        let mut blame = |requirements: &[&str], came: String, permitted: Vec<String>| {
            let mut violation = Violation::new(cycle, NAME, requirements, came)
                .on_core(core)
                .at_va(step.va)
                .with_walk(walk.lines());
            violation.permitted = permitted;
            out.push(violation);
        };
        let place = format!("L{} [{:#014x}]", read.level, read.address);
        if let Some(why) = self.forbidden(core, step.va) {
            let came = format!("descriptor read at {place} while {why}");
            blame(&["WALK-21", "VMSA-09"], came, vec!["no walk".to_owned()]);
            return;
        }
        if read.address & 7 != 0 {
            let permitted = vec!["an 8-byte aligned address".to_owned()];
            blame(
                &["WALK-01"],
                format!("descriptor read at {place}"),
                permitted,
            );
            return;
        }
        if !read.by_swap {
            let reachable = self.reachable(core, walk, earlier);
            if !reachable.contains(&(read.level, read.address)) {
                let permitted = reachable
                    .iter()
                    .map(|(level, address)| format!("L{level} [{address:#014x}]"))
                    .collect();
                blame(
                    &["WALK-20", "WALK-07", "VMSA-14"],
                    format!("descriptor read at {place}"),
                    permitted,
                );
            }
        }
        let since = earlier.last().map_or(walk.begun, |read| read.cycle);
        let held = self.held(
            core,
            read.address,
            since.max(cycle.saturating_sub(PATIENCE)),
            memory,
        );
        if !held.contains(&read.value.0) {
            let came = format!("descriptor {} at {place}", read.value);
            let permitted = held.iter().map(|value| format!("{value:#018x}")).collect();
            // The right word in the other byte order.
            let turned = held.contains(&read.value.0.swap_bytes());
            let requirements: &[&str] = match turned {
                true => &["WALK-02", "WALK-01"],
                false => &["WALK-01", "WALK-28"],
            };
            blame(requirements, came, permitted);
        }
    }

    /// Why no walk of `va` may read anything, whatever registers are in force.
    fn forbidden(&self, core: u8, va: u64) -> Option<&'static str> {
        let registers = self.registers.get(&core)?;
        if !registers.may_translate() {
            Some("SCTLR_EL1.M = 0")
        } else if registers.tcr().all(|tcr| tcr.epd(VaRange::of(va))) {
            Some("EPD of the range is 1")
        } else {
            None
        }
    }

    /// Where the next read of `walk` may be: below the last descriptor read, or at the start again.
    fn reachable(&self, core: u8, walk: &WalkRecord, earlier: &[Read]) -> Vec<(u8, u64)> {
        let Some(registers) = self.registers.get(&core) else {
            return Vec::new();
        };
        let range = VaRange::of(walk.va);
        let mut places = Vec::new();
        let mut add = |place| {
            if !places.contains(&place) {
                places.push(place);
            }
        };
        for tcr in registers.tcr() {
            let granule = tcr.granule(range).unwrap_or(Granule::K4);
            let bits = 64 - u32::from(tcr.tsz(range)).clamp(16, 48);
            if let Some(read) = earlier.last()
                && read.level < FINAL_LEVEL
                && read.value.valid()
                && read.value.is_table_bit()
            {
                let level = read.level + 1;
                add((
                    level,
                    read.value.next_table(granule) | index(granule, bits, level, walk.va) << 3,
                ));
            }
            for start in starts(registers, tcr, range, walk.va) {
                add(start);
            }
        }
        places
    }

    /// Every value that the word at `address`, as decoded, held since cycle `since`.
    fn held(&self, core: u8, address: u64, since: u64, memory: &Memory) -> Vec<u64> {
        let Some(registers) = self.registers.get(&core) else {
            return Vec::new();
        };
        let older = self.replaced.get(&address).into_iter().flatten();
        let raw = older
            .filter(|(_, until)| *until >= since)
            .map(|&(value, _)| value);
        raw.chain([memory.coherent(address)])
            .flat_map(|value| registers.byte_orders(value))
            .collect()
    }
}

/// The start-level descriptors of `va` under `tcr` and every base that may be in force.
fn starts(registers: &Registers, tcr: Tcr, range: VaRange, va: u64) -> Vec<(u8, u64)> {
    let granule = tcr.granule(range).unwrap_or(Granule::K4);
    let size = u32::from(tcr.tsz(range));
    if !(16..=48).contains(&size) {
        return Vec::new();
    }
    let bits = 64 - size;
    let level = start_level(granule, bits);
    let low = (1u64 << base_table_shift(granule, bits)) - 1;
    registers
        .ttbr(range)
        .map(|ttbr| {
            (
                level,
                ttbr.base() & !low | index(granule, bits, level, va) << 3,
            )
        })
        .collect()
}

impl Monitor for WalkMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        self.walks.event(event);
        match &event.kind {
            EventKind::Issue { core, .. } | EventKind::Response { core, .. } => {
                self.registers.entry(*core).or_default().event(*core, event);
            }
            EventKind::Walk { core, step } => match step.kind {
                WalkKind::Step => self.step(event.cycle, *core, step, memory, out),
                // A swap that met another value is a read of that value.
                WalkKind::Swap => {
                    let walk = self.walks.open(*core, step.instruction, step.id);
                    let reread = walk.and_then(WalkRecord::last).is_some_and(|read| {
                        read.by_swap
                            && read.cycle == event.cycle
                            && read.value == Descriptor(step.value)
                    });
                    if reread {
                        self.step(event.cycle, *core, step, memory, out);
                    }
                }
                WalkKind::Begin | WalkKind::End => {}
            },
            EventKind::Commit {
                address,
                before,
                after,
                ..
            } if before != after => {
                let replaced = self.replaced.entry(*address).or_default();
                if replaced.len() == CHANGES {
                    replaced.pop_front();
                }
                replaced.push_back((*before, event.cycle));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::feed::{
        assert_fires, assert_quiet, commit, issue, judge, response, walk, walk_end,
    };
    use crate::dut::ports::WalkKind::{Begin, Step};
    use crate::dut::ports::{CommitKind, CoreRequest};
    use vmsa::{El, Sctlr, SysReg, Ttbr};

    const VA: u64 = 0x40_3000;
    const ROOT: u64 = 0x8000_0000;
    const TABLE: u64 = 0x8000_1000;
    const PAGE: u64 = 0x9000_0403;

    /// Two levels: TxSZ 34 starts at level 2.
    fn memory() -> Memory {
        let mut memory = Memory::default();
        memory.write_u64(ROOT + 2 * 8, Descriptor::table(TABLE).0);
        memory.write_u64(TABLE + 3 * 8, PAGE);
        memory
    }

    fn context(tcr: Tcr) -> Vec<Event> {
        vec![
            issue(1, CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(1, ROOT).0)),
            issue(
                2,
                CoreRequest::msr(SysReg::Tcr, tcr.with_tsz(VaRange::Lower, 34).0),
            ),
            issue(3, CoreRequest::msr(SysReg::Sctlr, Sctlr(0).with_m(true).0)),
            issue(4, CoreRequest::isb()),
            response(6, CoreRequest::isb(), |_| ()),
            issue(
                9,
                CoreRequest {
                    id: 5,
                    ..CoreRequest::load(VA, 3, El::El0)
                },
            ),
        ]
    }

    fn walked(steps: &[Event]) -> Violations {
        let mut events = context(Tcr(0));
        events.push(walk(10, 5, VA, Begin, 2, 0, 0));
        events.extend_from_slice(steps);
        events.push(walk_end(40, 5, VA, None));
        judge(&mut WalkMonitor::new(), &memory(), &events)
    }

    fn step(cycle: u64, level: u8, address: u64, value: u64) -> Event {
        walk(cycle, 5, VA, Step, level, address, value)
    }

    fn root() -> Event {
        step(15, 2, ROOT + 16, Descriptor::table(TABLE).0)
    }

    #[test]
    fn a_walk_down_the_tables_is_quiet() {
        assert_quiet(&walked(&[root(), step(20, 3, TABLE + 24, PAGE)]));
    }

    #[test]
    fn a_walk_that_starts_over_is_quiet() {
        assert_quiet(&walked(&[root(), root(), step(20, 3, TABLE + 24, PAGE)]));
    }

    #[test]
    fn a_read_elsewhere_fires_walk_20() {
        assert_fires(&walked(&[root(), step(20, 3, TABLE + 32, 0)]), "WALK-20");
        assert_fires(&walked(&[step(15, 2, ROOT + 24, 0)]), "WALK-20");
        // The level below the one reached.
        assert_fires(&walked(&[step(15, 3, TABLE + 24, PAGE)]), "WALK-20");
    }

    #[test]
    fn an_unaligned_read_fires_walk_01() {
        assert_fires(&walked(&[step(15, 2, ROOT + 20, 0)]), "WALK-01");
    }

    #[test]
    fn a_value_that_memory_never_held_fires_walk_28() {
        assert_fires(
            &walked(&[root(), step(20, 3, TABLE + 24, PAGE | 1 << 7)]),
            "WALK-28",
        );
    }

    #[test]
    fn a_value_in_the_wrong_byte_order_fires_walk_02() {
        let turned = step(20, 3, TABLE + 24, PAGE.swap_bytes());
        assert_fires(&walked(&[root(), turned]), "WALK-02");
    }

    #[test]
    fn a_value_replaced_during_the_read_is_quiet_and_one_replaced_before_fires() {
        let change = |cycle| commit(cycle, CommitKind::Store, TABLE + 24, 0x77, PAGE);
        let stale = step(20, 3, TABLE + 24, 0x77);
        assert_quiet(&walked(&[root(), change(17), stale.clone()]));
        assert_fires(&walked(&[change(12), root(), stale]), "WALK-28");
    }

    #[test]
    fn a_walk_with_translation_off_or_epd_fires_walk_21() {
        let read = [walk(10, 5, VA, Begin, 2, 0, 0), root()];
        let mut off = vec![issue(9, CoreRequest::load(VA, 3, El::El0))];
        off.extend_from_slice(&read);
        assert_fires(&judge(&mut WalkMonitor::new(), &memory(), &off), "WALK-21");
        let mut disabled = context(Tcr(0).with_epd(VaRange::Lower, true));
        disabled.extend_from_slice(&read);
        assert_fires(
            &judge(&mut WalkMonitor::new(), &memory(), &disabled),
            "WALK-21",
        );
    }
}
