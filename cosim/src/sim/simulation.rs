// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The simulation: hardware, tasks and listeners, run together for a number of cycles.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::activities::Activities;
use super::config::{Figures, RunEnd, SimConfig, SimError};
use super::core::CoreHandle;
use super::crossing::Crossing;
use super::event::{Event, EventKind, Monitor};
use super::executor::Executor;
use super::handle::{JoinHandle, Shared, SimHandle};
use super::seed::Seed;
use super::sinks::{FlightRecorder, Sinks};
use super::time::HasClock;
use super::trace::TraceControl;
use super::watchdog::Watchdog;
use crate::check::{Violation, Violations};
use crate::dut::memory::{AddressMap, MemoryConfig};
use crate::dut::ports::Info;
use crate::dut::{self, Counts, Dut, NodeCounts, configs};

/// One simulation.
pub struct Simulation {
    config: SimConfig,
    handle: SimHandle,
    executor: Executor,
    crossing: Crossing,
    sinks: Sinks,
    activities: Activities,
    /// What the OS was in when the first requirement broke.
    activities_then: Option<Activities>,
    watchdog: Watchdog,
    trace: Option<TraceControl>,
    interrupt: Option<Arc<AtomicBool>>,
    started: bool,
    finished: bool,
    counts: Vec<Counts>,
    node_counts: Vec<NodeCounts>,
}

impl Simulation {
    /// A simulation of the Verilated hardware that `config` names.
    ///
    /// # Errors
    /// [`SimError::Dut`] if there is no such configuration or plant, a strap is out of range, or the
    /// hardware speaks another version of the socket.
    pub fn new(config: SimConfig) -> Result<Self, SimError> {
        let power_on = Seed::new(config.seed).child("power-on").value();
        let known = configs().iter().find(|known| known.name == config.config);
        // An unknown name is the bridge's to refuse: it knows them all.
        let memory = known.map_or_else(MemoryConfig::default, |known| {
            let info = Info::of_config(known);
            config.memory_system.resolve(&info, config.seed)
        });
        let dut = dut::open(
            &config.config,
            &config.straps,
            &memory,
            config.plant,
            power_on,
        )?;
        Self::with_dut(Box::new(dut), config)
    }

    /// A simulation of `dut`, which shall be fresh out of reset, with the memory system of `config`.
    ///
    /// # Errors
    /// [`SimError::Dut`] if the hardware speaks another version of the socket.
    pub fn with_dut(mut dut: Box<dyn Dut>, config: SimConfig) -> Result<Self, SimError> {
        let info = Info::decode(&dut.info())?;
        dut.set_assertions(config.checks);
        let seed = Seed::new(config.seed);
        let reset_at = dut.cycle();
        let memory_system = config.memory_system.resolve(&info, config.seed);
        let shared = Rc::new(Shared::new(dut, info, memory_system, seed));
        shared.clock().advance(reset_at);
        let mut timing = config.memory;
        if shared.memory_system.nodes.iter().any(Option::is_some) {
            timing.latency = 1;
        }
        let crossing = Crossing::new(&info, timing, seed.child("dram").rng());
        Ok(Self {
            handle: SimHandle { shared },
            executor: Executor::default(),
            crossing,
            sinks: Sinks::new(config.flight_recorder),
            activities: Activities::default(),
            activities_then: None,
            watchdog: Watchdog::new(config.watchdog),
            trace: config.trace.clone().map(TraceControl::new),
            interrupt: None,
            started: false,
            finished: false,
            counts: Vec::new(),
            node_counts: Vec::new(),
            config,
        })
    }

