// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where frames come from, and that all go back.

use std::rc::Rc;

use cosim::dut::memory::MemorySystem;
use cosim::dut::node_counter::{NodeCounter, Traffic};
use cosim::regress::{Bench, Failure, Testbench};
use rand::Rng;
use sw_mm::file::File;
use sw_mm::mm::{Map, Protection};
use sw_mm::page::{NodeId, Request};
use sw_mm::thread::Thread;
use sw_mm::{AccessSize, Cpu, Privilege};
use vmsa::Granule;

use super::access::{access, load, store};
use super::os::{Os, OsConfig, drop_cache};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-node-memory",
        purpose: "a frame asked for of one node is served by that node, and a first touch takes one of its own node",
        requirements: &["MM-01", "MM-30"],
        run: nodes,
    },
    Testbench {
        name: "mm-exit",
        purpose: "a family of address spaces exits in any order while others go on: every frame of every node is back",
        requirements: &["MM-02", "MM-05", "MM-06", "MM-30"],
        run: exit,
    },
];

const VA: u64 = 0x7000_0000;

fn nodes(bench: &mut Bench) -> Result<(), Failure> {
    bench.restart()?;
    bench.setup().memory_system = MemorySystem::Ddr4;
    let config = OsConfig {
        pages: 64,
        ..OsConfig::default()
    };
    let os = Os::boot(bench, &config)?;
    os.run(bench, async move |os| {
        let home = |pa| os.handle.home(pa);
        let memory = &os.kernel.memory;
        for node in (0..memory.nodes() as u8).map(NodeId) {
            let mut taken = Vec::new();
            while let Some(block) = memory.allocate(&Request::new(1, node).this_node()) {
                let pa = os.kernel.pa(block.pfn);
                expect("MM-01", home(pa) == Some(node.0), || {
                    format!(
                        "a frame of node {node} at {pa:#x} is at home on {:?}",
                        home(pa)
                    )
                })?;
                taken.push(block);
            }
            expect(
                "MM-01",
                memory.free_pages(node) < 2 && taken.len() > 8,
                || format!("{} blocks of node {node}", taken.len()),
            )?;
            // Each word goes to the node, from whichever core.
            for (thread, block) in os.threads.iter().zip(&taken) {
                let counter = NodeCounter::Of(thread.core, Traffic::Write).index();
                let before = os.handle.node_counter(node.0, counter);
                let va = os.kernel.virt(os.kernel.pa(block.pfn))?;
                let (size, level) = (AccessSize::Double, Privilege::Privileged);
                thread
                    .cpu
                    .store(va, size, level, 7)
                    .await
                    .map_err(sw_mm::mm::Error::from)?;
                let after = os.handle.node_counter(node.0, counter);
                expect("MM-01", after > before, || {
                    format!("node {node} counts {before}, then {after}")
                })?;
            }
            for block in taken {
                memory
                    .free(block.pfn, block.order)
                    .map_err(|error| error.to_string())?;
            }
        }
        for thread in &os.threads {
            let space = sw_mm::mm::AddressSpace::new(thread).await?;
            thread.switch_to(&space).await;
            let map = Map::anonymous(VA, 4096, Protection::READ_WRITE);
            thread.mmap(&map).await?;
            let pa = access(thread, store(VA, 1)).await?.response.pa;
            let own = os.kernel.node_of_core(thread.core);
            expect("MM-01", home(pa) == Some(own.0), || {
                format!("core {} of node {own} touched first {pa:#x}", thread.core)
            })?;
            thread.exit().await?;
        }
        os.all_freed()
    })
}

fn exit(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        if bench.handle()?.info().nodes > 1 {
            bench.restart()?;
            bench.setup().memory_system = MemorySystem::Ddr4;
        }
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let random: Vec<_> = (0..os.threads.len())
            .map(|core| bench.rng(&format!("touches {core}")))
            .collect();
        let page = granule.bytes();
        let pages = if granule == Granule::K4 { 6 } else { 2 };
        let children = if granule == Granule::K4 { 6 } else { 2 };
        let spaces = os.run(bench, async move |os| {
            let thread = &os.threads[0];
            let first = os.space().await?;
            let file = File::new(1, pages);
            let shared = Map {
                shared: true,
                file: Some((Rc::clone(&file), 0)),
                ..Map::anonymous(VA + (1 << 32), pages * page, Protection::READ_WRITE)
            };
            thread.mmap(&shared).await?;
            thread
                .mmap(&Map::anonymous(VA, pages * page, Protection::READ_WRITE))
                .await?;
            for index in 0..pages {
                access(thread, store(VA + index * page, index)).await?;
            }
            // Each core has a family of its own, which begins with a child of the first.
            let mut families = Vec::new();
            for rng in random {
                families.push((rng, vec![thread.fork().await?]));
            }
            let mut running = Vec::new();
            for (core, (mut rng, mut family)) in families.into_iter().enumerate() {
                let thread = Rc::clone(&os.threads[core]);
                running.push(os.handle.spawn(async move {
                    let mut count = 1;
                    while !family.is_empty() {
                        let member = rng.random_range(0..family.len());
                        thread.switch_to(&family[member]).await;
                        for _ in 0..4 {
                            let base = VA + (rng.random_range(0..2) << 32);
                            let va =
                                base + rng.random_range(0..pages) * page + 8 * (core as u64 + 1);
                            match rng.random() {
                                true => access(&thread, store(va, count)).await?,
                                false => access(&thread, load(va)).await?,
                            };
                        }
                        if count < children && rng.random_bool(0.6) {
                            family.push(thread.fork().await?);
                            count += 1;
                        } else if count >= children || family.len() > 1 {
                            family.swap_remove(member);
                            thread.exit().await?;
                        }
                    }
                    Ok::<_, Failure>(count)
                }));
            }
            let mut spaces = 1;
            thread_exits(&os, &first).await?;
            for task in running {
                spaces += task.await?;
            }
            drop_cache(&os.kernel, &file);
            os.all_freed()?;
            Ok(spaces)
        })?;
        bench.count("address spaces", spaces);
    }
    Ok(())
}

/// The first address space goes while its children run. No core runs it: each has a child by now.
async fn thread_exits(os: &Os, first: &Rc<sw_mm::mm::AddressSpace>) -> Result<(), Failure> {
    let runs = |os: &Os| {
        let ran = |thread: &Rc<sw_mm::thread::Thread<cosim::sim::CoreHandle>>| {
            thread
                .space()
                .is_some_and(|space| space.number() == first.number())
        };
        os.threads.iter().any(ran)
    };
    while runs(os) {
        os.handle.sleep(50).await;
    }
    // A thread of its own: what it holds is not what a worker on the same core does.
    let thread = Thread::new(&os.kernel, os.threads[0].cpu.clone(), 0);
    thread.exit_space(first).await?;
    Ok(())
}
