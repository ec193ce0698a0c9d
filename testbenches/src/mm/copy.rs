// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages that two address spaces share after fork, and stores to them.

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, Op};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::EventKind;
use sw_mm::mm::{AddressSpace, Map, Protection};
use vmsa::{Descriptor, DsbKind, FaultKind, Granule};

use super::access::{access, fault_of, load, store};
use super::os::{Os, OsConfig, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-copy-on-write",
        purpose: "the first of two sharers that stores gets a copy by clear, flush, set; the last one keeps the page",
        requirements: &["MM-08", "MM-09", "MM-10", "MM-30"],
        run: copy_on_write,
    },
    Testbench {
        name: "mm-fork-writers",
        purpose: "fork while other threads of the parent store: the child keeps what was there, and no store reaches it",
        requirements: &["MM-08", "MM-16", "MM-30"],
        run: fork_writers,
    },
];

const VA: u64 = 0x5000_0000;
const PAGES: u64 = 3;

/// What became visible in one descriptor: cycle and word after.
fn changes(record: &Record, slot: u64) -> Vec<(u64, Descriptor)> {
    record.collect(|kind| match kind {
        EventKind::Commit { address, after, .. } if *address == slot => Some(Descriptor(*after)),
        _ => None,
    })
}

fn copy_on_write(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let parent = os.space().await?;
            let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            let pages = || (0..PAGES).map(|index| VA + index * page);
            for va in pages() {
                access(&thread, store(va + 16, va)).await?;
            }
            let child = thread.fork().await?;
            for va in pages() {
                let slot = os.leaf(&parent, va).map_or(0, |(slot, _)| slot);
                other.switch_to(&child).await;
                let seen = access(&other, load(va + 16)).await?.response;
                seen.reads("MM-08", va)?;
                thread.switch_to(&parent).await;
                record.clear();
                let written = access(&thread, store(va + 16, 1)).await?;
                let refused = written.faults.contains(&FaultKind::Permission);
                expect("MM-09", refused && written.response.pa != seen.pa, || {
                    let pa = written.response.pa;
                    format!("after {:?} the store went to {pa:#x}", written.faults)
                })?;
                replaced(&record, slot, va)?;
                other.switch_to(&child).await;
                let kept = access(&other, load(va + 16)).await?.response;
                kept.reads("MM-08", va)?;
                // The other one is the only sharer left.
                let copies = os.kernel.counters.copies.get();
                let slot = os.leaf(&child, va).map_or(0, |(slot, _)| slot);
                record.clear();
                let written = access(&other, store(va + 16, 2)).await?.response;
                written.reaches("MM-10", seen.pa)?;
                let gap = changes(&record, slot)
                    .iter()
                    .any(|(_, entry)| !entry.valid());
                let stores = record
                    .commits()
                    .iter()
                    .filter(|(_, (kind, _))| *kind != CommitKind::Update)
                    .count();
                let met = !gap && stores < 8 && os.kernel.counters.copies.get() == copies;
                expect("MM-10", met, || {
                    format!("{stores} stores for one, entry cleared: {gap}")
                })?;
                thread.switch_to(&parent).await;
                access(&thread, load(va + 16))
                    .await?
                    .response
                    .reads("MM-08", 1)?;
            }
            other.switch_to(&child).await;
            other.exit().await?;
            thread.switch_to(&parent).await;
            thread.exit().await?;
            os.all_freed()
        })?;
    }
    Ok(())
}

/// The entry was cleared, the page at `va` flushed, and the entry set, in this order.
fn replaced(record: &Record, slot: u64, va: u64) -> Result<(), Failure> {
    let changes = changes(record, slot);
    let cleared = changes.iter().find(|(_, entry)| !entry.valid());
    let set = changes.iter().rfind(|(_, entry)| entry.valid());
    let issued = record.collect(|kind| match kind {
        EventKind::Issue { request, .. } => match request.op {
            Op::Tlbi(op) if op.op.by_va() && op.va() == va => Some(()),
            _ => None,
        },
        _ => None,
    });
    let done = record.collect(|kind| match kind {
        EventKind::Response { request, .. } if request.op == Op::Dsb(DsbKind::ISH) => Some(()),
        _ => None,
    });
    let met = cleared.zip(set).is_some_and(|((cleared, _), (set, _))| {
        let flushed = issued.iter().any(|&(tlbi, ())| {
            *cleared < tlbi && done.iter().any(|&(dsb, ())| tlbi < dsb && dsb < *set)
        });
        cleared < set && flushed
    });
    expect("MM-09", met, || {
        format!("entry {changes:?}, TLBI at {issued:?}, DSB ISH over at {done:?}")
    })
}

/// One word in each page, written by one thread with ever greater numbers.
struct Writer {
    begun: [Cell<u64>; PAGES as usize],
    done: [Cell<u64>; PAGES as usize],
    stop: Cell<bool>,
}

