// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A context: the queue of accesses that wait, the queue of messages about changes, and the count of
//! changes under way.

use crate::lock::{Class, Held, ReadWriteLock};
use crate::mm::{AddressSpace, Error};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use tokio::sync::Notify;

/// What a handler wants to be told of beside accesses, agreed on when it opens the context (UFFDIO_API).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// fork; the child's areas have a context of their own then, otherwise none.
    pub fork: bool,
    /// mremap; otherwise what is moved loses its context.
    pub remap: bool,
    /// MADV_DONTNEED.
    pub remove: bool,
    /// munmap, also as part of mremap.
    pub unmap: bool,
    /// Accesses to missing pages do not wait but end in a signal.
    pub sigbus: bool,
}

/// What a handler reads. Addresses are of pages.
#[derive(Clone, Debug)]
pub enum Message {
    /// An access waits.
    Pagefault {
        /// Address of the page.
        va: u64,
        /// It is a store or an atomic.
        write: bool,
    },
    /// The address space was duplicated; the context of the child.
    Fork(Rc<Context>),
    /// Pages moved.
    Remap {
        /// From here.
        from: u64,
        /// To there.
        to: u64,
        /// So many bytes.
        bytes: u64,
    },
    /// Pages are thrown away; their areas stay.
    Remove {
        /// First byte.
        start: u64,
        /// First byte after them.
        end: u64,
    },
    /// Areas are gone.
    Unmap {
        /// First byte.
        start: u64,
        /// First byte after them.
        end: u64,
    },
}

/// An access that waits.
#[derive(Debug)]
struct Waiter {
    va: u64,
    write: bool,
    read: Cell<bool>,
    woken: Cell<bool>,
    notify: Notify,
}

/// A message about a change, and who waits until it is read.
#[derive(Debug)]
struct Event {
    message: Message,
    read: Cell<bool>,
    notify: Notify,
}

/// A userfaultfd.
#[derive(Debug)]
pub struct Context {
    space: Weak<AddressSpace>,
    features: Cell<Option<Features>>,
    closed: Cell<bool>,
    waiters: RefCell<Vec<Rc<Waiter>>>,
    events: RefCell<VecDeque<Rc<Event>>>,
    changing: Cell<u32>,
    /// Held for reading while pages are filled, for writing when a change begins.
    pub(super) map_changing: ReadWriteLock,
    /// There is something to read.
    arrival: Notify,
}

impl Context {
    /// A context of `space`; `number` tells its lock apart.
    pub(super) fn new(
        space: &Rc<AddressSpace>,
        number: u32,
        features: Option<Features>,
    ) -> Rc<Self> {
        Rc::new(Self {
            space: Rc::downgrade(space),
            features: Cell::new(features),
            closed: Cell::new(false),
            waiters: RefCell::default(),
            events: RefCell::default(),
            changing: Cell::new(0),
            map_changing: ReadWriteLock::new(Class::UffdMapChanging, u64::from(number)),
            arrival: Notify::new(),
        })
    }

    /// Agrees on features, once, before anything else (UFFDIO_API).
    ///
    /// # Errors
    /// [`Error::Invalid`] the second time.
    pub fn api(&self, features: Features) -> Result<(), Error> {
        match self.features.get() {
            Some(_) => Err(Error::Invalid("the features were agreed on already")),
            None => {
                self.features.set(Some(features));
                Ok(())
            }
        }
    }

    /// What was agreed on.
    ///
    /// # Errors
    /// [`Error::Invalid`] if nothing was.
    pub fn features(&self) -> Result<Features, Error> {
        let agreed = self.features.get();
        agreed.ok_or(Error::Invalid("no features were agreed on"))
    }

    /// The address space that it is about.
    ///
    /// # Errors
    /// [`Error::Gone`] if nobody uses that any more.
    pub fn space(&self) -> Result<Rc<AddressSpace>, Error> {
        let space = self.space.upgrade();
        space
            .filter(|space| space.users.get() > 0)
            .ok_or(Error::Gone)
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Whether a change is under way that the handler was not told of yet (mmap_changing).
    pub fn is_changing(&self) -> bool {
        self.changing.get() > 0
    }

    /// Accesses that wait.
    pub fn waiting(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// The next message: accesses first, in the order in which they came.
    pub fn try_read(&self) -> Option<Message> {
        let unread = |waiter: &&Rc<Waiter>| !waiter.read.get();
        if let Some(waiter) = self.waiters.borrow().iter().find(unread) {
            waiter.read.set(true);
            let (va, write) = (waiter.va, waiter.write);
            return Some(Message::Pagefault { va, write });
        }
        let event = self.events.borrow_mut().pop_front()?;
        event.read.set(true);
        event.notify.notify_one();
        Some(event.message.clone())
    }

    /// Waits for a message; `None` once the context is closed.
    pub async fn read(&self) -> Option<Message> {
        loop {
            let arrival = self.arrival.notified();
            if self.is_closed() {
                return None;
            }
            if let Some(message) = self.try_read() {
                return Some(message);
            }
            arrival.await;
        }
    }

    /// Wakes who waits for a page of the `bytes` bytes at `va`; returns how many (UFFDIO_WAKE).
    pub fn wake(&self, va: u64, bytes: u64) -> usize {
        let mut waiters = self.waiters.borrow_mut();
        let before = waiters.len();
        waiters.retain(|waiter| {
            let keep = !(va..va.saturating_add(bytes)).contains(&waiter.va);
            if !keep {
                waiter.woken.set(true);
                waiter.notify.notify_one();
            }
            keep
        });
        before - waiters.len()
    }

    /// Nobody reads any more: whoever waits goes on.
    pub(super) fn shut(&self) {
        self.closed.set(true);
        self.wake(0, u64::MAX);
        for event in self.events.take() {
            event.notify.notify_one();
        }
        self.arrival.notify_waiters();
    }

    /// An access to the page at `va` is about to wait.
    pub(crate) fn enqueue(self: &Rc<Self>, va: u64, write: bool) -> Waiting {
        let waiter = Rc::new(Waiter {
            va,
            write,
            read: Cell::new(false),
            woken: Cell::new(false),
            notify: Notify::new(),
        });
        self.waiters.borrow_mut().push(Rc::clone(&waiter));
        Waiting {
            context: Rc::clone(self),
            waiter,
        }
    }

    /// A change begins: no page is filled from now on until the message about it is read.
    pub(super) async fn begin_change(&self, held: &Rc<Held>) {
        let _fills = self.map_changing.write(held).await;
        self.changing.set(self.changing.get() + 1);
    }

    /// A change is over, or came to nothing.
    pub(super) fn end_change(&self) {
        self.changing.set(self.changing.get().saturating_sub(1));
    }

    /// Waits until somebody has read `message`; returns whether anybody did.
    pub(super) async fn send(&self, message: Message) -> bool {
        if self.is_closed() {
            return false;
        }
        let event = Rc::new(Event {
            message,
            read: Cell::new(false),
            notify: Notify::new(),
        });
        self.events.borrow_mut().push_back(Rc::clone(&event));
        self.arrival.notify_waiters();
        event.notify.notified().await;
        event.read.get()
    }
}

/// A place in the queue, given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    context: Rc<Context>,
    waiter: Rc<Waiter>,
}

impl Waiting {
    /// Sleeps until woken, once.
    pub async fn sleep(self) {
        self.context.arrival.notify_waiters();
        if !self.waiter.woken.get() {
            self.waiter.notify.notified().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiters = self.context.waiters.borrow_mut();
        waiters.retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
    }
}