    /// What the hardware reports about itself.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.handle.info()
    }

    /// Links, address map and timing of the memory system.
    #[must_use]
    pub fn memory_system(&self) -> &MemoryConfig {
        &self.handle.shared.memory_system
    }

    /// Which node is home to which address.
    #[must_use]
    pub fn address_map(&self) -> &AddressMap {
        &self.handle.shared.memory_system.map
    }

    /// What the simulation was made with.
    #[must_use]
    pub fn config(&self) -> &SimConfig {
        &self.config
    }

    /// The handle that tasks use.
    #[must_use]
    pub fn handle(&self) -> SimHandle {
        self.handle.clone()
    }

    /// Core `index`, or `None` if there is none of that number.
    #[must_use]
    pub fn core(&self, index: usize) -> Option<CoreHandle> {
        self.handle.core(index)
    }

    /// Spawns a task; runs go on until it is done.
    pub fn spawn<T: 'static>(
        &mut self,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(future)
    }

    /// Copies `bytes` to physical address `address`. Before the first cycle this is the initial
    /// content of memory; later use [`SimHandle::poke`], of which monitors learn.
    pub fn load_memory(&mut self, address: u64, bytes: &[u8]) {
        self.handle
            .shared
            .memory
            .borrow_mut()
            .write_bytes(address, bytes);
    }

    /// Adds a listener to the event stream, behind those already there.
    pub fn add_monitor(&mut self, monitor: impl Monitor + 'static) {
        self.sinks.add_monitor(Box::new(monitor));
    }

    /// Names of the listeners, in the order in which they were added.
    pub fn monitors(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.sinks.monitors()
    }

    /// Writes the event log, one line an event, to `out`.
    pub fn set_event_log(&mut self, out: impl io::Write + 'static) {
        self.sinks.set_log(Box::new(out));
    }

    /// Runs end soon after `flag` is set.
    pub fn set_interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = Some(flag);
    }

    /// Runs for at most `max_cycles` more cycles. May be called again to go on.
    ///
    /// # Errors
    /// [`SimError`] if the waveform or the event log cannot be written.
    pub fn run(&mut self, max_cycles: u64) -> Result<RunEnd, SimError> {
        self.listen();
        let limit = self.now().saturating_add(max_cycles);
        loop {
            self.poll_tasks();
            if let Some(end) = self.end(limit) {
                self.sinks.flush()?;
                return Ok(end);
            }
            let mut until = limit.min(self.watchdog.boundary());
            if let Some(trace) = &mut self.trace {
                let mut dut = self.handle.shared.dut.borrow_mut();
                trace.update(self.handle.now(), dut.as_mut())?;
                until = until.min(trace.boundary().unwrap_or(u64::MAX));
            }
            if self.executor.any_ready() {
                until = 0;
            }
            let shared = &self.handle.shared;
            let cycle = self.crossing.cross(shared, &mut self.sinks, until);
            shared.clock().advance(cycle);
        }
    }

    /// Arranges for what the listeners want; from here on a back-door write is an event.
    fn listen(&mut self) {
        if self.sinks.observing() {
            self.handle.shared.memory.borrow_mut().keep_coherent_image();
        }
        self.crossing
            .observe(self.config.checks && self.sinks.observing());
        self.handle.shared.observed.set(self.sinks.listening());
        if !std::mem::replace(&mut self.started, true) {
            let memory = self.handle.shared.memory.borrow();
            self.sinks.start(self.handle.now(), &memory);
        }
    }

    fn poll_tasks(&mut self) {
        // A kernel that learns of the answer that broke a rule may leave what it was in.
        self.keep_activities();
        let shared = &self.handle.shared;
        let adopt = |executor: &mut Executor| {
            let mut spawned = shared.spawned.borrow_mut();
            if !spawned.is_empty() {
                spawned.drain(..).for_each(|new| executor.spawn(new));
            }
        };
        adopt(&mut self.executor);
        self.executor.run_ready(adopt);
        for expectation in shared.declared.borrow_mut().drain(..) {
            self.sinks.violations.expect(expectation);
        }
        if !shared.pending.borrow().is_empty() {
            self.tell_pending();
        }
    }

    /// Hands what tasks made known to the listeners.
    fn tell_pending(&mut self) {
        let shared = Rc::clone(&self.handle.shared);
        let memory = shared.memory.borrow();
        for event in shared.pending.borrow_mut().drain(..) {
            if let EventKind::Os(told) = &event.kind {
                self.activities.follow(event.cycle, told);
            }
            self.sinks.emit(event, &memory);
            self.keep_activities();
        }
    }

    fn keep_activities(&mut self) {
        if self.activities_then.is_none() && !self.sinks.violations.is_empty() {
            self.activities_then = Some(self.activities.clone());
        }
    }

    fn end(&mut self, limit: u64) -> Option<RunEnd> {
        let now = self.now();
        if let Some(overdue) = self.watchdog.look(now, &self.handle.shared) {
            self.sinks.violations.push(overdue);
            return Some(RunEnd::Violation);
        }
        if self.config.stop_on_violation && !self.sinks.violations.is_empty() {
            return Some(RunEnd::Violation);
        }
        if self.executor.foreground() == 0 {
            return Some(RunEnd::TasksDone);
        }
        if self.dead() {
            let text = format!(
                "{} tasks wait, and neither a response nor a cycle can wake them",
                self.executor.foreground()
            );
            self.sinks
                .violations
                .push(Violation::new(now, "watchdog", &["HANG"], text));
            return Some(RunEnd::Violation);
        }
        if now >= limit {
            return Some(RunEnd::CycleBudget);
        }
        let flag = self.interrupt.as_ref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
            .then_some(RunEnd::Interrupted)
    }

    /// Whether nothing can wake a task any more.
    fn dead(&self) -> bool {
        let shared = &self.handle.shared;
        shared.cores.iter().all(|core| !core.borrow().busy())
            && shared.clock().next_wake().is_none()
            && !self.executor.any_ready()
    }

    /// Ends the simulation: monitors draw their conclusions, the waveform and the event log are
    /// completed. Called a second time it does nothing.
    ///
    /// # Errors
    /// [`SimError`] if the waveform or the event log cannot be completed.
    pub fn finish(&mut self) -> Result<&Violations, SimError> {
        if !self.finished {
            self.finished = true;
            self.read_counters();
            self.sinks
                .finish(self.now(), &self.handle.shared.memory.borrow());
            if let Some(trace) = &mut self.trace {
                trace.close(self.handle.shared.dut.borrow_mut().as_mut())?;
            }
            self.sinks.flush()?;
        }
        Ok(&self.sinks.violations)
    }

    /// Reads the event counters of each core and node for the last time, and tells monitors.
    fn read_counters(&mut self) {
        let cores = 0..self.handle.cores();
        self.counts = cores.map(|core| self.handle.counters(core)).collect();
        let nodes = 0..self.info().nodes;
        self.node_counts = nodes.map(|node| self.handle.node_counters(node)).collect();
        if !(self.config.checks && self.sinks.observing()) {
            return;
        }
        let memory = self.handle.shared.memory.borrow();
        let cycle = self.handle.now();
        for (core, counts) in (0..).zip(&self.counts) {
            let values = Box::new(*counts);
            let kind = EventKind::Counters { core, values };
            self.sinks.emit(Event { cycle, kind }, &memory);
        }
        if self.info().node_counters == 0 {
            return;
        }
        for (node, counts) in (0..).zip(&self.node_counts) {
            let values = Box::new(*counts);
            let kind = EventKind::NodeCounters { node, values };
            self.sinks.emit(Event { cycle, kind }, &memory);
        }
    }

    /// The event counters of each core when the simulation was finished; none before.
    #[must_use]
    pub fn final_counts(&self) -> &[Counts] {
        &self.counts
    }

    /// The event counters of each node when the simulation was finished; none before.
    #[must_use]
    pub fn final_node_counts(&self) -> &[NodeCounts] {
        &self.node_counts
    }

    /// The current cycle.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.handle.now()
    }

    /// The violations so far.
    #[must_use]
    pub fn violations(&self) -> &Violations {
        &self.sinks.violations
    }

    /// What the OS was in the middle of when the first requirement broke, or is now if none did.
    #[must_use]
    pub fn activities(&self) -> &Activities {
        self.activities_then.as_ref().unwrap_or(&self.activities)
    }

    /// The last events.
    #[must_use]
    pub fn flight_recorder(&self) -> &FlightRecorder {
        self.sinks.recorder()
    }

    /// What was done so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            cycles: self.now(),
            ..self.crossing.figures()
        }
    }
}
