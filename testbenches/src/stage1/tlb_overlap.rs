// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Several entries for one VA: no conflict abort, exactly one of them serves, and a TLBI ends it
//! (sections 9 and 10).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Granule, Tlbi, TlbiScope};

use super::contiguous::{invalidate, invalidate_all};
use super::regime::{DEVICE, Regime, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlb-overlap",
        purpose: "a page and a block cached for one VA: either one serves, whole, and no abort is raised",
        requirements: &["TLB-10", "TLB-11", "TLB-12"],
        run: pages_and_blocks,
    },
    Testbench {
        name: "tlb-overlap-asid",
        purpose: "overlapping entries of several ASIDs and global ones never serve a foreign ASID",
        requirements: &["TLB-11", "TLB-13"],
        run: global_and_private,
    },
    Testbench {
        name: "tlb-fill-order",
        purpose: "filling the same translation again, or in another order, changes nothing",
        requirements: &["TLB-27"],
        run: order_of_fills,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x4020_0000;
const PAGES: u64 = 0x8000_0000;
const BLOCK: u64 = 0x9000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// A block that may stand in place of a table of pages which map the same VAs elsewhere, read-only
/// and as another memory type.
struct Rivals {
    slot: u64,
    table: u64,
    block: u64,
    regime: Regime,
}

fn rivals(bench: &mut Bench) -> Result<Rivals, Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..512 {
        tree.map(
            VA + (page << 12),
            3,
            user_rw(Granule::K4, 3, PAGES + (page << 12)),
        );
    }
    let slot = tree.slot(VA, 2);
    tree.load(bench)?;
    let block = user_rw(Granule::K4, 2, BLOCK)
        .with_attr_index(DEVICE)
        .with_ap_read_only(true)
        .0;
    Ok(Rivals {
        slot,
        table: tree.word(slot),
        block,
        regime: Regime::default().with(&tree, 1),
    })
}

/// Loads and stores at `offset`: both give the page's translation, or the block's.
async fn one_of_both(core: &CoreHandle, id: &str, offset: u64) -> Result<(), Failure> {
    let read = core.access(load(VA + offset)).await;
    let seen = (read.pa, read.attr, read.sh, read.fault);
    let page = seen == (PAGES + offset, 0xff, 3, None);
    let block = seen == (BLOCK + offset, 0x04, 2, None);
    expect(id, page || block, || {
        format!("the load at {:#x} gave {read}", VA + offset)
    })?;
    let write = core
        .access(CoreRequest::store(VA + offset, 3, El::El0, offset))
        .await;
    let page = write.fault.is_none() && write.pa == PAGES + offset;
    let block = write.fault.is_some_and(|fsc| fsc.0 == 0x0e);
    expect(id, page || block, || {
        format!("the store at {:#x} gave {write}", VA + offset)
    })
}

fn pages_and_blocks(bench: &mut Bench) -> Result<(), Failure> {
    let Rivals {
        slot,
        table,
        block,
        regime,
    } = rivals(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        regime.enter(&core).await;
        let scope = TlbiScope::Local;
        for (round, operation) in [
            Tlbi::vmalle1(scope),
            Tlbi::vae1(scope, VA + 0x3000, 1, None),
            Tlbi::vaae1(scope, VA + 0x3000, None),
            Tlbi::vale1(scope, VA + 0x3000, 1, None),
            Tlbi::vaale1(scope, VA + 0x3000, None),
        ]
        .into_iter()
        .enumerate()
        {
            // Without break-before-make: pages are cached, then the table becomes a block, and back.
            for (before, after) in [(table, block), (block, table)] {
                handle.poke(slot, before);
                invalidate_all(&core).await;
                core.access(load(VA + 0x3000)).await.succeeds("TLB-10")?;
                core.access(load(VA + 0x5000)).await.succeeds("TLB-10")?;
                handle.poke(slot, after);
                for offset in [0x3008, 0x7000, 0x3010, 0x5000, 0x1f_f000, 0x3018, 0x7008] {
                    one_of_both(&core, "TLB-11", offset + 32 * round as u64).await?;
                }
                invalidate(&core, operation).await;
                if after == block && operation.op.last_level() {
                    // TLBI-04: the table that stood there may live on in a walk cache.
                    one_of_both(&core, "TLB-12", 0x3000).await?;
                    invalidate_all(&core).await;
                }
                let (pa, rest) = if after == table {
                    (PAGES, (0xff, 3))
                } else {
                    (BLOCK, (0x04, 2))
                };
                let answer = core.access(load(VA + 0x3000)).await;
                answer.reaches("TLB-12", pa + 0x3000)?;
                answer.has_attributes("TLB-12", rest.0, rest.1)?;
            }
        }
        Ok(())
    })
}

