// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where a folio is mapped, and folios that move to another node while other cores use them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use cosim::dut::memory::MemorySystem;
use cosim::dut::ports::CommitKind;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use rand::Rng;
use sw_mm::folio::{Folio, Owner};
use sw_mm::migrate::MigrateMode;
use sw_mm::mm::{AddressSpace, Destination, Error, Map, Protection, Remap};
use sw_mm::page::NodeId;
use sw_mm::pte::Pte;
use sw_mm::thread::Thread;
use sw_mm::{AccessSize, Cpu, Privilege};
use vmsa::{DsbKind, Granule};

use super::access::{access, load, store};
use super::contpte_scene::block_entries;
use super::os::{Os, OsConfig, folio_at, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-rmap",
        purpose: "a family forks, writes, moves and unmaps: the reverse map finds the entries of each folio, and no other",
        requirements: &["MM-23"],
        run: rmap,
    },
    Testbench {
        name: "mm-migrate",
        purpose: "folios move between nodes while other cores count up in them: no store is lost, each new frame is on the target",
        requirements: &["MM-26"],
        run: migrate,
    },
    Testbench {
        name: "mm-migrate-pinned",
        purpose: "a pinned folio does not move, and each of its descriptors is as before",
        requirements: &["MM-27"],
        run: pinned,
    },
];

const VA: u64 = 0x6800_0000;

/// Single pages, and folios as long as a contiguous run. Copies of 64 KiB take their time.
fn configs() -> Vec<OsConfig> {
    let few = OsConfig::few().into_iter();
    let small = few.filter(|config| config.granule != Granule::K64);
    let large = OsConfig {
        anonymous_orders: vec![block_entries(Granule::K4).trailing_zeros() as u8],
        ..OsConfig::default()
    };
    small.chain([large]).collect()
}

/// A kernel on nodes with memory of their own.
fn boot(bench: &mut Bench, config: &OsConfig) -> Result<Rc<Os>, Failure> {
    bench.restart()?;
    if bench.handle()?.info().nodes > 1 {
        bench.restart()?;
        bench.setup().memory_system = MemorySystem::Ddr4;
    }
    Os::boot(bench, config)
}

/// Holds the reverse map of every folio against the tables of `family`; returns the entries.
async fn agree(os: &Os, family: &[Rc<AddressSpace>]) -> Result<u64, Failure> {
    for thread in &os.threads {
        thread.cpu.dsb(DsbKind::ISHST).await;
    }
    let (thread, granule) = (&os.threads[0], os.kernel.granule());
    let mut entries = 0;
    for owner in os.kernel.frames.all() {
        let Owner::Folio(folio) = owner else { continue };
        let frames = folio.pfn().0..folio.pfn().0 + folio.pages();
        let mut mapping = BTreeSet::new();
        for space in family {
            for area in space.areas() {
                for va in (area.start()..area.end()).step_by(granule.bytes() as usize) {
                    let Some((slot, leaf)) = os.leaf(space, va) else {
                        continue;
                    };
                    let pte = Pte(leaf.0);
                    if pte.present() && frames.contains(&pte.pfn(granule).0) {
                        mapping.insert(os.kernel.virt(slot)?);
                    }
                }
            }
        }
        let places = {
            let _locked = thread.lock_folio(&folio).await;
            thread.rmap_walk(&folio).await?
        };
        let found: BTreeSet<u64> = places.iter().map(|place| place.ptr.slot).collect();
        let met = found == mapping && places.len() == mapping.len();
        expect("MM-23", met, || {
            format!("{found:x?} found for {}, {mapping:x?} map it", folio.pfn())
        })?;
        entries += mapping.len() as u64;
    }
    Ok(entries)
}

