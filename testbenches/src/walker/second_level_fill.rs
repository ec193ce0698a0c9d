// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What comes into the second level: every walk's result, also one that ends while a lookup is made
//! there; and of prefetches what is not there yet (`docs/units/l2-tlb.md`, `docs/units/walker.md`).

use cosim::dut::ports::{CoreRequest, HitPlace, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Granule, Tlbi, TlbiScope};

use super::record::Record;
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "l2-fill-waits",
        purpose: "a walk that ends in any cycle of a second-level lookup leaves its entry all the same",
        requirements: &["TLB-29"],
        run: fill_waits,
    },
    Testbench {
        name: "prefetch-held",
        purpose: "a page that the second level holds is not walked ahead of use",
        requirements: &["WALK-20"],
        run: held,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn fill_waits(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    // Neighbours in no set, below one table; a run and a block make lookups longer.
    let other = VA + 0x3000;
    tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    tree.map(other, 3, user_rw(Granule::K4, 3, PA + 0x3000));
    tree.map(VA + 0x20_0000, 2, user_rw(Granule::K4, 2, PA));
    tree.map_run(VA + 0x1_0000, 3, PA, user_rw(Granule::K4, 3, PA));
    tree.load(bench)?;
    let (record, handle) = (Record::on(bench)?, bench.handle()?);
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        let mut met = 0;
        for offset in 0..120 {
            flush(&core).await;
            handle.sleep(600).await;
            core.access(load(VA + 0x20_0000)).await.succeeds("TLB-29")?;
            core.access(load(VA + 0x1_0000)).await.succeeds("TLB-29")?;
            handle.sleep(20).await;
            record.clear();
            let first = core.issue(load(VA));
            handle.sleep(offset).await;
            // Of another word, so that it passes (ORD-30).
            let second = core.issue(load(other + 8));
            first.await.reaches("TLB-29", PA)?;
            let answer = second.await;
            answer.reaches("TLB-29", PA + 0x3008)?;
            met += u64::from(answer.comes_from("TLB-29", HitPlace::Walk).is_ok());
            handle.sleep(20).await;
            let mut filled: Vec<_> = record
                .fills(TlbStructure::L2)
                .iter()
                .map(|(_, fill)| fill.va)
                .collect();
            filled.sort_unstable();
            expect("TLB-29", filled == [VA, other], || {
                format!("{offset} cycles apart: second-level fills of {filled:x?}")
            })?;
        }
        expect("TLB-29", met == 120, || {
            format!("{met} walks of the second")
        })
    })
}

fn held(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.prefetch = true;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for page in 0..2u64 {
        let leaf = user_rw(Granule::K4, 3, PA + (page << 12));
        tree.map(VA + (page << 12), 3, leaf);
    }
    tree.load(bench)?;
    let (record, handle) = (Record::on(bench)?, bench.handle()?);
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        for (round, ahead) in [(0, true), (1, false), (2, false)] {
            // Of these two pages the first one goes.
            let first = Tlbi::vae1(TlbiScope::Local, VA, 1, None);
            invalidate(&core, first).await;
            handle.sleep(600).await;
            record.clear();
            let request = load(VA + 8 * round);
            let answer = core.access(request).await;
            on(request, answer.reaches("WALK-20", PA + 8 * round))?;
            on(request, answer.comes_from("WALK-20", HitPlace::Walk))?;
            handle.sleep(400).await;
            let walks = record.walks();
            let prefetches = walks.iter().filter(|walk| walk.prefetch).count();
            expect("WALK-20", prefetches == usize::from(ahead), || {
                format!("round {round}: {walks:x?}")
            })?;
        }
        Ok(())
    })
}
