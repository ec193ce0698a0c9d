// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Several accesses under way at once: walks side by side, hits and misses under a miss, accesses that
//! share a walk, and what never passes what (sections 9, 13 and 14).

use cosim::dut::ports::{CoreRequest, Counter, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Fsc, Granule};

use super::record::{Record, most_at_once};
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "walks-at-once",
        purpose: "as many walks run side by side as the strap says, and each access gets its own answer",
        requirements: &["WALK-20", "WALK-25", "TLB-27"],
        run: at_once,
    },
    Testbench {
        name: "walk-hit-under-miss",
        purpose: "hits pass a miss, accesses to the same word and stores do not",
        requirements: &["ORD-09", "ORD-10", "ORD-30"],
        run: hit_under_miss,
    },
    Testbench {
        name: "walk-merged",
        purpose: "accesses to one page share a walk of their side, but never a fault or an entry that is not kept",
        requirements: &["WALK-28", "BBM-05", "TLB-27"],
        run: merged,
    },
    Testbench {
        name: "walk-single-reads",
        purpose: "each descriptor is read by one 8-byte read, at a slot that the tables lead to, and no blend of two values is used",
        requirements: &["WALK-20", "WALK-31"],
        run: single_reads,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;
const MEGA: u64 = 1 << 20;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn at_once(bench: &mut Bench) -> Result<(), Failure> {
    let built = bench.handle()?.info().walkers;
    for walkers in 1..=built {
        for instruction in [false, true] {
            bench.restart()?;
            bench.setup().straps.walkers = Some(walkers);
            let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
            // 12 pages below tables of their own, at different words.
            let pages: Vec<(u64, u64)> = (0..12u64)
                .map(|i| (VA + 4 * i * MEGA + 8 * i, PA + (i << 16) + 8 * i))
                .collect();
            for &(va, pa) in &pages {
                tree.map(va, 3, user_rw(Granule::K4, 3, pa));
            }
            tree.load(bench)?;
            for &(_, pa) in &pages {
                bench.load(pa, &[pa])?;
            }
            let record = Record::on(bench)?;
            bench.run(async move |core| {
                Regime::default().with(&tree, 1).enter(&core).await;
                let ask = |va| match instruction {
                    true => CoreRequest::fetch(va, El::El0),
                    false => load(va),
                };
                let accesses: Vec<_> = pages.iter().map(|&(va, _)| core.issue(ask(va))).collect();
                for (access, &(va, pa)) in accesses.into_iter().zip(&pages) {
                    let answer = access.await;
                    on(ask(va), answer.reaches("WALK-25", pa))?;
                    on(ask(va), answer.reads("TLB-27", pa))?;
                    on(ask(va), answer.comes_from("TLB-27", HitPlace::Walk))?;
                }
                let walks = record.walks();
                let most = most_at_once(&walks);
                expect(
                    "WALK-20",
                    most == usize::from(walkers) && walks.len() == 12,
                    || {
                        format!(
                            "{most} walks at once, {} in all, of {walkers} walkers",
                            walks.len()
                        )
                    },
                )
            })?;
        }
    }
    Ok(())
}

fn hit_under_miss(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    let (warm, cold) = (VA, VA + 4 * MEGA);
    tree.map(warm, 3, user_rw(Granule::K4, 3, PA));
    tree.map(cold, 3, user_rw(Granule::K4, 3, PA + 0x1000));
    tree.map(cold + 4 * MEGA, 3, user_rw(Granule::K4, 3, PA + 0x1000));
    tree.load(bench)?;
    bench.load(PA, &[1, 2, 3])?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        let store = |va, data| CoreRequest::store(va, 3, El::El0, data);
        // What follows a miss at word 1, whether it may be answered first.
        for (second, passes) in [
            (load(warm + 0x10), true),
            (CoreRequest::fetch(warm + 0x10, El::El0), true),
            (CoreRequest::at(warm + 0x10, El::El0, false, false), true),
            (load(warm + 0x8), false),
            (load(warm + 0xa), false),
            (load(warm + 0xd), false),
            (store(warm + 0x20, 5), false),
            (CoreRequest::cas(warm + 0x28, El::El0, 0, 6), false),
        ] {
            flush(&core).await;
            core.access(load(warm)).await.succeeds("ORD-30")?;
            core.access(CoreRequest::fetch(warm, El::El0))
                .await
                .succeeds("ORD-30")?;
            let first = core.issue(load(cold + 0x8));
            let second_access = core.issue(second);
            let (before, after) = (handle.clone(), handle.clone());
            let one = handle.spawn(async move { (first.await, before.now()) });
            let two = handle.spawn(async move { (second_access.await, after.now()) });
            let ((one, one_at), (two, two_at)) = (one.await, two.await);
            one.reaches("ORD-30", PA + 0x1008)?;
            on(second, two.succeeds("ORD-30"))?;
            on(
                second,
                expect("ORD-30", (two_at < one_at) == passes, || {
                    format!("answered at {two_at}, the older miss at {one_at}; passes: {passes}")
                }),
            )?;
        }
        // Aliases: the page is the same, the VA another. Old then new, never new then old.
        for round in 0..20u64 {
            flush(&core).await;
            core.access(load(cold)).await.succeeds("ORD-30")?;
            handle.poke(PA + 0x1010, 2 * round);
            let pair = [
                core.issue(load(cold + 4 * MEGA + 0x10)),
                core.issue(load(cold + 0x10)),
            ];
            handle.sleep(4 * round).await;
            handle.poke(PA + 0x1010, 2 * round + 1);
            let [first, second] = pair;
            let (first, second) = (first.await.data, second.await.data);
            expect("ORD-30", first <= second && first >= 2 * round, || {
                format!("round {round}: {first}, then {second}")
            })?;
        }
        // An ISB waits for what an older access may fault on, and that is known when it is answered.
        flush(&core).await;
        let bad = core.issue(load(cold + 8 * MEGA));
        let isb = core.issue(CoreRequest::isb());
        let (before, after) = (handle.clone(), handle.clone());
        let bad = handle.spawn(async move { (bad.await.fault, before.now()) });
        let isb = handle.spawn(async move { (isb.await.undef, after.now()) });
        let ((fault, faulted), (undef, done)) = (bad.await, isb.await);
        let met = fault == Some(Fsc(0x06)) && !undef && faulted < done;
        expect("ORD-10", met, || {
            format!("fault {fault:?} at {faulted}, ISB done at {done}")
        })?;
        // A store behind a faulting load, and one that faults behind a miss: nothing is lost or done.
        flush(&core).await;
        let bad = core.issue(load(cold + 8 * MEGA + 0x30));
        let good = core.issue(store(warm + 0x38, 7));
        bad.await.faults("ORD-09", Fsc(0x06))?;
        good.await.reaches("ORD-09", PA + 0x38)?;
        let miss = core.issue(load(cold + 0x18));
        let bad = core.issue(store(cold + 8 * MEGA, 9));
        miss.await.reaches("ORD-09", PA + 0x1018)?;
        bad.await.faults("ORD-09", Fsc(0x06))?;
        let held = handle.peek(PA + 0x38);
        expect("ORD-09", held == 7, || format!("{held:#x} in memory"))
    })
}

