// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 6, the dirty state: only a write in earnest sets it, once, and no write goes past it
//! (HAF-06, HAF-08, HAF-12 to HAF-14, HAF-16, HAF-18).

use cosim::check::Expectation;
use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::{El, Fsc, Granule, VaRange};

use super::regime::{Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on, reports_wnr};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "dirty-state",
        purpose: "writes dirty a writable-clean page once; nothing else does, nor where HD is off",
        requirements: &["HAF-06", "HAF-08", "HAF-12", "HAF-13", "HAF-14", "HAF-16"],
        run: dirtying,
    },
    Testbench {
        name: "dirty-state-order",
        purpose: "updates stand in one coherence order with stores to the same descriptor",
        requirements: &["HAF-18"],
        run: order,
    },
];

const TABLES: u64 = 0x5000_0000;
const PAGE: u64 = 0x8000_3000;
const VA: u64 = 0x1234_5678_9000;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;

fn dirtying(bench: &mut Bench) -> Result<(), Failure> {
    // Whether hardware manages dirty state: HAFDBS, HA and HD (section 6).
    for (hafdbs, ha, hd) in [
        (2, true, true),
        (2, true, false),
        (2, false, true),
        (1, true, true),
        (0, true, true),
    ] {
        for level in [1, 2, 3] {
            bench.restart()?;
            bench.setup().straps.hafdbs = hafdbs;
            let watch = Watch::on(bench)?;
            let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
            let clean = user_rw(Granule::K4, level, PAGE)
                .with_dbm(true)
                .with_ap_read_only(true);
            let slot = tree.map(VA, level, clean);
            let pa = clean.output_address(Granule::K4, level) | VA & ((1 << (39 - 9 * level)) - 1);
            tree.load(bench)?;
            let handle = bench.handle()?;
            bench.run(async move |core| {
                let mut regime = Regime::default().with(&tree, 1);
                regime.tcr = regime.tcr.with_ha(ha).with_hd(hd);
                regime.enter(&core).await;
                let managed = hafdbs == 2 && ha && hd;
                for el in [El::El0, El::El1] {
                    // HAF-08, HAF-14: reads, fetches and address translation leave the page clean.
                    flush(&core).await;
                    watch.clear();
                    let mut idle = vec![
                        (CoreRequest::load(VA, 3, el), true),
                        (CoreRequest::at(VA, el, false, false), true),
                        (CoreRequest::at(VA, el, true, false), managed),
                    ];
                    if el == El::El0 {
                        idle.push((CoreRequest::fetch(VA, el), true));
                    }
                    for round in 0..2 {
                        for &(request, allowed) in &idle {
                            let answer = core.access(request).await;
                            on(
                                request,
                                match allowed {
                                    true => answer.reaches("HAF-14", pa),
                                    false => answer.faults("HAF-14", Fsc(0x0c + level)),
                                },
                            )?;
                            watch.updates(if round == 0 { "HAF-14" } else { "HAF-08" }, &[])?;
                        }
                    }
                    for (flushed, af) in [(false, true), (true, true), (true, false)] {
                        for request in [
                            CoreRequest::store(VA, 3, el, 0x77),
                            CoreRequest::cas(VA, el, 0x77, 0x78),
                            // Its compare fails: a write all the same (HAF-16).
                            CoreRequest::cas(VA, el, 0x99, 0x9a),
                        ] {
                            handle.poke(pa, 0x77);
                            let before = clean.with_af(af || !managed).0;
                            handle.poke(slot, before);
                            flush(&core).await;
                            if !flushed {
                                // The entry is in the TLB, writable-clean, when the write comes.
                                core.access(CoreRequest::load(VA, 3, el))
                                    .await
                                    .succeeds("HAF-12")?;
                            }
                            watch.clear();
                            let answer = core.access(request).await;
                            if !managed {
                                on(request, answer.faults("HAF-08", Fsc(0x0c + level)))?;
                                reports_wnr("VMSA-30", &answer, true)?;
                                watch.updates("HAF-08", &[])?;
                                continue;
                            }
                            on(request, answer.reaches("HAF-12", pa))?;
                            // One swap, for both bits if both are due.
                            let dirty = (before | AF) & !AP2;
                            let id = if request.compare == 0x99 {
                                "HAF-16"
                            } else {
                                "HAF-06"
                            };
                            watch.updates(id, &[(slot, before, dirty)])?;
                            expect("HAF-12", handle.peek(slot) == dirty, || {
                                "not dirty".to_owned()
                            })?;
                            // HAF-13: later writes use the refreshed entry.
                            for _ in 0..3 {
                                let again = core.access(request).await;
                                on(request, again.comes_from("HAF-13", HitPlace::L1))?;
                            }
                            let updates = watch.seen().updates.len();
                            expect("HAF-13", updates == 1, || format!("{updates} updates"))?;
                        }
                    }
                    let left = handle.peek(pa);
                    expect("HAF-16", left == 0x77, || {
                        format!("a failed CAS wrote {left:#x}")
                    })?;
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn order(bench: &mut Bench) -> Result<(), Failure> {
    const WINDOW: u64 = 0x20_0000_0000;
    const OTHER: u64 = 0x8000_7000;
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    let clean = user_rw(Granule::K4, 3, PAGE)
        .with_af(false)
        .with_dbm(true)
        .with_ap_read_only(true);
    let slot = tree.map(VA, 3, clean);
    // The page table itself, seen at WINDOW.
    tree.map(WINDOW, 3, user_rw(Granule::K4, 3, slot));
    tree.load(bench)?;
    let handle = bench.handle()?;
    // The page moves in place: the order of the writes is what counts here.
    bench.expect_violation(Expectation::of("BBM-03").descriptor(slot))?;
    bench.run(async move |core| {
        let mut regime = Regime::default().with(&tree, 1);
        regime.tcr = regime.tcr.with_ha(true).with_hd(true);
        regime.enter(&core).await;
        let window = WINDOW | slot & 0xff8;
        let look = CoreRequest::load(window, 3, El::El1);
        core.access(look).await.reads("HAF-18", clean.0)?;
        // A load sets AF; the next look at the descriptor sees that, and only that.
        core.access(CoreRequest::load(VA, 3, El::El1))
            .await
            .reaches("HAF-18", PAGE)?;
        core.access(look).await.reads("HAF-18", clean.0 | AF)?;
        // A store sets the dirty state.
        core.access(CoreRequest::store(VA, 3, El::El1, 1))
            .await
            .reaches("HAF-18", PAGE)?;
        core.access(look)
            .await
            .reads("HAF-18", (clean.0 | AF) & !AP2)?;
        // A store to the descriptor, then an update, then a compare-and-swap that finds the update.
        for elsewhere in [OTHER, PAGE, OTHER] {
            let moved = clean.0 & !0xffff_ffff_f000 | elsewhere;
            let dirty = (moved | AF) & !AP2;
            core.access(CoreRequest::store(window, 3, El::El1, moved))
                .await
                .succeeds("HAF-18")?;
            flush(&core).await;
            watch.clear();
            let pending = [
                core.issue(CoreRequest::store(VA, 3, El::El1, 2)),
                core.issue(CoreRequest::dsb(vmsa::DsbKind::SY)),
                core.issue(look),
                core.issue(CoreRequest::cas(window, El::El1, dirty, clean.0)),
                core.issue(look),
            ];
            let mut answers = Vec::with_capacity(pending.len());
            for answer in pending {
                answers.push(answer.await);
            }
            answers[0].reaches("HAF-18", elsewhere)?;
            answers[2].reads("HAF-18", dirty)?;
            answers[3].reads("HAF-18", dirty)?;
            answers[4].reads("HAF-18", clean.0)?;
            watch.updates("HAF-18", &[(slot, moved, dirty)])?;
            expect("HAF-18", handle.peek(slot) == clean.0, || {
                "the swap was lost".to_owned()
            })?;
        }
        Ok(())
    })
}
