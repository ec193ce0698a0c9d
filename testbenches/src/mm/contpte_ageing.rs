// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Access flag and dirty state of folded blocks: set by hardware in one entry or by software in all,
//! read of any, taken from all (contpte sections 5 and 6).

use cosim::dut::ports::{CommitKind, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::EventKind;
use sw_mm::Cpu;
use sw_mm::boot::HardwareUpdate;
use sw_mm::contpte::{
    Cleared, clear_flush_young, clear_young_dirty_ptes, get, get_batch, get_lockless,
    set_access_flags, test_and_clear_young,
};
use sw_mm::pte::{Pte, raw};
use vmsa::{DsbKind, FaultKind, Granule};

use super::access::{access, load, store};
use super::contpte_memory::Folded;
use super::contpte_scene::{Scene, block_entries, maintenance};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "contpte-gathered",
        purpose: "hardware marks one entry of a block young and dirty, whichever; every member reports it",
        requirements: &["CONTPTE-13"],
        run: gathered,
    },
    Testbench {
        name: "contpte-ageing",
        purpose: "ageing takes the access flag of the block without an invalidation, or with one that nobody waits for",
        requirements: &["CONTPTE-15", "CONTPTE-16"],
        run: ageing,
    },
    Testbench {
        name: "contpte-one-fault",
        purpose: "a sweep of loads, then of stores, over an old and clean block takes one fault of each kind at most",
        requirements: &["CONTPTE-21", "CONTPTE-22"],
        run: one_fault,
    },
    Testbench {
        name: "contpte-access-flags",
        purpose: "access flag and dirty state are given until every raw entry has them; a store flushes the block once",
        requirements: &["CONTPTE-22", "CONTPTE-23", "CONTPTE-25"],
        run: access_flags,
    },
];

fn gathered(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        bench.setup().straps.hafdbs = 2;
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, 0).await?;
            let (n, table) = (scene.n, scene.slot(0));
            scene.set(0, scene.pte(0).with_young(false), n).await?;
            scene.publish().await;
            // A load makes it young, a store dirty; the core that does not look did it.
            let accesses = [load(scene.va(n - 2)), store(scene.va(1), 3)];
            for (dirty, request) in [false, true].into_iter().zip(accesses) {
                record.clear();
                scene
                    .other
                    .cpu
                    .access(request)
                    .await
                    .succeeds("CONTPTE-13")?;
                scene.other.cpu.dsb(DsbKind::ISH).await;
                let updates = record.commits();
                let updates: Vec<_> = updates
                    .iter()
                    .filter(|(_, (kind, _))| *kind == CommitKind::Update)
                    .map(|(_, (_, at))| at)
                    .collect();
                let in_block = |at: &&u64| (table..table + 8 * n).contains(*at);
                let met = !updates.is_empty() && updates.iter().all(in_block);
                expect("CONTPTE-13", met, || format!("updates of {updates:x?}"))?;
                let entries = scene.entries(0..n).await;
                let young = entries.iter().filter(|pte| pte.young()).count() as u64;
                expect("CONTPTE-13", (1..n).contains(&young), || {
                    format!("{young} of {n} entries are young")
                })?;
                for page in [0, 1, n - 2, n - 1] {
                    let ptr = scene.ptr(page);
                    let reads = scene
                        .locked(async |thread| {
                            Ok([
                                get(thread, ptr).await?,
                                get_lockless(thread, ptr).await?,
                                get_batch(thread, ptr, 1).await?,
                            ])
                        })
                        .await?;
                    let met = reads.iter().all(|pte| {
                        (pte.young(), pte.dirty(), pte.cont()) == (true, dirty, true)
                            && pte.norm() == scene.pte(page).norm()
                    });
                    expect("CONTPTE-13", met, || format!("page {page}: {reads:?}"))?;
                }
            }
            expect("CONTPTE-13", scene.conversions() == (0, 0), || {
                format!("conversions: {:?}", scene.conversions())
            })
        })?;
    }
    Ok(())
}

