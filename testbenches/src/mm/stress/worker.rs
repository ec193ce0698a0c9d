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
use sw_mm::mm::AddressSpace;
use sw_mm::thread::Thread;
use vmsa::El;

use super::judge::{Need, Word};
use super::layout::{Value, WORDS};
use super::log::{Change, Ended};
use super::world::World;
use crate::mm::access::fault_of;

/// Cycles after which a thread without an address space looks for one again.
const POLL: u64 = 200;

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

    /// A word of a page that lies anywhere; `own`: one that this thread writes.
    pub(super) fn word(&self, space: &AddressSpace, own: bool) -> Word {
        self.word_of(space.number(), self.page(), own)
    }

    /// A word of a page of an address space.
    pub(super) fn word_of(&self, space: u32, page: usize, own: bool) -> Word {
        let layout = &self.world.layout;
        let word = match own {
            true => self.number * WORDS + self.draw(0..WORDS),
            false => self.draw(0..layout.words()),
        };
        Word {
            space,
            page,
            word,
            va: layout.va(page, word),
        }
    }

    /// A page: often the one that all are about at the moment, or the next, so that they meet there.
    fn page(&self) -> usize {
        let hot = self.world.hot.get();
        match self.draw(0..32) {
            0 => self.world.hot.set(self.any_page()),
            1..16 => return hot,
            16..20 => return (hot + 1) % self.world.layout.pages(),
            _ => {}
        }
        self.any_page()
    }

    /// A page of a region, each region as often as any other.
    fn any_page(&self) -> usize {
        let regions = self.world.layout.regions();
        let region = &regions[self.draw(0..regions.len())];
        region.first + self.draw(0..region.pages)
    }

    /// What this thread stores next.
    pub(super) fn value(&self, word: &Word) -> u64 {
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
