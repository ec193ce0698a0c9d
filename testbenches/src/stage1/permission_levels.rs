// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 5 beyond the table: the level that a Permission fault reports, fetches from Device memory,
//! writable-clean pages, and PAN of the access (VMSA-25 to VMSA-29).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{Descriptor, El, Fsc, Granule, VaRange};

use super::regime::{DEVICE, Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "permission-fault-level",
        purpose: "Permission faults at every leaf level, also where a table above forbids the access",
        requirements: &["VMSA-28"],
        run: fault_level,
    },
    Testbench {
        name: "device-fetch",
        purpose: "fetches from each type of Device memory at every leaf level",
        requirements: &["VMSA-29"],
        run: device_fetch,
    },
    Testbench {
        name: "writable-clean-permissions",
        purpose: "a page under hardware dirty management counts as writable, but not against APTable",
        requirements: &["VMSA-25", "VMSA-26"],
        run: writable_clean,
    },
    Testbench {
        name: "pan-of-the-access",
        purpose: "PAN is that of each access, whatever it was when the entry was filled",
        requirements: &["VMSA-27"],
        run: pan_of_the_access,
    },
];

const TABLES: u64 = 0x5000_0000;
/// Aligned to every block size.
const BLOCK: u64 = 0x4000_0000_0000;
const VA: u64 = 0x1234_5678_9000;

/// Permission fault at `level`.
fn denied(level: u8) -> Fsc {
    Fsc(0x0c + level)
}

/// Every granule and level that has leaves.
fn leaf_levels() -> impl Iterator<Item = (Granule, u8)> {
    [
        (Granule::K4, 1),
        (Granule::K4, 2),
        (Granule::K4, 3),
        (Granule::K16, 2),
        (Granule::K16, 3),
        (Granule::K64, 2),
        (Granule::K64, 3),
    ]
    .into_iter()
}

