// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Access flag, dirty state and write permission: who sets them, what faults that takes, and that no
//! dirt is lost.

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, Counter};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::EventKind;
use sw_mm::Cpu;
use sw_mm::boot::HardwareUpdate;
use sw_mm::contpte;
use sw_mm::file::File;
use sw_mm::mm::{Found, Map, Protection};
use sw_mm::page::NodeId;
use vmsa::{DsbKind, FaultKind, Granule};

use super::access::{access, load, store};
use super::os::{Os, OsConfig, drop_cache, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-access-flag",
        purpose: "old pages take one access flag fault each, or none if hardware sets the flag",
        requirements: &["MM-11"],
        run: access_flag,
    },
    Testbench {
        name: "mm-dirty-state",
        purpose: "the first store to a clean page marks it dirty, in hardware or by one fault; that reaches the folio",
        requirements: &["MM-12", "MM-36"],
        run: dirty_state,
    },
    Testbench {
        name: "mm-dirty-race",
        purpose: "a store that gets in before munmap does leaves its page dirty",
        requirements: &["MM-15", "MM-36"],
        run: dirty_race,
    },
    Testbench {
        name: "mm-stale-permission",
        purpose: "a store through an entry cached before its permission was relaxed faults once and flushes on its own core",
        requirements: &["MM-13"],
        run: stale_permission,
    },
];

const VA: u64 = 0x6000_0000;
const PAGES: u64 = 6;

fn page_vas(page: u64) -> impl Iterator<Item = u64> {
    (0..PAGES).map(move |index| VA + index * page)
}

/// Hardware updates as software asks for them and hardware has them, and how both come out: whether
/// hardware sets the access flag, and whether it marks pages dirty.
const UPDATES: [(HardwareUpdate, u8, bool, bool); 5] = [
    (HardwareUpdate::None, 2, false, false),
    (HardwareUpdate::AccessFlag, 2, true, false),
    (HardwareUpdate::AccessFlagAndDirty, 2, true, true),
    (HardwareUpdate::AccessFlagAndDirty, 1, true, false),
    (HardwareUpdate::AccessFlagAndDirty, 0, false, false),
];

/// A simulation for each granule with the hardware updates `update`.
fn configs((hardware_update, hafdbs, ..): (HardwareUpdate, u8, bool, bool)) -> Vec<(OsConfig, u8)> {
    let of = |granule| {
        let config = OsConfig {
            hardware_update,
            ..OsConfig::with_granule(granule)
        };
        (config, hafdbs)
    };
    match (hardware_update, hafdbs) {
        (HardwareUpdate::None | HardwareUpdate::AccessFlagAndDirty, 2) => {
            Granule::ALL.map(of).to_vec()
        }
        _ => vec![of(Granule::K4)],
    }
}

fn open(bench: &mut Bench, (config, hafdbs): &(OsConfig, u8)) -> Result<Rc<Os>, Failure> {
    bench.restart()?;
    bench.setup().straps.hafdbs = *hafdbs;
    Os::boot(bench, config)
}

