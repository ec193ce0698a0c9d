// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Constrained-random load: an operating system that edits live tables through the MMU of core 0,
//! while every core makes accesses of every kind and invalidates at random.
//!
//! Everything is drawn from the seed: hardware straps, delays, memory timing, granules, VA sizes, what
//! is mapped where. Checkers and the scoreboard judge each answer; the load itself adds what the
//! operating system knows of its own mappings and, with one core, a flat shadow of user memory.

pub(crate) mod control;
pub(crate) mod exercise;
mod faults;
mod maintenance;
mod material;
mod os;
mod place;
pub(crate) mod setup;
mod spaces;
mod tables;
mod traffic;

use std::rc::Rc;

use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::SimHandle;

use self::os::Os;
use self::traffic::Traffic;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "random",
        purpose: "random accesses of every core while an operating system edits live tables; --cycles sets the length",
        requirements: &["ORD-01", "MEM-14", "ORD-20", "TLB-29", "DVM-05", "DVM-11"],
        run: random,
    },
    Testbench {
        name: "fault-injection",
        purpose: "the random load with table words and data words that answer with errors",
        requirements: &["MEM-11", "VMSA-55", "WALK-10", "WALK-12"],
        run: faults::fault_injection,
    },
    Testbench {
        name: "exercise",
        purpose: "meets every mechanism once, in order; what comes is for the checkers to judge",
        requirements: &[],
        run: exercise::exercise,
    },
];

/// Cycles of a run unless `--cycles` says otherwise.
const CYCLES: u64 = 200_000;
/// Cycles that the last accesses take with memory of common speed.
const MARGIN: u64 = 5_000;

fn random(bench: &mut Bench) -> Result<(), Failure> {
    let cycles = bench.cycles_or(CYCLES);
    let load = Load::new(bench, cycles)?;
    load.start(bench)?;
    bench.run_load(cycles)?;
    load.finish(bench)
}

/// The tasks of one simulation: the operating system and the accesses.
struct Load {
    os: Rc<Os>,
    traffic: Vec<Rc<Traffic>>,
    handle: SimHandle,
}

impl Load {
    /// Draws hardware and software from the seed and loads the first tables. The tasks wind up at
    /// `cycles`.
    fn new(bench: &mut Bench, cycles: u64) -> Result<Self, Failure> {
        let mut rng = bench.rng("setup");
        setup::hardware(bench, &mut rng);
        let boot = setup::software(&mut rng, bench.setup().straps);
        let handle = bench.handle()?;
        // What is in flight at the end still has to be answered: about when the budget is used up.
        let end = cycles.saturating_sub(MARGIN.min(cycles / 4));
        let os = Rc::new(Os::new(bench, &boot, end)?);
        let traffic = (0..handle.cores())
            .map(|core| {
                let rng = bench.rng(&format!("traffic {core}"));
                Rc::new(Traffic::new(Rc::clone(&os), core, rng))
            })
            .collect();
        Ok(Self {
            os,
            traffic,
            handle,
        })
    }

    /// Spawns the tasks.
    fn start(&self, bench: &mut Bench) -> Result<(), Failure> {
        let core = bench.core(0)?;
        let (os, traffic) = (Rc::clone(&self.os), Rc::clone(&self.traffic[0]));
        let edits = bench.rng("edits");
        let handle = self.handle.clone();
        self.handle.spawn(async move {
            os.enter(&core).await;
            let (user, user_core) = (Rc::clone(&traffic), core.clone());
            let accesses = handle.spawn(async move { user.run(&user_core).await });
            os.run(&core, edits).await;
            accesses.await;
        });
        for (index, traffic) in self.traffic.iter().enumerate().skip(1) {
            let (core, traffic) = (bench.core(index)?, Rc::clone(traffic));
            let rng = bench.rng(&format!("switches {index}"));
            self.handle
                .spawn(async move { traffic.join(&core, rng).await });
        }
        Ok(())
    }

    /// The verdict of the load itself, and its figures.
    fn finish(&self, bench: &mut Bench) -> Result<(), Failure> {
        let figures = self.traffic.iter().flat_map(|traffic| traffic.figures());
        for (name, count) in self.os.figures().into_iter().chain(figures) {
            bench.count(name, count);
        }
        let of_traffic = || self.traffic.iter().find_map(|traffic| traffic.failure());
        match self.os.failure().or_else(of_traffic) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}
