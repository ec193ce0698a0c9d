// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 7, accesses that cross a page boundary: two translations, all bytes or none
//! (VMSA-40, VMSA-44, VMSA-62, HAF-08, HAF-11).

use cosim::dut::ports::{CoreRequest, Delays};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::{Descriptor, El, Fsc, Granule, VaRange};

use super::regime::{DEVICE, NON_CACHEABLE, Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "page-crossing",
        purpose: "every size and offset across a boundary, also with a DTLB of one entry",
        requirements: &["VMSA-15", "ORD-20"],
        run: data,
    },
    Testbench {
        name: "page-crossing-faults",
        purpose: "every pair of faults of the two pages: the lower one is reported, no byte is written",
        requirements: &["VMSA-40", "VMSA-44", "VMSA-62", "ORD-09"],
        run: faults,
    },
    Testbench {
        name: "page-crossing-updates",
        purpose: "a store across a boundary dirties both pages, or neither if either faults",
        requirements: &["HAF-06", "HAF-08", "HAF-10", "HAF-11"],
        run: updates,
    },
    Testbench {
        name: "page-crossing-attributes",
        purpose: "the attributes reported are those of the lower page, as is the output address",
        requirements: &["VMSA-60"],
        run: attributes,
    },
    Testbench {
        name: "page-crossing-leaves",
        purpose: "boundaries between leaves of each size, and at the ends of both VA ranges",
        requirements: &["VMSA-05", "VMSA-15", "VMSA-40"],
        run: leaves,
    },
];

const TABLES: u64 = 0x5000_0000;
/// First byte of the upper page.
const BOUNDARY: u64 = 0x1234_5678_a000;
const LOW: u64 = 0x8000_3000;
const HIGH: u64 = 0x9000_7000;
/// The last word of the lower page, and the first of the upper one.
const ENDS: [u64; 2] = [LOW | 0xff8, HIGH];
const HELD: [u64; 2] = [0x8877_6655_4433_2211, 0xffee_ddcc_bbaa_9988];
const STORED: u64 = 0x0f1e_2d3c_4b5a_6978;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;

fn page(pa: u64) -> Descriptor {
    user_rw(Granule::K4, 3, pa)
}

/// Two adjacent pages, `LOW` and `HIGH`, and the addresses of their descriptors.
fn two_pages() -> (Tree, [u64; 2]) {
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    let low = tree.map(BOUNDARY - 0x1000, 3, page(LOW));
    let high = tree.map(BOUNDARY, 3, page(HIGH));
    (tree, [low, high])
}

fn fill(handle: &SimHandle, ends: [u64; 2]) {
    for (place, held) in ends.into_iter().zip(HELD) {
        handle.poke(place, held);
    }
}

fn holds(handle: &SimHandle, id: &str, ends: [u64; 2], expected: [u64; 2]) -> Result<(), Failure> {
    let held = ends.map(|place| handle.peek(place));
    expect(id, held == expected, || {
        format!("memory holds {held:x?}, not {expected:x?}")
    })
}

/// Every load and store of the words at `ends` that has bytes on both sides of `boundary`.
async fn every_offset(
    core: &CoreHandle,
    handle: &SimHandle,
    boundary: u64,
    ends: [u64; 2],
) -> Result<(), Failure> {
    let held = u128::from(HELD[1]) << 64 | u128::from(HELD[0]);
    for size in 1..=3u8 {
        for before in 1..1u64 << size {
            let (va, pa) = (boundary.wrapping_sub(before), ends[0] + 8 - before);
            let shift = 8 * (8 - before);
            let mask = (1u128 << (8 << size)) - 1;
            fill(handle, ends);
            flush(core).await;
            // By walks, then by hits.
            for _ in 0..2 {
                let load = CoreRequest::load(va, size, El::El0);
                let answer = core.access(load).await;
                on(load, answer.reaches("VMSA-15", pa))?;
                on(load, answer.reads("ORD-20", (held >> shift & mask) as u64))?;
            }
            let store = CoreRequest::store(va, size, El::El0, STORED);
            on(store, core.access(store).await.reaches("VMSA-15", pa))?;
            let all = held & !(mask << shift) | (u128::from(STORED) & mask) << shift;
            holds(handle, "ORD-20", ends, [all as u64, (all >> 64) as u64])?;
        }
    }
    Ok(())
}

fn data(bench: &mut Bench) -> Result<(), Failure> {
    for (dtlb_entries, stall) in [(None, false), (Some(1), false), (Some(1), true)] {
        bench.restart()?;
        bench.setup().straps.dtlb_entries = dtlb_entries;
        bench.setup().straps.delay = if stall { Delays::MEM_REQ } else { Delays::NONE };
        let (tree, _) = two_pages();
        tree.load(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            every_offset(&core, &handle, BOUNDARY, ENDS).await
        })?;
    }
    Ok(())
}