fn rmap(bench: &mut Bench) -> Result<(), Failure> {
    const STEPS: u32 = 24;
    for config in OsConfig::few() {
        let large = block_entries(config.granule).min(16).trailing_zeros() as u8;
        let config = OsConfig {
            anonymous_orders: vec![large - 1],
            ..config
        };
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let mut rng = bench.rng("rmap");
        let page = config.granule.bytes();
        let entries = os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let pages = 1 << large;
            let mut family = vec![os.space().await?];
            thread
                .mmap(&Map::anonymous(VA, pages * page, Protection::READ_WRITE))
                .await?;
            access(&thread, store(VA, 1)).await?;
            let (mut entries, mut free) = (0, VA + (1 << 32));
            for step in 0..STEPS {
                let member = rng.random_range(0..family.len());
                other.switch_to(&family[member]).await;
                let areas = family[member].areas();
                let area = &areas[rng.random_range(0..areas.len())];
                let count = area.bytes() / page;
                let first = rng.random_range(0..count);
                let va = area.start() + first * page;
                match rng.random_range(0..6) {
                    0 if family.len() < 4 => family.push(other.fork().await?),
                    1 if count > 1 => other.munmap(va, page).await?,
                    2 => {
                        let bytes = rng.random_range(1..=count - first) * page;
                        let remap = Remap {
                            va,
                            bytes,
                            new_bytes: bytes,
                            to: Destination::Fixed(free),
                        };
                        other.mremap(&remap).await?;
                        free += pages * page + (1 << 30);
                    }
                    3 => {
                        access(&other, load(va)).await?;
                    }
                    _ => {
                        access(&other, store(va, step.into())).await?;
                    }
                }
                entries += agree(&os, &family).await?;
            }
            thread.leave().await;
            for space in &family {
                other.switch_to(space).await;
                other.exit().await?;
            }
            os.all_freed()?;
            Ok(entries)
        })?;
        bench.count("entries found", entries);
    }
    Ok(())
}

/// Counts up in a word of its own of each page until told to stop; what it came to.
async fn count_up(
    thread: Rc<Thread<CoreHandle>>,
    (page, pages): (u64, u64),
    stop: Rc<Cell<bool>>,
) -> Result<u64, Failure> {
    let mut count = 0;
    while !stop.get() {
        for index in 0..pages {
            let va = VA + index * page + 8 * u64::from(thread.core);
            let answer = access(&thread, load(va)).await?;
            answer.response.reads("MM-26", count)?;
            access(&thread, store(va, count + 1)).await?;
        }
        count += 1;
    }
    Ok(count)
}

/// Moves `folio` to the other node; who faults on it meanwhile has a reference for a moment.
async fn move_over(
    os: &Os,
    thread: &Thread<CoreHandle>,
    folio: &Rc<Folio>,
) -> Result<(Rc<Folio>, NodeId), Failure> {
    let target = NodeId(1 - folio.node().0);
    loop {
        match thread.migrate(folio, target, MigrateMode::Sync).await {
            Ok(moved) => return Ok((moved, target)),
            Err(Error::Again) => os.handle.sleep(50).await,
            Err(error) => return Err(error.into()),
        }
    }
}

fn migrate(bench: &mut Bench) -> Result<(), Failure> {
    for config in configs() {
        let os = boot(bench, &config)?;
        if os.kernel.memory.nodes() < 2 {
            return Ok(());
        }
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        // One folio of many, or two of one.
        let large = !config.anonymous_orders.is_empty();
        let folios = if large { 1 } else { 2 };
        let wanted = if large { 2 } else { 4 };
        let (rounds, moves) = os.run(bench, async move |os| {
            let mut users = os.several();
            let thread = users.remove(0);
            let space = os.space().await?;
            for user in &users {
                join(user, &space).await;
            }
            let order = config.anonymous_orders.first().copied().unwrap_or(0);
            let pages = folios << order;
            let area = Map::anonymous(VA, pages * page, Protection::READ_WRITE);
            thread.mmap(&area).await?;
            for index in 0..pages {
                access(&thread, store(VA + index * page + 512, 1)).await?;
            }
            let stop = Rc::new(Cell::new(false));
            let used = (page, pages.min(3));
            let counting = users.iter().map(|user| {
                let counting = count_up(Rc::clone(user), used, Rc::clone(&stop));
                os.handle.spawn_daemon(counting)
            });
            let counting: Vec<_> = counting.collect();
            os.handle.sleep(2000).await;
            for number in 0..wanted {
                let va = VA + ((number % folios) << order) * page;
                let folio = folio_at(&os, &space, va)?;
                let (old, bytes) = (os.kernel.pa(folio.pfn()), folio.pages() * page);
                record.clear();
                let (moved, target) = move_over(&os, &thread, &folio).await?;
                let over = os.handle.now();
                os.handle.sleep(1000).await;
                let place = |record: &Record| judge_move(record, over, old..old + bytes);
                place(&record)?;
                let pa = os.kernel.pa(moved.pfn());
                let entry = os.leaf(&space, va).map(|(_, leaf)| leaf);
                let entry = entry.map_or(0, |leaf| leaf.output_address(config.granule, 3));
                let home = os.handle.home(pa);
                let met = moved.order() == order && entry == pa && home == Some(target.0);
                expect("MM-26", met, || {
                    format!("{va:#x} moved to {pa:#x} at home on {home:?}, not {target:?}; entry {entry:#x}")
                })?;
                let answer = access(&thread, load(va)).await?;
                expect("MM-26", answer.response.pa == pa, || {
                    format!("{va:#x} is at {pa:#x}, answered {answer:?}")
                })?;
            }
            stop.set(true);
            let mut rounds = 0;
            for (user, counting) in users.iter().zip(counting) {
                let count = counting.await?;
                rounds += count;
                for index in 0..used.1 {
                    let va = VA + index * page + 8 * u64::from(user.core);
                    access(&thread, load(va)).await?.response.reads("MM-26", count)?;
                }
            }
            for user in users.iter().chain([&thread]) {
                user.exit().await?;
            }
            os.all_freed()?;
            Ok((rounds, os.kernel.counters.migrations.get()))
        })?;
        expect("MM-26", rounds > wanted && moves == wanted, || {
            format!("{rounds} rounds of counting, {moves} moves")
        })?;
        bench.count("moves", moves);
    }
    Ok(())
}

