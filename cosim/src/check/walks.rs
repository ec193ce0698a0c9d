// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The table walks under way and those just ended, put together from walk events.

use std::collections::{BTreeMap, VecDeque};

use vmsa::{Descriptor, FaultKind, Fsc};

use crate::dut::ports::{WalkEvent, WalkKind};
use crate::sim::event::{Event, EventKind};

/// Ended walks remembered a core: a fill may show a few cycles after the end of its walk.
const REMEMBERED: usize = 8;

/// One descriptor read of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Cycle of the event.
    pub cycle: u64,
    /// Level of the descriptor.
    pub level: u8,
    /// Its physical address.
    pub address: u64,
    /// Its value as decoded.
    pub value: Descriptor,
    /// Whether the value came with the answer to a hardware update.
    pub by_swap: bool,
}

/// One walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkRecord {
    /// Id of the request that walks.
    pub id: u16,
    /// Address translated.
    pub va: u64,
    /// Whether it serves a fetch.
    pub instruction: bool,
    /// Cycle of its first event.
    pub begun: u64,
    /// Descriptors read so far.
    pub reads: Vec<Read>,
    /// Descriptor and value, as decoded, that the walk's own update last put in memory.
    pub updated: Option<(u64, Descriptor)>,
    /// Whether it ended.
    pub ended: bool,
    /// Fault with which it ended.
    pub fault: Option<Fsc>,
}

impl WalkRecord {
    /// The last descriptor read.
    #[must_use]
    pub fn last(&self) -> Option<&Read> {
        self.reads.last()
    }

    /// The last value known of the descriptor at `address`, own update included.
    #[must_use]
    pub fn value_at(&self, address: u64) -> Option<Descriptor> {
        if let Some((updated, value)) = self.updated
            && updated == address
        {
            return Some(value);
        }
        self.read_at(address)
    }

    /// The value that the walk last read at `address`.
    #[must_use]
    pub fn read_at(&self, address: u64) -> Option<Descriptor> {
        self.reads
            .iter()
            .rev()
            .find(|read| read.address == address)
            .map(|read| read.value)
    }

    /// Whether nothing of the walk may be kept (VMSA-47): it ended with a fault other than one that
    /// a valid translation can give.
    #[must_use]
    pub fn leaves_nothing(&self) -> bool {
        self.fault.is_some_and(|fsc| {
            !matches!(
                fsc.kind(),
                Some(FaultKind::Permission | FaultKind::Alignment)
            )
        })
    }

    /// The walk for reports, one descriptor read a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .reads
            .iter()
            .map(|read| {
                let how = if read.by_swap { "held" } else { "=" };
                let (level, address, value) = (read.level, read.address, read.value.0);
                format!(
                    "L{level} [{address:#014x}] {how} {value:#018x} (cycle {})",
                    read.cycle
                )
            })
            .collect();
        if let Some(fsc) = self.fault {
            lines.push(format!("ended with {fsc}"));
        }
        lines
    }
}

/// The walks of every core.
#[derive(Debug, Clone, Default)]
pub struct Walks {
    open: BTreeMap<(u8, bool, u16), WalkRecord>,
    ended: BTreeMap<u8, VecDeque<WalkRecord>>,
}

impl Walks {
    /// Follows the walk events. Call it before looking at the event.
    pub fn event(&mut self, event: &Event) {
        let EventKind::Walk { core, step } = &event.kind else {
            return;
        };
        let key = (*core, step.instruction, step.id);
        if step.kind == WalkKind::Begin {
            // A walk that a retry abandons has no end of its own.
            if let Some(old) = self.open.remove(&key) {
                self.remember(*core, old);
            }
        }
        let walk = self.open.entry(key).or_insert_with(|| WalkRecord {
            id: step.id,
            va: step.va,
            instruction: step.instruction,
            begun: event.cycle,
            reads: Vec::new(),
            updated: None,
            ended: false,
            fault: None,
        });
        match step.kind {
            WalkKind::Begin => {}
            WalkKind::Step => walk.reads.push(read(event.cycle, step, false)),
            WalkKind::Swap => {
                let known = walk.read_at(step.address);
                if known != Some(Descriptor(step.value)) {
                    walk.reads.push(read(event.cycle, step, true));
                }
            }
            WalkKind::End => {
                (walk.ended, walk.fault) = (true, step.fault);
                if let Some(walk) = self.open.remove(&key) {
                    self.remember(*core, walk);
                }
            }
        }
    }

    /// Notes that the update of `core` at `address` left `value` (as decoded) in memory.
    pub fn updated(&mut self, core: u8, address: u64, value: Descriptor) {
        let open = self
            .open
            .range_mut((core, false, 0)..=(core, true, u16::MAX));
        for (_, walk) in open {
            if walk.value_at(address).is_some() {
                walk.updated = Some((address, value));
            }
        }
    }

    fn remember(&mut self, core: u8, walk: WalkRecord) {
        let ended = self.ended.entry(core).or_default();
        if ended.len() == REMEMBERED {
            ended.pop_front();
        }
        ended.push_back(walk);
    }

    /// The walks of `core`: those under way, then those ended, the latest first.
    pub fn of(&self, core: u8) -> impl Iterator<Item = &WalkRecord> {
        let open = self
            .open
            .range((core, false, 0)..=(core, true, u16::MAX))
            .map(|(_, walk)| walk);
        open.chain(
            self.ended
                .get(&core)
                .into_iter()
                .flat_map(|ended| ended.iter().rev()),
        )
    }

    /// The walk under way for request `id` of `core`.
    #[must_use]
    pub fn open(&self, core: u8, instruction: bool, id: u16) -> Option<&WalkRecord> {
        self.open.get(&(core, instruction, id))
    }
}

fn read(cycle: u64, step: &WalkEvent, by_swap: bool) -> Read {
    let value = Descriptor(step.value);
    Read {
        cycle,
        level: step.level,
        address: step.address,
        value,
        by_swap,
    }
}
