// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Errors: nodes out of reach, addresses without a home, and marked words answer with an error, change
//! nothing, and hold nobody up.

use cosim::dut::memory::{MemorySystem, UNREACHABLE, node_base};
use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Fsc, Granule};

use super::setting::{first_cores, info, load, quiet, store, with};
use crate::stage1::external_abort;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "memory-out-of-reach",
        purpose: "accesses and walks to a node at distance 255, or to an address without a home, are aborted",
        requirements: &["NOC-03"],
        run: out_of_reach,
    },
    Testbench {
        name: "memory-errors",
        purpose: "marked words abort accesses, walks and updates behind links and controllers, and keep their value",
        requirements: &["MEM-11", "VMSA-50", "WALK-10", "WALK-12"],
        run: marked,
    },
];

/// External abort, not on a walk.
const ABORT: Fsc = Fsc(0x10);
const HELD: u64 = 0x0123_4567_89ab_cdef;
/// Clocks within which a refusal comes: there is nothing to wait for.
const SOON: u64 = 40;

fn out_of_reach(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    if shape.nodes < 2 {
        return Ok(());
    }
    let far = shape.nodes - 1;
    for hole in [false, true] {
        let mut config = quiet(bench)?;
        config.latency_unit_ps = 9_000;
        let bad = match hole {
            // What is dealt out to all ends before the spans of the nodes begin.
            true => {
                config.map.entries[usize::from(shape.nodes)].end = node_base(0);
                node_base(shape.nodes)
            }
            false => {
                config.distance[0][usize::from(far)] = UNREACHABLE;
                node_base(far)
            }
        };
        let good = node_base(0);
        with(bench, config)?;
        // Translated later: one leaf and one table that cannot be had.
        let mut tree = Tree::new(Lower, Granule::K4, 39, good + (1 << 30));
        let [plain, leaf, table] = [0x4000_0000, 0x4000_1000, 0x8000_0000];
        tree.map(plain, 3, user_rw(Granule::K4, 3, good));
        tree.map(leaf, 3, user_rw(Granule::K4, 3, bad));
        tree.map(table, 2, Descriptor::table(bad));
        tree.load(bench)?;
        bench.load(bad, &[HELD; 4])?;
        bench.load(good, &[1, 2, 3, 4])?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            let refused = [
                load(bad),
                store(bad, 1),
                CoreRequest::cas(bad, El::El1, HELD, 1),
                CoreRequest::fetch(bad, El::El1),
            ];
            for request in refused {
                let asked = handle.now();
                let answer = core.access(request).await;
                on(request, answer.faults("NOC-03", ABORT))?;
                let came = handle.now() - asked;
                expect("NOC-03", came <= SOON, || {
                    format!("{request} was refused after {came} clocks")
                })?;
            }
            // Good ones and bad ones under way at once: each gets its own answer.
            let both: Vec<_> = (0..48u64)
                .map(|i| match i % 3 {
                    0 => (core.issue(load(bad + 8 * i)), None),
                    _ => (core.issue(load(good + 8 * (i % 4))), Some(1 + i % 4)),
                })
                .collect();
            for (access, wanted) in both {
                let answer = access.await;
                match wanted {
                    Some(wanted) => answer.reads("NOC-03", wanted)?,
                    None => answer.faults("NOC-03", ABORT)?,
                }
            }
            // Who reaches it finds it as it was.
            if !hole {
                let near = first_cores(&handle).pop().unwrap_or(core.clone());
                if shape.cpu_nodes > 1 {
                    near.access(load(bad)).await.reads("NOC-03", HELD)?;
                }
            }
            let held = handle.peek(bad);
            expect("NOC-03", held == HELD, || format!("memory holds {held:#x}"))?;
            Regime::default().with(&tree, 1).enter(&core).await;
            for _ in 0..2 {
                for (va, fault) in [(leaf, ABORT), (table, Fsc(0x17))] {
                    for request in [load(va), store(va, 1), CoreRequest::cas(va, El::El1, 0, 1)] {
                        on(request, core.access(request).await.faults("NOC-03", fault))?;
                    }
                }
                core.access(load(plain)).await.reads("NOC-03", 1)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn marked(bench: &mut Bench) -> Result<(), Failure> {
    for system in [MemorySystem::Ddr4, MemorySystem::Ddr5, MemorySystem::Random] {
        for body in [
            external_abort::on_access,
            external_abort::on_walk,
            external_abort::on_update,
        ] {
            bench.restart()?;
            bench.setup().memory_system = system.clone();
            body(bench)?;
        }
    }
    Ok(())
}
