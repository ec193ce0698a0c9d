// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Constrained-random stress: every core edits live tables and makes accesses, with no operating
//! system that would keep the rules.
//!
//! [`random`](crate::random) is a well-behaved kernel on core 0. Here each core is an editor of its
//! own: with break-before-make and without, under a lock of the region and in races for one
//! descriptor, by plain store and by compare-and-swap; it switches address spaces of every granule,
//! gives ASIDs to other tables with and without the invalidation that this needs, and invalidates by
//! every form there is. The load expects nothing: whatever it does, the checkers know which answers
//! are permitted.

mod access;
mod context;
mod edit;
mod errors;
mod figures;
mod invalidate;
mod leaf;
mod region;
mod world;

use std::rc::Rc;

use cosim::check::any_misuse;
use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure, Testbench};
use vmsa::DsbKind;

use self::access::Traffic;
use self::context::Contexts;
use self::edit::Editor;
use self::figures::Figures;
use self::world::World;
use crate::random::setup;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "stress",
        purpose: "every core edits live tables, with break-before-make, without, and in races; --cycles sets the length",
        requirements: &[
            "ORD-01", "BBM-01", "BBM-03", "BBM-04", "TLBI-01", "TLBI-28", "MEM-14",
        ],
        run: stress,
    },
    Testbench {
        name: "stress-errors",
        purpose: "the same while words of tables and of data answer with errors",
        requirements: &["ORD-01", "MEM-11", "VMSA-55", "WALK-12"],
        run: stress_errors,
    },
];

/// Cycles of a run unless `--cycles` says otherwise.
const CYCLES: u64 = 200_000;
/// Cycles that what is under way at the end takes with memory of common speed: with every delay there
/// is, an edit takes long.
const MARGIN: u64 = 20_000;

fn stress(bench: &mut Bench) -> Result<(), Failure> {
    run(bench, false)
}

fn stress_errors(bench: &mut Bench) -> Result<(), Failure> {
    run(bench, true)
}

fn run(bench: &mut Bench, errors: bool) -> Result<(), Failure> {
    use rand::Rng;
    let cycles = bench.cycles_or(CYCLES);
    let end = cycles.saturating_sub(MARGIN.min(cycles / 4));
    let mut rng = bench.rng("setup");
    setup::hardware(bench, &mut rng);
    bench.setup().straps.conflict_abort = rng.random_bool(0.3);
    let straps = bench.setup().straps;
    let world = Rc::new(World::new(bench, &mut rng, &straps)?);
    let handle = bench.handle()?;
    // Edits are made without break, runs are left half changed, and both meet in races.
    for expectation in any_misuse() {
        handle.expect_violation(expectation);
    }
    let figures = Rc::new(Figures::default());
    let contexts = Rc::new(Contexts::new(
        Rc::clone(&world),
        handle.cores(),
        Rc::clone(&figures),
    ));
    for index in 0..handle.cores() {
        let core = bench.core(index)?;
        let mut entry = bench.rng(&format!("entry {index}"));
        let traffic = Traffic {
            contexts: Rc::clone(&contexts),
            handle: handle.clone(),
            figures: Rc::clone(&figures),
            rng: bench.rng(&format!("traffic {index}")),
            end,
        };
        let editor = Editor {
            contexts: Rc::clone(&contexts),
            handle: handle.clone(),
            figures: Rc::clone(&figures),
            core: core.clone(),
            end,
        };
        let edits = bench.rng(&format!("edits {index}"));
        let (contexts, spawner) = (Rc::clone(&contexts), handle.clone());
        handle.spawn(async move {
            contexts.enter(&core, &mut entry).await;
            let accesses = core.clone();
            spawner.spawn(async move { traffic.run(&accesses).await });
            editor.run(edits).await;
            core.access(CoreRequest::dsb(DsbKind::SY)).await;
        });
    }
    if errors {
        let rng = bench.rng("errors");
        handle.spawn(errors::inject(
            Rc::clone(&world),
            handle.clone(),
            Rc::clone(&figures),
            rng,
            end,
        ));
    }
    bench.run_load(cycles)?;
    if errors {
        bench.count("errors answered", handle.errors_given());
    }
    for (name, count) in figures.all() {
        bench.count(name, count);
    }
    Ok(())
}
