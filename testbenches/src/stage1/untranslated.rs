// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 1 with translation off: SCTLR_EL1.M = 0 (VMSA-01, VMSA-02, VMSA-03).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{El, Fsc, Granule, Sctlr, SysReg, VaRange};

use super::activity::{Probe, expect, of};
use super::regime::{Regime, user_rw};
use super::tree::Tree;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "translation-off",
        purpose: "M = 0: flat addresses, no walk, no use of a TLB entry that matches",
        requirements: &["VMSA-01", "VMSA-03"],
        run: flat,
    },
    Testbench {
        name: "translation-off-address-size",
        purpose: "M = 0: each VA bit from 48 up, under TBI and TBID, for every kind of access",
        requirements: &["VMSA-02"],
        run: too_large,
    },
];

/// Address size fault, level 0.
const TOO_LARGE: Fsc = Fsc(0x00);

/// A request of every kind that translates, at `va`. The store writes what memory holds.
#[must_use]
pub fn every_kind(va: u64, el: El, held: u64) -> [CoreRequest; 6] {
    [
        CoreRequest::load(va, 3, el),
        CoreRequest::store(va, 3, el, held),
        CoreRequest::cas(va, el, held, held),
        CoreRequest::fetch(va, el),
        CoreRequest::at(va, el, false, false),
        CoreRequest::at(va, el, true, false),
    ]
}

/// Sets SCTLR_EL1 and synchronises.
async fn set_sctlr(core: &cosim::sim::CoreHandle, sctlr: Sctlr) {
    core.access(CoreRequest::msr(SysReg::Sctlr, sctlr.0)).await;
    core.access(CoreRequest::isb()).await;
}

fn flat(bench: &mut Bench) -> Result<(), Failure> {
    const VA: u64 = 0x7_5678_9000;
    const TRANSLATED: u64 = 0x2_4680_0000;
    const HELD: u64 = 0x1357_9bdf_0246_8ace;
    const ELSEWHERE: u64 = 0x0f0f_1e1e_2d2d_3c3c;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 39, 0x1_0000_0000);
    // EL0 may not write it, so that EL1 may execute it.
    let page = user_rw(Granule::K4, 3, TRANSLATED).with_ap_read_only(true);
    tree.map(VA, 3, page);
    tree.load(bench)?;
    bench.load(VA, &[HELD])?;
    bench.load(TRANSLATED, &[ELSEWHERE])?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        let regime = Regime::default().with(&tree, 1);
        regime.enter(&core).await;
        // The entries in both TLBs that must not be used.
        for request in [
            CoreRequest::load(VA, 3, El::El1),
            CoreRequest::fetch(VA, El::El1),
        ] {
            let answer = core.access(request).await;
            of(&request, &answer, answer.reaches("VMSA-01", TRANSLATED))?;
        }
        for (c, i) in [(true, true), (true, false), (false, true), (false, false)] {
            set_sctlr(&core, Sctlr(0).with_c(c).with_i(i)).await;
            for el in [El::El0, El::El1] {
                for request in every_kind(VA, el, HELD) {
                    probe.clear();
                    let answer = core.access(request).await;
                    let seen = probe.look();
                    let fetch = request == CoreRequest::fetch(VA, el);
                    // VMSA-03: Device-nGnRnE; Normal WT RA or Non-cacheable; Outer Shareable.
                    let attr = match (fetch, i) {
                        (false, _) => 0x00,
                        (true, true) => 0xaa,
                        (true, false) => 0x44,
                    };
                    of(&request, &answer, {
                        answer
                            .reaches("VMSA-01", VA)
                            .and_then(|()| answer.comes_from("VMSA-01", HitPlace::None))
                            .and_then(|()| answer.has_attributes("VMSA-03", attr, 2))
                    })?;
                    let quiet = seen.walks == 0
                        && seen.steps.is_empty()
                        && seen.fills.is_empty()
                        && seen.reads.iter().all(|&at| at == VA);
                    expect("VMSA-01", quiet, || {
                        (
                            format!("{request}: {seen:x?}"),
                            "no table access, no TLB entry".to_owned(),
                        )
                    })?;
                }
                let request = CoreRequest::load(VA, 3, el);
                let answer = core.access(request).await;
                of(&request, &answer, answer.reads("VMSA-01", HELD))?;
            }
        }
        // Neither were the entries changed.
        set_sctlr(&core, regime.sctlr).await;
        let request = CoreRequest::load(VA, 3, El::El1);
        let answer = core.access(request).await;
        of(&request, &answer, {
            answer
                .reaches("VMSA-01", TRANSLATED)
                .and_then(|()| answer.reads("VMSA-01", ELSEWHERE))
        })
    })
}

fn too_large(bench: &mut Bench) -> Result<(), Failure> {
    const HELD: u64 = 0x0123_4567_89ab_cdef;
    // The greatest and another flat address: VA[47:0] is not checked.
    const PLACES: [u64; 2] = [0xffff_ffff_fff8, 0x1_2345_6780];
    for place in PLACES {
        bench.load(place, &[HELD])?;
    }
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for combination in 0..16u8 {
            let [tbi0, tbi1, tbid0, tbid1] = [1, 2, 4, 8].map(|bit| combination & bit != 0);
            let tcr = Regime::default()
                .tcr
                .with_tbi(VaRange::Lower, tbi0)
                .with_tbi(VaRange::Upper, tbi1)
                .with_tbid(VaRange::Lower, tbid0)
                .with_tbid(VaRange::Upper, tbid1);
            core.access(CoreRequest::msr(SysReg::Tcr, tcr.0)).await;
            core.access(CoreRequest::isb()).await;
            for (place, el) in PLACES.into_iter().zip([El::El0, El::El1]) {
                let extras = (48..64)
                    .map(|bit| 1u64 << bit)
                    .chain([0, 0xab << 56, 0xffff << 48]);
                for va in extras.map(|extra| extra | place) {
                    for request in every_kind(va, el, HELD) {
                        probe.clear();
                        let answer = core.access(request).await;
                        let fetch = request == CoreRequest::fetch(va, el);
                        // VA[55] = 0 picks TBI0, and VA[55] = 1 is too large by itself.
                        let tag_ignored = tbi0 && !(fetch && tbid0);
                        let checked = if tag_ignored {
                            0x00ff << 48
                        } else {
                            0xffff << 48
                        };
                        let expected = if va & checked == 0 {
                            answer.reaches("VMSA-02", va & 0xffff_ffff_ffff)
                        } else {
                            answer
                                .faults("VMSA-02", TOO_LARGE)
                                .and_then(|()| probe.look().no_walk("VMSA-02", &[]))
                        };
                        of(&request, &answer, expected)?;
                    }
                }
            }
        }
        Ok(())
    })
}
