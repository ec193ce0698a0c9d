// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Time: determinism, sleeping, waveform windows, budgets, daemons, interrupts.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::Rng;
use vmsa::{DsbKind, El};

use super::{Shelf, quiet, simulation};
use crate::dut::TraceFormat;
use crate::dut::ports::CoreRequest;
use crate::sim::fake::Faults;
use crate::sim::*;

/// Four tasks that use one core and sleep, with random choices from their own streams.
fn busy_run(seed: u64, jitter: u64, observed: bool) -> (Vec<u8>, Figures) {
    let memory = MemoryTiming {
        latency: 20,
        jitter,
    };
    let (mut simulation, _) = simulation(
        Faults::default(),
        SimConfig {
            seed,
            memory,
            ..SimConfig::default()
        },
    );
    let shelf = Shelf::default();
    if observed {
        simulation.set_event_log(shelf.clone());
    }
    for task in 0..4u64 {
        let handle = simulation.handle();
        let core = handle.core(0).expect("core 0");
        let mut rng = handle.seed().child("busy").indexed(task).rng();
        simulation.spawn(async move {
            for _ in 0..50 {
                let va = rng.random_range(0..64u64) * 8;
                match rng.random_range(0..4) {
                    0 => drop(core.access(CoreRequest::load(va, 3, El::El1)).await),
                    1 => drop(
                        core.access(CoreRequest::store(va, 3, El::El1, va + 1))
                            .await,
                    ),
                    2 => drop(core.access(CoreRequest::dsb(DsbKind::SY)).await),
                    _ => handle.sleep(rng.random_range(0..100)).await,
                }
            }
        });
    }
    assert_eq!(simulation.run(1_000_000).expect("runs"), RunEnd::TasksDone);
    assert!(simulation.finish().expect("finishes").is_empty());
    let log = shelf.0.take();
    (log, simulation.figures())
}

#[test]
fn one_seed_gives_one_event_log_and_another_seed_another() {
    for jitter in [0, 30] {
        let (log, figures) = busy_run(5, jitter, true);
        assert!(log.split(|&byte| byte == b'\n').count() > 200);
        assert_eq!((log.clone(), figures), busy_run(5, jitter, true));
        assert_ne!(log, busy_run(6, jitter, true).0);
    }
}

#[test]
fn listening_changes_what_it_costs_but_not_what_happens() {
    for jitter in [0, 30] {
        let (_, watched) = busy_run(5, jitter, true);
        let (_, unwatched) = busy_run(5, jitter, false);
        assert!(unwatched.crossings <= watched.crossings);
        assert_eq!(
            Figures {
                crossings: 0,
                ..unwatched
            },
            Figures {
                crossings: 0,
                ..watched
            }
        );
    }
}

#[test]
fn a_sleeper_wakes_in_its_cycle_and_the_sleep_is_one_step() {
    let (mut simulation, seen) = simulation(Faults::default(), quiet());
    let handle = simulation.handle();
    let woken = simulation.spawn(async move {
        let mut woken = Vec::new();
        for cycles in [1000, 1, 0, 7] {
            handle.sleep(cycles).await;
            woken.push(handle.now());
        }
        woken
    });
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    assert_eq!(woken.take(), Some(vec![1000, 1001, 1001, 1008]));
    assert_eq!(seen.borrow().steps, [(1, 1000), (1001, 1001), (1002, 1008)]);
}

#[test]
fn the_waveform_holds_the_cycles_of_its_window() {
    let run = |window: Option<std::ops::RangeInclusive<u64>>| {
        let trace = TraceRequest {
            path: "x.fst".into(),
            format: TraceFormat::Fst,
            window,
        };
        let (mut simulation, seen) = simulation(
            Faults::default(),
            SimConfig {
                trace: Some(trace),
                ..quiet()
            },
        );
        let handle = simulation.handle();
        simulation.spawn(async move { handle.sleep(1000).await });
        assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
        simulation.finish().expect("finishes");
        let seen = seen.borrow();
        (seen.opened.clone(), seen.closed.clone(), seen.steps.clone())
    };
    // Cycle 100 is the first one dumped, cycle 200 the last.
    assert_eq!(
        run(Some(100..=200)),
        (vec![99], vec![200], vec![(1, 99), (100, 200), (201, 1000)])
    );
    assert_eq!(run(None), (vec![0], vec![1000], vec![(1, 1000)]));
    assert_eq!(run(Some(900..=5000)).1, [1000]);
    assert!(run(Some(5000..=6000)).0.is_empty());
    assert_eq!(
        run(Some(0..=1)),
        (vec![0], vec![1], vec![(1, 1), (2, 1000)])
    );
}

#[test]
fn a_run_ends_at_its_budget_and_goes_on_when_asked() {
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    let handle = simulation.handle();
    let outcome = simulation.spawn(async move {
        handle.sleep(150).await;
        handle.now()
    });
    assert_eq!(simulation.run(100).expect("runs"), RunEnd::CycleBudget);
    assert_eq!((simulation.now(), outcome.take()), (100, None));
    assert_eq!(simulation.run(100).expect("runs"), RunEnd::TasksDone);
    assert_eq!(outcome.take(), Some(150));
}

#[test]
fn daemons_do_not_keep_a_run_alive_and_tasks_spawn_tasks() {
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    let handle = simulation.handle();
    let beats = Rc::new(RefCell::new(0));
    let count = Rc::clone(&beats);
    let clock = handle.clone();
    drop(handle.spawn_daemon(async move {
        loop {
            clock.sleep(10).await;
            *count.borrow_mut() += 1;
        }
    }));
    let sum = simulation.spawn(async move {
        let child = |cycles| {
            let clock = handle.clone();
            handle.spawn(async move {
                clock.sleep(cycles).await;
                cycles
            })
        };
        let (slow, fast) = (child(95), child(5));
        slow.await + fast.await
    });
    assert_eq!(simulation.run(1000).expect("runs"), RunEnd::TasksDone);
    assert_eq!(
        (sum.take(), *beats.borrow(), simulation.now()),
        (Some(100), 9, 95)
    );
}

#[test]
fn the_interrupt_flag_ends_a_run() {
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    let flag = Arc::new(AtomicBool::new(false));
    simulation.set_interrupt(Arc::clone(&flag));
    let handle = simulation.handle();
    simulation.spawn(async move {
        handle.sleep(50).await;
        flag.store(true, Ordering::Relaxed);
        handle.sleep(1_000_000_000).await;
    });
    assert_eq!(simulation.run(u64::MAX).expect("runs"), RunEnd::Interrupted);
    assert_eq!(simulation.now(), 50);
}
