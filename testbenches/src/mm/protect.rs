// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Rights that are taken away while other cores use them, and edits of areas that concern no page.

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, CoreRequest, Op};
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use sw_mm::mm::{AddressSpace, Map, Protection};
use sw_mm::thread::Thread;
use vmsa::{FaultKind, Granule};

use super::access::{access, load, store};
use super::os::{Os, OsConfig, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-write-protected",
        purpose: "stores of other cores while mprotect takes write permission away: none gets in once it returns",
        requirements: &["MM-14"],
        run: write_protected,
    },
    Testbench {
        name: "mm-unmapped",
        purpose: "loads and stores of other cores while munmap takes the pages away: all fault once it returns",
        requirements: &["MM-15"],
        run: unmapped,
    },
    Testbench {
        name: "mm-area-edits",
        purpose: "areas that split and merge where no page is mapped: no descriptor is written",
        requirements: &["MM-31"],
        run: area_edits,
    },
];

const VA: u64 = 0x6000_0000;
const PAGES: u64 = 4;

/// Accesses that nobody handles the faults of, until told to stop.
async fn hammer(
    core: CoreHandle,
    page: u64,
    loads: bool,
    stop: Rc<Cell<bool>>,
) -> Result<u64, Failure> {
    let mut count = 0;
    while !stop.get() {
        let va = VA + count % PAGES * page + 8;
        let request = match loads && count % 3 == 0 {
            true => load(va),
            false => store(va, count),
        };
        core.access(request).await;
        count += 1;
    }
    Ok(count)
}

struct Round {
    /// Cycles from which on the right is gone, and until which it is.
    gone: (u64, u64),
    fault: FaultKind,
}

/// What user accesses asked for in the time of `round` came to, and stores that got in.
fn judge(
    id: &str,
    record: &Record,
    round: &Round,
    judged: impl Fn(&CoreRequest) -> bool,
) -> Result<u64, Failure> {
    let (from, to) = round.gone;
    let answers = record.collect(|kind| match kind {
        EventKind::Response {
            core,
            request,
            issued_at,
            response,
        } if request.el == vmsa::El::El0
            && judged(request)
            && (from + 1..to).contains(issued_at) =>
        {
            Some((*core, request.va, *response))
        }
        _ => None,
    });
    for (cycle, (core, va, response)) in &answers {
        let kind = response.fault.and_then(|fsc| fsc.kind());
        expect(id, kind == Some(round.fault), || {
            format!("core {core} got at {cycle} for {va:#x}: {response}; it was over at {from}")
        })?;
    }
    Ok(answers.len() as u64)
}

/// Stores of other cores to the frames in `frames` that became visible in the time of `round`.
fn none_visible(
    id: &str,
    record: &Record,
    round: &Round,
    frames: &[u64],
    page: u64,
) -> Result<(), Failure> {
    let (from, to) = round.gone;
    let commits = record.collect(|kind| match kind {
        EventKind::Commit {
            kind: CommitKind::Store,
            source,
            address,
            ..
        } if address % page == 8 && frames.contains(&(address - 8)) => Some((*source, *address)),
        _ => None,
    });
    let late = commits
        .iter()
        .find(|(cycle, _)| (from + 1..to).contains(cycle));
    expect(id, late.is_none(), || {
        format!("it was over at {from}, then {late:x?} was written")
    })
}

fn frames(os: &Os, space: &AddressSpace, page: u64) -> Vec<u64> {
    (0..PAGES)
        .filter_map(|index| os.leaf(space, VA + index * page))
        .map(|(_, leaf)| leaf.output_address(os.kernel.granule(), 3))
        .collect()
}

/// A thread that edits, and others that keep to accesses.
struct Scene {
    thread: Rc<Thread<CoreHandle>>,
    others: Vec<Rc<Thread<CoreHandle>>>,
    space: Rc<AddressSpace>,
    stop: Rc<Cell<bool>>,
}

impl Scene {
    async fn new(os: &Os) -> Result<Self, Failure> {
        let mut others = os.several();
        let thread = others.remove(0);
        let space = os.space().await?;
        for other in &others {
            join(other, &space).await;
        }
        let stop = Rc::default();
        Ok(Self {
            thread,
            others,
            space,
            stop,
        })
    }

    fn hammer(
        &self,
        os: &Os,
        page: u64,
        loads: bool,
    ) -> Vec<cosim::sim::JoinHandle<Result<u64, Failure>>> {
        let one = |other: &Rc<Thread<CoreHandle>>| {
            let core = other.cpu.clone();
            os.handle
                .spawn_daemon(hammer(core, page, loads, Rc::clone(&self.stop)))
        };
        self.others.iter().map(one).collect()
    }

    async fn end(self, os: &Os) -> Result<(), Failure> {
        for other in self.others {
            other.exit().await?;
        }
        self.thread.exit().await?;
        os.all_freed()
    }
}

