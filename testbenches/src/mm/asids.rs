// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! More address spaces than ASIDs: what each core puts into TTBR0_EL1, and what it throws away before.

use std::collections::BTreeMap;
use std::rc::Rc;

use cosim::dut::ports::Op;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::EventKind;
use rand::Rng;
use sw_mm::mm::{AddressSpace, Map, Protection};
use sw_mm::{Activity, Phase};
use vmsa::{DsbKind, Granule, SysReg, TlbiOp, TlbiScope, Ttbr};

use super::access::{access, load, store};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-asid-rollover",
        purpose: "more address spaces than ASIDs on every core: none shares an ASID, none meets what another left in a TLB",
        requirements: &["MM-17", "MM-18", "MM-19", "MM-22", "MM-30"],
        run: rollover,
    },
    Testbench {
        name: "mm-asid-kept",
        purpose: "an address space that one core runs while others use up the ASIDs has the same one on all",
        requirements: &["MM-17", "MM-18", "MM-19"],
        run: kept,
    },
];

const VA: u64 = 0x1_0000_0000;

/// What the rules are about.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A core begins to switch.
    Begins(u8),
    /// A core found no ASID left.
    RollsOver(u8),
    /// A core throws its TLB away, and that is over.
    Flushes(u8),
    Flushed(u8),
    /// A core runs what this says from now on.
    Runs(u8, Ttbr),
}

fn steps(record: &Record) -> Vec<(u64, Step)> {
    record.collect(|kind| match kind {
        EventKind::Os(event) => match (event.activity, event.phase) {
            (Activity::Switch, Phase::Begin) => Some(Step::Begins(event.core)),
            (Activity::AsidRollover, Phase::Begin) => Some(Step::RollsOver(event.core)),
            _ => None,
        },
        EventKind::Issue { core, request } => match request.op {
            Op::Tlbi(op) if op.op == TlbiOp::Vmalle1 && op.scope == TlbiScope::Local => {
                Some(Step::Flushes(*core))
            }
            _ => None,
        },
        EventKind::Response { core, request, .. } => match request.op {
            Op::Dsb(DsbKind::NSH) => Some(Step::Flushed(*core)),
            Op::Msr(SysReg::Ttbr0) => Some(Step::Runs(*core, Ttbr(request.data))),
            _ => None,
        },
        _ => None,
    })
}

/// One core, as the rules see it.
#[derive(Debug, Default)]
struct Core {
    runs: Option<Ttbr>,
    switches: bool,
    flushes: bool,
    /// A generation began and this core did not throw its TLB away yet.
    owes: bool,
    /// Roots by the ASID that they had here since the TLB was last thrown away.
    cached: BTreeMap<u16, u64>,
}

/// Holds the steps of all cores against MM-17 to MM-19; returns the rollovers.
fn judge(record: &Record, cores: usize) -> Result<u64, Failure> {
    let mut all: Vec<Core> = (0..cores).map(|_| Core::default()).collect();
    let mut rollovers = 0;
    for (cycle, step) in steps(record) {
        match step {
            Step::Begins(core) => all[usize::from(core)].switches = true,
            Step::RollsOver(by) => {
                rollovers += 1;
                for (core, state) in (0..).zip(&mut all) {
                    // One that is in a switch may have its ASID already.
                    state.owes = core == by || !state.switches;
                }
            }
            Step::Flushes(core) => all[usize::from(core)].flushes = true,
            Step::Flushed(core) => {
                let state = &mut all[usize::from(core)];
                if std::mem::take(&mut state.flushes) {
                    state.owes = false;
                    state.cached.clear();
                }
            }
            Step::Runs(core, ttbr) => {
                let others = all.iter().enumerate();
                for (other, state) in others.filter(|(other, _)| *other != usize::from(core)) {
                    let Some(theirs) = state.runs.filter(|_| !state.switches) else {
                        continue;
                    };
                    let (asid, root) = (theirs.asid() == ttbr.asid(), theirs.base() == ttbr.base());
                    let id = if root { "MM-19" } else { "MM-17" };
                    expect(
                        id,
                        asid == root || ttbr.asid() == 0 || theirs.asid() == 0,
                        || {
                            format!(
                                "at {cycle} core {core} runs {ttbr:x?}, core {other} {theirs:x?}"
                            )
                        },
                    )?;
                }
                let state = &mut all[usize::from(core)];
                state.switches = false;
                state.runs = Some(ttbr);
                if ttbr.asid() == 0 {
                    continue;
                }
                expect("MM-18", !state.owes, || {
                    format!("at {cycle} core {core} runs {ttbr:x?} with its old TLB")
                })?;
                let before = state.cached.insert(ttbr.asid(), ttbr.base());
                expect(
                    "MM-18",
                    before.is_none_or(|root| root == ttbr.base()),
                    || format!("at {cycle} core {core} runs {ttbr:x?}, it cached {before:x?}"),
                )?;
            }
        }
    }
    Ok(rollovers)
}

/// As few ASIDs as a kernel for `cores` cores takes.
fn few_asids(bench: &mut Bench, granule: Granule) -> Result<OsConfig, Failure> {
    let cores = bench.handle()?.cores() as u32;
    Ok(OsConfig {
        asids: cores + 2,
        ..OsConfig::with_granule(granule)
    })
}

