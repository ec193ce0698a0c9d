// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Memory that is not to be had: each allocation of a run in turn, and all of one node.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cosim::dut::memory::MemorySystem;
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::CoreHandle;
use sw_mm::file::File;
use sw_mm::mm::{AddressSpace, Destination, Error, Map, Protection, Remap};
use sw_mm::page::{NodeId, NodeMask};
use sw_mm::policy::{Mode, Policy};
use sw_mm::thread::Thread;

use super::access::{access, load, store};
use super::os::{Os, OsConfig, drop_cache, join};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-out-of-memory",
        purpose: "each allocation of a run fails once: the call that needed it fails and is done when asked for again",
        requirements: &["MM-03", "MM-30"],
        run: each_in_turn,
    },
    Testbench {
        name: "mm-node-full",
        purpose: "memory bound to a node that is full is refused, and nothing else; it goes on once there is some",
        requirements: &["MM-01", "MM-03", "MM-30"],
        run: node_full,
    },
];

const VA: u64 = 0x7000_0000;
const PAGES: u64 = 20;

/// The program, told which words it stored.
struct Program {
    os: Rc<Os>,
    thread: Rc<Thread<CoreHandle>>,
    page: u64,
    words: RefCell<BTreeMap<u64, u64>>,
    /// Calls and accesses refused for want of memory.
    refused: Cell<u64>,
}

