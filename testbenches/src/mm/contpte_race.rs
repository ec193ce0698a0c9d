// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Conversions while another core uses the block: what it gets, and what TLBs hold meanwhile (contpte
//! sections 4 and 9).

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, TlbStructure};
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::event::EventKind;
use sw_mm::contpte::{clear_ptes, get, get_lockless, set_ptes};
use sw_mm::pte::{Pte, raw};
use sw_mm::{Activity, Cpu, Phase};
use vmsa::{El, FaultKind, Granule};

use super::access::{access, load, store};
use super::contpte_memory::Folded;
use super::contpte_scene::{Scene, VA, block_entries, folio};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "contpte-conversion-race",
        purpose: "accesses of another core during folds and unfolds fault at most for a missing entry, then get the right data",
        requirements: &["CONTPTE-11", "CONTPTE-33"],
        run: conversion_race,
    },
    Testbench {
        name: "contpte-lockless",
        purpose: "reads without the lock while two folios take turns in a block: never a frame of one with the state of the other",
        requirements: &["CONTPTE-14"],
        run: lockless,
    },
];

/// A stretch of time in which the TLBs of a core may hold nothing of some pages of the block.
struct Window {
    core: u8,
    /// The invalidation of a conversion, whose entries are all clear, is in effect there.
    from: u64,
    /// By page: what makes it reachable again is written. That is its own entry, or, where they become a
    /// run, any entry.
    until: Vec<u64>,
}

impl Window {
    /// Whether `core` did something with page `page` after `begin` and before `end`, in the window.
    fn holds(&self, core: u8, page: u64, (begin, end): (u64, u64)) -> bool {
        let until = self.until.get(page as usize);
        self.core == core && self.from < begin && until.is_some_and(|until| end < *until)
    }
}

/// The windows of all conversions of the block of `n` entries at `table`.
fn windows(record: &Record, table: u64, n: u64) -> Vec<Window> {
    enum Mark {
        Begin { fold: bool },
        Effect(u8),
        Written(u64),
    }
    let marks = record.collect(|kind| match kind {
        EventKind::Os(os) => match (os.activity, os.phase) {
            (Activity::Fold | Activity::Unfold, Phase::Begin) => Some(Mark::Begin {
                fold: os.activity == Activity::Fold,
            }),
            _ => None,
        },
        EventKind::Invalidate { core, .. } => Some(Mark::Effect(*core)),
        EventKind::Commit {
            kind: CommitKind::Store,
            address,
            after,
            ..
        } if (table..table + 8 * n).contains(address) && *after != 0 => {
            Some(Mark::Written((address - table) / 8))
        }
        _ => None,
    });
    let (mut windows, mut since) = (Vec::new(), Vec::new());
    let (mut fold, mut converting) = (false, false);
    let mut until = vec![u64::MAX; n as usize];
    for (cycle, mark) in marks {
        match mark {
            Mark::Begin { fold: folds } => {
                since.clear();
                until.fill(u64::MAX);
                (fold, converting) = (folds, true);
            }
            Mark::Effect(core) if converting => since.push((core, cycle)),
            // The entry that completes a block is written before its fold clears all of it.
            Mark::Written(page) if !since.is_empty() => {
                converting = false;
                if fold {
                    until.fill(cycle);
                } else {
                    until[page as usize] = cycle;
                }
                if until.iter().all(|until| *until != u64::MAX) {
                    windows.extend(since.drain(..).map(|(core, from)| Window {
                        core,
                        from,
                        until: until.clone(),
                    }));
                }
            }
            Mark::Effect(_) | Mark::Written(_) => {}
        }
    }
    windows
}

