// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The memory of a table that was unlinked: once an invalidation of tables and leaves is complete it
//! is free for data, after one of leaves only it is not (BBM-09, BBM-10).

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::ports::{CoreRequest, Delays};
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::event::EventKind;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Fsc, Granule, Tlbi, TlbiScope};

use super::record::Record;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "bbm-table-reuse",
        purpose: "after unlinking a table and an invalidation of tables no walk of any core reads its memory",
        requirements: &["BBM-09", "TLBI-07", "TLBI-08"],
        run: reuse,
    },
    Testbench {
        name: "bbm-table-last-level",
        purpose: "after an invalidation of leaves only, data in the memory of the table is still taken for descriptors",
        requirements: &["BBM-10", "TLBI-05"],
        run: last_level,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x4020_0000;
const PA: u64 = 0x8000_0000;
const FORGED: u64 = 0x9000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// A tree with a table of 512 pages at VA: the slot that links it, and the address of the table.
fn tree(bench: &mut Bench) -> Result<(Tree, u64, u64), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..512u64 {
        tree.map(
            VA + (page << 12),
            3,
            user_rw(Granule::K4, 3, PA + (page << 12)),
        );
    }
    tree.load(bench)?;
    let slot = tree.slot(VA, 2);
    let table = tree.slot(VA, 3);
    Ok((tree, slot, table))
}

fn reuse(bench: &mut Bench) -> Result<(), Failure> {
    let mut seen = (0, 0);
    // With a slow DRAM, reads of cancelled walks are on their way when the DSB might end.
    for (latency, jitter, prefetch) in [(20, 0, false), (10, 50, true), (150, 0, false)] {
        bench.restart()?;
        bench.setup().memory.latency = latency;
        bench.setup().memory.jitter = jitter;
        bench.setup().straps.prefetch = prefetch;
        // Messages that take their time find more under way.
        bench.setup().straps.delay = Delays::DVM;
        let (tree, slot, table) = tree(bench)?;
        let link = tree.word(slot);
        let words: Vec<u64> = (0..512).map(|i| tree.word(table + 8 * i)).collect();
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let cores = handle.cores();
        let reader = bench.core(cores - 1)?;
        let regime = Regime::default().with(&tree, 1);
        let scope = TlbiScope::InnerShareable;
        let (walked, cancelled) = bench.run(async move |core| {
            regime.enter(&core).await;
            if cores > 1 {
                regime.enter(&reader).await;
            }
            let (mut walked, mut cancelled) = (0, 0);
            for round in 0..48u64 {
                handle.poke(slot, link);
                for (i, &word) in (0u64..).zip(&words) {
                    if handle.peek(table + 8 * i) != word {
                        handle.poke(table + 8 * i, word);
                    }
                }
                flush(&core).await;
                flush(&reader).await;
                record.clear();
                let stop = Rc::new(Cell::new(false));
                let (until, asks, clock) = (stop.clone(), reader.clone(), handle.clone());
                let listener = handle.spawn(async move {
                    let mut heard = Vec::new();
                    let mut page = 7 * round;
                    while !until.get() {
                        let asked = clock.now();
                        let accesses: Vec<_> = (0..4)
                            .map(|i| load(VA + (((page + 5 * i) & 511) << 12) + 8 * i))
                            .map(|request| (request, asks.issue(request)))
                            .collect();
                        page += 20;
                        for (request, access) in accesses {
                            heard.push((request, asked, access.await));
                        }
                    }
                    heard
                });
                handle.sleep(40 + 3 * round + 3 * latency).await;
                handle.poke(slot, 0);
                let operation = match round % 4 {
                    0 => Tlbi::vmalle1(scope),
                    1 => Tlbi::rvae1(scope, Granule::K4, VA, 1, 7, None, 1),
                    2 => Tlbi::aside1(scope, 1),
                    _ => Tlbi::rvaae1(TlbiScope::OuterShareable, Granule::K4, VA, 1, 7, None),
                };
                core.access(CoreRequest::dsb(DsbKind::ISHST)).await;
                // With one core, accesses of its own come before the operation takes effect, or just
                // after; with more they would only keep the DSB from ending early.
                let tlbi = core.issue(CoreRequest::tlbi(operation));
                handle.sleep(round % 8).await;
                let asked = handle.now();
                let own: Vec<_> = (0..if cores == 1 { 4 } else { 0 })
                    .map(|i| load(VA + ((11 * round + 3 * i) << 12 & 0x1f_f000) + 8 * i))
                    .map(|request| (request, asked, core.issue(request)))
                    .collect();
                tlbi.await;
                core.access(CoreRequest::dsb(DsbKind::ISH)).await;
                let (complete, mark) = (handle.now(), record.mark());
                // The memory is data now, and looks like descriptors of other pages.
                for i in (0..512u64).step_by(5) {
                    handle.poke(table + 8 * i, user_rw(Granule::K4, 3, FORGED + (i << 12)).0);
                }
                handle.sleep(700 + 12 * latency).await;
                stop.set(true);
                let mut after = 0;
                let mut heard = listener.await;
                for (request, asked, answer) in own {
                    heard.push((request, asked, answer.await));
                }
                for (request, asked, answer) in heard {
                    let gone = answer.fault == Some(Fsc(0x06));
                    let held = answer.pa == PA + (request.va - VA) && answer.fault.is_none();
                    let met = gone || (held && asked < complete);
                    after += u64::from(asked >= complete);
                    on(
                        request,
                        expect("BBM-09", met, || {
                            format!(
                                "{answer}, asked at {asked}; the invalidation ended at {complete}"
                            )
                        }),
                    )?;
                }
                expect("BBM-09", after > 0, || {
                    "nothing was asked afterwards".to_owned()
                })?;
                let inside = |address: u64| (table..table + 0x1000).contains(&address);
                let read = record.since(mark, |event| match &event.kind {
                    EventKind::DramRead { address, .. } => inside(*address),
                    EventKind::Walk { step, .. } => inside(step.address),
                    _ => false,
                });
                expect("BBM-09", !read, || {
                    let told =
                        record.select(|event| (event.cycle >= complete).then(|| event.to_string()));
                    format!("{operation:?} complete at {complete}, then {told:#?}")
                })?;
                let walks = record.walks();
                walked += walks
                    .iter()
                    .filter(|walk| walk.reads.iter().any(|r| inside(r.address)))
                    .count();
                cancelled += walks.iter().filter(|walk| walk.cancelled).count();
            }
            Ok((walked, cancelled))
        })?;
        seen.0 += walked;
        seen.1 += cancelled;
    }
    let (walked, cancelled) = seen;
    bench.count("walks cancelled", cancelled as u64);
    expect("BBM-09", walked > 100 && cancelled > 20, || {
        format!("{walked} walks by the table, {cancelled} cancelled: too few to show anything")
    })
}

