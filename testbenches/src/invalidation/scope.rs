// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which cores an operation reaches: a local one its own core alone, a broadcast one every core once,
//! whoever issues it (sections 11.2 and 11.3; DVM-01, DVM-11).

use cosim::dut::ports::{CoreRequest, Counter, Delays, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Fsc, Granule, Tlbi, TlbiScope};

use super::record::{Record, cores_in};
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlbi-broadcast",
        purpose: "every form of every core takes effect exactly once on each core, whatever delays",
        requirements: &["TLBI-01", "DVM-01", "DVM-02", "DVM-08"],
        run: broadcasts_reach_every_core,
    },
    Testbench {
        name: "tlbi-local",
        purpose: "a local operation sends no message and leaves the entries of other cores alone",
        requirements: &["TLBI-12", "DVM-11"],
        run: local_operations_stay_at_home,
    },
    Testbench {
        name: "tlbi-broadcast-asid8",
        purpose: "with TCR_EL1.AS = 0 a broadcast names its ASID by the low byte alone, on every core",
        requirements: &["TLBI-13", "TLBI-01"],
        run: narrow_asids,
    },
    Testbench {
        name: "dvm-overshoot",
        purpose: "entries removed beyond duty are counted like all others",
        requirements: &["DVM-12", "TLBI-09"],
        run: removed_entries_are_counted,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const X: u64 = 0x4000_1000;
/// Cycles in which a second-level TLB of any size has gone through its sets for an operation. It
/// takes no fill meanwhile.
const SWEEP: u64 = 600;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

/// Every form in `scope` that names VA `X` under ASID 1.
fn forms(scope: TlbiScope) -> [Tlbi; 10] {
    let start = X - 0x1000;
    [
        Tlbi::vmalle1(scope),
        Tlbi::aside1(scope, 1),
        Tlbi::vae1(scope, X, 1, None),
        Tlbi::vaae1(scope, X, None),
        Tlbi::vale1(scope, X, 1, Some((Granule::K4, 3))),
        Tlbi::vaale1(scope, X, None),
        Tlbi::rvae1(scope, Granule::K4, start, 0, 0, None, 1),
        Tlbi::rvaae1(scope, Granule::K4, start, 0, 3, None),
        Tlbi::rvale1(scope, Granule::K4, start, 1, 0, Some(3), 1),
        Tlbi::rvaale1(scope, Granule::K4, X, 0, 0, None),
    ]
}

fn broadcasts_reach_every_core(bench: &mut Bench) -> Result<(), Failure> {
    for delay in [Delays::NONE, Delays::DVM, Delays::ALL] {
        bench.restart()?;
        bench.setup().straps.delay = delay;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        let slot = tree.map(X, 3, user_rw(Granule::K4, 3, PA));
        let word = tree.word(slot);
        tree.load(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |_| {
            let all = cores_in(&handle, &regime).await;
            for issuer in &all {
                let mut tag = 0u8;
                for operation in [TlbiScope::InnerShareable, TlbiScope::OuterShareable]
                    .into_iter()
                    .flat_map(forms)
                {
                    handle.poke(slot, word);
                    for core in &all {
                        core.access(load(X)).await.reaches("TLBI-01", PA)?;
                    }
                    handle.poke(slot, 0);
                    record.clear();
                    invalidate(issuer, operation).await;
                    let named = CoreRequest::tlbi(operation);
                    for core in &all {
                        let effects = record.effects(core.index());
                        let once = matches!(effects.as_slice(), [(_, effect)]
                            if effect.source == issuer.index() && effect.tag == tag && !effect.local);
                        expect("DVM-01", once, || {
                            format!("{named} on core {}: {effects:?}", core.index())
                        })?;
                        let messages = record.messages(core.index());
                        let answers: Vec<u64> = messages
                            .iter()
                            .filter(|(_, message)| message.answered == Some(issuer.index()))
                            .map(|&(cycle, _)| cycle)
                            .collect();
                        let after = answers.len() == 1 && answers[0] >= effects[0].0;
                        expect("DVM-02", after, || {
                            format!("effect {effects:?}, answers to the SYNC {answers:?}")
                        })?;
                        let answer = core.access(load(X)).await;
                        on(named, answer.faults("TLBI-01", Fsc(0x07)))?;
                    }
                    let sent = (record.invs(issuer.index()), record.syncs(issuer.index()));
                    let in_order = sent.0.len() == 1 && sent.1.len() == 1 && sent.0[0] < sent.1[0];
                    expect("DVM-08", in_order, || format!("INV and SYNC sent: {sent:?}"))?;
                    tag = tag.wrapping_add(1);
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn local_operations_stay_at_home(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    let slot = tree.map(X, 3, user_rw(Granule::K4, 3, PA));
    let word = tree.word(slot);
    tree.load(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |_| {
        let all = cores_in(&handle, &regime).await;
        for issuer in &all {
            for operation in forms(TlbiScope::Local) {
                handle.poke(slot, word);
                for core in &all {
                    core.access(load(X)).await.reaches("TLBI-12", PA)?;
                }
                handle.poke(slot, 0);
                record.clear();
                invalidate(issuer, operation).await;
                let named = CoreRequest::tlbi(operation);
                for core in &all {
                    let effects = record.effects(core.index());
                    let own = core.index() == issuer.index();
                    let expected = if own { 1 } else { 0 };
                    let local = effects.len() == expected && effects.iter().all(|(_, e)| e.local);
                    expect("TLBI-12", local, || {
                        format!("{named} on core {}: {effects:?}", core.index())
                    })?;
                    let messages = record.messages(core.index());
                    expect("DVM-11", messages.is_empty(), || {
                        format!("after {named} core {}: {messages:?}", core.index())
                    })?;
                    let answer = core.access(load(X)).await;
                    if own {
                        on(named, answer.faults("TLBI-12", Fsc(0x07)))?;
                    } else {
                        on(named, answer.comes_from("TLBI-12", HitPlace::L1))?;
                        on(named, answer.reaches("TLBI-12", PA))?;
                    }
                }
                for core in &all {
                    invalidate(core, Tlbi::vmalle1(TlbiScope::Local)).await;
                }
            }
        }
        Ok(())
    })
}

fn narrow_asids(bench: &mut Bench) -> Result<(), Failure> {
    for by_strap in [false, true] {
        bench.restart()?;
        bench.setup().straps.asid8 = by_strap;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        let slot = tree.map(X, 3, user_rw(Granule::K4, 3, PA));
        let word = tree.word(slot);
        tree.load(bench)?;
        let handle = bench.handle()?;
        let mut regime = Regime::default().with(&tree, 0xab05);
        regime.tcr = regime.tcr.with_asid16(by_strap);
        bench.run(async move |issuer| {
            let all = cores_in(&handle, &regime).await;
            let scope = TlbiScope::OuterShareable;
            for (asid, names) in [
                (0x0005, true),
                (0xcd05, true),
                (0xff05, true),
                (0x0506, false),
            ] {
                for operation in [
                    Tlbi::aside1(scope, asid),
                    Tlbi::vae1(scope, X, asid, None),
                    Tlbi::vale1(scope, X, asid, None),
                    Tlbi::rvae1(scope, Granule::K4, X, 0, 0, None, asid),
                    Tlbi::rvale1(scope, Granule::K4, X, 0, 0, None, asid),
                ] {
                    handle.poke(slot, word);
                    for core in &all {
                        core.access(load(X)).await.reaches("TLBI-13", PA)?;
                    }
                    handle.poke(slot, 0);
                    invalidate(&issuer, operation).await;
                    let named = CoreRequest::tlbi(operation);
                    for core in &all {
                        let answer = core.access(load(X)).await;
                        if names {
                            on(named, answer.faults("TLBI-13", Fsc(0x07)))?;
                        } else {
                            on(named, answer.comes_from("TLBI-13", HitPlace::L1))?;
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn removed_entries_are_counted(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    for page in 0..3 {
        tree.map(
            X + (page << 12),
            3,
            user_rw(Granule::K4, 3, PA + (page << 12)),
        );
    }
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let scope = TlbiScope::InnerShareable;
        // Three pages in each level of the TLB, and the tables of levels 0 to 2.
        for (operation, removed) in [
            // No duty: the granule is not the one in use. This hardware carries it out.
            (
                Tlbi::rvaae1(scope, Granule::K16, X & !0x3fff, 0, 0, None),
                3 + 3 + 3,
            ),
            (Tlbi::vmalle1(scope), 9),
            (Tlbi::rvaale1(scope, Granule::K4, X, 0, 0, None), 2 + 2),
            (Tlbi::vaae1(scope, X, None), 1 + 1 + 3),
            (Tlbi::vaale1(scope, X, None), 1 + 1),
            (Tlbi::aside1(scope, 2), 0),
        ] {
            for core in &all {
                invalidate(core, Tlbi::vmalle1(TlbiScope::Local)).await;
                handle.sleep(SWEEP).await;
                for page in 0..3 {
                    let answer = core.access(load(X + (page << 12))).await;
                    answer.reaches("DVM-12", PA + (page << 12))?;
                }
            }
            handle.sleep(40).await;
            let removed_on = |core: &cosim::sim::CoreHandle| {
                handle.counter(core.index().into(), Counter::TlbRemoved)
            };
            let before: Vec<u64> = all.iter().map(removed_on).collect();
            issuer.access(CoreRequest::tlbi(operation)).await;
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
            // The second level may go on removing after the operation is complete for its users.
            handle.sleep(SWEEP).await;
            for (core, before) in all.iter().zip(before) {
                let count = removed_on(core) - before;
                expect("DVM-12", count == removed, || {
                    let named = CoreRequest::tlbi(operation);
                    format!(
                        "core {}: {count} entries removed by {named}, not {removed}",
                        core.index()
                    )
                })?;
            }
        }
        Ok(())
    })
}
