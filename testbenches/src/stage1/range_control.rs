// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What TCR_EL1 forbids of a whole range: E0PD, EPD, TxSZ outside its limits, and the reserved
//! granule codes (VMSA-08, VMSA-09, VMSA-10).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::{El, Granule, SysReg, Tcr, Ttbr, VaRange};

use super::activity::{Probe, expect, of};
use super::geometry::{HALVES, start_levels};
use super::ranges::{NO_RANGE, TwoHalves, forget, no_translation, permitted, translation};
use super::regime::Regime;
use super::untranslated::every_kind;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "e0pd",
        purpose: "EL0 stays out of a range with E0PD, with and without the page in the TLB",
        requirements: &["VMSA-08", "VMSA-41"],
        run: e0pd,
    },
    Testbench {
        name: "epd",
        purpose: "a miss in a range with EPD faults without a walk; hits go on",
        requirements: &["VMSA-09", "WALK-21", "TLB-34"],
        run: epd,
    },
    Testbench {
        name: "txsz-limits",
        purpose: "every TxSZ from 0 to 63 walks from its start level or faults without a walk",
        requirements: &["VMSA-10", "VMSA-41"],
        run: txsz_limits,
    },
    Testbench {
        name: "reserved-granule",
        purpose: "TG0 = 11 and TG1 = 00 mean the 4K granule, as the codes 00 and 10 do",
        requirements: &["VMSA-12"],
        run: reserved_granule,
    },
];

fn e0pd(bench: &mut Bench) -> Result<(), Failure> {
    // Start levels 2 and 0: both faults are of level 0.
    let halves = TwoHalves::load(bench, [30, 48], 0x1234_5000, 0x1_0000_0000)?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for combination in 0..4u8 {
            let kept_out = [combination & 1 != 0, combination & 2 != 0];
            let control = |tcr: Tcr| {
                tcr.with_e0pd(VaRange::Lower, kept_out[0])
                    .with_e0pd(VaRange::Upper, kept_out[1])
            };
            halves.regime(control).switch(&core).await;
            for half in HALVES {
                let va = halves.va(half);
                let pa = TwoHalves::pa(half, va);
                for el in [El::El0, El::El1] {
                    for request in every_kind(va, el, 0).into_iter().filter(permitted) {
                        // After a walk, then with the entry that an EL1 access made in the TLB.
                        forget(&core).await;
                        for _ in 0..2 {
                            if el == El::El0 && kept_out[half as usize] {
                                no_translation(&core, &probe, "VMSA-08", request).await?;
                            } else {
                                translation(&core, "VMSA-08", request, pa).await?;
                            }
                            let load = CoreRequest::load(va, 3, El::El1);
                            translation(&core, "VMSA-08", load, pa).await?;
                        }
                    }
                }
            }
        }
        Ok(())
    })
}

/// The level 0 Translation fault of a disabled range, for which no walk starts.
async fn no_walk(core: &CoreHandle, probe: &Probe, request: CoreRequest) -> Result<(), Failure> {
    probe.clear();
    let answer = core.access(request).await;
    of(&request, &answer, answer.faults("VMSA-09", NO_RANGE))?;
    probe.look().no_walk("WALK-21", &[])
}

