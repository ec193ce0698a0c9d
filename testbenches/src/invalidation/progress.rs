// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! No waiting for each other: cores that are idle, stuck behind slow memory or in a barrier of their
//! own take and answer the messages of others, and all cores invalidate at once (DVM-05 to DVM-10).

use cosim::dut::ports::{CoreRequest, Counter, Delays, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, SysReg, Tlbi, TlbiScope};

use super::record::{Record, cores, cores_in};
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "dvm-busy-core",
        purpose: "an idle, stalled or waiting core takes an INV at once and answers the SYNC",
        requirements: &["TLBI-29", "TLBI-30", "DVM-05"],
        run: busy_cores_take_messages,
    },
    Testbench {
        name: "dvm-all-at-once",
        purpose: "all cores invalidate and wait at once, for many rounds, with delays everywhere",
        requirements: &[
            "TLBI-26", "TLBI-28", "TLBI-30", "DVM-01", "DVM-06", "DVM-08", "DVM-09",
        ],
        run: everybody_at_once,
    },
    Testbench {
        name: "dvm-credits",
        purpose: "many operations without a barrier: few are outstanding, then one SYNC covers all",
        requirements: &["DVM-07", "TLBI-26"],
        run: outstanding_operations,
    },
    Testbench {
        name: "dvm-latency",
        purpose: "a message takes time to every core, and the wait for it shows in the counters",
        requirements: &["DVM-10", "DVM-03"],
        run: latency_is_counted,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const X: u64 = 0x4000_1000;
/// INVs that may be on their way at once: 4 of the sender's queue, one at the distributor, 4 in a
/// receiver's, and one for the cycle by which observation lags.
const OUTSTANDING: usize = 10;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

fn mapped(bench: &mut Bench) -> Result<Regime, Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    for page in 0..8 {
        tree.map(
            X + (page << 12),
            3,
            user_rw(Granule::K4, 3, PA + (page << 12)),
        );
    }
    tree.load(bench)?;
    Ok(Regime::default().with(&tree, 1))
}

