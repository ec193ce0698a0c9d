// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The second-level TLB: a page, a block and a run are each one entry, of instruction and data side
//! alike, in as many ways and sets as are in use (section 10).

use cosim::dut::ports::{CoreRequest, Counter, HitPlace, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Granule, geometry};

use super::record::Record;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on, span};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "l2-entry-sizes",
        purpose: "pages, blocks and runs of every granule are single second-level entries that serve first-level misses",
        requirements: &["TLB-30", "TLB-27", "TLB-02"],
        run: entry_sizes,
    },
    Testbench {
        name: "l2-unified",
        purpose: "an entry of one side serves the other, the right address space, with its own permissions",
        requirements: &["TLB-21", "TLB-22", "TLB-26"],
        run: unified,
    },
    Testbench {
        name: "l2-capacity",
        purpose: "as many pages stay as there are ways and sets in use, and more than that do not",
        requirements: &["TLB-29"],
        run: capacity,
    },
    Testbench {
        name: "l1-capacity",
        purpose: "as many pages stay in the first level as there are entries in use, and more than that do not",
        requirements: &["TLB-29"],
        run: first_level_capacity,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x2000_0000_0000;
const FAR: u64 = 0x7000_0000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// Every leaf that there is: granule, level, whether a run, bytes.
fn leaves() -> Vec<(Granule, u8, bool, u64)> {
    let mut all = Vec::new();
    for granule in [Granule::K4, Granule::K16, Granule::K64] {
        for level in (0..=3).filter(|&level| geometry::leaf_allowed(granule, level)) {
            let bytes = geometry::level_bytes(granule, level);
            all.push((granule, level, false, bytes));
            if let Some(entries) = geometry::contiguous_run(granule, level) {
                all.push((granule, level, true, bytes * u64::from(entries)));
            }
        }
    }
    all
}

fn entry_sizes(bench: &mut Bench) -> Result<(), Failure> {
    let leaves = leaves();
    for &(granule, level, run, bytes) in &leaves {
        bench.restart()?;
        bench.setup().straps.dtlb_entries = Some(1);
        let mut tree = Tree::new(Lower, granule, 48, TABLES);
        let base = 0x0040_0000_0000;
        let leaf = user_rw(granule, level, PA);
        if run {
            tree.map_run(base, level, PA, leaf);
        } else {
            tree.map(base, level, leaf);
        }
        tree.map(FAR, 3, user_rw(granule, 3, PA >> 1));
        tree.load(bench)?;
        let record = Record::on(bench)?;
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            let first = load(base + bytes / 2);
            let answer = core.access(first).await;
            on(first, answer.reaches("TLB-30", PA + bytes / 2))?;
            answer.comes_from("TLB-27", HitPlace::Walk)?;
            // The only first-level entry goes to another page.
            core.access(load(FAR)).await.succeeds("TLB-30")?;
            let spans: Vec<_> = record
                .fills(TlbStructure::L2)
                .iter()
                .map(|(_, fill)| (fill.va, span(fill), fill.contiguous))
                .collect();
            expect("TLB-30", spans.first() == Some(&(base, bytes, run)), || {
                format!("{granule} level {level}, run {run}: second-level entries {spans:x?}")
            })?;
            record.clear();
            for offset in [0, bytes - 8, bytes / 2 + 8] {
                let request = load(base + offset);
                let answer = core.access(request).await;
                on(request, answer.reaches("TLB-02", PA + offset))?;
                on(request, answer.comes_from("TLB-27", HitPlace::L2))?;
                let again = load(base + bytes - 16);
                let answer = core.access(again).await;
                on(again, answer.comes_from("TLB-30", HitPlace::L1))?;
                core.access(load(FAR))
                    .await
                    .comes_from("TLB-27", HitPlace::L2)?;
            }
            let walks = record.walks();
            expect("TLB-27", walks.is_empty(), || {
                format!("{granule} level {level}, run {run}: {walks:x?}")
            })?;
            // One byte beyond is another leaf, and there is none.
            let beyond = load(base + bytes);
            let answer = core.access(beyond).await;
            on(
                beyond,
                expect("TLB-30", answer.fault.is_some(), || answer.to_string()),
            )
        })?;
    }
    bench.count("leaf sizes", leaves.len() as u64);
    Ok(())
}

