// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLB flushes of ranges, and those whose end is left to a later barrier.

use std::rc::Rc;

use cosim::dut::ports::{HitPlace, Op};
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::event::EventKind;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use sw_mm::Cpu;
use sw_mm::contpte;
use sw_mm::mm::{FlushRange, Found, Map, Protection};
use vmsa::{DsbKind, FaultKind, Granule, Tlbi, geometry};

use super::access::{access, load, store};
use super::os::{Os, OsConfig, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-flush-range",
        purpose: "the operations of a flush name the whole range, no less, and no core has anything of it afterwards",
        requirements: &["MM-20"],
        run: ranges,
    },
    Testbench {
        name: "mm-flush-nosync",
        purpose: "a flush without its barrier is over with the next one, or with a context switch",
        requirements: &["MM-21"],
        run: nosync,
    },
];

const VA: u64 = 0x2000_0000_0000;

/// TLBI operations issued since the record was cleared.
fn operations(record: &Record) -> Vec<Tlbi> {
    let issued = record.collect(|kind| match kind {
        EventKind::Issue { request, .. } => match request.op {
            Op::Tlbi(op) => Some(op),
            _ => None,
        },
        _ => None,
    });
    issued.into_iter().map(|(_, op)| op).collect()
}

/// Addresses that `operations` name, in the order of their issue; single forms name a leaf.
fn named(operations: &[Tlbi], stride: u64) -> Vec<(u64, u64)> {
    let one = |op: &Tlbi| match op.range() {
        Some(range) => (range.start, range.start + range.bytes),
        None => (op.va(), op.va() + stride),
    };
    operations.iter().map(one).collect()
}

/// The first address of `start..end` that no piece holds.
fn missed(pieces: &[(u64, u64)], start: u64, end: u64) -> Option<u64> {
    let mut at = start;
    while at < end {
        let piece = pieces.iter().find(|(from, to)| (*from..*to).contains(&at));
        match piece {
            Some((_, to)) => at = *to,
            None => return Some(at),
        }
    }
    None
}

fn draw(rng: &mut Pcg64Mcg, granule: Granule) -> FlushRange {
    let page = granule.bytes();
    let most = 1u64 << rng.random_range(0..13);
    let start = VA + rng.random_range(0..5000) * page;
    let mut range = FlushRange::pages(granule, start, start + rng.random_range(1..=most) * page);
    range.leaf = rng.random();
    match rng.random_range(0..4) {
        0 => range.level = None,
        1 if granule == Granule::K4 => {
            range.stride = geometry::level_bytes(granule, 2);
            range.level = Some(2);
        }
        _ => {}
    }
    range
}

fn ranges(bench: &mut Bench) -> Result<(), Failure> {
    let mut rng = bench.rng("ranges");
    for granule in Granule::ALL {
        for range_tlbi in [true, false] {
            bench.restart()?;
            let config = OsConfig {
                range_tlbi,
                ..OsConfig::with_granule(granule)
            };
            let os = Os::boot(bench, &config)?;
            let record = Record::on(bench)?;
            let drawn: Vec<_> = (0..40).map(|_| draw(&mut rng, granule)).collect();
            let mut small = rng.clone();
            os.run(bench, async move |os| {
                let (thread, other) = os.pair();
                let space = os.space().await?;
                join(&other, &space).await;
                for range in drawn {
                    let start = range.start & !(range.stride - 1);
                    let end = range.end.next_multiple_of(range.stride);
                    let pages = (end - start) / granule.bytes();
                    if !range_tlbi && (end - start) / range.stride > 100 {
                        continue;
                    }
                    record.clear();
                    thread.flush_range(&space, range).await;
                    let issued = operations(&record);
                    let asid = issued.iter().all(|op| op.asid() == space.context.asid());
                    let forms = issued.iter().all(|op| op.op.last_level() == range.leaf);
                    let missed = missed(&named(&issued, range.stride), start, end);
                    expect("MM-20", asid && forms && missed.is_none(), || {
                        format!("{range:x?} misses {missed:x?} with {issued:?}")
                    })?;
                    let ranges = issued.iter().filter(|op| op.op.is_range()).count();
                    let few = !range_tlbi || issued.len() <= 5;
                    let met = few && (ranges > 0) == (range_tlbi && pages > 1);
                    expect("MM-20", met, || {
                        format!(
                            "{} operations, {ranges} of ranges, for {pages} pages",
                            issued.len()
                        )
                    })?;
                }
                forgotten(&os, granule, &mut small).await?;
                thread.munmap(VA, FEW * granule.bytes()).await?;
                other.exit().await?;
                thread.exit().await?;
                os.all_freed()
            })?;
        }
    }
    Ok(())
}

