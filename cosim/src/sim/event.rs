// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What happened: the one ordered stream of events, from which every judgement is made.
//!
//! Events come in the order of their cycles. Within one cycle: first what the outputs of that cycle
//! show (node commits; DRAM requests; commands on the buses of memory channels, channel by channel;
//! then, core by core, invalidations, which come first because what is filled in their cycle is
//! younger, walk steps, ends of walks, fills of the walk cache, the second and the first level, begins
//! of walks, messages between cores, the end of an invalidation in the second level; then responses
//! and assertions), then what the tasks polled at that cycle did through the back door, and what a
//! kernel among them told of itself. A request that a task makes at cycle n is sampled by the clock edge
//! of cycle n+1 at the earliest, and its `Issue` carries that cycle.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use sw_mm::OsEvent;

use super::event_text;
use super::memory::{ErrorOn, Memory};
use crate::check::Violations;
use crate::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, DramCommand, DvmEvent, Invalidation, TlbFill, WalkEvent,
};
use crate::dut::{Counts, NodeCounts};

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
    /// An entry was written into a TLB or walk cache.
    Fill {
        /// Core whose it is.
        core: u8,
        /// The entry.
        change: TlbFill,
    },
    /// An invalidation took effect on a core, as a whole.
    Invalidate {
        /// Core on which it took effect.
        core: u8,
        /// The operation and what it removed.
        change: Invalidation,
    },
    /// The last invalidation that took effect has left the second-level TLB, which answers again.
    L2Invalidated {
        /// Core whose second-level TLB it is.
        core: u8,
        /// Entries removed there.
        count: u16,
    },
    /// A core sent, answered or completed invalidation messages.
    Dvm {
        /// Core.
        core: u8,
        /// What it did.
        event: DvmEvent,
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
    /// A memory controller gave a command to its DRAM.
    DramCommand {
        /// Node whose memory it is.
        node: u8,
        /// Channel of the node.
        channel: u8,
        /// The command.
        command: DramCommand,
    },
    /// A word was marked through the back door to answer requests with errors, or its mark removed.
    ErrorMark {
        /// Physical address of the 8-byte word.
        address: u64,
        /// Which requests fail, and how many of them (`None` is all); `None` for no request.
        mark: Option<(ErrorOn, Option<u32>)>,
    },
    /// The kernel that runs on the cores told of itself. No hardware takes part.
    Os(OsEvent),
    /// What the event counters of a core read at the end of the run.
    Counters {
        /// Core.
        core: u8,
        /// Their values.
        values: Box<Counts>,
    },
    /// What the event counters of a node read at the end of the run; behind those of all cores, in
    /// the same cycle.
    NodeCounters {
        /// Node.
        node: u8,
        /// Their values.
        values: Box<NodeCounts>,
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

    /// Sees memory as it is when the run starts at `cycle`, before any event.
    fn start(&mut self, cycle: u64, memory: &Memory) {
        let _ = (cycle, memory);
    }

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

    fn start(&mut self, cycle: u64, memory: &Memory) {
        self.borrow_mut().start(cycle, memory);
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
        event_text::write(f, self)
    }
}
