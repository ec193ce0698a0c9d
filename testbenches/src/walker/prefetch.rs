// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The walk for the next page that follows each demand walk: it fills the second level, sets the
//! access flag and nothing else, and nobody hears of its faults (sections 9 and 14).

use cosim::dut::ports::{CoreRequest, Counter, HitPlace, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, ErrorOn, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Fsc, Granule};

use super::record::Record;
use crate::stage1::regime::{DEVICE, Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "prefetch-next-page",
        purpose: "the next page is in the second level, of every granule and both sides, and read by descriptor reads only",
        requirements: &["WALK-20", "WALK-26", "TLB-30"],
        run: next_page,
    },
    Testbench {
        name: "prefetch-update",
        purpose: "a prefetch sets the access flag when hardware may, and never the dirty state",
        requirements: &["WALK-23", "HAF-07", "HAF-08"],
        run: update,
    },
    Testbench {
        name: "prefetch-fault",
        purpose: "nobody hears of a fault or error that a prefetch meets, and nothing is remembered of it",
        requirements: &["WALK-11", "WALK-24", "WALK-28", "TLB-20"],
        run: faults,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;
/// Cycles after which no prefetch is under way any more, whatever it met.
const QUIET: u64 = 400;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn fetch(va: u64) -> CoreRequest {
    CoreRequest::fetch(va, El::El0)
}

/// The DRAM words read are those of descriptors that walks read or updated, and `data`.
fn reads_only(record: &Record, id: &str, data: &[u64]) -> Result<(), Failure> {
    let walks = record.walks();
    let mut known: Vec<u64> = walks
        .iter()
        .flat_map(|walk| walk.reads.iter().chain(&walk.swaps))
        .map(|read| read.address)
        .chain(data.iter().copied())
        .collect();
    let mut read = record.dram_reads();
    known.sort_unstable();
    read.sort_unstable();
    expect(id, read == known, || {
        format!("DRAM was read at {read:x?}; walks and accesses account for {known:x?}")
    })
}

fn next_page(bench: &mut Bench) -> Result<(), Failure> {
    for granule in [Granule::K4, Granule::K16, Granule::K64] {
        for fetches in [false, true] {
            bench.restart()?;
            bench.setup().straps.prefetch = true;
            let bytes = granule.bytes();
            let mut tree = Tree::new(Lower, granule, 42, TABLES);
            tree.map(VA, 3, user_rw(granule, 3, PA));
            // Of a memory type from which nothing may be read ahead (WALK-26).
            let device = user_rw(granule, 3, PA + 5 * bytes).with_attr_index(DEVICE);
            tree.map(
                VA + bytes,
                3,
                if fetches {
                    user_rw(granule, 3, PA + 5 * bytes)
                } else {
                    device
                },
            );
            tree.load(bench)?;
            let (record, handle) = (Record::on(bench)?, bench.handle()?);
            bench.run(async move |core| {
                Regime::default().with(&tree, 1).enter(&core).await;
                record.clear();
                let ask = |va| if fetches { fetch(va) } else { load(va) };
                core.access(ask(VA + 64))
                    .await
                    .reaches("WALK-20", PA + 64)?;
                handle.sleep(QUIET).await;
                reads_only(&record, "WALK-26", &[PA + 64])?;
                let walks = record.walks();
                let met = walks.len() == 2
                    && !walks[0].prefetch
                    && walks[1].prefetch
                    && walks[1].va & !(bytes - 1) == VA + bytes
                    && walks[1].instruction == fetches
                    && walks[1].fault.is_none();
                expect("WALK-20", met, || format!("{granule}: walks {walks:x?}"))?;
                let side = if fetches {
                    TlbStructure::Itlb
                } else {
                    TlbStructure::Dtlb
                };
                let first: Vec<_> = record.fills(side).iter().map(|(_, fill)| fill.va).collect();
                let second: Vec<_> = record
                    .fills(TlbStructure::L2)
                    .iter()
                    .map(|(_, fill)| (fill.va, fill.prefetch))
                    .collect();
                let met = first == [VA] && second == [(VA, false), (VA + bytes, true)];
                expect("TLB-30", met, || {
                    format!("{granule}: first level {first:x?}, second level {second:x?}")
                })?;
                // The page is used without a walk, and leads to no further prefetch.
                record.clear();
                let answer = core.access(ask(VA + bytes + 8)).await;
                answer.reaches("WALK-20", PA + 5 * bytes + 8)?;
                answer.comes_from("WALK-20", HitPlace::L2)?;
                handle.sleep(QUIET).await;
                let walks = record.walks();
                expect("WALK-20", walks.is_empty(), || format!("walks {walks:x?}"))?;
                let counts = handle.counters(0);
                let prefetched =
                    [Counter::PrefetchFill, Counter::PrefetchUsed].map(|c| counts.get(c));
                let begun = counts.get(if fetches {
                    Counter::ItlbWalkPrfm
                } else {
                    Counter::DtlbWalkPrfm
                });
                expect("WALK-20", prefetched == [1, 1] && begun == 1, || {
                    format!("{begun} prefetch walks; filled and used: {prefetched:?}")
                })
            })?;
        }
    }
    Ok(())
}

/// An access at VA, and what it leaves in the descriptors of its own page and of the next one.
struct Case {
    request: CoreRequest,
    ha: bool,
    hd: bool,
    own: u64,
}

fn update(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.prefetch = true;
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    // Not accessed, writable-clean.
    let clean = |pa| {
        user_rw(Granule::K4, 3, pa)
            .with_af(false)
            .with_dbm(true)
            .with_ap_read_only(true)
    };
    let used = move |pa| clean(pa).with_af(true);
    let slots = [0u64, 1].map(|i| tree.map(VA + (i << 12), 3, clean(PA + (i << 12))));
    tree.load(bench)?;
    let (record, handle) = (Record::on(bench)?, bench.handle()?);
    let case = |request, ha, hd, own| Case {
        request,
        ha,
        hd,
        own,
    };
    let cases = [
        case(load(VA), true, true, AF),
        case(CoreRequest::store(VA, 3, El::El0, 1), true, true, AF | AP2),
        case(CoreRequest::cas(VA, El::El0, 0, 1), true, true, AF | AP2),
        case(fetch(VA), true, true, AF),
        case(CoreRequest::at(VA, El::El0, true, false), true, true, AF),
        case(load(VA), true, false, AF),
        case(load(VA), false, false, 0),
    ];
    bench.run(async move |core| {
        for Case {
            request,
            ha,
            hd,
            own,
        } in cases
        {
            let before = [0u64, 1].map(|i| match ha {
                true => clean(PA + (i << 12)).0,
                // Without HA the demand access needs a page that is marked accessed; the next one
                // is not.
                false if i == 0 => used(PA).0,
                false => clean(PA + 0x1000).0,
            });
            handle.poke(slots[0], before[0]);
            handle.poke(slots[1], before[1]);
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(ha).with_hd(hd);
            regime.switch(&core).await;
            record.clear();
            on(request, core.access(request).await.succeeds("HAF-07"))?;
            handle.sleep(QUIET).await;
            let prefetched: Vec<_> = record
                .walks()
                .into_iter()
                .filter(|walk| walk.prefetch)
                .collect();
            expect("HAF-07", prefetched.len() == 1, || {
                format!("{request}: {prefetched:x?}")
            })?;
            let after = slots.map(|slot| handle.peek(slot));
            let wanted = [before[0] ^ own, before[1] ^ if ha { AF } else { 0 }];
            on(
                request,
                expect("WALK-23", after == wanted, || {
                    format!("HA {ha} HD {hd}: descriptors {after:x?}, not {wanted:x?}")
                }),
            )?;
            // A write to the next page makes its own update.
            let write = CoreRequest::store(VA + 0x1000, 3, El::El0, 1);
            let answer = core.access(write).await;
            let dirty = before[1] ^ (AF | AP2);
            if ha && hd {
                answer.reaches("HAF-08", PA + 0x1000)?;
                let held = handle.peek(slots[1]);
                on(
                    write,
                    expect("HAF-08", held == dirty, || format!("{held:#x}")),
                )?;
            } else {
                on(
                    write,
                    answer.faults("HAF-08", Fsc(if ha { 0x0f } else { 0x0b })),
                )?;
            }
            handle.sleep(QUIET).await;
        }
        Ok(())
    })
}

/// The page at `base` is fine; a descriptor on the way to the next one, at PA + 4 KiB, is not.
struct Scene<'a> {
    base: u64,
    record: &'a Record,
    handle: &'a SimHandle,
}

