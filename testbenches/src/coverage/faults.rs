// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Address size faults and external aborts at every level of every granule, for every kind of access,
//! and errors of memory behind translations that come from elsewhere than a walk.

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::ErrorOn;
use vmsa::VaRange::Lower;
use vmsa::{El, FaultKind, Fsc, Granule};

use super::leaf::{PA, Scene, Shape, accesses, user};
use crate::stage1::activity::{of, within};
use crate::stage1::regime::{Regime, flush};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "walk-fault-levels",
        purpose: "address size faults and errors at every level of every granule, for every kind of access",
        requirements: &["VMSA-50", "WALK-10"],
        run: levels,
    },
    Testbench {
        name: "data-abort-places",
        purpose: "errors of memory behind a joined walk and with translation off",
        requirements: &["VMSA-50", "VMSA-01"],
        run: places,
    },
];

const OFFSET: u64 = 0x40_0000_0000;
/// An address bit beyond the 40 bits of output that IPS = 2 gives.
const BEYOND: u64 = 1 << 44;

fn page(granule: Granule) -> Scene {
    let shape = Shape {
        granule,
        level: 3,
        run: false,
    };
    Scene::new(Lower, 48, shape, OFFSET, user())
}

fn levels(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let scene = page(granule);
        scene.tree.load(bench)?;
        let handle = bench.handle()?;
        let mut regime = Regime::default().with(&scene.tree, 1);
        regime.tcr = regime.tcr.with_ips(2);
        bench
            .run(async move |core| {
                regime.enter(&core).await;
                for request in accesses(scene.va, El::El0, false) {
                    for level in scene.tree.start_level()..=3 {
                        let slot = scene.tree.slot(scene.va, level);
                        let word = scene.tree.word(slot);
                        handle.poke(slot, word | BEYOND);
                        flush(&core).await;
                        let fault = Fsc::encode(FaultKind::AddressSize, level);
                        let answer = core.access(request).await;
                        of(&request, &answer, answer.faults("VMSA-50", fault))?;
                        handle.poke(slot, word);
                        handle.mark_error(slot, ErrorOn::Reads, None);
                        let fault = Fsc::encode(FaultKind::ExternalAbortOnWalk, level);
                        flush(&core).await;
                        let answer = core.access(request).await;
                        of(&request, &answer, answer.faults("WALK-10", fault))?;
                        handle.clear_error(slot);
                    }
                }
                // A table base out of range is a fault of level 0, wherever walks start.
                let mut outside = regime;
                outside.ttbr0 = regime.ttbr0.with_base(regime.ttbr0.base() | BEYOND);
                outside.enter(&core).await;
                for request in accesses(scene.va, El::El0, false) {
                    flush(&core).await;
                    let answer = core.access(request).await;
                    let fault = Fsc::encode(FaultKind::AddressSize, 0);
                    of(&request, &answer, answer.faults("VMSA-50", fault))?;
                }
                Ok(())
            })
            .map_err(|failure| within(failure, &format!("{granule}")))?;
    }
    Ok(())
}

fn places(bench: &mut Bench) -> Result<(), Failure> {
    let scene = page(Granule::K4);
    scene.tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&scene.tree, 1);
    bench.run(async move |core| {
        let abort = Fsc::encode(FaultKind::ExternalAbort, 0);
        let bad = 0x40;
        handle.mark_error(PA + bad, ErrorOn::Reads, None);
        let off = CoreRequest::load(PA + bad, 3, El::El1);
        let answer = core.access(off).await;
        of(&off, &answer, answer.faults("VMSA-01", abort))?;
        regime.enter(&core).await;
        let first = core.issue(CoreRequest::load(scene.va + 0x80, 3, El::El0));
        let joins = CoreRequest::load(scene.va + bad, 3, El::El0);
        let answer = core.access(joins).await;
        first.await.reaches("VMSA-50", PA + 0x80)?;
        of(&joins, &answer, answer.faults("VMSA-50", abort))?;
        let joined = answer.place == HitPlace::Walk && !answer.walked;
        expect("VMSA-50", joined, || format!("{answer} joined no walk"))
    })
}
