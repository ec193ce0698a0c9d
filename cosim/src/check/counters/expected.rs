// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The counters of one core as its events say.

use std::collections::{BTreeMap, VecDeque};

use vmsa::geometry::FINAL_LEVEL;
use vmsa::{Descriptor, FaultKind, Granule, SysReg, VaRange};

use crate::check::tlb::run_bytes;
use crate::check::walks::{WalkRecord, Walks};
use crate::dut::Counts;
use crate::dut::memory::AddressMap;
use crate::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, Counter, DvmEvent, Op, Straps, TlbFill, TlbStructure,
    WalkEvent, WalkKind,
};
use crate::sim::event::{Event, EventKind};

/// How cores and memory lie on the nodes.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Cores of all nodes.
    pub cores: u8,
    /// Cores of a node that has any.
    pub cores_per_node: u8,
    /// Which node is home to which address.
    pub map: AddressMap,
}

impl Layout {
    /// Whether `address` has another home than the node of `core`.
    fn remote(&self, core: u8, address: u64) -> bool {
        self.map.home(address) != Some(core / self.cores_per_node.max(1))
    }
}

/// Whether such a commit is a read and a write of one request.
pub fn is_atomic(kind: CommitKind) -> bool {
    matches!(kind, CommitKind::Cas | CommitKind::Update)
}

/// A request, and what was counted for it once.
#[derive(Debug, Clone, Copy)]
struct Request {
    write: bool,
    refilled: bool,
    answered: bool,
}

/// Demand walks remembered a core.
const WALKED: usize = 64;

/// Running counts of one core.
#[derive(Debug, Default)]
pub struct Expected {
    counts: Counts,
    /// How much more accesses that failed may have counted.
    pub uncertain: u64,
    /// Second-level fills of a read or a write, one cannot tell.
    unknown_side: u64,
    /// Accesses whose second half has an unknown home.
    unknown_home: u64,
    /// Cycle of the last event.
    pub last_event: u64,
    requests: BTreeMap<u16, Request>,
    /// For the last demand walks: id, cycle of the beginning, and whether the access writes. The
    /// second level may take a fill after its request's id is used anew.
    walked: VecDeque<(u16, u64, bool)>,
}

impl Expected {
    fn add(&mut self, counter: Counter, by: u64) {
        self.counts.set(counter, self.counts.get(counter) + by);
    }

    /// Adds to the data-side counter, or the instruction-side one.
    fn add_side(&mut self, instruction: bool, [data, fetch]: [Counter; 2]) {
        self.add(if instruction { fetch } else { data }, 1);
    }

    /// Requests not answered.
    pub fn in_flight(&self) -> usize {
        let waiting = self.requests.values().filter(|request| !request.answered);
        waiting.count()
    }

    /// The least and the most that `counter` may read, if the events tell. The others are bounded by
    /// the relations among counters: those of cycles, of second-level lookups (which no event shows),
    /// and of hits on entries of one kind.
    pub fn bounds(&self, counter: Counter) -> Option<(u64, u64)> {
        use Counter as C;
        let value = self.counts.get(counter);
        Some(match counter {
            C::CpuCycles
            | C::BusCycles
            | C::L2dTlb
            | C::L2dTlbRd
            | C::L2dTlbWr
            | C::DtlbWalkPercyc
            | C::ItlbWalkPercyc
            | C::StallBackendMem
            | C::StallBackendTlb
            | C::StallFrontendTlb
            | C::WalkMerged
            | C::WalkCycles16
            | C::WalkCycles32
            | C::WalkCycles64
            | C::WalkCycles128
            | C::WalkCycles256
            | C::WalkCycles512
            | C::WalkCycles1024
            | C::WalkCyclesMore
            | C::ContiguousHit
            | C::EtsRewalk
            | C::PrefetchUsed
            | C::DvmSyncWait
            | C::DsbWait => return None,
            C::MemAccess
            | C::MemAccessRd
            | C::MemAccessWr
            | C::BusAccess
            | C::BusAccessRd
            | C::BusAccessWr
            | C::MemoryError => (value, value + self.uncertain),
            C::L2dTlbRefillRd => (value, value + self.unknown_side),
            C::L2dTlbRefillWr => (value.saturating_sub(self.unknown_side), value),
            C::RemoteAccess | C::RemoteAccessRd => {
                (value, value + self.uncertain + self.unknown_home)
            }
            _ => (value, value),
        })
    }

