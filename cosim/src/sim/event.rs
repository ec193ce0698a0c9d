// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What happened: the one ordered stream of events, from which every judgement is made.
//!
//! Events come in the order of their cycles. Within one cycle: first what the outputs of that cycle
//! show (node commits, DRAM requests, walks, TLB changes, responses, assertions), then what the
//! tasks polled at that cycle did through the back door. A request that a task makes at cycle n is
//! sampled by the clock edge of cycle n+1 at the earliest, and its `Issue` carries that cycle.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::memory::Memory;
use crate::check::Violations;
use crate::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, TlbEvent, TlbKind, WalkEvent, WalkKind,
};

/// `source` of a commit that the testbench made through the back door.
pub const BACKDOOR: u8 = 0xff;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Cycle since the release of reset.
    pub cycle: u64,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The clock edge of this cycle samples a request.
    Issue {
        /// Core that asks.
        core: u8,
        /// What it asks.
        request: CoreRequest,
    },
    /// The socket answered a request.
    Response {
        /// Core answered.
        core: u8,
        /// What it asked.
        request: CoreRequest,
        /// Cycle of the `Issue`.
        issued_at: u64,
        /// The answer.
        response: CoreResponse,
    },
    /// A table walker did something.
    Walk {
        /// Core whose walker it is.
        core: u8,
        /// What it did.
        step: WalkEvent,
    },
    /// A TLB changed.
    Tlb {
        /// Core whose TLB it is.
        core: u8,
        /// The change.
        change: TlbEvent,
    },
    /// A write became visible to every observer.
    Commit {
        /// Node that owns the word.
        node: u8,
        /// Core that wrote, or [`BACKDOOR`].
        source: u8,
        /// How it wrote.
        kind: CommitKind,
        /// Physical address of the 8-byte word.
        address: u64,
        /// Bytes written, one bit a byte.
        strobe: u8,
        /// Bytes written, in place.
        data: u64,
        /// The word before, in the coherent image.
        before: u64,
        /// The word after, in the coherent image.
        after: u64,
    },
    /// A node asked its DRAM for a word.
    DramRead {
        /// Node that asks.
        node: u8,
        /// Physical address of the 8-byte word.
        address: u64,
        /// Tag of the request.
        tag: u16,
        /// Word that the answer will carry.
        data: u64,
        /// Whether the answer is an error.
        error: bool,
    },
    /// A node wrote a word to its DRAM.
    DramWrite {
        /// Node that asks.
        node: u8,
        /// Physical address of the 8-byte word.
        address: u64,
        /// Tag of the request.
        tag: u16,
        /// Bytes written, one bit a byte.
        strobe: u8,
        /// Bytes written, in place.
        data: u64,
        /// Whether the answer is an error (then nothing was written).
        error: bool,
    },
    /// An RTL assertion fired.
    Assertion {
        /// Name of the assertion.
        id: String,
        /// What it says.
        text: String,
    },
}

/// A rule over the event stream. It never drives the hardware.
pub trait Monitor {
    /// Name for reports.
    fn name(&self) -> &'static str;

    /// Sees one event. `memory` is as of now: its coherent image includes every commit up to and
    /// including this event, and of this poll round.
    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations);

    /// Sees the end of the run at `cycle`.
    fn finish(&mut self, cycle: u64, memory: &Memory, out: &mut Violations) {
        let _ = (cycle, memory, out);
    }
}

/// A monitor that the testbench keeps a handle to, to read its figures after the run.
impl<M: Monitor> Monitor for Rc<RefCell<M>> {
    fn name(&self) -> &'static str {
        self.borrow().name()
    }

    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        self.borrow_mut().event(event, memory, out);
    }

    fn finish(&mut self, cycle: u64, memory: &Memory, out: &mut Violations) {
        self.borrow_mut().finish(cycle, memory, out);
    }
}

impl fmt::Display for Event {
    /// One line, the same for the same run: cycle, place, what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} ", self.cycle)?;
        match &self.kind {
            EventKind::Issue { core, request } => {
                write!(f, "core{core} issue    #{:<3} {request}", request.id)
            }
            EventKind::Response {
                core,
                request,
                issued_at,
                response,
            } => write!(
                f,
                "core{core} response #{:<3} {request} => {response} after {}",
                request.id,
                self.cycle - issued_at
            ),
            EventKind::Walk { core, step } => write_walk(f, *core, step),
            EventKind::Tlb { core, change } => write_tlb(f, *core, change),
            EventKind::Commit {
                node,
                source,
                kind,
                address,
                strobe,
                before,
                after,
                ..
            } => write!(
                f,
                "node{node} commit   {kind:?} by {source} [{address:#014x}] \
                 strobe {strobe:#04x} {before:#018x} -> {after:#018x}"
            ),
            EventKind::DramRead {
                node,
                address,
                tag,
                data,
                error,
            } => write!(
                f,
                "node{node} read     [{address:#014x}] tag {tag} {data:#018x}{}",
                if *error { " ERROR" } else { "" }
            ),
            EventKind::DramWrite {
                node,
                address,
                tag,
                strobe,
                data,
                error,
            } => write!(
                f,
                "node{node} write    [{address:#014x}] tag {tag} strobe {strobe:#04x} \
                 {data:#018x}{}",
                if *error { " ERROR" } else { "" }
            ),
            EventKind::Assertion { id, text } => write!(f, "socket assertion {id}: {text}"),
        }
    }
}

fn write_walk(f: &mut fmt::Formatter<'_>, core: u8, step: &WalkEvent) -> fmt::Result {
    let side = if step.instruction { 'I' } else { 'D' };
    write!(
        f,
        "core{core} walk     #{:<3} {side} {:#018x} ",
        step.id, step.va
    )?;
    match step.kind {
        WalkKind::Begin => f.write_str("begin"),
        WalkKind::Step => {
            write!(
                f,
                "L{} [{:#014x}] = {:#018x}",
                step.level, step.address, step.value
            )
        }
        WalkKind::Swap => {
            write!(
                f,
                "L{} [{:#014x}] held {:#018x}",
                step.level, step.address, step.value
            )
        }
        WalkKind::End => match step.fault {
            Some(fsc) => write!(f, "end: {fsc}"),
            None => f.write_str("end"),
        },
    }
}

fn write_tlb(f: &mut fmt::Formatter<'_>, core: u8, change: &TlbEvent) -> fmt::Result {
    let side = if change.instruction { 'I' } else { 'D' };
    match change.kind {
        TlbKind::Fill => {
            write!(
                f,
                "core{core} tlb      {side} fill [{}] {:#018x} mask {:#018x} -> {:#014x} L{}",
                change.index, change.va, change.mask, change.pa, change.level
            )?;
            if change.global {
                f.write_str(" global")?;
            } else {
                write!(f, " asid {:#06x}", change.asid)?;
            }
            if change.count > 0 {
                write!(f, " overlaps {}", change.count)?;
            }
            Ok(())
        }
        TlbKind::Invalidate => {
            write!(
                f,
                "core{core} tlb      {side} invalidate, {} entries removed",
                change.count
            )
        }
    }
}
