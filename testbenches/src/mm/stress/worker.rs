// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One thread of the load: what it does next, and its user accesses.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use cosim::dut::ports::CoreRequest;
use cosim::regress::Failure;
use cosim::sim::CoreHandle;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use sw_mm::AccessSize::Double;
use sw_mm::mm::{AddressSpace, Error, Protection, Signal};
use sw_mm::thread::Thread;
use vmsa::El;

use super::layout::{Value, WORDS};
use super::log::{Change, Ended};
use super::world::World;
use crate::mm::access::fault_of;

/// Cycles after which a thread without an address space looks for one again.
const POLL: u64 = 200;

/// What an access needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Read,
    Write,
    Execute,
}

impl Need {
    fn met_by(self, protection: Protection) -> bool {
        match self {
            Self::Read => protection.any(),
            Self::Write => protection.write,
            Self::Execute => protection.execute,
        }
    }
}

/// A word of an address space.
#[derive(Debug, Clone, Copy)]
struct Word {
    space: u32,
    page: usize,
    word: usize,
    va: u64,
}

impl Word {
    fn place(&self) -> (u32, usize, usize) {
        (self.space, self.page, self.word)
    }
}

/// An access of a burst: what was asked for, when, and the store that it is.
struct Asked {
    word: Word,
    request: CoreRequest,
    store: Option<Change>,
}

/// A thread of the load on its core.
pub struct Worker {
    pub(super) world: Rc<World>,
    pub(super) thread: Rc<Thread<CoreHandle>>,
    pub(super) number: usize,
    pub(super) rng: RefCell<Pcg64Mcg>,
    /// Stores so far.
    stores: Cell<u32>,
    /// Memory was short when it was last asked for.
    pub(super) short: Cell<bool>,
}

impl Worker {
    /// The thread on core `number`.
    #[must_use]
    pub fn new(world: &Rc<World>, number: usize, rng: Pcg64Mcg) -> Self {
        Self {
            thread: Rc::clone(&world.os.threads[number]),
            world: Rc::clone(world),
            number,
            rng: RefCell::new(rng),
            stores: Cell::new(0),
            short: Cell::new(false),
        }
    }

    /// Works until the load is over, then exits from every address space that waits.
    pub async fn run(&self) {
        if let Err(failure) = self.work().await {
            self.world.fail(failure);
        }
    }

    async fn work(&self) -> Result<(), Failure> {
        let world = &self.world;
        while !world.over() {
            match self.thread.space() {
                None => self.find_space().await?,
                Some(space) => self.next(&space).await?,
            }
        }
        if world.failure().is_some() {
            return Ok(());
        }
        world.exit(&self.thread).await?;
        while let Some(space) = world.take(0) {
            self.thread.switch_to(&space).await;
            world.exit(&self.thread).await?;
        }
        Ok(())
    }

    async fn find_space(&self) -> Result<(), Failure> {
        let place = self.draw(0..64);
        if let Some(space) = self.world.take(place) {
            self.thread.switch_to(&space).await;
        } else if self.world.spaces() < 2 {
            self.world.create(&self.thread).await?;
        } else {
            self.world.os.handle.sleep(POLL).await;
        }
        Ok(())
    }

    /// A number of `range`.
    pub(super) fn draw(&self, range: Range<usize>) -> usize {
        self.rng.borrow_mut().random_range(range)
    }

    async fn next(&self, space: &Rc<AddressSpace>) -> Result<(), Failure> {
        match self.draw(0..100) {
            0..40 => self.access(space).await,
            40..58 => self.burst(space).await,
            _ => self.call(space).await,
        }
    }

    fn word(&self, space: &AddressSpace, own: bool) -> Word {
        let layout = &self.world.layout;
        let page = self.page();
        let word = match own {
            true => self.number * WORDS + self.draw(0..WORDS),
            false => self.draw(0..layout.words()),
        };
        Word {
            space: space.number(),
            page,
            word,
            va: layout.va(page, word),
        }
    }

