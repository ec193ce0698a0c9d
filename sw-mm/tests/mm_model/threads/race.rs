// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One race: rounds in which threads run, and what has to hold between them and at the end.

use super::child;
use super::leak::Leak;
use super::op::{COMMON, Race, SHARED, VOLATILE};
use super::task::Task;
use super::words::{Page, State};
use crate::run::Counts;
use crate::world::{Failure, World};
use std::cell::RefCell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::audit::Held;
use sw_mm::file::File;
use sw_mm::functional::{Core, Machine, RunEnd, Scheduler};
use sw_mm::kernel::Kernel;
use sw_mm::mm::{AddressSpace, Error, Map, Protection};
use sw_mm::thread::Thread;
use sw_mm::{Cpu, block_on};
use tokio::sync::mpsc::unbounded_channel;

/// Polls of tasks in one race: far more than any needs.
const MOST_STEPS: u64 = 20_000_000;

/// The pages of an address space that several threads use.
pub struct Space {
    pub space: Rc<AddressSpace>,
    pub common: Vec<Page>,
    /// By thread.
    pub volatile: Vec<Vec<Page>>,
}

/// What all threads share.
pub struct Shared {
    pub kernel: Rc<Kernel>,
    pub machine: Machine,
    pub spaces: Vec<Space>,
    pub file: Vec<Page>,
    /// Those that live on after they were looked at, oldest first.
    pub children: RefCell<Vec<child::Child>>,
    failure: RefCell<Option<String>>,
    /// Bytes of a page, and that a last-level table translates.
    pub page: u64,
    table: u64,
}

impl Shared {
    pub fn common(&self, page: usize) -> u64 {
        // Across the boundary of two last-level tables.
        8 * self.table - u64::from(COMMON / 2) * self.page + page as u64 * self.page
    }

    pub fn volatile(&self, thread: usize, page: usize) -> u64 {
        10 * self.table + (thread as u64 * 32 + page as u64) * self.page
    }

    pub fn shared(&self, page: usize) -> u64 {
        12 * self.table + page as u64 * self.page
    }

    /// One of the two places of a thread's own pages.
    pub fn own(&self, thread: usize, place: bool) -> u64 {
        let far = if place {
            2 * self.table + 8 * self.page
        } else {
            0
        };
        14 * self.table + thread as u64 * 32 * self.page + far
    }

    /// Something is wrong; what is so first is reported.
    pub fn fails(&self, what: String) {
        self.failure.borrow_mut().get_or_insert(what);
    }

    pub fn failed(&self) -> bool {
        self.failure.borrow().is_some()
    }
}

/// The race, and what has to hold at quiet points and when it is over. `wrap` makes the cores that
/// threads run on.
pub fn run<C: Cpu + 'static>(
    race: &Race,
    leak: Option<Leak>,
    wrap: impl Fn(Core) -> C,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let mut world = World::new(&race.setup, &wrap);
    let (threads, spaces) = (race.threads.len(), race.spaces());
    let shared = Rc::new(block_on(prepare(&mut world, threads, spaces))?);
    let thread = |number: usize| {
        let core = wrap(world.machine.core(number).interleaved());
        Thread::new(&world.kernel, core, number as u8)
    };
    let tasks = (0..threads)
        .map(|number| {
            let task = Task::new(&shared, thread(number), number, (threads, spaces));
            Rc::new(task)
        })
        .collect::<Vec<_>>();
    let watcher = Rc::new(thread(threads));
    let mut scheduler = Scheduler::with_policy(race.seed, race.policy());
    let longest = race.threads.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..longest.div_ceil(race.round) {
        let (children, received) = unbounded_channel();
        for (task, ops) in tasks.iter().zip(&race.threads) {
            let (task, children) = (Rc::clone(task), children.clone());
            let ops = ops.chunks(race.round).nth(round).unwrap_or_default();
            let ops = ops.to_vec();
            let name = format!("thread {}", task.number);
            scheduler.spawn_named(name, async move { task.run(&ops, &children).await });
        }
        drop(children);
        let watch = child::watch(Rc::clone(&watcher), Rc::clone(&shared), received);
        scheduler.spawn_named("children", watch);
        if let (0, Some(leak)) = (round, leak) {
            let task = Rc::clone(&tasks[0]);
            scheduler.spawn(async move { leak.happen(&task).await });
        }
        let end = scheduler.run(MOST_STEPS);
        if let Some(failure) = shared.failure.take() {
            return Err(failure.into());
        }
        if end != RunEnd::Done {
            return Err(end.to_string().into());
        }
        quiet(&mut world, &shared, &tasks, round)
            .map_err(|failure| format!("after round {round}: {failure}"))?;
    }
    finish(&mut world, &shared, &tasks)?;
    for (name, count) in world.kernel.counters.all() {
        *counts.entry(name).or_default() += count;
    }
    Ok(())
}

