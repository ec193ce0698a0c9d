// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! ASIDs as hardware sees them: what context switches write to TTBR0_EL1, and when a core throws its TLB
//! away (section 5).

use crate::kernel::{Setup, boot, config, map};
use crate::traced::{Step, Traced};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::functional::{RunEnd, Scheduler};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Error};
use sw_mm::thread::Thread;
use vmsa::{DsbKind, SysReg, TlbiOp, TlbiScope, Ttbr};

const VA: u64 = 0x4000_0000;
/// Address spaces of a run, more than there are ASIDs.
const SPACES: u64 = 9;

fn few_asids(cores: usize, spare: u32) -> KernelConfig {
    KernelConfig {
        asids: cores as u32 + 2 + spare,
        ..config(cores)
    }
}

/// Threads that write down what they execute, and address spaces: number n holds 100 + n at `VA`.
struct World {
    setup: Setup,
    threads: Vec<Rc<Thread<Traced>>>,
    spaces: Vec<Rc<AddressSpace>>,
    before: u64,
}

impl World {
    fn new(config: KernelConfig, interleaved: bool) -> Self {
        let setup = boot(config);
        let before = setup.used();
        let threads = (0..setup.threads.len())
            .map(|core| {
                let cpu = setup.machine.core(core);
                let cpu = if interleaved { cpu.interleaved() } else { cpu };
                let thread = Thread::new(&setup.kernel, Traced::new(cpu), core as u8);
                Rc::new(thread)
            })
            .collect();
        let spaces = block_on(async {
            let mut spaces = Vec::new();
            for number in 0..SPACES {
                let thread = &setup.threads[0];
                let space = AddressSpace::new(thread).await?;
                thread.switch_to(&space).await;
                map(thread, VA, 4096).await?;
                thread.user_store(VA, Double, 100 + number).await?;
                spaces.push(space);
            }
            Ok::<_, Error>(spaces)
        });
        Self {
            setup,
            threads,
            spaces: spaces.expect("no error"),
            before,
        }
    }

    fn rollovers(&self) -> u64 {
        self.setup.kernel.counters.rollovers.get()
    }

    fn finish(self) {
        block_on(async {
            for thread in &self.threads {
                thread.leave().await;
            }
            for space in &self.spaces {
                self.threads[0].exit_space(space).await?;
            }
            Ok::<_, Error>(())
        })
        .expect("no error");
        drop(self.spaces);
        self.setup.audit();
        assert_eq!(self.setup.used(), self.before, "MM-30");
        self.setup.judge();
    }
}

/// What the last switch in `steps` wrote to TTBR0_EL1.
fn ttbr(steps: &[Step]) -> Option<Ttbr> {
    steps.iter().rev().find_map(|step| match step {
        Step::Msr(SysReg::Ttbr0, value) => Some(Ttbr(*value)),
        _ => None,
    })
}

#[test]
fn a_switch_loads_the_root_of_the_address_space_under_its_asid() {
    // MM-22: a kernel without replicated tables has one root for the cores of all nodes.
    let world = World::new(config(2), false);
    for (space, number) in world.spaces.iter().zip(0..) {
        for thread in &world.threads {
            block_on(thread.switch_to(space));
            let words: Vec<String> = thread
                .cpu
                .take()
                .iter()
                .map(|s| match s {
                    Step::Msr(_, value) => {
                        let ttbr = Ttbr(*value);
                        assert_eq!(ttbr.base(), space.root.pa);
                        assert_eq!(ttbr.asid(), space.context.asid());
                        assert_ne!(ttbr.asid(), 0, "reserved");
                        s.to_string()
                    }
                    _ => s.to_string(),
                })
                .collect();
            // MM-21: what is under way of invalidations is over before anything changes.
            assert_eq!(words, ["DSB ISH", "MSR TTBR0_EL1", "ISB"]);
            assert_eq!(block_on(thread.user_load(VA, Double)), Ok(100 + number));
            thread.cpu.take();
        }
    }
    let thread = &world.threads[0];
    block_on(thread.leave());
    let left = ttbr(&thread.cpu.take()).expect("a switch");
    assert_eq!(left.asid(), 0);
    assert!(block_on(thread.user_load(VA, Double)).is_err());
    world.finish();
}

/// Switches at random; returns rollovers, flushes, and stale values that were read.
fn random_switches(seed: u64, spare: u32, cores: usize, forgetful: bool) -> (u64, u64, u64) {
    let world = World::new(few_asids(cores, spare), false);
    let mut rng = Pcg32::seed_from_u64(seed);
    let (mut flushes, mut stale) = (0, 0);
    let mut loaded = BTreeMap::<usize, (Ttbr, usize)>::new();
    // Cores that have not heard of a rollover yet; core 0 alone ran until here.
    let mut unheard = vec![world.rollovers() > 0; cores];
    unheard[0] = false;
    for thread in &world.threads {
        thread.cpu.skip_local.set(forgetful);
    }
    for _ in 0..150 {
        let core = rng.random_range(0..cores);
        let number = rng.random_range(0..SPACES as usize);
        let (thread, space) = (&world.threads[core], &world.spaces[number]);
        let rollovers = world.rollovers();
        block_on(thread.switch_to(space));
        if world.rollovers() > rollovers {
            unheard.fill(true);
        }
        let steps = thread.cpu.take();
        let switched = ttbr(&steps).expect("a switch");
        assert_eq!(switched.base(), space.root.pa);
        let cleared = |step: &Step| match step {
            Step::Tlbi(op) => op.op == TlbiOp::Vmalle1 && op.scope == TlbiScope::Local,
            _ => false,
        };
        let place = |of: &dyn Fn(&Step) -> bool| steps.iter().position(of);
        let write = place(&|s| matches!(s, Step::Msr(..)));
        let flush = place(&cleared);
        let wait = place(&|s| *s == Step::Dsb(DsbKind::NSH));
        if std::mem::take(&mut unheard[core]) {
            // MM-18: cleared, and over, before anything of the new generation can be used.
            assert!(flush.is_some() && flush < wait && wait < write, "{steps:?}");
            flushes += 1;
        } else {
            assert_eq!(flush, None, "for nothing");
        }
        loaded.insert(core, (switched, number));
        for (a, (first, this)) in &loaded {
            for (b, (second, that)) in &loaded {
                // MM-17, and MM-19: one number wherever it runs.
                let same = first.asid() == second.asid();
                assert_eq!(
                    same,
                    this == that,
                    "cores {a} and {b}: {first:?} {second:?}"
                );
            }
        }
        for (&core, &(_, number)) in &loaded {
            let thread = &world.threads[core];
            let value = block_on(thread.user_load(VA, Double));
            stale += u64::from(value != Ok(100 + number as u64));
            thread.cpu.take();
        }
    }
    let rollovers = world.rollovers();
    if !forgetful {
        world.finish();
    }
    (rollovers, flushes, stale)
}

