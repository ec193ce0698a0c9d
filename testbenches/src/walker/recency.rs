// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How old the descriptor value may be that an access is answered with: faults with and without ETS2,
//! values that are remembered, and values that are not yet visible (sections 13.3 and 14).

use cosim::dut::ports::{CommitKind, CoreRequest, Counter, Delays};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::MemoryTiming;
use cosim::sim::event::EventKind;
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Fsc, Granule};

use super::record::Record;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "ets2-rewalk",
        purpose: "a fault found while older accesses are under way is looked for again with ETS2, and reported at once without",
        requirements: &["WALK-27", "WALK-28"],
        run: rewalk,
    },
    Testbench {
        name: "ets2-own-store",
        purpose: "a store that makes a descriptor valid, then an access by it without a barrier",
        requirements: &["WALK-27", "WALK-29", "ORD-05"],
        run: own_store,
    },
    Testbench {
        name: "walk-fault-fresh",
        purpose: "a fault is read from memory for each access that reports it, at every level, below cached tables too",
        requirements: &["WALK-28", "TLB-20"],
        run: fresh,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;
const NEXT: u64 = VA + 0x40_0000;
const AF: u64 = 1 << 10;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn rewalk(bench: &mut Bench) -> Result<(), Failure> {
    let good = user_rw(Granule::K4, 3, PA + 0x1000);
    let faults = [
        (0, 0x07),
        (good.0 & !AF, 0x0b),
        (good.0 | 1 << 45, 0x03),
        (good.0 & !1, 0x07),
    ];
    for ets in [2, 0] {
        bench.restart()?;
        bench.setup().straps.ets = ets;
        // A DRAM that is slow enough for the walk to end long before the older access.
        bench.setup().memory = MemoryTiming {
            latency: 60,
            jitter: 0,
        };
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
        let slot = tree.map(NEXT, 3, good);
        tree.map(NEXT + 0x1000, 3, good);
        tree.load(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ips(4);
            regime.enter(&core).await;
            let mut early = 0;
            for (bad, fsc) in faults {
                for older in [
                    load(VA + 8),
                    CoreRequest::store(VA + 16, 3, El::El0, 1),
                    CoreRequest::cas(VA + 24, El::El0, 0, 1),
                ] {
                    for younger in [
                        load(NEXT),
                        CoreRequest::fetch(NEXT, El::El0),
                        CoreRequest::store(NEXT + 32, 3, El::El0, 1),
                        CoreRequest::at(NEXT, El::El0, false, false),
                        // Across a page: the first part faults.
                        CoreRequest::load(NEXT + 0xffc, 3, El::El0),
                    ] {
                        handle.poke(slot, bad);
                        flush(&core).await;
                        // The older access hits, so that its data, not its walk, is what is waited
                        // for; the younger one has one descriptor left to read.
                        core.access(load(VA)).await.succeeds("WALK-27")?;
                        core.access(load(NEXT + 0x1000)).await.succeeds("WALK-27")?;
                        record.clear();
                        let rewalks = handle.counter(0, Counter::EtsRewalk);
                        let first = core.issue(older);
                        handle.sleep(5).await;
                        let second = core.issue(younger);
                        let (mark, now) = (record.mark(), handle.now());
                        // The bad value is read while the older access is under way ...
                        let read = |event: &cosim::sim::event::Event| {
                            matches!(&event.kind, EventKind::DramRead { address, .. } if *address == slot)
                        };
                        while !record.since(mark, read) && handle.now() < now + 400 {
                            handle.sleep(1).await;
                        }
                        handle.sleep(1).await;
                        // ... and replaced.
                        handle.poke(slot, good.0);
                        let done = record.since(mark, |event| {
                            matches!(event.kind, EventKind::Response { .. })
                        });
                        early += u64::from(!done);
                        on(older, first.await.succeeds("WALK-27"))?;
                        let answer = second.await;
                        let again = handle.counter(0, Counter::EtsRewalk) - rewalks;
                        let walks = record.walks();
                        let seen = || format!("after {older}: {answer}, {again} rewalks, {walks:x?}");
                        if ets == 2 && !done {
                            on(younger, answer.succeeds("WALK-27"))?;
                            on(younger, expect("WALK-27", again >= 1, seen))?;
                        } else if ets == 0 {
                            on(younger, answer.faults("WALK-28", Fsc(fsc)))?;
                            on(younger, expect("WALK-28", again == 0, seen))?;
                        }
                    }
                }
            }
            expect("WALK-27", early >= 40, || format!("{early} faults were found early"))
        })?;
    }
    Ok(())
}

