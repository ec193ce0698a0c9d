// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 6, the access flag: who sets it, in which descriptors, and what it leaves alone
//! (HAF-01, HAF-05, HAF-07, HAF-09, HAF-10, HAF-11, HAF-15).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use rand::Rng;
use vmsa::{Descriptor, El, Fsc, Granule, VaRange};

use super::regime::{DEVICE, Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "access-flag",
        purpose: "set by every kind of access at every leaf level, by one swap, or a fault without HA",
        requirements: &["HAF-01", "HAF-02", "HAF-05", "HAF-15"],
        run: set,
    },
    Testbench {
        name: "access-flag-other-bits",
        purpose: "an update changes no other bit of the descriptor, whatever they hold",
        requirements: &["HAF-05", "HAF-06"],
        run: other_bits,
    },
    Testbench {
        name: "access-flag-of-faults",
        purpose: "accesses that fault update no descriptor, and leave none with AF = 0 in a TLB",
        requirements: &["HAF-01", "HAF-07", "HAF-09", "HAF-10", "HAF-11"],
        run: faults,
    },
    Testbench {
        name: "access-flag-big-endian",
        purpose: "updates of big-endian descriptors",
        requirements: &["HAF-05"],
        run: big_endian,
    },
];

const TABLES: u64 = 0x5000_0000;
const BLOCK: u64 = 0x4000_0000_0000;
const VA: u64 = 0x1234_5678_9000;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;

fn managed(tree: &Tree) -> Regime {
    let mut regime = Regime::default().with(tree, 1);
    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
    regime
}

/// Accesses that an EL0-accessible page allows, of every kind.
fn every_kind() -> [CoreRequest; 6] {
    [
        CoreRequest::load(VA, 3, El::El0),
        CoreRequest::store(VA, 3, El::El0, 5),
        CoreRequest::cas(VA, El::El0, 5, 6),
        CoreRequest::fetch(VA, El::El0),
        CoreRequest::at(VA, El::El0, false, false),
        CoreRequest::at(VA, El::El0, true, false),
    ]
}