impl Scene<'_> {
    /// Loads from the page while the descriptor at `slot` holds `bad`, or answers with an error; then
    /// from the next page, before and after it is put right.
    async fn one_fault(
        &self,
        core: &CoreHandle,
        (slot, good, bad): (u64, u64, Option<u64>),
        fsc: Fsc,
    ) -> Result<(), Failure> {
        let &Self {
            base,
            record,
            handle,
        } = self;
        let next = load(base + 0x1000);
        match bad {
            Some(bad) => handle.poke(slot, bad),
            None => handle.mark_error(slot, ErrorOn::Reads, None),
        }
        flush(core).await;
        record.clear();
        let taken = handle.counter(0, Counter::ExcTaken);
        core.access(load(base)).await.reaches("WALK-24", PA)?;
        handle.sleep(QUIET).await;
        let walks = record.walks();
        let ended: Vec<_> = walks
            .iter()
            .map(|walk| (walk.prefetch, walk.fault))
            .collect();
        expect(
            "WALK-11",
            ended == [(false, None), (true, Some(fsc))],
            || format!("walks {walks:x?}, not one without fault and a prefetch with {fsc}"),
        )?;
        let fills = record.fills(TlbStructure::L2);
        expect(
            "TLB-20",
            fills.iter().all(|(_, fill)| fill.va == base),
            || format!("entries {fills:x?}"),
        )?;
        let reported = handle.counter(0, Counter::ExcTaken) - taken;
        expect("WALK-24", reported == 0, || {
            format!("{reported} faults reported")
        })?;
        // Asked for, it is reported; put right, it is gone without an invalidation.
        on(next, core.access(next).await.faults("WALK-28", fsc))?;
        match bad {
            Some(_) => handle.poke(slot, good),
            None => handle.clear_error(slot),
        }
        let answer = core.access(next).await;
        on(next, answer.reaches("WALK-28", PA + 0x1000))?;
        on(next, answer.comes_from("TLB-20", HitPlace::Walk))?;
        handle.sleep(QUIET).await;
        Ok(())
    }
}

