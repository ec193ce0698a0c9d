// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Contiguous mappings switched off, and on cores that change the contiguous bit in place.

use cosim::dut::ports::HitPlace;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use sw_mm::contpte::{
    clear_flush_young, clear_ptes, get, get_and_clear, get_lockless, set_access_flags, set_pte,
    set_ptes, set_wrprotects, test_and_clear_young,
};
use sw_mm::mm::Error;
use sw_mm::pte::{Pte, raw};
use vmsa::FaultKind;

use super::access::{load, store};
use super::contpte_scene::{Scene, Step, maintenance, trace};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "contpte-off",
        purpose: "without contiguous mappings each operation answers, writes, invalidates and waits as its raw one",
        requirements: &["CONTPTE-34"],
        run: off,
    },
    Testbench {
        name: "contpte-bbm2",
        purpose: "with BBM level 2 conversions do not invalidate, and the flush of the caller removes the run",
        requirements: &["CONTPTE-35"],
        run: bbm2,
    },
];

/// Public or raw operations; what they return.
async fn operate(scene: &Scene, public: bool) -> Result<Vec<u64>, Failure> {
    let (space, n) = (&scene.space, scene.n);
    let ptr = |page| scene.ptr(page);
    let hinted = scene.pte(0).with_cont(true);
    let (one, wanted) = (scene.pte(3).with_cont(true), scene.pte(6).make_dirty());
    let last = scene.pte(2 * n - 1);
    scene
        .locked(async |thread| {
            let mut out = Vec::new();
            if public {
                set_ptes(thread, space, ptr(0), hinted, 2 * n - 1).await?;
                set_ptes(thread, space, ptr(2 * n - 1), last, 1).await?;
                set_pte(thread, ptr(3), one).await?;
                out.push(get(thread, ptr(3)).await?.0);
                out.push(get_lockless(thread, ptr(4)).await?.0);
                out.push(test_and_clear_young(thread, space, ptr(4)).await?.into());
                out.push(clear_flush_young(thread, space, ptr(5)).await?.into());
                set_wrprotects(thread, space, ptr(1), n).await?;
                let changed = set_access_flags(thread, space, ptr(6), wanted, true).await?;
                out.push(changed.into());
                out.push(get_and_clear(thread, space, ptr(7)).await?.0);
                out.push(clear_ptes(thread, space, ptr(8), 1).await?.0);
            } else {
                raw::set_many(thread, ptr(0), hinted, 2 * n - 1).await?;
                raw::set_many(thread, ptr(2 * n - 1), last, 1).await?;
                raw::set(thread, ptr(3), one).await?;
                out.push(raw::get(thread, ptr(3)).await?.0);
                out.push(raw::get(thread, ptr(4)).await?.0);
                out.push(raw::test_and_clear_young(thread, ptr(4)).await?.into());
                out.push(raw::test_and_clear_young(thread, ptr(5)).await?.into());
                thread.flush_page_nosync(space, ptr(5).va).await;
                for page in 1..=n {
                    raw::set_wrprotect(thread, ptr(page)).await?;
                }
                let changed = raw::set_access_flags(thread, ptr(6), wanted).await?;
                out.push(changed.into());
                thread.flush_page(space, ptr(6).va).await;
                out.push(raw::get_and_clear(thread, ptr(7)).await?.0);
                out.push(raw::get_and_clear(thread, ptr(8)).await?.0);
            }
            Ok::<_, Error>(out)
        })
        .await
}

/// What operations returned, what the world saw of them, and the table they left.
type Outcome = (Vec<u64>, Vec<Step>, Vec<Pte>);

