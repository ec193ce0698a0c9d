// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Invalidation messages and barriers: each operation takes effect once on every core that it
//! reaches, and a DSB completes only after all of that.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use vmsa::{DsbKind, DsbTypes, TlbiScope};

use super::operations::Operations;
use super::{Violation, Violations};
use crate::dut::ports::{CoreRequest, DvmEvent, Invalidation, Op};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "invalidation messages";
/// Operations of a core that may have been sent and not taken effect everywhere: 4 on their way to
/// the distributor (DVM-07), one in it, 4 on the way to a receiver, and 4 that it has acknowledged and
/// queued, plus one for the cycle by which events lag.
const CREDITS: usize = 14;
/// Cycles after which a message that has not been answered at the end of a run never will be.
const PROGRESS: u64 = 20_000;

/// A barrier in flight.
#[derive(Debug)]
struct Barrier {
    kind: DsbKind,
    issued_at: u64,
    order: u64,
    /// Broadcast and local operations issued before it.
    before: [u64; 2],
}

/// A SYNC under way.
#[derive(Debug)]
struct Sync {
    sent_at: u64,
    /// It covers the broadcast operations of smaller number.
    before: u64,
    /// Cores that answered, one bit each.
    answered: u64,
    /// Cycle in which the sender learned that all answered.
    done_at: Option<u64>,
}

/// One core as a sender.
#[derive(Debug, Default)]
struct Core {
    order: u64,
    /// Requests in flight, by id: their places in program order.
    in_flight: BTreeMap<u16, u64>,
    barriers: BTreeMap<u16, Barrier>,
    sync: Option<Sync>,
    /// Broadcast operations of smaller number are complete everywhere.
    complete: u64,
    /// Cycles in which operations were sent that have not been shown by every core.
    sent: VecDeque<(u64, u64)>,
    /// Broadcast operations sent when the last SYNC was.
    sent_at_sync: u64,
}

/// Watches the messages of every core.
#[derive(Debug)]
pub struct DvmMonitor {
    /// All cores, one bit each.
    everyone: u64,
    cores: BTreeMap<u8, Core>,
    operations: Operations,
}

impl DvmMonitor {
    /// A monitor of hardware with `cores` cores (at most 64) that have done nothing.
    #[must_use]
    pub fn new(cores: u8) -> Self {
        Self {
            everyone: u64::MAX >> (64 - u32::from(cores.clamp(1, 64))),
            cores: BTreeMap::new(),
            operations: Operations::default(),
        }
    }

    fn issued(&mut self, cycle: u64, number: u8, request: &CoreRequest) {
        let before = [false, true].map(|local| self.operations.issued(number, local));
        let core = self.cores.entry(number).or_default();
        core.order += 1;
        core.in_flight.insert(request.id, core.order);
        if let Op::Dsb(kind) = request.op {
            let barrier = Barrier {
                kind,
                issued_at: cycle,
                order: core.order,
                before,
            };
            core.barriers.insert(request.id, barrier);
        }
    }

    fn message(&mut self, cycle: u64, number: u8, message: &DvmEvent, out: &mut Violations) {
        if let Some(tag) = message.inv_sent {
            self.inv_sent(cycle, number, tag, out);
        }
        if message.sync_sent {
            self.sync_sent(cycle, number, out);
        }
        if let Some(source) = message.answered {
            self.answered(cycle, number, source, out);
        }
        if message.sync_done {
            self.sync_done(cycle, number, out);
        }
    }

    fn inv_sent(&mut self, cycle: u64, number: u8, tag: u8, out: &mut Violations) {
        let sent = self.operations.sent(number);
        let this = sent.saturating_sub(1);
        if self.operations.issued(number, false) < sent || this as u8 != tag {
            out.push(
                blame(cycle, number, &["DVM-11", "DVM-01"])(format!("INV {tag} was sent"))
                    .permitting("one INV for each broadcast operation, in order"),
            );
        }
        let core = self.cores.entry(number).or_default();
        core.sent.push_back((this, cycle));
        let outstanding = core.sent.len();
        if outstanding > CREDITS {
            let came = format!("{outstanding} INVs are outstanding");
            out.push(
                blame(cycle, number, &["DVM-07"])(came).permitting(format!("at most {CREDITS}")),
            );
        }
    }

