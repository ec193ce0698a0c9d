// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Invalidation messages between distant cores: what they take, and that nobody waits for ever.

use cosim::dut::memory::node_base;
use cosim::dut::ports::{CoreRequest, Counter, Delays, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{DsbKind, Tlbi, TlbiScope};

use super::setting::{CLOCK_PS, clocks, first_cores, info, load, quiet, quiet_node, store, with};
use crate::invalidation::record::{Record, cores};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "dvm-distance",
        purpose: "an INV takes H(i,j) to a remote core, a SYNC that and the way back, and the counters of the DSB say so",
        requirements: &["DVM-10", "DVM-14", "NOC-02"],
        run: distance,
    },
    Testbench {
        name: "dvm-distant-storm",
        purpose: "all cores store, invalidate and wait at once over long links, with delays: all end, in order",
        requirements: &["DVM-05", "DVM-06", "DVM-07", "DVM-08"],
        run: storm,
    },
];

const OPERATION: Tlbi = Tlbi::vmalle1(TlbiScope::InnerShareable);

/// H(i,j) for DDR4-2666 at the home.
fn whole(distance: u8, unit_ps: u64) -> u64 {
    let dram = quiet_node().dram;
    let service = clocks(dram.t_rcd) + clocks(dram.cl) + clocks(dram.burst);
    u64::from(distance) * unit_ps / CLOCK_PS - service
}

fn distance(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    if shape.cpu_nodes < 2 {
        return Ok(());
    }
    // Clocks of a DSB with a SYNC when nothing is far.
    let mut flat = [0; 2];
    for (unit, there, back) in [
        (0, 17, 17),
        (9_000, 17, 17),
        (9_000, 30, 12),
        (12_000, 11, 50),
    ] {
        let mut config = quiet(bench)?;
        config.latency_unit_ps = unit;
        (config.distance[0][1], config.distance[1][0]) = (there, back);
        with(bench, config)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let ways = match unit {
            0 => [0; 2],
            unit => [whole(there, unit), whole(back, unit)],
        };
        let wanted = flat;
        flat = bench.run(async move |_| {
            let pair = first_cores(&handle);
            let mut lasted = [0; 2];
            for (own, core) in pair.iter().enumerate() {
                // The second-level TLB has come out of reset.
                handle.sleep(2000).await;
                record.clear();
                core.access(CoreRequest::tlbi(OPERATION))
                    .await
                    .succeeds("DVM-10")?;
                handle.sleep(2000).await;
                let effect = |of: usize| {
                    let effects = record.effects(pair[of].index());
                    effects.first().map_or(0, |&(cycle, _)| cycle)
                };
                let came = effect(1 - own).saturating_sub(effect(own));
                expect("DVM-10", came == ways[own], || {
                    format!(
                        "an INV of node {own} took {came} clocks more to the other, not {}",
                        ways[own]
                    )
                })?;
                let index = usize::from(core.index());
                let waited = handle.counter(index, Counter::DsbWait);
                core.access(CoreRequest::dsb(DsbKind::SY))
                    .await
                    .succeeds("DVM-10")?;
                let waited = handle.counter(index, Counter::DsbWait) - waited;
                let answers = record.answers(core.index(), OpCode::Dsb);
                lasted[own] = answers[0].at - answers[0].asked;
                if unit > 0 {
                    let least = wanted[own] + ways[0] + ways[1];
                    expect("DVM-10", lasted[own] == least, || {
                        format!(
                            "a DSB of node {own} took {} clocks, not {least}",
                            lasted[own]
                        )
                    })?;
                    expect(
                        "DVM-10",
                        waited >= ways[0] + ways[1] && waited <= lasted[own],
                        || format!("DSB_WAIT counts {waited} of {} clocks", lasted[own]),
                    )?;
                }
                // Nothing was invalidated since: no message, so no distance.
                record.clear();
                core.access(CoreRequest::dsb(DsbKind::SY))
                    .await
                    .succeeds("DVM-14")?;
                let answers = record.answers(core.index(), OpCode::Dsb);
                let short = answers[0].at - answers[0].asked;
                let quiet = record.syncs(core.index()).is_empty();
                expect("DVM-14", short <= 8 && quiet, || {
                    format!("a DSB behind no operation took {short} clocks")
                })?;
            }
            Ok(lasted)
        })?;
        if unit > 0 {
            flat = wanted;
        }
    }
    Ok(())
}

fn storm(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 12;
    const OPERATIONS: u64 = 10;
    let shape = info(bench)?;
    for (seed, delay) in [Delays::NONE, Delays::ALL, Delays::DVM]
        .into_iter()
        .enumerate()
    {
        let mut config = quiet(bench)?;
        config.latency_unit_ps = 20_000;
        bench.restart()?;
        bench.setup().straps.delay = delay;
        bench.setup().straps.delay_seed = 5 + seed as u16;
        with(bench, config)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |_| {
            let mut tasks = Vec::new();
            for core in cores(&handle) {
                tasks.push(handle.spawn(async move {
                    let own = 0x1000 * u64::from(core.index());
                    for round in 0..ROUNDS {
                        let mut pending = Vec::new();
                        for i in 0..OPERATIONS {
                            let node = ((round + i) % u64::from(shape.nodes)) as u8;
                            let place = node_base(node) + own + 64 * round + 8 * (i % 8);
                            pending.push(core.issue(store(place, round)));
                            pending.push(core.issue(CoreRequest::tlbi(OPERATION)));
                            pending.push(core.issue(load(place)));
                        }
                        pending.push(core.issue(CoreRequest::dsb(DsbKind::SY)));
                        for one in pending {
                            one.await.succeeds("DVM-06")?;
                        }
                    }
                    Ok::<(), Failure>(())
                }));
            }
            for task in tasks {
                task.await?;
            }
            for at in 0..shape.cores {
                let effects = record.effects(at);
                for source in 0..shape.cores {
                    let tags: Vec<u8> = (effects.iter())
                        .filter(|(_, effect)| effect.source == source)
                        .map(|(_, effect)| effect.tag)
                        .collect();
                    let wanted: Vec<u8> = (0..ROUNDS * OPERATIONS).map(|tag| tag as u8).collect();
                    expect("DVM-08", tags == wanted, || {
                        format!("core {at} showed of core {source} {tags:?}")
                    })?;
                }
                let syncs = record.syncs(at);
                let done: Vec<u64> = (record.messages(at).iter())
                    .filter(|(_, event)| event.sync_done)
                    .map(|&(cycle, _)| cycle)
                    .collect();
                // One SYNC a round, the next one after the last is done.
                let alone = syncs
                    .iter()
                    .skip(1)
                    .zip(&done)
                    .all(|(next, done)| done < next);
                expect("DVM-07", syncs.len() as u64 == ROUNDS && alone, || {
                    format!("core {at}: SYNCs at {syncs:?}, done at {done:?}")
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
