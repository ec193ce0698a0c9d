// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! AT operations: what S1E0R, S1E0W, S1E1R, S1E1W, S1E1RP and S1E1WP report, and that they leave
//! memory alone (VMSA-54, VMSA-55, HAF-14, HAF-15).

use cosim::dut::ports::{CoreRequest, CoreResponse};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, ErrorOn};
use vmsa::{AtOp, Descriptor, Fsc, Granule, Sctlr, VaRange};

use super::activity::{Probe, expect, of, within};
use super::geometry::{block_levels, level_bits};
use super::ranges::forget;
use super::regime::{DEVICE, NON_CACHEABLE, Regime, user_rw};
use super::tree::Tree;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "at-permissions",
        purpose: "all six AT operations on every AP, with EPAN, UXN and table limits",
        requirements: &["VMSA-54", "VMSA-51"],
        run: permissions,
    },
    Testbench {
        name: "at-results",
        purpose: "AT reports PA, ATTR and SH of pages and blocks, and with translation off",
        requirements: &["VMSA-54", "VMSA-01"],
        run: results,
    },
    Testbench {
        name: "at-side-effects",
        purpose: "AT sets the access flag but not the dirty state, reads no data, reports aborts",
        requirements: &["VMSA-54", "VMSA-55", "HAF-14", "HAF-15"],
        run: side_effects,
    },
];

/// The operations, in the order of the columns below.
const OPERATIONS: [AtOp; 6] = [
    AtOp::S1E0R,
    AtOp::S1E0W,
    AtOp::S1E1R,
    AtOp::S1E1W,
    AtOp::S1E1RP,
    AtOp::S1E1WP,
];

const PA: u64 = 0x3_1234_5000;

fn request(op: AtOp, va: u64) -> CoreRequest {
    CoreRequest::at(va, op.el(), op.write(), op.pan())
}

/// Success with what PAR_EL1 shows, or a Permission fault at level 3 with CM and WnR set.
fn reports(answer: &CoreResponse, pa: u64, allowed: bool) -> Result<(), Failure> {
    if allowed {
        answer.reaches("VMSA-54", pa)?;
        return answer.has_attributes("VMSA-54", 0xff, 3);
    }
    answer.faults("VMSA-54", Fsc(0x0f))?;
    expect("VMSA-51", answer.wnr && answer.cm, || {
        (
            format!("WnR {}, CM {}", answer.wnr, answer.cm),
            "WnR 1, CM 1".to_owned(),
        )
    })
}

fn permissions(bench: &mut Bench) -> Result<(), Failure> {
    const VA: u64 = 0x7_6543_2000;
    // AP[2:1], UXN, APTable, EPAN; then 1 where the operation of OPERATIONS is allowed.
    const TABLE: [(u8, bool, u8, bool, &str); 16] = [
        (0b00, true, 0b00, false, "001111"),
        (0b01, true, 0b00, false, "111100"),
        (0b10, true, 0b00, false, "001010"),
        (0b11, true, 0b00, false, "101000"),
        // EPAN: what EL0 may execute is a user page.
        (0b00, false, 0b00, false, "001111"),
        (0b00, false, 0b00, true, "001100"),
        (0b10, false, 0b00, true, "001000"),
        (0b00, true, 0b00, true, "001111"),
        (0b11, false, 0b00, true, "101000"),
        // APTable[0] takes EL0 away, and with it what PAN looks at.
        (0b01, true, 0b01, false, "001111"),
        (0b11, true, 0b01, false, "001010"),
        (0b01, false, 0b01, true, "001100"),
        // APTable[1] takes write away.
        (0b01, true, 0b10, false, "101000"),
        (0b00, true, 0b10, false, "001010"),
        (0b01, true, 0b11, false, "001010"),
        (0b10, true, 0b11, true, "001010"),
    ];
    let mut scenes = Vec::new();
    for (&row, n) in TABLE.iter().zip(0u64..) {
        let (ap, uxn, limit, epan, _) = row;
        let mut tree = Tree::new(
            VaRange::Lower,
            Granule::K4,
            39,
            0x1_0000_0000 + n * 0x10_0000,
        );
        let leaf = user_rw(Granule::K4, 3, PA)
            .with_ap(ap)
            .with_uxn(uxn)
            .with_pxn(true);
        tree.map(VA, 3, leaf);
        let upper = tree.slot(VA, 1);
        tree.set(upper, Descriptor(tree.word(upper)).with_ap_table(limit).0);
        tree.load(bench)?;
        let plain = Regime::default().with(&tree, 1);
        scenes.push((
            row,
            Regime {
                sctlr: plain.sctlr.with_epan(epan),
                ..plain
            },
        ));
    }
    bench.run(async move |core| {
        for (row, regime) in &scenes {
            regime.switch(&core).await;
            for (op, allowed) in OPERATIONS.into_iter().zip(row.4.bytes()) {
                forget(&core).await;
                // By a walk, and then from the TLB.
                for _ in 0..2 {
                    let request = request(op, VA | 0x123);
                    let answer = core.access(request).await;
                    of(
                        &request,
                        &answer,
                        reports(&answer, PA | 0x123, allowed == b'1'),
                    )
                    .map_err(|failure| within(failure, &format!("{row:x?}")))?;
                }
            }
        }
        Ok(())
    })
}