    fn sync_sent(&mut self, cycle: u64, number: u8, out: &mut Violations) {
        let sent = self.operations.sent(number);
        self.settle(cycle, number, out);
        let core = self.cores.entry(number).or_default();
        let blame = blame(cycle, number, &["DVM-07"]);
        if core.sync.is_some() {
            let came = "a SYNC was sent before the last one was answered".to_owned();
            out.push(blame(came).permitting("one SYNC at a time"));
        }
        if sent == core.sent_at_sync {
            let mut violation = blame("a SYNC was sent with no INV since the last one".to_owned());
            violation.requirements = vec!["DVM-14".to_owned()];
            out.push(violation.permitting("no message"));
        }
        let waits = core.barriers.values().any(|barrier| waits(barrier.kind));
        if !waits {
            let mut violation = blame("a SYNC was sent without a DSB in flight".to_owned());
            violation.requirements = vec!["DVM-08".to_owned()];
            out.push(violation.permitting("a SYNC for a full DSB of broadcast scope"));
        }
        core.sent_at_sync = sent;
        core.sync = Some(Sync {
            sent_at: cycle,
            before: sent,
            answered: 0,
            done_at: None,
        });
    }

    fn answered(&mut self, cycle: u64, number: u8, source: u8, out: &mut Violations) {
        let bit = 1u64.checked_shl(u32::from(number)).unwrap_or(0);
        let sync = self.cores.entry(source).or_default().sync.as_mut();
        let waits = |sync: &&mut Sync| {
            sync.answered & bit == 0 && sync.done_at.is_none_or(|done_at| done_at == cycle)
        };
        let Some(sync) = sync.filter(waits) else {
            let came = format!("core {number} answered a SYNC of core {source} that does not wait");
            out.push(blame(cycle, number, &["DVM-08", "DVM-01"])(came));
            return;
        };
        sync.answered |= bit;
        let before = sync.before;
        let late = self
            .operations
            .broadcasts(source)
            .find(|(operation, effects)| operation.number < before && effects & bit == 0);
        if let Some((operation, _)) = late {
            let came = format!(
                "core {number} answered the SYNC of core {source} before {} took effect on it",
                operation.tlbi
            );
            out.push(
                blame(cycle, number, &["DVM-02", "DVM-08", "TLBI-20"])(came)
                    .permitting("every INV before the SYNC in effect"),
            );
        }
    }

    fn sync_done(&mut self, cycle: u64, number: u8, out: &mut Violations) {
        let core = self.cores.entry(number).or_default();
        match &mut core.sync {
            Some(sync) if sync.done_at.is_none() => sync.done_at = Some(cycle),
            _ => {
                let came = "a SYNC is done that was not sent".to_owned();
                out.push(blame(cycle, number, &["DVM-07"])(came));
            }
        }
    }

    /// Draws the conclusion from a SYNC that is done. Not at once: the last answers show in the same
    /// cycle, in events of other cores that may come later.
    fn settle(&mut self, cycle: u64, number: u8, out: &mut Violations) {
        let everyone = self.everyone;
        let core = self.cores.entry(number).or_default();
        let done = |sync: &mut Sync| sync.done_at.is_some_and(|done_at| done_at < cycle);
        let Some(sync) = core.sync.take_if(done) else {
            return;
        };
        if sync.answered == everyone {
            core.complete = core.complete.max(sync.before);
            return;
        }
        let missing = everyone & !sync.answered;
        let came = format!("the SYNC is done without the answer of cores {missing:#b}");
        out.push(blame(cycle, number, &["TLBI-20", "DVM-03"])(came));
    }

    fn took_effect(&mut self, cycle: u64, number: u8, change: &Invalidation, out: &mut Violations) {
        let Some(operation) = self.operations.take_effect(number, change) else {
            let came = format!(
                "{} operation {} of core {} took effect",
                if change.local { "local" } else { "broadcast" },
                change.tag,
                change.source
            );
            let requirements: &[&str] = match change.local {
                true => &["TLBI-12", "DVM-11", "TLBI-14"],
                false => &["DVM-01", "TLBI-14"],
            };
            out.push(
                blame(cycle, number, requirements)(came)
                    .permitting("each operation once on each core that it reaches"),
            );
            return;
        };
        if operation.local {
            return;
        }
        // An INV takes effect after it was sent.
        if operation.number >= self.operations.sent(operation.source) {
            let came = format!("{} took effect before it was sent", operation.tlbi);
            out.push(blame(cycle, number, &["DVM-01"])(came));
        }
        let everyone = self.everyone;
        let mut broadcasts = self.operations.broadcasts(operation.source);
        let over = broadcasts
            .any(|(other, effects)| other.number == operation.number && effects == everyone);
        if over {
            let core = self.cores.entry(operation.source).or_default();
            core.sent.retain(|(number, _)| *number != operation.number);
        }
    }

