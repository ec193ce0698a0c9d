// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Simulated time: tasks that sleep until a cycle wait in a heap and cost nothing meanwhile.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A sleeper, ordered so that the heap's greatest is the next to wake.
struct Sleeper {
    wake_at: u64,
    /// Sleepers of one cycle wake in the order in which they went to sleep.
    sequence: u64,
    waker: Waker,
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.wake_at, other.sequence).cmp(&(self.wake_at, self.sequence))
    }
}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Sleeper {}

/// The current cycle and who waits for which.
#[derive(Default)]
pub(crate) struct Clock {
    now: Cell<u64>,
    sleepers: RefCell<BinaryHeap<Sleeper>>,
    slept: Cell<u64>,
}

impl Clock {
    /// Cycles since the release of reset.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Moves to `cycle` and wakes whoever waits for it or an earlier one.
    pub(crate) fn advance(&self, cycle: u64) {
        self.now.set(cycle);
        let mut sleepers = self.sleepers.borrow_mut();
        while sleepers
            .peek()
            .is_some_and(|sleeper| sleeper.wake_at <= cycle)
        {
            if let Some(sleeper) = sleepers.pop() {
                sleeper.waker.wake();
            }
        }
    }

    /// The cycle at which the next sleeper wakes.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        self.sleepers.borrow().peek().map(|sleeper| sleeper.wake_at)
    }

    fn sleep(&self, wake_at: u64, waker: Waker) {
        let sequence = self.slept.get();
        self.slept.set(sequence + 1);
        self.sleepers.borrow_mut().push(Sleeper {
            wake_at,
            sequence,
            waker,
        });
    }
}

/// Something that holds the clock of a simulation.
pub(crate) trait HasClock {
    /// The clock.
    fn clock(&self) -> &Clock;
}

/// Waits until a cycle.
pub(crate) struct Until<S> {
    holder: Rc<S>,
    wake_at: u64,
    /// The waker that sleeps in the heap for us.
    asleep: Option<Waker>,
}

impl<S: HasClock> Until<S> {
    pub(crate) fn new(holder: Rc<S>, wake_at: u64) -> Self {
        Self {
            holder,
            wake_at,
            asleep: None,
        }
    }
}

impl<S: HasClock> Future for Until<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.holder.clock().now() >= self.wake_at {
            return Poll::Ready(());
        }
        // Polled early, as part of a joined future: the sleeper of the first poll still stands.
        if !self
            .asleep
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            self.asleep = Some(context.waker().clone());
            self.holder
                .clock()
                .sleep(self.wake_at, context.waker().clone());
        }
        Poll::Pending
    }
}
