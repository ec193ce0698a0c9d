// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Keeps the events of a stretch of one simulation and puts those of each walk together, so that a
//! testbench can ask which walk did what, when, and next to which other.

use std::cell::RefCell;
use std::rc::Rc;

use cosim::check::Violations;
use cosim::dut::ports::{CommitKind, TlbFill, TlbStructure, WalkKind};
use cosim::regress::{Bench, Failure};
use cosim::sim::event::{Event, EventKind, Monitor};
use cosim::sim::{Memory, SimHandle};
use vmsa::Fsc;

/// A descriptor read, or what memory held when it answered an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Cycle of the answer.
    pub cycle: u64,
    /// Level of the descriptor.
    pub level: u8,
    /// Physical address of the descriptor.
    pub address: u64,
    /// What memory held.
    pub value: u64,
    /// Whether memory answered with an error.
    pub error: bool,
}

/// One walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Core whose walker it is.
    pub core: u8,
    /// Which of the core's concurrent walks.
    pub slot: u8,
    /// Id of the request that walks; of a prefetch, of the one that triggered it.
    pub id: u16,
    /// Address translated.
    pub va: u64,
    /// Whether it serves an instruction fetch.
    pub instruction: bool,
    /// Whether no access asked for it.
    pub prefetch: bool,
    /// Cycle of its begin.
    pub begun: u64,
    /// Level and address of the first descriptor.
    pub start: (u8, u64),
    /// Whether it begins below a table that a walk cache holds.
    pub cached_start: bool,
    /// Descriptors read, in order, those answered after a cancellation left out.
    pub reads: Vec<Read>,
    /// Answers to its hardware updates, in order.
    pub swaps: Vec<Read>,
    /// Cycle of its end or cancellation.
    pub ended: Option<u64>,
    /// Fault with which it ended.
    pub fault: Option<Fsc>,
    /// Whether an invalidation cancelled it.
    pub cancelled: bool,
    /// Whether its result also served an access that joined it.
    pub merged: bool,
}

impl Walk {
    /// Levels of the descriptors read, in order.
    #[must_use]
    pub fn levels(&self) -> Vec<u8> {
        self.reads.iter().map(|read| read.level).collect()
    }
}

/// The record of the current simulation. Clones are the same record.
#[derive(Debug, Clone, Default)]
pub struct Record(Rc<RefCell<Vec<Event>>>);

impl Monitor for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        self.0.borrow_mut().push(event.clone());
    }
}

impl Record {
    /// Keeps what happens in the current simulation of `bench` from now on.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn on(bench: &mut Bench) -> Result<Self, Failure> {
        let record = Self::default();
        bench.simulation()?.add_monitor(record.clone());
        Ok(record)
    }

    /// Forgets what is kept. Walks under way are then unknown: to be called when there are none.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Number of events kept, a mark for [`Record::since`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether an event after the first `mark` ones is as `wanted`.
    #[must_use]
    pub fn since(&self, mark: usize, wanted: impl Fn(&Event) -> bool) -> bool {
        self.0.borrow().iter().skip(mark).any(wanted)
    }

    /// What `choose` makes of the events kept, in their order.
    pub fn select<T>(&self, choose: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.0.borrow().iter().filter_map(choose).collect()
    }

    /// Waits until an event from now on is as `wanted`, at most `patience` cycles. Returns whether it
    /// came.
    pub async fn wait(
        &self,
        handle: &SimHandle,
        patience: u64,
        wanted: impl Fn(&Event) -> bool,
    ) -> bool {
        let mark = self.mark();
        for _ in 0..patience {
            if self.since(mark, &wanted) {
                return true;
            }
            handle.sleep(1).await;
        }
        self.since(mark, &wanted)
    }

    /// The walks begun since the last [`Record::clear`], in the order of their begins.
    #[must_use]
    pub fn walks(&self) -> Vec<Walk> {
        let mut walks: Vec<Walk> = Vec::new();
        let open = |walks: &mut Vec<Walk>, core, slot| {
            walks
                .iter()
                .rposition(|walk| (walk.core, walk.slot) == (core, slot) && walk.ended.is_none())
        };
        for event in self.0.borrow().iter() {
            match &event.kind {
                EventKind::Walk { core, step } => {
                    let read = Read {
                        cycle: event.cycle,
                        level: step.level,
                        address: step.address,
                        value: step.value,
                        error: step.error,
                    };
                    if step.kind == WalkKind::Begin {
                        walks.push(Walk {
                            core: *core,
                            slot: step.slot,
                            id: step.id,
                            va: step.va,
                            instruction: step.instruction,
                            prefetch: step.prefetch,
                            begun: event.cycle,
                            start: (step.level, step.address),
                            cached_start: step.cached_start,
                            reads: Vec::new(),
                            swaps: Vec::new(),
                            ended: None,
                            fault: None,
                            cancelled: false,
                            merged: false,
                        });
                        continue;
                    }
                    let Some(at) = open(&mut walks, *core, step.slot) else {
                        continue;
                    };
                    match step.kind {
                        WalkKind::Step if !step.discarded => walks[at].reads.push(read),
                        WalkKind::Swap if !step.discarded => walks[at].swaps.push(read),
                        WalkKind::End => {
                            walks[at].ended = Some(event.cycle);
                            walks[at].fault = step.fault;
                            walks[at].merged = step.merged;
                        }
                        _ => {}
                    }
                }
                EventKind::Invalidate { core, change } => {
                    for slot in (0..4).filter(|slot| change.cancelled >> slot & 1 == 1) {
                        if let Some(at) = open(&mut walks, *core, slot) {
                            walks[at].ended = Some(event.cycle);
                            walks[at].cancelled = true;
                        }
                    }
                }
                _ => {}
            }
        }
        walks
    }

    /// Entries written to `structure`, in order, with their cycles.
    #[must_use]
    pub fn fills(&self, structure: TlbStructure) -> Vec<(u64, TlbFill)> {
        self.select(|event| match &event.kind {
            EventKind::Fill { change, .. } if change.structure == structure => {
                Some((event.cycle, *change))
            }
            _ => None,
        })
    }

    /// Hardware updates that became visible: cycle, address, word before and after.
    #[must_use]
    pub fn updates(&self) -> Vec<(u64, u64, u64, u64)> {
        self.select(|event| match &event.kind {
            EventKind::Commit {
                kind: CommitKind::Update,
                address,
                before,
                after,
                ..
            } => Some((event.cycle, *address, *before, *after)),
            _ => None,
        })
    }

    /// Addresses of the words read from DRAM, in order.
    #[must_use]
    pub fn dram_reads(&self) -> Vec<u64> {
        self.select(|event| match &event.kind {
            EventKind::DramRead { address, .. } => Some(*address),
            _ => None,
        })
    }
}

/// The most walks of `walks` that were under way at one time.
#[must_use]
pub fn most_at_once(walks: &[Walk]) -> usize {
    walks
        .iter()
        .map(|one| {
            let under_way = |other: &&Walk| {
                other.begun <= one.begun && other.ended.is_none_or(|end| end > one.begun)
            };
            walks.iter().filter(under_way).count()
        })
        .max()
        .unwrap_or(0)
}
