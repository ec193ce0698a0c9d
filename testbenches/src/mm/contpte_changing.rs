// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Operations that change a part of folded blocks, or blocks as a whole (contpte section 5).

use cosim::regress::{Bench, Expect, Failure, Testbench};
use sw_mm::Cpu;
use sw_mm::contpte::{clear_ptes, set_access_flags, set_wrprotects};
use sw_mm::pte::{Pte, raw};
use vmsa::{DsbKind, FaultKind};

use super::access::{load, store};
use super::contpte_scene::{Scene, block_entries, maintenance};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "contpte-change-one",
        purpose: "one entry of a folded block is replaced: no hint is left, the others translate as before",
        requirements: &["CONTPTE-12"],
        run: change_one,
    },
    Testbench {
        name: "contpte-write-protect",
        purpose: "write permission taken from whole blocks in place: after the flush every core faults, dirt is kept",
        requirements: &["CONTPTE-17", "CONTPTE-19", "CONTPTE-20"],
        run: write_protect,
    },
    Testbench {
        name: "contpte-partial",
        purpose: "ranges that end inside of blocks unfold those blocks only, for write protection and for clearing",
        requirements: &["CONTPTE-18", "CONTPTE-26"],
        run: partial,
    },
    Testbench {
        name: "contpte-clear",
        purpose: "what clearing whole blocks returns has the access flag and dirty state of all of them",
        requirements: &["CONTPTE-26", "CONTPTE-27"],
        run: clear,
    },
    Testbench {
        name: "contpte-write-permission",
        purpose: "write permission given to one page of a folded block unfolds it and changes that page only",
        requirements: &["CONTPTE-12", "CONTPTE-24", "CONTPTE-25"],
        run: write_permission,
    },
];

/// Both threads load page `page` and get its frame.
async fn loads(scene: &Scene, id: &str, page: u64) -> Result<(), Failure> {
    let pa = scene.os.kernel.pa(scene.folio.pfn()) + page * scene.granule.bytes();
    for thread in [&scene.thread, &scene.other] {
        let answer = thread.cpu.access(load(scene.va(page))).await;
        answer.reaches(id, pa)?;
    }
    Ok(())
}