fn ageing(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::folded(&os, 1).await?;
            let (n, space, ptr) = (scene.n, &scene.space, scene.ptr(5));
            let first = scene.ptr(0);
            scene
                .locked(async |thread| raw::test_and_clear_young(thread, first).await)
                .await?;
            record.clear();
            let mut seen = [false; 2];
            for young in &mut seen {
                *young = scene
                    .locked(async |thread| test_and_clear_young(thread, space, ptr).await)
                    .await?;
            }
            let quiet = maintenance(&record, 0) == (Vec::new(), 0);
            let entries = scene.entries(0..2 * n).await;
            let aged = (0..)
                .zip(&entries)
                .all(|(page, pte)| *pte == scene.pte(page).with_cont(true).with_young(page >= n));
            let met = seen == [true, false] && quiet && aged && scene.conversions() == (0, 0);
            expect("CONTPTE-15", met, || {
                format!("{seen:?}, quiet {quiet}, entries {entries:?}")
            })?;

            // Of the second block, which the other core holds.
            let answer = scene.other.cpu.access(load(scene.va(n + 1))).await;
            answer.succeeds("CONTPTE-16")?;
            let ptr = scene.ptr(2 * n - 1);
            for expected in [true, false] {
                record.clear();
                let young = scene
                    .locked(async |thread| clear_flush_young(thread, space, ptr).await)
                    .await?;
                let (tlbis, barriers) = maintenance(&record, 0);
                let once = tlbis
                    .iter()
                    .filter(|op| scene.covers_block(**op, n))
                    .count();
                let met = young == expected
                    && barriers == 0
                    && (once, tlbis.len()) == (usize::from(young), usize::from(young));
                expect("CONTPTE-16", met, || {
                    format!("young {young}, {tlbis:?}, {barriers} DSB ISH")
                })?;
            }
            let entries = scene.entries(n..2 * n).await;
            let aged = entries.iter().all(|pte| !pte.young() && pte.cont());
            expect("CONTPTE-16", aged, || format!("entries {entries:?}"))?;
            // The next barrier of the core completes it.
            scene.thread.cpu.dsb(DsbKind::ISH).await;
            let answer = scene.other.cpu.access(load(scene.va(n + 1))).await;
            expect(
                "CONTPTE-16",
                answer.place == HitPlace::Walk || answer.fault.is_some(),
                || format!("the block is still cached: {answer}"),
            )
        })?;
    }
    Ok(())
}

fn one_fault(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        bench.setup().straps.hafdbs = 2;
        let n = block_entries(config.granule);
        let update = config.hardware_update;
        let config = OsConfig {
            anonymous_orders: vec![n.trailing_zeros() as u8],
            ..config
        };
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let (flag, dirty) = match update {
            HardwareUpdate::None => (1, 1),
            HardwareUpdate::AccessFlag => (0, 1),
            HardwareUpdate::AccessFlagAndDirty => (0, 0),
        };
        os.run(bench, async move |os| {
            let (scene, page) = (Folded::new(&os, 1).await?, os.kernel.granule().bytes());
            let (space, thread) = (&scene.space, &scene.thread);
            let counters = &os.kernel.counters;
            let old = Cleared {
                young: true,
                dirty: true,
            };
            {
                let ptl = scene.table.lock.lock(&thread.held).await;
                let first = scene.table.entry(&os.kernel, super::contpte_scene::VA)?;
                clear_young_dirty_ptes(thread, first, n, old).await?;
                drop(ptl);
            }
            thread.flush_mm(space).await;
            // Stores come from the other core, whose TLB holds the clean block by then.
            let spurious = counters.spurious_faults.get();
            record.clear();
            for index in (0..n).rev() {
                for thread in [thread, &scene.other] {
                    let va = scene.va(index * page);
                    access(thread, load(va))
                        .await?
                        .response
                        .succeeds("CONTPTE-22")?;
                }
            }
            for index in 0..n {
                let va = scene.va(index * page);
                access(&scene.other, store(va, index)).await?;
                scene.other.cpu.dsb(DsbKind::ISH).await;
                let answer = access(thread, load(va)).await?;
                answer.response.reads("CONTPTE-22", index)?;
            }
            let faults = record.collect(|kind| match kind {
                EventKind::Response { response, .. } => response.fault,
                _ => None,
            });
            let of = |kind| {
                let faults = faults.iter().filter(|(_, fsc)| fsc.kind() == Some(kind));
                faults.count()
            };
            let came = (of(FaultKind::AccessFlag), of(FaultKind::Permission));
            let spurious = counters.spurious_faults.get() - spurious;
            let met = came == (flag, dirty) && faults.len() == flag + dirty && spurious == 0;
            expect("CONTPTE-21", met, || {
                format!("faults: {faults:?}, not {flag} and {dirty}; {spurious} spurious")
            })?;
            let folded = (0..n).all(|index| {
                let leaf = os.leaf(space, scene.va(index * page));
                leaf.is_some_and(|(_, leaf)| leaf.contiguous())
            });
            let conversions = (counters.folds.get(), counters.unfolds.get());
            expect("CONTPTE-21", folded && conversions == (0, 0), || {
                format!("folded {folded}, conversions {conversions:?}")
            })?;
            scene.end(&os).await
        })?;
    }
    Ok(())
}

