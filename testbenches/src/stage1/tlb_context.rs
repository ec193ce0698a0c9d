// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries and the context that they were made in: ASIDs, registers changed since, and inputs that
//! are looked at anew for each access (section 10).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, El, Fsc, Granule, Mair, SysReg};

use super::contiguous::invalidate_all;
use super::regime::{NORMAL, Regime, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlb-asid",
        purpose: "an entry serves its own ASID or, if global, every one; never another's",
        requirements: &["TLB-13", "TLB-21", "TLB-22"],
        run: entries_of_address_spaces,
    },
    Testbench {
        name: "tlb-asid-of-walk",
        purpose: "an entry belongs to the ASID that was current when its walk began",
        requirements: &["TLB-24", "WALK-25"],
        run: asid_at_the_start,
    },
    Testbench {
        name: "tlb-register-change",
        purpose: "TG, TxSZ, IPS, HPD, MAIR, WXN and TTBR changes act in full after TLBI and ISB",
        requirements: &["TLB-25"],
        run: register_changes,
    },
    Testbench {
        name: "tlb-judges-at-lookup",
        purpose: "EL, PAN, WXN and the kind of access are judged on every hit, not when the entry is made",
        requirements: &["TLB-26"],
        run: judged_at_lookup,
    },
];

const TABLES: u64 = 0x5000_0000;
const OTHER_TABLES: u64 = 0x5800_0000;
const VA: u64 = 0x1234_5000;
const PA: u64 = 0x8000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn entries_of_address_spaces(bench: &mut Bench) -> Result<(), Failure> {
    // ASID pairs that differ in one bit each, top and bottom included.
    for (a, b) in [(1u16, 2), (0x0100, 0x0101), (0x8001, 0x0001), (0xff, 0x1ff)] {
        for a1 in [false, true] {
            bench.restart()?;
            let (global, private) = (VA, VA + 0x1000);
            let mut one = Tree::new(Lower, Granule::K4, 39, TABLES);
            let mut two = Tree::new(Lower, Granule::K4, 39, OTHER_TABLES);
            one.map(global, 3, user_rw(Granule::K4, 3, PA).with_ng(false));
            one.map(private, 3, user_rw(Granule::K4, 3, PA + 0x1000));
            two.map(private, 3, user_rw(Granule::K4, 3, PA + 0x2000));
            one.load(bench)?;
            two.load(bench)?;
            // With A1 = 1 TTBR1 names the ASID for both ranges (VMSA-11).
            let enter = |tree: &Tree, asid: u16| {
                let mut regime = Regime::default().with(tree, asid);
                if a1 {
                    regime.tcr = regime.tcr.with_a1(true);
                    regime.ttbr1 = regime.ttbr1.with_asid(asid);
                    regime.ttbr0 = regime.ttbr0.with_asid(0x5a5a);
                }
                regime
            };
            let (in_a, in_b) = (enter(&one, a), enter(&two, b));
            bench.run(async move |core| {
                in_a.enter(&core).await;
                core.access(load(private))
                    .await
                    .reaches("TLB-21", PA + 0x1000)?;
                core.access(load(global)).await.reaches("TLB-22", PA)?;
                in_b.enter(&core).await;
                let other = core.access(load(private + 8)).await;
                other.comes_from("TLB-21", HitPlace::Walk)?;
                other.reaches("TLB-21", PA + 0x2008)?;
                // The second tree does not map it: only the global entry can serve.
                let shared = core.access(load(global + 8)).await;
                shared.reaches("TLB-22", PA + 8)?;
                shared.comes_from("TLB-22", HitPlace::L1)?;
                in_a.enter(&core).await;
                // Both entries of one VA are live; each serves its own ASID.
                let mine = core.access(load(private + 16)).await;
                mine.reaches("TLB-13", PA + 0x1010)?;
                mine.comes_from("TLB-21", HitPlace::L1)?;
                in_b.enter(&core).await;
                let theirs = core.access(load(private + 24)).await;
                theirs.reaches("TLB-13", PA + 0x2018)?;
                theirs.comes_from("TLB-21", HitPlace::L1)
            })?;
        }
    }
    Ok(())
}

