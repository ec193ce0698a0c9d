// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages that leave memory while other cores use them, and how long their slots are in use.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, Op};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use sw_mm::Cpu;
use sw_mm::mm::{AddressSpace, Error, Map, Protection};
use sw_mm::pte::{Kind, Pte, SwapEntry};
use sw_mm::thread::Thread;
use vmsa::{DsbKind, El, FaultKind};

use super::access::{access, load, store};
use super::contpte_memory::Folded;
use super::contpte_scene::block_entries;
use super::os::{Os, OsConfig, folio_at, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-swap-content",
        purpose: "another core stores while its page goes to swap: the slot holds the last store, later ones fault",
        requirements: &["MM-24"],
        run: content,
    },
    Testbench {
        name: "mm-swap-slots",
        purpose: "a slot that fork, faults, munmap and exit share: its count is that of the entries that name it, and it is free at 0",
        requirements: &["MM-25"],
        run: slots,
    },
    Testbench {
        name: "contpte-swap",
        purpose: "one page of a block goes to swap while another core uses the block: no hint stays beside its entry",
        requirements: &["CONTPTE-32"],
        run: one_of_block,
    },
];

const VA: u64 = 0x6400_0000;
const WORDS: u64 = 8;

fn entry(os: &Os, space: &AddressSpace, va: u64) -> Pte {
    let leaf = os.leaf(space, va);
    leaf.map_or(Pte::NONE, |(_, leaf)| Pte(leaf.0))
}

/// The slot that `space` has at `va`.
fn slot(os: &Os, space: &AddressSpace, va: u64) -> Option<SwapEntry> {
    match entry(os, space, va).kind() {
        Kind::Swap { entry, .. } => Some(entry),
        _ => None,
    }
}

/// Stores that nobody handles the faults of, until told to stop.
async fn hammer(core: CoreHandle, first: u64, stop: Rc<Cell<bool>>) {
    let mut count = first;
    while !stop.get() {
        let va = VA + count % WORDS * 8;
        core.access(store(va, count)).await;
        count += 1;
    }
}

fn content(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 6;
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        let (stored, refused) = os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            join(&other, &space).await;
            thread
                .mmap(&Map::anonymous(VA, page, Protection::READ_WRITE))
                .await?;
            let mut sum = (0, 0);
            for round in 1..=ROUNDS {
                // From swap but for the first time.
                access(&thread, store(VA, 0)).await?;
                let stop = Rc::new(Cell::new(false));
                record.clear();
                let user = hammer(other.cpu.clone(), round << 32, Rc::clone(&stop));
                let user = os.handle.spawn_daemon(user);
                os.handle.sleep(400 + 61 * round).await;
                let folio = folio_at(&os, &space, VA)?;
                let frame = os.kernel.pa(folio.pfn());
                thread.swap_out(&folio).await?;
                let over = os.handle.now();
                os.handle.sleep(400).await;
                stop.set(true);
                user.await;
                let slot = slot(&os, &space, VA).and_then(|slot| os.kernel.swap.content(slot));
                let slot = slot.ok_or("the page is in no slot")?;
                let (stored, refused) = last_stores(&record, over)?;
                for (va, value) in &stored {
                    let held = slot[((va - VA) / 8) as usize];
                    expect("MM-24", held == *value, || {
                        format!("{va:#x} was stored as {value:#x}, its slot holds {held:#x}")
                    })?;
                }
                late_store(&record, over, frame..frame + page)?;
                sum = (sum.0 + stored.len(), sum.1 + refused);
                for word in 0..WORDS {
                    let answer = access(&other, load(VA + word * 8)).await?;
                    answer.response.reads("MM-24", slot[word as usize])?;
                }
            }
            other.exit().await?;
            thread.exit().await?;
            os.all_freed()?;
            Ok(sum)
        })?;
        expect("MM-24", stored > 0 && refused > 0, || {
            format!("{stored} words stored before, {refused} stores refused after")
        })?;
        bench.count("stores refused", refused as u64);
    }
    Ok(())
}

