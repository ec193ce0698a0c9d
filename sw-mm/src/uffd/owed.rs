// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Messages about changes of mappings (non-cooperative events): raised under the mmap lock, before
//! anything changes, and delivered when it was let go. Who changes a mapping goes on when they were
//! read.

use super::{Context, Features, Message};
use crate::cpu::Cpu;
use crate::mm::{AddressSpace, Vma};
use crate::thread::Thread;
use std::rc::Rc;

/// What a system call has to deliver.
#[derive(Debug, Default)]
#[must_use = "handlers wait for it"]
pub(crate) struct Owed(Vec<(Rc<Context>, Message)>);

impl Owed {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    async fn raise<C: Cpu>(&mut self, thread: &Thread<C>, context: Rc<Context>, message: Message) {
        context.begin_change(&thread.held).await;
        self.0.push((context, message));
    }

    /// Tells the contexts of the areas in `start..end` that want to know, each of its part. The mmap
    /// lock is held.
    async fn raise_range<C: Cpu>(
        &mut self,
        thread: &Thread<C>,
        space: &AddressSpace,
        (start, end): (u64, u64),
        wanted: fn(Features) -> bool,
        message: fn(u64, u64) -> Message,
    ) {
        for vma in space.areas_in(start, end) {
            if let Some(context) = context_that(&vma, wanted) {
                let message = message(vma.start().max(start), vma.end().min(end));
                self.raise(thread, context, message).await;
            }
        }
    }

    /// The areas in `start..end` are about to go.
    pub async fn unmap<C: Cpu>(
        &mut self,
        thread: &Thread<C>,
        space: &AddressSpace,
        start: u64,
        end: u64,
    ) {
        let message = |start, end| Message::Unmap { start, end };
        self.raise_range(thread, space, (start, end), |f| f.unmap, message)
            .await;
    }

    /// The pages of `start..end` are about to be thrown away.
    pub async fn remove<C: Cpu>(
        &mut self,
        thread: &Thread<C>,
        space: &AddressSpace,
        start: u64,
        end: u64,
    ) {
        let message = |start, end| Message::Remove { start, end };
        self.raise_range(thread, space, (start, end), |f| f.remove, message)
            .await;
    }

    /// `bytes` bytes of `vma` are about to move; returns the context that they have at `to`.
    pub async fn remap<C: Cpu>(
        &mut self,
        thread: &Thread<C>,
        vma: &Vma,
        (from, to): (u64, u64),
        bytes: u64,
    ) -> Option<Rc<Context>> {
        let context = context_that(vma, |f| f.remap)?;
        let message = Message::Remap { from, to, bytes };
        self.raise(thread, Rc::clone(&context), message).await;
        Some(context)
    }

    /// `vma` is about to be copied to `child`; returns the context that the copy has.
    pub async fn fork<C: Cpu>(
        &mut self,
        thread: &Thread<C>,
        vma: &Vma,
        child: &Rc<AddressSpace>,
    ) -> Option<Rc<Context>> {
        let parent = context_that(vma, |f| f.fork)?;
        let known = self.0.iter().find_map(|(context, message)| match message {
            Message::Fork(copy) if Rc::ptr_eq(context, &parent) => Some(Rc::clone(copy)),
            _ => None,
        });
        if known.is_some() {
            return known;
        }
        let number = thread.kernel.number_context();
        let copy = Context::new(child, number, parent.features().ok());
        let message = Message::Fork(Rc::clone(&copy));
        self.raise(thread, parent, message).await;
        Some(copy)
    }

    /// Delivers everything, in the order in which it was raised, and waits until it was read. No lock is
    /// held.
    pub async fn deliver<C: Cpu>(self, thread: &Thread<C>) {
        for (context, message) in self.0 {
            thread.held.may_sleep();
            let child = match &message {
                Message::Fork(child) => Some(Rc::clone(child)),
                _ => None,
            };
            let read = context.send(message).await;
            context.end_change();
            // Nobody will ever read what the child's context has to tell.
            if let Some(child) = child.filter(|_| !read) {
                thread.uffd_close(&child).await;
            }
        }
    }

    /// `later` is owed too, after what is owed already.
    pub fn append(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// The changes came to nothing.
    pub fn cancel(self) {
        for (context, _) in self.0 {
            context.end_change();
        }
    }
}

/// The context of `vma` if it has a feature and somebody may still read from it.
fn context_that(vma: &Vma, wanted: fn(Features) -> bool) -> Option<Rc<Context>> {
    let context = vma.user_fault_context()?;
    let features = context.features().ok()?;
    (wanted(features) && !context.is_closed()).then_some(context)
}