fn unified(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.dtlb_entries = Some(1);
    bench.setup().straps.itlb_entries = Some(1);
    let va = 0x4000_0000;
    let mut trees = [0, 1].map(|i| Tree::new(Lower, Granule::K4, 39, TABLES + i * 0x100_0000));
    let pages = [
        user_rw(Granule::K4, 3, 0x8000_0000),
        user_rw(Granule::K4, 3, 0x9000_0000),
    ];
    for (tree, page) in trees.iter_mut().zip(pages) {
        tree.map(va, 3, page.with_ap_read_only(true).with_pxn(true));
        tree.map(va + 0x1000, 3, page.with_ng(false));
        tree.map(va + 0x20_3000, 3, user_rw(Granule::K4, 3, 0xa000_0000));
        tree.map(va + 0x20_4000, 3, user_rw(Granule::K4, 3, 0xa000_1000));
        tree.load(bench)?;
    }
    let regimes =
        [1, 2].map(|asid: u16| Regime::default().with(&trees[usize::from(asid) - 1], asid));
    bench.run(async move |core| {
        // Pages of other sets, to take the only first-level entry of their side.
        let away = va + 0x20_3000;
        let fetch = |va| CoreRequest::fetch(va, El::El0);
        regimes[0].enter(&core).await;
        // Filled by data, used by fetches, and the other way round.
        core.access(load(va))
            .await
            .comes_from("TLB-26", HitPlace::Walk)?;
        let answer = core.access(fetch(va + 4)).await;
        answer.comes_from("TLB-26", HitPlace::L2)?;
        answer.reaches("TLB-26", 0x8000_0004)?;
        core.access(fetch(va + 0x1000))
            .await
            .comes_from("TLB-22", HitPlace::Walk)?;
        let answer = core.access(load(va + 0x1008)).await;
        answer.comes_from("TLB-22", HitPlace::L2)?;
        answer.reaches("TLB-22", 0x8000_0008)?;
        // What the access may do is judged with each access.
        for (request, fsc) in [
            (CoreRequest::store(va, 3, El::El0, 1), Some(0x0f)),
            (CoreRequest::fetch(va, El::El1), Some(0x0f)),
            (CoreRequest::load(va, 3, El::El1), None),
        ] {
            core.access(load(away)).await.succeeds("TLB-26")?;
            core.access(fetch(away + 0x1000)).await.succeeds("TLB-26")?;
            let answer = core.access(request).await;
            let met = answer.fault.map(|fsc| fsc.0) == fsc && !answer.walked;
            on(request, expect("TLB-26", met, || answer.to_string()))?;
        }
        // Another address space: the private entry does not serve, the global one does.
        core.access(load(away)).await.succeeds("TLB-26")?;
        regimes[1].enter(&core).await;
        let answer = core.access(load(va)).await;
        answer.comes_from("TLB-21", HitPlace::Walk)?;
        answer.reaches("TLB-21", 0x9000_0000)?;
        let answer = core.access(load(va + 0x1010)).await;
        answer.comes_from("TLB-22", HitPlace::L2)?;
        answer.reaches("TLB-22", 0x8000_0010)?;
        core.access(load(away)).await.succeeds("TLB-21")?;
        // Both private entries are kept side by side.
        regimes[0].enter(&core).await;
        let answer = core.access(load(va + 8)).await;
        answer.comes_from("TLB-21", HitPlace::L2)?;
        answer.reaches("TLB-21", 0x8000_0008)
    })
}

