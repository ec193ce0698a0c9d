// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Blocks of 2 MiB that become pages while other cores use them.

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use sw_mm::Cpu;
use sw_mm::boot::HardwareUpdate;
use sw_mm::mm::{Advice, Map, Protection};
use sw_mm::pte::Pte;
use sw_mm::thread::Thread;
use vmsa::{DsbKind, Granule, TlbiOp};

use super::access::{access, load, store};
use super::contpte_scene::{Step, trace};
use super::os::{Os, OsConfig, folio_at, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "mm-huge-split",
    purpose: "a block becomes pages while other cores count up in it: same frames, rights and marks, and no core holds both sizes",
    requirements: &["MM-38"],
    run: split,
}];

const VA: u64 = 0x4000_0000;
const PAGE: u64 = Granule::K4.bytes();
const PAGES: u64 = 512;
const BLOCK: u64 = PAGES * PAGE;
/// Pages that are counted up in.
const USED: [u64; 3] = [0, 100, 510];

/// Counts up until told to stop; what it came to.
async fn count_up(thread: Rc<Thread<CoreHandle>>, stop: Rc<Cell<bool>>) -> Result<u64, Failure> {
    let mut count = 0;
    while !stop.get() {
        for page in USED {
            let va = VA + page * PAGE + 8 * u64::from(thread.core);
            let answer = access(&thread, load(va)).await?;
            answer.response.reads("MM-38", count)?;
            access(&thread, store(va, count + 1)).await?;
        }
        count += 1;
    }
    Ok(count)
}

fn configs() -> [OsConfig; 3] {
    [
        (HardwareUpdate::AccessFlagAndDirty, true),
        (HardwareUpdate::None, true),
        (HardwareUpdate::AccessFlag, false),
    ]
    .map(|(hardware_update, range_tlbi)| OsConfig {
        hardware_update,
        range_tlbi,
        huge: true,
        ..OsConfig::default()
    })
}

fn split(bench: &mut Bench) -> Result<(), Failure> {
    for config in configs() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let (rounds, fills) = os.run(bench, async move |os| {
            let mut users = os.several();
            let thread = users.remove(0);
            let space = os.space().await?;
            for user in &users {
                join(user, &space).await;
            }
            thread
                .mmap(&Map::anonymous(VA, BLOCK, Protection::READ_WRITE))
                .await?;
            thread.madvise(VA, BLOCK, Advice::HugePage).await?;
            access(&thread, store(VA + 7 * PAGE, 7)).await?;
            thread.cpu.dsb(DsbKind::ISH).await;
            let (slot, block) = os.leaf(&space, VA).ok_or("nothing is mapped")?;
            let block = Pte(block.0);
            expect("MM-38", !block.descriptor().is_table_bit(), || {
                format!("{block:?} is no block")
            })?;
            let stop = Rc::new(Cell::new(false));
            let counting = users.iter().map(|user| {
                let counting = count_up(Rc::clone(user), Rc::clone(&stop));
                os.handle.spawn_daemon(counting)
            });
            let counting: Vec<_> = counting.collect();
            os.handle.sleep(1500).await;
            record.clear();
            // The last page is thrown away, the others stay.
            thread.madvise_dontneed(VA + BLOCK - PAGE, PAGE).await?;
            os.handle.sleep(3000).await;
            stop.set(true);
            let mut rounds = 0;
            for (user, counting) in users.iter().zip(counting) {
                let count = counting.await?;
                rounds += count;
                for page in USED {
                    let va = VA + page * PAGE + 8 * u64::from(user.core);
                    access(&thread, load(va))
                        .await?
                        .response
                        .reads("MM-38", count)?;
                }
            }
            for user in &users {
                user.cpu.dsb(DsbKind::ISHST).await;
            }
            for page in 0..PAGES - 1 {
                let leaf = os.leaf(&space, VA + page * PAGE);
                let pte = leaf.map_or(Pte::NONE, |(_, leaf)| Pte(leaf.0));
                let expected = block.as_page().advance(Granule::K4, page as i64);
                expect("MM-38", pte.with_cont(false) == expected, || {
                    format!("page {page} is {pte:?}, the block said {expected:?}")
                })?;
            }
            let linked = in_order(&record, &os, slot)?;
            let fills = one_size(&record, &os, slot, linked)?;
            let folio = folio_at(&os, &space, VA)?;
            expect("MM-38", folio.pages() == PAGES, || format!("{folio:?}"))?;
            for user in users.iter().chain([&thread]) {
                user.exit().await?;
            }
            os.all_freed()?;
            Ok((rounds, fills))
        })?;
        expect("MM-38", rounds > 4 && fills > 0, || {
            format!("{rounds} rounds of counting, pages were cached {fills} times")
        })?;
        bench.count("fills with pages", fills);
    }
    Ok(())
}

