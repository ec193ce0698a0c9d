// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When blocks fold, when not, and what one TLB entry reaches then (contpte sections 2 to 4).

use cosim::dut::ports::{Counter, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use sw_mm::pte::Pte;
use vmsa::Granule;

use super::access::load;
use super::contpte_scene::{Scene, VA, block_entries, folio, maintenance};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::{expect, span};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "contpte-reach",
        purpose: "a sweep over a folded block walks once and fills one entry, which reaches all of it",
        requirements: &["CONTPTE-01", "CONTPTE-36"],
        run: reach,
    },
    Testbench {
        name: "contpte-born-folded",
        purpose: "whole blocks that are stored at once have the hint, parts of blocks have not; nothing is invalidated",
        requirements: &["CONTPTE-02", "CONTPTE-03"],
        run: born_folded,
    },
    Testbench {
        name: "contpte-filled",
        purpose: "page by page upwards a block folds with its last entry by one invalidation; downwards never",
        requirements: &["CONTPTE-04", "CONTPTE-05"],
        run: filled,
    },
    Testbench {
        name: "contpte-unequal",
        purpose: "two folios, or entries that differ in an attribute, do not fold; access flag and dirty state do not matter",
        requirements: &["CONTPTE-06", "CONTPTE-07", "CONTPTE-08", "CONTPTE-09"],
        run: unequal,
    },
];

fn reach(bench: &mut Bench) -> Result<(), Failure> {
    const SEEN: [Counter; 4] = [
        Counter::L1dTlbRefill,
        Counter::DtlbWalk,
        Counter::ContiguousFill,
        Counter::ContiguousHit,
    ];
    for granule in Granule::ALL {
        for folded in [true, false] {
            bench.restart()?;
            bench.setup().straps.contiguous = true;
            bench.setup().straps.prefetch = false;
            let mut config = OsConfig::with_granule(granule);
            config.contpte.enabled = folded;
            let os = Os::boot(bench, &config)?;
            let record = Record::on(bench)?;
            let counts = os.run(bench, async move |os| {
                let scene = Scene::new(&os, 0).await?;
                let n = scene.n;
                scene.set(0, scene.pte(0), n).await?;
                scene.publish().await;
                let core = &scene.thread.cpu;
                let counts = || SEEN.map(|counter| os.handle.counter(0, counter));
                let before = counts();
                record.clear();
                for page in 0..n {
                    let answer = core.access(load(scene.va(page))).await;
                    let pa = os.kernel.pa(scene.folio.pfn()) + page * granule.bytes();
                    answer.reaches("CONTPTE-36", pa)?;
                }
                let after = counts();
                let fills = record.fills(0);
                let fills: Vec<_> = fills
                    .iter()
                    .filter(|(_, fill)| fill.structure == TlbStructure::Dtlb)
                    .map(|(_, fill)| (fill.va, span(fill), fill.contiguous))
                    .collect();
                if folded {
                    let one = [(VA, n * granule.bytes(), true)];
                    expect("CONTPTE-01", fills == one, || format!("fills: {fills:x?}"))?;
                } else {
                    let pages = (0..n).map(|page| (scene.va(page), granule.bytes(), false));
                    expect("CONTPTE-36", fills.iter().copied().eq(pages), || {
                        format!("fills: {fills:x?}")
                    })?;
                }
                Ok([0, 1, 2, 3].map(|index| after[index] - before[index]))
            })?;
            let n = block_entries(granule);
            let expected = match folded {
                true => [1, 1, 1, n - 1],
                false => [n, n, 0, 0],
            };
            expect("CONTPTE-36", counts == expected, || {
                format!(
                    "{granule:?} folded {folded}: refills, walks, fills and hits of runs: {counts:?}, not {expected:?}"
                )
            })?;
            let name = if folded {
                "walks folded"
            } else {
                "walks unfolded"
            };
            bench.count(name, counts[1]);
        }
    }
    Ok(())
}

