// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A thread of a race: accesses and calls on pages that others use too.

use super::child::{self, Child};
use super::folios::Pin;
use super::op::{GROUP, Op};
use super::own::Own;
use super::race::{Shared, Space};
use super::words::{Page, State};
use std::cell::RefCell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::Cpu;
use sw_mm::mm::{Error, Map, Protection};
use sw_mm::thread::Thread;
use tokio::sync::mpsc::UnboundedSender;

/// A thread of the race.
pub struct Task<C> {
    pub shared: Rc<Shared>,
    pub thread: Thread<C>,
    pub number: usize,
    pub threads: usize,
    /// Which of the address spaces.
    pub space: usize,
    pub own: tokio::sync::Mutex<Own>,
    /// What its device works with.
    pub pins: RefCell<Vec<Pin>>,
}

pub type Outcome = Result<(), String>;

/// Signals are outcomes, all else is none.
pub fn permitted<T>(result: Result<T, Error>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Signal { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Nothing can go wrong.
pub fn certain<T>(result: Result<T, Error>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

impl<C: Cpu> Task<C> {
    pub fn new(
        shared: &Rc<Shared>,
        thread: Thread<C>,
        number: usize,
        (threads, spaces): (usize, usize),
    ) -> Self {
        Self {
            shared: Rc::clone(shared),
            thread,
            number,
            threads,
            space: number % spaces,
            own: tokio::sync::Mutex::new(Own::new(number)),
            pins: RefCell::default(),
        }
    }

    pub fn here(&self) -> &Space {
        &self.shared.spaces[self.space]
    }

    /// The number of a thread of the same address space.
    fn peer(&self, number: u8) -> usize {
        let step = self.shared.spaces.len();
        let peers = (self.threads - self.space).div_ceil(step);
        self.space + usize::from(number) % peers * step
    }

    /// Runs the operations, as far as all goes well.
    pub async fn run(&self, ops: &[Op], children: &UnboundedSender<Child>) {
        self.thread.switch_to(&self.here().space).await;
        for op in ops {
            if let Err(what) = self.step(op, children).await {
                self.shared
                    .fails(format!("thread {}, {op:?}: {what}", self.number));
            }
            if self.shared.failed() {
                break;
            }
        }
        self.thread.leave().await;
    }

    async fn step(&self, op: &Op, children: &UnboundedSender<Child>) -> Outcome {
        let (shared, here, thread) = (&*self.shared, self.here(), &self.thread);
        // Nobody else asks for it: the lock is there to borrow across what waits.
        let own = async || self.own.lock().await;
        match *op {
            Op::Load(page, writer) => self.load_common(page, self.peer(writer)).await,
            Op::LoadDevice(page, writer) => {
                let writer = self.threads + self.peer(writer);
                self.load_common(page, writer).await
            }
            Op::Store(page) => {
                let page = usize::from(page);
                self.store(&here.common[page], shared.common(page)).await
            }
            Op::Swap(page) => {
                let page = usize::from(page);
                self.swap(&here.common[page], shared.common(page)).await
            }
            Op::Protect(group, count) => self.protect(group.into(), count.into()).await,
            Op::LoadVolatile(owner, page, writer) => {
                let (owner, page) = (self.peer(owner), usize::from(page));
                let va = shared.volatile(owner, page);
                let page = &here.volatile[owner][page];
                self.load(page, va, self.peer(writer)).await
            }
            Op::StoreVolatile(owner, page) => {
                let (owner, page) = (self.peer(owner), usize::from(page));
                let va = shared.volatile(owner, page);
                self.store(&here.volatile[owner][page], va).await
            }
            Op::Toggle => self.toggle().await,
            Op::DontNeed(page, count) => self.dont_need(page.into(), count.into()).await,
            Op::LoadShared(page, writer) => {
                let page = usize::from(page);
                let writer = usize::from(writer) % self.threads;
                let va = shared.shared(page);
                self.load(&shared.file[page], va, writer).await
            }
            Op::StoreShared(page) => {
                let page = usize::from(page);
                self.store(&shared.file[page], shared.shared(page)).await
            }
            Op::Move => own().await.relocate(thread, shared).await,
            Op::LoadOwn(page) => own().await.load(thread, shared, page.into()).await,
            Op::StoreOwn(page) => own().await.store(thread, shared, page.into()).await,
            Op::UnmapOwn(page) => own().await.unmap(thread, shared, page.into()).await,
            Op::Fork => self.fork(children).await,
            Op::SwapOut(number) => self.swap_out(number).await,
            Op::Hint(page, count) => self.hint(page.into(), count.into()).await,
            Op::Reclaim(node, pages) => self.reclaim(node, pages.into()).await,
            Op::Age(number, flush) => self.age(number, flush).await,
            Op::Migrate(number, node, wait) => self.migrate(number, node, wait).await,
            Op::Pin(page) => self.pin(page.into()).await,
            Op::Device(number) => self.device(number).await,
            Op::Unpin(number) => self.unpin(number),
            Op::Speculate(page) => {
                let core = usize::from(thread.core);
                shared.machine.speculate(core, shared.common(page.into()));
                Ok(())
            }
        }
    }

    async fn load_common(&self, page: u8, writer: usize) -> Outcome {
        let page = usize::from(page);
        let va = self.shared.common(page);
        self.load(&self.here().common[page], va, writer).await
    }

    async fn load(&self, page: &Page, va: u64, writer: usize) -> Outcome {
        let seen = page.look(writer);
        let value = self.thread.user_load(va + writer as u64 * 8, Double).await;
        let value = permitted(value)?;
        page.judge(&seen, false, value.is_some())?;
        match value {
            Some(value) => page.check(writer, &seen, value),
            None => Ok(()),
        }
    }

    async fn store(&self, page: &Page, va: u64) -> Outcome {
        let seen = page.look(self.number);
        let value = page.begin_store(self.number);
        let va = va + self.number as u64 * 8;
        let stored = self.thread.user_store(va, Double, value).await;
        let stored = permitted(stored)?;
        page.judge(&seen, true, stored.is_some())?;
        page.end_store(self.number, &seen, stored.is_some());
        Ok(())
    }

    async fn swap(&self, page: &Page, va: u64) -> Outcome {
        let seen = page.look(self.number);
        let (last, value) = (page.last(self.number), page.begin_store(self.number));
        let va = va + self.number as u64 * 8;
        let swapped = self.thread.user_compare_and_swap(va, last, value).await;
        let swapped = permitted(swapped)?;
        page.judge(&seen, true, swapped.is_some())?;
        page.end_store(self.number, &seen, swapped == Some(last));
        match swapped {
            Some(value) => page.check(self.number, &seen, value),
            None => Ok(()),
        }
    }

    /// Groups of pages belong to threads in turn.
    async fn protect(&self, group: usize, count: usize) -> Outcome {
        if group % self.threads != self.number {
            return Ok(());
        }
        let first = group * usize::from(GROUP);
        let pages = &self.here().common[first..first + count];
        let closes = pages[0].look(0).is(State::Open);
        let (protection, state) = match closes {
            true => (Protection::READ, State::Closed),
            false => (Protection::READ_WRITE, State::Open),
        };
        let all = |state| pages.iter().for_each(|page| page.set_state(state));
        all(State::Changing);
        let va = self.shared.common(first);
        let bytes = pages.len() as u64 * self.shared.page;
        certain(self.thread.mprotect(va, bytes, protection).await)?;
        all(state);
        Ok(())
    }

    async fn toggle(&self) -> Outcome {
        let pages = &self.here().volatile[self.number];
        let va = self.shared.volatile(self.number, 0);
        let bytes = pages.len() as u64 * self.shared.page;
        let open = pages[0].look(0).is(State::Open);
        let all = |state| pages.iter().for_each(|page| page.set_state(state));
        all(State::Changing);
        if open {
            let finished: Vec<_> = pages.iter().map(Page::finished).collect();
            pages.iter().for_each(Page::begin_reset);
            certain(self.thread.munmap(va, bytes).await)?;
            for (page, finished) in pages.iter().zip(&finished) {
                page.end_reset(finished);
            }
            all(State::Closed);
        } else {
            let map = Map::anonymous(va, bytes, Protection::READ_WRITE);
            certain(self.thread.mmap(&map).await)?;
            all(State::Open);
        }
        Ok(())
    }

    async fn dont_need(&self, page: usize, count: usize) -> Outcome {
        let pages = &self.here().volatile[self.number];
        if !pages[page].look(0).is(State::Open) {
            return Ok(());
        }
        let va = self.shared.volatile(self.number, page);
        let pages = &pages[page..(page + count).min(pages.len())];
        let bytes = pages.len() as u64 * self.shared.page;
        let finished: Vec<_> = pages.iter().map(Page::finished).collect();
        pages.iter().for_each(Page::begin_reset);
        certain(self.thread.madvise_dontneed(va, bytes).await)?;
        for (page, finished) in pages.iter().zip(&finished) {
            page.end_reset(finished);
        }
        Ok(())
    }

    async fn fork(&self, children: &UnboundedSender<Child>) -> Outcome {
        let before = child::look(self.here());
        let space = certain(self.thread.fork().await)?;
        let after = child::look(self.here());
        let child = Child::new(space, self.space, before, after);
        children.send(child).map_err(|error| error.to_string())
    }
}