fn asid_at_the_start(bench: &mut Bench) -> Result<(), Failure> {
    let mut one = Tree::new(Lower, Granule::K4, 48, TABLES);
    let mut two = Tree::new(Lower, Granule::K4, 48, OTHER_TABLES);
    one.map(VA, 3, user_rw(Granule::K4, 3, PA));
    two.map(VA, 3, user_rw(Granule::K4, 3, PA + 0x1000));
    one.load(bench)?;
    two.load(bench)?;
    let watch = Watch::on(bench)?;
    let regime = Regime::default().with(&one, 0x11);
    let next = two.ttbr(0x22);
    bench.run(async move |core| {
        regime.enter(&core).await;
        // The register write is on its way while the walk reads four levels.
        let first = core.issue(load(VA));
        let write = core.issue(CoreRequest::msr(SysReg::Ttbr0, next.0));
        let barrier = core.issue(CoreRequest::isb());
        let second = core.issue(load(VA));
        first.await.reaches("TLB-24", PA)?;
        write.await;
        barrier.await;
        second.await.reaches("TLB-24", PA + 0x1000)?;
        let fills: Vec<(u16, u64)> = watch
            .seen()
            .fills
            .iter()
            .map(|fill| (fill.asid, fill.pa))
            .collect();
        let expected = [(0x11, PA), (0x22, PA + 0x1000)];
        expect("TLB-24", fills == expected, || {
            format!("fills of (ASID, PA): {fills:#x?}")
        })?;
        core.access(CoreRequest::msr(SysReg::Ttbr0, regime.ttbr0.0))
            .await;
        core.access(CoreRequest::isb()).await;
        core.access(load(VA)).await.reaches("WALK-25", PA)
    })
}

/// A change of register values, and what an access then gives.
struct Change {
    to: Regime,
    request: CoreRequest,
    gives: Result<u64, u8>,
}

fn register_changes(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    let mut wide = Tree::new(Lower, Granule::K64, 48, OTHER_TABLES);
    let mut short = Tree::new(Lower, Granule::K4, 39, OTHER_TABLES + 0x100_0000);
    let far = 1u64 << 44 | PA;
    tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    tree.map(VA + 0x1000, 3, user_rw(Granule::K4, 3, far));
    // A limit in the table above that forbids EL0 access: only with HPD0 = 0.
    let limited = VA + 0x20_0000;
    tree.map(limited, 3, user_rw(Granule::K4, 3, PA + 0x2000));
    let table = tree.slot(limited, 2);
    tree.set(table, Descriptor(tree.word(table)).with_ap_table(1).0);
    // Executable by EL0 and writable.
    wide.map(VA, 3, user_rw(Granule::K64, 3, 0x9000_0000));
    short.map(VA, 3, user_rw(Granule::K4, 3, PA + 0x5000));
    tree.load(bench)?;
    wide.load(bench)?;
    short.load(bench)?;
    let base = Regime::default().with(&tree, 1);
    let fetch = CoreRequest::fetch(VA, El::El0);
    let changes = [
        // TG0 and TTBR0: bits 15:12 of the VA are now part of the offset.
        Change {
            to: Regime::default().with(&wide, 1),
            request: load(VA),
            gives: Ok(0x9000_5000),
        },
        // TxSZ.
        Change {
            to: Regime::default().with(&short, 1),
            request: load(VA),
            gives: Ok(PA + 0x5000),
        },
        // IPS: 44 bits no longer reach `far`.
        Change {
            to: Regime {
                tcr: base.tcr.with_ips(4),
                ..base
            },
            request: load(VA + 0x1000),
            gives: Err(0x03),
        },
        Change {
            to: Regime {
                tcr: base.tcr.with_hpd(Lower, true),
                ..base
            },
            request: load(limited),
            gives: Ok(PA + 0x2000),
        },
        Change {
            to: Regime {
                sctlr: base.sctlr.with_wxn(true),
                ..base
            },
            request: fetch,
            gives: Err(0x0f),
        },
        // TTBR alone: nothing is mapped at that address of the other tree's root.
        Change {
            to: Regime {
                ttbr0: base.ttbr0.with_base(OTHER_TABLES + 0x200_0000),
                ..base
            },
            request: load(VA),
            gives: Err(0x04),
        },
    ];
    bench.run(async move |core| {
        for change in changes {
            base.enter(&core).await;
            invalidate_all(&core).await;
            // Fill under the old registers.
            core.access(load(VA)).await.reaches("TLB-25", PA)?;
            core.access(load(VA + 0x1000))
                .await
                .reaches("TLB-25", far)?;
            core.access(load(limited))
                .await
                .faults("TLB-25", Fsc(0x0f))?;
            core.access(fetch).await.reaches("TLB-25", PA)?;
            change.to.enter(&core).await;
            invalidate_all(&core).await;
            let answer = core.access(change.request).await;
            match change.gives {
                Ok(pa) => answer.reaches("TLB-25", pa)?,
                Err(fsc) => answer.faults("TLB-25", Fsc(fsc))?,
            }
        }
        base.enter(&core).await;
        invalidate_all(&core).await;
        core.access(load(VA))
            .await
            .has_attributes("TLB-25", 0xff, 3)?;
        let through = Regime {
            mair: base.mair.with_attr(NORMAL, 0xbb),
            ..base
        };
        through.enter(&core).await;
        invalidate_all(&core).await;
        core.access(load(VA))
            .await
            .has_attributes("TLB-25", 0xbb, 3)?;
        let device = Regime {
            mair: Mair(0).with_attr(NORMAL, 0x0c),
            ..base
        };
        device.enter(&core).await;
        invalidate_all(&core).await;
        core.access(load(VA))
            .await
            .has_attributes("TLB-25", 0x0c, 2)
    })
}

