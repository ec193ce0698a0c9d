// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where events go: the flight recorder, the textual event log, and the monitors.

use std::io;

use super::event::{Event, Monitor};
use super::memory::Memory;
use crate::check::Violations;

/// The last events of a run, for the report of a failure.
pub struct FlightRecorder {
    ring: Vec<Event>,
    capacity: usize,
    /// Place of the oldest event, once the ring is full.
    oldest: usize,
}

impl FlightRecorder {
    /// A recorder of the last `capacity` events; 0 records nothing.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            ring: Vec::with_capacity(capacity),
            capacity,
            oldest: 0,
        }
    }

    /// The events kept, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        let (newer, older) = self.ring.split_at(self.oldest);
        older.iter().chain(newer)
    }

    fn record(&mut self, event: Event) {
        if self.ring.len() < self.capacity {
            self.ring.push(event);
            return;
        }
        self.ring[self.oldest] = event;
        self.oldest += 1;
        if self.oldest == self.capacity {
            self.oldest = 0;
        }
    }
}

/// One line an event, to a writer.
struct EventLog {
    out: Box<dyn io::Write>,
    failure: Option<io::Error>,
}

impl EventLog {
    fn write(&mut self, event: &Event) {
        // After the first failure the log is lost; the run reports it when it ends.
        if self.failure.is_none() {
            self.failure = writeln!(self.out, "{event}").err();
        }
    }
}

/// All listeners.
pub(crate) struct Sinks {
    recorder: FlightRecorder,
    log: Option<EventLog>,
    monitors: Vec<Box<dyn Monitor>>,
    pub(crate) violations: Violations,
}

impl Sinks {
    pub(crate) fn new(recorder_capacity: usize) -> Self {
        Self {
            recorder: FlightRecorder::new(recorder_capacity),
            log: None,
            monitors: Vec::new(),
            violations: Violations::new(),
        }
    }

    pub(crate) fn add_monitor(&mut self, monitor: Box<dyn Monitor>) {
        self.monitors.push(monitor);
    }

    pub(crate) fn monitors(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.monitors.iter().map(|monitor| monitor.name())
    }

    pub(crate) fn set_log(&mut self, out: Box<dyn io::Write>) {
        self.log = Some(EventLog { out, failure: None });
    }

    pub(crate) fn recorder(&self) -> &FlightRecorder {
        &self.recorder
    }

    /// Whether somebody wants the observation lanes, at the price of more and shorter steps.
    pub(crate) fn observing(&self) -> bool {
        self.log.is_some() || !self.monitors.is_empty()
    }

    /// Whether anybody at all wants events.
    pub(crate) fn listening(&self) -> bool {
        self.recorder.capacity > 0 || self.observing()
    }

    /// Hands an event to every listener, the monitors in the order in which they were added.
    pub(crate) fn emit(&mut self, event: Event, memory: &Memory) {
        if let Some(log) = &mut self.log {
            log.write(&event);
        }
        for monitor in &mut self.monitors {
            monitor.event(&event, memory, &mut self.violations);
        }
        if self.recorder.capacity > 0 {
            self.recorder.record(event);
        }
    }

    /// Tells the monitors of the start of the run.
    pub(crate) fn start(&mut self, cycle: u64, memory: &Memory) {
        for monitor in &mut self.monitors {
            monitor.start(cycle, memory);
        }
    }

    /// Tells the monitors of the end of the run.
    pub(crate) fn finish(&mut self, cycle: u64, memory: &Memory) {
        for monitor in &mut self.monitors {
            monitor.finish(cycle, memory, &mut self.violations);
        }
    }

    /// Completes what was written so far; the first error of the log, if it had one.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        match log.failure.take() {
            Some(failure) => Err(failure),
            None => log.out.flush(),
        }
    }
}
