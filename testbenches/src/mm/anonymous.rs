// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Private memory that nobody has touched.

use cosim::regress::{Bench, Expect, Failure, Testbench};
use sw_mm::mm::{Map, Protection};
use vmsa::FaultKind;

use super::access::{access, load, store};
use super::os::{Os, OsConfig};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "mm-zero-page",
    purpose: "a read of untouched memory sees one page of zeros read-only, the first store a cleared page of its own",
    requirements: &["MM-07", "MM-30"],
    run: zero_page,
}];

const VA: u64 = 0x4000_0000;
const PAGES: u64 = 2;

fn zero_page(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let page = config.granule.bytes();
        let zero = os.kernel.pa(os.kernel.zero_page());
        os.run(bench, async move |os| {
            let thread = &os.threads[0];
            let space = os.space().await?;
            let map = Map::anonymous(VA, PAGES * page, Protection::READ_WRITE);
            // Twice: what the first round wrote lies in the frames of the second.
            for round in 1..=2 {
                thread.mmap(&map).await?;
                for va in (0..PAGES).map(|index| VA + index * page) {
                    let read = access(thread, load(va + 8)).await?;
                    read.response.reads("MM-07", 0)?;
                    read.response.reaches("MM-07", zero + 8)?;
                    expect("MM-07", read.faults == [FaultKind::Translation], || {
                        format!("a first load of {va:#x} took {:?}", read.faults)
                    })?;
                    let leaf = os.leaf(&space, va).map(|(_, leaf)| leaf);
                    let read_only = leaf.is_some_and(|leaf| leaf.ap_read_only() && !leaf.dbm());
                    expect("MM-07", read_only, || {
                        format!("{va:#x} is mapped by {leaf:?}")
                    })?;
                    let written = access(thread, store(va + 8, round << 32 | va)).await?;
                    expect("MM-07", written.faults == [FaultKind::Permission], || {
                        format!("a first store to {va:#x} took {:?}", written.faults)
                    })?;
                    let own = written.response.pa - 8;
                    expect("MM-07", own != zero, || "it went to the zero page".into())?;
                    for at in (0..page).step_by(8).filter(|&at| at != 8) {
                        let word = os.handle.peek(own + at);
                        expect("MM-07", word == 0, || {
                            format!("the page of {va:#x} holds {word:#x} at {at:#x}")
                        })?;
                    }
                    expect("MM-07", os.handle.peek(zero + 8) == 0, || {
                        "the zero page was written".into()
                    })?;
                    access(thread, load(va + 8))
                        .await?
                        .response
                        .reads("MM-07", round << 32 | va)?;
                }
                thread.munmap(VA, PAGES * page).await?;
            }
            thread.exit().await?;
            os.all_freed()
        })?;
    }
    Ok(())
}
