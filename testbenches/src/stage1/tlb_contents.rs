// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What TLBs hold: nothing of a faulting walk, no more than the descriptor maps, nothing while
//! translation is off; and that what they drop is found again (section 10).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, El, Fsc, Granule, Sctlr, SysReg};

use super::regime::{Regime, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlb-keeps-no-fault",
        purpose: "a descriptor that led to a fault leaves nothing behind: corrected, it is used at once",
        requirements: &["TLB-20", "VMSA-47", "HAF-01"],
        run: faults_leave_nothing,
    },
    Testbench {
        name: "tlb-entry-size",
        purpose: "an entry matches its leaf and not one byte more, in its own half of the VA space",
        requirements: &["TLB-30", "TLB-31"],
        run: entries_end_where_leaves_end,
    },
    Testbench {
        name: "tlb-disabled",
        purpose: "no entry comes from a disabled range or with translation off; EPD spares earlier ones",
        requirements: &["TLB-32", "TLB-34", "VMSA-01", "VMSA-09"],
        run: disabled_ranges,
    },
    Testbench {
        name: "tlb-replacement",
        purpose: "more pages than entries, in every number of entries: each access finds its page",
        requirements: &["TLB-29"],
        run: replacement,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn faults_leave_nothing(bench: &mut Bench) -> Result<(), Failure> {
    let page = user_rw(Granule::K4, 3, PA);
    // 44-bit output: IPS = 4.
    let beyond = 1 << 45;
    // Level of the bad descriptor, the descriptor, the fault.
    let mut cases = vec![
        (3, page.with_af(false).0, 0x0b),
        (3, page.0 & !1, 0x07),
        (3, page.0 & !2, 0x07),
        (3, page.0 | beyond, 0x03),
    ];
    for level in 0..3 {
        cases.push((level, 0, 0x04 + level));
        cases.push((level, 0b10, 0x04 + level));
        cases.push((level, Descriptor::table(beyond).0, level));
    }
    cases.push((0, 0b01, 0x04));
    for (level, bad, fsc) in cases {
        bench.restart()?;
        let va = 0x0080_4020_1000;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        tree.map(va, 3, page);
        let slot = tree.slot(va, level);
        let good = tree.word(slot);
        tree.set(slot, bad);
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let handle = bench.handle()?;
        let mut regime = Regime::default().with(&tree, 1);
        regime.tcr = regime.tcr.with_ips(4);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for request in [
                load(va),
                CoreRequest::store(va, 3, El::El1, 0),
                CoreRequest::fetch(va, El::El0),
                CoreRequest::at(va, El::El0, false, false),
            ] {
                core.access(request).await.faults("TLB-20", Fsc(fsc))?;
            }
            watch.nothing_filled("VMSA-47")?;
            // Invalid to valid and AF 0 to 1 need no invalidation (12.2): nothing was remembered.
            // An out-of-range address does not either, as it was never cached.
            handle.poke(slot, good);
            core.access(load(va + 8)).await.reaches("TLB-20", PA + 8)?;
            let fetch = core.access(CoreRequest::fetch(va + 4, El::El0)).await;
            fetch.reaches("TLB-20", PA + 4)
        })?;
    }
    Ok(())
}

fn entries_end_where_leaves_end(bench: &mut Bench) -> Result<(), Failure> {
    const LEAVES: [(Granule, u8, u64); 7] = [
        (Granule::K4, 1, 1 << 30),
        (Granule::K4, 2, 2 << 20),
        (Granule::K4, 3, 4 << 10),
        (Granule::K16, 2, 32 << 20),
        (Granule::K16, 3, 16 << 10),
        (Granule::K64, 2, 512 << 20),
        (Granule::K64, 3, 64 << 10),
    ];
    for (granule, level, leaf) in LEAVES {
        bench.restart()?;
        let offset = 0x0040_0000_0000;
        let (low_pa, high_pa) = (0x2000_0000_0000, 0x3000_0000_0000);
        let mut lower = Tree::new(Lower, granule, 48, TABLES);
        let mut upper = Tree::new(Upper, granule, 48, TABLES + 0x100_0000);
        lower.map(offset, level, user_rw(granule, level, low_pa));
        // The same bits 47:0, in the other half, one leaf further on: not mapped in the first.
        let high = upper.va(offset);
        upper.map(high, level, user_rw(granule, level, high_pa));
        upper.map(high + leaf, level, user_rw(granule, level, high_pa + leaf));
        lower.load(bench)?;
        upper.load(bench)?;
        let watch = Watch::on(bench)?;
        let regime = Regime::default().with(&lower, 1).with(&upper, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            core.access(load(offset + 8))
                .await
                .reaches("TLB-30", low_pa + 8)?;
            watch.last_fill_spans("TLB-30", leaf)?;
            let last = core.access(load(offset + leaf - 8)).await;
            last.reaches("TLB-30", low_pa + leaf - 8)?;
            last.comes_from("TLB-30", HitPlace::L1)?;
            let translation = Fsc(0x04 + level);
            core.access(load(offset + leaf))
                .await
                .faults("TLB-30", translation)?;
            // With one byte below the leaf the walk may end higher up, but nothing is mapped there.
            let below = core.access(load(offset - 8)).await;
            expect("TLB-30", below.fault.is_some(), || {
                format!("below the leaf: {below}")
            })?;
            let other_half = core.access(load(high + 8)).await;
            other_half.comes_from("TLB-31", HitPlace::Walk)?;
            other_half.reaches("TLB-31", high_pa + 8)?;
            core.access(load(high + leaf))
                .await
                .reaches("TLB-31", high_pa + leaf)?;
            core.access(load(offset + leaf))
                .await
                .faults("TLB-31", translation)?;
            core.access(load(offset + 16))
                .await
                .reaches("TLB-31", low_pa + 16)?;
            // Instruction side: a second structure with the same duties.
            let fetch = CoreRequest::fetch(high + 4, El::El1);
            let fault = core.access(fetch).await;
            fault.faults("TLB-31", Fsc(0x0c + level))?;
            let fetch = CoreRequest::fetch(offset + 4, El::El0);
            core.access(fetch).await.reaches("TLB-31", low_pa + 4)
        })?;
    }
    Ok(())
}

