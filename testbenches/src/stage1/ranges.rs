// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The checks on an address before any walk: which TTBR it picks, VA range and tag byte (VMSA-04,
//! VMSA-05, VMSA-07).

use cosim::dut::ports::{CoreRequest, Op};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::{El, Fsc, Granule, Tcr, Tlbi, TlbiScope, VaRange};

use super::activity::{Probe, of};
use super::geometry::HALVES;
use super::regime::{Regime, user_rw};
use super::tree::Tree;
use super::untranslated::every_kind;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "ttbr-choice",
        purpose: "VA[55] alone picks the TTBR, for every kind of access, tag byte and TBI setting",
        requirements: &["VMSA-04"],
        run: ttbr_choice,
    },
    Testbench {
        name: "va-range",
        purpose: "each VA bit above IASIZE flipped, for every TxSZ, with and without TBI",
        requirements: &["VMSA-05"],
        run: va_range,
    },
    Testbench {
        name: "tag-of-fetches",
        purpose: "TBID keeps the tag byte of fetches, and of fetches only, in the range check",
        requirements: &["VMSA-07"],
        run: tag_of_fetches,
    },
];

/// Translation fault, level 0.
pub const NO_RANGE: Fsc = Fsc(0x04);
/// Where the page of the lower half lies, and that of the upper half.
const PAGES: [u64; 2] = [0x2_1000_0000, 0x3_2000_0000];

/// One page in each half, at byte `offset` of each, both under ASID 1.
pub struct TwoHalves {
    /// The tables, lower half first.
    pub trees: [Tree; 2],
    offset: u64,
}

impl TwoHalves {
    /// Trees of `bits` VA bits each (lower, upper) in memory, with tables from `base` on.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub fn load(
        bench: &mut Bench,
        bits: [u32; 2],
        offset: u64,
        base: u64,
    ) -> Result<Self, Failure> {
        let tree = |i: usize| {
            let base = base + i as u64 * 0x10_0000;
            let mut tree = Tree::new(HALVES[i], Granule::K4, bits[i], base);
            tree.map(tree.va(offset), 3, user_rw(Granule::K4, 3, PAGES[i]));
            tree
        };
        let trees = [tree(0), tree(1)];
        for tree in &trees {
            tree.load(bench)?;
        }
        Ok(Self { trees, offset })
    }

    /// The regime in which both translate, with `tcr` changed on top.
    #[must_use]
    pub fn regime(&self, tcr: impl FnOnce(Tcr) -> Tcr) -> Regime {
        let both = Regime::default()
            .with(&self.trees[0], 1)
            .with(&self.trees[1], 1);
        Regime {
            tcr: tcr(both.tcr),
            ..both
        }
    }

    /// The mapped VA of `half`.
    #[must_use]
    pub fn va(&self, half: VaRange) -> u64 {
        self.trees[half as usize].va(self.offset)
    }

    /// The PA of byte `va` of the page of `half`.
    #[must_use]
    pub fn pa(half: VaRange, va: u64) -> u64 {
        PAGES[half as usize] | va & 0xfff
    }
}

/// Removes every TLB entry.
pub async fn forget(core: &CoreHandle) {
    core.access(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local)))
        .await;
    core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
}

/// The level 0 Translation fault that comes without a walk.
///
/// # Errors
/// Under `requirement`, when something else came.
pub async fn no_translation(
    core: &CoreHandle,
    probe: &Probe,
    requirement: &str,
    request: CoreRequest,
) -> Result<(), Failure> {
    probe.clear();
    let answer = core.access(request).await;
    let seen = probe.look();
    let outcome = answer
        .faults(requirement, NO_RANGE)
        .and_then(|()| seen.no_walk(requirement, &[]));
    of(&request, &answer, outcome)
}

/// The translation to `pa`.
///
/// # Errors
/// Under `requirement`, when something else came.
pub async fn translation(
    core: &CoreHandle,
    requirement: &str,
    request: CoreRequest,
    pa: u64,
) -> Result<(), Failure> {
    let answer = core.access(request).await;
    of(&request, &answer, answer.reaches(requirement, pa))
}

/// Whether `request` may go to the pages of [`TwoHalves`]: EL1 never executes what EL0 may write.
#[must_use]
pub fn permitted(request: &CoreRequest) -> bool {
    request.el == El::El0 || request.op != Op::Fetch
}