    /// Counts what `event`, which is about core `number`, tells.
    pub fn event(
        &mut self,
        event: &Event,
        number: u8,
        layout: &Layout,
        straps: &Straps,
        walks: &Walks,
    ) {
        self.last_event = event.cycle;
        match &event.kind {
            EventKind::Issue { request, .. } => {
                let write = matches!(request.op, Op::Store | Op::Cas | Op::At(true));
                let new = Request {
                    write,
                    refilled: false,
                    answered: false,
                };
                self.requests.insert(request.id, new);
            }
            EventKind::Response {
                request, response, ..
            } => {
                if let Some(old) = self.requests.get_mut(&request.id) {
                    old.answered = true;
                }
                self.response(number, request, response, layout);
            }
            EventKind::Walk { step, .. } => {
                self.walk(event.cycle, number, step, layout, straps, walks)
            }
            EventKind::Fill { change, .. } => self.fill(number, change, walks),
            EventKind::Invalidate { change, .. } => {
                let removed = u64::from(change.l1_count) + u64::from(change.wc_count);
                self.add(Counter::TlbRemoved, removed);
                self.add(Counter::DvmInvReceived, u64::from(!change.local));
                let cancelled = walks
                    .of(number)
                    .filter(|walk| walk.cancelled == Some(event.cycle));
                for walk in cancelled {
                    self.add_side(
                        walk.instruction,
                        [Counter::DtlbWalkCancelled, Counter::ItlbWalkCancelled],
                    );
                }
            }
            EventKind::L2Invalidated { count, .. } => {
                self.add(Counter::TlbRemoved, u64::from(*count));
            }
            EventKind::Dvm { event, .. } => self.message(event),
            EventKind::Commit {
                kind: CommitKind::Update,
                before,
                after,
                ..
            } => self.updated(number, *before, *after, walks),
            _ => {}
        }
    }

    fn response(
        &mut self,
        number: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        layout: &Layout,
    ) {
        use Counter as C;
        if let Op::Msr(register) = request.op {
            let base = matches!(register, SysReg::Ttbr0 | SysReg::Ttbr1);
            self.add(C::TtbrWriteRetired, u64::from(base));
        }
        if !request.op.translates() {
            return;
        }
        let instruction = request.op == Op::Fetch;
        let write = matches!(request.op, Op::Store | Op::Cas | Op::At(true));
        let at = matches!(request.op, Op::At(_));
        if response.lookup {
            self.add_side(instruction, [C::L1dTlb, C::L1iTlb]);
            if !instruction {
                self.add(if write { C::L1dTlbWr } else { C::L1dTlbRd }, 1);
            }
        }
        if response.walked {
            self.add_side(instruction, [C::DtlbWalk, C::ItlbWalk]);
        }
        let kind = response.fault.and_then(|fsc| fsc.kind());
        let external = matches!(
            kind,
            Some(FaultKind::ExternalAbort | FaultKind::ExternalAbortOnWalk)
        );
        if response.fault.is_some() && (!at || external) {
            self.add(C::ExcTaken, 1);
            self.add_side(instruction, [C::ExcDabort, C::ExcPabort]);
        }
        self.add(
            C::TlbConflict,
            u64::from(kind == Some(FaultKind::TlbConflict)),
        );
        let crosses = (request.va & 7) + (1 << request.size) > 8;
        let halves = 1 + u64::from(crosses);
        match kind {
            _ if at => {}
            None => self.performed(number, request, response, halves, layout),
            Some(FaultKind::ExternalAbort) => {
                self.uncertain += halves;
                self.add(C::MemoryError, 1);
                let [all, split] = if write {
                    [C::MemAccessWr, C::BusAccessWr]
                } else {
                    [C::MemAccessRd, C::BusAccessRd]
                };
                for counter in [C::MemAccess, C::BusAccess, all, split] {
                    self.add(counter, 1);
                }
            }
            Some(_) => {}
        }
    }

