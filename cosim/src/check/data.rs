// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Data: loads bring what memory held during the access, stores take effect once, faulting accesses
//! not at all.

mod history;

use std::collections::BTreeMap;

use vmsa::{FaultKind, Fsc};

use self::history::{Coherence, History, Window};
use super::{Violation, Violations};
use crate::dut::ports::{CommitKind, CoreRequest, CoreResponse, Op};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "data";
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

/// Whether the effects of two writes cannot be told apart if both addresses are of one physical page.
fn twin(one: &CoreRequest, other: &CoreRequest) -> bool {
    let mask = u64::MAX >> (64 - (8u32 << other.size));
    one.size == other.size
        && (one.va ^ other.va) & (PAGE_MIN - 1) == 0
        && (one.data ^ other.data) & mask == 0
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
    /// Stores and compare-and-swaps in flight, by id: cycle of issue, place in program order, request.
    writing: BTreeMap<u16, (u64, u64, CoreRequest)>,
    unclaimed: Vec<Effect>,
    /// Requests in flight, by id: their places in program order.
    in_flight: BTreeMap<u16, u64>,
    order: u64,
    coherence: Coherence,
}

/// An answered access.
#[derive(Clone, Copy)]
struct Answered<'a> {
    cycle: u64,
    core: u8,
    request: &'a CoreRequest,
    response: &'a CoreResponse,
    issued_at: u64,
    /// Its place in program order.
    order: u64,
}

impl Answered<'_> {
    fn blame(&self, requirements: &[&str], came: String) -> Violation {
        Violation::new(self.cycle, NAME, requirements, came)
            .on_core(self.core)
            .at_va(self.request.va)
    }
}

/// Watches answers and commits.
#[derive(Debug, Default)]
pub struct DataMonitor {
    cores: BTreeMap<u8, Core>,
    history: History,
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
        let order = self.cores.entry(*core).or_default();
        let order = order.in_flight.remove(&request.id).unwrap_or(0);
        let access = Answered {
            cycle: event.cycle,
            core: *core,
            request,
            response,
            issued_at: *issued_at,
            order,
        };
        match request.op {
            Op::Load | Op::Fetch if response.fault.is_none() => self.read(access, memory, out),
            Op::Store | Op::Cas => self.written(access, memory, out),
            _ => {}
        }
    }

    /// MEM-14, ORD-28: each word read held what was read at one instant of the access. ORD-30: the
    /// instants of one core's reads of one word follow program order.
    fn read(&mut self, access: Answered<'_>, memory: &Memory, out: &mut Violations) {
        let Answered {
            request, response, ..
        } = access;
        let within = Window {
            from: access.issued_at,
            to: access.cycle,
        };
        let mask = u64::MAX >> (64 - (8u32 << request.size));
        for part in parts(response.pa, request.size, response.data & mask) {
            let Some(address) = part.address else {
                continue;
            };
            let instants = self
                .history
                .instants(memory, address, part.mask(), part.data, within);
            match instants {
                Ok(window) => self.ordered(access, address, window, out),
                Err(held) => {
                    let came = format!(
                        "{request} brought {:#018x} from [{address:#014x}], bytes {:#010b}",
                        part.data & part.mask(),
                        part.strobe
                    );
                    let mut violation = access.blame(&["MEM-14", "ORD-28", "MEM-05"], came);
                    violation.permitted =
                        held.iter().map(|value| format!("{value:#018x}")).collect();
                    out.push(violation);
                }
            }
        }
    }

    fn ordered(
        &mut self,
        access: Answered<'_>,
        address: u64,
        window: Window,
        out: &mut Violations,
    ) {
        // Fetches are another observer: vmsa.md orders them by ISB only.
        if access.request.op == Op::Fetch {
            return;
        }
        let core = self.cores.entry(access.core).or_default();
        let other = core.coherence.note(access.order, address, window);
        if let Some((order, other)) = other {
            let which = match order < access.order {
                true => "an older",
                false => "a younger",
            };
            let came = format!(
                "{} saw [{address:#014x}] as of cycles {} to {}, {which} access of the core as of \
                 {} to {}",
                access.request, window.from, window.to, other.from, other.to
            );
            out.push(
                access
                    .blame(&["ORD-30", "ORD-20"], came)
                    .permitting("accesses to one word in program order"),
            );
        }
    }

    fn written(&mut self, access: Answered<'_>, memory: &Memory, out: &mut Violations) {
        let Answered {
            request,
            response,
            issued_at,
            ..
        } = access;
        let core = self.cores.entry(access.core).or_default();
        core.writing.remove(&request.id);
        let mask = u64::MAX >> (64 - (8u32 << request.size));
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
        if response.fault.is_some() {
            return;
        }
        if !swapped {
            self.read(access, memory, out);
            return;
        }
        for part in parts(response.pa, request.size, data) {
            // Of effects that are alike the first ones are those of older writes, answered or not.
            let twins = core.writing.values();
            let twins =
                twins.filter(|(_, order, older)| *order < access.order && twin(older, request));
            let alike = core.unclaimed.iter().enumerate().filter(|(_, effect)| {
                effect.cycle >= issued_at && part.is(effect.address, effect.strobe, effect.data)
            });
            let claimed = alike.map(|(place, _)| place).take(twins.count() + 1).last();
            let Some(place) = claimed else {
                let came = format!(
                    "{request} was answered without effect on [{:#014x}]",
                    part.address.unwrap_or(0)
                );
                out.push(
                    access
                        .blame(&["ORD-22", "TLBI-22", "MEM-12"], came)
                        .permitting(format!("bytes {:#010b} = {:#018x}", part.strobe, part.data)),
                );
                continue;
            };
            let effect = core.unclaimed.remove(place);
            let window = Window {
                from: effect.cycle,
                to: effect.cycle,
            };
            let other = core.coherence.note(access.order, effect.address, window);
            if other.is_some() {
                let came = format!(
                    "{request} became visible at cycle {}, out of order with another access of the \
                     core to [{:#014x}]",
                    effect.cycle, effect.address
                );
                out.push(
                    access
                        .blame(&["ORD-20", "ORD-05", "ORD-30"], came)
                        .permitting("accesses to one word in program order"),
                );
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
        self.cores
            .entry(source)
            .or_default()
            .unclaimed
            .push(Effect {
                cycle,
                address,
                strobe,
                data,
            });
    }

    /// An effect that outlives every write in flight belongs to none that succeeded.
    fn stray(&mut self, cycle: u64, number: u8, out: &mut Violations) {
        let core = self.cores.entry(number).or_default();
        let issued = core.writing.values().map(|&(issued, ..)| issued);
        let oldest = issued.min().unwrap_or(u64::MAX);
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
            EventKind::Issue { core, request } => {
                let core = self.cores.entry(*core).or_default();
                core.order += 1;
                core.in_flight.insert(request.id, core.order);
                if matches!(request.op, Op::Store | Op::Cas) {
                    let write = (event.cycle, core.order, *request);
                    core.writing.insert(request.id, write);
                }
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
                    self.history.replace(*address, *before, event.cycle);
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
            self.stray(cycle, number, out);
        }
    }
}

#[cfg(test)]
mod tests;
