// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a DSB waits for: on every core, what was translated before the operation, and nothing
//! younger (section 11.3).

use cosim::dut::ports::{CommitKind, CoreRequest, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Fsc, Granule, Tlbi, TlbiScope};

use super::record::{Record, cores_in};
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};
/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "sync-waits",
        purpose: "a DSB ends after every access of every core that used the entry removed before it",
        requirements: &["TLBI-20", "TLBI-21", "TLBI-22", "DVM-03"],
        run: old_accesses_are_waited_for,
    },
    Testbench {
        name: "sync-ignores-younger",
        purpose: "an access that came after the INV and walks anew does not delay the answer",
        requirements: &["DVM-04"],
        run: young_accesses_are_not,
    },
];

const TABLES: u64 = 0x5000_0000;
/// Physical address of the first page.
pub const PA: u64 = 0x8000_0000;
/// Its VA.
pub const X: u64 = 0x4000_1000;
/// Cycles that memory takes: much more than any message.
const SLOW: u64 = 800;
/// Cycles within which what waits for no memory is done, second-level TLB and all.
pub const QUICK: u64 = 400;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

/// A regime with two pages from `X` on, in slow memory, and the address of the first descriptor.
///
/// # Errors
/// Those of the simulation that ends.
pub fn two_pages(bench: &mut Bench) -> Result<(Regime, u64), Failure> {
    bench.restart()?;
    bench.setup().memory.latency = SLOW;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    let slot = tree.map(X, 3, user_rw(Granule::K4, 3, PA));
    tree.map(X + 0x1000, 3, user_rw(Granule::K4, 3, PA + 0x1000));
    tree.load(bench)?;
    Ok((Regime::default().with(&tree, 1), slot))
}

fn old_accesses_are_waited_for(bench: &mut Bench) -> Result<(), Failure> {
    let accesses = [
        load(X + 8),
        CoreRequest::load(X + 5, 3, El::El1),
        CoreRequest::load(X + 0xffd, 3, El::El1),
        CoreRequest::store(X + 16, 3, El::El1, 7),
        CoreRequest::store(X + 0xffc, 3, El::El1, 7),
        CoreRequest::cas(X + 24, El::El1, 0, 9),
        CoreRequest::fetch(X + 32, El::El0),
    ];
    let (regime, slot) = two_pages(bench)?;
    let word = bench.peek(slot)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        // The other cores; with one core, itself.
        let users = all
            .get(1..)
            .filter(|others| !others.is_empty())
            .unwrap_or(&all);
        for (access, scope) in accesses.into_iter().flat_map(|access| {
            [TlbiScope::InnerShareable, TlbiScope::OuterShareable].map(|scope| (access, scope))
        }) {
            handle.poke(slot, word);
            for core in &all {
                for warm in [load(X), load(X + 0x1000), CoreRequest::fetch(X, El::El0)] {
                    core.access(warm).await.succeeds("TLBI-21")?;
                }
            }
            record.clear();
            let old: Vec<_> = users.iter().map(|core| core.issue(access)).collect();
            // By now each is translated and on its way to memory.
            handle.sleep(12).await;
            handle.poke(slot, 0);
            let operation = Tlbi::vae1(scope, X, 1, None);
            let removal = issuer.issue(CoreRequest::tlbi(operation));
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
            removal.await.succeeds("TLBI-20")?;
            let done = record.answers(0, OpCode::Dsb)[0].at;
            for (core, old) in users.iter().zip(old) {
                let index = core.index();
                let effect = record.effects(index)[0].0;
                let code = access.op.code();
                let answers = record.answers(index, code);
                // It was under way when the operation came, and done when the DSB ended.
                let waited = answers
                    .first()
                    .is_some_and(|answer| answer.at <= done && (index == 0 || effect < answer.at));
                expect("TLBI-21", waited, || {
                    format!(
                        "core {index}: {access} done {answers:?}, the DSB at {done}, the effect at \
                         {effect}"
                    )
                })?;
                on(access, old.await.succeeds("TLBI-21"))?;
            }
            let writes = match access.op.code() {
                OpCode::Store if access.va & 7 == 0 => 1,
                OpCode::Store => 2,
                OpCode::Cas => 1,
                _ => 0,
            };
            let visible = record
                .commits()
                .iter()
                .filter(|(cycle, (kind, _))| *kind != CommitKind::Update && *cycle <= done)
                .count();
            // Of several cores' compare-and-swaps the first alone writes.
            let expected = match access.op.code() {
                OpCode::Cas => 1,
                _ => writes * users.len(),
            };
            expect("TLBI-22", visible == expected, || {
                format!("{visible} writes of {expected} visible when the DSB ends, for {access}")
            })?;
            if access.op.code() == OpCode::Cas {
                handle.poke(PA + 24, 0);
            }
            for core in &all {
                core.access(load(X)).await.faults("TLBI-20", Fsc(0x07))?;
            }
        }
        Ok(())
    })
}

fn young_accesses_are_not(bench: &mut Bench) -> Result<(), Failure> {
    let (regime, _) = two_pages(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        for _ in 0..4 {
            for core in &all {
                core.access(load(X)).await.reaches("DVM-04", PA)?;
            }
            record.clear();
            issuer
                .access(CoreRequest::tlbi(Tlbi::vae1(
                    TlbiScope::InnerShareable,
                    X,
                    1,
                    None,
                )))
                .await;
            handle.sleep(20).await;
            // Younger than the INV: they walk, in slow memory.
            let young: Vec<_> = all[1..].iter().map(|core| core.issue(load(X))).collect();
            handle.sleep(20).await;
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
            let dsb = record.answers(0, OpCode::Dsb)[0];
            expect("DVM-04", dsb.at - dsb.asked < QUICK, || {
                format!("the DSB took {} cycles", dsb.at - dsb.asked)
            })?;
            for (core, young) in all[1..].iter().zip(young) {
                young.await.reaches("DVM-04", PA)?;
                let answer = record.answers(core.index(), OpCode::Load)[0];
                let walked = answer.response.walked && answer.at > dsb.at + SLOW / 2;
                expect("DVM-04", walked, || {
                    format!("the younger access: {answer:?}")
                })?;
            }
            let answers = all.iter().flat_map(|core| record.messages(core.index()));
            let answered = answers
                .filter(|(_, message)| message.answered == Some(0))
                .count();
            expect("DVM-04", answered == all.len(), || {
                format!("{answered} answers")
            })?;
        }
        Ok(())
    })
}
