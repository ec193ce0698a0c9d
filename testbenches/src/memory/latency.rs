// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The latency of one access to an idle system: by distance, by the state of the row, and through the
//! port of a slow tier.

use cosim::dut::memory::{DramTiming, MAX_NODES, MemoryConfig, NodeTiming, Port, Tail, node_base};
use cosim::regress::{Bench, Failure, Testbench};
use rand::Rng;

use super::setting::{
    BESIDE, CLOCK_PS, IDLE, LONGEST_PS, Rows, clocks, first_cores, info, lasts, load, quiet,
    quiet_node, store, with,
};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "memory-distance",
        purpose: "an isolated read takes what the distance table says, for many tables set at run time",
        requirements: &["NOC-01", "NOC-02", "MEM-23"],
        run: distances,
    },
    Testbench {
        name: "memory-rows",
        purpose: "an isolated read of an open, a closed and another row takes what DRAM timing says",
        requirements: &["MEM-03"],
        run: rows,
    },
    Testbench {
        name: "memory-forwarding",
        purpose: "a read of a line whose write is queued gets the data written, and does not wait for DRAM",
        requirements: &["MEM-04"],
        run: forwarding,
    },
    Testbench {
        name: "memory-slow-port",
        purpose: "the port of a slow tier adds its delay each way",
        requirements: &["MEM-13"],
        run: slow_port,
    },
    Testbench {
        name: "memory-slow-bandwidth",
        purpose: "a slow tier limits reads and writes, each for itself",
        requirements: &["MEM-13"],
        run: slow_bandwidth,
    },
];

/// Latency of one unit of distance: 9 ns.
const UNIT_PS: u64 = 9_000;