fn change_one(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        os.run(bench, async move |os| {
            let scene = Scene::folded(&os, 1).await?;
            let n = scene.n;
            for page in [3, n + 3] {
                loads(&scene, "CONTPTE-12", page).await?;
            }
            let other = scene.pte(7).with_execute(true);
            scene.set(7, other, 1).await?;
            let entries = scene.entries(0..2 * n).await;
            for (page, pte) in (0..).zip(entries) {
                let expected = match page {
                    7 => other,
                    _ => scene.pte(page).with_cont(page >= n),
                };
                expect("CONTPTE-12", pte == expected, || {
                    format!("page {page} has {pte:?}, not {expected:?}")
                })?;
            }
            expect("CONTPTE-12", scene.conversions() == (0, 1), || {
                format!("conversions: {:?}", scene.conversions())
            })?;
            for page in 0..2 * n {
                loads(&scene, "CONTPTE-12", page).await?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Stores of both threads to page `page` fault for want of permission; loads do not.
async fn refused(scene: &Scene, id: &str, page: u64) -> Result<(), Failure> {
    for thread in [&scene.thread, &scene.other] {
        let answer = thread.cpu.access(store(scene.va(page), 1)).await;
        let kind = answer.fault.and_then(|fsc| fsc.kind());
        expect(id, kind == Some(FaultKind::Permission), || {
            format!("core {} stored to page {page}: {answer}", thread.core)
        })?;
    }
    loads(scene, id, page).await
}

fn write_protect(bench: &mut Bench) -> Result<(), Failure> {
    use sw_mm::boot::HardwareUpdate;
    for config in OsConfig::few() {
        bench.restart()?;
        bench.setup().straps.hafdbs = 2;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let by_hardware = config.hardware_update == HardwareUpdate::AccessFlagAndDirty;
        os.run(bench, async move |os| {
            let scene = Scene::folded(&os, 1).await?;
            let (n, pages) = (scene.n, 2 * scene.n);
            let written = [3, n + 5];
            for page in written {
                loads(&scene, "CONTPTE-17", page).await?;
                if by_hardware {
                    // Hardware alone knows of this dirt: in which member it is up to it.
                    for thread in [&scene.thread, &scene.other] {
                        let answer = thread.cpu.access(store(scene.va(page), 7)).await;
                        answer.succeeds("CONTPTE-20")?;
                        thread.cpu.dsb(DsbKind::ISH).await;
                    }
                } else {
                    let ptr = scene.ptr(page);
                    scene
                        .locked(async |thread| {
                            let dirty = |pte: Pte| Pte(pte.descriptor().with_ap_read_only(false).0);
                            raw::update(thread, ptr, dirty).await
                        })
                        .await?;
                }
            }
            let before = scene.entries(0..pages).await;
            let dirt = |entries: &[Pte], block: u64| {
                let block = (block * n) as usize..((block + 1) * n) as usize;
                entries[block].iter().filter(|pte| pte.dirty()).count()
            };
            for block in 0..2 {
                let met = before.iter().all(|pte| !pte.software_dirty());
                expect("CONTPTE-20", met && dirt(&before, block) > 0, || {
                    format!("block {block} before: {before:?}")
                })?;
            }
            record.clear();
            let (space, ptr) = (&scene.space, scene.ptr(0));
            scene
                .locked(async |thread| set_wrprotects(thread, space, ptr, pages).await)
                .await?;
            let quiet = maintenance(&record, 0) == (Vec::new(), 0);
            let after = scene.entries(0..pages).await;
            expect("CONTPTE-17", quiet && scene.conversions() == (0, 0), || {
                format!("quiet {quiet}, conversions {:?}", scene.conversions())
            })?;
            for (page, (old, new)) in (0..).zip(before.iter().zip(&after)) {
                let folded = *new == scene.pte(page).with_cont(true).write_protect()
                    || old.dirty() && new.cont() && !new.writable();
                expect("CONTPTE-17", folded, || format!("page {page} has {new:?}"))?;
                let kept = new.software_dirty() == old.dirty()
                    && new.descriptor().ap_read_only()
                    && !new.writable();
                expect("CONTPTE-20", kept, || {
                    format!("page {page} had {old:?}, has {new:?}")
                })?;
            }
            scene.flush().await;
            for page in 0..pages {
                refused(&scene, "CONTPTE-19", page).await?;
            }
            let end = scene.entries(0..pages).await;
            expect("CONTPTE-19", end == after, || {
                format!("refused stores left {end:?}")
            })
        })?;
    }
    Ok(())
}

/// Ranges in blocks of `n` entries, four of them, as (first page, pages, blocks that unfold).
fn ranges(n: u64) -> [(u64, u64, &'static [u64]); 8] {
    [
        (0, 4 * n, &[]),
        (n, 2 * n, &[]),
        (1, 4 * n - 1, &[0]),
        (0, 4 * n - 1, &[3]),
        (3, 3 * n, &[0, 3]),
        (n + 2, 5, &[1]),
        (n, n - 1, &[1]),
        (n - 1, 2, &[0, 1]),
    ]
}

fn partial(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        let n = block_entries(config.granule);
        for (case, (page, pages, unfolded)) in ranges(n).into_iter().enumerate() {
            // Long blocks: a few of the cases.
            if n > 16 && case % 2 == 0 {
                continue;
            }
            for clears in [false, true] {
                bench.restart()?;
                let os = Os::boot(bench, &config)?;
                let record = Record::on(bench)?;
                let id = if clears { "CONTPTE-26" } else { "CONTPTE-18" };
                os.run(bench, async move |os| {
                    let scene = Scene::folded(&os, 2).await?;
                    for block in 0..4 {
                        loads(&scene, id, block * n + 1).await?;
                    }
                    let (space, ptr) = (&scene.space, scene.ptr(page));
                    record.clear();
                    scene
                        .locked(async |thread| match clears {
                            true => clear_ptes(thread, space, ptr, pages).await.map(|_| ()),
                            false => set_wrprotects(thread, space, ptr, pages).await,
                        })
                        .await?;
                    let (tlbis, barriers) = maintenance(&record, 0);
                    let count = unfolded.len();
                    let blocks = unfolded.iter().zip(&tlbis);
                    let exact = blocks.fold(true, |all, (block, op)| {
                        all && scene.covers_block(*op, block * n)
                    });
                    let met = exact
                        && (tlbis.len(), barriers) == (count, count)
                        && scene.conversions() == (0, count as u64);
                    expect(id, met, || {
                        format!(
                            "pages {page} +{pages}: conversions {:?}, {tlbis:?}",
                            scene.conversions()
                        )
                    })?;
                    let entries = scene.entries(0..4 * n).await;
                    for (at, pte) in (0..).zip(entries) {
                        let live = scene.pte(at).with_cont(!unfolded.contains(&(at / n)));
                        let expected = match ((page..page + pages).contains(&at), clears) {
                            (false, _) => live,
                            (true, true) => Pte::NONE,
                            (true, false) => live.write_protect(),
                        };
                        expect(id, pte == expected, || {
                            format!("pages {page} +{pages}: page {at} has {pte:?}")
                        })?;
                    }
                    scene.flush().await;
                    for block in 0..4 {
                        for at in [block * n, block * n + n - 1] {
                            judge(&scene, id, at, (page..page + pages).contains(&at), clears)
                                .await?;
                        }
                    }
                    Ok(())
                })?;
            }
        }
    }
    Ok(())
}

/// What a thread of another core gets of page `at`.
async fn judge(
    scene: &Scene,
    id: &str,
    at: u64,
    changed: bool,
    clears: bool,
) -> Result<(), Failure> {
    match (changed, clears) {
        (false, _) => loads(scene, id, at).await,
        (true, false) => refused(scene, id, at).await,
        (true, true) => {
            let answer = scene.other.cpu.access(load(scene.va(at))).await;
            let kind = answer.fault.and_then(|fsc| fsc.kind());
            expect(id, kind == Some(FaultKind::Translation), || {
                format!("page {at} answers {answer}")
            })
        }
    }
}

fn clear(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        os.run(bench, async move |os| {
            let n = block_entries(os.kernel.granule());
            for (young, dirty) in [(false, false), (true, false), (false, true)] {
                let scene = Scene::new(&os, 1).await?;
                scene.set(0, scene.pte(0).with_young(false), 2 * n).await?;
                // The last entry alone has it.
                let (space, first, last) = (&scene.space, scene.ptr(0), scene.ptr(2 * n - 1));
                let before = scene.conversions();
                let old = scene
                    .locked(async |thread| {
                        raw::update(thread, last, |pte| {
                            let pte = pte.with_young(young);
                            if dirty { pte.make_dirty() } else { pte }
                        })
                        .await?;
                        clear_ptes(thread, space, first, 2 * n).await
                    })
                    .await?;
                let met = (old.young(), old.dirty()) == (young, dirty)
                    && old.norm() == scene.pte(0).norm();
                expect("CONTPTE-27", met, || {
                    format!("young {young}, dirty {dirty}: {old:?}")
                })?;
                let gone = scene
                    .entries(0..2 * n)
                    .await
                    .iter()
                    .all(|pte| pte.is_none());
                expect("CONTPTE-26", gone && scene.conversions() == before, || {
                    format!("gone {gone}, conversions {:?}", scene.conversions())
                })?;
                scene.flush().await;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn write_permission(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, 0).await?;
            let (n, last) = (scene.n, scene.n - 1);
            scene.set(0, scene.pte(0).write_protect(), n).await?;
            scene.publish().await;
            refused(&scene, "CONTPTE-24", 2).await?;
            let wanted = scene.pte(last).make_dirty();
            let (space, ptr) = (&scene.space, scene.ptr(last));
            record.clear();
            let changed = scene
                .locked(async |thread| set_access_flags(thread, space, ptr, wanted, true).await)
                .await?;
            expect(
                "CONTPTE-24",
                changed && scene.conversions() == (0, 1),
                || format!("changed {changed}, conversions {:?}", scene.conversions()),
            )?;
            // That of the conversion, and that of the page.
            let (tlbis, barriers) = maintenance(&record, 0);
            let met = tlbis.len() == 2
                && barriers == 2
                && scene.covers_block(tlbis[0], 0)
                && tlbis[1].range().is_none()
                && tlbis[1].va() == ptr.va;
            expect("CONTPTE-24", met, || {
                format!("{tlbis:?}, {barriers} DSB ISH")
            })?;
            for (page, pte) in (0..).zip(scene.entries(0..n).await) {
                let (id, expected) = match page == last {
                    true => ("CONTPTE-24", wanted),
                    false => ("CONTPTE-25", scene.pte(page).write_protect()),
                };
                expect(id, pte == expected, || format!("page {page} has {pte:?}"))?;
            }
            let answer = scene.other.cpu.access(store(scene.va(last), 5)).await;
            answer.succeeds("CONTPTE-24")?;
            for page in 0..last {
                refused(&scene, "CONTPTE-12", page).await?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
