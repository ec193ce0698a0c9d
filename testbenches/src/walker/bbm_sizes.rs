// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Changes between a block and pages of the same output addresses: entries of both sizes, conflict
//! aborts, and where the hardware updates go (section 12.3).

use cosim::dut::ports::{CoreRequest, Counter, Delays};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Fsc, Granule, Tlbi, TlbiScope};

use super::record::Record;
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "bbm-conflict-abort",
        purpose: "a page and a block entry for one VA: an abort if the strap says so and only then, until an invalidation",
        requirements: &["TLB-10", "TLB-11", "TLB-12", "BBM-06", "BBM-03"],
        run: conflicts,
    },
    Testbench {
        name: "bbm-update",
        purpose: "while a block becomes pages or the reverse, updates go to the descriptor that the access used",
        requirements: &["BBM-08", "BBM-06", "HAF-02", "HAF-12"],
        run: updates,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x4020_0000;
const PA: u64 = 0x8000_0000;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// Pages, all but some, and a block that may stand in their place and maps the same.
struct Sizes {
    tree: Tree,
    slot: u64,
    table: u64,
    block: u64,
}

fn sizes(bench: &mut Bench, like: impl Fn(Descriptor) -> Descriptor) -> Result<Sizes, Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..512u64 {
        let leaf = like(user_rw(Granule::K4, 3, PA + (page << 12)));
        tree.map(VA + (page << 12), 3, leaf);
    }
    // A page that has nothing to do with them.
    tree.map(VA + 0x4000_0000, 3, user_rw(Granule::K4, 3, PA));
    tree.load(bench)?;
    let slot = tree.slot(VA, 2);
    let table = tree.word(slot);
    let block = like(user_rw(Granule::K4, 2, PA)).0;
    Ok(Sizes {
        tree,
        slot,
        table,
        block,
    })
}

/// Ends the use of the table at VA, and of the page at VA + `offset`, and of no other page.
async fn forget_table(core: &CoreHandle, offset: u64) {
    invalidate(core, Tlbi::vae1(TlbiScope::Local, VA + offset, 1, None)).await;
}

