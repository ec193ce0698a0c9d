// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The agent of one core: requests wait in a queue until the socket takes them, responses find
//! their request by id.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bitvec::vec::BitVec;

use super::handle::Shared;
use crate::dut::ports::{CoreRequest, CoreResponse};

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Waits for the socket to take it, since this cycle.
    Queued(u64),
    /// Taken by the clock edge of this cycle.
    Issued(u64),
    /// Answered; the task has not looked yet.
    Answered(CoreResponse),
}

/// A request on its way. Its place in the table is its id.
struct Slot {
    request: CoreRequest,
    stage: Stage,
    /// The task that asked has lost interest.
    abandoned: bool,
    waker: Option<Waker>,
}

/// Requests of one core.
#[derive(Default)]
pub(crate) struct CoreAgent {
    slots: Vec<Slot>,
    free: BitVec,
    queue: VecDeque<u16>,
    in_flight: usize,
    /// `req_ready` of the last response word seen.
    pub(crate) ready: bool,
    /// Last cycle in which the socket took a request.
    taken_at: u64,
    /// PSTATE.PAN.
    pub(crate) pan: bool,
}

impl CoreAgent {
    /// Queues a request and gives it the id `wanted` if that is free, else the lowest free one.
    fn enqueue(&mut self, now: u64, request: CoreRequest, wanted: Option<u16>) -> u16 {
        if let Some(wanted) = wanted {
            while self.slots.len() <= usize::from(wanted) {
                self.slots.push(Slot {
                    request,
                    stage: Stage::Queued(now),
                    abandoned: false,
                    waker: None,
                });
                self.free.push(true);
            }
        }
        let slot = Slot {
            request,
            stage: Stage::Queued(now),
            abandoned: false,
            waker: None,
        };
        let wanted = wanted.map(usize::from).filter(|&id| self.free[id]);
        let id = match wanted.or_else(|| self.free.first_one()) {
            Some(id) => {
                self.free.set(id, false);
                // Keeps the old waker: most often the same task uses the id again.
                self.slots[id] = Slot {
                    waker: self.slots[id].waker.take(),
                    ..slot
                };
                id
            }
            None => {
                self.slots.push(slot);
                self.free.push(false);
                self.slots.len() - 1
            }
        };
        self.slots[id].request.id = id as u16;
        self.queue.push_back(id as u16);
        id as u16
    }

    /// Whether a request waits for the socket.
    pub(crate) fn queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether a response is to come, now or once a queued request is taken.
    pub(crate) fn busy(&self) -> bool {
        self.in_flight > 0 || self.queued()
    }

    /// Takes the next request if the socket is ready; the clock edge of cycle `edge` samples it.
    pub(crate) fn take_request(&mut self, edge: u64) -> Option<CoreRequest> {
        if !self.ready {
            return None;
        }
        let id = self.queue.pop_front()?;
        let slot = &mut self.slots[usize::from(id)];
        slot.stage = Stage::Issued(edge);
        self.in_flight += 1;
        self.taken_at = edge;
        // Unknown until the next output.
        self.ready = false;
        Some(slot.request)
    }

    /// Delivers a response; returns its request and the cycle of its issue, or `None` if no request
    /// of that id is in flight.
    pub(crate) fn respond(&mut self, response: CoreResponse) -> Option<(CoreRequest, u64)> {
        let id = usize::from(response.id);
        let slot = self.slots.get_mut(id)?;
        let Stage::Issued(issued_at) = slot.stage else {
            return None;
        };
        self.in_flight -= 1;
        let request = slot.request;
        slot.stage = Stage::Answered(response);
        if slot.abandoned {
            self.free.set(id, true);
        } else if let Some(waker) = &slot.waker {
            waker.wake_by_ref();
        }
        Some((request, issued_at))
    }

