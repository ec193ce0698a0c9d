// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A listener that keeps what hardware does in one simulation: walks, TLB fills, answers, writes, and
//! each access flag and dirty state update with the word before and after. For expectations about
//! all of it, about what shall not happen, and about when another observer may write a descriptor.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use cosim::check::{Violation, Violations};
use cosim::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, OpCode, TlbFill, TlbStructure, WalkEvent, WalkKind,
};
use cosim::regress::{Bench, Failure};
use cosim::sim::Memory;
use cosim::sim::event::{Event, EventKind, Monitor};

/// One hardware update of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Physical address of the descriptor.
    pub address: u64,
    /// Word before.
    pub before: u64,
    /// Word after.
    pub after: u64,
    /// Bytes written, one bit a byte.
    pub strobe: u8,
}

/// What happened since the last [`Watch::clear`], each list in the order of events.
#[derive(Debug, Default)]
pub struct Seen {
    /// Walks begun.
    pub walks: u64,
    /// Descriptors read by walkers.
    pub reads: Vec<WalkEvent>,
    /// Updates that memory answered with another value than the one compared.
    pub mismatches: u64,
    /// Entries written to a TLB.
    pub fills: Vec<TlbFill>,
    /// Hardware updates made, in the order of their commits.
    pub updates: Vec<Update>,
    /// Addresses written by stores and compare-and-swaps of cores.
    pub stores: Vec<u64>,
    /// Answers to core 0: cycle and operation.
    pub answers: Vec<(u64, OpCode)>,
}

#[derive(Debug, Default)]
struct Listener {
    seen: Seen,
    /// Descriptors read by the walk in flight, with what they held.
    walk: Vec<(u64, u64)>,
    /// The walker's compare-and-swap has read memory and not yet been answered.
    swapping: bool,
    /// Cycle of the last update.
    updated_at: u64,
}

impl Monitor for Listener {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn event(&mut self, event: &Event, _memory: &Memory, _out: &mut Violations) {
        match &event.kind {
            EventKind::Walk { step, .. } => match step.kind {
                WalkKind::Begin => {
                    self.seen.walks += 1;
                    self.walk.clear();
                }
                WalkKind::Step if step.error => {}
                WalkKind::Step => {
                    self.walk.push((step.address, step.value));
                    self.seen.reads.push(*step);
                }
                WalkKind::Swap => {
                    self.swapping = false;
                    let compared = self.walk.iter().rfind(|read| read.0 == step.address);
                    if compared.is_some_and(|read| read.1 != step.value) {
                        self.seen.mismatches += 1;
                    }
                    self.walk.push((step.address, step.value));
                }
                WalkKind::End => {
                    self.swapping = false;
                    self.walk.clear();
                }
            },
            EventKind::Fill { change, .. }
                if matches!(change.structure, TlbStructure::Itlb | TlbStructure::Dtlb) =>
            {
                self.seen.fills.push(*change);
            }
            // The second read of a descriptor in one walk is that of its compare-and-swap.
            EventKind::DramRead { address, .. } => {
                self.swapping |= self.walk.iter().any(|read| read.0 == *address);
            }
            EventKind::Commit {
                kind,
                address,
                strobe,
                before,
                after,
                ..
            } => match kind {
                CommitKind::Update => {
                    self.swapping = false;
                    self.updated_at = event.cycle;
                    let (address, before, after, strobe) = (*address, *before, *after, *strobe);
                    self.seen.updates.push(Update {
                        address,
                        before,
                        after,
                        strobe,
                    });
                }
                CommitKind::Store | CommitKind::Cas => self.seen.stores.push(*address),
                CommitKind::Backdoor => {}
            },
            EventKind::Response {
                core: 0, request, ..
            } => {
                self.seen.answers.push((event.cycle, request.op.code()));
            }
            _ => {}
        }
    }
}

/// The handle to the listener. Clones are the same listener.
#[derive(Debug, Clone, Default)]
pub struct Watch(Rc<RefCell<Listener>>);

