// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Data: loads bring what memory held during the access, stores take effect once, faulting accesses
//! not at all.

use std::collections::{BTreeMap, VecDeque};

use vmsa::{FaultKind, Fsc};

use super::{Violation, Violations};
use crate::dut::ports::{CommitKind, CoreRequest, CoreResponse, Op};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
const NAME: &str = "data";
/// Changes of a word remembered: a load may have been bound before the latest ones.
const CHANGES: usize = 16;
const PAGE_MIN: u64 = 4096;

/// Some bytes of one 8-byte word.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Address of the word; `None` beyond a page boundary, where the answer does not tell it.
    address: Option<u64>,
    strobe: u8,
    /// The bytes, in place.
    data: u64,
}

impl Part {
    fn mask(&self) -> u64 {
        (0..8)
            .filter(|byte| self.strobe >> byte & 1 == 1)
            .fold(0, |mask, byte| mask | 0xff << (8 * byte))
    }

    fn is(&self, address: u64, strobe: u8, data: u64) -> bool {
        let there = self
            .address
            .map_or(address.is_multiple_of(PAGE_MIN), |own| own == address);
        there && self.strobe == strobe && (self.data ^ data) & self.mask() == 0
    }
}

impl Part {
    /// Whether `effect` may be this part, given by VA: page offset, bytes and data agree.
    fn looks_like(&self, effect: &Effect) -> bool {
        let offset = |address: u64| address % PAGE_MIN;
        let there = self
            .address
            .is_some_and(|own| offset(own) == offset(effect.address));
        there && self.strobe == effect.strobe && (self.data ^ effect.data) & self.mask() == 0
    }
}

/// The parts of `size` (log2) bytes of `data` at `pa`, lower part first.
fn parts(pa: u64, size: u8, data: u64) -> impl Iterator<Item = Part> {
    let bytes = 1u64 << size;
    let (word, offset) = (pa & !7, pa & 7);
    let strobe = ((1u16 << bytes) - 1) << offset;
    let low = Part {
        address: Some(word),
        strobe: strobe as u8,
        data: data << (8 * offset),
    };
    let beyond = (strobe >> 8) as u8;
    let next = word.wrapping_add(8);
    let high = Part {
        address: (next % PAGE_MIN != 0).then_some(next),
        strobe: beyond,
        data: if beyond == 0 {
            0
        } else {
            data >> (8 * (8 - offset))
        },
    };
    [low].into_iter().chain((beyond != 0).then_some(high))
}

/// A commit that no answer has claimed yet.
#[derive(Debug, Clone, Copy)]
struct Effect {
    cycle: u64,
    address: u64,
    strobe: u8,
    data: u64,
}

#[derive(Debug, Default)]
struct Core {
    /// Stores and compare-and-swaps in flight.
    writing: BTreeMap<u16, u64>,
    unclaimed: Vec<Effect>,
    /// Answered, effect still to come; with the VA and cycle of the answer.
    owed: Vec<(Part, u64, u64)>,
}

/// Watches answers and commits.
#[derive(Debug, Default)]
pub struct DataMonitor {
    cores: BTreeMap<u8, Core>,
    /// Values that words held: until which cycle.
    replaced: BTreeMap<u64, VecDeque<(u64, u64)>>,
}

