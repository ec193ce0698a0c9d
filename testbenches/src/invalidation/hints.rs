// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Level hints of operations by VA: one that fits or says nothing removes the leaf from both levels of
//! the TLB; a wrong one owes nothing, and does no harm (section 11.1).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Fsc, Granule, Tlbi, TlbiOp, TlbiScope};

use super::record::cores_in;
use crate::stage1::contiguous::{invalidate, invalidate_all};
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlbi-hints",
        purpose: "each of the 16 level hints against leaves of each size, on the core farthest away",
        requirements: &["TLBI-17", "TLBI-06"],
        run: every_hint,
    },
    Testbench {
        name: "tlbi-hints-second-level",
        purpose: "a fitting hint removes a leaf that only the second-level TLB holds",
        requirements: &["TLBI-17"],
        run: hints_for_the_second_level,
    },
    Testbench {
        name: "tlbi-second-level-busy",
        purpose: "an operation is complete while the second-level TLB still goes through its sets for it",
        requirements: &["TLBI-07", "TLBI-20"],
        run: busy_second_level,
    },
    Testbench {
        name: "tlbi-meets-second-level",
        purpose: "a second-level answer that an operation meets in any cycle leaves nothing old behind",
        requirements: &["TLBI-07", "TLBI-20"],
        run: met_second_level,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x0040_0000_0000;
const PA: u64 = 0x2000_0000_0000;

/// Granule, level, bytes of a leaf, and its level hint.
const LEAVES: [(Granule, u8, u64, u64); 7] = [
    (Granule::K4, 1, 1 << 30, 0b0101),
    (Granule::K4, 2, 2 << 20, 0b0110),
    (Granule::K4, 3, 4 << 10, 0b0111),
    (Granule::K16, 2, 32 << 20, 0b1010),
    (Granule::K16, 3, 16 << 10, 0b1011),
    (Granule::K64, 2, 512 << 20, 0b1110),
    (Granule::K64, 3, 64 << 10, 0b1111),
];

/// Hints that say nothing: 00xx and the reserved codes of table 11.1.
const SAYS_NOTHING: [u64; 8] = [
    0b0000, 0b0001, 0b0010, 0b0011, 0b0100, 0b1000, 0b1001, 0b1100,
];

const FORMS: [TlbiOp; 4] = [TlbiOp::Vae1, TlbiOp::Vale1, TlbiOp::Vaae1, TlbiOp::Vaale1];

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

fn hinted(op: TlbiOp, va: u64, ttl: u64) -> Tlbi {
    let operand = va >> 12 | ttl << 44 | 5 << 48;
    let scope = TlbiScope::InnerShareable;
    Tlbi { op, scope, operand }
}

fn every_hint(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, bytes, fitting) in LEAVES {
        bench.restart()?;
        let mut tree = Tree::new(Lower, granule, 48, TABLES);
        let slot = tree.map(VA, level, user_rw(granule, level, PA));
        let word = tree.word(slot);
        tree.load(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 5);
        bench.run(async move |issuer| {
            let all = cores_in(&handle, &regime).await;
            let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
            let fault = Fsc(0x04 + level);
            for ttl in 0..16 {
                for op in FORMS {
                    handle.poke(slot, word);
                    far.access(load(VA)).await.reaches("TLBI-17", PA)?;
                    handle.poke(slot, 0);
                    let operation = hinted(op, VA + bytes / 2, ttl);
                    invalidate(&issuer, operation).await;
                    let named = CoreRequest::tlbi(operation);
                    let answer = far.access(load(VA)).await;
                    if ttl == fitting || SAYS_NOTHING.contains(&ttl) {
                        on(named, answer.faults("TLBI-17", fault))?;
                        continue;
                    }
                    let fits =
                        answer.fault == Some(fault) || (answer.fault.is_none() && answer.pa == PA);
                    expect("TLBI-17", fits, || format!("after {named}: {answer}"))?;
                    // Whatever the wrong one left, the right one removes.
                    let operation = hinted(op, VA, fitting);
                    invalidate(&issuer, operation).await;
                    let answer = far.access(load(VA)).await;
                    on(
                        CoreRequest::tlbi(operation),
                        answer.faults("TLBI-06", fault),
                    )?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn hints_for_the_second_level(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, bytes, fitting) in LEAVES {
        bench.restart()?;
        // One entry in the first level: the next leaf pushes the one in question out of it.
        bench.setup().straps.dtlb_entries = Some(1);
        let next = VA + bytes;
        let mut tree = Tree::new(Lower, granule, 48, TABLES);
        let slot = tree.map(VA, level, user_rw(granule, level, PA));
        let next_slot = tree.map(next, level, user_rw(granule, level, PA + bytes));
        let (word, next_word) = (tree.word(slot), tree.word(next_slot));
        tree.load(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 5);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for op in FORMS {
                for ttl in SAYS_NOTHING.into_iter().chain([fitting]) {
                    invalidate_all(&core).await;
                    // A second-level TLB takes no fill while it goes through its sets.
                    handle.sleep(600).await;
                    handle.poke(slot, word);
                    handle.poke(next_slot, next_word);
                    core.access(load(VA)).await.reaches("TLBI-17", PA)?;
                    core.access(load(next))
                        .await
                        .reaches("TLBI-17", PA + bytes)?;
                    // Both are in the second level: fills of walks are written by now.
                    handle.sleep(20).await;
                    handle.poke(slot, 0);
                    handle.poke(next_slot, 0);
                    core.access(load(VA)).await.reaches("TLBI-17", PA)?;
                    core.access(load(next))
                        .await
                        .reaches("TLBI-17", PA + bytes)?;
                    let operation = hinted(op, VA, ttl);
                    invalidate(&core, operation).await;
                    let named = CoreRequest::tlbi(operation);
                    let answer = core.access(load(VA)).await;
                    on(named, answer.faults("TLBI-17", Fsc(0x04 + level)))?;
                    // The neighbour, in either level, is not named.
                    let answer = core.access(load(next)).await;
                    on(named, answer.reaches("TLBI-17", PA + bytes))?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn busy_second_level(bench: &mut Bench) -> Result<(), Failure> {
    // Sets are gone through in order: pages of every set, so that some come late.
    const PAGES: u64 = 8;
    bench.setup().straps.dtlb_entries = Some(1);
    bench.setup().straps.l2_sets_log2 = Some(3);
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    let pages = [0, 1, 2, 3, 4, 5, 6, 7].map(|page| VA % (1 << 38) + (page << 12));
    let leaf = |page: usize| user_rw(Granule::K4, 3, PA + ((page as u64) << 12));
    let slots: Vec<u64> = (0..pages.len())
        .map(|page| tree.map(pages[page], 3, leaf(page)))
        .collect();
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 5);
    bench.run(async move |core| {
        regime.enter(&core).await;
        for scope in [TlbiScope::Local, TlbiScope::InnerShareable] {
            for op in [TlbiOp::Vmalle1, TlbiOp::Aside1] {
                for (page, &va) in pages.iter().enumerate() {
                    slots
                        .iter()
                        .enumerate()
                        .for_each(|(page, &slot)| handle.poke(slot, leaf(page).0));
                    // All of them are in the second level, the one in question not in the first.
                    for place in 0..PAGES + 1 {
                        let place = (page as u64 + place) % PAGES;
                        let at = pages[place as usize];
                        let answer = core.access(load(at)).await;
                        answer.reaches("TLBI-20", PA + (place << 12))?;
                        handle.sleep(20).await;
                    }
                    let other = pages[(page + 1) % pages.len()];
                    core.access(load(other)).await.succeeds("TLBI-20")?;
                    slots.iter().for_each(|&slot| handle.poke(slot, 0));
                    // All at once, so that the load comes as early as it can.
                    let operand = 5 << 48;
                    let operation = Tlbi { op, scope, operand };
                    let removal = core.issue(CoreRequest::tlbi(operation));
                    let barrier = core.issue(CoreRequest::dsb(vmsa::DsbKind::SY));
                    let isb = core.issue(CoreRequest::isb());
                    let answer = core.access(load(va)).await;
                    let named = CoreRequest::tlbi(operation);
                    on(named, answer.faults("TLBI-07", Fsc(0x07)))?;
                    removal.await.succeeds("TLBI-20")?;
                    barrier.await.succeeds("TLBI-20")?;
                    isb.await.succeeds("TLBI-20")?;
                    handle.sleep(40).await;
                }
            }
        }
        Ok(())
    })
}

fn met_second_level(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.dtlb_entries = Some(1);
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    let page = user_rw(Granule::K4, 3, PA);
    let slot = tree.map(VA, 3, page);
    let other = VA + 0x1000;
    tree.map(other, 3, user_rw(Granule::K4, 3, PA + 0x1000));
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 5);
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
        for offset in 0..40 {
            handle.poke(slot, page.0);
            far.access(load(VA)).await.reaches("TLBI-07", PA)?;
            handle.sleep(20).await;
            far.access(load(other)).await.succeeds("TLBI-07")?;
            handle.poke(slot, 0);
            // The first half of the offsets starts with the load, the second with the operation.
            let operation = CoreRequest::tlbi(hinted(TlbiOp::Vae1, VA, 0));
            let (access, removal) = if offset < 20 {
                let access = far.issue(load(VA));
                handle.sleep(offset).await;
                (access, issuer.issue(operation))
            } else {
                let removal = issuer.issue(operation);
                handle.sleep(offset - 20).await;
                (far.issue(load(VA)), removal)
            };
            issuer.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
            removal.await.succeeds("TLBI-20")?;
            let answer = access.await;
            let fits = answer.fault == Some(Fsc(0x07)) || answer.pa == PA;
            expect("TLBI-20", fits, || format!("offset {offset}: {answer}"))?;
            far.access(load(VA)).await.faults("TLBI-07", Fsc(0x07))?;
        }
        Ok(())
    })
}
