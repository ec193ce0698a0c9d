// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Each allocation of a run fails once. The operation that needed it fails and leaves everything in good
//! order, or does without; asked for again, it is done, and the run ends as if nothing had been.

use crate::step::{Op, Place, Range, Remap, Setup, Share, Step, setup, step};
use crate::world::{Failure, World};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use sw_mm::AccessSize::{Byte, Double};
use sw_mm::boot::HardwareUpdate;
use sw_mm::contpte;
use sw_mm::mm::{Error, Protection};
use vmsa::Granule;

/// What became of a run.
struct Ran {
    /// Allocations tried.
    attempts: u64,
    /// The failure was seen outside.
    failed: bool,
}

/// Runs the steps; allocation number `fail` fails.
fn run(setup: &Setup, steps: &[Step], fail: Option<u64>) -> Result<Ran, Failure> {
    let mut world = World::new(setup, |core| core);
    let memory = &world.kernel.memory;
    let before = memory.attempts();
    memory.fail_attempt(fail);
    let mut failed = false;
    for (index, step) in steps.iter().enumerate() {
        let mut done = world.step(step);
        if done == Err(Failure::Kernel(Error::OutOfMemory)) && !failed {
            failed = true;
            world.settle();
            world
                .audit()
                .map_err(|wrong| format!("after step {index}, {step:?}, failed: {wrong}"))?;
            done = world.step(step);
        }
        done.map_err(|failure| format!("step {index}, {step:?}: {failure}"))?;
    }
    let attempts = world.kernel.memory.attempts() - before;
    world.kernel.memory.fail_attempt(None);
    world.check()?;
    world.check_end()?;
    Ok(Ran { attempts, failed })
}

/// How many of the allocations of a run were missed so that it shows.
fn fail_each(setup: &Setup, steps: &[Step]) -> (u64, u64) {
    let attempts = match run(setup, steps, None) {
        Ok(ran) => ran.attempts,
        Err(failure) => panic!("{failure}\n{setup:?}\n{steps:?}"),
    };
    let mut shown = 0;
    for fail in 0..attempts {
        match run(setup, steps, Some(fail)) {
            Ok(ran) => shown += u64::from(ran.failed),
            Err(failure) => panic!("without allocation {fail}: {failure}\n{setup:?}\n{steps:?}"),
        }
    }
    (attempts, shown)
}

fn simple() -> Setup {
    Setup {
        granule: Granule::K4,
        update: HardwareUpdate::AccessFlag,
        contpte: contpte::Config::default(),
        batched: true,
        range_tlbi: true,
        spare_asids: None,
        orders: vec![2, 4],
        cores: 2,
        contiguous: true,
        ets2: true,
        bbm2: false,
        swap_slots: 64,
        mapped: false,
        huge: false,
    }
}

/// Everything that takes memory, one after the other.
fn scenario() -> Vec<Step> {
    const RW: Protection = Protection::READ_WRITE;
    let all = Range { slot: 0, count: 24 };
    let far = Range { slot: 24, count: 8 };
    let file = Range { slot: 40, count: 2 };
    let at = |slot, offset| Place {
        slot,
        page: 0,
        offset,
    };
    let store = |slot| Op::Store(at(slot, 0), Double, slot + 1);
    let mut ops = vec![
        Op::Map(all, RW, Share::Anonymous),
        Op::Map(far, RW, Share::Anonymous),
        Op::Map(file, RW, Share::SharedFile(0)),
        Op::Load(at(3, 0), Byte),
        store(3),
        store(4),
        // Across a page.
        Op::Store(at(8, 7), Double, 9),
        // Across a table.
        Op::Store(at(11, 7), Double, 9),
        store(24),
        store(30),
        store(40),
        Op::Load(at(41, 1), Byte),
        Op::Pin(at(3, 0)),
        Op::Fork,
        store(3),
        store(24),
        store(40),
        Op::Swap(at(4, 0), true, 5),
        Op::SwapOut(at(8, 0)),
        Op::Load(at(8, 0), Byte),
        Op::SwapOut(at(4, 0)),
        Op::Fork,
        Op::Switch(1),
        store(3),
        store(4),
        store(26),
        Op::Switch(2),
        store(4),
        store(11),
    ];
    for to in [16, 44] {
        let from = Range { slot: 2, count: 4 };
        ops.push(Op::Remap(Remap {
            from,
            count: 4,
            to: Some(to),
            fixed: true,
        }));
        ops.push(Op::Load(at(to, 0), Byte));
        ops.push(Op::Map(from, RW, Share::PrivateFile(1)));
        ops.push(store(2));
    }
    let step = |(index, op)| Step {
        core: (index % 5 == 4) as u8,
        op,
    };
    ops.into_iter().enumerate().map(step).collect()
}

#[test]
fn without_memory_an_operation_fails_and_leaves_no_trace() {
    for granule in Granule::ALL {
        for batched in [true, false] {
            let setup = Setup {
                granule,
                batched,
                ..simple()
            };
            let (attempts, shown) = fail_each(&setup, &scenario());
            println!("{granule}: {attempts} allocations, {shown} failures");
            // The others were large folios, or again after a fault that was handled otherwise.
            assert!(shown > 25 && shown < attempts);
        }
    }
}

#[test]
fn random_runs_go_on_after_a_lack_of_memory() {
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec(step(), 40..60);
    let mut total = 0;
    for _ in 0..crate::run::number("MM_MODEL_CASES").unwrap_or(4) {
        let tree = (setup(), &steps).new_tree(&mut runner);
        let (setup, steps) = tree.expect("a value").current();
        total += fail_each(&setup, &steps).1;
    }
    assert!(total > 20, "{total}");
}