fn access_flag(bench: &mut Bench) -> Result<(), Failure> {
    for update in UPDATES {
        for config in configs(update) {
            let os = open(bench, &config)?;
            let page = config.0.granule.bytes();
            os.run(bench, async move |os| {
                let thread = &os.threads[0];
                let parent = os.space().await?;
                let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
                thread.mmap(&map).await?;
                for va in page_vas(page) {
                    access(thread, store(va, va)).await?;
                }
                // What a child inherits is old.
                let child = thread.fork().await?;
                thread.switch_to(&child).await;
                let updates = os.handle.counter(0, Counter::DtlbHwupd);
                let free = os.kernel.memory.free_pages(NodeId(0));
                let expected: &[FaultKind] = match update.2 {
                    true => &[],
                    false => &[FaultKind::AccessFlag],
                };
                for turn in 0..2 {
                    for va in page_vas(page) {
                        let answer = access(thread, load(va)).await?;
                        answer.response.reads("MM-11", va)?;
                        let met = answer.faults == if turn == 0 { expected } else { &[] };
                        expect("MM-11", met, || {
                            format!("access {turn} to {va:#x} took {:?}", answer.faults)
                        })?;
                        let young = os.leaf(&child, va).is_some_and(|(_, leaf)| leaf.af());
                        expect("MM-11", young, || {
                            format!("{va:#x} is old after access {turn}")
                        })?;
                    }
                }
                let updates = os.handle.counter(0, Counter::DtlbHwupd) - updates;
                expect("MM-11", (updates >= PAGES) == update.2, || {
                    format!("{updates} hardware updates for {PAGES} pages")
                })?;
                let left = os.kernel.memory.free_pages(NodeId(0));
                expect("MM-11", left == free, || {
                    format!("{free} pages free, then {left}")
                })?;
                thread.exit().await?;
                thread.switch_to(&parent).await;
                thread.exit().await?;
                os.all_freed()
            })?;
        }
    }
    Ok(())
}

fn dirty_state(bench: &mut Bench) -> Result<(), Failure> {
    for update in UPDATES {
        for config in configs(update) {
            let os = open(bench, &config)?;
            let record = Record::on(bench)?;
            let page = config.0.granule.bytes();
            os.run(bench, async move |os| {
                let thread = &os.threads[0];
                let space = os.space().await?;
                let file = File::new(1, PAGES);
                let map = Map {
                    shared: true,
                    file: Some((Rc::clone(&file), 0)),
                    ..Map::anonymous(VA, PAGES * page, Protection::READ_WRITE)
                };
                thread.mmap(&map).await?;
                for va in page_vas(page) {
                    access(thread, load(va)).await?;
                    let leaf = os.leaf(&space, va).map(|(_, leaf)| leaf);
                    let clean = leaf.is_some_and(|leaf| leaf.dbm() && leaf.ap_read_only());
                    expect("MM-12", clean, || format!("{va:#x} is mapped by {leaf:?}"))?;
                }
                let expected: &[FaultKind] = match update.3 {
                    true => &[],
                    false => &[FaultKind::Permission],
                };
                // Every other page is written, twice.
                for va in page_vas(page).step_by(2) {
                    record.clear();
                    let slot = os.leaf(&space, va).map_or(0, |(slot, _)| slot);
                    let first = access(thread, store(va, 1)).await?;
                    let second = access(thread, store(va + 8, 2)).await?;
                    let met = first.faults == expected && second.faults.is_empty();
                    expect("MM-12", met, || {
                        format!("stores took {:?}, then {:?}", first.faults, second.faults)
                    })?;
                    let writable = os
                        .leaf(&space, va)
                        .is_some_and(|(_, leaf)| !leaf.ap_read_only());
                    let by_hardware = record.commits().iter().any(|(_, (kind, address))| {
                        *kind == CommitKind::Update && *address == slot
                    });
                    expect("MM-12", writable && by_hardware == update.3, || {
                        format!("dirty: {writable}, by hardware: {by_hardware}")
                    })?;
                }
                thread.munmap(VA, PAGES * page).await?;
                for index in 0..PAGES {
                    let dirty = file.page(index).is_some_and(|folio| folio.dirty.get());
                    expect("MM-36", dirty == (index % 2 == 0), || {
                        format!("page {index} of the file is dirty: {dirty}")
                    })?;
                }
                thread.exit().await?;
                drop_cache(&os.kernel, &file);
                os.all_freed()
            })?;
        }
    }
    Ok(())
}