/// Address spaces that hold their own number at `VA`.
async fn spaces(os: &Os, count: usize) -> Result<Vec<Rc<AddressSpace>>, Failure> {
    let thread = &os.threads[0];
    let mut spaces = Vec::new();
    for _ in 0..count {
        let space = os.space().await?;
        let bytes = os.kernel.granule().bytes();
        thread
            .mmap(&Map::anonymous(VA, bytes, Protection::READ_WRITE))
            .await?;
        access(thread, store(VA, u64::from(space.number()))).await?;
        spaces.push(space);
    }
    Ok(spaces)
}

async fn exit_all(os: &Os, spaces: &[Rc<AddressSpace>]) -> Result<(), Failure> {
    for thread in &os.threads {
        thread.leave().await;
    }
    for space in spaces {
        os.threads[0].exit_space(space).await?;
    }
    os.all_freed()
}

fn rollover(bench: &mut Bench) -> Result<(), Failure> {
    const TURNS: u64 = 40;
    for granule in Granule::ALL {
        bench.restart()?;
        let config = few_asids(bench, granule)?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let random: Vec<_> = (0..os.threads.len())
            .map(|core| bench.rng(&format!("switches {core}")))
            .collect();
        os.run(bench, async move |os| {
            let spaces = spaces(&os, os.threads.len() + 4).await?;
            let mut running = Vec::new();
            for (thread, mut rng) in os.threads.iter().zip(random) {
                let (thread, spaces) = (Rc::clone(thread), spaces.clone());
                let handle = os.handle.clone();
                running.push(os.handle.spawn(async move {
                    let word = VA + 64 + 8 * u64::from(thread.core);
                    let mut last = BTreeMap::new();
                    for turn in 0..TURNS {
                        let space = &spaces[rng.random_range(0..spaces.len())];
                        thread.switch_to(space).await;
                        let number = u64::from(space.number());
                        access(&thread, load(VA))
                            .await?
                            .response
                            .reads("MM-17", number)?;
                        let value = last.get(&number).copied().unwrap_or(0);
                        access(&thread, load(word))
                            .await?
                            .response
                            .reads("MM-17", value)?;
                        access(&thread, store(word, number << 32 | turn)).await?;
                        last.insert(number, number << 32 | turn);
                        handle.sleep(rng.random_range(0..100)).await;
                    }
                    Ok::<_, Failure>(())
                }));
            }
            for task in running {
                task.await?;
            }
            exit_all(&os, &spaces).await
        })?;
        let rollovers = judge(&record, os.threads.len())?;
        expect("MM-18", rollovers > 5, || {
            format!("only {rollovers} rollovers")
        })?;
        roots(&record, &os)?;
        bench.count("rollovers", rollovers);
    }
    Ok(())
}

/// Every switch put the root of its address space into TTBR0_EL1. There is one root for all nodes.
fn roots(record: &Record, os: &Os) -> Result<(), Failure> {
    let switches = record.collect(|kind| match kind {
        EventKind::Os(event)
            if event.activity == Activity::Switch && event.phase == Phase::Begin =>
        {
            Some((event.core, None, event.space))
        }
        EventKind::Issue { core, request } => match request.op {
            Op::Msr(SysReg::Ttbr0) => Some((*core, Some(Ttbr(request.data).base()), 0)),
            _ => None,
        },
        _ => None,
    });
    let mut into = vec![0; os.threads.len()];
    let mut known = BTreeMap::new();
    for (cycle, (core, base, space)) in switches {
        match base {
            None => into[usize::from(core)] = space,
            Some(base) => {
                let space = std::mem::take(&mut into[usize::from(core)]);
                // Without an address space it is the empty one.
                let root = *known.entry(space).or_insert(base);
                let met = root == base;
                expect("MM-22", met || space == 0, || {
                    format!("at {cycle} core {core} runs {base:#x} for mm{space}, not {root:#x}")
                })?;
            }
        }
    }
    let distinct: std::collections::BTreeSet<_> = known.values().collect();
    expect("MM-22", distinct.len() == known.len(), || {
        format!("roots {known:x?}")
    })
}

fn kept(bench: &mut Bench) -> Result<(), Failure> {
    bench.restart()?;
    let config = few_asids(bench, Granule::K4)?;
    let os = Os::boot(bench, &config)?;
    if os.threads.len() < 2 {
        return Ok(());
    }
    let record = Record::on(bench)?;
    os.run(bench, async move |os| {
        let spaces = spaces(&os, os.threads.len() + 3).await?;
        let (first, others) = os.threads.split_at(1);
        let stays = &spaces[0];
        first[0].switch_to(stays).await;
        let asid = stays.context.asid();
        for turn in 0..4 {
            for (place, other) in others.iter().enumerate() {
                let before = os.kernel.counters.rollovers.get();
                while os.kernel.counters.rollovers.get() < before + 2 {
                    for space in &spaces[1..] {
                        other.switch_to(space).await;
                        let number = u64::from(space.number());
                        access(other, load(VA))
                            .await?
                            .response
                            .reads("MM-17", number)?;
                    }
                }
                other.switch_to(stays).await;
                let word = VA + 8 + 8 * place as u64;
                access(other, store(word, turn)).await?;
                access(&first[0], load(word))
                    .await?
                    .response
                    .reads("MM-19", turn)?;
                let now = stays.context.asid();
                expect("MM-19", now == asid, || format!("ASID {asid} became {now}"))?;
            }
        }
        exit_all(&os, &spaces).await
    })?;
    let rollovers = judge(&record, os.threads.len())?;
    bench.count("rollovers", rollovers);
    Ok(())
}
