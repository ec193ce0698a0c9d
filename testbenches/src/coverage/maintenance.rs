// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Context switches to tables under an ASID that has entries, in either half, and ranges that have an
//! entry in their middle.

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{El, Granule, SysReg, Tlbi, TlbiScope};

use super::leaf::{PA, Scene, Shape, user};
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::Regime;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "switch-with-entries",
        purpose: "entries of an ASID serve across switches to other tables of the same content, in either half",
        requirements: &["TLB-21", "TLB-25", "TLBI-01"],
        run: switches,
    },
    Testbench {
        name: "range-middle",
        purpose: "a range of each granule removes an entry in its middle",
        requirements: &["TLBI-08"],
        run: middles,
    },
];

const OFFSET: u64 = 0x40_0000_0000;
const DISTANCE: u64 = 0x10_0000;

fn page(range: vmsa::VaRange, granule: Granule) -> Scene {
    let shape = Shape {
        granule,
        level: 3,
        run: false,
    };
    Scene::new(range, 48, shape, OFFSET, user())
}

fn switches(bench: &mut Bench) -> Result<(), Failure> {
    for range in [Lower, Upper] {
        bench.restart()?;
        let scene = page(range, Granule::K4);
        let moved = scene.tree.clone().moved(DISTANCE);
        scene.tree.load(bench)?;
        moved.load(bench)?;
        let register = match range {
            Lower => SysReg::Ttbr0,
            Upper => SysReg::Ttbr1,
        };
        let mut regime = Regime::default().with(&scene.tree, 3);
        regime.tcr = regime.tcr.with_a1(range == Upper);
        bench.run(async move |core| {
            regime.enter(&core).await;
            let load = CoreRequest::load(scene.va, 3, El::El0);
            core.access(load).await.reaches("TLB-21", PA)?;
            // Same ASID and other tables; another ASID; the first one with other tables again.
            let steps = [
                (moved.ttbr(3), HitPlace::L1),
                (moved.ttbr(4), HitPlace::Walk),
                (scene.tree.ttbr(3), HitPlace::L1),
                (moved.ttbr(4), HitPlace::L1),
            ];
            for (ttbr, place) in steps {
                core.access(CoreRequest::msr(register, ttbr.0)).await;
                core.access(CoreRequest::isb()).await;
                let answer = core.access(load).await;
                answer.reaches("TLB-25", PA)?;
                answer.comes_from("TLB-21", place)?;
            }
            invalidate(&core, Tlbi::aside1(TlbiScope::Local, 3)).await;
            let ttbr = scene.tree.ttbr(3);
            core.access(CoreRequest::msr(register, ttbr.0)).await;
            core.access(CoreRequest::isb()).await;
            core.access(load)
                .await
                .comes_from("TLBI-01", HitPlace::Walk)
        })?;
    }
    Ok(())
}

fn middles(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let scene = page(Lower, granule);
        scene.tree.load(bench)?;
        let regime = Regime::default().with(&scene.tree, 3);
        bench.run(async move |core| {
            regime.enter(&core).await;
            let load = CoreRequest::load(scene.va, 3, El::El0);
            core.access(load).await.reaches("TLBI-08", PA)?;
            core.access(load)
                .await
                .comes_from("TLBI-08", HitPlace::L1)?;
            // Four pages, of which the entry is the second.
            let start = scene.va - granule.bytes();
            let range = Tlbi::rvae1(TlbiScope::Local, granule, start, 0, 1, None, 3);
            invalidate(&core, range).await;
            core.access(load)
                .await
                .comes_from("TLBI-08", HitPlace::Walk)
        })?;
    }
    Ok(())
}
