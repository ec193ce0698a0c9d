// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Barriers of one core: a DSB waits for every access before it, a store is answered once it is
//! visible, and a completed TLBI leaves no access in flight behind.

use cosim::dut::ports::{CoreRequest, Delays, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Fsc, Granule, SysReg, Tlbi, TlbiScope};

use super::regime::{Regime, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "dsb-waits",
        purpose: "a DSB is answered after every earlier access, however slow memory is",
        requirements: &["ORD-22", "ORD-23", "HAF-19"],
        run: dsb_waits,
    },
    Testbench {
        name: "dsb-completes-tlbi",
        purpose: "accesses in flight are performed before the DSB that completes a TLBI, none after it",
        requirements: &["ORD-03", "TLBI-22", "TLBI-26"],
        run: dsb_completes_invalidations,
    },
    Testbench {
        name: "isb-synchronises",
        purpose: "after MSR and ISB every walk and every judgement uses the new register value",
        requirements: &["WALK-22"],
        run: isb_synchronises,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;

/// Fast, slow, and slow with answers that overtake each other.
const TIMINGS: [(u64, u64); 3] = [(1, 0), (200, 0), (20, 300)];

fn dsb_waits(bench: &mut Bench) -> Result<(), Failure> {
    for (latency, jitter) in TIMINGS {
        for stall in [false, true] {
            bench.restart()?;
            bench.setup().memory.latency = latency;
            bench.setup().memory.jitter = jitter;
            bench.setup().straps.delay = if stall { Delays::MEM_REQ } else { Delays::NONE };
            let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
            for page in 0..4 {
                let leaf = user_rw(Granule::K4, 3, PA + (page << 12));
                tree.map(
                    page << 12,
                    3,
                    leaf.with_af(false).with_dbm(true).with_ap_read_only(true),
                );
            }
            tree.load(bench)?;
            let watch = Watch::on(bench)?;
            let handle = bench.handle()?;
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(true).with_hd(true);
            let slots = [0, 1, 2, 3].map(|page: u64| tree.slot(page << 12, 3));
            bench.run(async move |core| {
                regime.enter(&core).await;
                for round in 0..4u64 {
                    watch.clear();
                    // Hits overlap in memory; unaligned and page-crossing ones take two accesses.
                    let mut accesses = Vec::new();
                    for i in 0..12 {
                        let va = ((i & 3) << 12) + 8 * i;
                        accesses.push(core.issue(match i % 3 {
                            0 => CoreRequest::store(va, 3, El::El0, round << 32 | i),
                            1 => CoreRequest::load(va, 3, El::El0),
                            _ => CoreRequest::cas(va, El::El0, 1, 2),
                        }));
                    }
                    accesses.push(core.issue(CoreRequest::store(0x1ffd, 3, El::El0, u64::MAX)));
                    accesses.push(core.issue(CoreRequest::load(0x101, 3, El::El0)));
                    core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
                    let answers: Vec<OpCode> =
                        watch.seen().answers.iter().map(|&(_, op)| op).collect();
                    let waited = answers.len() == 15 && answers[14] == OpCode::Dsb;
                    expect("ORD-23", waited, || {
                        format!("answers by the DSB: {answers:?}")
                    })?;
                    // 8 bytes of each of the 4 stores, and what stands behind the one across pages.
                    for i in (0..12).step_by(3) {
                        let word = handle.peek(PA + ((i & 3) << 12) + 8 * i);
                        expect("ORD-22", word == round << 32 | i, || {
                            format!("{word:#x} in memory")
                        })?;
                    }
                    let crossing = [
                        handle.peek(PA + 0x1ff8) >> 40,
                        handle.peek(PA + 0x2000) << 24,
                    ];
                    expect("ORD-22", crossing == [0xff_ffff, !0xff_ffff], || {
                        format!("{crossing:#x?}")
                    })?;
                    for slot in slots {
                        let bits = handle.peek(slot) >> 7 & 0b1001;
                        expect("HAF-19", bits == 0b1000, || {
                            format!("AF and AP[2]: {bits:#b}")
                        })?;
                    }
                    for access in accesses {
                        access.await.succeeds("ORD-23")?;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn dsb_completes_invalidations(bench: &mut Bench) -> Result<(), Failure> {
    for (latency, jitter) in TIMINGS {
        bench.restart()?;
        bench.setup().memory.latency = latency;
        bench.setup().memory.jitter = jitter;
        let (old, new) = (PA, PA + 0x10_0000);
        let va = 0x4000_1000;
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        let slot = tree.map(va, 3, user_rw(Granule::K4, 3, old));
        let other = tree.map(va + 0x1000, 3, user_rw(Granule::K4, 3, old + 0x1000));
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for round in 1..5u64 {
                core.access(CoreRequest::load(va, 3, El::El0))
                    .await
                    .reaches("ORD-03", old)?;
                core.access(CoreRequest::load(va + 0x1000, 3, El::El0))
                    .await
                    .succeeds("ORD-03")?;
                watch.clear();
                let stores: Vec<_> = (0..6)
                    .map(|i| core.issue(CoreRequest::store(va + 8 * i, 3, El::El0, round + i)))
                    .collect();
                handle.poke(slot, 0);
                handle.poke(other, 0);
                // Two operations, one DSB.
                let scope = TlbiScope::InnerShareable;
                let first = core.issue(CoreRequest::tlbi(Tlbi::vae1(scope, va, 1, None)));
                let second = core.issue(CoreRequest::tlbi(Tlbi::vae1(scope, va + 0x1000, 1, None)));
                core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
                let visible = watch.seen().stores.len();
                expect("TLBI-22", visible == 6, || {
                    format!("{visible} of 6 stores are visible")
                })?;
                for (i, store) in (0..).zip(stores) {
                    store.await.reaches("ORD-03", old + 8 * i)?;
                    let word = handle.peek(old + 8 * i);
                    expect("TLBI-22", word == round + i, || {
                        format!("{word:#x} in memory")
                    })?;
                }
                first.await.succeeds("TLBI-26")?;
                second.await.succeeds("TLBI-26")?;
                for page in [va, va + 0x1000] {
                    let answer = core.access(CoreRequest::load(page, 3, El::El0)).await;
                    answer.faults("TLBI-26", Fsc(0x07))?;
                }
                handle.poke(slot, user_rw(Granule::K4, 3, new).0);
                core.access(CoreRequest::load(va, 3, El::El0))
                    .await
                    .reaches("ORD-03", new)?;
                handle.poke(slot, 0);
                core.access(CoreRequest::tlbi(Tlbi::vmalle1(scope))).await;
                core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
                handle.poke(slot, user_rw(Granule::K4, 3, old).0);
                handle.poke(other, user_rw(Granule::K4, 3, old + 0x1000).0);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn isb_synchronises(bench: &mut Bench) -> Result<(), Failure> {
    let va = 0x4000_1000;
    let mut trees = [0, 1].map(|i| Tree::new(Lower, Granule::K4, 39, TABLES + (i << 24)));
    for (tree, pa) in trees.iter_mut().zip([PA, PA + 0x1000]) {
        tree.map(va, 3, user_rw(Granule::K4, 3, pa));
        tree.load(bench)?;
    }
    let watch = Watch::on(bench)?;
    let regime = Regime::default().with(&trees[0], 1);
    let ttbrs = [trees[1].ttbr(2), trees[0].ttbr(3)];
    bench.run(async move |core| {
        regime.enter(&core).await;
        for (i, ttbr) in ttbrs.into_iter().enumerate() {
            watch.clear();
            // All of it in flight at once; the walk comes after the ISB in program order.
            let write = core.issue(CoreRequest::msr(SysReg::Ttbr0, ttbr.0));
            let isb = core.issue(CoreRequest::isb());
            let pa = [PA + 0x1000, PA][i];
            core.access(CoreRequest::load(va, 3, El::El0))
                .await
                .reaches("WALK-22", pa)?;
            write.await;
            isb.await;
            let root = ttbr.base();
            let first = watch.seen().reads.first().map(|read| read.address & !0xfff);
            expect("WALK-22", first == Some(root), || {
                format!("the walk began at {first:#x?}")
            })?;
            let wxn = regime.sctlr.with_wxn(i == 0);
            core.access(CoreRequest::msr(SysReg::Sctlr, wxn.0)).await;
            core.access(CoreRequest::isb()).await;
            let fetch = core.access(CoreRequest::fetch(va, El::El0)).await;
            let expected = (i == 0).then_some(Fsc(0x0f));
            expect("WALK-22", fetch.fault == expected, || {
                format!("WXN = {}: {fetch}", i == 0)
            })?;
        }
        Ok(())
    })
}