fn global_and_private(bench: &mut Bench) -> Result<(), Failure> {
    // Address space 1 maps VA privately, 2 globally, 3 not at all, each in its own tree.
    let mut trees = [0, 1, 2].map(|i| Tree::new(Lower, Granule::K4, 39, TABLES + i * 0x100_0000));
    trees[0].map(VA, 3, user_rw(Granule::K4, 3, PAGES));
    trees[1].map(VA, 2, user_rw(Granule::K4, 2, BLOCK).with_ng(false));
    trees[2].map(VA + 0x40_0000, 3, user_rw(Granule::K4, 3, PAGES));
    for tree in &trees {
        tree.load(bench)?;
    }
    let regimes = [1, 2, 3].map(|asid| Regime::default().with(&trees[usize::from(asid) - 1], asid));
    bench.run(async move |core| {
        for order in [[0, 1, 2, 0, 1, 2], [1, 0, 2, 1, 2, 0], [2, 1, 0, 2, 0, 1]] {
            invalidate_all(&core).await;
            let mut global_made = false;
            for space in order {
                regimes[space].enter(&core).await;
                let answer = core.access(load(VA + 0x18)).await;
                let private = answer.fault.is_none() && answer.pa == PAGES + 0x18;
                let global = answer.fault.is_none() && answer.pa == BLOCK + 0x18;
                let unmapped = answer.fault.is_some_and(|fsc| fsc.0 == 0x06);
                global_made |= space == 1;
                let fits = match space {
                    0 => private || (global && global_made),
                    1 => global,
                    _ => unmapped || (global && global_made),
                };
                expect("TLB-13", fits, || {
                    format!("address space {} got {answer}", space + 1)
                })?;
            }
        }
        Ok(())
    })
}

/// What a block, a page and both again give must not depend on who came first.
async fn loads(core: &CoreHandle, order: [u64; 4]) -> Result<(), Failure> {
    for offset in order {
        core.access(load(VA + offset))
            .await
            .reaches("TLB-27", PAGES + offset)?;
    }
    Ok(())
}

fn order_of_fills(bench: &mut Bench) -> Result<(), Failure> {
    // The pages and the block map the same (BBM level 2, BBM-06), so overlaps are legal.
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..512 {
        tree.map(
            VA + (page << 12),
            3,
            user_rw(Granule::K4, 3, PAGES + (page << 12)),
        );
    }
    // A writable-clean page, whose first write fills it again.
    let clean = VA + 0x20_0000;
    let leaf = user_rw(Granule::K4, 3, BLOCK)
        .with_dbm(true)
        .with_ap_read_only(true);
    tree.map(clean, 3, leaf);
    let slot = tree.slot(VA, 2);
    let table = tree.word(slot);
    let block = user_rw(Granule::K4, 2, PAGES).0;
    tree.load(bench)?;
    let watch = Watch::on(bench)?;
    let handle: SimHandle = bench.handle()?;
    let mut regime = Regime::default().with(&tree, 1);
    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
    bench.run(async move |core| {
        regime.enter(&core).await;
        for (first, second) in [(table, block), (block, table)] {
            invalidate_all(&core).await;
            handle.poke(slot, first);
            loads(&core, [0x1000, 0x2008, 0x1010, 0x1f_f000]).await?;
            handle.poke(slot, second);
            loads(&core, [0x3000, 0x1008, 0x2010, 0x1f_f008]).await?;
            handle.poke(slot, first);
            loads(&core, [0x1f_e000, 0x1008, 0x4000, 0x3000]).await?;
        }
        core.access(load(clean)).await.reaches("TLB-27", BLOCK)?;
        watch.clear();
        let write = core
            .access(CoreRequest::store(clean + 8, 3, El::El0, 7))
            .await;
        write.reaches("TLB-27", BLOCK + 8)?;
        let fills = watch.seen().fills.len();
        expect("TLB-27", fills == 1, || {
            format!("{fills} fills for the first write")
        })?;
        let read = core.access(load(clean + 8)).await;
        read.reads("TLB-27", 7)?;
        read.comes_from("TLB-27", HitPlace::L1)?;
        let write = core
            .access(CoreRequest::store(clean + 8, 3, El::El0, 9))
            .await;
        write.comes_from("TLB-27", HitPlace::L1)?;
        let word = handle.peek(tree.slot(clean, 3));
        let dirty = Descriptor(leaf.0).with_ap_read_only(false).0;
        expect("TLB-27", word == dirty, || {
            format!("the descriptor became {word:#018x}")
        })
    })
}
