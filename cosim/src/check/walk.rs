// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Table walks: each descriptor read is where the registers, the walk caches and the values read
//! before lead to, and brings what memory held.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use vmsa::geometry::{FINAL_LEVEL, base_table_shift, index, start_level};
use vmsa::{FaultKind, Granule, Tcr, VaRange};

use super::registers::Registers;
use super::walks::{Read, WalkRecord, Walks};
use super::{Violation, Violations};
use crate::dut::ports::{WalkEvent, WalkKind};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "table walk";
/// Changes of a word remembered: a read may have been answered before the latest ones.
const CHANGES: usize = 16;
/// Cycles that the answer of a descriptor read may be on its way: the age up to which a replaced
/// value is taken for what memory held. The previous read of the walk bounds it too.
const PATIENCE: u64 = 4000;

/// Watches the walkers of every core. Which walk-cache entry a walk may begin below is the TLB
/// monitor's part.
#[derive(Debug, Default)]
pub struct WalkMonitor {
    walks: Walks,
    /// Values that words held: until which cycle.
    replaced: BTreeMap<u64, VecDeque<(u64, u64)>>,
}

/// What is said about one event of one walk.
struct Bench<'a> {
    cycle: u64,
    core: u8,
    walk: &'a WalkRecord,
    out: &'a mut Violations,
}

impl Bench<'_> {
    fn blame(&mut self, requirements: &[&str], came: String, permitted: Vec<String>) {
        let mut violation = Violation::new(self.cycle, NAME, requirements, came)
            .on_core(self.core)
            .at_va(self.walk.va)
            .with_walk(self.walk.lines());
        violation.permitted = permitted;
        self.out.push(violation);
    }
}

impl WalkMonitor {
    /// A monitor that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn begin(&self, cycle: u64, core: u8, step: &WalkEvent, out: &mut Violations) {
        let Some(walk) = self.walks.slot(core, step.slot) else {
            return;
        };
        let mut bench = Bench {
            cycle,
            core,
            walk,
            out,
        };
        let (level, address) = walk.start;
        if let Some(why) = forbidden(&walk.registers, walk.va) {
            let came = format!("walk begun while {why}");
            bench.blame(&["WALK-21", "VMSA-09"], came, vec!["no walk".to_owned()]);
        } else if !walk.cached_start {
            let permitted = all_starts(&walk.registers, walk.va);
            if !permitted.contains(&walk.start) {
                let came = format!("walk begun at L{level} [{address:#014x}]");
                bench.blame(
                    &["WALK-20", "WALK-22", "VMSA-14"],
                    came,
                    permitted.iter().map(place).collect(),
                );
            }
        }
    }

    fn step(&self, cycle: u64, core: u8, step: &WalkEvent, memory: &Memory, out: &mut Violations) {
        let Some(walk) = self.walks.slot(core, step.slot) else {
            return;
        };
        let Some((read, earlier)) = walk.reads.split_last() else {
            return;
        };
        let mut bench = Bench {
            cycle,
            core,
            walk,
            out,
        };
        let here = format!("L{} [{:#014x}]", read.level, read.address);
        // DVM-13: a cancelled walk shows the answer under way, and nothing more.
        let late = walk.cancelled.is_some_and(|at| {
            !step.discarded && cycle > at || earlier.iter().any(|earlier| earlier.cycle > at)
        });
        if late {
            bench.blame(
                &["DVM-13", "TLBI-07"],
                format!("descriptor read at {here} by a walk that an invalidation cancelled"),
                vec!["a new walk".to_owned()],
            );
            return;
        }
        if earlier.iter().any(|earlier| earlier.error) {
            let came = format!("descriptor read at {here} after an error response");
            bench.blame(&["WALK-10"], came, vec!["the end of the walk".to_owned()]);
            return;
        }
        if read.address & 7 != 0 {
            bench.blame(
                &["WALK-01"],
                format!("descriptor read at {here}"),
                vec!["an 8-byte aligned address".to_owned()],
            );
            return;
        }
        if !read.by_swap {
            let reachable = reachable(walk, earlier);
            if !reachable.contains(&(read.level, read.address)) {
                bench.blame(
                    &["WALK-20", "WALK-07", "VMSA-14"],
                    format!("descriptor read at {here}"),
                    reachable.iter().map(place).collect(),
                );
            }
        }
        if read.error {
            return;
        }
        let since = earlier.last().map_or(walk.begun, |read| read.cycle);
        let since = since.max(cycle.saturating_sub(PATIENCE));
        let held = self.held(&walk.registers, read.address, since, memory);
        if !held.contains(&read.value.0) {
            let came = format!("descriptor {} at {here}", read.value);
            let permitted = held.iter().map(|value| format!("{value:#018x}")).collect();
            // The right word in the other byte order.
            let turned = held.contains(&read.value.0.swap_bytes());
            let requirements: &[&str] = match turned {
                true => &["WALK-02", "WALK-01"],
                false => &["WALK-01", "WALK-28", "ORD-27"],
            };
            bench.blame(requirements, came, permitted);
        }
    }

    /// WALK-10, WALK-12: an error response ends the walk with an abort of its level, and nothing else
    /// gives that abort.
    fn end(&self, cycle: u64, core: u8, step: &WalkEvent, out: &mut Violations) {
        let ended = |walk: &&WalkRecord| {
            walk.slot == step.slot && walk.id == step.id && walk.ended_at == cycle
        };
        let Some(walk) = self.walks.of(core).find(ended) else {
            return;
        };
        let error = walk.last().filter(|read| read.error);
        let expected = error.map(|read| (FaultKind::ExternalAbortOnWalk, Some(read.level)));
        let came = step.fault.and_then(|fsc| fsc.decode());
        let aborted = came.is_some_and(|(kind, _)| kind == FaultKind::ExternalAbortOnWalk);
        if aborted != error.is_some() || error.is_some() && came != expected {
            let said = |fault: Option<(FaultKind, Option<u8>)>| match fault {
                Some((kind, Some(level))) => format!("{kind}, level {level}"),
                Some((kind, None)) => kind.to_string(),
                None => "no fault".to_owned(),
            };
            let permitted = match expected {
                None => "no abort without an error response".to_owned(),
                expected => said(expected),
            };
            Bench {
                cycle,
                core,
                walk,
                out,
            }
            .blame(
                &["WALK-10", "WALK-12"],
                format!("walk ended with {}", said(came)),
                vec![permitted],
            );
        }
    }

    /// Every value that the word at `address`, as decoded, held since cycle `since`.
    fn held(&self, registers: &Registers, address: u64, since: u64, memory: &Memory) -> Vec<u64> {
        let older = self.replaced.get(&address).into_iter().flatten();
        let raw = older
            .filter(|(_, until)| *until >= since)
            .map(|&(value, _)| value);
        raw.chain([memory.coherent(address)])
            .flat_map(|value| registers.byte_orders(value))
            .collect()
    }
}

