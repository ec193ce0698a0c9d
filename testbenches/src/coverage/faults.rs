// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Address size faults and external aborts at every level of every granule, for every kind of access,
//! and errors of memory behind translations that come from elsewhere than a walk.

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::ErrorOn;
use vmsa::VaRange::{Lower, Upper};
use vmsa::{El, FaultKind, Fsc, Granule};

use super::leaf::{PA, Scene, Shape, accesses, user};
use crate::stage1::activity::{of, within};
use crate::stage1::regime::{Regime, flush};
use crate::stage1::watch::{Watch, expect};

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
    Testbench {
        name: "clean-entry-without-walks",
        purpose: "EPD spares the entry of a clean page for reads; a write, which has to update it, faults",
        requirements: &["TLB-34", "VMSA-09", "HAF-12"],
        run: clean_entry,
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

fn clean_entry(bench: &mut Bench) -> Result<(), Failure> {
    let shape = Shape {
        granule: Granule::K4,
        level: 3,
        run: false,
    };
    let clean = user().with_dbm(true).with_ap_read_only(true);
    for range in [Lower, Upper] {
        bench.restart()?;
        let scene = Scene::new(range, 48, shape, OFFSET, clean);
        scene.tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let mut open = Regime::default().with(&scene.tree, 1);
        open.tcr = open.tcr.with_ha(true).with_hd(true);
        let mut closed = open;
        closed.tcr = open.tcr.with_epd(range, true);
        let ran = bench.run(async move |core| {
            let read = CoreRequest::load(scene.va, 3, El::El0);
            let writes = [
                CoreRequest::store(scene.va, 3, El::El0, 0x77),
                CoreRequest::cas(scene.va, El::El0, 0, 0x77),
            ];
            open.enter(&core).await;
            core.access(read).await.reaches("TLB-34", PA)?;
            closed.enter(&core).await;
            watch.clear();
            for write in writes {
                let answer = core.access(write).await;
                let fault = Fsc::encode(FaultKind::Translation, 0);
                of(&write, &answer, answer.faults("VMSA-09", fault))?;
                of(&write, &answer, answer.comes_from("HAF-12", HitPlace::L1))?;
            }
            let answer = core.access(read).await;
            of(&read, &answer, answer.comes_from("TLB-34", HitPlace::L1))?;
            watch.nothing_read("VMSA-09")?;
            watch.nothing_filled("VMSA-09")?;
            open.enter(&core).await;
            let answer = core.access(writes[0]).await;
            of(&writes[0], &answer, answer.reaches("HAF-12", PA))?;
            of(
                &writes[0],
                &answer,
                answer.comes_from("HAF-12", HitPlace::Walk),
            )
        });
        ran.map_err(|failure| within(failure, &format!("{range:?}")))?;
    }
    Ok(())
}
