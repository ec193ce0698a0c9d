// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A deterministic scheduler: which of the ready tasks runs next is drawn from a seed (section 15 of
//! the substrate contract).
//!
//! A task gives way where it awaits something that is not there yet: a lock, a
//! [`JoinHandle`], [`yield_now`], or an instruction of a core made by
//! [`Core::interleaved`](super::Core::interleaved). Nothing else decides the order, no clock, no
//! address, no hash; so a seed is all that is needed to see a run again. Tasks get real wakers: any
//! primitive works that wakes who waits, and a task that nobody wakes is reported by name instead of
//! hanging the test (G10).

mod join;
mod ready;
mod report;

pub use crate::give_way::{YieldNow, yield_now};
pub use join::JoinHandle;
pub use report::{RunEnd, TaskId, Waiting};

use rand::{RngCore, SeedableRng};
use rand_pcg::Pcg32;
use ready::ReadySet;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

/// How the next task is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Any ready task, each as likely: tasks advance side by side.
    #[default]
    Uniform,
    /// The task that ran last goes on while it is ready, except once in so many steps, when any
    /// ready task is drawn.
    Bursts(NonZeroU32),
    /// The ready task of the highest priority. A task gets a random priority when it is spawned, and
    /// once in so many steps the one that runs falls below all others: few changes at random places,
    /// which finds an interleaving that needs one task to stand still while another runs far.
    Priorities(NonZeroU32),
}

type BoxedTask = Pin<Box<dyn Future<Output = ()>>>;

struct NewTask {
    id: TaskId,
    name: Rc<str>,
    future: BoxedTask,
}

/// What handles share with the scheduler.
#[derive(Default)]
struct Shared {
    spawned: RefCell<Vec<NewTask>>,
    next: Cell<u64>,
    closed: Cell<bool>,
}

/// Spawns tasks, also from inside tasks. Clones spawn into the same scheduler.
#[derive(Clone)]
pub struct Spawner(Rc<Shared>);

impl Spawner {
    /// Adds a task without a name, ready to run.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        self.spawn_named("", future)
    }

    /// Adds a task, ready to run, whose name reports show.
    pub fn spawn_named<T: 'static>(
        &self,
        name: impl Into<Rc<str>>,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        let id = TaskId(self.0.next.replace(self.0.next.get() + 1));
        let (handle, result) = join::pair(id);
        // After the end of the scheduler nothing runs any more, and nothing may be kept alive.
        if !self.0.closed.get() {
            let task = NewTask {
                id,
                name: name.into(),
                future: Box::pin(async move { result.put(future.await) }),
            };
            self.0.spawned.borrow_mut().push(task);
        }
        handle
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}

struct Task {
    id: TaskId,
    name: Rc<str>,
    future: BoxedTask,
    waker: Waker,
    priority: i64,
}

/// Runs tasks, one at a time, in an order that the seed decides.
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use sw_mm::functional::{RunEnd, Scheduler, yield_now};
///
/// let order = |seed| {
///     let log = Rc::new(RefCell::new(String::new()));
///     let mut scheduler = Scheduler::new(seed);
///     for name in ['a', 'b'] {
///         let log = log.clone();
///         scheduler.spawn(async move {
///             for _ in 0..4 {
///                 log.borrow_mut().push(name);
///                 yield_now().await;
///             }
///         });
///     }
///     assert_eq!(scheduler.run(100), RunEnd::Done);
///     log.take()
/// };
/// assert_eq!(order(1), order(1));
/// assert!((2..9).any(|seed| order(seed) != order(1)));
/// ```
pub struct Scheduler {
    shared: Rc<Shared>,
    /// By place; places of done tasks are used again.
    tasks: Vec<Option<Task>>,
    free: Vec<usize>,
    ready: ReadySet,
    live: usize,
    policy: Policy,
    rng: Pcg32,
    last: usize,
    /// The lowest priority in use.
    floor: i64,
    steps: u64,
    digest: u64,
}

impl Scheduler {
    /// A scheduler without tasks that draws uniformly.
    pub fn new(seed: u64) -> Self {
        Self::with_policy(seed, Policy::Uniform)
    }