fn place(&(level, address): &(u8, u64)) -> String {
    format!("L{level} [{address:#014x}]")
}

/// Why no walk of `va` may read anything, whatever registers are in force.
fn forbidden(registers: &Registers, va: u64) -> Option<&'static str> {
    if !registers.may_translate() {
        Some("SCTLR_EL1.M = 0")
    } else if registers.tcr().all(|tcr| tcr.epd(VaRange::of(va))) {
        Some("EPD of the range is 1")
    } else {
        None
    }
}

/// Where the next read of `walk` may be: where it began, or below the last descriptor read.
fn reachable(walk: &WalkRecord, earlier: &[Read]) -> Vec<(u8, u64)> {
    let Some(read) = earlier.last() else {
        return vec![walk.start];
    };
    let range = VaRange::of(walk.va);
    let mut places = Vec::new();
    for tcr in walk.registers.tcr() {
        let granule = tcr.granule(range).unwrap_or(Granule::K4);
        let bits = 64 - u32::from(tcr.tsz(range)).clamp(16, 48);
        if read.level < FINAL_LEVEL && read.value.valid() && read.value.is_table_bit() {
            let level = read.level + 1;
            let slot = index(granule, bits, level, walk.va) << 3;
            let below = (level, read.value.next_table(granule) | slot);
            if !places.contains(&below) {
                places.push(below);
            }
        }
    }
    places
}

/// The start-level descriptors of `va` under every register value that may be in force.
fn all_starts(registers: &Registers, va: u64) -> Vec<(u8, u64)> {
    let range = VaRange::of(va);
    registers
        .tcr()
        .flat_map(|tcr| starts(registers, tcr, range, va))
        .collect()
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
            EventKind::Walk { core, step } => match step.kind {
                WalkKind::Begin => self.begin(event.cycle, *core, step, out),
                WalkKind::Step => self.step(event.cycle, *core, step, memory, out),
                // A swap that met another value is a read of that value.
                WalkKind::Swap => {
                    let walk = self.walks.slot(*core, step.slot);
                    let reread = walk
                        .and_then(WalkRecord::last)
                        .is_some_and(|read| read.by_swap && read.cycle == event.cycle);
                    if reread {
                        self.step(event.cycle, *core, step, memory, out);
                    }
                }
                WalkKind::End => self.end(event.cycle, *core, step, out),
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
