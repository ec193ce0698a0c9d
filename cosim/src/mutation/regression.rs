// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The standard regression that every mutant meets, in order: what is cheap and meets much comes first.

use std::sync::OnceLock;

use crate::dut::memory::MemorySystem;
use crate::dut::ports::Straps;
use crate::dut::strap_setting;
use crate::regress::context::Recording;
use crate::regress::interrupt::Interrupt;
use crate::regress::runner::{self, Job, JobResult};
use crate::regress::testbench::{MUTATED, PLANTS, Testbench, find};

/// One kind of run of the regression besides each registered testbench as it comes.
struct Extra {
    testbench: &'static str,
    /// Seeds, the last one included.
    seeds: (u64, u64),
    cycles: Option<u64>,
    straps: &'static [&'static str],
}

/// Meets nearly every mechanism in a few thousand cycles.
const FIRST: &[Extra] = &[
    Extra {
        testbench: "exercise",
        seeds: (1, 1),
        cycles: None,
        straps: &[],
    },
    Extra {
        testbench: "random",
        seeds: (1, 1),
        cycles: Some(20_000),
        straps: &[],
    },
];

/// Testbenches that take more than 100 000 cycles: they come after all others.
const LONG: &[&str] = &[
    "access-flag-other-bits",
    "address-size",
    "asid-source",
    "bbm-left-out",
    "bbm-not-needed",
    "bbm-table-reuse",
    "bbm-update",
    "cache-controls",
    "cancel-demand",
    "cancel-prefetch",
    "counter-relations",
    "descriptor-races",
    "dsb-kinds",
    "dvm-busy-core",
    "ets2-own-store",
    "fault-injection",
    "fault-priority",
    "geometry-blocks",
    "geometry-pages",
    "ignored-table-bits",
    "l2-fill-waits",
    "leaf-places",
    "memory-attributes",
    "permission-limits",
    "permissions",
    "prefetch-context",
    "random",
    "stress",
    "stress-errors",
    "sync-waits",
    "tlbi-hints-second-level",
    "tlbi-leaf-size",
    "tlbi-meets-walk",
    "tlbi-range-length",
    "tlbi-range-removal",
    "tlbi-range-upper",
    "update-beside-read",
    "update-race",
    "walk-results-dropped",
];

/// After the registered testbenches: other straps, other seeds. The random load draws its straps from
/// the seed.
const LAST: &[Extra] = &[
    strapped(&["ets=0", "delay=all"]),
    strapped(&["conflict-abort=on", "bbml=0"]),
    strapped(&["asid8=on", "bbml=1"]),
    strapped(&["walkers=1", "walk-caches=off"]),
    strapped(&["contiguous=off", "hafdbs=1"]),
    strapped(&["hafdbs=0", "l2-sets=1"]),
    Extra {
        testbench: "random",
        seeds: (2, 9),
        cycles: Some(100_000),
        straps: &[],
    },
    Extra {
        testbench: "fault-injection",
        seeds: (2, 5),
        cycles: Some(100_000),
        straps: &[],
    },
];

const fn strapped(straps: &'static [&'static str]) -> Extra {
    Extra {
        testbench: "exercise",
        seeds: (1, 1),
        cycles: None,
        straps,
    }
}

/// A run may take this many times the cycles that it takes without a mutant, and [`SLACK`] more.
const PATIENCE: u64 = 4;
/// Longer than the watchdog of a request, whose report says more than that time is up.
const SLACK: u64 = 150_000;

/// One run of the regression, and what it does without a mutant.
pub struct Run<'a> {
    job: Job<'a>,
    unmutated: OnceLock<JobResult>,
}

impl<'a> Run<'a> {
    /// The run without a mutant, done at first use.
    pub fn unmutated(&self, interrupt: &Interrupt) -> &JobResult {
        self.unmutated
            .get_or_init(|| runner::attempt(&self.job, Recording::default(), false, interrupt))
    }