fn results(bench: &mut Bench) -> Result<(), Failure> {
    const OUTPUT: u64 = 0x4000_0000_0000;
    const OFFSET: u64 = 0x1357_9bdf_0aaa;
    let mut scenes = Vec::new();
    for granule in Granule::ALL {
        for level in block_levels(granule).iter().copied().chain([3]) {
            // ATTR and SH as reported: Device and Non-cacheable are Outer Shareable.
            for (index, sh, shown) in [
                (0, 3, (0xff, 3)),
                (0, 0, (0xff, 0)),
                (NON_CACHEABLE, 3, (0x44, 2)),
                (DEVICE, 0, (0x04, 2)),
            ] {
                let base = 0x1_0000_0000 + scenes.len() as u64 * 0x10_0000;
                let mut tree = Tree::new(VaRange::Upper, granule, 47, base);
                let va = tree.va(OFFSET);
                let leaf = user_rw(granule, level, OUTPUT)
                    .with_attr_index(index)
                    .with_sh(sh);
                tree.map(va, level, leaf);
                tree.load(bench)?;
                let pa = OUTPUT | va & ((1 << level_bits(granule, level).1) - 1);
                scenes.push((Regime::default().with(&tree, 1), va, pa, shown));
            }
        }
    }
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for (regime, va, pa, (attr, sh)) in &scenes {
            for op in [AtOp::S1E0R, AtOp::S1E0W, AtOp::S1E1R, AtOp::S1E1W] {
                regime.switch(&core).await;
                let request = request(op, *va);
                let answer = core.access(request).await;
                of(&request, &answer, {
                    answer
                        .reaches("VMSA-54", *pa)
                        .and_then(|()| answer.has_attributes("VMSA-54", *attr, *sh))
                })?;
            }
        }
        core.access(CoreRequest::msr(vmsa::SysReg::Sctlr, Sctlr(0).0))
            .await;
        core.access(CoreRequest::isb()).await;
        for op in OPERATIONS {
            probe.clear();
            let request = request(op, 0x1234_5678_9abc);
            let answer = core.access(request).await;
            of(&request, &answer, {
                answer
                    .reaches("VMSA-54", 0x1234_5678_9abc)
                    .and_then(|()| answer.has_attributes("VMSA-54", 0x00, 2))
                    .and_then(|()| probe.look().no_walk("VMSA-01", &[]))
            })?;
        }
        Ok(())
    })
}

/// One AT of each kind, from a walk.
async fn each(core: &CoreHandle, va: u64) -> Vec<(CoreRequest, CoreResponse)> {
    let mut answers = Vec::new();
    for op in OPERATIONS {
        forget(core).await;
        let request = request(op, va);
        answers.push((request, core.access(request).await));
    }
    answers
}

fn side_effects(bench: &mut Bench) -> Result<(), Failure> {
    const VA: u64 = 0x3000;
    const AF: u64 = 1 << 10;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 21, 0x1_0000_0000);
    // EL1 only, so that PAN has no part; writable-clean.
    let clean = user_rw(Granule::K4, 3, PA)
        .with_ap(0b10)
        .with_uxn(true)
        .with_dbm(true);
    let slot = tree.map(VA, 3, clean);
    tree.load(bench)?;
    let memory = bench.handle()?;
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        let plain = Regime::default().with(&tree, 1);
        let regime = Regime {
            tcr: plain.tcr.with_ha(true).with_hd(true),
            ..plain
        };
        regime.enter(&core).await;
        for op in [AtOp::S1E1R, AtOp::S1E1W, AtOp::S1E1RP, AtOp::S1E1WP] {
            for (before, after) in [(clean.0, clean.0), (clean.0 & !AF, clean.0)] {
                memory.poke(slot, before);
                forget(&core).await;
                probe.clear();
                let request = request(op, VA);
                // DBM = 1 counts as writable. Twice: by a walk, and from the TLB.
                for _ in 0..2 {
                    let answer = core.access(request).await;
                    of(&request, &answer, reports(&answer, PA, true))?;
                }
                let (held, seen) = (memory.peek(slot), probe.look());
                let requirement = if before == after { "HAF-14" } else { "HAF-15" };
                expect(requirement, held == after, || {
                    (
                        format!("{request} left {held:#018x}"),
                        format!("{after:#018x}"),
                    )
                })?;
                let data = seen.reads.iter().chain(&seen.writes).any(|&at| at != slot);
                expect("VMSA-54", !data, || {
                    (
                        format!("{request}: {seen:x?}"),
                        "no access but to the descriptor".to_owned(),
                    )
                })?;
            }
        }
        // The fault is in the report, whatever the operation; and an error response of the walk.
        memory.poke(slot, 0);
        for (request, answer) in each(&core, VA).await {
            of(&request, &answer, answer.faults("VMSA-54", Fsc(0x07)))?;
        }
        memory.mark_error(slot, ErrorOn::Reads, None);
        for (request, answer) in each(&core, VA).await {
            of(&request, &answer, answer.faults("VMSA-55", Fsc(0x17)))?;
        }
        memory.clear_error(slot);
        Ok(())
    })
}
