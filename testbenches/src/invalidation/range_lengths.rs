// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Every length that a range operation can name: it removes the first and the last page, and this
//! hardware no page before or behind; in both halves, and at the top of the VA space (section 11.1).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{El, Fsc, Granule, RangeOperand, Tlbi, TlbiOp, TlbiScope, Ttbr, VaRange};

use crate::stage1::contiguous::{invalidate, invalidate_all};
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::on;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlbi-range-length",
        purpose: "all 128 lengths of a range, of every granule, in the lower half, to the page",
        requirements: &["TLBI-08", "TLBI-11"],
        run: lengths_in_the_lower_half,
    },
    Testbench {
        name: "tlbi-range-upper",
        purpose: "all 128 lengths of a range, of every granule, in the upper half, to the page",
        requirements: &["TLBI-10", "TLBI-11"],
        run: lengths_in_the_upper_half,
    },
    Testbench {
        name: "tlbi-range-top",
        purpose: "a range past the top of its half stops there and does not reach the other half",
        requirements: &["TLBI-08", "TLBI-10"],
        run: past_the_top,
    },
];

const TABLES: u64 = 0x5000_0000;
const UPPER_TABLES: u64 = 0x7000_0000;
const PA: u64 = 0x8000_0000;
const FORMS: [TlbiOp; 4] = [
    TlbiOp::Rvae1,
    TlbiOp::Rvaae1,
    TlbiOp::Rvale1,
    TlbiOp::Rvaale1,
];
const SCOPES: [TlbiScope; 3] = [
    TlbiScope::Local,
    TlbiScope::InnerShareable,
    TlbiScope::OuterShareable,
];

/// The range operation `op` on 2^(5 scale + 1) (num + 1) pages from `start` on, for ASID 1.
fn range(op: TlbiOp, scope: TlbiScope, granule: Granule, start: u64, scale: u8, num: u8) -> Tlbi {
    let form = Tlbi::rvae1(scope, granule, start, scale, num, None, 1);
    Tlbi { op, ..form }
}

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

fn lengths_in_the_lower_half(bench: &mut Bench) -> Result<(), Failure> {
    Granule::ALL
        .into_iter()
        .try_for_each(|granule| lengths(bench, granule, VaRange::Lower, "TLBI-11"))
}

fn lengths_in_the_upper_half(bench: &mut Bench) -> Result<(), Failure> {
    Granule::ALL
        .into_iter()
        .try_for_each(|granule| lengths(bench, granule, VaRange::Upper, "TLBI-10"))
}

fn lengths(
    bench: &mut Bench,
    granule: Granule,
    half: VaRange,
    requirement: &'static str,
) -> Result<(), Failure> {
    bench.restart()?;
    let page = granule.bytes();
    let mut tree = Tree::new(half, granule, 48, TABLES);
    // Aligned to nothing but the granule.
    let start = tree.va(0x0040_0000_0000 + 5 * page);
    let word = user_rw(granule, 3, PA);
    let mut cases = Vec::new();
    for (scale, num) in (0..4u8).flat_map(|scale| (0..32u8).map(move |num| (scale, num))) {
        let length = page * (u64::from(num) + 1) * 32u64.pow(scale.into()) * 2;
        let pages = [start, start + length - page, start - page, start + length];
        let slots = pages.map(|va| tree.map(va, 3, word));
        cases.push((scale, num, pages, slots));
    }
    tree.load(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&tree, 1);
    if half == VaRange::Upper {
        // The ASID is that of TTBR0_EL1 (TCR_EL1.A1 = 0).
        regime.ttbr0 = Ttbr::new(1, 0);
    }
    bench.run(async move |core| {
        regime.enter(&core).await;
        for (i, (scale, num, [first, last, below, above], slots)) in cases.into_iter().enumerate() {
            invalidate_all(&core).await;
            slots.iter().for_each(|&slot| handle.poke(slot, word.0));
            for va in [first, last, below, above] {
                core.access(load(va)).await.reaches("TLBI-08", PA)?;
            }
            // From here on only an entry can serve.
            slots.iter().for_each(|&slot| handle.poke(slot, 0));
            let operation = range(FORMS[i % 4], SCOPES[i % 3], granule, start, scale, num);
            invalidate(&core, operation).await;
            let named = CoreRequest::tlbi(operation);
            for va in [below, above] {
                let spared = core.access(load(va)).await;
                on(named, spared.comes_from(requirement, HitPlace::L1))?;
                on(named, spared.reaches(requirement, PA))?;
            }
            for va in [first, last] {
                let removed = core.access(load(va)).await;
                on(named, removed.faults(requirement, Fsc(0x07)))?;
            }
        }
        Ok(())
    })
}

fn past_the_top(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let page = granule.bytes();
        let word = user_rw(granule, 3, PA);
        let mut lower = Tree::new(VaRange::Lower, granule, 48, TABLES);
        let mut upper = Tree::new(VaRange::Upper, granule, 48, UPPER_TABLES);
        // The top two pages of the VA space, the page below them, and the very first page.
        let top = 0u64.wrapping_sub(2 * page);
        let pages = [top, top + page, top - page, 0];
        let slots = pages.map(|va| match va {
            0 => lower.map(va, 3, word),
            _ => upper.map(va, 3, word),
        });
        // The top page of the lower half, from which a range runs into addresses of no half.
        let edge = (1 << 48) - page;
        let edge_slot = lower.map(edge, 3, word);
        lower.load(bench)?;
        upper.load(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&lower, 1).with(&upper, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for (op, scope) in FORMS
                .into_iter()
                .flat_map(|op| SCOPES.map(|scope| (op, scope)))
            {
                for (scale, num) in [(0, 1), (3, RangeOperand::NUM_MAX)] {
                    let named = range(op, scope, granule, top, scale, num);
                    invalidate_all(&core).await;
                    slots.iter().for_each(|&slot| handle.poke(slot, word.0));
                    for va in pages {
                        core.access(load(va)).await.reaches("TLBI-10", PA)?;
                    }
                    slots.iter().for_each(|&slot| handle.poke(slot, 0));
                    invalidate(&core, named).await;
                    let named = CoreRequest::tlbi(named);
                    for va in [pages[2], pages[3]] {
                        let spared = core.access(load(va)).await;
                        on(named, spared.comes_from("TLBI-10", HitPlace::L1))?;
                        on(named, spared.reaches("TLBI-10", PA))?;
                    }
                    for va in [pages[0], pages[1]] {
                        let removed = core.access(load(va)).await;
                        on(named, removed.faults("TLBI-10", Fsc(0x07)))?;
                    }
                    let named = range(op, scope, granule, edge, scale, num);
                    slots.iter().for_each(|&slot| handle.poke(slot, word.0));
                    core.access(load(edge)).await.reaches("TLBI-08", PA)?;
                    core.access(load(top)).await.reaches("TLBI-08", PA)?;
                    handle.poke(edge_slot, 0);
                    invalidate(&core, named).await;
                    let named = CoreRequest::tlbi(named);
                    let kept = core.access(load(top)).await;
                    on(named, kept.reaches("TLBI-08", PA))?;
                    let removed = core.access(load(edge)).await;
                    on(named, removed.faults("TLBI-08", Fsc(0x07)))?;
                    handle.poke(edge_slot, word.0);
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
