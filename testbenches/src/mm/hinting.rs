// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages that are taken out of reach of hardware to find out who uses them, and what their faults lead
//! to.

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::memory::MemorySystem;
use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use sw_mm::mm::{AddressSpace, Error, Map, Protection, Signal};
use sw_mm::page::NodeId;
use sw_mm::thread::Thread;
use vmsa::{Descriptor, FaultKind};

use super::access::{access, fault_of, load, store};
use super::os::{Os, OsConfig, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-hinting-marked",
        purpose: "pages are marked while other cores use them: all fault once it returns, and one fault each brings them back as they were",
        requirements: &["MM-28"],
        run: marked,
    },
    Testbench {
        name: "mm-hinting-refused",
        purpose: "pages that nobody may use have entries of the same kind as marked ones: every access ends in a signal",
        requirements: &["MM-28", "MM-29"],
        run: refused,
    },
    Testbench {
        name: "mm-hinting-follows",
        purpose: "a page moves to the node that used it twice in a row, and nobody misses a store",
        requirements: &["MM-26", "MM-28"],
        run: follows,
    },
];

const VA: u64 = 0x7000_0000;
const PAGES: u64 = 4;

/// Accesses that nobody handles the faults of, until told to stop: loads, and stores to the word after.
async fn hammer(core: CoreHandle, page: u64, stop: Rc<Cell<bool>>) {
    let mut count = 0;
    while !stop.get() {
        let va = VA + count % PAGES * page;
        let request = match count % 3 {
            0 => load(va + 8),
            _ => store(va + 16, count),
        };
        core.access(request).await;
        count += 1;
    }
}

/// What the user accesses of other cores that were issued between `from` and `to` came to is `fault`;
/// returns how many there were.
fn all_came_to(
    record: &Record,
    (from, to): (u64, u64),
    fault: Option<FaultKind>,
) -> Result<u64, Failure> {
    let answers = record.collect(|kind| match kind {
        EventKind::Response {
            core,
            request,
            issued_at,
            response,
        } if *core > 0 && request.el == vmsa::El::El0 && (from + 1..to).contains(issued_at) => {
            Some((*core, *response))
        }
        _ => None,
    });
    for (cycle, (core, response)) in &answers {
        let kind = response.fault.and_then(|fsc| fsc.kind());
        expect("MM-28", kind == fault, || {
            format!("core {core} got at {cycle}: {response}; from {from} on it is {fault:?}")
        })?;
    }
    Ok(answers.len() as u64)
}

/// The leaf entries of the pages.
fn entries(os: &Os, space: &AddressSpace, page: u64) -> Vec<Descriptor> {
    (0..PAGES)
        .filter_map(|index| os.leaf(space, VA + index * page))
        .map(|(_, leaf)| leaf)
        .collect()
}

/// An entry without what accesses change: access flag, and dirty state of hardware and software.
fn without_state(entry: Descriptor) -> u64 {
    const SOFTWARE_DIRTY: u64 = 1 << 55;
    entry.with_af(false).with_ap_read_only(false).0 & !SOFTWARE_DIRTY
}