impl Program {
    /// Does `call`, and once more if memory was wanting; the kernel's books are right in between.
    async fn insist<T>(&self, call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Failure> {
        match call().await {
            Err(Error::OutOfMemory) => {
                self.refused.set(self.refused.get() + 1);
                // With another core at work there is no quiet point.
                if self.os.threads.len() == 1 {
                    self.os.audit()?;
                }
                Ok(call().await?)
            }
            other => Ok(other?),
        }
    }

    async fn map(&self, page: u64, pages: u64) -> Result<(), Failure> {
        let (va, bytes) = (VA + page * self.page, pages * self.page);
        let map = Map::anonymous(va, bytes, Protection::READ_WRITE);
        self.insist(async || self.thread.mmap(&map).await).await
    }

    async fn store(&self, page: u64, value: u64) -> Result<(), Failure> {
        let va = VA + page * self.page;
        self.insist(async || access(&self.thread, store(va, value)).await)
            .await?;
        self.words.borrow_mut().insert(page, value);
        Ok(())
    }

    async fn expect_word(&self, page: u64, value: u64) -> Result<(), Failure> {
        let va = VA + page * self.page;
        let answer = self
            .insist(async || access(&self.thread, load(va)).await)
            .await?;
        let found = answer.response.data;
        expect("MM-08", found == value, || {
            format!("page {page} holds {found}, not {value}")
        })
    }

    async fn expect_words(&self) -> Result<(), Failure> {
        let words = self.words.borrow().clone();
        for (page, value) in words {
            self.expect_word(page, value).await?;
        }
        Ok(())
    }

    /// Takes memory for whatever the kernel takes it for: pages, tables, copies, children.
    async fn run(&self, space: &Rc<AddressSpace>) -> Result<(), Failure> {
        // A table of its own, far from the first.
        let far = (1 << 32) / self.page;
        let file = File::new(1, 2);
        let shared = Map {
            shared: true,
            file: Some((Rc::clone(&file), 0)),
            ..Map::anonymous(VA + (2 << 32), 2 * self.page, Protection::READ_WRITE)
        };
        self.map(1, PAGES - 1).await?;
        self.map(far, 2).await?;
        self.insist(async || self.thread.mmap(&shared).await)
            .await?;
        self.expect_word(3, 0).await?;
        for (value, page) in [3, 4, 9, far, 2 * far].into_iter().enumerate() {
            self.store(page, value as u64 + 100).await?;
        }
        let child = self.insist(async || self.thread.fork().await).await?;
        self.store(3, 200).await?;
        self.thread.switch_to(&child).await;
        self.expect_word(3, 100).await?;
        let parent = self.words.borrow().clone();
        self.store(4, 300).await?;
        self.store(far, 301).await?;
        self.thread.exit().await?;
        self.words.replace(parent);
        self.thread.switch_to(space).await;
        self.expect_words().await?;
        let moved = Remap {
            va: VA + 8 * self.page,
            bytes: 4 * self.page,
            new_bytes: 4 * self.page,
            to: Destination::Fixed(VA + (3 << 32)),
        };
        self.insist(async || self.thread.mremap(&moved).await)
            .await?;
        let value = self.words.borrow_mut().remove(&9).unwrap_or_default();
        self.words.borrow_mut().insert(3 * far + 1, value);
        self.insist(async || {
            let (va, bytes) = (VA + 4 * self.page, 2 * self.page);
            self.thread.mprotect(va, bytes, Protection::READ).await
        })
        .await?;
        self.expect_words().await?;
        self.thread.exit().await?;
        drop_cache(&self.os.kernel, &file);
        Ok(())
    }
}

/// Stores to a page of its own until `over`, then checks the last. Returns how often it was refused.
async fn bystander(
    thread: Rc<Thread<CoreHandle>>,
    space: Rc<AddressSpace>,
    over: Rc<Cell<bool>>,
) -> Result<u64, Failure> {
    join(&thread, &space).await;
    let (mut refused, mut value) = (0, 0);
    while !over.get() {
        match access(&thread, store(VA, value + 1)).await {
            Ok(_) => value += 1,
            Err(Error::OutOfMemory) => refused += 1,
            Err(error) => return Err(error.into()),
        }
        let found = access(&thread, load(VA)).await?.response.data;
        expect("MM-30", found == value, || {
            format!("the other core stored {value} last, and loads {found}")
        })?;
    }
    thread.exit().await?;
    Ok(refused)
}

fn each_in_turn(bench: &mut Bench) -> Result<(), Failure> {
    // Single pages; large folios, folded.
    for orders in [vec![], vec![4]] {
        bench.restart()?;
        let config = OsConfig {
            anonymous_orders: orders,
            pages: 256,
            ..OsConfig::default()
        };
        let os = Os::boot(bench, &config)?;
        let (attempts, refused) = os.run(bench, async move |os| {
            let (mut fail, mut refused) = (0, 0);
            loop {
                let memory = &os.kernel.memory;
                memory.fail_attempt(None);
                let space = os.space().await?;
                let page = Map::anonymous(VA, config.granule.bytes(), Protection::READ_WRITE);
                os.threads[0].mmap(&page).await?;
                access(&os.threads[0], store(VA, 0)).await?;
                let program = Program {
                    os: Rc::clone(&os),
                    thread: Rc::clone(&os.threads[0]),
                    page: config.granule.bytes(),
                    words: RefCell::default(),
                    refused: Cell::new(0),
                };
                let over = Rc::new(Cell::new(false));
                let other = os.threads.get(1).map(|thread| {
                    let running = bystander(Rc::clone(thread), Rc::clone(&space), Rc::clone(&over));
                    os.handle.spawn(running)
                });
                let before = memory.attempts();
                memory.fail_attempt(Some(fail));
                let ran = program.run(&space).await;
                over.set(true);
                if let Some(other) = other {
                    refused += other.await?;
                }
                ran.map_err(|failure| Failure {
                    what: format!("without allocation {fail}: {}", failure.what),
                    ..failure
                })?;
                refused += program.refused.get();
                os.all_freed()?;
                fail += 1;
                if fail > memory.attempts() - before {
                    return Ok((fail - 1, refused));
                }
            }
        })?;
        // The others were for large folios, which nothing needs.
        expect("MM-30", attempts >= 20 && refused >= 15, || {
            format!("{refused} of {attempts} failed allocations were seen outside")
        })?;
        bench.count("allocations that failed", attempts);
    }
    Ok(())
}

fn node_full(bench: &mut Bench) -> Result<(), Failure> {
    bench.restart()?;
    if bench.handle()?.info().nodes > 1 {
        bench.restart()?;
        bench.setup().memory_system = MemorySystem::Ddr4;
    }
    let config = OsConfig {
        pages: 64,
        // Nothing can be put elsewhere.
        adjust: |kernel| kernel.swap_slots = 0,
        ..OsConfig::default()
    };
    let os = Os::boot(bench, &config)?;
    os.run(bench, async move |os| {
        let thread = &os.threads[0];
        let memory = &os.kernel.memory;
        for node in (0..memory.nodes() as u8).map(NodeId) {
            let _space = os.space().await?;
            let page = config.granule.bytes();
            let bound = Policy::new(Mode::Bind(NodeMask::of(node)));
            let pages = 2 * config.pages;
            thread
                .mmap(&Map::anonymous(VA, pages * page, Protection::READ_WRITE))
                .await?;
            // Tables come from the node of the core.
            access(thread, load(VA)).await?;
            thread.mbind(VA, pages * page, Some(bound)).await?;
            let others = || -> u64 {
                let nodes = (0..memory.nodes() as u8).map(NodeId);
                let others = nodes.filter(|other| *other != node);
                others.map(|other| memory.free_pages(other)).sum()
            };
            let others_before = others();
            let mut full = 0;
            while full < pages {
                match access(thread, store(VA + full * page, full + 1)).await {
                    Ok(answer) => {
                        let home = os.handle.home(answer.response.pa);
                        expect("MM-01", memory.nodes() == 1 || home == Some(node.0), || {
                            format!("page {full}, bound to node {node}, is on {home:?}")
                        })?;
                        full += 1;
                    }
                    Err(Error::OutOfMemory) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            expect("MM-01", full > 16 && full < pages, || {
                format!("{full} pages of node {node} were had")
            })?;
            expect("MM-01", others() == others_before, || {
                format!("{others_before} pages free elsewhere, {} now", others())
            })?;
            os.audit()?;
            let refused = access(thread, store(VA + full * page, 7)).await;
            expect("MM-01", matches!(refused, Err(Error::OutOfMemory)), || {
                format!("with node {node} full, a store came to {refused:?}")
            })?;
            thread.munmap(VA, 4 * page).await?;
            access(thread, store(VA + full * page, full + 1)).await?;
            for index in 4..=full {
                let found = access(thread, load(VA + index * page)).await?.response.data;
                expect("MM-30", found == index + 1, || {
                    format!("page {index} holds {found}")
                })?;
            }
            thread.exit().await?;
            os.all_freed()?;
        }
        Ok(())
    })
}