/// What came in the windows, in pages of `page` bytes: accesses to the block, each of which found
/// nothing.
fn judge(record: &Record, windows: &[Window], page: u64) -> Result<u64, Failure> {
    let inside = |core: u8, va: u64, span: (u64, u64)| {
        let number = va.wrapping_sub(VA) / page;
        let mut all = windows.iter();
        all.any(|window| window.holds(core, number, span))
    };
    let answers = record.collect(|kind| match kind {
        EventKind::Response {
            core,
            request,
            issued_at,
            response,
        } if request.el == El::El0 => Some((*core, request.va, *issued_at, *response)),
        _ => None,
    });
    let mut count = 0;
    for (cycle, (core, va, issued, response)) in &answers {
        let kind = response.fault.and_then(|fsc| fsc.kind());
        expect(
            "CONTPTE-11",
            kind.is_none_or(|kind| kind == FaultKind::Translation),
            || format!("core {core} got at {cycle}: {response}"),
        )?;
        if inside(*core, *va, (*issued, *cycle)) {
            count += 1;
            expect("CONTPTE-33", kind == Some(FaultKind::Translation), || {
                format!(
                    "[I4] core {core} got at {cycle}, between invalidation and write: {response}"
                )
            })?;
        }
    }
    let fills = record.collect(|kind| match kind {
        EventKind::Fill { core, change } if change.structure != TlbStructure::WalkCache => {
            Some((*core, change.va))
        }
        _ => None,
    });
    let late = fills
        .iter()
        .find(|(cycle, (core, va))| inside(*core, *va, (*cycle, *cycle)));
    expect("CONTPTE-33", late.is_none(), || {
        format!("[I4] filled between invalidation and write: {late:x?}")
    })?;
    Ok(count)
}

fn conversion_race(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 6;
    let (mut empty, mut faults) = (0, 0);
    for config in OsConfig::few() {
        bench.restart()?;
        // A core that reports two entries of one page rather than repair it (I3).
        bench.setup().straps.conflict_abort = true;
        let n = block_entries(config.granule);
        let config = OsConfig {
            anonymous_orders: vec![n.trailing_zeros() as u8],
            ..config
        };
        let stores = config.granule == Granule::K4;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let counts = os.run(bench, async move |os| {
            let scene = Folded::new(&os, 1).await?;
            let page = os.kernel.granule().bytes();
            for index in 0..n {
                let va = scene.va(index * page);
                access(&scene.thread, store(va, index + 1)).await?;
            }
            scene.thread.cpu.dsb(vmsa::DsbKind::ISH).await;
            let table = os.leaf(&scene.space, VA).map_or(0, |(slot, _)| slot);
            let last = scene.table.entry(&os.kernel, scene.va((n - 1) * page))?;
            let stop: Rc<Cell<bool>> = Rc::default();
            let (other, stopped) = (Rc::clone(&scene.other), Rc::clone(&stop));
            record.clear();
            let using = os.handle.spawn(async move {
                let (mut count, mut faults) = (0, 0);
                while !stopped.get() {
                    let index = count * 7 % n;
                    let va = VA + index * page;
                    let request = match stores && count % 9 == 0 {
                        true => store(va, index + 1),
                        false => load(va),
                    };
                    let answer = access(&other, request).await?;
                    faults += answer.faults.len() as u64;
                    let right = request.op != load(va).op || answer.response.data == index + 1;
                    expect("CONTPTE-11", right, || {
                        format!("page {index} reads {}", answer.response)
                    })?;
                    count += 1;
                }
                Ok::<_, Failure>(faults)
            });
            // Whoever has a fault handled waits for the lock; this one goes on accessing.
            let (probe, stopped) = (scene.other.cpu.clone(), Rc::clone(&stop));
            let probing = os.handle.spawn(async move {
                let mut count = 0;
                while !stopped.get() {
                    let index = count * 5 % n;
                    let answer = probe.access(load(VA + index * page)).await;
                    let right = answer.fault.is_some() || answer.data == index + 1;
                    expect("CONTPTE-11", right, || {
                        format!("page {index} reads {answer}")
                    })?;
                    count += 1;
                }
                Ok::<_, Failure>(())
            });
            for round in 0..ROUNDS {
                os.handle.sleep(200 + 61 * round).await;
                // Unfolds, and folds with the last entry.
                let ptl = scene.table.lock.lock(&scene.thread.held).await;
                let pte = get(&scene.thread, last).await?;
                set_ptes(&scene.thread, &scene.space, last, pte, 1).await?;
                drop(ptl);
            }
            stop.set(true);
            let faults = using.await?;
            probing.await?;
            let counters = &os.kernel.counters;
            let conversions = (counters.folds.get(), counters.unfolds.get());
            expect("CONTPTE-33", conversions == (ROUNDS, ROUNDS), || {
                format!("conversions {conversions:?}")
            })?;
            let windows = windows(&record, table, n);
            expect(
                "CONTPTE-33",
                windows.len() == 2 * ROUNDS as usize * os.handle.cores(),
                || format!("{} windows", windows.len()),
            )?;
            let empty = judge(&record, &windows, page)?;
            scene.end(&os).await?;
            Ok((empty, faults))
        })?;
        empty += counts.0;
        faults += counts.1;
    }
    bench.count("accesses that found nothing", empty);
    bench.count("faults during conversions", faults);
    expect("CONTPTE-11", empty > 0 && faults > 0, || {
        format!("{faults} faults, {empty} between invalidation and write")
    })
}