fn capacity(bench: &mut Bench) -> Result<(), Failure> {
    let info = *bench.handle()?.info();
    let (built_ways, built_sets) = (info.l2_ways, info.l2_sets_log2);
    let base = 0x4000_0000;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    let pages = 1u64 << built_sets << 3;
    for page in 0..=pages {
        let page = page << 12;
        tree.map(base + page, 3, user_rw(Granule::K4, 3, 0x8000_0000 + page));
    }
    for ways in 0..=built_ways {
        for sets in [0, 1, built_sets] {
            bench.restart()?;
            let straps = &mut bench.setup().straps;
            straps.l2_ways = Some(ways);
            straps.l2_sets_log2 = Some(sets);
            straps.dtlb_entries = Some(1);
            tree.load(bench)?;
            let record = Record::on(bench)?;
            let handle = bench.handle()?;
            let tree = tree.clone();
            bench.run(async move |core| {
                Regime::default().with(&tree, 1).enter(&core).await;
                // Pages of one set, then of all sets.
                for (stride, fit) in [
                    (1u64 << sets, u64::from(ways)),
                    (1, u64::from(ways) << sets),
                ] {
                    for count in [fit, fit + 1].into_iter().filter(|&count| count > 1) {
                        flush(&core).await;
                        // While an operation is at work in it, the second level takes no fill.
                        handle.sleep(2 << built_sets).await;
                        record.clear();
                        let mut walked = 0;
                        for round in 0..2 {
                            for page in (0..count).map(|page| (page * stride) << 12) {
                                let request = load(base + page + 8 * round);
                                let answer = core.access(request).await;
                                let pa = 0x8000_0000 + page + 8 * round;
                                on(request, answer.reaches("TLB-29", pa))?;
                                walked += u64::from(answer.walked) * round;
                                let place = if answer.walked {
                                    HitPlace::Walk
                                } else {
                                    HitPlace::L2
                                };
                                on(request, answer.comes_from("TLB-29", place))?;
                            }
                        }
                        let met = (walked == 0) == (count <= fit);
                        expect("TLB-29", met, || {
                            format!(
                                "{ways} ways of 2^{sets} sets: {count} pages, {stride} apart, \
                                 walked {walked} times the second time"
                            )
                        })?;
                        let fills = record.fills(TlbStructure::L2);
                        let inside = fills.iter().all(|(_, fill)| {
                            let (set, way) = fill.l2_place();
                            way < ways && u16::from(set) < 1 << sets
                        });
                        expect("TLB-29", inside && (ways > 0 || fills.is_empty()), || {
                            format!("{ways} ways of 2^{sets} sets: filled {fills:x?}")
                        })?;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn first_level_capacity(bench: &mut Bench) -> Result<(), Failure> {
    let info = *bench.handle()?.info();
    let base = 0x4000_0000;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..64u64 {
        let page = page << 12;
        tree.map(base + page, 3, user_rw(Granule::K4, 3, 0x8000_0000 + page));
    }
    for (fetches, built) in [(false, info.dtlb_entries), (true, info.itlb_entries)] {
        for entries in (1..=built).filter(|&n| n <= 5 || n + 1 >= built) {
            bench.restart()?;
            let straps = &mut bench.setup().straps;
            straps.itlb_entries = fetches.then_some(entries);
            straps.dtlb_entries = (!fetches).then_some(entries);
            tree.load(bench)?;
            let handle = bench.handle()?;
            let tree = tree.clone();
            bench.run(async move |core| {
                Regime::default().with(&tree, 1).enter(&core).await;
                for count in [u64::from(entries), u64::from(entries) + 1] {
                    flush(&core).await;
                    let (mut missed, mut refills) = (0u64, 0);
                    for round in 0..2 {
                        let counter = if fetches { Counter::L1iTlbRefill } else { Counter::L1dTlbRefill };
                        refills = handle.counter(0, counter);
                        for page in (0..count).map(|page| page << 12) {
                            let va = base + page + 8 * round;
                            let request = match fetches {
                                true => CoreRequest::fetch(va, El::El0),
                                false => load(va),
                            };
                            let answer = core.access(request).await;
                            let pa = 0x8000_0000 + page + 8 * round;
                            on(request, answer.reaches("TLB-29", pa))?;
                            missed += u64::from(answer.place != HitPlace::L1) * round;
                        }
                        refills = handle.counter(0, counter) - refills;
                    }
                    let met = (missed == 0) == (count <= u64::from(entries)) && refills == missed;
                    expect("TLB-29", met, || {
                        format!(
                            "{entries} entries, fetches {fetches}: of {count} pages {missed} missed \
                             and {refills} were filled the second time"
                        )
                    })?;
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}