fn off(bench: &mut Bench) -> Result<(), Failure> {
    for mut config in OsConfig::few() {
        config.contpte.enabled = false;
        let mut outcomes: Vec<Outcome> = Vec::new();
        for public in [true, false] {
            bench.restart()?;
            let os = Os::boot(bench, &config)?;
            let record = Record::on(bench)?;
            let outcome = os.run(bench, async move |os| {
                let scene = Scene::new(&os, 1).await?;
                record.clear();
                let out = operate(&scene, public).await?;
                let entries = scene.entries(0..2 * scene.n).await;
                expect("CONTPTE-34", scene.conversions() == (0, 0), || {
                    format!("conversions: {:?}", scene.conversions())
                })?;
                scene.flush().await;
                Ok((out, trace(&record, 0), entries))
            })?;
            outcomes.push(outcome);
        }
        let [public, raw] = &outcomes[..] else {
            return Err("not two outcomes".into());
        };
        expect("CONTPTE-34", public.0 == raw.0, || {
            format!("returned {:x?}, raw {:x?}", public.0, raw.0)
        })?;
        expect("CONTPTE-34", public.2 == raw.2, || {
            format!("left {:x?}, raw {:x?}", public.2, raw.2)
        })?;
        let differ = public.1.iter().zip(&raw.1).position(|(a, b)| a != b);
        let same = differ.is_none() && public.1.len() == raw.1.len();
        expect("CONTPTE-34", same && !public.1.is_empty(), || {
            format!("step {differ:?} of {:?} against {:?}", public.1, raw.1)
        })?;
    }
    Ok(())
}

fn bbm2(bench: &mut Bench) -> Result<(), Failure> {
    for mut config in OsConfig::few() {
        bench.restart()?;
        bench.setup().straps.contiguous = true;
        bench.setup().straps.bbml = 2;
        config.contpte.bbm2_noabort = true;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, 0).await?;
            let n = scene.n;
            record.clear();
            for page in 0..n {
                scene.set(page, scene.pte(page), 1).await?;
                scene.publish().await;
                let answer = scene.other.cpu.access(load(scene.va(page))).await;
                answer.succeeds("CONTPTE-35")?;
            }
            let hints = scene.hints(0..n).await;
            let quiet = maintenance(&record, 0) == (Vec::new(), 0);
            let met = quiet && hints == n && scene.conversions() == (1, 0);
            expect("CONTPTE-35", met, || {
                format!("{hints} hints, conversions {:?}", scene.conversions())
            })?;
            // The run is cached where single pages of it were.
            scene.flush().await;
            for page in [1, 6] {
                for thread in [&scene.thread, &scene.other] {
                    let answer = thread.cpu.access(load(scene.va(page))).await;
                    answer.succeeds("CONTPTE-35")?;
                }
            }
            record.clear();
            let (space, ptr) = (&scene.space, scene.ptr(6));
            scene
                .locked(async |thread| set_wrprotects(thread, space, ptr, 1).await)
                .await?;
            let hints = scene.hints(0..n).await;
            let quiet = maintenance(&record, 0) == (Vec::new(), 0);
            let met = quiet && hints == 0 && scene.conversions() == (1, 1);
            expect("CONTPTE-35", met, || {
                format!("{hints} hints, conversions {:?}", scene.conversions())
            })?;
            // What every core has cached is the run, until the flush.
            let answer = scene.other.cpu.access(load(scene.va(1))).await;
            let cached = matches!(answer.place, HitPlace::L1 | HitPlace::L2);
            expect("CONTPTE-35", cached && answer.fault.is_none(), || {
                format!("before the flush: {answer}")
            })?;
            scene.thread.flush_page(&scene.space, ptr.va).await;
            // The walk of one thread serves the next on the same core.
            let several = scene.thread.core != scene.other.core;
            let others = several.then_some(&scene.other);
            for thread in [&scene.thread].into_iter().chain(others) {
                let answer = thread.cpu.access(store(ptr.va, 1)).await;
                let kind = answer.fault.and_then(|fsc| fsc.kind());
                expect("CONTPTE-35", kind == Some(FaultKind::Permission), || {
                    format!("core {} stored: {answer}", thread.core)
                })?;
                let answer = thread.cpu.access(load(scene.va(1))).await;
                expect("CONTPTE-35", answer.place == HitPlace::Walk, || {
                    format!("the run is still cached: {answer}")
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