#[test]
fn no_two_address_spaces_run_under_one_asid_and_each_core_flushes_after_a_rollover() {
    // MM-17, MM-18, MM-19.
    let (mut rollovers, mut flushes) = (0, 0);
    for seed in 0..24 {
        let (cores, spare) = (1 + seed as usize % 4, seed as u32 % 3);
        let (more, cleared, stale) = random_switches(seed, spare, cores, false);
        assert_eq!(stale, 0, "seed {seed}");
        (rollovers, flushes) = (rollovers + more, flushes + cleared);
    }
    assert!(rollovers > 300 && flushes > 500, "{rollovers} {flushes}");
}

#[test]
fn a_core_that_keeps_its_tlb_across_a_rollover_is_found_out() {
    // MM-18: the same runs, without what the rule demands.
    let noticed = (0..8).filter(|&seed| random_switches(seed, 0, 3, true).2 > 0);
    assert_eq!(noticed.count(), 8);
}

#[test]
fn who_runs_across_a_rollover_keeps_its_asid_on_every_core() {
    // MM-19.
    let world = World::new(few_asids(4, 0), false);
    let space = &world.spaces[0];
    let mut ttbrs = Vec::new();
    for thread in &world.threads[..3] {
        block_on(thread.switch_to(space));
        ttbrs.extend(ttbr(&thread.cpu.take()));
    }
    let asid = ttbrs[0].asid();
    assert!(ttbrs.iter().all(|ttbr| ttbr.asid() == asid));
    let roll_over = |times: u64| {
        let before = world.rollovers();
        for other in world.spaces[1..].iter().cycle() {
            block_on(world.threads[3].switch_to(other));
            let own = ttbr(&world.threads[3].cpu.take()).expect("a switch");
            assert_ne!(own.asid(), asid, "MM-17");
            if world.rollovers() >= before + times {
                break;
            }
        }
    };
    for (round, times) in [1, 1, 3].into_iter().enumerate() {
        roll_over(times);
        // It comes back on one core after the other, while the rest never stopped.
        let thread = &world.threads[round];
        let generation = space.context.id() >> 16;
        block_on(thread.switch_to(space));
        assert_eq!(ttbr(&thread.cpu.take()).map(|t| t.asid()), Some(asid));
        assert!(
            space.context.id() >> 16 > generation,
            "of the new generation"
        );
        for thread in &world.threads[..3] {
            assert_eq!(block_on(thread.user_load(VA, Double)), Ok(100));
        }
    }
    world.finish();
}

/// ASID and address space of each core, while it is not in the midst of a switch.
type Running = [Option<(u16, usize)>; 3];

#[test]
fn switches_of_several_cores_at_once_never_mix_up_address_spaces() {
    // MM-17, MM-18, MM-35.
    let mut rollovers = 0;
    for seed in 0..60 {
        let world = Rc::new(World::new(few_asids(3, seed as u32 % 2), true));
        let running: Rc<RefCell<Running>> = Rc::default();
        let mut scheduler = Scheduler::new(seed);
        let clashes = Rc::new(Cell::new(0));
        for core in 0..3 {
            let (w, running) = (Rc::clone(&world), Rc::clone(&running));
            let clashes = Rc::clone(&clashes);
            scheduler.spawn_named(format!("core {core}"), async move {
                let mut rng = Pcg32::new(seed, core as u64);
                for _ in 0..20 {
                    let number = rng.random_range(0..SPACES as usize);
                    running.borrow_mut()[core] = None;
                    w.threads[core].switch_to(&w.spaces[number]).await;
                    let own = ttbr(&w.threads[core].cpu.take()).expect("a switch");
                    let asid = own.asid();
                    running.borrow_mut()[core] = Some((asid, number));
                    let others = *running.borrow();
                    let clash = others
                        .iter()
                        .flatten()
                        .any(|&(a, n)| a == asid && n != number);
                    clashes.set(clashes.get() + u32::from(clash));
                    for _ in 0..3 {
                        let value = w.threads[core].user_load(VA, Double).await;
                        assert_eq!(value, Ok(100 + number as u64), "seed {seed}");
                    }
                }
            });
        }
        let end = scheduler.run(1_000_000);
        assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
        drop(scheduler);
        assert_eq!(clashes.get(), 0, "seed {seed}");
        rollovers += world.rollovers();
        Rc::into_inner(world).expect("no task is left").finish();
    }
    assert!(rollovers > 200, "{rollovers}");
}
