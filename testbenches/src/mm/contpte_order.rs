// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The order in which conversions write, invalidate and wait (contpte section 4).

use cosim::regress::{Bench, Expect, Failure, Testbench};
use sw_mm::contpte::get_and_clear;
use vmsa::DsbKind;

use super::access::load;
use super::contpte_scene::{Scene, Step, trace};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "contpte-conversion-order",
    purpose: "all entries are clear, and every core has forgotten them, before the first is written again",
    requirements: &["CONTPTE-10"],
    run: conversion_order,
}];

/// Holds one conversion of the first block to its order; `hint` is what it came to.
fn in_order(scene: &Scene, steps: &[Step], hint: bool) -> Result<(), Failure> {
    let n = scene.n as usize;
    let slots: Vec<_> = (0..scene.n).map(|page| scene.slot(page)).collect();
    let writes: Vec<_> = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match step {
            Step::Write(slot, word) if slots.contains(slot) => Some((at, *slot, *word)),
            _ => None,
        })
        .collect();
    expect("CONTPTE-10", writes.len() == 2 * n, || {
        format!("{} writes of {n} entries", writes.len())
    })?;
    for (page, (_, slot, word)) in writes.iter().enumerate() {
        let expected = match page < n {
            true => 0,
            false => scene.pte((page - n) as u64).with_cont(hint).0,
        };
        let met = *slot == slots[page % n] && *word == expected;
        expect("CONTPTE-10", met, || {
            format!("write {page} put {word:#018x} into [{slot:#x}]")
        })?;
    }
    let at = |wanted: &dyn Fn(&Step) -> bool| {
        let places = steps.iter().enumerate().filter(|(_, step)| wanted(step));
        places.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let covering = at(&|step| matches!(step, Step::Tlbi(op) if scene.covers_block(*op, 0)));
    let all = at(&|step| matches!(step, Step::Tlbi(_)));
    let effects = at(&|step| matches!(step, Step::Effect(_)));
    let over = at(&|step| *step == Step::Dsb(DsbKind::ISH));
    let (cleared, written) = (writes[n - 1].0, writes[n].0);
    let met = covering.len() == 1
        && all == covering
        && effects.len() == scene.os.handle.cores()
        && over.len() == 1
        && cleared < covering[0]
        && effects.iter().all(|at| (covering[0]..over[0]).contains(at))
        && over[0] < written;
    expect("CONTPTE-10", met, || {
        format!(
            "clear at {cleared}, TLBI at {all:?}, in effect at {effects:?}, DSB over at {over:?}, \
             written at {written}"
        )
    })
}

fn conversion_order(bench: &mut Bench) -> Result<(), Failure> {
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, 0).await?;
            let last = scene.n - 1;
            for page in 0..last {
                scene.set(page, scene.pte(page), 1).await?;
            }
            scene.publish().await;
            record.clear();
            scene.set(last, scene.pte(last), 1).await?;
            scene.publish().await;
            let mut steps = trace(&record, 0);
            // The entry that completes the block.
            let first = Step::Write(scene.slot(last), scene.pte(last).0);
            expect("CONTPTE-10", steps.first() == Some(&first), || {
                format!("it began with {:?}", steps.first())
            })?;
            steps.remove(0);
            in_order(&scene, &steps, true)?;
            for page in 0..scene.n {
                let answer = scene.other.cpu.access(load(scene.va(page))).await;
                answer.succeeds("CONTPTE-10")?;
            }
            record.clear();
            let (space, ptr) = (&scene.space, scene.ptr(5));
            scene
                .locked(async |thread| get_and_clear(thread, space, ptr).await)
                .await?;
            scene.publish().await;
            let mut steps = trace(&record, 0);
            let last = steps
                .iter()
                .rposition(|step| *step == Step::Write(scene.slot(5), 0));
            steps.truncate(last.unwrap_or(0));
            in_order(&scene, &steps, false)
        })?;
    }
    Ok(())
}