fn set(bench: &mut Bench) -> Result<(), Failure> {
    // Whether hardware may set it: HAFDBS and TCR.HA.
    for (hafdbs, ha) in [
        (0, false),
        (0, true),
        (1, false),
        (1, true),
        (2, false),
        (2, true),
    ] {
        for (granule, level) in [
            (Granule::K4, 1),
            (Granule::K4, 2),
            (Granule::K4, 3),
            (Granule::K16, 2),
            (Granule::K16, 3),
            (Granule::K64, 2),
            (Granule::K64, 3),
        ] {
            bench.restart()?;
            bench.setup().straps.hafdbs = hafdbs;
            let watch = Watch::on(bench)?;
            let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
            let leaf = user_rw(granule, level, BLOCK).with_af(false);
            let slot = tree.map(VA, level, leaf);
            tree.load(bench)?;
            let handle = bench.handle()?;
            bench.run(async move |core| {
                let mut regime = Regime::default().with(&tree, 1);
                regime.tcr = regime.tcr.with_ha(ha);
                regime.enter(&core).await;
                for request in every_kind() {
                    handle.poke(slot, leaf.0);
                    flush(&core).await;
                    watch.clear();
                    let answer = core.access(request).await;
                    if hafdbs > 0 && ha {
                        // HAF-15: AT operations set it as well.
                        on(request, answer.succeeds("HAF-15"))?;
                        watch.updates("HAF-02", &[(slot, leaf.0, leaf.0 | AF)])?;
                        let held = handle.peek(slot);
                        expect("HAF-05", held == leaf.0 | AF, || format!("{held:#x}"))?;
                        // What is kept is kept with AF = 1: no further update.
                        on(
                            request,
                            core.access(request)
                                .await
                                .comes_from("HAF-01", HitPlace::L1),
                        )?;
                        expect("HAF-01", watch.seen().updates.len() == 1, || {
                            "updated twice".into()
                        })?;
                    } else {
                        on(request, answer.faults("HAF-01", Fsc(0x08 + level)))?;
                        watch.updates("HAF-05", &[])?;
                        // HAF-01: once software sets it, no trace of AF = 0 is left.
                        on(request, watch.nothing_filled("HAF-01"))?;
                        handle.poke(slot, leaf.0 | AF);
                        on(request, core.access(request).await.succeeds("HAF-01"))?;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn other_bits(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    // In place in its contiguous run, so that Contiguous changes no address.
    let pa = BLOCK | VA & 0xf000;
    let leaf = user_rw(Granule::K4, 3, pa).with_af(false);
    let slot = tree.map(VA, 3, leaf);
    tree.load(bench)?;
    let handle = bench.handle()?;
    let mut rng = bench.rng("bits");
    bench.run(async move |core| {
        managed(&tree).enter(&core).await;
        // All but valid, type, AttrIndx, AP, AF, address: each alone, then at random.
        let free = 0xfff5_0000_0000_0b20u64;
        let random = (0..200)
            .map(|_| rng.random::<u64>() & free)
            .collect::<Vec<_>>();
        let single = (0..64).map(|bit| 1u64 << bit).filter(|bit| bit & free != 0);
        for bits in single.chain(random) {
            for (dbm, ap2) in [(false, false), (true, false), (true, true)] {
                let before = leaf.with_dbm(dbm).with_ap_read_only(ap2).0 ^ bits;
                for (request, cleared) in [
                    (CoreRequest::load(VA, 3, El::El0), 0),
                    (CoreRequest::store(VA, 3, El::El0, bits), before & AP2),
                ] {
                    handle.poke(slot, before);
                    flush(&core).await;
                    watch.clear();
                    on(request, core.access(request).await.reaches("HAF-05", pa))?;
                    // HAF-06: both bits by the one swap.
                    let after = (before | AF) & !cleared;
                    watch.updates("HAF-06", &[(slot, before, after)])?;
                    let held = handle.peek(slot);
                    expect("HAF-05", held == after, || {
                        format!("{held:#x} for {after:#x}")
                    })?;
                }
            }
        }
        Ok(())
    })
}

fn faults(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    let leaf = user_rw(Granule::K4, 3, BLOCK)
        .with_af(false)
        .with_dbm(true)
        .with_ap_read_only(true);
    let slot = tree.map(VA, 3, leaf);
    tree.load(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let mut regime = managed(&tree);
        regime.tcr = regime.tcr.with_ips(2);
        regime.enter(&core).await;
        let small = Descriptor(leaf.0 & !0xffff_ffff_f000).0 | 0x4_0000_0000;
        let unaligned = VA + 1;
        let user = CoreRequest::store(VA, 3, El::El0, 1);
        let rows = [
            // HAF-09: invalid, reserved, and an output address beyond 40 bits.
            ("HAF-07", small & !1, user, Fsc(0x07)),
            (
                "HAF-09",
                small & !3,
                CoreRequest::load(VA, 3, El::El1),
                Fsc(0x07),
            ),
            ("HAF-09", small & !2, user, Fsc(0x07)),
            (
                "HAF-09",
                small & !2,
                CoreRequest::at(VA, El::El0, true, false),
                Fsc(0x07),
            ),
            ("HAF-09", small | 1 << 40, user, Fsc(0x03)),
            (
                "HAF-09",
                small | 1 << 47,
                CoreRequest::fetch(VA, El::El0),
                Fsc(0x03),
            ),
            // HAF-10: a page of EL1, a page that is read-only for good, PAN, execute-never.
            ("HAF-10", small & !(1 << 6), user, Fsc(0x0f)),
            (
                "HAF-10",
                small & !(1 << 6),
                CoreRequest::load(VA, 3, El::El0),
                Fsc(0x0f),
            ),
            ("HAF-10", small & !(1 << 51), user, Fsc(0x0f)),
            (
                "HAF-10",
                small & !(1 << 51),
                CoreRequest::cas(VA, El::El0, 0, 1),
                Fsc(0x0f),
            ),
            (
                "HAF-10",
                small & !(1 << 51),
                CoreRequest::at(VA, El::El1, true, false),
                Fsc(0x0f),
            ),
            (
                "HAF-10",
                small,
                CoreRequest {
                    pan: true,
                    el: El::El1,
                    ..user
                },
                Fsc(0x0f),
            ),
            (
                "HAF-10",
                small | 1 << 54,
                CoreRequest::fetch(VA, El::El0),
                Fsc(0x0f),
            ),
            (
                "HAF-10",
                small | u64::from(DEVICE) << 2,
                CoreRequest::fetch(VA, El::El0),
                Fsc(0x0f),
            ),
            // HAF-11: an unaligned access to Device memory.
            (
                "HAF-11",
                small | u64::from(DEVICE) << 2,
                CoreRequest::store(unaligned, 3, El::El0, 1),
                Fsc(0x21),
            ),
            (
                "HAF-11",
                small | u64::from(DEVICE) << 2,
                CoreRequest::load(unaligned, 1, El::El0),
                Fsc(0x21),
            ),
        ];
        for (requirement, before, request, fsc) in rows {
            handle.poke(slot, before);
            flush(&core).await;
            watch.clear();
            on(request, core.access(request).await.faults(requirement, fsc))?;
            watch.updates(requirement, &[])?;
            let held = handle.peek(slot);
            expect(requirement, held == before, || {
                format!("{before:#x} became {held:#x}")
            })?;
            on(request, watch.nothing_filled("HAF-01"))?;
            expect(requirement, watch.seen().stores.is_empty(), || {
                format!("{request}: a write")
            })?;
        }
        // The same store dirties the page where nothing forbids it.
        handle.poke(slot, small);
        core.access(user).await.reaches("HAF-10", 0x4_0000_0000)?;
        let held = handle.peek(slot);
        expect("HAF-10", held == (small | AF) & !AP2, || {
            format!("{held:#x}")
        })?;
        // HAF-09: without HA, an Access flag fault changes nothing; HD has no say then.
        regime.tcr = regime.tcr.with_ha(false);
        regime.enter(&core).await;
        for request in every_kind() {
            handle.poke(slot, small);
            flush(&core).await;
            watch.clear();
            on(
                request,
                core.access(request).await.faults("HAF-09", Fsc(0x0b)),
            )?;
            watch.updates("HAF-09", &[])?;
            expect("HAF-09", handle.peek(slot) == small, || {
                "the page changed".to_owned()
            })?;
        }
        Ok(())
    })
}

fn big_endian(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    let leaf = user_rw(Granule::K4, 3, BLOCK)
        .with_af(false)
        .with_dbm(true)
        .with_ap_read_only(true);
    let slot = tree.map(VA, 3, leaf);
    tree.swap_bytes();
    tree.load(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let mut regime = managed(&tree);
        regime.sctlr = regime.sctlr.with_ee(true);
        regime.enter(&core).await;
        let stored = leaf.0.swap_bytes();
        let accessed = (leaf.0 | AF).swap_bytes();
        let dirty = ((leaf.0 | AF) & !AP2).swap_bytes();
        core.access(CoreRequest::load(VA, 3, El::El0))
            .await
            .reaches("HAF-05", BLOCK)?;
        watch.updates("HAF-05", &[(slot, stored, accessed)])?;
        watch.clear();
        core.access(CoreRequest::store(VA, 3, El::El0, 1))
            .await
            .reaches("HAF-05", BLOCK)?;
        watch.updates("HAF-05", &[(slot, accessed, dirty)])?;
        expect("HAF-05", handle.peek(slot) == dirty, || {
            format!("{:#x}", handle.peek(slot))
        })
    })
}
