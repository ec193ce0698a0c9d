// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Steps as the body of a directed testbench.

use super::{Step, When, replay};
use crate::check::any_misuse;
use crate::regress::{Bench, Failure};

/// Takes `steps` on the simulation of `bench`, whose memory is loaded already, and waits until all are
/// done. Checkers judge; nothing else is expected.
///
/// ```no_run
/// use cosim::dut::ports::CoreRequest;
/// use cosim::regress::{Bench, Failure};
/// use cosim::stimulus::{Step, When, play};
/// use vmsa::El;
///
/// fn body(bench: &mut Bench) -> Result<(), Failure> {
///     bench.load(0x8000, &[7])?;
///     let load = CoreRequest::load(0x8000, 3, El::El1);
///     play(bench, &[Step::serial(0, load), Step::serial(0, load).when(When::Behind)])
/// }
/// ```
///
/// # Errors
/// A broken requirement, a timeout, or when the configuration has fewer cores than the steps name.
pub fn play(bench: &mut Bench, steps: &[Step]) -> Result<(), Failure> {
    for core in steps.iter().filter_map(Step::core) {
        bench.core(usize::from(core))?;
    }
    let end = steps.iter().fold(0, |end, step| match step.when {
        When::At(cycle) => end.max(cycle),
        _ => end,
    });
    let handle = bench.handle()?;
    // Hardware is on trial, not the software that the steps come from.
    for expectation in any_misuse() {
        handle.expect_violation(expectation);
    }
    replay::spawn(&handle, steps, end);
    bench.run_tasks()
}
