// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages of slow memory that are found in use and move to fast memory.

use cosim::dut::memory::MemorySystem;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use sw_mm::hinting::{Config, Mode};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{Map, Protection};
use sw_mm::page::{NodeId, Tier};
use sw_mm::policy;

use super::access::{access, load, store};
use super::hinting::node;
use super::os::{Os, OsConfig, join};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "mm-promotion",
    purpose: "pages of slow memory that are used soon move to fast memory as long as it has pages to spare",
    requirements: &["MM-26", "MM-37"],
    run: promotion,
}];

const VA: u64 = 0x7300_0000;
/// Pages of fast memory that promotion leaves alone.
const SPARED: u64 = 2000;

/// The first node is fast, the last one slow, if there are two.
fn tiers(config: &mut KernelConfig) {
    config.hinting = Config {
        mode: Mode::Tiering,
        hot_threshold: 400_000,
        ..Config::default()
    };
    if let [fast, .., slow] = &mut config.nodes[..] {
        (fast.tier, fast.watermarks.high) = (Tier::Top, SPARED);
        slow.tier = Tier::Slow;
    }
    config.core_nodes.fill(NodeId(0));
}

fn promotion(bench: &mut Bench) -> Result<(), Failure> {
    const SPARE: u64 = 3;
    const SLOW: u64 = 6;
    bench.restart()?;
    bench.setup().memory_system = MemorySystem::Ddr4;
    let config = OsConfig {
        adjust: tiers,
        ..OsConfig::default()
    };
    let os = Os::boot(bench, &config)?;
    let page = config.granule.bytes();
    let promoted = os.run(bench, async move |os| {
        let memory = &os.kernel.memory;
        let (thread, other) = os.pair();
        let space = os.space().await?;
        join(&other, &space).await;
        let slow = NodeId(memory.nodes() as u8 - 1);
        let va = |index: u64| VA + index * page;
        let filler = VA + (1 << 21);
        for (at, pages) in [(VA, SLOW), (filler, 64)] {
            let map = Map::anonymous(at, pages * page, Protection::READ_WRITE);
            thread.mmap(&map).await?;
        }
        let there = policy::Policy::new(policy::Mode::Preferred(slow));
        thread.mbind(VA, SLOW * page, Some(there)).await?;
        for index in 0..SLOW {
            access(&thread, store(va(index) + 8, index)).await?;
        }
        thread.mbind(VA, SLOW * page, None).await?;
        if memory.nodes() == 1 {
            let marked = thread.hint_scan(&space, VA, va(SLOW)).await?;
            expect("MM-37", marked == 0, || format!("{marked} pages marked"))?;
            other.exit().await?;
            thread.exit().await?;
            os.all_freed()?;
            return Ok(0);
        }
        let fast = NodeId(0);
        let mut filled = 0;
        while memory.free_pages(fast) > SPARED + SPARE + 1 {
            access(&thread, store(filler + filled * page, 1)).await?;
            filled += 1;
        }
        expect("MM-37", filled > 0, || "fast memory was full before".into())?;
        // Where the page at `index` is after an access, which no fault but one of hinting comes before.
        let touch = async |index: u64| {
            let answer = access(&thread, load(va(index) + 8)).await?;
            answer.response.reads("MM-26", index)?;
            let free = memory.free_pages(fast);
            expect("MM-37", free > SPARED, || format!("{free} pages left"))?;
            Ok::<_, Failure>(node(&os, answer.response.pa))
        };
        let marked = thread.hint_scan(&space, VA, va(SLOW)).await?;
        expect("MM-37", marked == SLOW, || format!("{marked} pages marked"))?;
        for index in 0..SLOW {
            // The access that faulted is made again after the move.
            let expected = if index < SPARE { fast } else { slow };
            let came = touch(index).await?;
            expect("MM-37", came == expected, || {
                format!("page {index} is on {came:?}, not on {expected:?}")
            })?;
        }
        let promotions = &os.kernel.counters.promotions;
        let count = promotions.get();
        expect("MM-37", count == SPARE, || format!("{count} promotions"))?;
        // Room again: one that is used late stays, one that is used soon moves.
        thread.munmap(filler, filled * page).await?;
        let marked = thread.hint_scan(&space, VA, va(SLOW)).await?;
        expect("MM-37", marked == SLOW - SPARE, || {
            format!("{marked} pages marked again")
        })?;
        let soon = touch(SPARE).await?;
        expect("MM-37", soon == fast, || {
            format!("a hot page is on {soon:?}")
        })?;
        os.handle.sleep(400_000).await;
        let late = touch(SPARE + 1).await?;
        expect("MM-37", late == slow, || {
            format!("a cold page is on {late:?}")
        })?;
        let promoted = promotions.get();
        other.exit().await?;
        thread.exit().await?;
        os.all_freed()?;
        Ok(promoted)
    })?;
    bench.count("promotions", promoted);
    Ok(())
}
