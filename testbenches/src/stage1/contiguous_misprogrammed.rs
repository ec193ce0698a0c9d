// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Runs that software laid out wrongly: the result is that of one of the run's descriptors, whole
//! (section 4, TLB-06).

use cosim::check::Expectation;
use cosim::dut::ports::{CoreRequest, CoreResponse};
use cosim::regress::{Bench, Failure, Testbench};
use rand::Rng;
use vmsa::{Descriptor, El, Fsc, VaRange};

use super::contiguous::{RUNS, invalidate_all};
use super::regime::{DEVICE, NON_CACHEABLE, NORMAL, Regime, user_rw};
use super::tree::Tree;
use super::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "contiguous-misprogrammed",
    purpose: "a misprogrammed run gives the translation of one of its descriptors, never a blend",
    requirements: &["TLB-06", "TLB-02"],
    run: one_descriptor_or_another,
}];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x0040_0000_0000;
/// Each descriptor of the run maps a piece of memory of its own; further apart than any run.
const PA: u64 = 0x1000_0000_0000;
const APART: u64 = 32 << 30;

/// One descriptor of the run, as far as the answer can tell it from the others.
#[derive(Debug, Clone, Copy)]
struct Member {
    valid: bool,
    contiguous: bool,
    writable: bool,
    oa: u64,
    attr: (u8, u8),
}

impl Member {
    /// What the run based on this descriptor gives for the byte at `offset` of the run.
    fn as_run(&self, run: u64, offset: u64) -> u64 {
        self.oa / run * run + offset
    }

    fn fits(&self, answer: &CoreResponse, write: bool, pa: u64, level: u8) -> bool {
        match answer.fault {
            None => {
                answer.pa == pa
                    && (answer.attr, answer.sh) == self.attr
                    && (self.writable || !write)
            }
            Some(fsc) => fsc == Fsc(0x0c + level) && write && !self.writable,
        }
    }
}

fn one_descriptor_or_another(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, leaf, run) in RUNS {
        for round in 0..4 {
            bench.restart()?;
            let mut rng = bench.rng(&format!("{granule} {level} {round}"));
            let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
            let mut members = Vec::new();
            for i in 0..run / leaf {
                // Not ascending, not aligned to the run: the members agree in nothing.
                let oa = PA + i * APART + rng.random_range(0..run / leaf) * leaf;
                let (index, attr) = [
                    (NORMAL, (0xff, 3)),
                    (NON_CACHEABLE, (0x44, 2)),
                    (DEVICE, (0x04, 2)),
                ][rng.random_range(0..3)];
                let member = Member {
                    valid: rng.random_bool(0.8),
                    contiguous: rng.random_bool(0.8),
                    writable: rng.random_bool(0.5),
                    oa,
                    attr,
                };
                let leaf_word = user_rw(granule, level, oa)
                    .with_attr_index(index)
                    .with_ap_read_only(!member.writable)
                    .with_contiguous(member.contiguous);
                tree.map(
                    VA + i * leaf,
                    level,
                    Descriptor(leaf_word.0).with_valid(member.valid),
                );
                members.push(member);
            }
            tree.load(bench)?;
            // Members that all stay alone, or are read through no run, leave nothing to report.
            bench.expect_violation(Expectation::of("TLB-06").by("contiguous runs").if_any())?;
            let regime = Regime::default().with(&tree, 1);
            bench.run(async move |core| {
                regime.enter(&core).await;
                for step in 0..60 {
                    let offset = rng.random_range(0..run / 8) * 8;
                    let write = rng.random_bool(0.3);
                    let va = VA + offset;
                    let request = match write {
                        true => CoreRequest::store(va, 3, El::El0, step),
                        false => CoreRequest::load(va, 3, El::El0),
                    };
                    let answer = core.access(request).await;
                    let own = members[(offset / leaf) as usize];
                    let by_own = match own.valid {
                        true => own.fits(&answer, write, own.oa + offset % leaf, level),
                        false => answer.fault == Some(Fsc(0x04 + level)),
                    };
                    let by_another = members.iter().any(|member| {
                        let pa = member.as_run(run, offset);
                        member.valid && member.contiguous && member.fits(&answer, write, pa, level)
                    });
                    expect("TLB-06", by_own || by_another, || {
                        format!("{request} gave {answer}, as no descriptor of the run does")
                    })?;
                    if rng.random_bool(0.1) {
                        invalidate_all(&core).await;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}
