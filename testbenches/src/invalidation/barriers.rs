// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which barriers complete an operation: full ones that reach far enough, of the core that issued it;
//! and what holds without one (section 11.3).

use cosim::dut::ports::{CoreRequest, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{DsbDomain, DsbKind, DsbTypes, El, Fsc, Tlbi, TlbiScope};

use super::completion::{PA, QUICK, X, two_pages};
use super::record::{Record, cores, cores_in};
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::watch::{expect, on};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "dsb-kinds",
        purpose: "of all 12 barriers those complete an operation that are full and reach far enough",
        requirements: &["TLBI-20", "TLBI-24", "ORD-23"],
        run: kinds_of_barriers,
    },
    Testbench {
        name: "dsb-of-another-core",
        purpose: "the DSB of a core that sent nothing ends at once, whatever the others have open",
        requirements: &["TLBI-27", "DVM-14"],
        run: barriers_of_others,
    },
    Testbench {
        name: "tlbi-without-dsb",
        purpose: "without a DSB no SYNC is sent, and a later access sees the old entry or the new one",
        requirements: &["TLBI-25", "DVM-14"],
        run: no_barrier,
    },
];

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

fn kinds_of_barriers(bench: &mut Bench) -> Result<(), Failure> {
    let (regime, slot) = two_pages(bench)?;
    let word = bench.peek(slot)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
        for scope in [
            TlbiScope::Local,
            TlbiScope::InnerShareable,
            TlbiScope::OuterShareable,
        ] {
            for kind in DsbKind::ALL {
                let named = CoreRequest::dsb(kind);
                handle.poke(slot, word);
                for core in &all {
                    core.access(load(X)).await.reaches("TLBI-20", PA)?;
                }
                record.clear();
                let old = far.issue(load(X + 8));
                handle.sleep(12).await;
                handle.poke(slot, 0);
                let operation = Tlbi::vae1(scope, X, 1, None);
                issuer.access(CoreRequest::tlbi(operation)).await;
                on(named, issuer.access(named).await.succeeds("TLBI-20"))?;
                let now = record.answers(0, OpCode::Dsb)[0].at;
                let performed = record
                    .answers(far.index(), OpCode::Load)
                    .iter()
                    .any(|answer| answer.at <= now);
                let syncs = record.syncs(0).len();
                let own = record.effects(0).len();
                // A broadcast may not be over for this core before the DSB is.
                if kind.completes_tlbi(scope) {
                    let complete = own == 1 && (performed || scope == TlbiScope::Local);
                    on(
                        named,
                        expect("TLBI-20", complete, || {
                            format!("{operation}: performed {performed}, {own} effects")
                        }),
                    )?;
                }
                let full = kind.types == DsbTypes::All && kind.domain != DsbDomain::Nsh;
                let sends = scope != TlbiScope::Local && full;
                on(
                    named,
                    expect("TLBI-24", syncs == usize::from(sends), || {
                        format!("{syncs} SYNCs sent for {operation}")
                    }),
                )?;
                if !sends && all.len() > 1 {
                    // It has not waited for the other core: it is no completion.
                    on(
                        named,
                        expect("TLBI-24", !performed, || {
                            format!("{operation}: the old access of the other core was waited for")
                        }),
                    )?;
                }
                old.await.reaches("TLBI-20", PA + 8)?;
                // The one that completes comes late, and finds what is owed.
                record.clear();
                issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
                let owed = scope != TlbiScope::Local && !full;
                let syncs = record.syncs(0).len();
                on(
                    named,
                    expect("TLBI-24", syncs == usize::from(owed), || {
                        format!("{syncs} SYNCs sent by a later DSB SY for {operation}")
                    }),
                )?;
                issuer.access(load(X)).await.faults("TLBI-20", Fsc(0x07))?;
                if scope != TlbiScope::Local {
                    far.access(load(X)).await.faults("TLBI-20", Fsc(0x07))?;
                }
                for core in &all {
                    invalidate_all(core).await;
                }
            }
        }
        Ok(())
    })
}

