// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A run of the model from its beginning to its end.

use crate::step::{Setup, Step};
use crate::world::{Failure, World};
use std::collections::BTreeMap;

/// What the kernels of many runs did, by the names of their counters.
pub type Counts = BTreeMap<&'static str, u64>;

/// Runs the steps, audits everything, and takes it down; the failure says which step it came with.
pub fn run(setup: &Setup, steps: &[Step], counts: &mut Counts) -> Result<(), Failure> {
    let mut world = World::new(setup, |core| core);
    for (index, step) in steps.iter().enumerate() {
        world
            .step(step)
            .map_err(|failure| format!("step {index}, {step:?}: {failure}"))?;
    }
    world.check()?;
    world.check_end()?;
    for (name, count) in world.kernel.counters.all() {
        *counts.entry(name).or_default() += count;
    }
    Ok(())
}

/// A number that the environment chooses.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
