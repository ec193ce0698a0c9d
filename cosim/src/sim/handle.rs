// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a task holds of its simulation: time, cores, memory behind the hardware's back, new tasks.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use sw_mm::{OsEvent, Witness};

use super::core::{CoreAgent, CoreHandle};
use super::event::{BACKDOOR, Event, EventKind};
use super::executor::NewTask;
use super::memory::{ErrorOn, Memory};
use super::seed::Seed;
use super::time::{Clock, HasClock, Until};
use crate::check::Expectation;
use crate::dut::memory::MemoryConfig;
use crate::dut::node_counter::NodeCounter;
use crate::dut::ports::{COUNTERS, CommitKind, Counter, Info};
use crate::dut::{Counts, Dut, NodeCounts};

/// State that tasks and the simulation loop share.
pub(crate) struct Shared {
    clock: Clock,
    /// Borrowed for the length of a call only, never while a task or a monitor runs.
    pub(crate) dut: RefCell<Box<dyn Dut>>,
    info: Info,
    pub(crate) memory_system: MemoryConfig,
    pub(crate) cores: Vec<RefCell<CoreAgent>>,
    pub(crate) memory: RefCell<Memory>,
    /// Events that tasks made, until the loop hands them to the monitors.
    pub(crate) pending: RefCell<Vec<Event>>,
    /// Tasks that tasks spawned, until the executor adopts them.
    pub(crate) spawned: RefCell<Vec<NewTask>>,
    /// Violations that tasks declared, until the loop hands them to the listeners.
    pub(crate) declared: RefCell<Vec<Expectation>>,
    /// Whether somebody listens to events, so that a back-door write must tell of itself.
    pub(crate) observed: Cell<bool>,
    seed: Seed,
}

impl Shared {
    pub(crate) fn new(
        dut: Box<dyn Dut>,
        info: Info,
        memory_system: MemoryConfig,
        seed: Seed,
    ) -> Self {
        Self {
            clock: Clock::default(),
            dut: RefCell::new(dut),
            info,
            memory_system,
            cores: (0..info.cores).map(|_| RefCell::default()).collect(),
            memory: RefCell::default(),
            pending: RefCell::default(),
            spawned: RefCell::default(),
            declared: RefCell::default(),
            observed: Cell::new(false),
            seed,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }
}

impl HasClock for Shared {
    fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// A simulation, as its tasks use it. Clones are the same simulation.
#[derive(Clone)]
pub struct SimHandle {
    pub(crate) shared: Rc<Shared>,
}

impl SimHandle {
    /// The current cycle: the last one whose outputs tasks have seen.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.shared.now()
    }

    /// Waits `cycles` cycles.
    pub async fn sleep(&self, cycles: u64) {
        self.sleep_until(self.now().saturating_add(cycles)).await;
    }

    /// Waits until `cycle`; returns at once if it has come.
    pub async fn sleep_until(&self, cycle: u64) {
        Until::new(Rc::clone(&self.shared), cycle).await;
    }

    /// Number of cores.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.shared.cores.len()
    }

    /// What the hardware reports about itself.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// Value of `counter` of core `core` at the current cycle; 0 if there is no such core. No time
    /// passes, and nothing depends on whether or when it is read (PMU-08).
    #[must_use]
    pub fn counter(&self, core: usize, counter: Counter) -> u64 {
        if core >= self.cores() {
            return 0;
        }
        let mut dut = self.shared.dut.borrow_mut();
        dut.counter(core, counter.index())
    }

    /// Every counter of core `core` at the current cycle, as [`SimHandle::counter`].
    #[must_use]
    pub fn counters(&self, core: usize) -> Counts {
        let mut counts = Counts::default();
        for counter in COUNTERS {
            counts.set(counter, self.counter(core, counter));
        }
        counts
    }

    /// Core `index`, or `None` if there is none of that number.
    #[must_use]
    pub fn core(&self, index: usize) -> Option<CoreHandle> {
        (index < self.cores()).then(|| CoreHandle::new(Rc::clone(&self.shared), index))
    }

