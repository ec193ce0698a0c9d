// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The scheduler: the same seed is the same run, every interleaving can come, and what waits for ever
//! is named.

use crate::booted::boot;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::rc::Rc;
use sw_mm::boot::BootConfig;
use sw_mm::functional::{Core, Machine, MachineConfig, Policy, RunEnd, Scheduler, yield_now};
use sw_mm::{AccessSize, Cpu, Privilege};
use tokio::sync::{Mutex, Notify, RwLock};

/// Every policy, with a change once in so many steps.
const fn policies(steps: u32) -> [Policy; 3] {
    let steps = NonZeroU32::new(steps).expect("at least one");
    [
        Policy::Uniform,
        Policy::Bursts(steps),
        Policy::Priorities(steps),
    ]
}

/// Two tasks of three steps each: the order in which the steps came, and the digest.
fn order(seed: u64, policy: Policy) -> (String, u64) {
    let log = Rc::new(RefCell::new(String::new()));
    let mut scheduler = Scheduler::with_policy(seed, policy);
    for name in ['a', 'b'] {
        let log = Rc::clone(&log);
        scheduler.spawn(async move {
            for _ in 0..3 {
                log.borrow_mut().push(name);
                yield_now().await;
            }
        });
    }
    assert_eq!(scheduler.run(100), RunEnd::Done);
    (log.take(), scheduler.digest())
}

#[test]
fn the_same_seed_is_the_same_interleaving_and_all_of_them_come() {
    for policy in policies(2) {
        let mut seen = BTreeSet::new();
        for seed in 0..5000 {
            let run = order(seed, policy);
            assert_eq!(run, order(seed, policy));
            seen.insert(run.0);
        }
        // Six steps, of which three are a's.
        assert_eq!(seen.len(), 20, "{policy:?}");
    }
}

#[test]
fn policies_differ_in_how_long_a_task_runs_on() {
    let switches = |policy| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let mut scheduler = Scheduler::with_policy(7, policy);
        for task in 0..4 {
            let log = Rc::clone(&log);
            scheduler.spawn(async move {
                for _ in 0..1000 {
                    log.borrow_mut().push(task);
                    yield_now().await;
                }
            });
        }
        assert_eq!(scheduler.run(u64::MAX), RunEnd::Done);
        let log = log.take();
        log.windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    let [uniform, bursts, priorities] = policies(4).map(switches);
    assert!(uniform > 2500, "{uniform}");
    assert!((300..1200).contains(&bursts), "{bursts}");
    assert!((300..1200).contains(&priorities), "{priorities}");
}

#[test]
fn a_deadlock_is_reported_with_the_names_of_those_who_wait() {
    // G10. Two locks, taken in opposite order: some seeds meet, the others end.
    let run = |seed| {
        let locks = Rc::new((Mutex::new(()), Mutex::new(())));
        let mut scheduler = Scheduler::new(seed);
        let pair = Rc::clone(&locks);
        scheduler.spawn_named("forth", async move {
            let _first = pair.0.lock().await;
            yield_now().await;
            let _second = pair.1.lock().await;
        });
        scheduler.spawn_named("back", async move {
            let _first = locks.1.lock().await;
            yield_now().await;
            let _second = locks.0.lock().await;
        });
        scheduler.spawn(async { yield_now().await });
        scheduler.run(100)
    };
    let ends: Vec<_> = (0..50).map(run).collect();
    assert!(ends.contains(&RunEnd::Done));
    let stuck = ends.iter().find(|&end| *end != RunEnd::Done);
    assert_eq!(
        stuck.expect("a deadlock").to_string(),
        "nothing is ready and these wait: task 0 (forth), task 1 (back)"
    );
}

#[test]
fn a_livelock_uses_the_steps_up_and_the_run_can_go_on() {
    let mut scheduler = Scheduler::new(1);
    let stop = Rc::new(Cell::new(false));
    let flag = Rc::clone(&stop);
    scheduler.spawn(async move {
        while !flag.get() {
            yield_now().await;
        }
    });
    assert_eq!(scheduler.run(100), RunEnd::StepLimit);
    assert_eq!(scheduler.steps(), 100);
    stop.set(true);
    assert_eq!(scheduler.run(1), RunEnd::Done);
}

#[test]
fn tasks_spawn_tasks_and_wait_for_their_results() {
    for seed in 0..20 {
        let mut scheduler = Scheduler::new(seed);
        let spawner = scheduler.spawner();
        let sum = scheduler.spawn(async move {
            // More than fit one word of the ready set.
            let parts: Vec<_> = (0..100u64)
                .map(|part| {
                    spawner.spawn(async move {
                        yield_now().await;
                        part
                    })
                })
                .collect();
            let mut sum = 0;
            for part in parts {
                sum += part.await;
            }
            sum
        });
        assert!(!sum.is_done());
        assert_eq!(scheduler.run(10_000), RunEnd::Done);
        assert_eq!((sum.take(), sum.take()), (Some(4950), None));
    }
}