/// What is wrong with a page, and the fault of an unaligned EL0 access to it.
fn wrongs(pa: u64) -> [(u64, Option<Fsc>); 8] {
    let good = page(pa);
    let device = good.with_attr_index(DEVICE);
    [
        (good.0, None),
        (good.with_valid(false).0, Some(Fsc(0x07))),
        (good.0 | 1 << 41, Some(Fsc(0x03))),
        (good.with_af(false).0, Some(Fsc(0x0b))),
        (good.with_ap_el0(false).0, Some(Fsc(0x0f))),
        (device.0, Some(Fsc(0x21))),
        // VMSA-44, VMSA-43.
        (device.with_ap_el0(false).0, Some(Fsc(0x21))),
        (device.with_ap_el0(false).with_af(false).0, Some(Fsc(0x0b))),
    ]
}

fn faults(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let (tree, slots) = two_pages();
    tree.load(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let mut regime = Regime::default().with(&tree, 1);
        regime.tcr = regime.tcr.with_ips(2);
        regime.enter(&core).await;
        fill(&handle, ENDS);
        let va = BOUNDARY - 3;
        for (low, low_fault) in wrongs(LOW) {
            for (high, high_fault) in wrongs(HIGH) {
                let Some(fsc) = low_fault.or(high_fault) else {
                    continue;
                };
                let id = match fsc {
                    Fsc(0x21) if low & 1 << 6 == 0 || high & 1 << 6 == 0 => "VMSA-44",
                    Fsc(0x21) => "VMSA-62",
                    _ => "VMSA-40",
                };
                handle.poke(slots[0], low);
                handle.poke(slots[1], high);
                for request in [
                    CoreRequest::load(va, 2, El::El0),
                    CoreRequest::load(va, 3, El::El0),
                    CoreRequest::store(va, 2, El::El0, STORED),
                    CoreRequest::store(va, 3, El::El0, STORED),
                ] {
                    flush(&core).await;
                    watch.clear();
                    for _ in 0..2 {
                        on(request, core.access(request).await.faults(id, fsc))?;
                    }
                    expect("ORD-09", watch.seen().stores.is_empty(), || {
                        format!("{request} wrote {:x?}", watch.seen().stores)
                    })?;
                }
                // An atomic has to be aligned, whatever the pages.
                let cas = CoreRequest::cas(va, El::El0, 0, 1);
                on(cas, core.access(cas).await.faults("VMSA-40", Fsc(0x21)))?;
                holds(&handle, "ORD-09", ENDS, HELD)?;
            }
        }
        Ok(())
    })
}

fn updates(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let (tree, slots) = two_pages();
    tree.load(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let mut regime = Regime::default().with(&tree, 1);
        regime.tcr = regime.tcr.with_ips(2).with_ha(true).with_hd(true);
        regime.enter(&core).await;
        let clean = |pa| page(pa).with_dbm(true).with_ap_read_only(true);
        let store = CoreRequest::store(BOUNDARY - 3, 3, El::El0, STORED);
        let load = CoreRequest::load(BOUNDARY - 3, 3, El::El0);
        // Both pages good: each is updated as it needs, once.
        for state in 0..16u8 {
            let dirty_already = [state & 1 != 0, state & 2 != 0];
            let accessed = [state & 4 != 0, state & 8 != 0];
            let before = [0, 1].map(|part| {
                clean([LOW, HIGH][part])
                    .with_ap_read_only(!dirty_already[part])
                    .with_af(accessed[part])
                    .0
            });
            for (request, cleared) in [(load, 0), (store, AP2)] {
                fill(&handle, ENDS);
                for part in 0..2 {
                    handle.poke(slots[part], before[part]);
                }
                flush(&core).await;
                watch.clear();
                on(
                    request,
                    core.access(request).await.reaches("HAF-08", LOW | 0xffd),
                )?;
                let after = before.map(|word| (word | AF) & !cleared);
                let held = slots.map(|slot| handle.peek(slot));
                expect("HAF-08", held == after, || {
                    format!("{held:x?}, not {after:x?}")
                })?;
                // One swap a page, for both bits, and none where nothing changes.
                let swaps: Vec<_> = (0..2)
                    .filter(|&part| before[part] != after[part])
                    .map(|part| (slots[part], before[part], after[part]))
                    .collect();
                watch.updates("HAF-06", &swaps)?;
            }
        }
        // Either page faults: no page is dirtied, and no byte written.
        for bad in 0..2 {
            for (wrong, fsc) in wrongs([LOW, HIGH][bad]) {
                let Some(fsc) = fsc.filter(|&fsc| fsc != Fsc(0x0b)) else {
                    continue;
                };
                let mut before = [clean(LOW).0, clean(HIGH).0];
                before[bad] = wrong | 1 << 51 | AP2;
                for request in [store, CoreRequest { size: 2, ..store }] {
                    fill(&handle, ENDS);
                    for part in 0..2 {
                        handle.poke(slots[part], before[part]);
                    }
                    flush(&core).await;
                    watch.clear();
                    // Twice: the second time the good page is in the TLB, writable-clean.
                    for _ in 0..2 {
                        on(request, core.access(request).await.faults("HAF-08", fsc))?;
                    }
                    let id = match fsc {
                        Fsc(0x0f) => "HAF-10",
                        Fsc(0x21) => "HAF-11",
                        _ => "HAF-08",
                    };
                    watch.updates(id, &[])?;
                    let held = slots.map(|slot| handle.peek(slot));
                    expect(id, held == before, || format!("{held:x?}, not {before:x?}"))?;
                    holds(&handle, "ORD-09", ENDS, HELD)?;
                }
            }
        }
        Ok(())
    })
}