    /// An access that did what it was to do, in `halves` requests to memory.
    fn performed(
        &mut self,
        number: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        halves: u64,
        layout: &Layout,
    ) {
        use Counter as C;
        let write = matches!(request.op, Op::Store | Op::Cas);
        let [memory, bus] = if write {
            [C::MemAccessWr, C::BusAccessWr]
        } else {
            [C::MemAccessRd, C::BusAccessRd]
        };
        for counter in [C::MemAccess, C::BusAccess, memory, bus] {
            self.add(counter, halves);
        }
        let page_crossed = (response.pa & 0xfff) + (1 << request.size) > 0x1000;
        let known = if page_crossed { 1 } else { halves };
        self.unknown_home += halves - known;
        if layout.remote(number, response.pa) {
            self.add(C::RemoteAccess, known);
            self.add(C::RemoteAccessRd, if write { 0 } else { known });
        }
    }

    fn walk(
        &mut self,
        cycle: u64,
        number: u8,
        step: &WalkEvent,
        layout: &Layout,
        straps: &Straps,
        walks: &Walks,
    ) {
        use Counter as C;
        let side = step.instruction;
        match step.kind {
            WalkKind::Begin => {
                self.add_side(side, [C::DtlbWalkBegun, C::ItlbWalkBegun]);
                if step.prefetch {
                    self.add_side(side, [C::DtlbWalkPrfm, C::ItlbWalkPrfm]);
                } else if let Some(request) = self.requests.get(&step.id) {
                    if self.walked.len() == WALKED {
                        self.walked.pop_front();
                    }
                    self.walked.push_back((step.id, cycle, request.write));
                }
                if step.cached_start {
                    let level = match step.level {
                        0 | 1 => C::WalkCacheHitL0,
                        2 => C::WalkCacheHitL1,
                        _ => C::WalkCacheHitL2,
                    };
                    self.add(level, 1);
                }
            }
            WalkKind::Step => {
                self.add_side(side, [C::DtlbStep, C::ItlbStep]);
                let home = match layout.remote(number, step.address) {
                    true => C::WalkReadRemote,
                    false => C::WalkReadLocal,
                };
                for counter in [home, C::BusAccess, C::BusAccessRd] {
                    self.add(counter, 1);
                }
                self.add(C::MemoryError, u64::from(step.error));
            }
            WalkKind::Swap => {
                self.add(C::BusAccess, 1);
                self.add(C::BusAccessWr, 1);
                let walk = walks.slot(number, step.slot);
                let missed = walk
                    .and_then(WalkRecord::last)
                    .is_some_and(|read| read.by_swap && read.cycle == cycle);
                if step.error {
                    self.add(C::MemoryError, 1);
                } else if missed {
                    self.add(C::UpdateMismatch, 1);
                } else {
                    self.add_side(side, [C::DtlbHwupd, C::ItlbHwupd]);
                }
            }
            WalkKind::End if step.fault.is_some() => {
                self.add_side(side, [C::DtlbWalkFault, C::ItlbWalkFault]);
            }
            WalkKind::End => {
                let ended = |walk: &&WalkRecord| walk.slot == step.slot && walk.ended_at == cycle;
                let walk = walks.of(number).find(ended);
                match walk.is_some_and(|walk| is_large(walk, straps)) {
                    true => self.add_side(side, [C::DtlbWalkLarge, C::ItlbWalkLarge]),
                    false => self.add_side(side, [C::DtlbWalkSmall, C::ItlbWalkSmall]),
                }
            }
        }
    }