fn merged(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    let slot = tree.slot(VA, 3);
    tree.map(VA + 4 * MEGA, 2, user_rw(Granule::K4, 2, PA).with_nt(true));
    tree.load(bench)?;
    let (record, handle) = (Record::on(bench)?, bench.handle()?);
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        let (page, block) = (VA, VA + 4 * MEGA);
        let fetch = |va| CoreRequest::fetch(va, El::El0);
        let at = |va| CoreRequest::at(va, El::El0, false, false);
        let good = user_rw(Granule::K4, 3, PA).0;
        // Accesses issued together, the descriptor of the page, walks made, whether any joins one.
        for (accesses, word, walks, joins) in [
            (
                vec![load(page), load(page + 8), load(page + 0x10)],
                good,
                1,
                true,
            ),
            (vec![fetch(page), fetch(page + 8)], good, 1, true),
            (
                vec![load(page), at(page + 8), load(page + 0xff8)],
                good,
                1,
                true,
            ),
            (vec![load(page), fetch(page + 8)], good, 2, false),
            // A fault is each access's own.
            (vec![load(page), load(page + 8)], 0, 2, true),
            (vec![load(page), load(page + 8)], good & !(1 << 10), 2, true),
            // So is a permission fault, of an entry that is kept.
            (vec![load(page), load(page + 8)], good & !(1 << 6), 1, true),
            // A block with nT is used once and not kept.
            (vec![load(block), load(block + 8)], good, 2, true),
        ] {
            handle.poke(slot, word);
            flush(&core).await;
            record.clear();
            let joined = handle.counter(0, Counter::WalkMerged);
            let issued: Vec<_> = accesses
                .iter()
                .map(|&request| core.issue(request))
                .collect();
            let mut walked = 0;
            for (access, &request) in issued.into_iter().zip(&accesses) {
                let answer = access.await;
                let fault = match word ^ good {
                    0 => None,
                    bit if bit == 1 << 10 => Some(Fsc(0x0b)),
                    bit if bit == 1 << 6 => Some(Fsc(0x0f)),
                    _ => Some(Fsc(0x07)),
                };
                on(
                    request,
                    expect("WALK-28", answer.fault == fault, || answer.to_string()),
                )?;
                if fault.is_none() {
                    let pa = PA + (request.va & 0xfff);
                    on(request, answer.reaches("TLB-27", pa))?;
                    on(request, answer.comes_from("TLB-27", HitPlace::Walk))?;
                }
                walked += usize::from(answer.walked);
            }
            let made = record.walks();
            let id = if accesses[0].va == block {
                "BBM-05"
            } else {
                "WALK-28"
            };
            // With ETS2 a fault may be looked for once more.
            let more = word != good && made.len() > walks;
            expect(id, (made.len() == walks || more) && walked == walks, || {
                format!(
                    "{accesses:?}: {} walks, {walked} accesses walked: {made:x?}",
                    made.len()
                )
            })?;
            let joined = handle.counter(0, Counter::WalkMerged) - joined;
            expect(id, (joined > 0) == joins, || {
                format!("{accesses:?}: {joined} accesses joined a walk")
            })?;
        }
        Ok(())
    })
}

