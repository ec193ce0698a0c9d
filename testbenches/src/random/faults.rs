// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Error injection: while the random accesses go on, descriptor words and data words of the current
//! address space answer with errors for a while.

use std::rc::Rc;

use cosim::regress::{Bench, Failure};
use cosim::sim::ErrorOn;
use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::os::Os;
use super::{CYCLES, Load, tables};

/// The random load with marks.
pub fn fault_injection(bench: &mut Bench) -> Result<(), Failure> {
    let cycles = bench.cycles_or(CYCLES);
    let load = Load::new(bench, cycles)?;
    load.start(bench)?;
    let (os, rng) = (Rc::clone(&load.os), bench.rng("errors"));
    load.handle.spawn(inject(os, rng));
    bench.run_load(cycles)?;
    bench.count("errors answered", load.handle.errors_given());
    load.finish(bench)
}

/// Marks words again and again. The operating system does not edit meanwhile: it has no handler for
/// an abort on its own tables.
async fn inject(os: Rc<Os>, mut rng: Pcg64Mcg) {
    let handle = os.handle().clone();
    while !os.winding_up() {
        handle.sleep(rng.random_range(100..3000)).await;
        while !os.pause(true) && !os.winding_up() {
            handle.sleep(50).await;
        }
        let mut marked = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let Some(mapping) = os.aim(0, &mut rng) else {
                continue;
            };
            let (root, format) = os.tree(0);
            if rng.random_bool(0.6) {
                let path = tables::path(&handle, &format, root, mapping.va);
                marked.push(path[rng.random_range(0..path.len())]);
            } else {
                marked.push(mapping.pa + 8 * rng.random_range(0..4));
            }
        }
        for &word in &marked {
            let on = [ErrorOn::Reads, ErrorOn::Writes, ErrorOn::Both][rng.random_range(0..3)];
            let times = rng.random_bool(0.5).then(|| rng.random_range(1..4));
            handle.mark_error(word, on, times);
        }
        handle.sleep(rng.random_range(100..2000)).await;
        marked.iter().for_each(|&word| handle.clear_error(word));
        os.pause(false);
    }
}