fn conflicts(bench: &mut Bench) -> Result<(), Failure> {
    let built = bench.handle()?.info().dtlb_entries;
    // `managed`: hardware keeps the dirty state, so that a write meets clean entries (HAF-12), of which
    // it needs another, in conflict.
    for (abort, entries, managed) in [
        (false, built, false),
        (true, built, false),
        (true, 1, false),
        (true, built, true),
    ] {
        bench.restart()?;
        bench.setup().straps.conflict_abort = abort;
        bench.setup().straps.dtlb_entries = Some(entries);
        let Sizes {
            tree,
            slot,
            table,
            block,
        } = sizes(bench, |leaf| {
            leaf.with_dbm(managed).with_ap_read_only(managed)
        })?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(managed).with_hd(managed);
            regime.enter(&core).await;
            let expected = abort && entries > 1;
            let (at, fetch) = (CoreRequest::at, CoreRequest::fetch);
            for (round, end) in [
                Tlbi::vmalle1(TlbiScope::Local),
                Tlbi::vae1(TlbiScope::Local, VA + 0x3000, 1, None),
                Tlbi::vaale1(TlbiScope::InnerShareable, VA + 0x3000, None),
                Tlbi::rvale1(TlbiScope::Local, Granule::K4, VA + 0x2000, 0, 0, None, 1),
            ]
            .into_iter()
            .enumerate()
            {
                handle.poke(slot, table);
                flush(&core).await;
                // While the operation is at work in it, the second level takes no fill.
                handle.sleep(600).await;
                let before = handle.counter(0, Counter::TlbConflict);
                core.access(load(VA + 0x3000))
                    .await
                    .reaches("TLB-10", PA + 0x3000)?;
                forget_table(&core, 0x9000).await;
                handle.poke(slot, block);
                // The block comes in by an address that no entry covers.
                core.access(load(VA + 0x5000))
                    .await
                    .reaches("BBM-06", PA + 0x5000)?;
                let here = VA + 0x3008;
                for request in [
                    load(here),
                    CoreRequest::store(here, 3, El::El0, round as u64),
                    CoreRequest::cas(here, El::El0, 0, 1),
                    at(here, El::El0, false, false),
                    load(VA + 0x2ffc),
                ] {
                    let answer = core.access(request).await;
                    on(
                        request,
                        match expected {
                            true => answer.faults("TLB-10", Fsc(0x30)),
                            false => answer.reaches("TLB-11", request.va - VA + PA),
                        },
                    )?;
                }
                handle.sleep(4).await;
                let met = handle.counter(0, Counter::TlbConflict) - before;
                expect("TLB-10", met == if expected { 5 } else { 0 }, || {
                    format!("{met} lookups met a conflict")
                })?;
                // One of the two only, and the other side's TLB: no conflict.
                for request in [load(VA + 0x5008), load(VA + 0x6008), fetch(here, El::El0)] {
                    let answer = core.access(request).await;
                    on(request, answer.reaches("TLB-10", request.va - VA + PA))?;
                }
                // The same of the instruction side, whose entries come from the second level.
                core.access(fetch(VA + 0x5004, El::El0))
                    .await
                    .reaches("TLB-10", PA + 0x5004)?;
                let answer = core.access(fetch(here + 4, El::El0)).await;
                match abort {
                    true => answer.faults("TLB-10", Fsc(0x30))?,
                    false => answer.reaches("TLB-11", PA + 0x300c)?,
                }
                invalidate(&core, end).await;
                core.access(fetch(here + 4, El::El0))
                    .await
                    .reaches("TLB-12", PA + 0x300c)?;
                for _ in 0..2 {
                    let answer = core.access(load(here)).await;
                    answer.reaches("TLB-12", PA + 0x3008)?;
                }
                // Nothing is left of the page below: one entry serves it and its neighbour.
                forget_table(&core, 0x1f_f000).await;
                core.access(load(here))
                    .await
                    .reaches("TLB-12", PA + 0x3008)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// One access while the block becomes pages, or the other way round, `delay` cycles after it was made.
#[derive(Debug, Clone, Copy)]
struct Race {
    slot: u64,
    from: u64,
    to: u64,
    request: CoreRequest,
    delay: u64,
    /// A load has made an entry before, of which a store finds that it is clean.
    warm: bool,
}

async fn race(
    core: &CoreHandle,
    (handle, watch, record): (&SimHandle, &Watch, &Record),
    tree: &Tree,
    race: Race,
) -> Result<(bool, bool), Failure> {
    let Race {
        slot,
        from,
        to,
        request,
        delay,
        warm,
    } = race;
    let page_slot = tree.slot(VA + 0x3000, 3);
    let page = tree.word(page_slot);
    handle.poke(slot, from);
    handle.poke(page_slot, page);
    flush(core).await;
    if warm {
        core.access(load(VA + 0x3008))
            .await
            .reaches("BBM-06", PA + 0x3008)?;
        // The update of the load is not looked at.
        handle.poke(slot, from);
        handle.poke(page_slot, page);
    }
    record.clear();
    let (other, theirs) = (handle.clone(), watch.clone());
    let writer = handle.spawn(async move {
        other.sleep(delay).await;
        while theirs.swapping(other.now()) {
            other.sleep(1).await;
        }
        other.poke(slot, to);
    });
    let answer = core.access(request).await;
    writer.await;
    on(
        request,
        answer.reaches("BBM-06", PA + 0x3000 + (request.va & 0xfff)),
    )?;
    let walks = record.walks();
    let made = record.updates();
    let told = || format!("{race:x?}: updates {made:x?}, walks {walks:x?}");
    // One update, of the leaf that the walk read last, from the value that it read.
    let used = walks.last().map(|walk| {
        let read = walk
            .reads
            .iter()
            .chain(&walk.swaps[..walk.swaps.len().saturating_sub(1)]);
        let last = read.max_by_key(|read| read.cycle);
        last.map_or((0, 0), |read| (read.address, read.value))
    });
    let writes = !matches!(request.op, cosim::dut::ports::Op::Load);
    let (address, value) = used.unwrap_or_default();
    let owed = (value & AF == 0) || (writes && value & AP2 != 0);
    let after = value & !(if writes { AP2 } else { 0 }) | AF;
    let wanted: Vec<_> = if owed {
        vec![(address, value, after)]
    } else {
        vec![]
    };
    let came: Vec<_> = made
        .iter()
        .map(|&(_, at, before, after)| (at, before, after))
        .collect();
    if warm && !writes {
        // Served by the entry made before.
        expect("BBM-08", came.is_empty() && walks.is_empty(), told)?;
        return Ok((false, false));
    }
    expect("BBM-08", came == wanted && owed, told)?;
    let leaf_is_whole = address == slot || (address == page_slot && value == page);
    expect("BBM-08", leaf_is_whole, told)?;
    // The other descriptor is as it was.
    if address == slot {
        let held = handle.peek(page_slot);
        expect("BBM-08", held == page, || {
            format!("{race:x?}: the page holds {held:#x}")
        })?;
    } else {
        let held = handle.peek(slot);
        expect("BBM-08", held == to, || {
            format!("{race:x?}: the block's place holds {held:#x}")
        })?;
    }
    Ok((address == slot, address == page_slot))
}

fn updates(bench: &mut Bench) -> Result<(), Failure> {
    for (latency, walk_caches) in [(20, true), (6, false)] {
        bench.restart()?;
        bench.setup().memory.latency = latency;
        bench.setup().straps.walk_caches = walk_caches;
        // The change is to come at every cycle of the walk.
        bench.setup().straps.delay = Delays::NONE;
        // Writable-clean, not accessed.
        let Sizes {
            tree,
            slot,
            table,
            block,
        } = sizes(bench, |leaf| {
            leaf.with_af(false).with_dbm(true).with_ap_read_only(true)
        })?;
        let watch = Watch::on(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        let seen = bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(true).with_hd(true);
            regime.enter(&core).await;
            let mut seen = [[0u64; 2]; 2];
            for (direction, (from, to)) in [(table, block), (block, table)].into_iter().enumerate()
            {
                for request in [
                    load(VA + 0x3010),
                    CoreRequest::store(VA + 0x3018, 3, El::El0, 5),
                    CoreRequest::cas(VA + 0x3020, El::El0, 0, 1),
                ] {
                    for warm in [false, true] {
                        for delay in 0..6 * latency {
                            let one = Race {
                                slot,
                                from,
                                to,
                                request,
                                delay,
                                warm,
                            };
                            let tools = (&handle, &watch, &record);
                            let (block, page) = race(&core, tools, &tree, one).await?;
                            seen[direction][0] += u64::from(block);
                            seen[direction][1] += u64::from(page);
                        }
                    }
                }
            }
            Ok(seen)
        })?;
        let met = seen.iter().flatten().all(|&count| count > 10);
        expect("BBM-08", met, || {
            format!("updates of block and page, by direction: {seen:?}")
        })?;
        bench.count("block updates", seen[0][0] + seen[1][0]);
        bench.count("page updates", seen[0][1] + seen[1][1]);
    }
    Ok(())
}