/// Nobody reaches the old frames once the folio has moved: no store becomes visible there, no answer
/// comes from there.
fn judge_move(record: &Record, over: u64, old: std::ops::Range<u64>) -> Result<(), Failure> {
    let late = record.collect(|kind| match kind {
        EventKind::Commit {
            kind: CommitKind::Store,
            address,
            ..
        } if old.contains(address) => Some((u64::MAX, *address)),
        EventKind::Response {
            issued_at,
            response,
            request,
            ..
        } if request.el == vmsa::El::El0
            && response.fault.is_none()
            && old.contains(&response.pa) =>
        {
            Some((*issued_at, response.pa))
        }
        _ => None,
    });
    let late = late
        .iter()
        .find(|(cycle, (issued, _))| *issued.min(cycle) > over);
    expect("MM-26", late.is_none(), || {
        format!("the folio had moved at {over}, then {late:x?} reached the old frames {old:x?}")
    })
}

fn pinned(bench: &mut Bench) -> Result<(), Failure> {
    for config in configs() {
        let os = boot(bench, &config)?;
        if os.kernel.memory.nodes() < 2 {
            return Ok(());
        }
        let page = config.granule.bytes();
        os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            join(&other, &space).await;
            let order = config.anonymous_orders.first().copied().unwrap_or(0);
            let pages = 1 << order;
            thread
                .mmap(&Map::anonymous(VA, pages * page, Protection::READ_WRITE))
                .await?;
            for index in 0..pages.min(4) {
                access(&other, store(VA + index * page, index + 5)).await?;
            }
            let entries = async |os: &Os| {
                for thread in &os.threads {
                    thread.cpu.dsb(DsbKind::ISHST).await;
                }
                let vas = (VA..VA + pages * page).step_by(page as usize);
                vas.map(|va| os.leaf(&space, va)).collect::<Vec<_>>()
            };
            let pinned = thread.pin_user_page(VA, true).await?;
            let folio = Rc::clone(&pinned.folio);
            let before = entries(&os).await;
            let target = NodeId(1 - folio.node().0);
            for mode in [MigrateMode::Sync, MigrateMode::Async] {
                let moved = thread.migrate(&folio, target, mode).await;
                expect("MM-27", moved.as_ref().err() == Some(&Error::Busy), || {
                    format!("moving a pinned folio came to {moved:?}")
                })?;
                let after = entries(&os).await;
                expect("MM-27", before == after, || {
                    format!("{before:x?} became {after:x?}")
                })?;
            }
            // What a device writes to the frame, the program sees.
            let frame = os.kernel.virt(os.kernel.pa(folio.pfn()))?;
            let (size, level) = (AccessSize::Double, Privilege::Privileged);
            let written = thread.cpu.store(frame + 8, size, level, 77).await;
            written.map_err(Error::from)?;
            thread.cpu.dsb(DsbKind::ISH).await;
            access(&other, load(VA + 8))
                .await?
                .response
                .reads("MM-27", 77)?;
            thread.unpin_user_page(pinned, true);
            if order > 0 {
                return Ok(());
            }
            let (moved, _) = move_over(&os, &thread, &folio).await?;
            let home = os.handle.home(os.kernel.pa(moved.pfn()));
            expect("MM-27", home == Some(target.0), || format!("{home:?}"))?;
            for (va, value) in [(VA, 5), (VA + 8, 77)] {
                access(&other, load(va))
                    .await?
                    .response
                    .reads("MM-27", value)?;
            }
            other.exit().await?;
            thread.exit().await?;
            os.all_freed()
        })?;
    }
    Ok(())
}