fn marked(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 4;
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        let (refused, served) = os.run(bench, async move |os| {
            let mut others = os.several();
            let thread = others.remove(0);
            let space = os.space().await?;
            for other in &others {
                join(other, &space).await;
            }
            let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            for va in (0..PAGES).map(|index| VA + index * page) {
                access(&thread, store(va + 8, va)).await?;
            }
            let stop = Rc::new(Cell::new(false));
            let tasks: Vec<_> = others
                .iter()
                .map(|other| {
                    let task = hammer(other.cpu.clone(), page, Rc::clone(&stop));
                    os.handle.spawn_daemon(task)
                })
                .collect();
            let hints = &os.kernel.counters.hinting_faults;
            let (mut refused, mut served) = (0, 0);
            for round in 0..ROUNDS {
                os.handle.sleep(500 + 37 * round).await;
                let before = entries(&os, &space, page);
                record.clear();
                let count = thread.hint_scan(&space, VA, VA + PAGES * page).await?;
                let from = os.handle.now();
                expect("MM-28", count == PAGES, || format!("{count} pages marked"))?;
                os.handle.sleep(500).await;
                let gone = (from, os.handle.now());
                refused += all_came_to(&record, gone, Some(FaultKind::Translation))?;
                for (entry, before) in entries(&os, &space, page).iter().zip(&before) {
                    let granule = os.kernel.granule();
                    let kept =
                        entry.output_address(granule, 3) == before.output_address(granule, 3);
                    expect("MM-28", !entry.valid() && kept, || {
                        format!("{before:x?} was marked as {entry:x?}")
                    })?;
                }
                for (va, before) in (VA..).step_by(page as usize).zip(&before) {
                    let already = hints.get();
                    let answer = access(&thread, load(va + 8)).await?;
                    let once = answer.faults == [FaultKind::Translation];
                    expect("MM-28", once && hints.get() == already + 1, || {
                        format!("{va:#x} took {:?}", answer.faults)
                    })?;
                    answer.response.reads("MM-28", va)?;
                    let frame = before.output_address(os.kernel.granule(), 3);
                    answer.response.reaches("MM-28", frame + 8)?;
                }
                for (after, before) in entries(&os, &space, page).iter().zip(&before) {
                    let same = without_state(*after) == without_state(*before);
                    expect("MM-28", same && after.valid(), || {
                        format!("{before:x?} came back as {after:x?}")
                    })?;
                }
                sw_mm::Cpu::dsb(&thread.cpu, vmsa::DsbKind::ISH).await;
                let from = os.handle.now();
                os.handle.sleep(500).await;
                served += all_came_to(&record, (from, os.handle.now()), None)?;
            }
            stop.set(true);
            for task in tasks {
                task.await;
            }
            for other in others {
                other.exit().await?;
            }
            thread.exit().await?;
            os.all_freed()?;
            Ok((refused, served))
        })?;
        if bench.handle()?.cores() > 1 {
            expect("MM-28", refused > 0 && served > 0, || {
                format!("{refused} accesses faulted, {served} did not")
            })?;
        }
        bench.count("accesses to marked pages", refused);
        bench.count("accesses afterwards", served);
    }
    Ok(())
}

/// The access is one of hardware's translation faults, and ends in a signal.
async fn ends_in_a_signal(
    thread: &Thread<CoreHandle>,
    request: CoreRequest,
) -> Result<(), Failure> {
    let response = thread.cpu.access(request).await;
    let (va, fault) = (response.va, fault_of(&request, &response));
    let kind = fault.and_then(|fault| fault.fsc.kind());
    expect("MM-29", kind == Some(FaultKind::Translation), || {
        format!("{va:#x} answers {response}")
    })?;
    let handled = match fault {
        Some(fault) => thread.handle_fault(&fault).await,
        None => Ok(()),
    };
    let signal = Signal::Segv;
    expect(
        "MM-29",
        handled == Err(Error::Signal { signal, va }),
        || format!("the fault at {va:#x} came to {handled:?}"),
    )
}