/// Makes the address spaces and what is mapped from the start.
async fn prepare<C: Cpu>(
    world: &mut World<C>,
    threads: usize,
    count: usize,
) -> Result<Shared, Failure> {
    let setup = &world.setup;
    let page = setup.granule.bytes();
    let pages = |name: u64, count: u8, words, state, hides| {
        let page = |number| Page::new(name + u64::from(number), words, state, hides);
        (0..count).map(page).collect::<Vec<_>>()
    };
    let mut shared = Shared {
        kernel: Rc::clone(&world.kernel),
        machine: world.machine.clone(),
        spaces: Vec::new(),
        file: pages(5000, SHARED, threads, State::Open, false),
        children: RefCell::default(),
        failure: RefCell::default(),
        page,
        table: page * setup.granule.entries(),
    };
    let file = File::new(77, u64::from(SHARED));
    for number in 0..count {
        let thread = &world.threads[0];
        let space = match number {
            0 => Rc::clone(&world.spaces[&1]),
            _ => AddressSpace::new(thread).await?,
        };
        thread.switch_to(&space).await;
        let bytes = u64::from(COMMON) * page;
        let map = Map::anonymous(shared.common(0), bytes, Protection::READ_WRITE);
        thread.mmap(&map).await?;
        let bytes = u64::from(SHARED) * page;
        let map = Map {
            shared: true,
            file: Some((Rc::clone(&file), 0)),
            ..Map::anonymous(shared.shared(0), bytes, Protection::READ_WRITE)
        };
        thread.mmap(&map).await?;
        world.spaces.insert(space.number(), Rc::clone(&space));
        let first = 1000 * number as u64;
        let volatile = |thread: usize| {
            let name = first + 100 * (thread as u64 + 1);
            pages(name, VOLATILE, threads, State::Closed, true)
        };
        shared.spaces.push(Space {
            space,
            common: pages(first, COMMON, 2 * threads, State::Open, false),
            volatile: (0..threads).map(volatile).collect(),
        });
    }
    world.files = vec![file];
    for thread in &world.threads {
        thread.leave().await;
    }
    world.running.fill(None);
    Ok(shared)
}

/// All threads stand still: everything is audited, and some of the pages are looked at.
fn quiet<C: Cpu>(
    world: &mut World<C>,
    shared: &Shared,
    tasks: &[Rc<Task<C>>],
    round: usize,
) -> Result<(), Failure> {
    let parents = shared.spaces.iter().map(|here| Rc::clone(&here.space));
    let children = shared.children.borrow();
    let children = children.iter().map(|child| Rc::clone(&child.space));
    let spaces = parents.chain(children);
    world.spaces = spaces.map(|space| (space.number(), space)).collect();
    let mut held = Held::new();
    tasks.iter().for_each(|task| task.held(&mut held));
    world.check_kernel_with(&held)?;
    // The others stay as they are, in swap or not there yet.
    let thread = &world.threads[round % world.threads.len()];
    read(thread, shared, |page| page % 3 == round % 3)
}

/// The words of pages of all hold what was stored last.
fn read<C: Cpu>(
    thread: &Thread<C>,
    shared: &Shared,
    looked_at: impl Fn(usize) -> bool,
) -> Result<(), Failure> {
    let word = |page: &Page, va: u64, writer: usize| {
        let value = block_on(thread.user_load(va + writer as u64 * 8, Double))?;
        match (value, page.last(writer)) {
            (value, last) if value == last => Ok(()),
            (value, last) => Err(format!(
                "{value:#x} at {va:#x}, word {writer}, not {last:#x}"
            )),
        }
        .map_err(Failure::from)
    };
    for here in &shared.spaces {
        block_on(thread.switch_to(&here.space));
        let common = (0..).map(|page| shared.common(page));
        let file = (0..).map(|page| shared.shared(page));
        let pages = here.common.iter().zip(common).enumerate();
        let pages = pages.chain(shared.file.iter().zip(file).enumerate());
        for (_, (page, va)) in pages.filter(|&(number, _)| looked_at(number)) {
            for writer in 0..page.writers() {
                word(page, va, writer)?;
            }
        }
        for (owner, pages) in here.volatile.iter().enumerate() {
            for (number, page) in pages.iter().enumerate() {
                if !looked_at(number) {
                    continue;
                }
                // Where nothing is mapped, one word is as good as all.
                let closed = page.look(0).is(State::Closed);
                let words = if closed { 1 } else { page.writers() };
                for writer in 0..words {
                    let seen = page.look(writer);
                    let va = shared.volatile(owner, number) + writer as u64 * 8;
                    let value = match block_on(thread.user_load(va, Double)) {
                        Ok(value) => Some(value),
                        Err(Error::Signal { .. }) => None,
                        Err(error) => return Err(error.into()),
                    };
                    page.judge(&seen, false, value.is_some())?;
                    value.map_or(Ok(()), |value| page.check(writer, &seen, value))?;
                }
            }
        }
    }
    block_on(thread.leave());
    Ok(())
}

/// Every word holds what was stored last, and nothing is left when all is taken down.
fn finish<C: Cpu>(
    world: &mut World<C>,
    shared: &Shared,
    tasks: &[Rc<Task<C>>],
) -> Result<(), Failure> {
    let thread = &world.threads[0];
    read(thread, shared, |_| true)?;
    for task in tasks {
        block_on(thread.switch_to(&task.here().space));
        block_on(async { task.own.lock().await.check(thread, shared).await })?;
        while !task.pins.borrow().is_empty() {
            task.unpin(0)?;
        }
    }
    while !shared.children.borrow().is_empty() {
        block_on(child::end_oldest(thread, shared))?;
    }
    block_on(thread.leave());
    let spaces = shared.spaces.iter().map(|here| Rc::clone(&here.space));
    world.spaces = spaces.map(|space| (space.number(), space)).collect();
    world.check_kernel()?;
    world.shut_down()?;
    world.check_idle()
}