fn born_folded(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            // Both blocks; then all but 3 entries of the first and 5 of the fourth; then the frames one
            // page further on in virtual memory.
            for (order, page, from, short, folded) in
                [(1, 0, 0, 0, 0..2), (2, 3, 3, 8, 1..3), (2, 1, 0, 1, 0..0)]
            {
                let scene = Scene::new(&os, order).await?;
                let (n, all) = (scene.n, scene.n << order);
                record.clear();
                scene.set(page, scene.pte(from), all - short).await?;
                let (tlbis, barriers) = maintenance(&record, 0);
                expect("CONTPTE-02", tlbis.is_empty() && barriers == 0, || {
                    format!("{tlbis:?}, {barriers} DSB ISH")
                })?;
                let entries = scene.entries(0..all).await;
                for (at, pte) in (0..).zip(entries) {
                    let expected = match (page..page + all - short).contains(&at) {
                        true => scene
                            .pte(from + at - page)
                            .with_cont(folded.contains(&(at / n))),
                        false => Pte::NONE,
                    };
                    let id = if order == 1 {
                        "CONTPTE-02"
                    } else {
                        "CONTPTE-03"
                    };
                    expect(id, pte == expected, || format!("page {at} has {pte:?}"))?;
                }
                expect("CONTPTE-02", scene.conversions() == (0, 0), || {
                    format!("conversions: {:?}", scene.conversions())
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn filled(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, 0).await?;
            let n = scene.n;
            record.clear();
            for page in 0..n {
                if page == n - 1 {
                    let quiet = maintenance(&record, 0) == (Vec::new(), 0);
                    let hints = scene.hints(0..n).await;
                    expect("CONTPTE-04", quiet && hints == 0, || {
                        format!("before the last page: quiet {quiet}, {hints} hints")
                    })?;
                }
                scene.set(page, scene.pte(page), 1).await?;
                // The TLBs hold single pages of it by then.
                scene.publish().await;
                if page < n - 1 {
                    let answer = scene.other.cpu.access(load(scene.va(page))).await;
                    answer.succeeds("CONTPTE-04")?;
                }
            }
            let (tlbis, barriers) = maintenance(&record, 0);
            let once = tlbis.len() == 1 && scene.covers_block(tlbis[0], 0) && barriers == 1;
            expect("CONTPTE-04", once && scene.conversions() == (1, 0), || {
                format!("{tlbis:?}, {barriers} DSB ISH")
            })?;
            let hints = scene.hints(0..n).await;
            expect("CONTPTE-04", hints == n, || format!("{hints} hints"))?;

            let scene = Scene::new(&os, 0).await?;
            record.clear();
            for page in (0..n).rev() {
                scene.set(page, scene.pte(page), 1).await?;
            }
            let hints = scene.hints(0..n).await;
            let quiet = maintenance(&record, 0) == (Vec::new(), 0);
            expect("CONTPTE-05", hints == 0 && quiet, || {
                format!("{hints} hints, quiet {quiet}")
            })
        })?;
    }
    Ok(())
}

/// One entry changed before its block is complete, and what comes of it.
struct Change {
    id: &'static str,
    of: fn(Pte) -> Pte,
    /// What every member has after the fold; none if there is to be no fold.
    shared: Option<fn(Pte) -> bool>,
}

const fn apart(id: &'static str, of: fn(Pte) -> Pte) -> Change {
    Change {
        id,
        of,
        shared: None,
    }
}

const fn together(of: fn(Pte) -> Pte, shared: fn(Pte) -> bool) -> Change {
    Change {
        id: "CONTPTE-08",
        of,
        shared: Some(shared),
    }
}