/// The block goes out of reach, every core forgets it, then the table comes; the cycle of the last.
fn in_order(record: &Record, os: &Os, slot: u64) -> Result<u64, Failure> {
    let steps = trace(record, 0);
    let at = |wanted: &dyn Fn(&Step) -> bool| steps.iter().position(wanted);
    let broken = at(&|step| matches!(step, Step::Write(at, word) if *at == slot && word & 1 == 0));
    let covers = |step: &Step| {
        let Step::Tlbi(op) = step else { return false };
        match op.range() {
            Some(range) => range.start == VA && range.bytes == BLOCK && range.level == Some(2),
            None => op.op == TlbiOp::Vale1 && op.va() == VA,
        }
    };
    let tlbi = at(&covers);
    let effects: Vec<usize> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(step, Step::Effect(_)))
        .map(|(at, _)| at)
        .collect();
    let over = tlbi.and_then(|tlbi| {
        let later = steps[tlbi..]
            .iter()
            .position(|step| *step == Step::Dsb(DsbKind::ISH));
        later.map(|later| tlbi + later)
    });
    let made = at(&|step| matches!(step, Step::Write(at, word) if *at == slot && word & 3 == 3));
    let order = (broken, tlbi, over, made);
    let met = match order {
        (Some(broken), Some(tlbi), Some(over), Some(made)) => {
            let effects = effects.iter().filter(|at| (tlbi..over).contains(at));
            broken < tlbi && over < made && effects.count() == os.handle.cores()
        }
        _ => false,
    };
    expect("MM-38", met, || {
        format!("out of reach, TLBI, DSB and table at {order:?}, in effect at {effects:?}")
    })?;
    let commits = record.collect(|kind| match kind {
        EventKind::Commit {
            kind: CommitKind::Store,
            address,
            after,
            ..
        } if *address == slot && after & 3 == 3 => Some(()),
        _ => None,
    });
    Ok(commits.first().map_or(0, |(cycle, ())| *cycle))
}

/// No core caches a page before the table is there, nor the block after; the fills with pages.
fn one_size(record: &Record, os: &Os, slot: u64, linked: u64) -> Result<u64, Failure> {
    let mut pages = 0;
    for core in 0..os.handle.cores() as u8 {
        let effect = record.effects(core).first().map_or(0, |(cycle, _)| *cycle);
        for (cycle, fill) in record.fills(core) {
            let inside = (VA..VA + BLOCK).contains(&fill.va);
            if !inside || fill.structure == TlbStructure::WalkCache {
                continue;
            }
            let met = match fill.level {
                2 => cycle <= effect,
                _ => cycle > linked,
            };
            expect("MM-38", met, || {
                format!(
                    "core {core} was filled with {fill:x?} at {cycle}; the block was forgotten at \
                     {effect}, the table came at {linked} to [{slot:#x}]"
                )
            })?;
            pages += u64::from(fill.level == 3);
        }
    }
    Ok(pages)
}
