// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A listener that keeps every event of one simulation, core by core and with its cycle: for
//! expectations about what came before what.

use std::cell::RefCell;
use std::rc::Rc;

use cosim::check::Violations;
use cosim::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, DvmEvent, Invalidation, OpCode, TlbFill, WalkEvent,
    WalkKind,
};
use cosim::regress::{Bench, Failure};
use cosim::sim::event::{Event, EventKind, Monitor};
use cosim::sim::{CoreHandle, Memory, SimHandle};

use crate::stage1::regime::Regime;

#[derive(Debug, Default)]
struct Listener(Vec<Event>);

impl Monitor for Listener {
    fn name(&self) -> &'static str {
        "record"
    }

    fn event(&mut self, event: &Event, _memory: &Memory, _out: &mut Violations) {
        self.0.push(event.clone());
    }
}

/// One answer: cycles of its issue and of its coming, what was asked and what came.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Cycle in which the request was taken.
    pub asked: u64,
    /// Cycle of the answer.
    pub at: u64,
    /// The request.
    pub request: CoreRequest,
    /// The answer.
    pub response: CoreResponse,
}

/// The handle to the listener. Clones are the same listener.
#[derive(Debug, Clone, Default)]
pub struct Record(Rc<RefCell<Listener>>);

impl Record {
    /// Listens to the current simulation of `bench` from now on, until its next restart.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn on(bench: &mut Bench) -> Result<Self, Failure> {
        let record = Self::default();
        bench.simulation()?.add_monitor(Rc::clone(&record.0));
        Ok(record)
    }

    /// Forgets what was seen.
    pub fn clear(&self) {
        self.0.borrow_mut().0.clear();
    }

    /// What `pick` makes of the events since the last [`Record::clear`], in order, each with its
    /// cycle.
    pub fn collect<T>(&self, pick: impl Fn(&EventKind) -> Option<T>) -> Vec<(u64, T)> {
        let listener = self.0.borrow();
        let picked = |event: &Event| pick(&event.kind).map(|picked| (event.cycle, picked));
        listener.0.iter().filter_map(picked).collect()
    }

    /// Operations that took effect on core `of`.
    #[must_use]
    pub fn effects(&self, of: u8) -> Vec<(u64, Invalidation)> {
        self.collect(|kind| match kind {
            EventKind::Invalidate { core, change } if *core == of => Some(*change),
            _ => None,
        })
    }

    /// What core `of` did with messages.
    #[must_use]
    pub fn messages(&self, of: u8) -> Vec<(u64, DvmEvent)> {
        self.collect(|kind| match kind {
            EventKind::Dvm { core, event } if *core == of => Some(*event),
            _ => None,
        })
    }

    /// Cycles in which core `of` sent a SYNC.
    #[must_use]
    pub fn syncs(&self, of: u8) -> Vec<u64> {
        let sent = |(cycle, event): (u64, DvmEvent)| event.sync_sent.then_some(cycle);
        self.messages(of).into_iter().filter_map(sent).collect()
    }

    /// Cycles in which core `of` sent an INV.
    #[must_use]
    pub fn invs(&self, of: u8) -> Vec<u64> {
        let sent = |(cycle, event): (u64, DvmEvent)| event.inv_sent.map(|_| cycle);
        self.messages(of).into_iter().filter_map(sent).collect()
    }

    /// Walk events of core `of`.
    #[must_use]
    pub fn walks(&self, of: u8) -> Vec<(u64, WalkEvent)> {
        self.collect(|kind| match kind {
            EventKind::Walk { core, step } if *core == of => Some(*step),
            _ => None,
        })
    }

    /// Walks that core `of` began, those begun anew among them.
    #[must_use]
    pub fn begins(&self, of: u8) -> usize {
        let walks = self.walks(of);
        let begins = walks
            .iter()
            .filter(|(_, step)| step.kind == WalkKind::Begin);
        begins.count()
    }

    /// Fills of every structure of core `of`.
    #[must_use]
    pub fn fills(&self, of: u8) -> Vec<(u64, TlbFill)> {
        self.collect(|kind| match kind {
            EventKind::Fill { core, change } if *core == of => Some(*change),
            _ => None,
        })
    }

    /// Writes of cores and walkers that became visible: their kind and address.
    #[must_use]
    pub fn commits(&self) -> Vec<(u64, (CommitKind, u64))> {
        self.collect(|kind| match kind {
            EventKind::Commit { kind, address, .. } if *kind != CommitKind::Backdoor => {
                Some((*kind, *address))
            }
            _ => None,
        })
    }

    /// Answers that core `of` got to requests of the kind `op`.
    #[must_use]
    pub fn answers(&self, of: u8, op: OpCode) -> Vec<Answer> {
        let events = self.0.borrow();
        let answers = events.0.iter().filter_map(|event| match &event.kind {
            EventKind::Response {
                core,
                request,
                issued_at,
                response,
            } if *core == of && request.op.code() == op => Some(Answer {
                asked: *issued_at,
                at: event.cycle,
                request: *request,
                response: *response,
            }),
            _ => None,
        });
        answers.collect()
    }
}

/// Every core, by number.
#[must_use]
pub fn cores(handle: &SimHandle) -> Vec<CoreHandle> {
    (0..handle.cores())
        .filter_map(|index| handle.core(index))
        .collect()
}

/// Every core, by number, each in `regime` from now on.
pub async fn cores_in(handle: &SimHandle, regime: &Regime) -> Vec<CoreHandle> {
    let all = cores(handle);
    for core in &all {
        regime.enter(core).await;
    }
    all
}
