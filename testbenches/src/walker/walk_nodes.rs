// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which node serves the walks of a core: counted descriptor by descriptor, and held to a node where a
//! test says so, as replicated tables will need it.

use cosim::check::Expectation;
use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure, Testbench};
use vmsa::{Descriptor, El, Granule, Ttbr, VaRange};

use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::watch::expect;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "walk-nodes",
        purpose: "each descriptor read is counted for the node that served it; a copy of the tables on each node keeps walks there",
        requirements: &["ORD-20", "UREPL-01"],
        run: near,
    },
    Testbench {
        name: "walk-nodes-left",
        purpose: "a walk that leaves the node it is held to is reported, read by read",
        requirements: &["UREPL-01"],
        run: far,
    },
];

const VA: u64 = 0x0123_4567_8000;
const PA: u64 = 0x8000_0000;
/// Tables of one level lie this far apart, those of one node a page.
const TABLES: u64 = 0x5000_0000;
const LEVEL: u64 = 0x10_0000;
const LEVELS: u64 = 4;

/// The table of `level` on `node`.
fn table(level: u64, node: u8) -> u64 {
    TABLES + level * LEVEL + u64::from(node) * 4096
}

/// Loads a copy of the tables on each node. All of them map VA to the same page.
fn load(bench: &mut Bench, nodes: u8) -> Result<(), Failure> {
    for node in 0..nodes {
        for level in 0..LEVELS as u8 {
            let place = u64::from(level);
            let index = vmsa::geometry::index(Granule::K4, 48, level, VA);
            let entry = match level {
                3 => user_rw(Granule::K4, 3, PA),
                _ => Descriptor::table(table(place + 1, node)),
            };
            bench.load(table(place, node) + 8 * index, &[entry.0])?;
        }
    }
    Ok(())
}

/// The regime of the copy on `node`.
fn regime(node: u8) -> Regime {
    let default = Regime::default();
    Regime {
        ttbr0: Ttbr::new(1, table(0, node)),
        tcr: default.tcr.with_epd(VaRange::Lower, false),
        ..default
    }
}

fn near(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 5;
    let info = *bench.handle()?.info();
    load(bench, info.nodes)?;
    let monitor = bench.checkers()?.walk_nodes;
    for node in 0..info.nodes {
        monitor
            .borrow_mut()
            .confine("UREPL-01", VA..=VA + 0xfff, node);
    }
    for number in 0..info.cores {
        let core = bench.core(usize::from(number))?;
        let own = info.node_of_core(number);
        bench.run(async move |_| {
            regime(own).enter(&core).await;
            for _ in 0..ROUNDS {
                flush(&core).await;
                core.access(CoreRequest::load(VA, 3, El::El0)).await;
            }
            Ok(())
        })?;
        let counts: Vec<u64> = (0..info.nodes)
            .map(|node| monitor.borrow().served(number, node))
            .collect();
        let exact = (0..info.nodes)
            .zip(&counts)
            .all(|(node, &count)| count == if node == own { ROUNDS * LEVELS } else { 0 });
        expect("UREPL-01", exact, || {
            format!("core {number} of node {own} had its descriptors from nodes {counts:?}")
        })?;
    }
    Ok(())
}

fn far(bench: &mut Bench) -> Result<(), Failure> {
    let info = *bench.handle()?.info();
    if info.nodes < 2 {
        return Ok(());
    }
    load(bench, info.nodes)?;
    let monitor = bench.checkers()?.walk_nodes;
    monitor.borrow_mut().confine("UREPL-01", VA..=VA + 0xfff, 0);
    // Root and pages near, the two tables between far.
    let index = |level| vmsa::geometry::index(Granule::K4, 48, level, VA);
    bench.load(
        table(0, 0) + 8 * index(0),
        &[Descriptor::table(table(1, 1)).0],
    )?;
    bench.load(
        table(2, 1) + 8 * index(2),
        &[Descriptor::table(table(3, 0)).0],
    )?;
    let expected = Expectation::of("UREPL-01")
        .by("walk nodes")
        .within(VA..=VA + 0xfff);
    bench.expect_violation(expected.times(2))?;
    bench.run(async move |core| {
        regime(0).enter(&core).await;
        core.access(CoreRequest::load(VA, 3, El::El0)).await;
        Ok(())
    })?;
    let split = monitor.borrow().near_and_far(0);
    expect("UREPL-01", split == [2, 2], || {
        format!("descriptors near and far: {split:?}")
    })
}
