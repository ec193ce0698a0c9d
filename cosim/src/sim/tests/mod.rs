// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of simulated time against a scripted socket.

mod cores;
mod hardware;
mod judging;
mod os;
mod time;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::fake::{FakeDut, Faults, Seen};
use super::*;
use crate::check::Violations;
use crate::dut::ports::CommitKind;

fn simulation(faults: Faults, config: SimConfig) -> (Simulation, Rc<RefCell<Seen>>) {
    let (fake, seen) = FakeDut::new(faults);
    (
        Simulation::with_dut(Box::new(fake), config).expect("the fake speaks the socket"),
        seen,
    )
}

fn quiet() -> SimConfig {
    SimConfig {
        flight_recorder: 0,
        ..SimConfig::default()
    }
}

/// A writer that the test reads back.
#[derive(Clone, Default)]
struct Shelf(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shelf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps every event and checks what a monitor is promised.
#[derive(Default)]
struct Keeper(Vec<Event>);

impl Monitor for Keeper {
    fn name(&self) -> &'static str {
        "keeper"
    }

    fn event(&mut self, event: &Event, memory: &Memory, _: &mut Violations) {
        if let Some(last) = self.0.last() {
            assert!(
                last.cycle <= event.cycle,
                "events in the order of their cycles"
            );
        }
        if let EventKind::Commit {
            address,
            after,
            kind: CommitKind::Store,
            ..
        } = event.kind
        {
            assert_eq!(memory.coherent(address), after);
        }
        self.0.push(event.clone());
    }
}