    /// The request that has waited longest for a response, and since which cycle. A queued request
    /// counts from the last time that the socket took one.
    pub(crate) fn oldest(&self) -> Option<(CoreRequest, u64)> {
        let issued = |slot: &Slot, id: usize| match slot.stage {
            Stage::Issued(at) if !self.free[id] => Some((slot.request, at)),
            Stage::Queued(at) if !self.free[id] => Some((slot.request, at.max(self.taken_at))),
            _ => None,
        };
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(id, slot)| issued(slot, id))
            .min_by_key(|&(_, since)| since)
    }

    fn poll(&mut self, id: u16, context: &Context<'_>) -> Poll<CoreResponse> {
        let slot = &mut self.slots[usize::from(id)];
        if let Stage::Answered(response) = slot.stage {
            self.free.set(usize::from(id), true);
            return Poll::Ready(response);
        }
        if !slot
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            slot.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn abandon(&mut self, id: u16) {
        let slot = &mut self.slots[usize::from(id)];
        slot.waker = None;
        match slot.stage {
            Stage::Queued(_) => {
                self.queue.retain(|&queued| queued != id);
                self.free.set(usize::from(id), true);
            }
            Stage::Issued(_) => slot.abandoned = true,
            Stage::Answered(_) => {
                self.free.set(usize::from(id), true);
            }
        }
    }
}

enum Progress {
    Unasked(CoreRequest, Option<u16>),
    Asked(u16),
    Done,
}

/// A request of a core, to be awaited for its response.
///
/// Dropped before the socket takes it, the request is never made; dropped later, the response is
/// discarded when it comes.
#[must_use = "a request is made when it is first awaited"]
pub struct Access {
    shared: Rc<Shared>,
    core: usize,
    progress: Progress,
}

impl Access {
    fn ask(&mut self) {
        if let Progress::Unasked(request, wanted) = self.progress {
            let now = self.shared.now();
            let id = self.shared.cores[self.core]
                .borrow_mut()
                .enqueue(now, request, wanted);
            self.progress = Progress::Asked(id);
        }
    }
}

impl Future for Access {
    type Output = CoreResponse;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CoreResponse> {
        self.ask();
        let Progress::Asked(id) = self.progress else {
            return Poll::Pending;
        };
        let answer = self.shared.cores[self.core].borrow_mut().poll(id, context);
        if answer.is_ready() {
            self.progress = Progress::Done;
        }
        answer
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if let Progress::Asked(id) = self.progress {
            self.shared.cores[self.core].borrow_mut().abandon(id);
        }
    }
}

/// One core, as a task uses it. Clones are the same core.
#[derive(Clone)]
pub struct CoreHandle {
    shared: Rc<Shared>,
    core: usize,
}

impl CoreHandle {
    pub(crate) fn new(shared: Rc<Shared>, core: usize) -> Self {
        Self { shared, core }
    }

    /// Number of the core.
    #[must_use]
    pub fn index(&self) -> u8 {
        self.core as u8
    }

    /// Asks for `request` when first awaited; requests of one core go out in the order asked, one a
    /// cycle, as the socket takes them. The id of `request` is ignored.
    pub fn access(&self, request: CoreRequest) -> Access {
        Access {
            shared: Rc::clone(&self.shared),
            core: self.core,
            progress: Progress::Unasked(request, None),
        }
    }

    /// Asks for `request` now, so that several can be outstanding; await the result later.
    pub fn issue(&self, request: CoreRequest) -> Access {
        let mut access = self.access(request);
        access.ask();
        access
    }

    /// As [`CoreHandle::issue`], under the id that `request` has if no other request has it: for a run
    /// that shall be as one before, to the letter.
    pub fn issue_as_before(&self, request: CoreRequest) -> Access {
        let mut access = self.access(request);
        access.progress = Progress::Unasked(request, Some(request.id));
        access.ask();
        access
    }

    /// PSTATE.PAN, which privileged accesses through [`sw_mm::Cpu`] carry.
    #[must_use]
    pub fn pan(&self) -> bool {
        self.shared.cores[self.core].borrow().pan
    }

    /// Sets PSTATE.PAN.
    pub fn set_pan(&self, pan: bool) {
        self.shared.cores[self.core].borrow_mut().pan = pan;
    }
}