fn last_level(bench: &mut Bench) -> Result<(), Failure> {
    let (tree, slot, table) = tree(bench)?;
    let link = tree.word(slot);
    let handle = bench.handle()?;
    let record = Record::on(bench)?;
    let regime = Regime::default().with(&tree, 1);
    let scope = TlbiScope::InnerShareable;
    bench.run(async move |core| {
        regime.enter(&core).await;
        for (operation, whole) in [
            (Tlbi::rvale1(scope, Granule::K4, VA, 1, 7, None, 1), false),
            (Tlbi::rvaale1(scope, Granule::K4, VA, 1, 7, None), false),
            (Tlbi::vale1(scope, VA + 0x3000, 1, None), false),
            (Tlbi::vaale1(scope, VA + 0x3000, None), false),
            // The same with tables, so that the difference is seen.
            (Tlbi::rvae1(scope, Granule::K4, VA, 1, 7, None, 1), true),
            (Tlbi::vaae1(scope, VA + 0x3000, None), true),
        ] {
            let entry = table + 8 * 3;
            handle.poke(slot, link);
            handle.poke(entry, tree.word(entry));
            flush(&core).await;
            core.access(load(VA + 0x3000)).await;
            handle.poke(slot, 0);
            core.access(CoreRequest::dsb(DsbKind::ISHST)).await;
            core.access(CoreRequest::tlbi(operation)).await;
            core.access(CoreRequest::dsb(DsbKind::ISH)).await;
            handle.poke(entry, user_rw(Granule::K4, 3, FORGED).0);
            record.clear();
            let answer = core.access(load(VA + 0x3008)).await;
            let read = record.dram_reads().contains(&entry);
            let told = || format!("{:?}: {answer}, table read: {read}", operation.op);
            if whole {
                let met = answer.fault == Some(Fsc(0x06)) && !read;
                expect("BBM-10", met, told)?;
            } else {
                // Permitted (TLBI-05), and what happens here: what makes the whole form necessary.
                let met = answer.fault.is_none() && answer.pa == FORGED + 8 && read;
                expect("BBM-10", met, told)?;
            }
        }
        Ok(())
    })
}