    /// The seed of the run, root of every stream of randomness.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.shared.seed
    }

    /// Spawns a task; the run goes on until it is done. It is first polled in this cycle.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        self.spawn_task(future, true)
    }

    /// Spawns a task that the run does not wait for.
    pub fn spawn_daemon<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        self.spawn_task(future, false)
    }

    fn spawn_task<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        foreground: bool,
    ) -> JoinHandle<T> {
        let result = Rc::new(RefCell::new(Joined {
            output: None,
            waker: None,
        }));
        let outcome = Rc::clone(&result);
        let future = Box::pin(async move {
            let output = future.await;
            let waker = {
                let mut joined = outcome.borrow_mut();
                joined.output = Some(output);
                joined.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        self.shared
            .spawned
            .borrow_mut()
            .push(NewTask { future, foreground });
        JoinHandle { joined: result }
    }

    /// Links, address map and timing of the memory system.
    #[must_use]
    pub fn memory_system(&self) -> &MemoryConfig {
        &self.shared.memory_system
    }

    /// The node whose memory holds physical address `address`, if any does.
    #[must_use]
    pub fn home(&self, address: u64) -> Option<u8> {
        self.shared.memory_system.map.home(address)
    }

    /// Value of the event counter `index` of `node`; 0 if there is no such node. No time passes, as
    /// with [`SimHandle::counter`].
    #[must_use]
    pub fn node_counter(&self, node: u8, index: u8) -> u64 {
        if node >= self.info().nodes {
            return 0;
        }
        let mut dut = self.shared.dut.borrow_mut();
        dut.node_counter(usize::from(node), index)
    }

    /// Every counter of `node` at the current cycle, as [`SimHandle::node_counter`].
    #[must_use]
    pub fn node_counters(&self, node: u8) -> NodeCounts {
        let mut counts = NodeCounts::default();
        for counter in NodeCounter::of(self.info()) {
            counts.set(counter, self.node_counter(node, counter.index()));
        }
        counts
    }

    /// The 8-byte word that holds physical address `address`, as every observer sees it now. While
    /// nobody listens to events that is DRAM, and a write still on its way is not in it.
    #[must_use]
    pub fn peek(&self, address: u64) -> u64 {
        self.shared.memory.borrow().coherent(address)
    }

    /// Sets the 8-byte word that holds physical address `address`, behind the hardware's back.
    /// Monitors see a commit. Before the first cycle it is initial content, and no event.
    pub fn poke(&self, address: u64, value: u64) {
        let mut memory = self.shared.memory.borrow_mut();
        let before = memory.coherent(address);
        memory.write_u64(address, value);
        if self.shared.observed.get() {
            self.shared.pending.borrow_mut().push(Event {
                cycle: self.now(),
                kind: EventKind::Commit {
                    node: self.home(address).unwrap_or(u8::MAX),
                    source: BACKDOOR,
                    kind: CommitKind::Backdoor,
                    address: address & !7,
                    strobe: 0xff,
                    data: value,
                    before,
                    after: value,
                },
            });
        }
    }

    /// From this cycle on, violations that fit `expectation` fail no run; if they do not come as often
    /// as declared, the run fails.
    pub fn expect_violation(&self, expectation: Expectation) {
        self.shared.declared.borrow_mut().push(expectation);
    }

    /// Makes the 8-byte word that holds `address` answer DRAM requests with an error, `times` times
    /// or, with `None`, until cleared.
    pub fn mark_error(&self, address: u64, on: ErrorOn, times: Option<u32>) {
        self.shared
            .memory
            .borrow_mut()
            .mark_error(address, on, times);
        self.tell_mark(address, Some((on, times)));
    }

    /// Removes the error mark of the word that holds `address`.
    pub fn clear_error(&self, address: u64) {
        self.shared.memory.borrow_mut().clear_error(address);
        self.tell_mark(address, None);
    }

    fn tell_mark(&self, address: u64, mark: Option<(ErrorOn, Option<u32>)>) {
        if self.shared.observed.get() {
            let address = address & !7;
            self.shared.pending.borrow_mut().push(Event {
                cycle: self.now(),
                kind: EventKind::ErrorMark { address, mark },
            });
        }
    }

    /// Tells the listeners what the kernel did, now. Nothing happens while nobody listens.
    pub fn os_event(&self, event: OsEvent) {
        if self.shared.observed.get() {
            self.shared.pending.borrow_mut().push(Event {
                cycle: self.now(),
                kind: EventKind::Os(event),
            });
        }
    }

    /// DRAM requests answered with an error so far.
    #[must_use]
    pub fn errors_given(&self) -> u64 {
        self.shared.memory.borrow().errors_given()
    }
}

impl Witness for SimHandle {
    fn os(&self, event: &OsEvent) {
        self.os_event(*event);
    }
}

struct Joined<T> {
    output: Option<T>,
    waker: Option<Waker>,
}

/// The result of a task: await it inside the simulation, or take it after the run.
pub struct JoinHandle<T> {
    joined: Rc<RefCell<Joined<T>>>,
}

impl<T> JoinHandle<T> {
    /// Takes the result, if the task is done and nobody took it before.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.joined.borrow_mut().output.take()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut joined = self.joined.borrow_mut();
        match joined.output.take() {
            Some(output) => Poll::Ready(output),
            None => {
                joined.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