fn disabled_ranges(bench: &mut Bench) -> Result<(), Failure> {
    let (low, high, second) = (0x1000, 0xffff_0000_0000_1000, 0x2000);
    let mut lower = Tree::new(Lower, Granule::K4, 48, TABLES);
    let mut upper = Tree::new(Upper, Granule::K4, 48, TABLES + 0x10_0000);
    for (tree, va, pa) in [(&mut lower, low, PA), (&mut upper, high, PA + 0x1_0000)] {
        tree.map(va, 3, user_rw(Granule::K4, 3, pa));
    }
    lower.map(second, 3, user_rw(Granule::K4, 3, PA + 0x1000));
    lower.load(bench)?;
    upper.load(bench)?;
    let watch = Watch::on(bench)?;
    let on = Regime::default().with(&lower, 1).with(&upper, 1);
    bench.run(async move |core| {
        // Everything is set up but SCTLR_EL1.M.
        let off = Regime {
            sctlr: Sctlr(0).with_c(true).with_i(true),
            ..on
        };
        off.enter(&core).await;
        for request in [
            load(low),
            CoreRequest::fetch(low, El::El1),
            CoreRequest::store(low, 3, El::El1, 5),
        ] {
            let answer = core.access(request).await;
            answer.reaches("VMSA-01", low)?;
            answer.comes_from("TLB-32", HitPlace::None)?;
        }
        watch.nothing_filled("TLB-32")?;
        watch.nothing_read("VMSA-01")?;
        on.enter(&core).await;
        core.access(load(low))
            .await
            .comes_from("TLB-32", HitPlace::Walk)?;
        core.access(load(high))
            .await
            .comes_from("TLB-32", HitPlace::Walk)?;
        watch.clear();
        for range in [Lower, Upper] {
            let (cached, pa) = if range == Lower {
                (low, PA)
            } else {
                (high, PA + 0x1_0000)
            };
            let epd = Regime {
                tcr: on.tcr.with_epd(range, true),
                ..on
            };
            epd.enter(&core).await;
            let hit = core.access(load(cached + 8)).await;
            hit.reaches("TLB-34", pa + 8)?;
            hit.comes_from("TLB-34", HitPlace::L1)?;
            let missing = if range == Lower {
                second
            } else {
                high + 0x1000
            };
            core.access(load(missing))
                .await
                .faults("VMSA-09", Fsc(0x04))?;
            // The ITLB has no entry for the page that the DTLB serves.
            let fetch = CoreRequest::fetch(cached, El::El0);
            core.access(fetch).await.faults("VMSA-09", Fsc(0x04))?;
            watch.nothing_read("VMSA-09")?;
            watch.nothing_filled("TLB-32")?;
        }
        on.enter(&core).await;
        core.access(load(second))
            .await
            .reaches("TLB-32", PA + 0x1000)?;
        // Translation off again: entries are there, and are not used.
        core.access(CoreRequest::msr(SysReg::Sctlr, off.sctlr.0))
            .await;
        core.access(CoreRequest::isb()).await;
        let answer = core.access(load(low)).await;
        answer.reaches("VMSA-01", low)?;
        answer.comes_from("VMSA-01", HitPlace::None)
    })
}

fn replacement(bench: &mut Bench) -> Result<(), Failure> {
    let built = bench.simulation()?.info().dtlb_entries;
    for entries in [1, 2, 3, built] {
        bench.restart()?;
        bench.setup().straps.dtlb_entries = Some(entries.min(built));
        let fetchers = bench.simulation()?.info().itlb_entries.min(entries);
        bench.restart()?;
        bench.setup().straps.itlb_entries = Some(fetchers);
        let pages = u64::from(built) + 5;
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        for page in 0..pages {
            tree.map(
                page << 12,
                3,
                user_rw(Granule::K4, 3, PA + ((pages - page) << 12)),
            );
        }
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for stride in [1, 3, pages - 1] {
                for i in 0..pages {
                    let page = i * stride % pages;
                    let pa = PA + ((pages - page) << 12) + 16;
                    core.access(load((page << 12) + 16))
                        .await
                        .reaches("TLB-29", pa)?;
                    let fetch = CoreRequest::fetch((page << 12) + 16, El::El0);
                    core.access(fetch).await.reaches("TLB-29", pa)?;
                }
            }
            let seen = watch.seen();
            let in_use = |fill: &cosim::dut::ports::TlbFill| {
                fill.index < u16::from(if fill.instruction { fetchers } else { entries })
            };
            expect("TLB-29", seen.fills.iter().all(in_use), || {
                format!("an entry beyond the {entries} in use was filled")
            })
        })?;
    }
    Ok(())
}