fn access_flags(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, 0).await?;
            let (n, space, ptr) = (scene.n, &scene.space, scene.ptr(9));
            scene.set(0, scene.pte(0).with_young(false), n).await?;
            // A sibling has what the page itself lacks.
            let sibling = scene.ptr(6);
            let seen = scene
                .locked(async |thread| {
                    raw::update(thread, sibling, |pte| pte.with_young(true)).await?;
                    get(thread, ptr).await
                })
                .await?;
            let lacks = !scene.raw(9).await.young();
            expect("CONTPTE-22", seen.young() && lacks, || format!("{seen:?}"))?;
            let give = async |entry: Pte, write: bool| {
                scene
                    .locked(async |thread| set_access_flags(thread, space, ptr, entry, write).await)
                    .await
            };
            record.clear();
            let changed = [give(seen, false).await?, give(seen, false).await?];
            let quiet = maintenance(&record, 0) == (Vec::new(), 0);
            expect("CONTPTE-22", changed == [true, false] && quiet, || {
                format!("changed {changed:?}, quiet {quiet}")
            })?;
            for (page, pte) in (0..).zip(scene.entries(0..n).await) {
                expect("CONTPTE-25", pte == scene.pte(page).with_cont(true), || {
                    format!("page {page} has {pte:?}")
                })?;
            }
            let answer = scene.other.cpu.access(load(scene.va(2))).await;
            answer.succeeds("CONTPTE-22")?;

            record.clear();
            let wanted = scene.pte(9).make_dirty();
            let changed = give(wanted, true).await?;
            let (tlbis, barriers) = maintenance(&record, 0);
            let once = tlbis.len() == 1 && scene.covers_block(tlbis[0], 9) && barriers == 1;
            expect("CONTPTE-23", changed && once, || {
                format!("changed {changed}, {tlbis:?}, {barriers} DSB ISH")
            })?;
            for (page, pte) in (0..).zip(scene.entries(0..n).await) {
                let expected = scene.pte(page).make_dirty().with_cont(true);
                expect("CONTPTE-25", pte == expected, || {
                    format!("page {page} has {pte:?}")
                })?;
                let answer = scene.other.cpu.access(store(scene.va(page), 1)).await;
                answer.succeeds("CONTPTE-23")?;
            }
            record.clear();
            let changed = give(wanted, true).await?;
            let quiet = maintenance(&record, 0) == (Vec::new(), 0);
            expect("CONTPTE-22", !changed && quiet, || {
                format!("changed {changed}, quiet {quiet}")
            })?;
            expect("CONTPTE-23", scene.conversions() == (0, 0), || {
                format!("conversions: {:?}", scene.conversions())
            })
        })?;
    }
    Ok(())
}
