// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Walkers, aliases and devices behind distant memory: what each of them sees and in which order.

use cosim::dut::memory::{MemoryConfig, node_base};
use cosim::dut::ports::{CoreRequest, Delays, HitPlace, OpCode, WalkKind};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::EventKind;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use super::setting::{info, load, quiet, store, with};
use crate::invalidation::record::{Record, cores};
use crate::stage1::regime::{DEVICE, Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "walker-coherence",
        purpose: "a walk begun after a store of a descriptor was acknowledged sees it, however far and however queued",
        requirements: &["ORD-27", "MEM-20", "MEM-22"],
        run: walkers,
    },
    Testbench {
        name: "walker-passes-barrier",
        purpose: "a walk for a later access does not wait for explicit accesses that are under way",
        requirements: &["ORD-24"],
        run: not_held,
    },
    Testbench {
        name: "alias-coherence",
        purpose: "loads of one word through two addresses, one near its translation and one far, never go back",
        requirements: &["ORD-30", "NOC-06"],
        run: aliases,
    },
    Testbench {
        name: "device-order",
        purpose: "accesses to a device page arrive one by one, whole, in program order, and are acknowledged from there",
        requirements: &["ORD-26"],
        run: devices,
    },
];

const VA: u64 = 0x4000_0000;

/// Far and slow, with a cache at each home and long queues of writes.
fn loaded(bench: &Bench) -> Result<MemoryConfig, Failure> {
    let mut config = quiet(bench)?;
    config.latency_unit_ps = 9_000;
    for node in config.nodes.iter_mut().flatten() {
        node.slice_hit_ps = Some(2_000);
        node.drain = (30, 2);
    }
    Ok(config)
}