const CHANGES: [Change; 13] = [
    apart("CONTPTE-07", Pte::write_protect),
    apart("CONTPTE-07", |pte| {
        Pte(pte.descriptor().with_ap_el0(false).0)
    }),
    apart("CONTPTE-07", |pte| pte.with_execute(true)),
    apart("CONTPTE-07", |pte| Pte(pte.descriptor().with_pxn(false).0)),
    apart("CONTPTE-07", |pte| {
        Pte(pte.descriptor().with_attr_index(1).0)
    }),
    apart("CONTPTE-07", |pte| Pte(pte.descriptor().with_sh(2).0)),
    apart("CONTPTE-07", |pte| Pte(pte.0 | 1 << 57)),
    apart("CONTPTE-07", Pte::make_prot_none),
    apart("CONTPTE-07", |_| Pte::NONE),
    apart("CONTPTE-09", Pte::make_special),
    together(Pte::make_dirty, Pte::dirty),
    together(
        |pte| Pte(pte.descriptor().with_ap_read_only(false).0),
        Pte::hardware_dirty,
    ),
    together(|pte| pte.with_young(false), Pte::young),
];

fn unequal(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let n = block_entries(granule);
            let kernel = os.kernel.config().nodes[0].base;
            record.clear();
            for (index, change) in (0..).zip(CHANGES) {
                // All granules see some of them.
                if granule != Granule::K4 && index % 4 != 0 && change.shared.is_none() {
                    continue;
                }
                let odd = if index % 2 == 0 { n - 1 } else { 2 };
                let scene = Scene::new(&os, 0).await?;
                let before = scene.conversions();
                for page in 0..n {
                    let pte = scene.pte(page);
                    let pte = if page == odd { (change.of)(pte) } else { pte };
                    scene.set(page, pte, 1).await?;
                }
                let entries = scene.entries(0..n).await;
                let hints = entries.iter().filter(|pte| pte.present() && pte.cont());
                let hints = hints.count() as u64;
                let folds = scene.conversions().0 - before.0;
                let expected = if change.shared.is_some() {
                    (n, 1)
                } else {
                    (0, 0)
                };
                expect(change.id, (hints, folds) == expected, || {
                    format!("change {index} of page {odd}: {hints} hints, {folds} folds")
                })?;
                if let Some(has) = change.shared {
                    let frames = (0..).zip(&entries).all(|(page, pte)| {
                        pte.pfn(granule).0 == scene.folio.pfn().0 + page && has(*pte)
                    });
                    expect(change.id, frames, || format!("members: {entries:?}"))?;
                }
            }
            special_and_halves(&os).await?;
            // The layer has written no table of the kernel.
            let commits = record.commits();
            let own = commits.iter().find(|(_, (_, at))| *at < kernel);
            expect("CONTPTE-09", own.is_none(), || {
                format!("a table of the kernel was written: {own:x?}")
            })
        })?;
    }
    Ok(())
}

async fn special_and_halves(os: &std::rc::Rc<Os>) -> Result<(), Failure> {
    let scene = Scene::new(os, 0).await?;
    let n = scene.n;
    let before = scene.conversions();
    scene.set(0, scene.pte(0).make_special(), n).await?;
    let hints = scene.hints(0..n).await;
    expect("CONTPTE-09", hints == 0, || format!("{hints} hints"))?;
    // Two folios of half a block each in consecutive frames, aligned together.
    let order = n.trailing_zeros() as u8 - 1;
    let mut some = Vec::new();
    for _ in 0..8 {
        some.push(folio(os, order)?);
    }
    let low = some.iter().find(|low| {
        let next = low.pfn().0 + n / 2;
        low.pfn().0 & (n - 1) == 0 && some.iter().any(|high| high.pfn().0 == next)
    });
    let low = low.ok_or("no two folios are neighbours")?;
    let scene = Scene::new(os, 0).await?;
    let pte = Pte::page(scene.granule, low.pfn()).with_young(true);
    for page in 0..n {
        scene
            .set(page, pte.advance(scene.granule, page as i64), 1)
            .await?;
    }
    let hints = scene.hints(0..n).await;
    let met = hints == 0 && scene.conversions() == before;
    expect("CONTPTE-06", met, || format!("{hints} hints"))
}