fn judged_at_lookup(bench: &mut Bench) -> Result<(), Failure> {
    let kernel = 0xffff_0000_1234_5000;
    let mut lower = Tree::new(Lower, Granule::K4, 48, TABLES);
    let mut upper = Tree::new(Upper, Granule::K4, 48, OTHER_TABLES);
    let page = user_rw(Granule::K4, 3, PA);
    lower.map(VA, 3, page.with_ap_read_only(true));
    upper.map(
        kernel,
        3,
        page.with_ap_el0(false)
            .with_ap_read_only(true)
            .with_pxn(true),
    );
    lower.load(bench)?;
    upper.load(bench)?;
    let regime = Regime::default().with(&lower, 1).with(&upper, 1);
    bench.run(async move |core| {
        regime.enter(&core).await;
        let permission = Fsc(0x0f);
        // One fill each, by an access that passes.
        core.access(load(VA))
            .await
            .comes_from("TLB-26", HitPlace::Walk)?;
        core.access(CoreRequest::load(kernel, 3, El::El1))
            .await
            .reaches("TLB-26", PA)?;
        // The second level is unified: what the load left there serves the fetch.
        core.access(CoreRequest::fetch(VA, El::El0))
            .await
            .comes_from("TLB-26", HitPlace::L2)?;
        let pan = |request: CoreRequest| CoreRequest {
            pan: true,
            ..request
        };
        let el1 = CoreRequest::load(VA, 3, El::El1);
        for (request, fault) in [
            (el1, None),
            (pan(el1), Some(permission)),
            (load(VA), None),
            (pan(load(VA)), None),
            (CoreRequest::store(VA, 3, El::El0, 1), Some(permission)),
            (CoreRequest::store(VA, 3, El::El1, 1), Some(permission)),
            (CoreRequest::cas(VA, El::El0, 0, 1), Some(permission)),
            (CoreRequest::at(VA, El::El1, false, true), Some(permission)),
            (CoreRequest::at(VA, El::El1, false, false), None),
            (load(kernel), Some(permission)),
            (pan(CoreRequest::load(kernel, 3, El::El1)), None),
            (CoreRequest::store(kernel, 3, El::El1, 1), Some(permission)),
        ] {
            let answer = core.access(request).await;
            answer.comes_from("TLB-26", HitPlace::L1)?;
            expect("TLB-26", answer.fault == fault, || {
                format!("{request} gave {answer}")
            })?;
        }
        // Instruction side: the entry that an EL0 fetch made is judged for EL1 (not UXN, not PXN).
        let fetch = core.access(CoreRequest::fetch(VA + 8, El::El1)).await;
        fetch.comes_from("TLB-26", HitPlace::L1)?;
        fetch.reaches("TLB-26", PA + 8)
    })
}