fn own_store(bench: &mut Bench) -> Result<(), Failure> {
    let page = user_rw(Granule::K4, 3, PA + 0x1000);
    let mut early = 0;
    for (ets, latency, jitter, stall) in [
        (2, 20, 0, false),
        (2, 10, 60, true),
        (0, 20, 0, false),
        (0, 10, 60, true),
    ] {
        bench.restart()?;
        bench.setup().straps.ets = ets;
        bench.setup().straps.delay = if stall {
            Delays::MEM_REQ.with(Delays::MEM_RSP)
        } else {
            Delays::NONE
        };
        bench.setup().memory = MemoryTiming { latency, jitter };
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
        let slot = tree.map(NEXT, 3, page);
        tree.map(NEXT + 0x1000, 3, page);
        // The leaf table, mapped for software.
        let table = VA + 0x1000;
        tree.map(table, 3, user_rw(Granule::K4, 3, slot & !0xfff));
        tree.load(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        early += bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            let mut early = 0;
            for round in 0..40u64 {
                for (bad, fsc) in [(0, 0x07), (page.0 & !AF, 0x0b)] {
                    handle.poke(slot, bad);
                    flush(&core).await;
                    // A store that has to walk itself is passed by what is younger.
                    if round % 2 == 0 {
                        core.access(load(table + 8)).await.succeeds("WALK-29")?;
                    }
                    core.access(load(NEXT + 0x1000)).await.succeeds("WALK-29")?;
                    record.clear();
                    let write = CoreRequest::store(table + (slot & 0xfff), 3, El::El0, page.0);
                    // Younger than the access whose walk is looked at: never used by it (ORD-05).
                    let undo =
                        CoreRequest::store(table + (slot & 0xfff), 3, El::El0, bad | 1 << 58);
                    let stored = core.issue(write);
                    handle.sleep(round / 4).await;
                    let read = core.issue(load(NEXT + 8 * (round % 4) + 0x100));
                    let undone = core.issue(undo);
                    stored.await.succeeds("WALK-29")?;
                    let answer = read.await;
                    undone.await.succeeds("WALK-29")?;
                    let late = handle.peek(slot) & !(1 << 58);
                    expect("ORD-05", late == bad, || {
                        format!("{late:#x} left by two stores")
                    })?;
                    if ets == 2 || answer.fault.is_none() {
                        answer.reaches("WALK-27", PA + 0x1000 + 8 * (round % 4) + 0x100)?;
                    } else {
                        answer.faults("WALK-27", Fsc(fsc))?;
                    }
                    let visible = record.select(|event| match &event.kind {
                        EventKind::Commit {
                            kind: CommitKind::Store,
                            address,
                            after,
                            ..
                        } if *address == slot => Some((event.cycle, *after)),
                        _ => None,
                    });
                    for walk in record.walks() {
                        for read in walk.reads.iter().filter(|read| read.address == slot) {
                            let since = visible.iter().find(|(_, value)| *value == read.value);
                            let seen = read.value == bad
                                || since.is_some_and(|&(cycle, _)| cycle < read.cycle);
                            expect("WALK-29", seen, || {
                                format!("{read:x?} used; stores became visible: {visible:x?}")
                            })?;
                            expect("ORD-05", read.value >> 58 & 1 == 0, || {
                                format!("{read:x?} is of a younger store")
                            })?;
                            early += u64::from(read.value == bad);
                        }
                    }
                }
            }
            Ok(early)
        })?;
    }
    bench.count("old values read", early);
    expect("WALK-29", early > 20, || {
        format!("only {early} walks read the descriptor before the store was visible")
    })
}

fn fresh(bench: &mut Bench) -> Result<(), Failure> {
    let page = user_rw(Granule::K4, 3, PA);
    let far = |level: u8| VA ^ vmsa::geometry::level_bytes(Granule::K4, level);
    for ets in [2, 0] {
        bench.restart()?;
        bench.setup().straps.ets = ets;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        tree.map(VA, 3, page);
        for level in 0..=3 {
            tree.map(far(level), 3, page);
        }
        tree.load(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ips(4);
            regime.enter(&core).await;
            for level in 0..=3u8 {
                let va = far(level);
                let slot = tree.slot(va, level);
                let good = tree.word(slot);
                let mut bad = vec![(0, 0x04 + level), (good & !1, 0x04 + level)];
                if level == 3 {
                    bad.extend([(good & !AF, 0x0b), (good | 1 << 45, 0x03)]);
                } else {
                    bad.push((Descriptor::table(1 << 45).0, level));
                }
                for (word, fsc) in bad {
                    flush(&core).await;
                    handle.poke(slot, word);
                    // What is above the bad descriptor is cached.
                    core.access(load(VA)).await.succeeds("WALK-28")?;
                    for request in [
                        load(va),
                        load(va),
                        CoreRequest::store(va + 8, 3, El::El1, 1),
                        CoreRequest::fetch(va, El::El0),
                        CoreRequest::at(va, El::El1, true, false),
                    ] {
                        record.clear();
                        let from = handle.now();
                        on(
                            request,
                            core.access(request).await.faults("WALK-28", Fsc(fsc)),
                        )?;
                        let walks = record.walks();
                        let own = walks.last().and_then(|walk| walk.reads.last());
                        let met = own.is_some_and(|read| {
                            (read.address, read.value) == (slot, word) && read.cycle > from
                        });
                        on(
                            request,
                            expect("WALK-28", met, || format!("walks {walks:x?}")),
                        )?;
                        let cached = walks.iter().all(|walk| walk.cached_start == (level > 0));
                        on(
                            request,
                            expect("WALK-28", cached, || {
                                format!("not from the tables known: {walks:x?}")
                            }),
                        )?;
                    }
                    // Put right and wrong again, each seen at once.
                    handle.poke(slot, good);
                    core.access(CoreRequest::at(va, El::El0, false, false))
                        .await
                        .reaches("TLB-20", PA)?;
                }
                handle.poke(slot, good);
            }
            Ok(())
        })?;
    }
    Ok(())
}