    /// A page of a region, each region as often as any other.
    fn page(&self) -> usize {
        let regions = self.world.layout.regions();
        let region = &regions[self.draw(0..regions.len())];
        region.first + self.draw(0..region.pages)
    }

    fn value(&self, word: &Word) -> u64 {
        self.stores.set(self.stores.get() + 1);
        Value::stored(word.space, word.page, word.word, self.stores.get())
    }

    /// Something is asked for: since when.
    pub(super) fn asks(&self) -> u64 {
        let now = self.world.now();
        self.world.shadow.borrow_mut().asks(self.number, now);
        now
    }

    /// It was answered.
    pub(super) fn answered(&self) {
        self.world.shadow.borrow_mut().answered(self.number);
    }

    async fn access(&self, space: &AddressSpace) -> Result<(), Failure> {
        match self.draw(0..20) {
            0..10 => self.load(self.word(space, false)).await,
            10..12 => self.fetch(self.word(space, false)).await,
            12..18 => self.store(self.word(space, true)).await,
            _ => self.swap(self.word(space, true)).await,
        }
    }

    async fn load(&self, word: Word) -> Result<(), Failure> {
        let from = self.asks();
        let loaded = self.thread.user_load(word.va, Double).await;
        self.judge_load(
            &word,
            loaded.map(|value| (value, u64::MAX)),
            Need::Read,
            from,
        )?;
        self.answered();
        self.world.count("loads");
        Ok(())
    }

    async fn fetch(&self, word: Word) -> Result<(), Failure> {
        let from = self.asks();
        let fetched = self.thread.user_fetch(word.va).await;
        let low = fetched.map(|value| (u64::from(value), u64::from(u32::MAX)));
        self.judge_load(&word, low, Need::Execute, from)?;
        self.answered();
        self.world.count("fetches");
        Ok(())
    }

    fn judge_load(
        &self,
        word: &Word,
        loaded: Result<(u64, u64), Error>,
        need: Need,
        from: u64,
    ) -> Result<(), Failure> {
        if !self.permitted(word, loaded.as_ref().err(), need, from)? {
            return Ok(());
        }
        let (Ok((value, mask)), to) = (loaded, self.world.now()) else {
            return Ok(());
        };
        let mut shadow = self.world.shadow.borrow_mut();
        let fits = shadow.loaded(word.place(), (value, mask), (from, to));
        fits.map_err(|possible| {
            Failure::expectation(format!(
                "core {} loaded from mm{} page {} word {} at {:#x}, asked for at {from}: {}; \
                 possible was {possible}",
                self.number,
                word.space,
                word.page,
                word.word,
                word.va,
                Value::text(value),
            ))
        })
    }

    /// Whether an access that ended so was one; fails if it could not end so.
    fn permitted(
        &self,
        word: &Word,
        error: Option<&Error>,
        need: Need,
        from: u64,
    ) -> Result<bool, Failure> {
        let span = (from, self.world.now());
        let permits = |area: Option<Protection>| area.is_some_and(|area| need.met_by(area));
        let shadow = self.world.shadow.borrow();
        let (done, fits) = match error {
            None => (true, shadow.may_be(word.space, word.page, span, permits)),
            Some(Error::Signal {
                signal: Signal::Segv,
                ..
            }) => {
                let refused = shadow.may_be(word.space, word.page, span, |area| !permits(area));
                (false, refused)
            }
            Some(Error::OutOfMemory) => {
                self.world.count("out of memory");
                self.short.set(true);
                (false, true)
            }
            Some(_) => (false, false),
        };
        let what = || {
            let came = error.map_or_else(|| "done".to_owned(), ToString::to_string);
            let Word {
                space, page, va, ..
            } = word;
            format!(
                "core {} asked at {from} to {need:?} mm{space} page {page} at {va:#x}: {came}",
                self.number
            )
        };
        if !fits {
            return Err(Failure::expectation(what()));
        }
        Ok(done)
    }

