// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which entry makes room once all are in use: the next in turn, so that none stays for good
//! (`docs/units`). A wrong choice changes no answer, only how often entries are missed.

use cosim::dut::ports::{CoreRequest, HitPlace, TlbFill, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Granule, Tlbi, TlbiScope};

use super::record::Record;
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "replacement-turn",
        purpose: "in every TLB and in the walk cache, full ones take each entry in its turn to make room",
        requirements: &["TLB-29"],
        run: turn,
    },
    Testbench {
        name: "replacement-count",
        purpose: "a first-level fill takes away what it overlaps and is there, and says how many that were",
        requirements: &["TLB-11"],
        run: count,
    },
    Testbench {
        name: "l2-overlap-asid",
        purpose: "a global second-level fill ends the private entries of every address space for its page",
        requirements: &["TLB-11", "TLB-22"],
        run: overlap,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x1_0000_0000;
const VA: u64 = 0x4000_0000;

/// One structure, how many entries compete in it, and how far apart addresses are that do.
struct Contest {
    structure: TlbStructure,
    entries: u64,
    stride: u64,
    fetches: bool,
}

fn turn(bench: &mut Bench) -> Result<(), Failure> {
    let info = *bench.simulation()?.info();
    let mut contests = Vec::new();
    for entries in 2..=u64::from(info.dtlb_entries).min(5) {
        contests.push((TlbStructure::Dtlb, entries, 0x1000, false));
    }
    for entries in 2..=u64::from(info.itlb_entries).min(5) {
        contests.push((TlbStructure::Itlb, entries, 0x1000, true));
    }
    for ways in 2..=u64::from(info.l2_ways) {
        let stride = 0x1000 << info.l2_sets_log2;
        contests.push((TlbStructure::L2, ways, stride, false));
    }
    // Below each of these lies a table of its own.
    let tables = u64::from(info.walk_cache_entries);
    contests.push((TlbStructure::WalkCache, tables, 0x20_0000, false));
    for (structure, entries, stride, fetches) in contests {
        contest(
            bench,
            &Contest {
                structure,
                entries,
                stride,
                fetches,
            },
        )?;
    }
    Ok(())
}

/// Three times as many addresses as there are entries, one after the other.
fn contest(bench: &mut Bench, contest: &Contest) -> Result<(), Failure> {
    let &Contest {
        structure,
        entries,
        stride,
        fetches,
    } = contest;
    bench.restart()?;
    let straps = &mut bench.setup().straps;
    let used = u8::try_from(entries).ok();
    straps.dtlb_entries = used.filter(|_| structure == TlbStructure::Dtlb);
    straps.itlb_entries = used.filter(|_| structure == TlbStructure::Itlb);
    straps.l2_ways = used.filter(|_| structure == TlbStructure::L2);
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for i in 0..3 * entries {
        let leaf = user_rw(Granule::K4, 3, PA + (i << 12));
        tree.map(VA + i * stride, 3, leaf);
    }
    tree.load(bench)?;
    let record = Record::on(bench)?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        flush(&core).await;
        record.clear();
        for i in 0..3 * entries {
            let va = VA + i * stride;
            let request = match fetches {
                true => CoreRequest::fetch(va, El::El0),
                false => CoreRequest::load(va, 3, El::El0),
            };
            let answer = core.access(request).await;
            on(request, answer.reaches("TLB-29", PA + (i << 12)))?;
        }
        let fills = record.fills(structure);
        let taken: Vec<u64> = fills
            .iter()
            .map(|(_, fill)| place(structure, fill))
            .collect();
        let (mut met, mut seen) = (taken.len() as u64 >= 3 * entries, Vec::new());
        for (at, &place) in taken.iter().enumerate() {
            if (seen.len() as u64) < entries {
                // There is room: each goes where nothing is.
                met &= !seen.contains(&place) && place < entries;
                seen.push(place);
            } else if at as u64 > entries {
                met &= place == (taken[at - 1] + 1) % entries;
            }
        }
        expect("TLB-29", met, || {
            format!("{structure:?} with {entries} entries was filled at {taken:?}")
        })
    })
}