fn write_protected(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 8;
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        let refused = os.run(bench, async move |os| {
            let scene = Scene::new(&os).await?;
            let thread = &scene.thread;
            let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            for index in 0..PAGES {
                access(thread, store(VA + index * page, 1)).await?;
            }
            let frames = frames(&os, &scene.space, page);
            let tasks = scene.hammer(&os, page, false);
            let mut refused = 0;
            for round in 0..ROUNDS {
                os.handle.sleep(500 + 37 * round).await;
                record.clear();
                thread.mprotect(VA, PAGES * page, Protection::READ).await?;
                let from = os.handle.now();
                os.handle.sleep(500).await;
                let round = Round {
                    gone: (from, os.handle.now()),
                    fault: FaultKind::Permission,
                };
                refused += judge("MM-14", &record, &round, |_| true)?;
                none_visible("MM-14", &record, &round, &frames, page)?;
                thread
                    .mprotect(VA, PAGES * page, Protection::READ_WRITE)
                    .await?;
            }
            scene.stop.set(true);
            for task in tasks {
                task.await?;
            }
            scene.end(&os).await?;
            Ok(refused)
        })?;
        expect("MM-14", refused > 0, || "nobody stored meanwhile".into())?;
        bench.count("stores refused", refused);
    }
    Ok(())
}

fn unmapped(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        let rounds = if config.granule == Granule::K4 { 6 } else { 1 };
        let refused = os.run(bench, async move |os| {
            let scene = Scene::new(&os).await?;
            let thread = &scene.thread;
            let tasks = scene.hammer(&os, page, true);
            let mut refused = 0;
            for round in 0..rounds {
                let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
                thread.mmap(&map).await?;
                for index in 0..PAGES {
                    access(thread, store(VA + index * page, 1)).await?;
                }
                let frames = frames(&os, &scene.space, page);
                os.handle.sleep(500 + 37 * round).await;
                record.clear();
                thread.munmap(VA, PAGES * page).await?;
                let from = os.handle.now();
                os.handle.sleep(500).await;
                let round = Round {
                    gone: (from, os.handle.now()),
                    fault: FaultKind::Translation,
                };
                refused += judge("MM-15", &record, &round, |request| request.op != Op::Fetch)?;
                none_visible("MM-15", &record, &round, &frames, page)?;
            }
            scene.stop.set(true);
            for task in tasks {
                task.await?;
            }
            scene.end(&os).await?;
            Ok(refused)
        })?;
        expect("MM-15", refused > 0, || {
            "nobody accessed it meanwhile".into()
        })?;
        bench.count("accesses refused", refused);
    }
    Ok(())
}

fn area_edits(bench: &mut Bench) -> Result<(), Failure> {
    const MANY: u64 = 16;
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let page = config.granule.bytes();
        os.run(bench, async move |os| {
            let thread = &os.threads[0];
            let space = os.space().await?;
            let map = Map::anonymous(VA, MANY * page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            let touched = [0, 1, 2, 9, 14, 15].map(|index| VA + index * page);
            for va in touched {
                access(thread, store(va, va)).await?;
            }
            let entries = |os: &Os| touched.map(|va| os.leaf(&space, va));
            let before = entries(&os);
            let tables: Vec<u64> = before
                .iter()
                .flatten()
                .map(|(slot, _)| slot & !(page - 1))
                .collect();
            record.clear();
            let mut areas = Vec::new();
            // Holes of the mapping: two splits, then more of them, then merges.
            let edits = [
                (3, 2, Protection::READ),
                (5, 3, Protection::NONE),
                (10, 4, Protection::READ),
                (4, 3, Protection::READ_EXECUTE),
                (3, 5, Protection::READ_WRITE),
                (10, 4, Protection::READ_WRITE),
            ];
            for (index, count, protection) in edits {
                thread
                    .mprotect(VA + index * page, count * page, protection)
                    .await?;
                areas.push(space.areas().len());
            }
            expect("MM-31", areas == [3, 4, 6, 7, 3, 1], || {
                format!("areas after each edit: {areas:?}")
            })?;
            thread.munmap(VA + 6 * page, 2 * page).await?;
            let hole = Map::anonymous(VA + 6 * page, 2 * page, Protection::READ_WRITE);
            thread.mmap(&hole).await?;
            expect("MM-31", space.areas().len() == 1, || {
                format!("{} areas", space.areas().len())
            })?;
            let after = entries(&os);
            expect("MM-31", before == after, || {
                format!("{before:x?} became {after:x?}")
            })?;
            let written: Vec<_> = record
                .commits()
                .into_iter()
                .filter(|(_, (_, address))| tables.contains(&(address & !(page - 1))))
                .collect();
            expect("MM-31", written.is_empty(), || {
                format!("descriptors written: {written:x?}")
            })?;
            for va in touched {
                let answer = access(thread, load(va)).await?;
                let met = answer.faults.is_empty() && answer.response.data == va;
                expect("MM-31", met, || format!("{va:#x} answers {answer:?}"))?;
            }
            thread.exit().await?;
            os.all_freed()
        })?;
    }
    Ok(())
}
