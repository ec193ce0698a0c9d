// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where prefetches end: at the end of each half of the VA space, and with the registers that they
//! began with (section 14).

use cosim::dut::ports::{CoreRequest, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{El, Fsc, Granule, SysReg};

use super::record::Record;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "prefetch-range-end",
        purpose: "no prefetch leaves its range, or walks a disabled one",
        requirements: &["WALK-20", "WALK-21"],
        run: range_end,
    },
    Testbench {
        name: "prefetch-context",
        purpose: "the base register changes while prefetches run: each entry is of the address space its walk began in",
        requirements: &["WALK-25", "WALK-22", "TLB-24"],
        run: context,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
/// Cycles after which no prefetch is under way any more, whatever it met.
const QUIET: u64 = 400;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn fetch(va: u64) -> CoreRequest {
    CoreRequest::fetch(va, El::El0)
}

fn range_end(bench: &mut Bench) -> Result<(), Failure> {
    // Width of the range, and whether the other half is enabled.
    for (va_bits, both) in [(48, true), (39, true), (30, false)] {
        bench.restart()?;
        bench.setup().straps.prefetch = true;
        let mut trees = [
            Tree::new(Lower, Granule::K4, va_bits, TABLES),
            Tree::new(Upper, Granule::K4, va_bits, TABLES + 0x100_0000),
        ];
        let last = (1u64 << va_bits) - 0x1000;
        for tree in &mut trees {
            // Both ends of both halves, so that a prefetch which left its half would find a page.
            for (i, offset) in [0, 0x1000, last - 0x1000, last].into_iter().enumerate() {
                let pa = PA + ((i as u64) << 12);
                tree.map(tree.va(offset), 3, user_rw(Granule::K4, 3, pa));
            }
            tree.load(bench)?;
        }
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        bench.run(async move |core| {
            let mut regime = Regime::default().with(&trees[0], 1);
            if both {
                regime = regime.with(&trees[1], 1);
            }
            regime.enter(&core).await;
            for tree in &trees[..1 + usize::from(both)] {
                for (offset, next) in [(last, None), (last - 0x1000, Some(last)), (0, Some(0x1000))]
                {
                    for request in [load(tree.va(offset)), fetch(tree.va(offset))] {
                        flush(&core).await;
                        record.clear();
                        on(request, core.access(request).await.succeeds("WALK-20"))?;
                        handle.sleep(QUIET).await;
                        let walked: Vec<_> = record
                            .walks()
                            .iter()
                            .filter(|walk| walk.prefetch)
                            .map(|walk| walk.va & !0xfff)
                            .collect();
                        let wanted: Vec<_> = next.into_iter().map(|next| tree.va(next)).collect();
                        let id = if next.is_none() { "WALK-21" } else { "WALK-20" };
                        on(
                            request,
                            expect(id, walked == wanted, || {
                                format!("prefetch walks for {walked:x?}, not {wanted:x?}")
                            }),
                        )?;
                    }
                }
            }
            // With translation off, or the range disabled, there is no demand walk to follow.
            record.clear();
            regime.tcr = regime.tcr.with_epd(Lower, true);
            regime.switch(&core).await;
            core.access(load(0)).await.faults("WALK-21", Fsc(0x04))?;
            regime.sctlr = regime.sctlr.with_m(false);
            regime.switch(&core).await;
            core.access(load(PA)).await.reaches("WALK-21", PA)?;
            handle.sleep(QUIET).await;
            let walks = record.walks();
            expect("WALK-21", walks.is_empty(), || format!("{walks:x?}"))
        })?;
    }
    Ok(())
}

fn context(bench: &mut Bench) -> Result<(), Failure> {
    let va = 0x4000_0000;
    let out = |space: usize| PA + space as u64 * 0x1000_0000;
    for (latency, jitter) in [(20, 0), (4, 20)] {
        bench.restart()?;
        bench.setup().straps.prefetch = true;
        bench.setup().memory.latency = latency;
        bench.setup().memory.jitter = jitter;
        let mut trees = [0, 1].map(|i| Tree::new(Lower, Granule::K4, 39, TABLES + i * 0x100_0000));
        for (space, tree) in trees.iter_mut().enumerate() {
            for page in 0..8u64 {
                let pa = out(space) + (page << 12);
                tree.map(va + (page << 12), 3, user_rw(Granule::K4, 3, pa));
            }
            tree.load(bench)?;
        }
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        bench.run(async move |core| {
            Regime::default().with(&trees[0], 1).enter(&core).await;
            let mut prefetched = [0u64; 2];
            for round in 0..120u64 {
                let (here, there) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
                flush(&core).await;
                record.clear();
                // The walk and its prefetch, then at once or somewhat later the other space.
                let first = core.issue(load(va));
                handle.sleep(round / 2).await;
                let ttbr = trees[there].ttbr(there as u16 + 1);
                let write = core.issue(CoreRequest::msr(SysReg::Ttbr0, ttbr.0));
                let isb = core.issue(CoreRequest::isb());
                let next = core.issue(load(va + 0x1000));
                first.await.reaches("WALK-25", out(here))?;
                write.await;
                isb.await;
                next.await.reaches("WALK-22", out(there) + 0x1000)?;
                handle.sleep(QUIET).await;
                for (cycle, fill) in record.fills(TlbStructure::L2) {
                    let space = usize::from(fill.asid) - 1;
                    let met = fill.pa == out(space) + (fill.va - va);
                    expect("TLB-24", met, || format!("cycle {cycle}: {fill:x?}"))?;
                    prefetched[space] += u64::from(fill.prefetch);
                }
            }
            expect(
                "WALK-25",
                prefetched.iter().all(|&count| count > 20),
                || format!("prefetched entries by space: {prefetched:?}"),
            )
        })?;
    }
    Ok(())
}