fn walkers(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 16;
    let shape = info(bench)?;
    for delay in [Delays::NONE, Delays::ALL] {
        for node in [0, shape.nodes - 1] {
            let config = loaded(bench)?;
            bench.restart()?;
            bench.setup().straps.delay = delay;
            with(bench, config)?;
            let tables = node_base(node) + (1 << 30);
            let mut tree = Tree::new(Lower, Granule::K4, 39, tables);
            let page = |i: u64| node_base(0) + (i << 12);
            let slot = tree.map(VA, 3, user_rw(Granule::K4, 3, page(0)));
            tree.load(bench)?;
            for i in 0..=ROUNDS {
                bench.load(page(i), &[100 + i])?;
            }
            let record = Record::on(bench)?;
            let handle = bench.handle()?;
            bench.run(async move |walker| {
                Regime::default().with(&tree, 1).enter(&walker).await;
                // Another core edits, with translation off.
                let editor = cores(&handle).split_off(1).pop();
                walker.access(load(VA)).await.reads("ORD-27", 100)?;
                for round in 1..=ROUNDS {
                    let operation = Tlbi::vaae1(TlbiScope::InnerShareable, VA, None);
                    let descriptor = |pa| user_rw(Granule::K4, 3, pa).0;
                    let Some(editor) = &editor else { break };
                    editor.access(store(slot, 0)).await.succeeds("ORD-27")?;
                    editor.access(CoreRequest::dsb(DsbKind::SY)).await;
                    editor.access(CoreRequest::tlbi(operation)).await;
                    editor.access(CoreRequest::dsb(DsbKind::SY)).await;
                    record.clear();
                    editor
                        .access(store(slot, descriptor(page(round))))
                        .await
                        .succeeds("ORD-27")?;
                    // No barrier is needed: it was acknowledged, so a walk that begins now sees it.
                    let asked = handle.now();
                    let answer = walker.access(load(VA)).await;
                    answer.reads("ORD-27", 100 + round)?;
                    answer.comes_from("ORD-27", HitPlace::Walk)?;
                    // What is reported of the access: bound by a walk of its own, and then done.
                    let walks = record.walks(walker.index());
                    let read = walks
                        .iter()
                        .find(|(_, step)| step.kind == WalkKind::Step && step.address == slot);
                    let [seen] = record.answers(walker.index(), OpCode::Load)[..] else {
                        return Err(Failure::expectation("no answer was recorded"));
                    };
                    let bound = read.is_some_and(|(cycle, step)| {
                        asked < *cycle && *cycle < seen.at && step.value == descriptor(page(round))
                    });
                    expect("MEM-22", bound && seen.response.pa == page(round), || {
                        format!("asked at {asked}, walk {read:?}, answer {seen:?}")
                    })?;
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn not_held(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    if shape.nodes < 2 {
        return Ok(());
    }
    let mut config = quiet(bench)?;
    config.latency_unit_ps = 30_000;
    with(bench, config)?;
    let mut tree = Tree::new(Lower, Granule::K4, 39, node_base(0) + (1 << 30));
    let far = node_base(shape.nodes - 1);
    tree.map(VA, 3, user_rw(Granule::K4, 3, far));
    tree.map(VA + 0x1000, 3, user_rw(Granule::K4, 3, node_base(0)));
    tree.load(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        core.access(load(VA)).await.succeeds("ORD-24")?;
        handle.sleep(1000).await;
        record.clear();
        // A core makes a DMB by holding later explicit accesses back until earlier ones are
        // acknowledged. AT makes none, so its walk may go.
        let stored = core.issue(store(VA, 1));
        let walk = core.issue(CoreRequest::at(VA + 0x1000, El::El1, false, false));
        let later = {
            stored.await.succeeds("ORD-24")?;
            core.issue(load(VA + 0x1000))
        };
        walk.await.succeeds("ORD-24")?;
        later.await.succeeds("ORD-24")?;
        let stored = record.answers(core.index(), OpCode::Store)[0].at;
        let walked = record.walks(core.index());
        let ended = walked.iter().find(|(_, step)| step.kind == WalkKind::End);
        expect(
            "ORD-24",
            ended.is_some_and(|&(cycle, _)| cycle < stored),
            || format!("the store was acknowledged at {stored}, the walk ended {ended:?}"),
        )?;
        let read = record.collect(|kind| match kind {
            EventKind::DramRead { address, .. } if *address == node_base(0) => Some(()),
            _ => None,
        });
        expect(
            "ORD-24",
            read.first().is_some_and(|&(cycle, ())| cycle > stored),
            || format!("the store was acknowledged at {stored}, the later load done at {read:?}"),
        )
    })
}

fn aliases(bench: &mut Bench) -> Result<(), Failure> {
    const ROUNDS: u64 = 50;
    let shape = info(bench)?;
    for (node, delay) in [
        (0, Delays::NONE),
        (shape.nodes - 1, Delays::NONE),
        (0, Delays::ALL),
        (shape.nodes - 1, Delays::ALL),
    ] {
        let config = loaded(bench)?;
        bench.restart()?;
        bench.setup().straps.delay = delay;
        with(bench, config)?;
        let mut tree = Tree::new(Lower, Granule::K4, 39, node_base(0) + (1 << 30));
        // The second address lies under another table, of another node.
        let mut other = Tree::new(
            Lower,
            Granule::K4,
            39,
            node_base(shape.nodes - 1) + (2 << 30),
        );
        let word = node_base(node);
        tree.map(VA, 3, user_rw(Granule::K4, 3, word));
        other.map(VA + (1 << 30), 3, user_rw(Granule::K4, 3, word));
        let upper = vmsa::Descriptor::table(other.slot(VA + (1 << 30), 2) & !0xfff);
        tree.map(VA + (1 << 30), 1, upper);
        other.load(bench)?;
        tree.load(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |reader| {
            Regime::default().with(&tree, 1).enter(&reader).await;
            let writer = cores(&handle).pop().unwrap_or(reader.clone());
            let alone = writer.index() == reader.index();
            let stop = std::rc::Rc::new(std::cell::Cell::new(alone));
            let stopped = std::rc::Rc::clone(&stop);
            let count = handle.spawn(async move {
                let mut value = 0;
                while !stopped.get() {
                    value += 1;
                    writer.access(store(word, value)).await;
                }
                value
            });
            let mut last = 0;
            let mut changes = 0;
            for round in 0..ROUNDS {
                if round % 4 == 0 {
                    // Both have to walk again, and the walks take different times.
                    let local = Tlbi::vmalle1(TlbiScope::Local);
                    reader.access(CoreRequest::tlbi(local)).await;
                    reader.access(CoreRequest::dsb(DsbKind::SY)).await;
                }
                let order = [VA + (1 << 30), VA, VA, VA + (1 << 30), VA];
                let pending: Vec<_> = order.map(|va| reader.issue(load(va))).into_iter().collect();
                for access in pending {
                    let came = access.await;
                    came.succeeds("ORD-30")?;
                    expect("ORD-30", came.data >= last, || {
                        format!("{} read after {last}", came.data)
                    })?;
                    changes += u64::from(came.data != last);
                    last = came.data;
                }
            }
            stop.set(true);
            count.await;
            expect("ORD-30", changes > 5 || alone, || {
                format!("the word changed {changes} times under the reader")
            })
        })?;
    }
    Ok(())
}

fn devices(bench: &mut Bench) -> Result<(), Failure> {
    let shape = info(bench)?;
    for (node, delay) in [(0, Delays::NONE), (shape.nodes - 1, Delays::ALL)] {
        let config = loaded(bench)?;
        bench.restart()?;
        bench.setup().straps.delay = delay;
        with(bench, config)?;
        let device = node_base(node) + 0x10_0000;
        let mut tree = Tree::new(Lower, Granule::K4, 39, node_base(0) + (1 << 30));
        tree.map(
            VA,
            3,
            user_rw(Granule::K4, 3, device).with_attr_index(DEVICE),
        );
        tree.load(bench)?;
        let record = Record::on(bench)?;
        bench.run(async move |core| {
            Regime::default().with(&tree, 1).enter(&core).await;
            // Small ones next to each other, the same one again, reads between: nothing to gather.
            let program: Vec<CoreRequest> = (0..60u64)
                .map(|i| match i % 6 {
                    0 => CoreRequest::store(VA + i % 8, 0, El::El1, i),
                    1 => CoreRequest::store(VA + 2 * (i % 4), 1, El::El1, i),
                    2 => CoreRequest::load(VA + 4 * (i % 8), 2, El::El1),
                    3 => CoreRequest::load(VA + 4 * (i % 8), 2, El::El1),
                    4 => store(VA + 64 + 8 * (i % 3), i),
                    _ => load(VA + 64 + 8 * (i % 3)),
                })
                .collect();
            for walks in [true, false] {
                // The first page is not translated yet: nothing passes what waits for its walk.
                if walks {
                    core.access(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local)))
                        .await;
                    core.access(CoreRequest::dsb(DsbKind::SY)).await;
                }
                record.clear();
                let pending: Vec<_> = program.iter().map(|&r| core.issue(r)).collect();
                for access in pending {
                    access.await.has_attributes("ORD-26", 0x04, 2)?;
                }
                let own = device..device + 0x1000;
                let came: Vec<(u64, (u64, Option<u8>))> = record.collect(|kind| match kind {
                    EventKind::DramRead { address, .. } if own.contains(address) => {
                        Some((*address, None))
                    }
                    EventKind::DramWrite {
                        address, strobe, ..
                    } if own.contains(address) => Some((*address, Some(*strobe))),
                    _ => None,
                });
                let arrived: Vec<_> = came.iter().map(|&(_, access)| access).collect();
                let wanted: Vec<_> = (program.iter())
                    .map(|request| {
                        let bytes = ((1u16 << (1 << request.size)) - 1) << (request.va & 7);
                        let writes = request.op.code() == OpCode::Store;
                        (device + (request.va & 0xff8), writes.then_some(bytes as u8))
                    })
                    .collect();
                expect("ORD-26", arrived == wanted, || {
                    format!("the device saw {arrived:x?}, the program has {wanted:x?}")
                })?;
                // nE: the acknowledgement comes from the endpoint, so after the device saw the write.
                let stores = record.answers(core.index(), OpCode::Store);
                let writes = came.iter().filter(|(_, (_, strobe))| strobe.is_some());
                let late = stores
                    .iter()
                    .zip(writes)
                    .all(|(answer, write)| answer.at > write.0);
                expect("ORD-26", late, || {
                    "a store was acknowledged on the way".to_owned()
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