impl Writer {
    fn value(number: u64, page: u64, count: u64) -> u64 {
        count << 16 | number << 8 | page
    }
}

fn fork_writers(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 4;
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        let rounds = if config.granule == Granule::K4 {
            ROUNDS
        } else {
            1
        };
        let written = os.run(bench, async move |os| {
            let mut threads = os.several();
            let thread = threads.remove(0);
            let parent = os.space().await?;
            let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            let mut running = Vec::new();
            let mut writers = Vec::new();
            for (number, other) in (1..).zip(threads) {
                let writer = Rc::new(Writer {
                    begun: Default::default(),
                    done: Default::default(),
                    stop: Cell::new(false),
                });
                writers.push((number, Rc::clone(&writer)));
                let parent = Rc::clone(&parent);
                running.push(os.handle.spawn_daemon(async move {
                    join(&other, &parent).await;
                    for turn in 0.. {
                        let at = (turn % PAGES) as usize;
                        let count = writer.begun[at].get() + 1;
                        writer.begun[at].set(count);
                        let va = VA + at as u64 * page + 8 * number;
                        let value = Writer::value(number, at as u64, count);
                        access(&other, store(va, value)).await?;
                        writer.done[at].set(count);
                        if writer.stop.get() {
                            break;
                        }
                    }
                    other.exit().await
                }));
            }
            for round in 0..rounds {
                os.handle.sleep(2_000 + 777 * round).await;
                record.clear();
                let before: Vec<_> = counts(&writers, |writer| &writer.done);
                let child = thread.fork().await?;
                let (after, forked): (Vec<_>, _) =
                    (counts(&writers, |writer| &writer.begun), os.handle.now());
                let first = held(&os, &child, &writers, page);
                for ((value, low), high) in first.iter().zip(&before).zip(&after) {
                    let fits = *value == 0 && *low == 0 || (*low..=*high).contains(&(value >> 16));
                    expect("MM-16", fits, || {
                        format!("the child has {value:#x}, the parent had {low} to {high}")
                    })?;
                }
                // Long enough for a writer to have a page copied.
                os.handle.sleep(4 * page).await;
                let last = held(&os, &child, &writers, page);
                expect("MM-16", first == last, || {
                    format!("{first:x?} became {last:x?} in the child")
                })?;
                let reached = record.collect(|kind| match kind {
                    EventKind::Response {
                        request,
                        issued_at,
                        response,
                        ..
                    } if request.op == Op::Store
                        && request.el == vmsa::El::El0
                        && *issued_at > forked
                        && fault_of(request, response).is_none() =>
                    {
                        Some(response.pa)
                    }
                    _ => None,
                });
                let frames: Vec<u64> = (0..PAGES)
                    .filter_map(|index| os.leaf(&child, VA + index * page))
                    .map(|(_, leaf)| leaf.output_address(config.granule, 3))
                    .collect();
                let wrong = reached
                    .iter()
                    .find(|(_, pa)| frames.contains(&(pa & !(page - 1))));
                expect("MM-16", wrong.is_none() && !reached.is_empty(), || {
                    format!(
                        "{} stores after fork, into the child's page: {wrong:x?}",
                        reached.len()
                    )
                })?;
                thread.exit_space(&child).await?;
            }
            writers.iter().for_each(|(_, writer)| writer.stop.set(true));
            for task in running {
                task.await?;
            }
            thread.switch_to(&parent).await;
            for (number, writer) in &writers {
                for at in 0..PAGES {
                    let count = writer.done[at as usize].get();
                    let va = VA + at * page + 8 * number;
                    let held = access(&thread, load(va)).await?.response;
                    held.reads("MM-08", Writer::value(*number, at, count))?;
                }
            }
            thread.exit().await?;
            os.all_freed()?;
            Ok(counts(&writers, |writer| &writer.done).iter().sum())
        })?;
        bench.count("stores around forks", written);
    }
    Ok(())
}

type Counts = [Cell<u64>; PAGES as usize];

fn counts(writers: &[(u64, Rc<Writer>)], which: impl Fn(&Writer) -> &Counts) -> Vec<u64> {
    let of = |(_, writer): &(u64, Rc<Writer>)| which(writer).each_ref().map(Cell::get);
    writers.iter().flat_map(of).collect()
}

/// The words of all writers as `space` has them.
fn held(os: &Os, space: &AddressSpace, writers: &[(u64, Rc<Writer>)], page: u64) -> Vec<u64> {
    let word = |number: u64, at: u64| {
        let (_, leaf) = os
            .leaf(space, VA + at * page)
            .filter(|(_, leaf)| leaf.valid())?;
        let frame = leaf.output_address(os.kernel.granule(), 3);
        Some(os.handle.peek(frame + 8 * number))
    };
    let of = |(number, _): &(u64, Rc<Writer>)| {
        let number = *number;
        (0..PAGES).map(move |at| word(number, at).unwrap_or(0))
    };
    writers.iter().flat_map(of).collect()
}