fn ttbr_choice(bench: &mut Bench) -> Result<(), Failure> {
    let halves = TwoHalves::load(bench, [48, 46], 0x1357_9bdf_0000, 0x1_0000_0000)?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for combination in 0..4u8 {
            let tbi = [combination & 1 != 0, combination & 2 != 0];
            let tagged = |tcr: Tcr| {
                tcr.with_tbi(VaRange::Lower, tbi[0])
                    .with_tbi(VaRange::Upper, tbi[1])
            };
            halves.regime(tagged).switch(&core).await;
            for tag in [0x00, 0xff, 0x80, 0x7f, 0xaa, 0x55u64] {
                for half in HALVES {
                    let va = halves.va(half) & 0x00ff_ffff_ffff_ffff | tag << 56;
                    let untagged = if half == VaRange::Lower { 0x00 } else { 0xff };
                    let good = tag == untagged || tbi[half as usize];
                    let kinds = [El::El0, El::El1]
                        .into_iter()
                        .flat_map(|el| every_kind(va, el, 0));
                    for request in kinds.filter(permitted) {
                        // After a walk, and then from the TLB.
                        forget(&core).await;
                        for _ in 0..2 {
                            if good {
                                let pa = TwoHalves::pa(half, va);
                                translation(&core, "VMSA-04", request, pa).await?;
                            } else {
                                no_translation(&core, &probe, "VMSA-04", request).await?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    })
}

fn va_range(bench: &mut Bench) -> Result<(), Failure> {
    // The two halves get different sizes, so that each is checked with its own.
    let shapes: Vec<(u8, TwoHalves)> = (16..=48u8)
        .map(|txsz| {
            let bits = [64 - u32::from(txsz), u32::from(txsz)];
            let base = 0x1_0000_0000 + u64::from(txsz) * 0x20_0000;
            TwoHalves::load(bench, bits, 0x8000, base).map(|halves| (txsz, halves))
        })
        .collect::<Result<_, _>>()?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for (_, halves) in &shapes {
            for tbi in [false, true] {
                let both = |tcr: Tcr| {
                    tcr.with_tbi(VaRange::Lower, tbi)
                        .with_tbi(VaRange::Upper, tbi)
                };
                halves.regime(both).switch(&core).await;
                for half in HALVES {
                    let va = halves.va(half);
                    let pa = TwoHalves::pa(half, va);
                    // The TLBs hold the page from here on: no entry may stand in for the check.
                    for request in [
                        CoreRequest::load(va, 3, El::El0),
                        CoreRequest::fetch(va, El::El0),
                    ] {
                        translation(&core, "VMSA-05", request, pa).await?;
                    }
                    for bit in halves.trees[half as usize].va_bits()..64 {
                        let va = va ^ 1 << bit;
                        let load = CoreRequest::load(va, 3, El::El0);
                        let fetch = CoreRequest::fetch(va, El::El0);
                        for request in [load, fetch] {
                            if tbi && bit >= 56 {
                                translation(&core, "VMSA-05", request, pa).await?;
                            } else {
                                no_translation(&core, &probe, "VMSA-05", request).await?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    })
}

fn tag_of_fetches(bench: &mut Bench) -> Result<(), Failure> {
    let halves = TwoHalves::load(bench, [39, 42], 0x7_654f_3000, 0x1_0000_0000)?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for combination in 0..16u8 {
            let bit = |n: u8| combination >> n & 1 != 0;
            let (tbi, tbid) = ([bit(0), bit(1)], [bit(2), bit(3)]);
            let tagged = |tcr: Tcr| {
                tcr.with_tbi(VaRange::Lower, tbi[0])
                    .with_tbi(VaRange::Upper, tbi[1])
                    .with_tbid(VaRange::Lower, tbid[0])
                    .with_tbid(VaRange::Upper, tbid[1])
            };
            halves.regime(tagged).switch(&core).await;
            for half in HALVES {
                let va = halves.va(half) ^ 0x5a << 56;
                for request in every_kind(va, El::El0, 0) {
                    let kept = request.op == Op::Fetch && tbid[half as usize];
                    // First without, then with the page in the TLB.
                    for _ in 0..2 {
                        if tbi[half as usize] && !kept {
                            let pa = TwoHalves::pa(half, va);
                            translation(&core, "VMSA-07", request, pa).await?;
                        } else {
                            no_translation(&core, &probe, "VMSA-07", request).await?;
                        }
                        let untagged = CoreRequest {
                            va: halves.va(half),
                            ..request
                        };
                        let pa = TwoHalves::pa(half, untagged.va);
                        translation(&core, "VMSA-07", untagged, pa).await?;
                    }
                }
            }
        }
        Ok(())
    })
}