fn busy_cores_take_messages(bench: &mut Bench) -> Result<(), Failure> {
    const SLOW: u64 = 1500;
    let store = |i: u64| CoreRequest::store(X + 8 * i, 3, El::El1, i);
    let operation = Tlbi::vae1(TlbiScope::InnerShareable, X, 1, None);
    // What keeps the other core busy; the last of it is what it is stuck at.
    let states: [(&str, Vec<CoreRequest>); 7] = [
        ("idle", vec![]),
        ("load", vec![load(X)]),
        ("stores", (0..24).map(store).collect()),
        ("walk", vec![load(X + 0x3000)]),
        ("barrier", vec![store(0), CoreRequest::dsb(DsbKind::SY)]),
        (
            "barrier behind an operation",
            vec![
                CoreRequest::tlbi(operation),
                store(1),
                CoreRequest::dsb(DsbKind::SY),
            ],
        ),
        (
            "register write behind a walk",
            vec![load(X + 0x4000), CoreRequest::msr(SysReg::Mair, 0xff)],
        ),
    ];
    for (name, requests) in states {
        bench.restart()?;
        bench.setup().memory.latency = SLOW;
        let mut regime = mapped(bench)?;
        // The register write shall change nothing.
        regime.mair = vmsa::Mair(0xff);
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |issuer| {
            let all = cores(&handle);
            let users = all.get(1..).unwrap_or(&[]);
            let idle = requests.is_empty();
            // An idle core is out of reset and has never been asked anything.
            if !idle {
                for core in users {
                    regime.enter(core).await;
                    core.access(load(X)).await.reaches("DVM-05", PA)?;
                }
            }
            regime.enter(&issuer).await;
            issuer.access(load(X)).await.reaches("DVM-05", PA)?;
            record.clear();
            let busy: Vec<_> = users
                .iter()
                .flat_map(|core| requests.iter().map(|&request| core.issue(request)))
                .collect();
            handle.sleep(40).await;
            let asked = handle.now();
            issuer
                .access(CoreRequest::tlbi(operation))
                .await
                .succeeds("TLBI-29")?;
            handle.sleep(60).await;
            for core in &all {
                let effects = record.effects(core.index());
                let effect = effects.iter().find(|(_, effect)| effect.source == 0);
                let soon = effect.is_some_and(|&(cycle, _)| cycle < asked + 60);
                expect("DVM-05", soon, || {
                    format!(
                        "{name}: the INV of cycle {asked} on core {}: {effects:?}",
                        core.index()
                    )
                })?;
            }
            let unanswered: usize = users
                .iter()
                .map(|core| match requests.last() {
                    Some(last) => {
                        let code = last.op.code();
                        let count = requests.iter().filter(|r| r.op.code() == code).count();
                        count - record.answers(core.index(), code).len()
                    }
                    None => 1,
                })
                .sum();
            expect("TLBI-30", unanswered >= users.len(), || {
                format!("{name}: {unanswered} requests of the others under way")
            })?;
            issuer
                .access(CoreRequest::dsb(DsbKind::SY))
                .await
                .succeeds("TLBI-29")?;
            for access in busy {
                access.await.succeeds("TLBI-30")?;
            }
            for core in &all {
                let answered = record.messages(core.index());
                let answers = answered
                    .iter()
                    .filter(|(_, m)| m.answered == Some(0))
                    .count();
                expect("TLBI-29", answers == 1, || {
                    format!("{name}: core {} answered {answers} SYNCs", core.index())
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn everybody_at_once(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 40;
    // Orders in which the operations of two cores took effect.
    let mut orders = [0u64; 2];
    let mut several = false;
    for (seed, delay) in [Delays::NONE, Delays::DVM, Delays::ALL, Delays::ALL]
        .into_iter()
        .enumerate()
    {
        bench.restart()?;
        bench.setup().straps.delay = delay;
        bench.setup().straps.delay_seed = 11 + seed as u16;
        bench.setup().memory.jitter = 30;
        let regime = mapped(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let seen = bench.run(async move |_| {
            let all = cores(&handle);
            let mut tasks = Vec::new();
            for core in all.clone() {
                let handle_of = handle.clone();
                tasks.push(handle.spawn(async move {
                    regime.enter(&core).await;
                    for round in 0..ROUNDS {
                        let scope = [TlbiScope::InnerShareable, TlbiScope::OuterShareable]
                            [round as usize % 2];
                        let va = X + ((round & 7) << 12);
                        let old = core.issue(load(va));
                        let store = core.issue(CoreRequest::store(va + 8, 3, El::El1, round));
                        let first = core.issue(CoreRequest::tlbi(Tlbi::vae1(scope, va, 1, None)));
                        let second = core.issue(CoreRequest::tlbi(Tlbi::vaae1(scope, va, None)));
                        let dsb = CoreRequest::dsb(DsbKind::SY);
                        core.access(dsb).await.succeeds("TLBI-28")?;
                        for done in [old, store, first, second] {
                            on(dsb, done.await.succeeds("TLBI-28"))?;
                        }
                        handle_of.sleep(round * u64::from(core.index()) % 7).await;
                    }
                    Ok::<(), Failure>(())
                }));
            }
            for task in tasks {
                task.await?;
            }
            let sources = 0..all.len() as u8;
            for core in &all {
                let effects = record.effects(core.index());
                for source in sources.clone() {
                    // Each operation once, in the order in which its core sent them.
                    let of_source = effects.iter().filter(|(_, effect)| effect.source == source);
                    let tags: Vec<u8> = of_source.map(|(_, effect)| effect.tag).collect();
                    let expected: Vec<u8> = (0..2 * ROUNDS as u8).collect();
                    expect("DVM-01", tags == expected, || {
                        format!("core {} showed of core {source} {tags:?}", core.index())
                    })?;
                    let answers = record.messages(core.index());
                    let answers = answers
                        .iter()
                        .filter(|(_, m)| m.answered == Some(source))
                        .count();
                    expect("DVM-08", answers as u64 == ROUNDS, || {
                        format!(
                            "core {} answered core {source} {answers} times",
                            core.index()
                        )
                    })?;
                }
                let syncs = record.syncs(core.index()).len() as u64;
                expect("TLBI-26", syncs == ROUNDS, || format!("{syncs} SYNCs"))?;
            }
            let effects = record.effects(0);
            let first_of = |round: usize, source: u8| {
                let mut of = effects.iter().filter(|(_, effect)| effect.source == source);
                of.nth(2 * round).map(|&(cycle, _)| cycle)
            };
            let mut seen = [0u64; 2];
            for round in 0..ROUNDS as usize {
                if let (Some(zero), Some(one)) = (first_of(round, 0), first_of(round, 1)) {
                    seen[usize::from(one < zero)] += 1;
                }
            }
            Ok((seen, all.len()))
        })?;
        orders = [orders[0] + seen.0[0], orders[1] + seen.0[1]];
        several = seen.1 > 1;
    }
    expect(
        "DVM-09",
        !several || (orders[0] > 0 && orders[1] > 0),
        || {
            format!(
                "core 0 came first {} times, core 1 {} times",
                orders[0], orders[1]
            )
        },
    )
}

fn outstanding_operations(bench: &mut Bench) -> Result<(), Failure> {
    for delay in [Delays::NONE, Delays::DVM] {
        bench.restart()?;
        bench.setup().straps.delay = delay;
        let regime = mapped(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |issuer| {
            const COUNT: usize = 40;
            let all = cores(&handle);
            for core in &all {
                regime.enter(core).await;
                core.access(load(X)).await.reaches("DVM-07", PA)?;
            }
            record.clear();
            // Each goes through the whole second-level TLB: they come faster than they are done.
            let operation = Tlbi::vmalle1(TlbiScope::InnerShareable);
            let all_of_them: Vec<_> = (0..COUNT)
                .map(|_| issuer.issue(CoreRequest::tlbi(operation)))
                .collect();
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
            for one in all_of_them {
                one.await.succeeds("TLBI-26")?;
            }
            let sent = record.invs(0);
            let mut most = 0;
            for core in &all {
                let effects = record.effects(core.index());
                expect(
                    "TLBI-26",
                    sent.len() == COUNT && effects.len() == COUNT,
                    || {
                        format!(
                            "{} sent, {} in effect on core {}",
                            sent.len(),
                            effects.len(),
                            core.index()
                        )
                    },
                )?;
                let outstanding = sent.iter().enumerate().map(|(i, &at)| {
                    let done = effects.iter().filter(|&&(cycle, _)| cycle <= at).count();
                    i + 1 - done
                });
                most = most.max(outstanding.max().unwrap_or(0));
            }
            expect("DVM-07", (4..=OUTSTANDING).contains(&most), || {
                format!("up to {most} operations were outstanding")
            })?;
            // Back-pressure: the answers come no faster than there is room.
            let answers = record.answers(0, OpCode::Tlbi);
            let effects = record.effects(0);
            let late = (OUTSTANDING..COUNT).all(|i| answers[i].at >= effects[i - OUTSTANDING].0);
            expect("DVM-07", late, || {
                "an operation was answered without room for it".to_owned()
            })?;
            let syncs = record.syncs(0);
            let dsb = record.answers(0, OpCode::Dsb)[0].at;
            let last = effects.last().map_or(u64::MAX, |&(cycle, _)| cycle);
            expect("TLBI-26", syncs.len() == 1 && last <= dsb, || {
                format!("SYNCs at {syncs:?}, last effect {last}, DSB {dsb}")
            })
        })?;
    }
    Ok(())
}

fn latency_is_counted(bench: &mut Bench) -> Result<(), Failure> {
    for delay in [Delays::NONE, Delays::DVM] {
        bench.restart()?;
        bench.setup().straps.delay = delay;
        bench.setup().memory.latency = 300;
        let regime = mapped(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |issuer| {
            let all = cores_in(&handle, &regime).await;
            let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
            for _ in 0..6 {
                far.access(load(X)).await.reaches("DVM-10", PA)?;
                handle.sleep(20).await;
                let before = (
                    handle.counter(0, Counter::DsbWait),
                    handle.counter(far.index().into(), Counter::DvmSyncWait),
                );
                record.clear();
                let old = far.issue(load(X));
                handle.sleep(12).await;
                let operation = Tlbi::vae1(TlbiScope::InnerShareable, X, 1, None);
                issuer.access(CoreRequest::tlbi(operation)).await;
                issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
                old.await.reaches("DVM-10", PA)?;
                handle.sleep(20).await;
                let (sent, sync) = (record.invs(0)[0], record.syncs(0)[0]);
                let dsb = record.answers(0, OpCode::Dsb)[0];
                for core in &all {
                    let effect = record.effects(core.index())[0].0;
                    expect("DVM-10", effect >= sent + 2, || {
                        format!(
                            "sent at {sent}, in effect on core {} at {effect}",
                            core.index()
                        )
                    })?;
                }
                let waited = handle.counter(0, Counter::DsbWait) - before.0;
                let least = if all.len() > 1 { dsb.at - sync } else { 250 };
                let fits = (least.saturating_sub(2)..=dsb.at - dsb.asked).contains(&waited);
                expect("DVM-10", fits, || {
                    format!("DSB_WAIT counts {waited}, SYNC at {sync}, {dsb:?}")
                })?;
                // The other core held its answer back until its access was performed.
                let held = handle.counter(far.index().into(), Counter::DvmSyncWait) - before.1;
                let expected = if all.len() > 1 { 200..300 } else { 0..10 };
                expect("DVM-03", expected.contains(&held), || {
                    format!("DVM_SYNC_WAIT of core {} counts {held}", far.index())
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
