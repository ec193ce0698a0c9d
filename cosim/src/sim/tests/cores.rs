// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Cores: requests leave in order and as the socket takes them, responses find their task.

use std::cell::RefCell;
use std::rc::Rc;

use sw_mm::{AccessSize, Cpu, Privilege};
use vmsa::El;

use super::{Keeper, quiet, simulation};
use crate::dut::ports::CoreRequest;
use crate::sim::fake::{FIXED_DELAY, FakeDut, Faults};
use crate::sim::*;

#[test]
fn waiting_for_dram_is_one_step() {
    let (mut simulation, seen) = simulation(Faults::default(), quiet());
    simulation.load_memory(0x100, &42u64.to_le_bytes());
    let core = simulation.core(0).expect("core 0");
    let loaded =
        simulation.spawn(async move { core.access(CoreRequest::load(0x100, 3, El::El1)).await });
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    assert_eq!(loaded.take().map(|response| response.data), Some(42));
    // Waits for ready; request and DRAM read at 2; answer sampled by edge 22; response at 23.
    assert_eq!(seen.borrow().steps, [(1, 1), (2, 2), (3, 21), (22, 23)]);
    assert_eq!(simulation.figures().crossings, 4);
}

#[test]
fn tasks_of_one_cycle_run_in_spawn_order_and_requests_leave_in_that_order() {
    let (mut simulation, _) = simulation(Faults::default(), SimConfig::default());
    let keeper = Rc::new(RefCell::new(Keeper::default()));
    simulation.add_monitor(Rc::clone(&keeper));
    for task in 0..3u64 {
        let handle = simulation.handle();
        simulation.spawn(async move {
            let core = handle.core(0).expect("core 0");
            for round in 1..4 {
                handle.sleep_until(round * 100).await;
                core.access(CoreRequest::load(task * 8, 3, El::El1)).await;
            }
        });
    }
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    let issued: Vec<_> = keeper
        .borrow()
        .0
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Issue { request, .. } => Some((event.cycle, request.va)),
            _ => None,
        })
        .collect();
    let expected: Vec<_> = [101, 201, 301]
        .into_iter()
        .flat_map(|cycle| (0..3).map(move |task| (cycle + task, task * 8)))
        .collect();
    assert_eq!(issued, expected);
}

#[test]
fn requests_beyond_what_the_socket_takes_wait_their_turn() {
    let (fake, _) = FakeDut::new(Faults::default());
    let mut simulation =
        Simulation::with_dut(Box::new(fake.with_depth(1)), quiet()).expect("the fake");
    let core = simulation.core(0).expect("core 0");
    let data = simulation.spawn(async move {
        let asked: Vec<_> = (0..40)
            .map(|i| core.issue(CoreRequest::store(i * 8, 3, El::El1, i)))
            .collect();
        for access in asked {
            access.await;
        }
        let asked: Vec<_> = (0..40)
            .map(|i| core.issue(CoreRequest::load(i * 8, 3, El::El1)))
            .collect();
        let mut data = Vec::new();
        for access in asked {
            data.push(access.await.data);
        }
        data
    });
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    assert_eq!(data.take(), Some((0..40).collect::<Vec<_>>()));
}

#[test]
fn a_dropped_request_is_withdrawn_or_its_response_discarded() {
    let (mut simulation, _) = simulation(Faults::default(), SimConfig::default());
    let handle = simulation.handle();
    let core = simulation.core(0).expect("core 0");
    let data = simulation.spawn(async move {
        let unsent = core.issue(CoreRequest::store(0, 3, El::El1, 1));
        drop(unsent);
        let sent = core.issue(CoreRequest::store(8, 3, El::El1, 2));
        handle.sleep(5).await;
        drop(sent);
        let first = core.access(CoreRequest::load(0, 3, El::El1)).await.data;
        (
            first,
            core.access(CoreRequest::load(8, 3, El::El1)).await.data,
        )
    });
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    assert_eq!(data.take(), Some((0, 2)));
    assert_eq!(simulation.figures().requests, 3);
}

#[test]
fn a_core_serves_the_operating_system() {
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    let core = simulation.core(0).expect("core 0");
    let loaded = simulation.spawn(async move {
        let size = AccessSize::Double;
        core.store(0x40, size, Privilege::Privileged, 0x1234_5678)
            .await?;
        core.dsb(vmsa::DsbKind::ISH).await;
        core.load(0x40, AccessSize::Half, Privilege::Unprivileged)
            .await
    });
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    assert_eq!(loaded.take(), Some(Ok(0x5678)));
}

#[test]
fn commits_carry_the_word_before_and_after_and_the_back_door_tells_of_itself() {
    let (mut simulation, _) = simulation(Faults::default(), SimConfig::default());
    let keeper = Rc::new(RefCell::new(Keeper::default()));
    simulation.add_monitor(Rc::clone(&keeper));
    simulation.handle().poke(0x10, 5);
    let handle = simulation.handle();
    simulation.spawn(async move {
        let core = handle.core(0).expect("core 0");
        core.access(CoreRequest::store(0x10, 3, El::El1, 6)).await;
        handle.poke(0x10, 7);
        core.access(CoreRequest::store(0x10, 3, El::El1, 8)).await;
    });
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    let commits: Vec<_> = keeper
        .borrow()
        .0
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Commit {
                source,
                before,
                after,
                ..
            } => Some((source, before, after)),
            _ => None,
        })
        .collect();
    // The first write is initial content: no event.
    assert_eq!(commits, [(0, 5, 6), (BACKDOOR, 6, 7), (0, 7, 8)]);
}

#[test]
fn fixed_delays_are_seen_to_the_cycle() {
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    let handle = simulation.handle();
    let times = simulation.spawn(async move {
        let core = handle.core(0).expect("core 0");
        handle.sleep(10).await;
        core.access(CoreRequest::isb()).await;
        handle.now()
    });
    assert_eq!(simulation.run(1000).expect("runs"), RunEnd::TasksDone);
    // Sampled by edge 11, answered FIXED_DELAY later.
    assert_eq!(times.take(), Some(11 + FIXED_DELAY));
}

#[test]
fn a_write_that_dram_fails_commits_nothing() {
    let (mut simulation, _) = simulation(Faults::default(), SimConfig::default());
    let keeper = Rc::new(RefCell::new(Keeper::default()));
    simulation.add_monitor(Rc::clone(&keeper));
    let handle = simulation.handle();
    handle.poke(0x10, 5);
    handle.mark_error(0x10, ErrorOn::Writes, Some(1));
    simulation.spawn(async move {
        let core = handle.core(0).expect("core 0");
        core.access(CoreRequest::store(0x10, 3, El::El1, 6)).await;
        assert_eq!((handle.peek(0x10), handle.errors_given()), (5, 1));
        core.access(CoreRequest::store(0x10, 3, El::El1, 7)).await;
        assert_eq!(handle.peek(0x10), 7);
    });
    assert_eq!(simulation.run(10_000).expect("runs"), RunEnd::TasksDone);
    let (mut commits, mut writes) = (Vec::new(), Vec::new());
    for event in &keeper.borrow().0 {
        match event.kind {
            EventKind::Commit { before, after, .. } => commits.push((before, after)),
            EventKind::DramWrite { data, error, .. } => writes.push((data, error)),
            _ => {}
        }
    }
    assert_eq!(commits, [(5, 7)]);
    assert_eq!(writes, [(6, true), (7, false)]);
}
