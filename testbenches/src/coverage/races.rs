// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Cores that write a descriptor through a mapping of its table, in every cycle of a walk that reads or
//! updates it: no write is lost, and the walk uses one value or the other.

use cosim::dut::ports::{CoreRequest, Delays};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Granule};

use super::leaf::{PA, Scene, Shape, kernel, user, with_short_sweeps};
use crate::invalidation::record::cores_in;
use crate::stage1::activity::within;
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::Regime;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "descriptor-races",
        purpose: "stores and CASes to a descriptor in every cycle of a walk that reads or updates it",
        requirements: &["HAF-02", "HAF-03", "HAF-04", "HAF-18"],
        run: writes,
    },
    Testbench {
        name: "update-beside-read",
        purpose: "a walk reads a descriptor that another walk, of its core or of another, updates",
        requirements: &["HAF-02", "HAF-03", "HAF-06"],
        run: updates,
    },
];

const OFFSET: u64 = 1 << 39;
/// Where the tables of levels 3 and 2 of the leaf are mapped as data.
const WINDOWS: [u64; 2] = [0x7000_0000, 0x7000_8000];
/// A bit of a descriptor that belongs to software.
const SOFTWARE: u64 = 1 << Descriptor::SOFTWARE;
const LATENCY: u64 = 6;

fn page(like: Descriptor) -> Scene {
    let shape = Shape {
        granule: Granule::K4,
        level: 3,
        run: false,
    };
    Scene::new(Lower, 48, shape, OFFSET, like)
}

fn writes(bench: &mut Bench) -> Result<(), Failure> {
    for own in [false, true] {
        for (window, level) in [(WINDOWS[0], 3), (WINDOWS[1], 2)] {
            for cas in [false, true] {
                let situation = format!("own core {own}, level {level}, CAS {cas}");
                race(bench, own, (window, level), cas)
                    .map_err(|failure| within(failure, &situation))?;
            }
        }
    }
    Ok(())
}

/// A walk for the leaf: of core `walker`, or with `own` a prefetch of the core that writes, since a
/// store waits for every other walk of its core.
fn race(bench: &mut Bench, own: bool, target: (u64, u8), cas: bool) -> Result<(), Failure> {
    bench.restart()?;
    with_short_sweeps(bench);
    bench.setup().memory.latency = LATENCY;
    bench.setup().straps.prefetch = own;
    let mut scene = page(user().with_af(false));
    let (window, level) = target;
    let slot = scene.tree.slot(scene.va, level);
    let table = slot & !0xfff;
    let data = Descriptor::leaf(Granule::K4, 3, table).0 | kernel().0;
    scene.tree.map(window, 3, Descriptor(data));
    scene.tree.load(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&scene.tree, 1);
    regime.tcr = regime.tcr.with_ha(true);
    bench.run(async move |writer| {
        let all = cores_in(&handle, &regime).await;
        let walker = match own {
            true => writer.clone(),
            false => match all.get(1) {
                Some(other) => other.clone(),
                None => return Ok(()),
            },
        };
        let (leaf, first) = (scene.slot, scene.tree.word(scene.slot));
        let word = scene.tree.word(slot);
        let va = window + (slot & 0xfff);
        for offset in 0..90 {
            handle.sleep(100).await;
            invalidate_all(&walker).await;
            handle.poke(slot, word);
            handle.poke(leaf, first);
            // The window into the table is in the TLB of the writer.
            let probe = CoreRequest::load(window, 3, El::El1);
            writer.access(probe).await.succeeds("HAF-18")?;
            let at = |va| CoreRequest::at(va, El::El0, false, false);
            if own {
                writer.access(at(scene.warm)).await.succeeds("HAF-18")?;
                handle.sleep(100).await;
            }
            let access = walker.issue(at(if own { scene.before } else { scene.va }));
            handle.sleep(offset).await;
            let request = match cas {
                true => CoreRequest::cas(va, El::El1, word, word | SOFTWARE),
                false => CoreRequest::store(va, 3, El::El1, word | SOFTWARE),
            };
            let written = writer.access(request).await;
            written.succeeds("HAF-18")?;
            let answer = access.await;
            answer.succeeds("HAF-04")?;
            handle.sleep(100).await;
            let stored = !cas || written.data == word;
            settled(&handle, slot, word, stored, level == 3)
                .map_err(|failure| within(failure, &format!("offset {offset}")))?;
        }
        Ok(())
    })
}