    async fn store(&self, word: Word) -> Result<(), Failure> {
        let value = self.value(&word);
        let from = self.asks();
        let change = self
            .world
            .shadow
            .borrow_mut()
            .stores(word.place(), value, from);
        let stored = self.thread.user_store(word.va, Double, value).await;
        self.judge_store(&word, change, stored.err(), from)?;
        self.answered();
        self.world.count("stores");
        Ok(())
    }

    fn judge_store(
        &self,
        word: &Word,
        change: Option<Change>,
        error: Option<Error>,
        from: u64,
    ) -> Result<(), Failure> {
        let done = self.permitted(word, error.as_ref(), Need::Write, from)?;
        let ended = if done { Ended::Done } else { Ended::Refused };
        let now = self.world.now();
        let mut shadow = self.world.shadow.borrow_mut();
        shadow.stored(word.place(), change, ended, now);
        Ok(())
    }

    /// Compares with what the word held a moment ago.
    async fn swap(&self, word: Word) -> Result<(), Failure> {
        let load = self.thread.user_load(word.va, Double).await;
        let expected = load.unwrap_or_default();
        let value = self.value(&word);
        let from = self.asks();
        let change = self
            .world
            .shadow
            .borrow_mut()
            .stores(word.place(), value, from);
        let swapped = self
            .thread
            .user_compare_and_swap(word.va, expected, value)
            .await;
        let done = self.permitted(&word, swapped.as_ref().err(), Need::Write, from)?;
        let seen = swapped.as_ref().ok().filter(|_| done).copied();
        let hit = seen == Some(expected);
        if let Some(seen) = seen {
            self.judge_load(&word, Ok((seen, u64::MAX)), Need::Read, from)?;
        }
        let ended = if hit { Ended::Done } else { Ended::Refused };
        {
            let now = self.world.now();
            let mut shadow = self.world.shadow.borrow_mut();
            shadow.stored(word.place(), change, ended, now);
        }
        self.answered();
        self.world.count("swaps");
        Ok(())
    }

    /// Several accesses at once, to different words. Those that fault are made again one by one.
    async fn burst(&self, space: &AddressSpace) -> Result<(), Failure> {
        let count = self.draw(2..9);
        let mut asked: Vec<Asked> = Vec::new();
        let from = self.asks();
        for _ in 0..count {
            let store = self.draw(0..2) == 0;
            let word = self.word(space, store);
            if asked.iter().any(|other| other.word.va == word.va) {
                continue;
            }
            asked.push(if store {
                let value = self.value(&word);
                let mut shadow = self.world.shadow.borrow_mut();
                Asked {
                    store: shadow.stores(word.place(), value, from),
                    request: CoreRequest::store(word.va, 3, El::El0, value),
                    word,
                }
            } else {
                Asked {
                    request: CoreRequest::load(word.va, 3, El::El0),
                    store: None,
                    word,
                }
            });
        }
        let cpu = &self.thread.cpu;
        let pending: Vec<_> = asked.iter().map(|one| cpu.issue(one.request)).collect();
        let mut faulted = Vec::new();
        for (one, answer) in asked.into_iter().zip(pending) {
            let response = answer.await;
            if fault_of(&one.request, &response).is_some() {
                faulted.push(one);
            } else if one.store.is_some() {
                self.judge_store(&one.word, one.store, None, from)?;
            } else {
                self.judge_load(&one.word, Ok((response.data, u64::MAX)), Need::Read, from)?;
            }
        }
        for one in faulted {
            let (va, data) = (one.word.va, one.request.data);
            if one.store.is_some() {
                let stored = self.thread.user_store(va, Double, data).await;
                self.judge_store(&one.word, one.store, stored.err(), from)?;
            } else {
                let loaded = self.thread.user_load(va, Double).await;
                let whole = loaded.map(|value| (value, u64::MAX));
                self.judge_load(&one.word, whole, Need::Read, from)?;
            }
        }
        self.answered();
        self.world.count("bursts");
        Ok(())
    }
}