impl DataMonitor {
    /// A monitor that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn answered(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        let EventKind::Response {
            core,
            request,
            issued_at,
            response,
        } = &event.kind
        else {
            return;
        };
        match request.op {
            Op::Load | Op::Fetch if response.fault.is_none() => {
                self.read(
                    event.cycle,
                    *core,
                    request,
                    response,
                    *issued_at,
                    memory,
                    out,
                );
            }
            Op::Store | Op::Cas => self.written(event.cycle, *core, request, response, *issued_at),
            Op::Dsb => self.settled(event.cycle, *core, out),
            _ => {}
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one event and what it is held against"
    )]
    fn read(
        &self,
        cycle: u64,
        core: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        issued_at: u64,
        memory: &Memory,
        out: &mut Violations,
    ) {
        for part in parts(response.pa, request.size, response.data) {
            let Some(address) = part.address else {
                continue;
            };
            let older = self.replaced.get(&address).into_iter().flatten();
            let mut held: Vec<u64> = older
                .filter(|(_, until)| *until >= issued_at)
                .map(|&(value, _)| value)
                .collect();
            held.push(memory.coherent(address));
            if held
                .iter()
                .any(|value| (value ^ part.data) & part.mask() == 0)
            {
                continue;
            }
            let came = format!(
                "{request} brought {:#018x} from [{address:#014x}], bytes {:#010b}",
                part.data & part.mask(),
                part.strobe
            );
            let mut violation = Violation::new(cycle, NAME, &["MEM-14", "MEM-05"], came)
                .on_core(core)
                .at_va(request.va);
            violation.permitted = held
                .iter()
                .map(|value| format!("{:#018x}", value & part.mask()))
                .collect();
            out.push(violation);
        }
    }

    fn written(
        &mut self,
        cycle: u64,
        core: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        issued_at: u64,
    ) {
        let core = self.cores.entry(core).or_default();
        core.writing.remove(&request.id);
        let mask = u64::MAX >> (64 - (8 << request.size));
        let data = request.data & mask;
        let swapped = request.op != Op::Cas || (response.data ^ request.compare) & mask == 0;
        if response.fault == Some(Fsc::encode(FaultKind::ExternalAbort, 0)) {
            // An access across an 8-byte boundary is two accesses to memory: an error on the upper
            // one leaves the lower one done. It is not a fault of the translation (ORD-09).
            let [Some(low), Some(_)] = [0, 1].map(|i| parts(request.va, request.size, data).nth(i))
            else {
                return;
            };
            core.unclaimed
                .retain(|effect| effect.cycle < issued_at || !low.looks_like(effect));
            return;
        }
        if response.fault.is_some() || !swapped {
            return;
        }
        for part in parts(response.pa, request.size, data) {
            let claimed = core.unclaimed.iter().position(|effect| {
                effect.cycle >= issued_at && part.is(effect.address, effect.strobe, effect.data)
            });
            match claimed {
                Some(place) => drop(core.unclaimed.remove(place)),
                None => core.owed.push((part, request.va, cycle)),
            }
        }
    }

    fn committed(&mut self, cycle: u64, event: &EventKind) {
        let EventKind::Commit {
            source,
            address,
            strobe,
            data,
            ..
        } = *event
        else {
            return;
        };
        let core = self.cores.entry(source).or_default();
        let owed = core
            .owed
            .iter()
            .position(|(part, ..)| part.is(address, strobe, data));
        match owed {
            Some(place) => drop(core.owed.remove(place)),
            None => core.unclaimed.push(Effect {
                cycle,
                address,
                strobe,
                data,
            }),
        }
    }

    /// Nothing may be owed any more: a DSB completed, or the run ended (TLBI-22).
    fn settled(&mut self, cycle: u64, number: u8, out: &mut Violations) {
        let core = self.cores.entry(number).or_default();
        for (part, va, answered_at) in core.owed.drain(..) {
            let came = format!(
                "the store answered at cycle {answered_at} has no effect on [{:#014x}]",
                part.address.unwrap_or(0)
            );
            out.push(
                Violation::new(cycle, NAME, &["TLBI-22", "MEM-12"], came)
                    .on_core(number)
                    .at_va(va)
                    .permitting(format!("bytes {:#010b} = {:#018x}", part.strobe, part.data)),
            );
        }
    }

    /// An effect that outlives every write in flight belongs to none that succeeded.
    fn stray(&mut self, cycle: u64, number: u8, out: &mut Violations) {
        let core = self.cores.entry(number).or_default();
        let oldest = core.writing.values().min().copied().unwrap_or(u64::MAX);
        core.unclaimed.retain(|effect| {
            let explained = effect.cycle >= oldest;
            if !explained {
                let Effect { cycle: at, address, strobe, data } = effect;
                let came = format!(
                    "commit to [{address:#014x}] at cycle {at}, bytes {strobe:#010b} of {data:#018x}, \
                     by no access that succeeded"
                );
                out.push(
                    Violation::new(cycle, NAME, &["ORD-09"], came)
                        .on_core(number)
                        .permitting("no effect of an access that faults, one of any other"),
                );
            }
            explained
        });
    }
}

impl Monitor for DataMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        match &event.kind {
            EventKind::Issue { core, request } if matches!(request.op, Op::Store | Op::Cas) => {
                self.cores
                    .entry(*core)
                    .or_default()
                    .writing
                    .insert(request.id, event.cycle);
            }
            EventKind::Response { core, .. } => {
                self.answered(event, memory, out);
                self.stray(event.cycle, *core, out);
            }
            EventKind::Commit {
                kind,
                address,
                before,
                after,
                ..
            } => {
                if before != after {
                    let replaced = self.replaced.entry(*address).or_default();
                    if replaced.len() == CHANGES {
                        replaced.pop_front();
                    }
                    replaced.push_back((*before, event.cycle));
                }
                if matches!(kind, CommitKind::Store | CommitKind::Cas) {
                    self.committed(event.cycle, &event.kind);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, cycle: u64, _memory: &Memory, out: &mut Violations) {
        for number in self.cores.keys().copied().collect::<Vec<_>>() {
            self.settled(cycle, number, out);
            self.stray(cycle, number, out);
        }
    }
}

#[cfg(test)]
mod tests;