fn single_reads(bench: &mut Bench) -> Result<(), Failure> {
    for (latency, jitter) in [(20, 0), (5, 40)] {
        bench.restart()?;
        bench.setup().memory.latency = latency;
        bench.setup().memory.jitter = jitter;
        bench.setup().straps.prefetch = true;
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        // Two values of one page and of the table above it; a blend of their halves leads nowhere.
        let pages = [0x1234_8000_0000 >> 4 & !0xfff, 0x0765_4000_0000u64];
        let words = pages.map(|pa| user_rw(Granule::K4, 3, pa).0);
        for i in 0..8u64 {
            tree.map(VA + 4 * i * MEGA, 3, vmsa::Descriptor(words[0]));
        }
        let slots: Vec<u64> = (0..8).map(|i| tree.slot(VA + 4 * i * MEGA, 3)).collect();
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            let mut seen = [0u64; 2];
            for round in 0..60u64 {
                flush(&core).await;
                record.clear();
                watch.clear();
                let accesses: Vec<_> = (0..8u64)
                    .map(|i| core.issue(load(VA + 4 * i * MEGA + 8 * i)))
                    .collect();
                handle.sleep(round).await;
                for &slot in &slots {
                    handle.poke(slot, words[(round as usize + 1) % 2]);
                    handle.sleep(round % 3).await;
                }
                let mut data = Vec::new();
                for (i, access) in (0..8u64).zip(accesses) {
                    let answer = access.await;
                    let which = pages.iter().position(|pa| answer.pa == pa + 8 * i);
                    expect("WALK-31", answer.fault.is_none() && which.is_some(), || {
                        answer.to_string()
                    })?;
                    seen[which.unwrap_or(0)] += 1;
                    data.push(answer.pa);
                }
                handle.sleep(400).await;
                let walks = record.walks();
                for walk in &walks {
                    for read in &walk.reads {
                        let slot = tree.slot(walk.va, read.level);
                        expect("WALK-20", read.address == slot, || {
                            format!(
                                "{:#x} read at level {}, not {slot:#x}",
                                read.address, read.level
                            )
                        })?;
                        let whole = read.level < 3
                            || words.contains(&read.value)
                            || read.value == tree.word(slot);
                        expect("WALK-31", whole, || format!("{:#018x} used", read.value))?;
                    }
                }
                // As many DRAM reads as descriptors and data words, at the same places.
                let mut known: Vec<u64> = walks
                    .iter()
                    .flat_map(|walk| walk.reads.iter().map(|read| read.address))
                    .chain(data)
                    .collect();
                let mut read = record.dram_reads();
                known.sort_unstable();
                read.sort_unstable();
                expect("WALK-31", read == known, || {
                    format!("DRAM read at {read:x?}; descriptors and data are {known:x?}")
                })?;
            }
            expect("WALK-31", seen[0] > 20 && seen[1] > 20, || {
                format!("the two values were used {seen:?} times")
            })
        })?;
    }
    Ok(())
}