/// A descriptor holds what was stored, or what was there and the update; a store after the update takes
/// that away.
fn settled(
    handle: &SimHandle,
    slot: u64,
    word: u64,
    stored: bool,
    leaf: bool,
) -> Result<(), Failure> {
    let held = handle.peek(slot);
    let software = if stored { SOFTWARE } else { 0 };
    let flag = 1 << Descriptor::AF;
    let clean = held & !flag == word | software;
    let updated = held & flag != 0;
    expect("HAF-03", clean || !leaf && held == word | software, || {
        format!("{held:#x} is left of {word:#x}")
    })?;
    expect("HAF-02", !leaf || updated || stored, || {
        format!("{held:#x}: the CAS failed and there is no update")
    })
}

fn updates(bench: &mut Bench) -> Result<(), Failure> {
    // Of its own core: a load sets the flag while a fetch, which faults, has read it clear.
    let hidden = user().with_af(false).with_uxn(true);
    // Of another core: a store makes the page dirty while a load has read it clean.
    let clean = user().with_dbm(true).with_ap_read_only(true);
    // An update drains the reads before it: only with fast memory is it made before a walk that read
    // the old value has ended.
    for seed in 0..9u16 {
        beside(bench, hidden, seed, async |scene, first, _| {
            let answer = first.issue(CoreRequest::load(scene.va, 3, El::El0));
            (answer, CoreRequest::fetch(scene.va + 0x80, El::El0))
        })?;
        beside(bench, clean, seed, async |scene, _, last| {
            let answer = last.issue(CoreRequest::store(scene.va, 3, El::El0, 7));
            (answer, CoreRequest::load(scene.va + 0x80, 3, El::El0))
        })?;
    }
    Ok(())
}

/// The access that updates, made by `updates` on the first core or the last one, and from one cycle to
/// ever more cycles later the access of the first core that reads. Answers of memory are delayed by
/// `seed`, from 2 on.
fn beside(
    bench: &mut Bench,
    like: Descriptor,
    seed: u16,
    updates: impl AsyncFn(&Scene, &CoreHandle, &CoreHandle) -> (cosim::sim::Access, CoreRequest)
    + 'static,
) -> Result<(), Failure> {
    bench.restart()?;
    with_short_sweeps(bench);
    bench.setup().straps.prefetch = false;
    (bench.setup().memory.latency, bench.setup().straps.delay) = match seed {
        0 => (LATENCY, Delays::NONE),
        1 => (1, Delays::NONE),
        _ => (1, Delays::MEM_RSP),
    };
    bench.setup().straps.delay_seed = seed;
    let scene = page(like);
    scene.tree.load(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&scene.tree, 1);
    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
    bench.run(async move |first| {
        let all = cores_in(&handle, &regime).await;
        let last = all.last().cloned().unwrap_or_else(|| first.clone());
        let word = scene.tree.word(scene.slot);
        for offset in 0..60 {
            handle.sleep(40).await;
            for core in &all {
                invalidate_all(core).await;
            }
            handle.poke(scene.slot, word);
            let (updating, reading) = updates(&scene, &first, &last).await;
            handle.sleep(offset).await;
            let read = first.access(reading).await;
            let updated = updating.await;
            updated.reaches("HAF-03", PA)?;
            let fits = read.fault.is_some() || read.pa == PA + 0x80;
            expect("HAF-03", fits, || format!("{offset} cycles later: {read}"))?;
            let held = Descriptor(handle.peek(scene.slot));
            let kept = held.af() && (like.uxn() || !held.ap_read_only());
            expect("HAF-06", kept, || {
                format!("{offset} cycles later: {:#x} is left", held.0)
            })?;
        }
        Ok(())
    })
}
