// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Hardware updates of every kind of leaf: made, lost to another writer and made again, and met by an
//! invalidation of another core.

use cosim::dut::ports::{CoreRequest, WalkKind};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, DsbKind, El, Tlbi, TlbiScope};

use super::leaf::{PA, Scene, Shape, user, with_short_sweeps};
use crate::invalidation::record::{Record, cores_in};
use crate::stage1::activity::within;
use crate::stage1::regime::{Regime, flush};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "update-shapes",
    purpose: "access flag and dirty state updates of every kind of leaf: made, lost and made again, cancelled",
    requirements: &["HAF-02", "HAF-03", "HAF-05", "HAF-06", "DVM-13", "TLBI-23"],
    run: shapes,
}];

const OFFSET: u64 = 0x40_0000_0000;
/// A bit of a descriptor that belongs to software.
const SOFTWARE: u64 = 1 << Descriptor::SOFTWARE;

/// What happens between the read of the leaf and its update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    Write,
    Invalidation,
}

/// Bits of a leaf before its update, and the access that makes it.
#[derive(Debug, Clone, Copy)]
struct Case {
    like: Descriptor,
    writes: bool,
}

fn cases() -> [Case; 3] {
    let clean = user().with_dbm(true).with_ap_read_only(true);
    [
        Case {
            like: user().with_af(false),
            writes: false,
        },
        Case {
            like: clean,
            writes: true,
        },
        Case {
            like: clean.with_af(false),
            writes: true,
        },
    ]
}

/// Waits until a walk of core `of` has read the descriptor at `slot`; false if none does.
async fn read(handle: &SimHandle, record: &Record, of: u8, slot: u64) -> bool {
    for _ in 0..2000 {
        let walks = record.walks(of);
        let seen = |step: &cosim::dut::ports::WalkEvent| {
            step.kind == WalkKind::Step && step.address == slot
        };
        if walks.iter().any(|(_, step)| seen(step)) {
            return true;
        }
        handle.sleep(1).await;
    }
    false
}

fn shapes(bench: &mut Bench) -> Result<(), Failure> {
    for shape in Shape::all() {
        for case in cases() {
            let situation = format!("{shape:?}, {:#x}", case.like.0);
            one(bench, shape, case).map_err(|failure| within(failure, &situation))?;
        }
    }
    Ok(())
}

fn one(bench: &mut Bench, shape: Shape, case: Case) -> Result<(), Failure> {
    bench.restart()?;
    with_short_sweeps(bench);
    let scene = Scene::new(Lower, 48, shape, OFFSET, case.like);
    scene.tree.load(bench)?;
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&scene.tree, 1);
    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
    let word = scene.tree.word(scene.slot);
    bench.run(async move |issuer| {
        let all = cores_in(&handle, &regime).await;
        let far = all.last().cloned().unwrap_or_else(|| issuer.clone());
        let updated = match case.writes {
            true => Descriptor(word).with_af(true).with_ap_read_only(false),
            false => Descriptor(word).with_af(true),
        };
        for meanwhile in [
            Meanwhile::Nothing,
            Meanwhile::Write,
            Meanwhile::Invalidation,
        ] {
            if meanwhile == Meanwhile::Invalidation && all.len() == 1 {
                continue;
            }
            flush(&far).await;
            handle.poke(scene.slot, word);
            handle.sleep(100).await;
            record.clear();
            let request = match case.writes {
                true => CoreRequest::store(scene.va, 3, El::El0, 0x77),
                false => CoreRequest::load(scene.va, 3, El::El0),
            };
            let access = far.issue(request);
            let seen = read(&handle, &record, far.index(), scene.slot).await;
            expect("HAF-02", seen, || "the leaf was not read".to_owned())?;
            disturb(&issuer, &handle, meanwhile, scene.slot, word).await;
            let answer = access.await;
            answer.reaches("HAF-03", PA)?;
            handle.sleep(100).await;
            settled(
                &handle,
                &record,
                far.index(),
                meanwhile,
                scene.slot,
                updated,
            )?;
        }
        Ok(())
    })
}

async fn disturb(
    issuer: &CoreHandle,
    handle: &SimHandle,
    meanwhile: Meanwhile,
    slot: u64,
    word: u64,
) {
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Write => handle.poke(slot, word | SOFTWARE),
        Meanwhile::Invalidation => {
            let all = Tlbi::vmalle1(TlbiScope::InnerShareable);
            issuer.access(CoreRequest::tlbi(all)).await;
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
        }
    }
}

/// The descriptor holds the update and what the other writer wrote, and the walk did as it should.
fn settled(
    handle: &SimHandle,
    record: &Record,
    of: u8,
    meanwhile: Meanwhile,
    slot: u64,
    updated: Descriptor,
) -> Result<(), Failure> {
    let written = if meanwhile == Meanwhile::Write {
        SOFTWARE
    } else {
        0
    };
    let held = handle.peek(slot);
    expect("HAF-05", held == updated.0 | written, || {
        format!(
            "{meanwhile:?} left {held:#x}, not {:#x}",
            updated.0 | written
        )
    })?;
    let walks = record.walks(of);
    let swaps = walks
        .iter()
        .filter(|(_, step)| step.kind == WalkKind::Swap && step.address == slot);
    let discarded = swaps.clone().filter(|(_, step)| step.discarded).count();
    let (swaps, begins) = (swaps.count(), record.begins(of));
    let met = match meanwhile {
        Meanwhile::Nothing => (swaps, discarded) == (1, 0),
        // The first finds another value, the second makes the update.
        Meanwhile::Write => (swaps, discarded) == (2, 0),
        Meanwhile::Invalidation => discarded == 1 && begins == 2,
    };
    expect("HAF-03", met, || {
        format!("{meanwhile:?}: {swaps} swaps, {discarded} discarded, {begins} begins")
    })
}