/// Pages that every core has cached, as far as its TLB is large enough.
const FEW: u64 = 12;

/// After a flush every core walks again for what it named.
async fn forgotten(os: &Rc<Os>, granule: Granule, rng: &mut Pcg64Mcg) -> Result<(), Failure> {
    let (thread, other) = os.pair();
    let space = thread.space().ok_or("no address space")?;
    let page = granule.bytes();
    let map = Map::anonymous(VA, FEW * page, Protection::READ_WRITE);
    thread.mmap(&map).await?;
    let va = |index: u64| VA + index * page;
    for index in 0..FEW {
        // Of zeros: all are the same page, and quickly made.
        access(&thread, load(va(index))).await?;
    }
    let mut cached = 0;
    for _ in 0..8 {
        let start = rng.random_range(0..FEW);
        let end = rng.random_range(start + 1..=FEW);
        for index in 0..FEW {
            access(&other, load(va(index))).await?;
        }
        thread
            .flush_range(&space, FlushRange::pages(granule, va(start), va(end)))
            .await;
        for index in 0..FEW {
            let answer = other.cpu.access(load(va(index))).await;
            let hit = matches!(answer.place, HitPlace::L1 | HitPlace::L2);
            cached += u64::from(hit);
            expect("MM-20", !hit || !(start..end).contains(&index), || {
                format!(
                    "pages {start} to {end} were flushed, {index} comes from {:?}",
                    answer.place
                )
            })?;
        }
    }
    expect("MM-20", cached > 0, || "nothing is ever cached".into())?;
    other.exit().await?;
    // On one core that took the address space from under both.
    thread.switch_to(&space).await;
    Ok(())
}

/// What completes the flush.
#[derive(Debug, Clone, Copy)]
enum Completion {
    Barrier,
    Switch,
    Leave,
}

fn nosync(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            let second = sw_mm::mm::AddressSpace::new(&thread).await?;
            let page = granule.bytes();
            let map = Map::anonymous(VA, page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            access(&thread, store(VA, 5)).await?;
            let Found::Table(table) = space.walk(&thread, VA).await? else {
                return Err("there is no table".into());
            };
            let ptr = table.entry(&os.kernel, VA)?;
            for completion in [Completion::Barrier, Completion::Switch, Completion::Leave] {
                thread.switch_to(&space).await;
                join(&other, &space).await;
                access(&other, load(VA)).await?;
                record.clear();
                let pte = {
                    let _ptl = table.lock.lock(&thread.held).await;
                    contpte::get_and_clear(&thread, &space, ptr).await?
                };
                thread.flush_page_nosync(&space, VA).await;
                match completion {
                    Completion::Barrier => thread.cpu.dsb(DsbKind::ISH).await,
                    Completion::Switch => thread.switch_to(&second).await,
                    Completion::Leave => thread.leave().await,
                }
                let over = os.handle.now();
                // The other core has it no more, whatever it had.
                other.switch_to(&space).await;
                let answer = other.cpu.access(load(VA)).await;
                let kind = answer.fault.and_then(|fsc| fsc.kind());
                expect("MM-21", kind == Some(FaultKind::Translation), || {
                    format!("after {completion:?} at {over} the entry still answers: {answer}")
                })?;
                for thread in &os.threads {
                    let effects = record.effects(thread.core);
                    let first = effects.first().map(|(cycle, _)| *cycle);
                    expect("MM-21", first.is_some_and(|cycle| cycle <= over), || {
                        format!(
                            "{completion:?} was over at {over}, on core {} at {first:?}",
                            thread.core
                        )
                    })?;
                }
                {
                    let _ptl = table.lock.lock(&thread.held).await;
                    contpte::set_ptes(&thread, &space, ptr, pte, 1).await?;
                }
                other.exit().await?;
            }
            thread.exit_space(&second).await?;
            thread.switch_to(&space).await;
            thread.exit().await?;
            os.all_freed()
        })?;
    }
    Ok(())
}