    fn responded(&mut self, cycle: u64, number: u8, request: &CoreRequest, out: &mut Violations) {
        self.settle(cycle, number, out);
        let core = self.cores.entry(number).or_default();
        let order = core.in_flight.remove(&request.id).unwrap_or(u64::MAX);
        let barrier = core.barriers.remove(&request.id);
        // What follows a DSB in program order is not done before it (ORD-23).
        let overtaken = core.barriers.values().find(|barrier| barrier.order < order);
        if let Some(overtaken) = overtaken.filter(|_| order != u64::MAX) {
            let came = format!(
                "{request} was answered before the {} of cycle {}",
                overtaken.kind, overtaken.issued_at
            );
            out.push(blame(cycle, number, &["ORD-23"])(came).permitting("the DSB first"));
        }
        let Some(barrier) = barrier else { return };
        let waiting = self.operations.waiting_local(number).find(|operation| {
            operation.number < barrier.before[1] && barrier.kind.types == DsbTypes::All
        });
        if let Some(operation) = waiting {
            let came = format!(
                "{} completed before {} took effect",
                barrier.kind, operation.tlbi
            );
            out.push(blame(cycle, number, &["TLBI-20", "TLBI-01"])(came));
        }
        let complete = core.complete;
        let open = self.operations.broadcasts(number).find(|(operation, _)| {
            operation.number >= complete
                && operation.number < barrier.before[0]
                && barrier.kind.completes_tlbi(operation.tlbi.scope)
        });
        if let Some((operation, effects)) = open {
            let missing = self.everyone & !effects;
            let came = match missing {
                0 => format!(
                    "{} completed before every core answered for {}",
                    barrier.kind, operation.tlbi
                ),
                _ => format!(
                    "{} completed before {} took effect on cores {missing:#b}",
                    barrier.kind, operation.tlbi
                ),
            };
            out.push(
                blame(cycle, number, &["TLBI-20", "TLBI-26", "DVM-03"])(came)
                    .permitting("completion after every core showed effect and answered"),
            );
        }
    }
}

/// Whether a DSB of this kind waits for broadcast operations.
fn waits(kind: DsbKind) -> bool {
    [TlbiScope::InnerShareable, TlbiScope::OuterShareable]
        .into_iter()
        .any(|scope| kind.completes_tlbi(scope))
}

fn blame(cycle: u64, core: u8, requirements: &[&str]) -> impl Fn(String) -> Violation {
    move |came| Violation::new(cycle, NAME, requirements, came).on_core(core)
}

impl Monitor for DvmMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        match &event.kind {
            EventKind::Issue { core, request } => {
                self.issued(event.cycle, *core, request);
                self.operations.event(event, None);
            }
            EventKind::Response { core, request, .. } => {
                self.responded(event.cycle, *core, request, out);
            }
            EventKind::Invalidate { core, change } => {
                self.took_effect(event.cycle, *core, change, out);
            }
            EventKind::Dvm {
                core,
                event: message,
            } => {
                self.operations.event(event, None);
                self.message(event.cycle, *core, message, out);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cycle: u64, _memory: &Memory, out: &mut Violations) {
        let overdue = |since: u64| cycle.saturating_sub(since) > PROGRESS;
        for (&number, core) in &self.cores {
            let mut stuck = |requirements: &[&str], what: String| {
                out.push(
                    blame(cycle, number, requirements)(what).permitting("an end in bounded time"),
                );
            };
            if let Some((inv, since)) = core.sent.front().filter(|(_, since)| overdue(*since)) {
                let came = format!("INV {inv} of cycle {since} has not reached every core");
                stuck(&["DVM-01", "DVM-06"], came);
            }
            if let Some(sync) = core.sync.as_ref().filter(|sync| overdue(sync.sent_at)) {
                let missing = self.everyone & !sync.answered;
                let came = format!(
                    "the SYNC of cycle {} waits for cores {missing:#b}",
                    sync.sent_at
                );
                stuck(&["DVM-05", "DVM-06", "TLBI-28"], came);
            }
            for barrier in core.barriers.values() {
                if overdue(barrier.issued_at) {
                    let came = format!(
                        "the {} of cycle {} has not completed",
                        barrier.kind, barrier.issued_at
                    );
                    stuck(&["DVM-06", "TLBI-28", "TLBI-30"], came);
                }
            }
        }
    }
}