#[test]
fn primitives_of_tokio_wake_their_waiters() {
    for policy in policies(4) {
        for seed in 0..50 {
            let mut scheduler = Scheduler::with_policy(seed, policy);
            let (lock, bell) = (Rc::new(RwLock::new(0u32)), Rc::new(Notify::new()));
            for _ in 0..8 {
                let lock = Rc::clone(&lock);
                let bell = Rc::clone(&bell);
                scheduler.spawn(async move {
                    let seen = *lock.read().await;
                    yield_now().await;
                    let mut value = lock.write().await;
                    yield_now().await;
                    assert!(*value >= seen);
                    *value += 1;
                    if *value == 8 {
                        bell.notify_one();
                    }
                });
            }
            let ended = scheduler.spawn(async move {
                bell.notified().await;
                *lock.read().await
            });
            assert_eq!(scheduler.run(10_000), RunEnd::Done);
            assert_eq!(ended.take(), Some(8));
        }
    }
}

#[test]
fn a_wake_that_comes_after_the_end_of_its_task_disturbs_nobody() {
    let mut scheduler = Scheduler::new(0);
    let late = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&late);
    scheduler.spawn(std::future::poll_fn(move |context| {
        *slot.borrow_mut() = Some(context.waker().clone());
        std::task::Poll::Ready(())
    }));
    assert_eq!(scheduler.run(10), RunEnd::Done);
    let waker: std::task::Waker = late.take().expect("the task ran");
    waker.wake();
    assert_eq!((scheduler.run(10), scheduler.steps()), (RunEnd::Done, 1));
}

#[test]
fn a_scheduler_dropped_with_tasks_in_it_frees_them() {
    let alive = Rc::new(());
    let scheduler = Scheduler::new(0);
    let (held, spawner) = (Rc::clone(&alive), scheduler.spawner());
    scheduler.spawn(async move {
        let _both = (held, spawner);
        std::future::pending::<()>().await;
    });
    let kept = scheduler.spawner();
    drop(scheduler);
    let held = Rc::clone(&alive);
    kept.spawn(async move { drop(held) });
    assert_eq!(Rc::strong_count(&alive), 1);
}

/// Adds one to a word with a load and a store, or with compare-and-swaps.
async fn add(core: Core, va: u64, atomic: bool) -> Result<(), vmsa::AccessFault> {
    let (size, who) = (AccessSize::Double, Privilege::Privileged);
    loop {
        let old = core.load(va, size, who).await?;
        if !atomic {
            return core.store(va, size, who, old + 1).await;
        }
        if core.compare_and_swap(va, size, who, old, old + 1).await? == old {
            return Ok(());
        }
    }
}

#[test]
fn other_tasks_come_between_the_instructions_of_an_interleaved_core() {
    let count = |seed, interleaved, atomic| {
        let machine = Machine::new(MachineConfig::default());
        let mut scheduler = Scheduler::new(seed);
        for _ in 0..2 {
            let core = match interleaved {
                true => machine.core(0).interleaved(),
                false => machine.core(0),
            };
            scheduler.spawn(add(core, 0x1000, atomic));
        }
        assert_eq!(scheduler.run(1000), RunEnd::Done);
        machine.contents()[0].1[0]
    };
    let counts = |interleaved, atomic| {
        let counts: BTreeSet<u64> = (0..50).map(|s| count(s, interleaved, atomic)).collect();
        Vec::from_iter(counts)
    };
    assert_eq!(counts(true, false), [1, 2], "an update is lost, sometimes");
    assert_eq!(counts(true, true), [2]);
    assert_eq!(counts(false, false), [2]);
}

#[test]
fn every_instruction_of_an_interleaved_core_is_one_point_and_comes_before_its_effect() {
    let os = boot(&BootConfig::default());
    let core = os.machine.core(0).interleaved();
    let (va, size, who) = (
        os.boot.linear.base(),
        AccessSize::Double,
        Privilege::Privileged,
    );
    let ttbr0 = os.boot.registers.ttbr0.0;
    let mut scheduler = Scheduler::new(0);
    let done = Rc::new(Cell::new(0));
    let step = Rc::clone(&done);
    scheduler.spawn(async move {
        let next = || step.set(step.get() + 1);
        core.store(va, size, who, 1).await.expect("mapped");
        next();
        core.load(va, size, who).await.expect("mapped");
        next();
        core.compare_and_swap(va, size, who, 1, 2)
            .await
            .expect("mapped");
        next();
        core.fetch(va, who).await.expect_err("execute-never");
        next();
        core.address_translate(vmsa::AtOp::S1E1R, va)
            .await
            .expect("no abort");
        next();
        core.tlbi(vmsa::Tlbi::vmalle1(vmsa::TlbiScope::InnerShareable))
            .await;
        next();
        core.dsb(vmsa::DsbKind::ISH).await;
        next();
        core.write_sysreg(vmsa::SysReg::Ttbr0, ttbr0).await;
        next();
        core.isb().await;
        next();
    });
    for step in 0..9 {
        let before = os.cpu.traffic();
        assert_eq!(scheduler.run(1), RunEnd::StepLimit);
        assert_eq!(done.get(), step);
        if step == 0 {
            assert_eq!(before, os.cpu.traffic(), "no effect before the first point");
        }
    }
    assert_eq!(scheduler.run(1), RunEnd::Done);
    assert_eq!(done.get(), 9);
}