fn lockless(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 6;
    let mut seen = [0; 4];
    for granule in [Granule::K4, Granule::K64] {
        bench.restart()?;
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let counts = os.run(bench, async move |os| {
            let scene = Rc::new(Scene::new(&os, 0).await?);
            let n = scene.n;
            let second = folio(&os, n.trailing_zeros() as u8)?;
            let ptr = scene.ptr(4);
            // The first folio is writable, its last page dirty; the second is old, clean and read-only.
            let of_first = scene.pte(0);
            let of_second = Pte::page(granule, second.pfn());
            let member = |pte: Pte| pte.advance(granule, 4).with_cont(true);
            let known = [
                Pte::NONE,
                member(of_first),
                member(of_first.make_dirty()),
                member(of_second),
            ];
            let stop: Rc<Cell<bool>> = Rc::default();
            let (other, stopped) = (Rc::clone(&scene.other), Rc::clone(&stop));
            let reading = os.handle.spawn(async move {
                let mut counts = [0; 4];
                while !stopped.get() {
                    let pte = get_lockless(&other, ptr).await?;
                    let which = known.iter().position(|known| *known == pte);
                    let Some(which) = which else {
                        let what = format!("{pte:?} was read, which never was: {known:?}");
                        return Err(crate::stage1::watch::unmet("CONTPTE-14", what));
                    };
                    counts[which] += 1;
                }
                Ok::<_, Failure>(counts)
            });
            let space = &scene.space;
            for round in 0..2 * ROUNDS {
                let first = round % 2 == 0;
                let pte = if first { of_first } else { of_second };
                scene.set(0, pte, n).await?;
                if first {
                    let last = scene.ptr(n - 1);
                    scene
                        .locked(async |thread| raw::update(thread, last, Pte::make_dirty).await)
                        .await?;
                }
                os.handle.sleep(150 + 37 * round).await;
                let start = scene.ptr(0);
                scene
                    .locked(async |thread| clear_ptes(thread, space, start, n).await)
                    .await?;
                scene.flush().await;
            }
            stop.set(true);
            reading.await
        })?;
        for (total, count) in seen.iter_mut().zip(counts) {
            *total += count;
        }
    }
    let names = ["none", "first clean", "first dirty", "second"];
    for (name, count) in names.into_iter().zip(seen) {
        bench.count(name, count);
    }
    let all = seen[0] > 0 && seen[2] > 0 && seen[3] > 0;
    expect("CONTPTE-14", all, || format!("read: {names:?} {seen:?}"))
}
