// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Walks that an invalidation meets: what they have read is neither kept nor used after it, and their
//! accesses translate anew (TLBI-07, TLBI-23, DVM-13).

use cosim::dut::ports::{CoreRequest, Counter, Delays, OpCode, WalkKind};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use super::record::{Record, cores_in};
use crate::stage1::activity::within;
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlbi-meets-walk",
        purpose: "a walk that a broadcast meets at any step begins anew and brings the new mapping",
        requirements: &["TLBI-07", "TLBI-23", "DVM-13", "DVM-05"],
        run: broadcasts_meet_walks,
    },
    Testbench {
        name: "tlbi-meets-own-walk",
        purpose: "a broadcast that comes back to its core after a younger walk began cancels that too",
        requirements: &["TLBI-07", "DVM-13"],
        run: own_broadcasts_meet_walks,
    },
    Testbench {
        name: "tlbi-meets-prefetch",
        purpose: "a cancelled prefetch walk leaves no entry and does not begin again",
        requirements: &["TLBI-07", "DVM-13", "PMU-07"],
        run: prefetches_are_dropped,
    },
    Testbench {
        name: "tlbi-meets-update",
        purpose: "a hardware update under way is in memory before the DSB ends, and happens once",
        requirements: &["DVM-03", "TLBI-20", "TLBI-23"],
        run: updates_are_waited_for,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const NEW: u64 = 0x8010_0000;
const X: u64 = 0x4000_1000;
/// Cycles that memory takes: a walk of four levels takes about 260.
const LATENCY: u64 = 60;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// No entry was filled from a walk of core `of` that had been cancelled: after the last begin of a
/// walk all its reads come anew.
fn nothing_old_was_kept(record: &Record, of: u8, effect: u64) -> Result<(), Failure> {
    let walks = record.walks(of);
    let begun = |kind| {
        walks
            .iter()
            .filter(move |(_, step)| step.kind == kind)
            .map(|&(cycle, _)| cycle)
    };
    let last_begin = begun(WalkKind::Begin).max().unwrap_or(0);
    // Entries of the walk that was cancelled would come between the effect and the new beginning.
    let fills = record.fills(of);
    let between = fills
        .iter()
        .find(|&&(cycle, _)| effect < cycle && cycle < last_begin);
    expect("TLBI-07", between.is_none(), || {
        format!("core {of} filled {between:?} after the effect at {effect}, before {last_begin}")
    })
}

fn broadcasts_meet_walks(bench: &mut Bench) -> Result<(), Failure> {
    for walk_caches in [true, false] {
        bench.restart()?;
        bench.setup().memory.latency = LATENCY;
        bench.setup().straps.walk_caches = walk_caches;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        let slot = tree.map(X, 3, user_rw(Granule::K4, 3, PA));
        let words = [PA, NEW].map(|pa| user_rw(Granule::K4, 3, pa).0);
        tree.load(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |issuer| {
            let all = cores_in(&handle, &regime).await;
            // With one core the operation waits in program order for the walk.
            let Some(far) = all.get(1) else {
                return alone(&issuer, &record).await;
            };
            let mut restarted = 0u64;
            for offset in (0..330).step_by(3) {
                invalidate_all(far).await;
                handle.poke(slot, words[0]);
                handle.sleep(400).await;
                record.clear();
                let access = far.issue(load(X));
                handle.sleep(offset).await;
                handle.poke(slot, words[1]);
                issuer
                    .access(CoreRequest::tlbi(Tlbi::vae1(
                        TlbiScope::InnerShareable,
                        X,
                        1,
                        None,
                    )))
                    .await;
                issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
                let answer = access.await;
                let at = record.answers(far.index(), OpCode::Load)[0].at;
                let done = record.answers(0, OpCode::Dsb)[0].at;
                let effect = record.effects(far.index())[0];
                let situation = format!("TLBI {offset} cycles into the walk");
                // What completes after the operation uses the new mapping; before it, either.
                let fits = answer.pa == NEW || (at <= done && answer.pa == PA);
                expect("TLBI-23", answer.fault.is_none() && fits, || {
                    format!("{answer} at {at}, the DSB at {done}")
                })
                .map_err(|failure| within(failure, &situation))?;
                if effect.1.cancelled != 0 {
                    restarted += 1;
                    nothing_old_was_kept(&record, far.index(), effect.0)
                        .map_err(|failure| within(failure, &situation))?;
                    let begins = record.begins(far.index());
                    expect("DVM-13", begins == 2, || {
                        format!("{situation}: {begins} begins")
                    })?;
                    expect("TLBI-23", answer.pa == NEW, || {
                        format!("{situation}: {answer}")
                    })?;
                }
                let answer = far.access(load(X + 8)).await;
                answer
                    .reaches("TLBI-07", NEW + 8)
                    .map_err(|failure| within(failure, &situation))?;
            }
            // A walk takes more than half of the offsets.
            expect("DVM-13", restarted > 30, || {
                format!("{restarted} walks were cancelled")
            })
        })?;
    }
    Ok(())
}

/// A broadcast of the only core comes after its own walk in program order, and cancels nothing.
async fn alone(core: &CoreHandle, record: &Record) -> Result<(), Failure> {
    for _ in 0..4 {
        record.clear();
        let access = core.issue(load(X));
        core.access(CoreRequest::tlbi(Tlbi::vae1(
            TlbiScope::InnerShareable,
            X,
            1,
            None,
        )))
        .await;
        core.access(CoreRequest::dsb(DsbKind::SY)).await;
        access.await.reaches("TLBI-23", PA)?;
        let effect = record.effects(0)[0].1;
        expect(
            "DVM-13",
            effect.cancelled == 0 && effect.l1_count == 1,
            || format!("{effect:?}"),
        )?;
    }
    Ok(())
}

fn own_broadcasts_meet_walks(bench: &mut Bench) -> Result<(), Failure> {
    let mut cancelled = 0u64;
    for seed in 1..=8 {
        bench.restart()?;
        bench.setup().memory.latency = LATENCY;
        // The message takes its time; the walk behind the operation begins meanwhile.
        bench.setup().straps.delay = Delays::DVM;
        bench.setup().straps.delay_seed = seed;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        let slot = tree.map(X, 3, user_rw(Granule::K4, 3, PA));
        let words = [PA, NEW].map(|pa| user_rw(Granule::K4, 3, pa).0);
        tree.load(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        cancelled += bench.run(async move |core| {
            regime.enter(&core).await;
            let mut cancelled = 0;
            for round in 0..8 {
                handle.poke(slot, words[round % 2]);
                invalidate_all(&core).await;
                core.access(load(X)).await.succeeds("TLBI-07")?;
                let pa = [NEW, PA][round % 2];
                handle.poke(slot, words[(round + 1) % 2]);
                record.clear();
                // Several operations: the last ones take effect well after their answers.
                for operation in [0, 1, 2, 3]
                    .map(|i| Tlbi::vae1(TlbiScope::InnerShareable, X + (i << 12), 1, None))
                {
                    core.issue(CoreRequest::tlbi(operation)).await;
                }
                // Not in either level any more, once the first operation took effect; this one walks.
                let access = core.issue(load(X + 8));
                core.access(CoreRequest::dsb(DsbKind::SY)).await;
                access.await.succeeds("TLBI-07")?;
                for (at, effect) in record.effects(0) {
                    cancelled += u64::from(effect.cancelled.count_ones());
                    if effect.cancelled != 0 {
                        nothing_old_was_kept(&record, 0, at)?;
                    }
                }
                core.access(load(X)).await.reaches("TLBI-07", pa)?;
            }
            Ok(cancelled)
        })?;
    }
    expect("DVM-13", cancelled > 0, || {
        "no broadcast met a walk that began after it".to_owned()
    })
}

fn prefetches_are_dropped(bench: &mut Bench) -> Result<(), Failure> {
    // With a fast memory most cycles of a walk are not spent on waiting for it.
    prefetches_dropped(bench, LATENCY, 4, 12)?;
    prefetches_dropped(bench, 3, 1, 40)
}

/// In each of `rounds` an operation comes `step` cycles later after a demand walk.
fn prefetches_dropped(
    bench: &mut Bench,
    latency: u64,
    step: u64,
    rounds: u64,
) -> Result<(), Failure> {
    bench.restart()?;
    bench.setup().straps.prefetch = true;
    bench.setup().memory.latency = latency;
    bench.setup().straps.walk_caches = false;
    // A block, and behind it a page: the walk for the page takes one step more.
    let (block, page) = (0x4000_0000, 0x4020_0000);
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    tree.map(block, 2, user_rw(Granule::K4, 2, PA));
    tree.map(page, 3, user_rw(Granule::K4, 3, PA + 0x20_0000));
    tree.load(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |core| {
        regime.enter(&core).await;
        let mut dropped = 0;
        for round in 0..rounds {
            handle.sleep(600).await;
            let before = handle.counter(0, Counter::DtlbWalkCancelled);
            record.clear();
            // An AT waits for no data: the walk for the next page is under way when it is done.
            let probe = CoreRequest::at(page - 0x1000, El::El1, false, false);
            core.access(probe)
                .await
                .reaches("TLBI-07", PA + 0x1f_f000)?;
            handle.sleep(step * round).await;
            let begun = |prefetch: bool| {
                let walks = record.walks(0);
                let begins = walks
                    .iter()
                    .filter(|(_, step)| step.kind == WalkKind::Begin && step.prefetch == prefetch);
                begins.count()
            };
            core.access(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local)))
                .await;
            core.access(CoreRequest::dsb(DsbKind::SY)).await;
            handle.sleep(20).await;
            let (effect, change) = record.effects(0)[0];
            expect("DVM-13", begun(false) == 1 && begun(true) <= 1, || {
                format!(
                    "{} demand walks and {} prefetches begun",
                    begun(false),
                    begun(true)
                )
            })?;
            let later = record
                .fills(0)
                .into_iter()
                .find(|&(cycle, _)| cycle > effect);
            let ended = record
                .walks(0)
                .iter()
                .any(|(_, step)| step.prefetch && step.kind == WalkKind::End);
            if change.cancelled != 0 {
                dropped += 1;
                expect("TLBI-07", later.is_none() && !ended, || {
                    format!("after the effect at {effect}: {later:?}, end of prefetch {ended}")
                })?;
                let counted = handle.counter(0, Counter::DtlbWalkCancelled) - before;
                expect("PMU-07", counted == 1, || {
                    format!("{counted} walks cancelled")
                })?;
            }
        }
        expect("DVM-13", dropped > 0, || "no prefetch was met".to_owned())
    })
}

