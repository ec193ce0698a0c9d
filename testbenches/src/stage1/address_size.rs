// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 7: Address size faults for each output size, and the levels that faults without a
//! descriptor report (VMSA-41, VMSA-42, VMSA-45).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{El, Fsc, Granule, VaRange, geometry};

use super::regime::{Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "address-size",
        purpose: "each IPS against each address bit, in the base, each table and each leaf",
        requirements: &["VMSA-42", "VMSA-45"],
        run: sizes,
    },
    Testbench {
        name: "level-0-faults",
        purpose: "out of range, EPD, E0PD and illegal TxSZ report level 0 from every start level",
        requirements: &["VMSA-41"],
        run: level_0,
    },
];

const TABLES: u64 = 0x5000_0000;
const PAGE: u64 = 0x8000_0000;

/// Output bits of IPS 0 to 6; 52 is cut to the 48 bits of the profile.
const OUTPUT_BITS: [(u8, u32); 7] = [
    (0, 32),
    (1, 36),
    (2, 40),
    (3, 42),
    (4, 44),
    (5, 48),
    (6, 48),
];

fn sizes(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        for leaf_level in (1..=3).filter(|&level| geometry::leaf_allowed(granule, level)) {
            bench.restart()?;
            let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
            let va = 0x1234_5678_9a40;
            let leaf = user_rw(granule, leaf_level, PAGE);
            tree.map(va, leaf_level, leaf);
            let lsb = geometry::level_lsb(granule, leaf_level);
            let start = tree.start_level();
            let slots: Vec<u64> = (start..=leaf_level)
                .map(|level| tree.slot(va, level))
                .collect();
            tree.load(bench)?;
            let handle = bench.handle()?;
            bench.run(async move |core| {
                let request = CoreRequest::at(va, El::El0, false, false);
                let root = slots[0];
                for (ips, output_bits) in OUTPUT_BITS {
                    let mut regime = Regime::default().with(&tree, 1);
                    regime.tcr = regime.tcr.with_ips(ips);
                    regime.enter(&core).await;
                    for bit in 32..48u32 {
                        let fits = bit < output_bits;
                        let far = 1u64 << bit;
                        // In the descriptor of each level: next-table or output address.
                        for (level, &slot) in (start..).zip(&slots) {
                            let word = tree.word(slot);
                            handle.poke(slot, word | far);
                            if level < leaf_level {
                                // The table that the far address names is a copy.
                                let next = slots[usize::from(level - start) + 1];
                                handle.poke(next | far, tree.word(next));
                            }
                            flush(&core).await;
                            let answer = core.access(request).await;
                            let id = if level < leaf_level {
                                "VMSA-42"
                            } else {
                                "VMSA-45"
                            };
                            let pa =
                                leaf.output_address(granule, leaf_level) | va & ((1 << lsb) - 1);
                            // A bit inside the block is no address bit (WALK-05).
                            let counts = level < leaf_level || bit >= lsb;
                            let moved = if level == leaf_level && counts {
                                pa | far
                            } else {
                                pa
                            };
                            on(
                                request,
                                match fits || !counts {
                                    true => answer.reaches(id, moved),
                                    false => answer.faults(id, Fsc(level)),
                                },
                            )
                            .map_err(|failure| told(failure, ips, bit, level))?;
                            handle.poke(slot, word);
                        }
                        // In the base: level 0, whatever the start level.
                        handle.poke(root | far, tree.word(root));
                        let mut moved = regime;
                        moved.ttbr0.0 |= far;
                        moved.enter(&core).await;
                        flush(&core).await;
                        let answer = core.access(request).await;
                        on(
                            request,
                            match fits {
                                true => answer.succeeds("VMSA-45"),
                                false => answer.faults("VMSA-45", Fsc(0x00)),
                            },
                        )
                        .map_err(|failure| told(failure, ips, bit, start))?;
                        regime.enter(&core).await;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn told(mut failure: Failure, ips: u8, bit: u32, level: u8) -> Failure {
    failure.what = format!(
        "{} with IPS {ips}, bit {bit} at level {level}",
        failure.what
    );
    failure
}

fn level_0(bench: &mut Bench) -> Result<(), Failure> {
    const FAULT: Fsc = Fsc(0x04);
    for range in [VaRange::Lower, VaRange::Upper] {
        for (granule, va_bits) in [
            (Granule::K4, 48),
            (Granule::K4, 39),
            (Granule::K4, 30),
            (Granule::K4, 21),
            (Granule::K16, 48),
            (Granule::K16, 47),
            (Granule::K16, 36),
            (Granule::K16, 25),
            (Granule::K64, 48),
            (Granule::K64, 42),
            (Granule::K64, 29),
        ] {
            bench.restart()?;
            let watch = Watch::on(bench)?;
            let mut tree = Tree::new(range, granule, va_bits, TABLES);
            let va = tree.va(0x1_8a40 & ((1 << va_bits) - 1));
            tree.map(va, 3, user_rw(granule, 3, PAGE));
            tree.load(bench)?;
            bench.run(async move |core| {
                let good = Regime::default().with(&tree, 1);
                let too_short = good
                    .tcr
                    .with_tsz(range, if granule == Granule::K64 { 48 } else { 49 });
                let wrong_bit = 1u64 << va_bits;
                let rows = [
                    ("illegal TxSZ", too_short, va),
                    ("TxSZ too small", good.tcr.with_tsz(range, 15), va),
                    ("out of range", good.tcr, va ^ wrong_bit),
                    ("E0PD", good.tcr.with_e0pd(range, true), va),
                    ("EPD", good.tcr.with_epd(range, true), va),
                ];
                for (what, tcr, va) in rows {
                    Regime { tcr, ..good }.enter(&core).await;
                    flush(&core).await;
                    watch.clear();
                    for request in [
                        CoreRequest::load(va, 3, El::El0),
                        CoreRequest::store(va, 3, El::El0, 1),
                        CoreRequest::cas(va, El::El0, 0, 1),
                        CoreRequest::fetch(va, El::El0),
                        CoreRequest::at(va, El::El0, false, false),
                    ] {
                        let answer = core.access(request).await;
                        on(request, answer.faults("VMSA-41", FAULT)).map_err(|mut failure| {
                            failure.what = format!("{what}: {}", failure.what);
                            failure
                        })?;
                    }
                    let reads = watch.seen().reads.len();
                    expect("VMSA-41", reads == 0, || {
                        format!("{what}: {reads} descriptor reads")
                    })?;
                }
                good.enter(&core).await;
                flush(&core).await;
                core.access(CoreRequest::load(va, 3, El::El0))
                    .await
                    .succeeds("VMSA-41")
            })?;
        }
    }
    Ok(())
}