fn dirty_race(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 24;
    let mut came = [0, 0];
    for update in [UPDATES[0], UPDATES[2]] {
        let config = configs(update)[0].clone();
        let os = open(bench, &config)?;
        let page = config.0.granule.bytes();
        let counts = os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            join(&other, &space).await;
            let file = File::new(1, 1);
            let map = Map {
                shared: true,
                file: Some((Rc::clone(&file), 0)),
                ..Map::anonymous(VA, page, Protection::READ_WRITE)
            };
            let mut counts = [0, 0];
            for round in 0..ROUNDS {
                thread.mmap(&map).await?;
                access(&thread, load(VA)).await?;
                access(&other, load(VA)).await?;
                let folio = file.page(0).ok_or("the page is not in the cache")?;
                folio.dirty.set(false);
                let before = os.handle.peek(os.kernel.pa(folio.pfn()));
                let (handle, writer) = (os.handle.clone(), Rc::clone(&other));
                let storing = os.handle.spawn(async move {
                    handle.sleep(round * 9).await;
                    access(&writer, store(VA, before + 1)).await.map(|_| ())
                });
                thread.munmap(VA, page).await?;
                let now = os.handle.peek(os.kernel.pa(folio.pfn()));
                let dirty = folio.dirty.get();
                expect("MM-36", dirty || now == before, || {
                    format!("round {round}: the page was written and is clean")
                })?;
                // The store got in, or its fault found no area.
                let stored = storing.await.is_ok();
                expect("MM-15", stored == (now != before), || {
                    format!("round {round}: stored {stored}, {before} became {now}")
                })?;
                counts[usize::from(stored)] += 1;
            }
            other.exit().await?;
            thread.exit().await?;
            drop_cache(&os.kernel, &file);
            os.all_freed()?;
            Ok(counts)
        })?;
        came = [came[0] + counts[0], came[1] + counts[1]];
    }
    bench.count("stores too late", came[0]);
    bench.count("stores in time", came[1]);
    expect("MM-36", came.iter().all(|&times| times > 0), || {
        format!("{} stores came too late, {} in time", came[0], came[1])
    })
}

fn stale_permission(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        bench.setup().straps.hafdbs = 0;
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            join(&other, &space).await;
            let page = granule.bytes();
            let file = File::new(1, PAGES);
            let map = Map {
                shared: true,
                file: Some((Rc::clone(&file), 0)),
                ..Map::anonymous(VA, PAGES * page, Protection::READ_WRITE)
            };
            thread.mmap(&map).await?;
            let stale = Cell::new(0);
            for va in page_vas(page) {
                access(&other, load(va)).await?;
                access(&thread, load(va)).await?;
                // As a fault for a store does, without the invalidation that it adds.
                let Found::Table(table) = space.walk(&thread, va).await? else {
                    return Err("there is no table".into());
                };
                let ptr = table.entry(&os.kernel, va)?;
                {
                    let _ptl = table.lock.lock(&thread.held).await;
                    let pte = contpte::get(&thread, ptr)
                        .await?
                        .make_writable()
                        .make_dirty();
                    contpte::set_access_flags(&thread, &space, ptr, pte, false).await?;
                }
                thread.cpu.dsb(DsbKind::ISH).await;
                let before = os.kernel.counters.spurious_faults.get();
                record.clear();
                let answer = access(&other, store(va, va)).await?;
                let spurious = os.kernel.counters.spurious_faults.get() - before;
                let met = match answer.faults[..] {
                    [] => spurious == 0,
                    [FaultKind::Permission] => spurious == 1,
                    _ => false,
                };
                expect("MM-13", met, || {
                    format!("{spurious} spurious faults out of {:?}", answer.faults)
                })?;
                stale.set(stale.get() + spurious);
                let flushes = record.collect(|kind| match kind {
                    EventKind::Invalidate { core, change } => Some((*core, change.local)),
                    _ => None,
                });
                let own = flushes
                    .iter()
                    .all(|(_, (core, local))| *core == other.core && *local);
                expect("MM-13", own && flushes.len() as u64 == spurious, || {
                    format!("core {} flushed {flushes:?}", other.core)
                })?;
            }
            expect("MM-13", stale.get() > 0, || "no entry was stale".into())?;
            other.exit().await?;
            thread.exit().await?;
            drop_cache(&os.kernel, &file);
            os.all_freed()
        })?;
    }
    Ok(())
}