fn faults(bench: &mut Bench) -> Result<(), Failure> {
    let page = user_rw(Granule::K4, 3, PA);
    let beyond = 1 << 45;
    // The next page is the first below tables of its own, down from level 0, 1, 2 or 3.
    for (level, base) in [
        (3, VA),
        (2, VA | 0x1f_f000),
        (1, VA | 0x3fff_f000),
        (0, 0x7f_ffff_f000),
    ] {
        bench.restart()?;
        bench.setup().straps.prefetch = true;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        tree.map(base, 3, page);
        tree.map(base + 0x1000, 3, user_rw(Granule::K4, 3, PA + 0x1000));
        tree.load(bench)?;
        let (record, handle) = (Record::on(bench)?, bench.handle()?);
        bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ips(4);
            regime.enter(&core).await;
            for at in level..=3 {
                let slot = tree.slot(base + 0x1000, at);
                let good = tree.word(slot);
                let mut bad = vec![
                    (Some(0), 0x04 + at),
                    (Some(good & !1), 0x04 + at),
                    (None, 0x14 + at),
                ];
                if at == 3 {
                    bad.push((Some(good & !AF), 0x0b));
                    bad.push((Some(good | beyond), 0x03));
                } else {
                    bad.push((Some(Descriptor::table(beyond).0), at));
                }
                for (bad, fsc) in bad {
                    let scene = Scene {
                        base,
                        record: &record,
                        handle: &handle,
                    };
                    scene.one_fault(&core, (slot, good, bad), Fsc(fsc)).await?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