    /// A scheduler without tasks.
    pub fn with_policy(seed: u64, policy: Policy) -> Self {
        Self {
            shared: Rc::default(),
            tasks: Vec::new(),
            free: Vec::new(),
            ready: ReadySet::default(),
            live: 0,
            policy,
            rng: Pcg32::seed_from_u64(seed),
            last: 0,
            floor: 0,
            steps: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// What tasks spawn tasks with.
    pub fn spawner(&self) -> Spawner {
        Spawner(Rc::clone(&self.shared))
    }

    /// As [`Spawner::spawn`].
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        self.spawner().spawn(future)
    }

    /// As [`Spawner::spawn_named`].
    pub fn spawn_named<T: 'static>(
        &self,
        name: impl Into<Rc<str>>,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        self.spawner().spawn_named(name, future)
    }

    /// Polls one ready task after the other until all are done, none is ready, or `max_steps` polls
    /// were made. It may be called again: what was spawned, woken or left over meanwhile goes on.
    pub fn run(&mut self, max_steps: u64) -> RunEnd {
        self.adopt();
        for _ in 0..max_steps {
            if self.live == 0 {
                return RunEnd::Done;
            }
            let Some(place) = self.choose() else {
                return RunEnd::Stuck(self.unfinished());
            };
            self.poll(place);
            self.adopt();
        }
        if self.live == 0 {
            RunEnd::Done
        } else if self.ready.count() == 0 {
            RunEnd::Stuck(self.unfinished())
        } else {
            RunEnd::StepLimit
        }
    }

    /// Polls made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A number that stands for the order of all polls so far: equal for equal interleavings.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The tasks that are not done, in the order of spawning.
    pub fn unfinished(&self) -> Vec<Waiting> {
        let mut waiting: Vec<_> = self
            .tasks
            .iter()
            .flatten()
            .map(|task| Waiting {
                id: task.id,
                name: Rc::clone(&task.name),
            })
            .collect();
        waiting.sort_by_key(|task| task.id);
        waiting
    }

    /// Gives every task spawned meanwhile a place.
    fn adopt(&mut self) {
        if self.shared.spawned.borrow().is_empty() {
            return;
        }
        for new in self.shared.spawned.take() {
            let place = self.free.pop().unwrap_or_else(|| {
                self.tasks.push(None);
                self.tasks.len() - 1
            });
            let priority = match self.policy {
                Policy::Priorities(_) => i64::from(self.rng.next_u32()),
                Policy::Uniform | Policy::Bursts(_) => 0,
            };
            self.tasks[place] = Some(Task {
                id: new.id,
                name: new.name,
                future: new.future,
                waker: self.ready.occupy(place),
                priority,
            });
            self.live += 1;
        }
    }

    fn choose(&mut self) -> Option<usize> {
        let count = self.ready.count();
        if count == 0 {
            return None;
        }
        let mut once_in = |steps: NonZeroU32| below(&mut self.rng, steps.get()) == 0;
        let place = match self.policy {
            Policy::Bursts(steps) if !once_in(steps) && self.ready.contains(self.last) => self.last,
            Policy::Priorities(steps) => {
                let falls = once_in(steps);
                let priority = |&place: &usize| self.tasks[place].as_ref().map(|t| t.priority);
                let place = self.ready.iter().max_by_key(priority)?;
                if falls && let Some(task) = &mut self.tasks[place] {
                    self.floor -= 1;
                    task.priority = self.floor;
                }
                place
            }
            Policy::Uniform | Policy::Bursts(_) => {
                let chosen = match count {
                    1 => 0,
                    _ => below(&mut self.rng, count),
                };
                self.ready.nth(chosen)?
            }
        };
        self.last = place;
        Some(place)
    }

    fn poll(&mut self, place: usize) {
        self.ready.take(place);
        let Some(task) = &mut self.tasks[place] else {
            return;
        };
        self.steps += 1;
        // FNV-1a.
        self.digest = (self.digest ^ task.id.0).wrapping_mul(0x0100_0000_01b3);
        let mut context = Context::from_waker(&task.waker);
        if task.future.as_mut().poll(&mut context).is_ready() {
            self.tasks[place] = None;
            self.ready.vacate(place);
            self.free.push(place);
            self.live -= 1;
        }
    }
}

/// A number below `bound`. Even to one part in 2^32 / `bound`, and cheaper than an exact draw, of which
/// there would be one for every instruction.
fn below(rng: &mut Pcg32, bound: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(bound)) >> 32) as u32
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("policy", &self.policy)
            .field("steps", &self.steps)
            .field("unfinished", &self.unfinished())
            .finish_non_exhaustive()
    }
}

impl Drop for Scheduler {
    /// Tasks hold spawners, and those what was spawned: the circle is cut here.
    fn drop(&mut self) {
        self.shared.closed.set(true);
        self.shared.spawned.take();
    }
}
