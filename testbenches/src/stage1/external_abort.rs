// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 9: error responses to descriptor reads, to hardware updates and to accesses themselves
//! (WALK-10, WALK-12, WALK-13, VMSA-50).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::ErrorOn;
use vmsa::{El, Fsc, Granule, VaRange};

use super::regime::{Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "external-abort-on-walk",
        purpose: "an error on the descriptor read of each level, for every kind of access",
        requirements: &["WALK-10", "WALK-13"],
        run: on_walk,
    },
    Testbench {
        name: "external-abort-on-update",
        purpose: "an error on the read or the write of a hardware update",
        requirements: &["WALK-12", "HAF-08"],
        run: on_update,
    },
    Testbench {
        name: "external-abort-on-access",
        purpose: "an error on the access itself, also on one half of an unaligned one",
        requirements: &["VMSA-50"],
        run: on_access,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x1234_5678_9a40;
const PAGE: u64 = 0x8000_3000;
const DATA: u64 = PAGE | 0xa40;
const HELD: u64 = 0x0123_4567_89ab_cdef;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;
/// External abort, not on a walk.
const ACCESS_ABORT: Fsc = Fsc(0x10);

pub(crate) fn on_walk(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, va_bits) in [
        (Granule::K4, 48),
        (Granule::K4, 39),
        (Granule::K16, 48),
        (Granule::K64, 42),
    ] {
        bench.restart()?;
        let watch = Watch::on(bench)?;
        let mut tree = Tree::new(VaRange::Lower, granule, va_bits, TABLES);
        let va = VA & ((1 << va_bits) - 1);
        tree.map(va, 3, user_rw(granule, 3, 0x8000_0000));
        let pa = 0x8000_0000 | va & (granule.bytes() - 1);
        let start = tree.start_level();
        let slots: Vec<(u8, u64)> = (start..=3)
            .map(|level| (level, tree.slot(va, level)))
            .collect();
        tree.load(bench)?;
        bench.load(pa, &[HELD])?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            for (level, slot) in slots {
                for request in [
                    CoreRequest::load(va, 3, El::El0),
                    CoreRequest::store(va, 3, El::El0, HELD),
                    CoreRequest::cas(va, El::El0, HELD, HELD),
                    CoreRequest::fetch(va, El::El0),
                    CoreRequest::at(va, El::El0, false, false),
                ] {
                    flush(&core).await;
                    watch.clear();
                    // Twice: the first error leaves nothing behind that would hide the second.
                    handle.mark_error(slot, ErrorOn::Reads, Some(2));
                    for _ in 0..2 {
                        let answer = core.access(request).await;
                        on(request, answer.faults("WALK-10", Fsc(0x14 + level)))?;
                    }
                    on(request, watch.nothing_filled("WALK-10"))?;
                    expect("WALK-10", watch.seen().stores.is_empty(), || {
                        "a write".to_owned()
                    })?;
                    // Levels above may stay cached (WALK-13); the translation comes by a walk.
                    let answer = core.access(request).await;
                    on(request, answer.reaches("WALK-13", pa))?;
                    on(request, answer.comes_from("WALK-10", HitPlace::Walk))?;
                    let read = watch.seen().reads.iter().any(|read| read.address == slot);
                    expect("WALK-10", read, || format!("L{level} was not read again"))?;
                }
                // An entry in the TLB needs no descriptor, so it meets no error.
                handle.mark_error(slot, ErrorOn::Both, None);
                let hit = core.access(CoreRequest::load(va, 3, El::El0)).await;
                hit.reads("WALK-13", HELD)?;
                handle.clear_error(slot);
            }
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn on_update(bench: &mut Bench) -> Result<(), Failure> {
    for level in [1, 2, 3] {
        bench.restart()?;
        let watch = Watch::on(bench)?;
        let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
        let clean = user_rw(Granule::K4, level, 0x4000_0000_0000)
            .with_dbm(true)
            .with_ap_read_only(true)
            .with_af(false);
        let slot = tree.map(VA, level, clean);
        let pa = 0x4000_0000_0000 | VA & ((1 << (39 - 9 * level)) - 1);
        tree.load(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(true).with_hd(true);
            regime.enter(&core).await;
            // What the descriptor needs: AF for a read, both for a write, the dirty state alone.
            let rows = [
                (CoreRequest::load(VA, 3, El::El0), false, clean.0 | AF),
                (CoreRequest::fetch(VA, El::El0), false, clean.0 | AF),
                (
                    CoreRequest::at(VA, El::El0, false, false),
                    false,
                    clean.0 | AF,
                ),
                (
                    CoreRequest::store(VA, 3, El::El0, HELD),
                    false,
                    (clean.0 | AF) & !AP2,
                ),
                (
                    CoreRequest::store(VA, 3, El::El0, HELD),
                    true,
                    (clean.0 | AF) & !AP2,
                ),
                (
                    CoreRequest::cas(VA, El::El0, 0, HELD),
                    true,
                    (clean.0 | AF) & !AP2,
                ),
            ];
            for (request, af, updated) in rows {
                for failing in [ErrorOn::Reads, ErrorOn::Writes] {
                    let before = clean.with_af(af).0;
                    handle.poke(slot, before);
                    handle.poke(pa, 0);
                    flush(&core).await;
                    watch.clear();
                    if failing == ErrorOn::Writes {
                        handle.mark_error(slot, failing, Some(1));
                    }
                    let pending = core.issue(request);
                    if failing == ErrorOn::Reads {
                        // The walk's own read shall pass: the error is for the read of the swap.
                        while !watch.seen().reads.iter().any(|read| read.address == slot) {
                            handle.sleep(1).await;
                        }
                        handle.mark_error(slot, failing, Some(1));
                    }
                    let given = handle.errors_given();
                    let answer = pending.await;
                    let errors = handle.errors_given() - given;
                    expect("WALK-12", errors == 1, || {
                        format!("{errors} errors were given")
                    })?;
                    on(request, answer.faults("WALK-12", Fsc(0x14 + level)))?;
                    watch.nothing_filled("WALK-12")?;
                    expect("HAF-08", watch.seen().stores.is_empty(), || {
                        "a write".to_owned()
                    })?;
                    let held = handle.peek(pa);
                    expect("HAF-08", held == 0, || format!("{request} wrote {held:#x}"))?;
                    // Once the error is gone, update and access are done.
                    on(request, core.access(request).await.reaches("WALK-12", pa))?;
                    let held = handle.peek(slot);
                    expect("WALK-12", held == updated, || {
                        format!("{held:#x} not {updated:#x}")
                    })?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn on_access(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    tree.map(VA, 3, user_rw(Granule::K4, 3, PAGE));
    tree.load(bench)?;
    bench.load(DATA, &[HELD, HELD])?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        let both = [ErrorOn::Reads, ErrorOn::Writes];
        let rows = [
            (CoreRequest::load(VA, 3, El::El0), &both[..1]),
            (CoreRequest::load(VA + 5, 0, El::El1), &both[..1]),
            (CoreRequest::fetch(VA + 4, El::El0), &both[..1]),
            (CoreRequest::store(VA, 3, El::El0, 1), &both[1..]),
            (CoreRequest::store(VA + 2, 1, El::El1, 1), &both[1..]),
            (CoreRequest::cas(VA, El::El0, HELD, 1), &both[..]),
        ];
        for (request, failing) in rows {
            for &error in failing {
                // By a walk and by a TLB hit; then nothing has changed.
                flush(&core).await;
                for _ in 0..2 {
                    handle.mark_error(DATA, error, Some(1));
                    let answer = core.access(request).await;
                    on(request, answer.faults("VMSA-50", ACCESS_ABORT))?;
                }
                core.access(CoreRequest::load(VA, 3, El::El0))
                    .await
                    .reads("VMSA-50", HELD)?;
            }
        }
        // A load across two words, the error on either; a store, the error on the first: then it goes
        // no further. An error on the second comes too late to take the first back.
        for place in [DATA, DATA + 8] {
            handle.mark_error(place, ErrorOn::Reads, Some(1));
            let request = CoreRequest::load(VA + 3, 3, El::El0);
            on(
                request,
                core.access(request).await.faults("VMSA-50", ACCESS_ABORT),
            )?;
        }
        handle.mark_error(DATA, ErrorOn::Writes, Some(1));
        let request = CoreRequest::store(VA + 3, 3, El::El0, 0);
        on(
            request,
            core.access(request).await.faults("VMSA-50", ACCESS_ABORT),
        )?;
        for va in [VA, VA + 8] {
            core.access(CoreRequest::load(va, 3, El::El0))
                .await
                .reads("VMSA-50", HELD)?;
        }
        Ok(())
    })
}