/// The last value of each word that was stored, and how many stores were refused that came later than
/// `over`: all of those.
fn last_stores(record: &Record, over: u64) -> Result<(BTreeMap<u64, u64>, usize), Failure> {
    let answers = record.collect(|kind| match kind {
        EventKind::Response {
            request,
            issued_at,
            response,
            ..
        } if request.el == El::El0 && request.op == Op::Store => {
            Some((*issued_at, *request, *response))
        }
        _ => None,
    });
    let (mut last, mut refused) = (BTreeMap::new(), 0);
    for (cycle, (issued, request, response)) in answers {
        if response.fault.is_none() {
            last.insert(request.va, request.data);
        }
        if issued > over {
            let kind = response.fault.and_then(|fsc| fsc.kind());
            expect("MM-24", kind == Some(FaultKind::Translation), || {
                format!(
                    "a store asked for at {issued} got at {cycle}: {response}; the page was gone at {over}"
                )
            })?;
            refused += 1;
        }
    }
    Ok((last, refused))
}

/// No store reaches the frame once the page is out.
fn late_store(record: &Record, over: u64, frame: std::ops::Range<u64>) -> Result<(), Failure> {
    let commits = record.collect(|kind| match kind {
        EventKind::Commit {
            kind: CommitKind::Store,
            address,
            ..
        } if frame.contains(address) => Some(*address),
        _ => None,
    });
    let late = commits.iter().find(|(cycle, _)| *cycle > over);
    expect("MM-24", late.is_none(), || {
        format!("the page was gone at {over}, then {late:x?} was written")
    })
}

/// Holds the count of every slot against the tables of `family`; that of the slot `of` is `count`.
async fn counted(
    os: &Os,
    family: &[Rc<AddressSpace>],
    pages: u64,
    (of, count): (SwapEntry, u32),
) -> Result<(), Failure> {
    for thread in &os.threads {
        thread.cpu.dsb(DsbKind::ISHST).await;
    }
    let page = os.kernel.granule().bytes();
    let mut named = BTreeMap::new();
    for space in family {
        for index in 0..pages {
            if let Some(slot) = slot(os, space, VA + index * page) {
                *named.entry(slot).or_insert(0) += 1;
            }
        }
    }
    let slots = os.kernel.swap.slots();
    let books: BTreeMap<_, _> = slots.iter().map(|slot| (slot.entry, slot.count)).collect();
    let met = books == named && books.get(&of).copied().unwrap_or(0) == count;
    expect("MM-25", met, || {
        format!(
            "slots are counted as {books:?}, entries name {named:?}, {of:?} should have {count}"
        )
    })
}

fn slots(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let page = config.granule.bytes();
        os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let parent = os.space().await?;
            thread
                .mmap(&Map::anonymous(VA, 2 * page, Protection::READ_WRITE))
                .await?;
            for index in 0..2 {
                access(&thread, store(VA + index * page, index + 1)).await?;
            }
            let mut family = vec![Rc::clone(&parent)];
            for _ in 0..2 {
                family.push(thread.fork().await?);
            }
            thread.swap_out(&folio_at(&os, &parent, VA)?).await?;
            let of = slot(&os, &parent, VA).ok_or("the page is in no slot")?;
            counted(&os, &family, 2, (of, 3)).await?;
            family.push(thread.fork().await?);
            counted(&os, &family, 2, (of, 4)).await?;
            // A read and a write bring it back for one, the others go on without.
            let steps = [load(VA), store(VA, 9)];
            for (index, (request, left)) in (1..).zip(steps.into_iter().zip([3, 2])) {
                other.switch_to(&family[index]).await;
                access(&other, request).await?;
                counted(&os, &family, 2, (of, left)).await?;
            }
            other.switch_to(&family[3]).await;
            other.munmap(VA, page).await?;
            counted(&os, &family, 2, (of, 1)).await?;
            thread.swap_out(&folio_at(&os, &parent, VA + page)?).await?;
            let second = slot(&os, &parent, VA + page).ok_or("the page is in no slot")?;
            expect("MM-25", second != of, || format!("{of:?} has two pages"))?;
            counted(&os, &family, 2, (second, 4)).await?;
            thread.exit().await?;
            family.remove(0);
            counted(&os, &family, 2, (of, 0)).await?;
            counted(&os, &family, 2, (second, 3)).await?;
            for (space, value) in family.drain(..).zip([1, 9, 0]) {
                other.switch_to(&space).await;
                if value != 0 {
                    let answer = access(&other, load(VA)).await?;
                    answer.response.reads("MM-25", value)?;
                }
                let answer = access(&other, load(VA + page)).await?;
                answer.response.reads("MM-25", 2)?;
                other.exit().await?;
            }
            counted(&os, &family, 2, (second, 0)).await?;
            let used = os.kernel.swap.used();
            expect("MM-25", used == 0, || format!("{used} slots are in use"))?;
            os.all_freed()
        })?;
    }
    Ok(())
}