impl Watch {
    /// Listens to the current simulation of `bench` from now on.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn on(bench: &mut Bench) -> Result<Self, Failure> {
        let watch = Self::default();
        bench.simulation()?.add_monitor(Rc::clone(&watch.0));
        Ok(watch)
    }

    /// What was seen.
    pub fn seen(&self) -> Ref<'_, Seen> {
        Ref::map(self.0.borrow(), |listener| &listener.seen)
    }

    /// Forgets what was seen.
    pub fn clear(&self) {
        self.0.borrow_mut().seen = Seen::default();
    }

    /// Expects that no TLB entry was written since the last [`Watch::clear`].
    ///
    /// # Errors
    /// Names `requirement` and the first entry.
    pub fn nothing_filled(&self, requirement: &str) -> Result<(), Failure> {
        match self.seen().fills.first() {
            None => Ok(()),
            Some(fill) => Err(unmet(
                requirement,
                format!("an entry for {:#018x} was filled", fill.va),
            )),
        }
    }

    /// Expects that no descriptor was read since the last [`Watch::clear`].
    ///
    /// # Errors
    /// Names `requirement` and the first read.
    pub fn nothing_read(&self, requirement: &str) -> Result<(), Failure> {
        match self.seen().reads.first() {
            None => Ok(()),
            Some(read) => Err(unmet(
                requirement,
                format!("a descriptor was read at {:#014x}", read.address),
            )),
        }
    }

    /// Expects that the last entry written spans `bytes` bytes.
    ///
    /// # Errors
    /// Names `requirement` and the span that came.
    pub fn last_fill_spans(&self, requirement: &str, bytes: u64) -> Result<(), Failure> {
        let span = self.seen().fills.last().map(span);
        expect(requirement, span == Some(bytes), || {
            format!("the last fill spans {span:#x?} bytes, not {bytes:#x}")
        })
    }

    /// Whether a compare-and-swap of the walker is between its read and its write. Nothing else is
    /// served at the coherence point then (HAF-02), so no other observer can write; the back door,
    /// which passes the coherence point by, has to wait. The cycle `now` of an update counts as well:
    /// writes of one cycle have no order.
    #[must_use]
    pub fn swapping(&self, now: u64) -> bool {
        let listener = self.0.borrow();
        listener.swapping || listener.updated_at >= now
    }

    /// Expects that since the last [`Watch::clear`] hardware made exactly `updates`, given
    /// as address, word before and word after, each by one write of all 8 bytes.
    ///
    /// # Errors
    /// Names `requirement` and the updates that came.
    pub fn updates(&self, requirement: &str, updates: &[(u64, u64, u64)]) -> Result<(), Failure> {
        let seen = self.seen();
        let same = seen.updates.len() == updates.len()
            && seen
                .updates
                .iter()
                .zip(updates)
                .all(|(came, &(address, before, after))| {
                    *came
                        == Update {
                            address,
                            before,
                            after,
                            strobe: 0xff,
                        }
                });
        expect(requirement, same, || {
            format!(
                "hardware made the updates {:#x?}, not {updates:#x?}",
                seen.updates
            )
        })
    }
}

/// Bytes that the entry `fill` matches.
#[must_use]
pub fn span(fill: &TlbFill) -> u64 {
    (!fill.mask & ((1 << 48) - 1)) + 1
}

/// An expectation under `requirement` that was not met.
#[must_use]
pub fn unmet(requirement: &str, came: String) -> Failure {
    let violation = Violation::new(0, "expectation", &[requirement], came);
    Failure {
        cycle: None,
        ..Failure::unmet(violation)
    }
}

/// Expects `met`, under `requirement`.
///
/// # Errors
/// Says what came instead.
pub fn expect(requirement: &str, met: bool, came: impl FnOnce() -> String) -> Result<(), Failure> {
    if met {
        Ok(())
    } else {
        Err(unmet(requirement, came()))
    }
}

/// Expects that the faulting `answer` reports `wnr` as ESR.ISS.WnR.
///
/// # Errors
/// When it did not fault or reports the other.
pub fn reports_wnr(requirement: &str, answer: &CoreResponse, wnr: bool) -> Result<(), Failure> {
    expect(
        requirement,
        answer.fault.is_some() && answer.wnr == wnr,
        || format!("{answer}, not a fault with WnR={}", u8::from(wnr)),
    )
}

/// Adds `request` to what the report of a missed expectation says.
///
/// # Errors
/// The failure of `result`.
pub fn on(request: CoreRequest, result: Result<(), Failure>) -> Result<(), Failure> {
    result.map_err(|mut failure| {
        for violation in &mut failure.violations {
            violation.came = format!("{request}: {}", violation.came);
        }
        failure.what = format!("{request}: {}", failure.what);
        failure
    })
}
