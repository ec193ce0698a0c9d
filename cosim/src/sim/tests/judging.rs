// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What ends a run as a violation or an error, each shown on a planted fault.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use vmsa::El;

use super::{Keeper, quiet, simulation};
use crate::dut::DutError;
use crate::dut::ports::{CoreRequest, Counter};
use crate::sim::fake::{FakeDut, Faults};
use crate::sim::*;

#[test]
fn a_lost_response_is_a_violation_in_the_cycle_that_it_is_overdue() {
    let faults = Faults {
        lose: Some(3),
        ..Faults::default()
    };
    let (mut simulation, _) = simulation(
        faults,
        SimConfig {
            watchdog: 500,
            ..SimConfig::default()
        },
    );
    for lane in 0..2u64 {
        let handle = simulation.handle();
        simulation.spawn(async move {
            let core = handle.core(0).expect("core 0");
            for i in 0..100 {
                core.access(CoreRequest::load((lane << 12) | (i * 8), 3, El::El1))
                    .await;
            }
        });
    }
    assert_eq!(simulation.run(1_000_000).expect("runs"), RunEnd::Violation);
    let violation = simulation
        .violations()
        .first()
        .expect("a violation")
        .clone();
    assert!(violation.breaks("HANG"), "{violation}");
    assert_eq!(violation.va, Some(0x1008));
    let since = simulation
        .flight_recorder()
        .events()
        .find_map(|event| match event.kind {
            EventKind::Issue { request, .. } if request.va == 0x1008 => Some(event.cycle),
            _ => None,
        })
        .expect("the lost request");
    assert_eq!(violation.cycle, since + 500);
}

#[test]
fn tasks_that_nothing_can_wake_are_a_violation_at_once() {
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    simulation.spawn(std::future::pending::<()>());
    assert_eq!(simulation.run(1_000_000).expect("runs"), RunEnd::Violation);
    assert_eq!(simulation.now(), 0);
    assert!(
        simulation
            .violations()
            .first()
            .is_some_and(|violation| violation.breaks("HANG"))
    );
}

#[test]
fn a_response_to_nobody_and_an_assertion_are_violations() {
    for (faults, id) in [
        (
            Faults {
                wrong_id: Some(1),
                ..Faults::default()
            },
            "SOCKET",
        ),
        (
            Faults {
                assertion: Some(40),
                ..Faults::default()
            },
            "FakeRuleHolds",
        ),
    ] {
        let (mut simulation, _) = simulation(faults, SimConfig::default());
        let core = simulation.core(0).expect("core 0");
        simulation.spawn(async move {
            for _ in 0..10 {
                core.access(CoreRequest::load(0, 3, El::El1)).await;
            }
        });
        assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::Violation);
        let violation = simulation.violations().first().expect("a violation");
        assert!(violation.breaks(id), "{violation}");
        assert!(simulation.now() < 50);
    }
}

#[test]
fn another_socket_version_is_refused_with_a_clear_error() {
    let open = |info| {
        let (fake, _) = FakeDut::new(Faults::default());
        Simulation::with_dut(Box::new(fake.with_info(info)), quiet())
            .err()
            .expect("refused")
    };
    let error = open([0x0001_0001_0001_4d4d, 0, 1]);
    assert!(matches!(
        error,
        SimError::Dut(DutError::AbiVersion { found: 1 })
    ));
    assert!(error.to_string().contains("version 1"), "{error}");
    let error = open([0; 3]);
    assert!(matches!(
        error,
        SimError::Dut(DutError::NotASocket { found: 0 })
    ));
    let error = open([0x4d4d | 3 << 16, 0, 0]);
    assert!(matches!(
        error,
        SimError::Dut(DutError::Shape { cores: 0, .. })
    ));
}

#[test]
fn a_failing_event_log_is_an_error_of_the_run() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("disk full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    simulation.set_event_log(Full);
    let core = simulation.core(0).expect("core 0");
    simulation.spawn(async move { core.access(CoreRequest::isb()).await });
    let error = simulation.run(100).expect_err("the log is lost");
    assert_eq!(error.to_string(), "cannot write the event log: disk full");
}

#[test]
fn counters_are_read_by_tasks_and_told_to_monitors_at_the_end() {
    let (mut simulation, seen) = simulation(Faults::default(), SimConfig::default());
    let keeper = Rc::new(RefCell::new(Keeper::default()));
    simulation.add_monitor(Rc::clone(&keeper));
    let handle = simulation.handle();
    let read = simulation.spawn(async move {
        handle.sleep(7).await;
        let nobody = handle.counter(1, Counter::DtlbStep);
        (handle.counter(0, Counter::DtlbStep), nobody)
    });
    assert_eq!(simulation.run(100).expect("runs"), RunEnd::TasksDone);
    let index = u64::from(Counter::DtlbStep.index());
    assert_eq!(read.take(), Some((7000 + index, 0)));
    assert_eq!(seen.borrow().steps, [(1, 7)]);
    assert!(simulation.final_counts().is_empty());
    simulation.finish().expect("finishes");
    let counts = simulation.final_counts();
    assert_eq!(counts[0].get(Counter::CpuCycles), 7000);
    let told = &keeper.borrow().0;
    assert!(told.iter().any(|event| matches!(
        &event.kind,
        EventKind::Counters { core: 0, values } if **values == counts[0]
    )));
}