fn barriers_of_others(bench: &mut Bench) -> Result<(), Failure> {
    let (regime, _) = two_pages(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |issuer| {
        let all = cores(&handle);
        for core in &all {
            regime.enter(core).await;
            core.access(load(X)).await.reaches("TLBI-27", PA)?;
        }
        for kind in [DsbKind::SY, DsbKind::ISH, DsbKind::OSH, DsbKind::NSH] {
            record.clear();
            // The issuer's own access keeps its DSB from ending.
            let old = issuer.issue(load(X));
            handle.sleep(12).await;
            let operation = Tlbi::vae1(TlbiScope::InnerShareable, X, 1, None);
            let removal = issuer.issue(CoreRequest::tlbi(operation));
            let barrier = issuer.issue(CoreRequest::dsb(DsbKind::SY));
            handle.sleep(20).await;
            let others: Vec<_> = all[1..]
                .iter()
                .map(|core| core.issue(CoreRequest::dsb(kind)))
                .collect();
            for (core, other) in all[1..].iter().zip(others) {
                other.await.succeeds("TLBI-27")?;
                let dsb = record.answers(core.index(), OpCode::Dsb)[0];
                let alone = dsb.at - dsb.asked < QUICK && record.syncs(core.index()).is_empty();
                expect("DVM-14", alone, || {
                    format!("{kind} on core {}: {dsb:?}", core.index())
                })?;
                let open = record.answers(0, OpCode::Dsb).is_empty();
                expect("TLBI-27", open, || {
                    format!("core 0 was done before {kind}: {dsb:?}")
                })?;
            }
            old.await.reaches("TLBI-27", PA)?;
            removal.await.succeeds("TLBI-27")?;
            barrier.await.succeeds("TLBI-27")?;
            expect("TLBI-27", record.syncs(0).len() == 1, || {
                format!("core 0 sent {} SYNCs", record.syncs(0).len())
            })?;
            // Nothing sent since: a second DSB has nothing to wait for.
            record.clear();
            issuer.access(CoreRequest::dsb(kind)).await;
            let dsb = record.answers(0, OpCode::Dsb)[0];
            let at_once = dsb.at - dsb.asked < 10 && record.messages(0).is_empty();
            expect("DVM-14", at_once, || format!("{kind} again: {dsb:?}"))?;
            for core in &all {
                core.access(load(X)).await.reaches("TLBI-27", PA)?;
            }
        }
        Ok(())
    })
}

fn no_barrier(bench: &mut Bench) -> Result<(), Failure> {
    let (regime, slot) = two_pages(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let word = bench.peek(slot)?;
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        for round in 0..8 {
            handle.poke(slot, word);
            for core in &all {
                core.access(load(X)).await.reaches("TLBI-25", PA)?;
            }
            handle.poke(slot, 0);
            record.clear();
            let operation = Tlbi::vae1(TlbiScope::InnerShareable, X, 1, None);
            issuer
                .access(CoreRequest::tlbi(operation))
                .await
                .succeeds("TLBI-25")?;
            handle.sleep(round).await;
            for core in &all {
                let answer = core.access(load(X)).await;
                let fits =
                    answer.fault == Some(Fsc(0x07)) || (answer.fault.is_none() && answer.pa == PA);
                expect("TLBI-25", fits, || {
                    format!("core {}: {answer}", core.index())
                })?;
                let syncs = record.syncs(core.index());
                expect("DVM-14", syncs.is_empty(), || {
                    format!("SYNCs sent: {syncs:?}")
                })?;
            }
            // What nobody waited for is over in the end all the same, before the next round.
            record.clear();
            issuer.access(CoreRequest::dsb(DsbKind::ISH)).await;
            expect("DVM-14", record.syncs(0).len() == 1, || {
                "the first DSB since the INV sends no SYNC".to_owned()
            })?;
            for core in &all {
                core.access(load(X)).await.faults("TLBI-20", Fsc(0x07))?;
            }
        }
        Ok(())
    })
}