/// The entry that a fill takes, among those that compete for it.
fn place(structure: TlbStructure, fill: &TlbFill) -> u64 {
    match structure {
        TlbStructure::L2 => u64::from(fill.l2_place().1),
        _ => u64::from(fill.index),
    }
}

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn count(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..512u64 {
        let leaf = user_rw(Granule::K4, 3, PA + (page << 12));
        tree.map(VA + (page << 12), 3, leaf);
    }
    tree.load(bench)?;
    let slot = tree.slot(VA, 2);
    let (table, block) = (tree.word(slot), user_rw(Granule::K4, 2, PA).0);
    let (record, handle) = (Record::on(bench)?, bench.handle()?);
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        // What entries held that have left stays in their registers: it counts for nothing.
        for pages in [1, 2, 3, 2, 1] {
            handle.poke(slot, table);
            flush(&core).await;
            handle.sleep(600).await;
            record.clear();
            for page in 0..pages {
                let request = load(VA + (page << 12));
                let answer = core.access(request).await;
                on(request, answer.reaches("TLB-11", PA + (page << 12)))?;
            }
            // Ends the use of the table and of a page that no entry is for.
            let far = Tlbi::vae1(TlbiScope::Local, VA + 0x1f_f000, 1, None);
            invalidate(&core, far).await;
            handle.poke(slot, block);
            core.access(load(VA + 0x9000))
                .await
                .reaches("TLB-11", PA + 0x9000)?;
            let fills = record.fills(TlbStructure::Dtlb);
            let gone: Vec<_> = fills
                .iter()
                .map(|(_, fill)| u64::from(fill.count))
                .collect();
            let (last, before) = gone.split_last().unwrap_or((&u64::MAX, &[]));
            let met = *last == pages && before.iter().all(|&gone| gone == 0);
            expect("TLB-11", met, || {
                format!("after {pages} pages a block: fills took away {gone:?} entries")
            })?;
        }
        Ok(())
    })
}

fn overlap(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.l2_ways = Some(2);
    bench.setup().straps.dtlb_entries = Some(1);
    let stride = 0x1000 << bench.simulation()?.info().l2_sets_log2;
    bench.restart()?;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    let private = user_rw(Granule::K4, 3, PA);
    let slot = tree.map(VA, 3, private);
    // Another page of the set, and one of another set to take the only first-level entry.
    tree.map(VA + stride, 3, user_rw(Granule::K4, 3, PA + 0x5000));
    tree.map(VA + 0x1000, 3, user_rw(Granule::K4, 3, PA + 0x6000));
    tree.map(VA + 0x2000, 3, user_rw(Granule::K4, 3, PA + 0x7000));
    for more in 0..2u64 {
        bench.restart()?;
        tree.load(bench)?;
        let handle = bench.handle()?;
        let regimes = [1, 2, 3].map(|asid| Regime::default().with(&tree, asid));
        bench.run(async move |core| {
            // Two address spaces fill both ways, the third one brings a global page in their place.
            let global = user_rw(Granule::K4, 3, PA + 0x8000).with_ng(false);
            for (regime, word, pa) in [
                (regimes[0], private, PA),
                (regimes[1], private, PA),
                (regimes[2], global, PA + 0x8000),
            ] {
                core.access(load(VA + 0x1000)).await;
                handle.poke(slot, word.0);
                regime.enter(&core).await;
                core.access(load(VA)).await.reaches("TLB-22", pa)?;
            }
            // Whichever way is the next in turn ...
            for page in 0..more {
                let request = load(VA + 0x2000 + (page << 12));
                core.access(request).await.succeeds("TLB-11")?;
            }
            // ... this one goes where a private entry was; the global one is still there, for all.
            let answer = core.access(load(VA + stride)).await;
            answer.reaches("TLB-11", PA + 0x5000)?;
            for regime in regimes {
                core.access(load(VA + 0x1000)).await.succeeds("TLB-22")?;
                regime.enter(&core).await;
                let answer = core.access(load(VA + 8)).await;
                answer.reaches("TLB-11", PA + 0x8008)?;
                answer.comes_from("TLB-22", HitPlace::L2)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
