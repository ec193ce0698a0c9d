// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Walks that invalidations meet again and again, and walks whose read an invalidation has made void
//! before it answers with an error (TLBI-07, DVM-05, WALK-12).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::ErrorOn;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Fsc, Granule, Tlbi, TlbiScope};

use super::record::{Record, cores_in};
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlbi-shield",
        purpose: "a walk begins anew three times for other cores' invalidations, then they wait for it",
        requirements: &["TLBI-07", "DVM-05", "DVM-13"],
        run: shield,
    },
    Testbench {
        name: "tlbi-meets-error",
        purpose: "an error that answers the read of a cancelled walk is nobody's: the walk begins anew",
        requirements: &["TLBI-07", "WALK-12", "WALK-10"],
        run: errors,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const X: u64 = 0x4000_1000;
/// Cycles that memory takes: a walk of four levels takes about 260.
const LATENCY: u64 = 60;
/// How often a walk is cancelled at most (`docs/units/walker.md`).
const CANCELS: usize = 3;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// Slow memory with a tree that maps [`X`] alone.
fn one_page(bench: &mut Bench) -> Result<Tree, Failure> {
    bench.setup().memory.latency = LATENCY;
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    tree.map(X, 3, user_rw(Granule::K4, 3, PA));
    tree.load(bench)?;
    Ok(tree)
}

fn shield(bench: &mut Bench) -> Result<(), Failure> {
    let tree = one_page(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
        for round in 0..4 {
            invalidate_all(&far).await;
            handle.sleep(600).await;
            record.clear();
            let access = far.issue(load(X));
            // Of the only core no broadcast is younger than its walk and meets it.
            let cancels = if all.len() > 1 { CANCELS } else { 0 };
            for _ in 0..8 {
                handle.sleep(90 + round).await;
                let everything = Tlbi::vmalle1(TlbiScope::InnerShareable);
                issuer.access(CoreRequest::tlbi(everything)).await;
            }
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
            access.await.reaches("TLBI-07", PA)?;
            let begins = record.begins(far.index());
            expect("DVM-05", begins == cancels + 1, || {
                format!("{begins} begins of one walk, not {}", cancels + 1)
            })?;
            let effects = record.effects(far.index());
            let counted: u32 = effects
                .iter()
                .map(|(_, change)| change.cancelled.count_ones())
                .sum();
            expect("DVM-13", counted as usize == cancels, || {
                format!("{counted} cancels told, not {cancels}")
            })?;
        }
        Ok(())
    })
}

fn errors(bench: &mut Bench) -> Result<(), Failure> {
    let tree = one_page(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
        let (mut void, mut counted) = (0, 0);
        for level in 0..=3 {
            for offset in (0..300).step_by(11) {
                invalidate_all(&far).await;
                handle.sleep(400).await;
                handle.mark_error(tree.slot(X, level), ErrorOn::Reads, Some(1));
                record.clear();
                let access = far.issue(load(X));
                handle.sleep(offset).await;
                let page = Tlbi::vae1(TlbiScope::InnerShareable, X, 1, None);
                issuer.access(CoreRequest::tlbi(page)).await;
                issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
                let answer = access.await;
                handle.clear_error(tree.slot(X, level));
                let walks = record.walks(far.index());
                let discarded = walks
                    .iter()
                    .filter(|(_, step)| step.error)
                    .map(|(_, step)| step.discarded)
                    .collect::<Vec<_>>();
                match discarded[..] {
                    [true] => {
                        void += 1;
                        answer.reaches("TLBI-07", PA)?;
                    }
                    [false] => {
                        counted += 1;
                        answer.faults("WALK-12", Fsc(0x14 | level))?;
                    }
                    _ => {
                        return expect("WALK-12", false, || {
                            format!("level {level}, offset {offset}: errors {discarded:?}")
                        });
                    }
                }
            }
        }
        // The only core's own operation waits for its walk.
        let met = counted > 0 && (void > 0) == (all.len() > 1);
        expect("TLBI-07", met, || {
            format!("{void} errors void, {counted} reported")
        })
    })
}