    /// The job with mutant `plant` in force: as long as `unmutated` if the testbench takes `--cycles` as
    /// its length, else with a budget for each of its simulations.
    #[must_use]
    pub fn with(&self, plant: &'static cosim_bridge::PlantInfo, unmutated: &JobResult) -> Job<'a> {
        let budget = unmutated
            .cycles
            .saturating_mul(PATIENCE)
            .saturating_add(SLACK);
        Job {
            plant: Some(plant),
            cycles: Some(unmutated.length.unwrap_or(budget)),
            ..self.job.clone()
        }
    }

    /// What runs.
    #[must_use]
    pub fn job(&self) -> &Job<'a> {
        &self.job
    }
}

/// The runs of the standard regression over `registry`, in order; with `short` only those that come
/// first, up to the long testbenches.
///
/// # Errors
/// When a testbench that it names is not registered or a strap is wrong.
pub fn standard(registry: &[Testbench], short: bool) -> Result<Vec<Run<'_>>, String> {
    let mut runs = Vec::new();
    extend(&mut runs, FIRST, registry)?;
    for name in LONG {
        registered(name, registry)?;
    }
    let named = |name| {
        FIRST
            .iter()
            .any(|extra| extra.testbench == name && extra.cycles.is_none())
    };
    let (long, brief): (Vec<_>, Vec<_>) = registry
        .iter()
        .filter(|testbench| testbench.name != PLANTS && !named(testbench.name))
        .partition(|testbench| LONG.contains(&testbench.name));
    for testbench in brief {
        runs.push(run(testbench, 1, None, &[])?);
    }
    if short {
        return Ok(runs);
    }
    for testbench in long {
        runs.push(run(testbench, 1, None, &[])?);
    }
    extend(&mut runs, LAST, registry)?;
    Ok(runs)
}

fn extend<'a>(
    runs: &mut Vec<Run<'a>>,
    extras: &[Extra],
    registry: &'a [Testbench],
) -> Result<(), String> {
    for extra in extras {
        let testbench = registered(extra.testbench, registry)?;
        for seed in extra.seeds.0..=extra.seeds.1 {
            runs.push(run(testbench, seed, extra.cycles, extra.straps)?);
        }
    }
    Ok(())
}

fn registered<'a>(name: &str, registry: &'a [Testbench]) -> Result<&'a Testbench, String> {
    find(registry, name).map_err(|_| {
        format!("the standard regression needs a testbench `{name}`, which is not registered")
    })
}

fn run<'a>(
    testbench: &'a Testbench,
    seed: u64,
    cycles: Option<u64>,
    straps: &[&str],
) -> Result<Run<'a>, String> {
    let settings: Vec<String> = straps.iter().map(ToString::to_string).collect();
    Ok(Run {
        job: Job {
            testbench,
            config: MUTATED.to_owned(),
            seed,
            plant: None,
            cycles,
            memory: MemorySystem::Default,
            straps: strap_setting::apply(Straps::default(), &settings)?,
            settings,
        },
        unmutated: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regress::{Bench, Failure};

    fn takes_a_length(bench: &mut Bench) -> Result<(), Failure> {
        bench.count("length", bench.cycles_or(7_000));
        Ok(())
    }

    fn has_its_own(_: &mut Bench) -> Result<(), Failure> {
        Ok(())
    }

    /// Cycles that a run of `body` is given with a mutant in force.
    fn given(body: fn(&mut Bench) -> Result<(), Failure>, cycles: Option<u64>) -> Option<u64> {
        let testbench = Testbench {
            name: "t",
            purpose: "",
            requirements: &[],
            run: body,
        };
        let run = run(&testbench, 1, cycles, &[]).unwrap();
        let unmutated = run.unmutated(&Interrupt::new());
        run.with(&cosim_bridge::plants()[0], unmutated).cycles
    }

    #[test]
    fn a_mutant_meets_a_run_as_long_as_without_it() {
        assert_eq!(given(takes_a_length, None), Some(7_000));
        assert_eq!(given(takes_a_length, Some(20_000)), Some(20_000));
        assert_eq!(given(has_its_own, None), Some(SLACK));
    }

    #[test]
    fn a_regression_of_testbenches_that_are_gone_is_refused() {
        let error = standard(&[], false).err();
        assert!(error.is_some_and(|error| error.contains("not registered")));
    }
}