fn epd(bench: &mut Bench) -> Result<(), Failure> {
    let halves = TwoHalves::load(bench, [21, 39], 0x1_2000, 0x1_0000_0000)?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for combination in 0..4u8 {
            let disabled = [combination & 1 != 0, combination & 2 != 0];
            let control = |tcr: Tcr| {
                tcr.with_epd(VaRange::Lower, disabled[0])
                    .with_epd(VaRange::Upper, disabled[1])
            };
            halves.regime(control).switch(&core).await;
            for half in HALVES {
                let va = halves.va(half);
                for el in [El::El0, El::El1] {
                    for request in every_kind(va, el, 0).into_iter().filter(permitted) {
                        forget(&core).await;
                        if disabled[half as usize] {
                            no_walk(&core, &probe, request).await?;
                        } else {
                            translation(&core, "VMSA-09", request, TwoHalves::pa(half, va)).await?;
                        }
                    }
                }
            }
            // Entries made while the range was enabled serve on; a miss beside them still faults.
            halves.regime(|tcr| tcr).switch(&core).await;
            for half in HALVES {
                let load = CoreRequest::load(halves.va(half), 3, El::El0);
                translation(&core, "TLB-34", load, TwoHalves::pa(half, load.va)).await?;
            }
            core.access(CoreRequest::msr(SysReg::Tcr, halves.regime(control).tcr.0))
                .await;
            core.access(CoreRequest::isb()).await;
            for half in HALVES {
                let request = CoreRequest::load(halves.va(half), 3, El::El0);
                let answer = core.access(request).await;
                of(&request, &answer, {
                    answer
                        .reaches("TLB-34", TwoHalves::pa(half, request.va))
                        .and_then(|()| answer.comes_from("TLB-34", HitPlace::L1))
                })?;
                if disabled[half as usize] {
                    let beside = CoreRequest::load(request.va ^ 0x1000, 3, El::El0);
                    no_walk(&core, &probe, beside).await?;
                }
            }
        }
        Ok(())
    })
}

fn txsz_limits(bench: &mut Bench) -> Result<(), Failure> {
    // An empty root: a walk that begins ends at its first descriptor.
    const ROOT: u64 = 0x1_0000_0000;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for granule in Granule::ALL {
            for half in HALVES {
                for txsz in 0..64u8 {
                    let empty = Regime::default();
                    let tcr = empty.tcr.with_tsz(half, txsz).with_granule(half, granule);
                    let regime = Regime {
                        ttbr0: Ttbr::new(1, ROOT),
                        ttbr1: Ttbr::new(1, ROOT),
                        tcr: tcr.with_epd(half, false),
                        ..empty
                    };
                    regime.switch(&core).await;
                    let rows = start_levels(granule).iter();
                    let start = rows
                        .filter(|row| (row.1..=row.2).contains(&txsz))
                        .map(|row| row.0)
                        .next();
                    let va = if half == VaRange::Lower {
                        0
                    } else {
                        u64::MAX << 3
                    };
                    for request in every_kind(va, El::El0, 0) {
                        match start {
                            None => no_translation(&core, &probe, "VMSA-10", request).await?,
                            Some(level) => {
                                probe.clear();
                                let answer = core.access(request).await;
                                let seen = probe.look();
                                let walked =
                                    seen.steps.first().map(|&(level, _)| level) == Some(level);
                                expect("VMSA-10", walked, || {
                                    let what =
                                        format!("{granule} TxSZ {txsz} {request} => {answer}");
                                    (
                                        format!("{what}, {seen:x?}"),
                                        format!("a walk from level {level}"),
                                    )
                                })?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    })
}

fn reserved_granule(bench: &mut Bench) -> Result<(), Failure> {
    let halves = TwoHalves::load(bench, [40, 33], 0x1_dcba_9000, 0x1_0000_0000)?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for (tg0, tg1) in [(0b00, 0b10), (0b11, 0b00)] {
            let control = |tcr: Tcr| {
                tcr.with_tg(VaRange::Lower, tg0)
                    .with_tg(VaRange::Upper, tg1)
            };
            halves.regime(control).switch(&core).await;
            for (half, level) in HALVES.into_iter().zip([0, 1]) {
                probe.clear();
                let load = CoreRequest::load(halves.va(half), 3, El::El1);
                translation(&core, "VMSA-12", load, TwoHalves::pa(half, load.va)).await?;
                let seen = probe.look();
                let levels: Vec<u8> = seen.steps.iter().map(|&(level, _)| level).collect();
                expect(
                    "VMSA-12",
                    levels == (level..=3).collect::<Vec<u8>>(),
                    || {
                        (
                            format!("levels read: {levels:?}"),
                            format!("levels {level} to 3"),
                        )
                    },
                )?;
            }
        }
        Ok(())
    })
}