/// Uses pages of a block in turn, faults handled, until told to stop: not the first ones, of which one is
/// to leave.
async fn use_block(
    thread: Rc<Thread<CoreHandle>>,
    (first, bytes): (u64, u64),
    stop: Rc<Cell<bool>>,
) -> Result<u64, Failure> {
    let mut count = 0;
    while !stop.get() {
        access(&thread, load(first + (4 + count % 12) * (bytes / 16))).await?;
        count += 1;
    }
    Ok(count)
}

fn one_of_block(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let order = block_entries(config.granule).trailing_zeros() as u8;
        let config = OsConfig {
            anonymous_orders: vec![order],
            ..config
        };
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Folded::new(&os, 1).await?;
            let (n, page) = (scene.n, os.kernel.granule().bytes());
            let leaf = |page_number| os.leaf(&scene.space, scene.va(page_number * page));
            let mut block: BTreeMap<u64, Pte> = (0..n)
                .filter_map(leaf)
                .map(|(slot, leaf)| (slot, Pte(leaf.0)))
                .collect();
            let folio = folio_at(&os, &scene.space, scene.va(0))?;
            record.clear();
            let stop = Rc::new(Cell::new(false));
            let range = (scene.va(0), n * page);
            let user = use_block(Rc::clone(&scene.other), range, Rc::clone(&stop));
            let user = os.handle.spawn_daemon(user);
            os.handle.sleep(300).await;
            // Who faults meanwhile has a reference for a moment.
            while let Err(error) = scene.thread.split_folio(&folio).await {
                expect("CONTPTE-32", matches!(error, Error::Again), || {
                    error.to_string()
                })?;
            }
            scene
                .thread
                .swap_out(&folio_at(&os, &scene.space, scene.va(3 * page))?)
                .await?;
            os.handle.sleep(500).await;
            stop.set(true);
            user.await?;
            let commits = record.collect(|kind| match kind {
                EventKind::Commit { address, after, .. } => Some((*address, *after)),
                _ => None,
            });
            let mut swapped = 0;
            for (cycle, (address, after)) in commits {
                let Some(pte) = block.get_mut(&address) else {
                    continue;
                };
                *pte = Pte(after);
                let out = |pte: &Pte| matches!(pte.kind(), Kind::Swap { .. });
                let hint = |pte: &Pte| pte.valid() && pte.cont();
                swapped += u64::from(out(&Pte(after)));
                let met = !(block.values().any(out) && block.values().any(hint));
                expect("CONTPTE-32", met, || {
                    format!("a hint beside a swap entry at {cycle}: {block:x?}")
                })?;
            }
            expect("CONTPTE-32", swapped == 1, || {
                format!("{swapped} swap entries")
            })?;
            let hints = scene.hints(&os, &scene.space, 0..n);
            expect("CONTPTE-32", hints == 0, || {
                format!("{hints} hints are left")
            })?;
            for (index, value) in [(2, 1), (3, 0), (n - 1, 0)] {
                let answer = access(&scene.thread, load(scene.va(index * page))).await?;
                answer.response.reads("CONTPTE-32", value)?;
            }
            scene.end(&os).await
        })?;
    }
    Ok(())
}