fn fault_level(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level) in leaf_levels() {
        bench.restart()?;
        let watch = Watch::on(bench)?;
        let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
        let leaf = user_rw(granule, level, BLOCK);
        let slot = tree.map(VA, level, leaf);
        let tables: Vec<u64> = (tree.start_level()..level)
            .map(|l| tree.slot(VA, l))
            .collect();
        tree.load(bench)?;
        let handle = bench.handle()?;
        let asked = [
            (
                CoreRequest::load(VA, 3, El::El0),
                leaf.with_ap(0b00),
                Descriptor(0).with_ap_table(1),
            ),
            (
                CoreRequest::store(VA, 3, El::El0, 1),
                leaf.with_ap(0b11),
                Descriptor(0).with_ap_table(2),
            ),
            (
                CoreRequest::store(VA, 3, El::El1, 1),
                leaf.with_ap(0b10),
                Descriptor(0).with_ap_table(3),
            ),
            (
                CoreRequest::cas(VA, El::El0, 0, 1),
                leaf.with_ap(0b11),
                Descriptor(0).with_ap_table(2),
            ),
            (
                CoreRequest::fetch(VA, El::El0),
                leaf.with_uxn(true),
                Descriptor(0).with_uxn_table(true),
            ),
            (
                CoreRequest::at(VA, El::El0, true, false),
                leaf.with_ap(0b10),
                Descriptor(0).with_ap_table(2),
            ),
        ];
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            for (request, denying, limit) in asked {
                let mut places = vec![(slot, leaf.0, denying.0)];
                places.extend(
                    tables
                        .iter()
                        .map(|&at| (at, tree.word(at), tree.word(at) | limit.0)),
                );
                for (place, allows, denies) in places {
                    flush(&core).await;
                    handle.poke(place, denies);
                    watch.clear();
                    let first = core.access(request).await;
                    on(request, first.faults("VMSA-28", denied(level)))?;
                    let again = core.access(request).await;
                    on(request, again.faults("VMSA-28", denied(level)))?;
                    handle.poke(place, allows);
                    flush(&core).await;
                    let allowed = core.access(request).await;
                    on(request, allowed.succeeds("VMSA-28"))?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn device_fetch(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level) in leaf_levels() {
        bench.restart()?;
        let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
        // EL0 and EL1 may execute it.
        let leaf = user_rw(granule, level, BLOCK)
            .with_ap_read_only(true)
            .with_attr_index(DEVICE);
        tree.map(VA, level, leaf);
        tree.load(bench)?;
        bench.run(async move |core| {
            for device in [0x00, 0x04, 0x08, 0x0c] {
                let mut regime = Regime::default().with(&tree, 1);
                for (attr, fetched) in [(device, Err(denied(level))), (0x44, Ok(()))] {
                    regime.mair = regime.mair.with_attr(DEVICE, attr);
                    regime.enter(&core).await;
                    flush(&core).await;
                    for el in [El::El0, El::El1] {
                        let load = core.access(CoreRequest::load(VA, 2, el)).await;
                        load.succeeds("VMSA-29")?;
                        // The second fetch finds what the first may have left in the TLB.
                        for _ in 0..2 {
                            let fetch = core.access(CoreRequest::fetch(VA, el)).await;
                            match fetched {
                                Ok(()) => fetch.succeeds("VMSA-29")?,
                                Err(fsc) => fetch.faults("VMSA-29", fsc)?,
                            }
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn writable_clean(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    let clean = user_rw(Granule::K4, 3, BLOCK)
        .with_dbm(true)
        .with_ap_read_only(true);
    let slot = tree.map(VA, 3, clean);
    let tables = [0, 1, 2].map(|level| tree.slot(VA, level));
    tree.load(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let denied = denied(3);
        // HD, WXN, AP[1]; then whether EL0 and EL1 may execute.
        let rows = [
            (false, false, true, true, true),
            (false, true, true, true, true),
            (true, false, true, true, false),
            (true, true, true, false, false),
            (false, false, false, true, true),
            (false, true, false, true, true),
            (true, false, false, true, true),
            (true, true, false, true, false),
        ];
        for (hd, wxn, user, el0, el1) in rows {
            let page = clean.with_ap_el0(user);
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(true).with_hd(hd);
            regime.sctlr = regime.sctlr.with_wxn(wxn);
            handle.poke(slot, page.0);
            regime.enter(&core).await;
            flush(&core).await;
            watch.clear();
            for (el, allowed) in [(El::El0, el0), (El::El1, el1)] {
                let request = CoreRequest::fetch(VA, el);
                let answer = core.access(request).await;
                on(
                    request,
                    match allowed {
                        true => answer.reaches("VMSA-25", BLOCK),
                        false => answer.faults("VMSA-25", denied),
                    },
                )?;
            }
            watch.updates("VMSA-25", &[])?;
            expect("VMSA-25", handle.peek(slot) == page.0, || {
                "a fetch changed the page".into()
            })?;
        }
        // VMSA-26: APTable[1] at each level, for pages with and without access flag.
        let mut regime = Regime::default().with(&tree, 1);
        regime.tcr = regime.tcr.with_ha(true).with_hd(true);
        regime.enter(&core).await;
        for table in tables {
            for (user, af) in [(true, true), (true, false), (false, true), (false, false)] {
                let page = clean.with_ap_el0(user).with_af(af);
                for limit in [2, 3] {
                    handle.poke(slot, page.0);
                    handle.poke(table, Descriptor(tree.word(table)).with_ap_table(limit).0);
                    for el in [El::El0, El::El1] {
                        for request in [
                            CoreRequest::store(VA, 3, el, 1),
                            CoreRequest::cas(VA, el, 0, 1),
                            CoreRequest::at(VA, el, true, false),
                        ] {
                            flush(&core).await;
                            watch.clear();
                            let answer = core.access(request).await;
                            on(request, answer.faults("VMSA-26", denied))?;
                            watch.updates("VMSA-26", &[])?;
                            expect("VMSA-26", handle.peek(slot) == page.0, || {
                                format!("{request} changed the page to {:#x}", handle.peek(slot))
                            })?;
                        }
                    }
                }
            }
            handle.poke(table, tree.word(table));
        }
        // Without the limit the same store is the one that dirties the page.
        flush(&core).await;
        handle.poke(slot, clean.0);
        core.access(CoreRequest::store(VA, 3, El::El0, 1))
            .await
            .reaches("VMSA-26", BLOCK)?;
        let dirty = clean.with_ap_read_only(false);
        expect("VMSA-26", handle.peek(slot) == dirty.0, || {
            "the page is not dirty".to_owned()
        })
    })
}

fn pan_of_the_access(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    tree.map(VA, 3, user_rw(Granule::K4, 3, BLOCK));
    tree.load(bench)?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        let with = |request: CoreRequest, pan| CoreRequest { pan, ..request };
        for request in [
            CoreRequest::load(VA, 3, El::El1),
            CoreRequest::store(VA, 3, El::El1, 7),
            CoreRequest::cas(VA, El::El1, 0, 1),
            CoreRequest::at(VA, El::El1, false, false),
            CoreRequest::at(VA, El::El1, true, false),
        ] {
            for first in [false, true] {
                flush(&core).await;
                watch.clear();
                for pan in [first, !first, first, !first] {
                    let answer = core.access(with(request, pan)).await;
                    on(
                        with(request, pan),
                        match pan {
                            true => answer.faults("VMSA-27", denied(3)),
                            false => answer.reaches("VMSA-27", BLOCK),
                        },
                    )?;
                }
                // One walk served all four, so PAN was not that of the walk.
                let walks = watch.seen().walks;
                expect("VMSA-27", walks == 1, || {
                    format!("{walks} walks for {request}")
                })?;
            }
            // PAN does not concern EL0, nor fetches.
            let user = with(CoreRequest::load(VA, 3, El::El0), true);
            on(user, core.access(user).await.reaches("VMSA-27", BLOCK))?;
        }
        Ok(())
    })
}