fn refused(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let page = config.granule.bytes();
        os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            join(&other, &space).await;
            let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            let va = |index: u64| VA + index * page;
            for index in 0..PAGES {
                access(&thread, store(va(index) + 8, index)).await?;
                access(&other, load(va(index) + 8)).await?;
            }
            let before = entries(&os, &space, page);
            // Forbidden, and so not marked; marked, and then forbidden; only read; only marked.
            thread.mprotect(va(0), page, Protection::NONE).await?;
            thread.mprotect(va(2), page, Protection::READ).await?;
            let count = thread.hint_scan(&space, VA, va(PAGES)).await?;
            expect("MM-29", count == 3, || format!("{count} pages marked"))?;
            thread.mprotect(va(1), page, Protection::NONE).await?;
            for user in [&thread, &other] {
                for index in 0..2 {
                    ends_in_a_signal(user, load(va(index) + 8)).await?;
                    ends_in_a_signal(user, store(va(index) + 8, 9)).await?;
                }
                ends_in_a_signal(user, store(va(2) + 8, 9)).await?;
            }
            let hints = os.kernel.counters.hinting_faults.get();
            expect("MM-29", hints == 0, || format!("{hints} hinting faults"))?;
            let granule = os.kernel.granule();
            for (entry, before) in entries(&os, &space, page).iter().zip(&before) {
                let kept = entry.output_address(granule, 3) == before.output_address(granule, 3);
                expect("MM-29", !entry.valid() && kept, || {
                    format!("{before:x?} became {entry:x?}")
                })?;
            }
            // The right permission: that of the area.
            for index in [2, 3] {
                let answer = access(&other, load(va(index) + 8)).await?;
                answer.response.reads("MM-28", index)?;
                let leaf = os.leaf(&space, va(index)).map(|(_, leaf)| leaf);
                let writable = leaf.is_some_and(|leaf| leaf.dbm());
                expect("MM-28", writable == (index == 3), || {
                    format!("{:#x} came back as {leaf:x?}", va(index))
                })?;
            }
            let hints = os.kernel.counters.hinting_faults.get();
            expect("MM-28", hints == 2, || format!("{hints} hinting faults"))?;
            thread
                .mprotect(va(0), 3 * page, Protection::READ_WRITE)
                .await?;
            for index in 0..PAGES {
                let answer = access(&other, load(va(index) + 8)).await?;
                answer.response.reads("MM-29", index)?;
                access(&thread, store(va(index) + 8, index + 1)).await?;
            }
            let now = os.kernel.counters.hinting_faults.get();
            expect("MM-29", now == hints, || format!("{now} hinting faults"))?;
            other.exit().await?;
            thread.exit().await?;
            os.all_freed()
        })?;
    }
    Ok(())
}

/// The node that hardware has `pa` on, or the only one that the kernel knows.
pub(super) fn node(os: &Os, pa: u64) -> NodeId {
    let home = os.handle.home(pa).filter(|_| os.kernel.memory.nodes() > 1);
    NodeId(home.unwrap_or(0))
}

fn follows(bench: &mut Bench) -> Result<(), Failure> {
    bench.restart()?;
    bench.setup().memory_system = MemorySystem::Ddr4;
    let config = OsConfig::default();
    let os = Os::boot(bench, &config)?;
    let page = config.granule.bytes();
    let moves = os.run(bench, async move |os| {
        let (thread, other) = os.pair();
        let space = os.space().await?;
        join(&other, &space).await;
        let map = Map::anonymous(VA, page, Protection::READ_WRITE);
        thread.mmap(&map).await?;
        access(&thread, store(VA + 8, 1)).await?;
        let nodes = [&thread, &other].map(|user| os.kernel.node_of_core(user.core));
        let (mut place, mut moves, mut last) = (nodes[0], 0, None);
        for (turn, count) in (2..).zip([1, 1, 0, 1, 0, 0, 1, 1]) {
            let user = [&thread, &other][count];
            let marked = thread.hint_scan(&space, VA, VA + page).await?;
            expect("MM-28", marked == 1, || format!("{marked} pages marked"))?;
            let answer = access(user, load(VA + 8)).await?;
            answer.response.reads("MM-26", turn - 1)?;
            let again = last == Some(nodes[count]);
            last = Some(nodes[count]);
            if again && place != nodes[count] {
                (place, moves) = (nodes[count], moves + 1);
            }
            // Both reach the same frame, on the node where it is to be.
            for user in [&thread, &other] {
                let stored = access(user, store(VA + 8, turn)).await?.response;
                let home = node(&os, stored.pa);
                expect("MM-26", home == place, || {
                    format!("the page is on {home:?}, not on {place:?}")
                })?;
            }
        }
        let counted = os.kernel.counters.migrations.get();
        expect("MM-26", counted == moves, || {
            format!("it moved {counted} times, not {moves}")
        })?;
        other.exit().await?;
        thread.exit().await?;
        os.all_freed()?;
        Ok(moves)
    })?;
    bench.count("moves", moves);
    Ok(())
}
