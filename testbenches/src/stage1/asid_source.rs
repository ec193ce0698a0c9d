// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where the current ASID comes from: TCR_EL1.A1, TCR_EL1.AS and the width built (VMSA-11).

use cosim::dut::ports::{CoreRequest, HitPlace, Straps};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::{El, SysReg};

use super::activity::{Probe, expect, of};
use super::geometry::HALVES;
use super::ranges::{TwoHalves, forget};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "asid-source",
    purpose: "A1 names the TTBR whose ASID counts for both halves; AS = 0 keeps 8 bits of it",
    requirements: &["VMSA-11"],
    run: asid_source,
}];

/// ASIDs of TTBR0 and TTBR1: as written, and the low byte.
const WRITTEN: [u16; 2] = [0xa55a, 0x3cc3];
const LOW_BYTE: [u16; 2] = [0x005a, 0x00c3];

fn asid_source(bench: &mut Bench) -> Result<(), Failure> {
    for asid8 in [false, true] {
        bench.restart()?;
        bench.setup().straps = Straps {
            asid8,
            ..Straps::default()
        };
        let halves = TwoHalves::load(bench, [39, 39], 0x5000, 0x1_0000_0000)?;
        let probe = Probe::on(bench)?;
        bench.run(async move |core| {
            for a1 in [false, true] {
                for wide in [false, true] {
                    under(&core, &probe, &halves, a1, wide, wide && !asid8).await?;
                }
            }
            Ok(())
        })?;
    }
    bench.restart()?;
    bench.setup().straps = Straps::default();
    Ok(())
}

/// Fills both halves under A1 and AS as given, and looks at the ASID of the entries; then changes
/// the ASIDs of both TTBRs, bit by bit, and looks which changes miss. `all` says whether 16 bits
/// count.
async fn under(
    core: &CoreHandle,
    probe: &Probe,
    halves: &TwoHalves,
    a1: bool,
    wide: bool,
    all: bool,
) -> Result<(), Failure> {
    let mut regime = halves.regime(|tcr| tcr.with_a1(a1).with_asid16(wide));
    regime.ttbr0 = regime.ttbr0.with_asid(WRITTEN[0]);
    regime.ttbr1 = regime.ttbr1.with_asid(WRITTEN[1]);
    let source = usize::from(a1);
    let current = if all {
        WRITTEN[source]
    } else {
        LOW_BYTE[source]
    };
    for half in HALVES {
        regime.switch(core).await;
        probe.clear();
        let load = CoreRequest::load(halves.va(half), 3, El::El0);
        core.access(load).await;
        let seen = probe.look();
        let asids: Vec<u16> = seen.fills.iter().map(|fill| fill.asid).collect();
        expect("VMSA-11", asids == [current], || {
            let what = format!("{half:?} half, A1 {a1}, AS {wide}: entries of ASIDs {asids:x?}");
            (what, format!("one entry of ASID {current:#06x}"))
        })?;
        for (ttbr, written) in WRITTEN.into_iter().enumerate() {
            for bit in 0..16u32 {
                // The page sits in the TLB under `current` alone.
                forget(core).await;
                core.access(load).await;
                let changed = written ^ 1 << bit;
                let (register, kept) = match ttbr {
                    0 => (SysReg::Ttbr0, regime.ttbr0),
                    _ => (SysReg::Ttbr1, regime.ttbr1),
                };
                let misses = ttbr == source && (all || bit < 8);
                for (value, place) in [
                    (
                        kept.with_asid(changed),
                        if misses { HitPlace::Walk } else { HitPlace::L1 },
                    ),
                    (kept, HitPlace::L1),
                ] {
                    core.access(CoreRequest::msr(register, value.0)).await;
                    core.access(CoreRequest::isb()).await;
                    let answer = core.access(load).await;
                    of(&load, &answer, {
                        answer
                            .reaches("VMSA-11", TwoHalves::pa(half, load.va))
                            .and_then(|()| answer.comes_from("VMSA-11", place))
                    })?;
                }
            }
        }
    }
    Ok(())
}