    fn fill(&mut self, number: u8, change: &TlbFill, walks: &Walks) {
        use Counter as C;
        let (mut for_read, mut for_write) = (false, false);
        if change.structure == TlbStructure::L2 {
            let sources = walks.sources(number, change).into_iter();
            for walk in sources.filter(|walk| walk.id == change.id) {
                let begun = |seen: &&(u16, u64, bool)| (seen.0, seen.1) == (walk.id, walk.begun);
                if let Some(seen) = self.walked.iter().find(begun) {
                    for_read |= !seen.2;
                    for_write |= seen.2;
                }
            }
        }
        let request = self.requests.get_mut(&change.id);
        let write = request.as_ref().is_some_and(|request| request.write) && !change.instruction;
        match change.structure {
            TlbStructure::WalkCache => {}
            TlbStructure::L2 if change.prefetch => self.add(C::PrefetchFill, 1),
            TlbStructure::L2 => {
                self.add(C::L2dTlbRefill, 1);
                // A read and a write with this id walked for the page one after the other: either
                // may be the one whose fill this is.
                self.unknown_side += u64::from(for_read && for_write);
                let split = if for_write {
                    C::L2dTlbRefillWr
                } else {
                    C::L2dTlbRefillRd
                };
                self.add(split, 1);
            }
            // Of a prefetch walk that an access joined; PMU-07 keeps it apart from demand.
            TlbStructure::Itlb | TlbStructure::Dtlb if change.prefetch => {
                self.add(C::ContiguousFill, u64::from(change.contiguous));
            }
            TlbStructure::Itlb | TlbStructure::Dtlb => {
                let first =
                    request.is_none_or(|request| !std::mem::replace(&mut request.refilled, true));
                self.add(C::ContiguousFill, u64::from(change.contiguous));
                if first {
                    self.add_side(change.instruction, [C::L1dTlbRefill, C::L1iTlbRefill]);
                }
                if first && !change.instruction {
                    let split = if write {
                        C::L1dTlbRefillWr
                    } else {
                        C::L1dTlbRefillRd
                    };
                    self.add(split, 1);
                }
            }
        }
    }

    fn message(&mut self, event: &DvmEvent) {
        self.add(Counter::DvmInvSent, u64::from(event.inv_sent.is_some()));
        self.add(Counter::DvmSyncSent, u64::from(event.sync_sent));
        self.add(
            Counter::DvmSyncAnswered,
            u64::from(event.answered.is_some()),
        );
    }

    /// A hardware update, in the byte order in which the walker decodes.
    fn updated(&mut self, number: u8, before: u64, after: u64, walks: &Walks) {
        let last = |value: u64| {
            let registers = walks.registers(number);
            registers
                .and_then(|registers| registers.byte_orders(value).last())
                .unwrap_or(value)
        };
        let (before, after) = (last(before), last(after));
        let flag = u64::from(after & !before & 1 << Descriptor::AF != 0);
        let dirty = u64::from(before & !after & 1 << Descriptor::AP2 != 0);
        self.add(Counter::AfUpdate, flag);
        self.add(Counter::DirtyUpdate, dirty);
    }
}

/// Whether `walk` ended in a block, or in a run that is used as one.
fn is_large(walk: &WalkRecord, straps: &Straps) -> bool {
    let Some(read) = walk.last() else {
        return false;
    };
    let range = VaRange::of(walk.va);
    read.level < FINAL_LEVEL
        || walk.registers.tcr().last().is_some_and(|tcr| {
            let granule = tcr.granule(range).unwrap_or(Granule::K4);
            run_bytes(straps, granule, read.level, read.value, tcr, range).is_some()
        })
}