fn updates_are_waited_for(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().memory.latency = LATENCY;
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    let old = user_rw(Granule::K4, 3, PA).with_af(false);
    let slot = tree.map(X, 3, old);
    tree.load(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&tree, 1);
    regime.tcr = regime.tcr.with_ha(true);
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
        let mut met = 0;
        for offset in (0..480).step_by(5) {
            invalidate_all(&far).await;
            handle.poke(slot, old.0);
            handle.sleep(400).await;
            record.clear();
            let access = far.issue(load(X));
            handle.sleep(offset).await;
            issuer
                .access(CoreRequest::tlbi(Tlbi::vae1(
                    TlbiScope::OuterShareable,
                    X,
                    1,
                    None,
                )))
                .await;
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
            let done = record.answers(0, OpCode::Dsb)[0].at;
            access.await.reaches("TLBI-23", PA)?;
            let (effect, _) = record.effects(far.index())[0];
            let updates = record.commits();
            expect("TLBI-23", updates.len() == 1, || {
                format!("updates: {updates:?}")
            })?;
            let swaps: Vec<(u64, bool)> = record
                .walks(far.index())
                .iter()
                .filter(|(_, step)| step.kind == WalkKind::Swap)
                .map(|&(cycle, step)| (cycle, step.discarded))
                .collect();
            // A compare-and-swap of a walk that the operation met is answered before the DSB ends.
            for &(answered, discarded) in &swaps {
                if discarded {
                    met += 1;
                    let waited = effect <= answered && answered <= done && updates[0].0 <= done;
                    expect("DVM-03", waited, || {
                        format!("update answered at {answered}, effect {effect}, DSB {done}")
                    })?;
                }
            }
        }
        let sees = all.len() > 1;
        expect("DVM-03", met > 0 || !sees, || {
            "no update was met".to_owned()
        })
    })
}