fn distances(bench: &mut Bench) -> Result<(), Failure> {
    const TABLES: usize = 6;
    let shape = info(bench)?;
    let mut rng = bench.rng("distances");
    for table in 0..TABLES {
        let mut config = quiet(bench)?;
        config.latency_unit_ps = UNIT_PS + 1_000 * (table as u64 % 3);
        if table > 0 {
            for distance in config.distance.iter_mut().flatten() {
                *distance = rng.random_range(10..60);
            }
        }
        let unit = config.latency_unit_ps;
        let distance = config.distance;
        with(bench, config)?;
        let handle = bench.handle()?;
        bench.run(async move |_| {
            for (from, core) in first_cores(&handle).into_iter().enumerate() {
                for to in 0..shape.nodes {
                    handle.sleep(IDLE).await;
                    let came = lasts(&handle, &core, load(node_base(to))).await;
                    let wanted = u64::from(distance[from][usize::from(to)]) * unit / CLOCK_PS;
                    expect("NOC-01", came.abs_diff(wanted) <= 1, || {
                        format!("node {from} reads node {to} in {came} clocks, not {wanted}")
                    })?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A node of `dram` without refresh.
fn node(dram: DramTiming) -> NodeTiming {
    let mut node = quiet_node();
    node.dram = dram;
    node.dram.t_refi = LONGEST_PS;
    node
}

/// `config` with `node` at every node.
fn everywhere(mut config: MemoryConfig, node: NodeTiming) -> MemoryConfig {
    config.nodes = [Some(node); MAX_NODES];
    config
}

fn rows(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    let mut odd = DramTiming::DDR5_4800;
    (odd.cl, odd.t_rcd, odd.t_rp, odd.burst) = (9_100, 21_900, 30_400, 700);
    for dram in [DramTiming::DDR4_2666, DramTiming::DDR5_4800, odd] {
        let config = everywhere(quiet(bench)?, node(dram));
        with(bench, config)?;
        let handle = bench.handle()?;
        let hit = BESIDE + clocks(dram.cl) + clocks(dram.burst);
        let closed = hit + clocks(dram.t_rcd);
        let conflict = closed + clocks(dram.t_rp);
        bench.run(async move |core| {
            let rows = Rows::of(&shape, 0);
            for round in 0..3 {
                handle.sleep(IDLE).await;
                let steps = [
                    ("closed", rows.line(2 * round, 0), closed),
                    ("hit", rows.line(2 * round, 1), hit),
                    ("hit", rows.line(2 * round, 0), hit),
                    ("conflict", rows.line(2 * round + 1, 3), conflict),
                    ("hit", rows.line(2 * round + 1, 2), hit),
                ];
                for (kind, address, wanted) in steps {
                    // tRAS, tRTP and tRC are over.
                    handle.sleep(150).await;
                    let came = lasts(&handle, &core, load(address)).await;
                    expect("MEM-03", came == wanted, || {
                        format!("{kind}: {came} clocks, not {wanted}")
                    })?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn forwarding(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    let config = quiet(bench)?;
    with(bench, config)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let rows = Rows::of(&shape, 0);
        let dram = quiet_node().dram;
        let hit = BESIDE + clocks(dram.cl) + clocks(dram.burst);
        for round in 0..4u64 {
            handle.sleep(IDLE).await;
            let (line, data) = (rows.line(round, 0), 0x1111 * (round + 1));
            core.access(store(line, data)).await;
            for (word, wanted) in [(line, data), (line + 8, 0)] {
                let asked = handle.now();
                let answer = core.access(load(word)).await;
                let came = handle.now() - asked - 1;
                expect("MEM-04", answer.data == wanted, || {
                    format!("{word:#x} reads {:#x}, not {wanted:#x}", answer.data)
                })?;
                // Next clock instead of CL and burst.
                expect("MEM-04", came == BESIDE + 1, || {
                    format!("forwarded in {came} clocks, an open row takes {hit}")
                })?;
            }
            // Once it is written, DRAM is read; the drain of old writes leaves the row open.
            handle.sleep(clocks(quiet_node().write_age_ps) + 200).await;
            let came = lasts(&handle, &core, load(line)).await;
            expect("MEM-04", came >= hit, || {
                format!("{came} clocks after the write left the queue")
            })?;
        }
        Ok(())
    })
}

fn slow_port(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    for delay_ps in [0, 500, 10_000, 25_000, 60_000] {
        let mut slow = quiet_node();
        slow.port = Some(Port {
            delay_ps,
            credits: 32,
            read_rate: 0,
            write_rate: 0,
            tail: Tail::default(),
        });
        let config = everywhere(quiet(bench)?, slow);
        with(bench, config)?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            handle.sleep(IDLE).await;
            let rows = Rows::of(&shape, shape.nodes - 1);
            let dram = slow.dram;
            let closed = BESIDE + clocks(dram.t_rcd) + clocks(dram.cl) + clocks(dram.burst);
            let came = lasts(&handle, &core, load(rows.line(0, 0))).await;
            // The way in takes a clock also without a delay.
            let port = 2 * clocks(delay_ps) - u64::from(delay_ps > 0);
            expect("MEM-13", came == closed + port, || {
                format!(
                    "{came} clocks with {delay_ps} ps each way, not {}",
                    closed + port
                )
            })
        })?;
    }
    Ok(())
}

fn slow_bandwidth(bench: &mut Bench) -> Result<(), Failure> {
    const COUNT: u64 = 60;
    /// What the port lets pass at once.
    const BURST: u64 = 256;
    let shape = info(bench)?;
    for (read_rate, write_rate) in [(0, 0), (512, 0), (0, 512), (512, 1024)] {
        let mut slow = quiet_node();
        slow.port = Some(Port {
            delay_ps: 10_000,
            credits: 32,
            read_rate,
            write_rate,
            tail: Tail::default(),
        });
        let config = everywhere(quiet(bench)?, slow);
        with(bench, config)?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            let rows = Rows::of(&shape, 0);
            for (kind, rate) in [("reads", read_rate), ("writes", write_rate)] {
                handle.sleep(3000).await;
                let begun = handle.now();
                // Two lines in turn: row hits, or writes that become two entries of the queue.
                let request = |i: u64| match kind {
                    "reads" => load(rows.line(0, i % 2)),
                    _ => store(rows.line(0, i % 2), i),
                };
                let pending: Vec<_> = (0..COUNT).map(|i| core.issue(request(i))).collect();
                for access in pending {
                    access.await;
                }
                let came = handle.now() - begun;
                let paid = (COUNT * 64).saturating_sub(BURST + 64) * 256;
                let least = paid.checked_div(u64::from(rate)).unwrap_or(0);
                let free = 12 * COUNT + 200;
                let most = (COUNT * 64 * 256).checked_div(u64::from(rate)).unwrap_or(0) + free;
                expect("MEM-13", (least..=most).contains(&came), || {
                    format!("{COUNT} {kind} took {came} clocks at {rate} of 256 bytes a clock: {least} to {most}")
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
