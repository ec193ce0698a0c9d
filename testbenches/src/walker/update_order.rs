// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Hardware updates next to other accesses: in every situation they can be made, what orders them, and
//! when there is none (HAF-17, HAF-20, HAF-21, HAF-23).
//!
//! The socket has neither DMB nor exclusives, and its memory makes every update. HAF-20 is shown by
//! what happens without any barrier, which is what a DMB would leave of it; HAF-21 by a store that is
//! asked for once the value its address depends on has come; HAF-23 by a CAS whose comparison fails.

use cosim::dut::ports::{CoreRequest, HitPlace, Op};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{ErrorOn, MemoryTiming};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, DsbKind, El, Fsc, Granule, geometry};

use super::record::Record;
use crate::stage1::regime::{DEVICE, NON_CACHEABLE, NORMAL, Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "update-always-supported",
        purpose: "every update that is owed is made, whatever the leaf, its memory type, the access and the place of the table: never FSC 0x31",
        requirements: &["HAF-17", "WALK-12"],
        run: supported,
    },
    Testbench {
        name: "update-order",
        purpose: "a younger access may be done before an older one's update, unless a DSB stands between",
        requirements: &["HAF-20", "HAF-19"],
        run: order,
    },
    Testbench {
        name: "update-dependency",
        purpose: "a dirty update follows the load that its store's address depends on; an access flag update need not",
        requirements: &["HAF-21", "WALK-23", "HAF-08"],
        run: dependency,
    },
    Testbench {
        name: "update-failed-compare",
        purpose: "a CAS that fails its comparison clears AP[2] only where it might have written",
        requirements: &["HAF-23", "HAF-16"],
        run: failed_compare,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x4000_0000;
const PA: u64 = 0x8000_0000;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// Writable-clean and not accessed.
fn clean(leaf: Descriptor) -> Descriptor {
    leaf.with_af(false).with_dbm(true).with_ap_read_only(true)
}

fn supported(bench: &mut Bench) -> Result<(), Failure> {
    let mut made = 0;
    for granule in [Granule::K4, Granule::K16, Granule::K64] {
        for level in (0..=3).filter(|&level| geometry::leaf_allowed(granule, level)) {
            for range in [Lower, Upper] {
                bench.restart()?;
                // Tables at an even and an odd page, so on each node if there are two.
                let place = if range == Lower {
                    TABLES
                } else {
                    TABLES + 0x1_0000
                };
                let mut tree = Tree::new(range, granule, 48, place);
                let out = 0x2000_0000_0000;
                let va = tree.va(0x0040_0000_0000);
                let slot = tree.map(va, level, clean(user_rw(granule, level, out)));
                tree.load(bench)?;
                let handle = bench.handle()?;
                made += bench.run(async move |core| {
                    let mut regime = Regime::default().with(&tree, 1);
                    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
                    regime.enter(&core).await;
                    let mut made = 0;
                    for memory in [NORMAL, NON_CACHEABLE, DEVICE] {
                        for contiguous in [false, true] {
                            for request in [
                                load(va),
                                CoreRequest::store(va + 8, 3, El::El0, 1),
                                CoreRequest::store(va + 17, 0, El::El1, 1),
                                CoreRequest::cas(va + 24, El::El0, 0, 1),
                                CoreRequest::fetch(va + 32, El::El0),
                                CoreRequest::at(va, El::El0, true, false),
                            ] {
                                if memory == DEVICE && request.op == Op::Fetch {
                                    continue;
                                }
                                let leaf = clean(user_rw(granule, level, out))
                                    .with_attr_index(memory)
                                    .with_contiguous(contiguous);
                                handle.poke(slot, leaf.0);
                                flush(&core).await;
                                let answer = core.access(request).await;
                                on(request, answer.succeeds("HAF-17"))?;
                                let dirties = matches!(request.op, Op::Store | Op::Cas);
                                let wanted = leaf.0 & !(if dirties { AP2 } else { 0 }) | AF;
                                let held = handle.peek(slot);
                                on(
                                    request,
                                    expect("HAF-17", held == wanted, || {
                                        format!(
                                            "{granule} level {level}: {held:#x}, not {wanted:#x}"
                                        )
                                    }),
                                )?;
                                made += 1;
                            }
                        }
                    }
                    // Memory that refuses the update is an external abort, no unsupported update.
                    let leaf = clean(user_rw(granule, level, out));
                    for on_what in [ErrorOn::Writes, ErrorOn::Both] {
                        handle.poke(slot, leaf.0);
                        flush(&core).await;
                        handle.mark_error(slot, on_what, None);
                        let answer = core.access(CoreRequest::store(va, 3, El::El0, 1)).await;
                        handle.clear_error(slot);
                        answer.faults("WALK-12", Fsc(0x14 + level))?;
                    }
                    Ok(made)
                })?;
            }
        }
    }
    bench.count("updates made", made);
    expect("HAF-17", made > 400, || format!("{made} updates"))
}

fn order(bench: &mut Bench) -> Result<(), Failure> {
    for latency in [20, 60] {
        bench.restart()?;
        bench.setup().memory = MemoryTiming { latency, jitter: 0 };
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        let slot = tree.map(VA, 3, clean(user_rw(Granule::K4, 3, PA)));
        let warm = VA + 0x1000;
        tree.map(warm, 3, user_rw(Granule::K4, 3, PA + 0x1000));
        tree.load(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(true).with_hd(true);
            regime.enter(&core).await;
            for older in [load(VA), CoreRequest::store(VA + 8, 3, El::El0, 1)] {
                for barrier in [None, Some(DsbKind::SY), Some(DsbKind::ISH)] {
                    handle.poke(slot, clean(user_rw(Granule::K4, 3, PA)).0);
                    flush(&core).await;
                    core.access(load(warm)).await.succeeds("HAF-20")?;
                    record.clear();
                    let first = core.issue(older);
                    let between = barrier.map(|kind| core.issue(CoreRequest::dsb(kind)));
                    // What the younger load reads changes when the update is made.
                    let younger = core.issue(load(warm + 16));
                    let clock = handle.clone();
                    let younger = handle.spawn(async move { (younger.await, clock.now()) });
                    let (answer, given) = younger.await;
                    on(older, answer.comes_from("HAF-20", HitPlace::L1))?;
                    on(older, first.await.reaches("HAF-20", PA + (older.va - VA)))?;
                    if let Some(between) = between {
                        between.await;
                    }
                    let updates = record.updates();
                    let update = updates.first().map(|update| update.0);
                    let read = record.select(|event| match &event.kind {
                        cosim::sim::event::EventKind::DramRead { address, .. }
                            if *address == PA + 0x1010 =>
                        {
                            Some(event.cycle)
                        }
                        _ => None,
                    });
                    let told = || {
                        format!(
                            "{barrier:?}: updates {updates:x?}, younger read at {read:?}, {given}"
                        )
                    };
                    let made = update.filter(|_| updates.len() == 1);
                    let (Some(made), Some(&read)) = (made, read.first()) else {
                        return on(older, expect("HAF-20", false, told));
                    };
                    let met = match barrier {
                        None => read < made && given < made,
                        Some(_) => read > made,
                    };
                    let id = if barrier.is_none() {
                        "HAF-20"
                    } else {
                        "HAF-19"
                    };
                    on(older, expect(id, met, told))?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn dependency(bench: &mut Bench) -> Result<(), Failure> {
    for prefetch in [false, true] {
        bench.restart()?;
        bench.setup().memory = MemoryTiming {
            latency: 20,
            jitter: 0,
        };
        bench.setup().straps.prefetch = prefetch;
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        // The source of the dependency, next to it the page that the store goes to.
        // It has an access flag to be set first, while the prefetch sets that of the other page.
        let source_slot = tree.map(VA, 3, user_rw(Granule::K4, 3, PA).with_af(false));
        let target = VA + 0x1000;
        let slot = tree.map(target, 3, clean(user_rw(Granule::K4, 3, PA + 0x1000)));
        tree.map(VA + 0x40_0000, 3, user_rw(Granule::K4, 3, PA + 0x2000));
        tree.load(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        let early = bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(true).with_hd(true);
            regime.enter(&core).await;
            let mut early = 0;
            for round in 0..40u64 {
                let word = clean(user_rw(Granule::K4, 3, PA + 0x1000)).0;
                handle.poke(slot, word);
                handle.poke(source_slot, tree.word(source_slot));
                handle.poke(PA + 0x100, target + 8 * round);
                flush(&core).await;
                record.clear();
                // A store in front of it, to have the source wait.
                let front = core.issue(CoreRequest::store(VA + 0x40_0000, 3, El::El0, round));
                handle.sleep(round % 10).await;
                let source = core.issue(load(VA + 0x100)).await;
                let bound = handle.now();
                source.reads("HAF-21", target + 8 * round)?;
                handle.sleep(round / 4).await;
                let asked = handle.now();
                let answer = core
                    .access(CoreRequest::store(source.data, 3, El::El0, round))
                    .await;
                answer.reaches("HAF-21", PA + 0x1000 + 8 * round)?;
                front.await.succeeds("HAF-21")?;
                let updates = record.updates();
                let told =
                    || format!("source bound at {bound}, store asked at {asked}: {updates:x?}");
                let dirty = |&&(_, at, before, after): &&(u64, u64, u64, u64)| {
                    at == slot && before & AP2 != 0 && after & AP2 == 0
                };
                let flag = |&&(_, at, before, after): &&(u64, u64, u64, u64)| {
                    at == slot && before & AF == 0 && after & AF != 0
                };
                let dirtied: Vec<_> = updates.iter().filter(dirty).collect();
                let met = dirtied.len() == 1 && dirtied[0].0 > asked;
                expect("HAF-21", met, told)?;
                let flagged: Vec<_> = updates.iter().filter(flag).collect();
                expect("HAF-21", flagged.len() == 1, told)?;
                early += u64::from(flagged[0].0 <= bound);
                let held = handle.peek(slot);
                expect("HAF-08", held == (word | AF) & !AP2, || {
                    format!("{held:#x}")
                })?;
            }
            Ok(early)
        })?;
        // The access flag may come before the source is bound, and does when it is prefetched.
        expect("HAF-21", (early > 0) == prefetch, || {
            format!("prefetch {prefetch}: {early} access flags set before the source was bound")
        })?;
    }
    Ok(())
}

fn failed_compare(bench: &mut Bench) -> Result<(), Failure> {
    let page = user_rw(Granule::K4, 3, PA);
    // Limits of the table above, the page, whether a write would be permitted to EL0 and to EL1.
    let cases = [
        (0, clean(page), [true, true]),
        (0, clean(page).with_af(true), [true, true]),
        (0, clean(page).with_dbm(false), [false, false]),
        (0, clean(page).with_ap_el0(false), [false, true]),
        (0b10, clean(page), [false, false]),
        (0b01, clean(page), [false, true]),
        (0b11, clean(page), [false, false]),
    ];
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    let slot = tree.map(VA, 3, page);
    let above = tree.slot(VA, 2);
    tree.load(bench)?;
    bench.load(PA, &[7])?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let mut regime = Regime::default().with(&tree, 1);
        regime.tcr = regime.tcr.with_ha(true).with_hd(true);
        regime.enter(&core).await;
        for (limit, leaf, permitted) in cases {
            for (el, permitted) in [El::El0, El::El1].into_iter().zip(permitted) {
                for warm in [false, true] {
                    handle.poke(above, Descriptor(tree.word(above)).with_ap_table(limit).0);
                    handle.poke(slot, leaf.0);
                    flush(&core).await;
                    if warm {
                        // An entry that is clean, from an access that may be permitted or not.
                        core.access(CoreRequest::at(VA, El::El1, false, false))
                            .await;
                    }
                    let before = handle.peek(slot);
                    let request = CoreRequest::cas(VA, el, 8, 9);
                    let answer = core.access(request).await;
                    let held = handle.peek(slot);
                    let cleared = before & AP2 != 0 && held & AP2 == 0;
                    let told =
                        || format!("limit {limit:#b}, {leaf:x?}, {el:?}: {answer} left {held:#x}");
                    if permitted {
                        on(request, answer.reads("HAF-23", 7))?;
                        // [P]: a CAS is a write for the dirty state, whatever it compares.
                        expect("HAF-16", cleared && held & AF != 0, told)?;
                    } else {
                        on(request, answer.faults("HAF-23", Fsc(0x0f)))?;
                        expect("HAF-23", !cleared && held == before, told)?;
                    }
                    let data = handle.peek(PA);
                    expect("HAF-23", data == 7, || format!("{request} wrote {data:#x}"))?;
                }
            }
        }
        Ok(())
    })
}