fn attributes(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    tree.map(BOUNDARY - 0x1000, 3, page(LOW).with_sh(3));
    tree.map(
        BOUNDARY,
        3,
        page(HIGH).with_attr_index(NON_CACHEABLE).with_sh(0),
    );
    tree.load(bench)?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        // By walks, then by hits.
        for _ in 0..2 {
            let answer = core
                .access(CoreRequest::load(BOUNDARY - 3, 3, El::El0))
                .await;
            answer.reaches("VMSA-60", LOW + 0xffd)?;
            answer.has_attributes("VMSA-60", 0xff, 3)?;
            let answer = core
                .access(CoreRequest::store(BOUNDARY - 1, 1, El::El0, 0))
                .await;
            answer.has_attributes("VMSA-60", 0xff, 3)?;
        }
        let answer = core.access(CoreRequest::load(BOUNDARY, 3, El::El0)).await;
        answer.has_attributes("VMSA-60", 0x44, 2)
    })
}

fn leaves(bench: &mut Bench) -> Result<(), Failure> {
    // A block below a page, a page below a block, and larger pages.
    for (granule, boundary, low_level, high_level) in [
        (Granule::K4, 0x1234_4020_0000, 2, 3),
        (Granule::K4, 0x1234_4020_0000, 3, 2),
        (Granule::K4, 0x1234_4000_0000, 1, 3),
        (Granule::K4, 0x1280_0000_0000, 3, 3),
        (Granule::K16, 0x1234_5678_c000, 3, 3),
        (Granule::K16, 0x1234_5600_0000, 2, 3),
        (Granule::K64, 0x1234_567a_0000, 3, 3),
        (Granule::K64, 0x1234_6000_0000, 3, 2),
    ] {
        bench.restart()?;
        let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
        let leaf = |level, pa| user_rw(granule, level, pa);
        tree.map(boundary - 1, low_level, leaf(low_level, 0x4000_0000_0000));
        let high = tree.map(boundary, high_level, leaf(high_level, 0x6000_0000_0000));
        tree.load(bench)?;
        let low_bytes = vmsa::geometry::level_bytes(granule, low_level);
        let ends = [0x4000_0000_0000 + low_bytes - 8, 0x6000_0000_0000];
        let handle = bench.handle()?;
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            every_offset(&core, &handle, boundary, ends).await?;
            // The fault reports the level of the page that has it.
            fill(&handle, ends);
            handle.poke(high, tree.word(high) | AP2);
            flush(&core).await;
            let store = CoreRequest::store(boundary - 1, 3, El::El0, STORED);
            on(
                store,
                core.access(store)
                    .await
                    .faults("VMSA-40", Fsc(0x0c + high_level)),
            )?;
            holds(&handle, "ORD-09", ends, HELD)
        })?;
    }
    // The ends of the ranges: what follows is out of range, or in the other range, which is off.
    for (range, va_bits) in [
        (VaRange::Lower, 48),
        (VaRange::Lower, 39),
        (VaRange::Upper, 39),
    ] {
        bench.restart()?;
        let mut tree = Tree::new(range, Granule::K4, va_bits, TABLES);
        let last = tree.va((1 << va_bits) - 0x1000);
        tree.map(last, 3, page(LOW));
        tree.load(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            fill(&handle, ENDS);
            let inside = CoreRequest::load(last | 0xff8, 3, El::El0);
            on(inside, core.access(inside).await.reads("VMSA-15", HELD[0]))?;
            for request in [
                CoreRequest::load(last | 0xffd, 3, El::El0),
                CoreRequest::store(last | 0xffd, 3, El::El0, STORED),
            ] {
                on(
                    request,
                    core.access(request).await.faults("VMSA-05", Fsc(0x04)),
                )?;
                holds(&handle, "ORD-09", ENDS, HELD)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
