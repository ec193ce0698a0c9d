// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The result of a task, awaited by other tasks or taken after the run.

use super::TaskId;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

struct Slot<T> {
    value: Cell<Option<T>>,
    waker: RefCell<Option<Waker>>,
    done: Cell<bool>,
}

/// Where the result of a task arrives. Dropped, the task goes on all the same.
///
/// As a future it is ready when the task is done; it gives the result once.
pub struct JoinHandle<T> {
    id: TaskId,
    slot: Rc<Slot<T>>,
}

/// The end of the slot that the task holds.
pub(super) struct Result<T>(Rc<Slot<T>>);

pub(super) fn pair<T>(id: TaskId) -> (JoinHandle<T>, Result<T>) {
    let slot = Rc::new(Slot {
        value: Cell::new(None),
        waker: RefCell::new(None),
        done: Cell::new(false),
    });
    let handle = JoinHandle {
        id,
        slot: Rc::clone(&slot),
    };
    (handle, Result(slot))
}

impl<T> Result<T> {
    pub(super) fn put(self, value: T) {
        self.0.value.set(Some(value));
        self.0.done.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> JoinHandle<T> {
    /// Number of the task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Whether the task is done.
    pub fn is_done(&self) -> bool {
        self.slot.done.get()
    }

    /// The result, if the task is done and nobody took it before.
    pub fn take(&self) -> Option<T> {
        self.slot.value.take()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match self.slot.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                *self.slot.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id)
            .field("done", &self.slot.done.get())
            .finish()
    }
}
