// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Walks, demand and prefetch, cancelled in every cycle from their begin to their end by operations of
//! either core: what was read is not kept, an update under way is over before the DSB ends.

use cosim::dut::ports::{CoreRequest, Delays, WalkKind};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use rand::Rng;
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, DsbKind, El, Granule, Tlbi, TlbiScope};

use super::leaf::{Scene, Shape, user, with_short_sweeps};
use crate::invalidation::record::{Record, cores_in};
use crate::stage1::activity::within;
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::Regime;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "cancel-prefetch",
        purpose: "a prefetch walk cancelled in every cycle, by local operations and broadcasts of either core",
        requirements: &["DVM-13", "TLBI-07", "DVM-03", "WALK-11"],
        run: prefetches,
    },
    Testbench {
        name: "cancel-demand",
        purpose: "a walk with an update cancelled in every cycle, by broadcasts of either core",
        requirements: &["DVM-13", "TLBI-07", "TLBI-23", "DVM-03"],
        run: demands,
    },
];

/// Who cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Local,
    Own,
    Foreign,
}

/// A tree of few levels or many, with a leaf of some level whose access flag is clear.
#[derive(Debug, Clone, Copy)]
struct Case {
    va_bits: u32,
    level: u8,
    offset: u64,
}

/// Walks of one level for each level, one through all, and two that end below a table.
const CASES: [Case; 4] = [
    Case {
        va_bits: 48,
        level: 3,
        offset: 1 << 39,
    },
    Case {
        va_bits: 39,
        level: 1,
        offset: 1 << 30,
    },
    Case {
        va_bits: 30,
        level: 2,
        offset: 1 << 21,
    },
    Case {
        va_bits: 30,
        level: 3,
        offset: 1 << 21,
    },
];

/// Cycles that memory takes: few, so that few tries meet every step.
const LATENCY: u64 = 6;

fn scene(case: Case) -> Scene {
    let shape = Shape {
        granule: Granule::K4,
        level: case.level,
        run: false,
    };
    let like = user().with_af(false);
    Scene::new(Lower, case.va_bits, shape, case.offset, like)
}

/// What the walk events of core `of` say of cancelled walks: swaps and reads answered in vain.
fn in_vain(record: &Record, of: u8) -> (u64, u64) {
    let walks = record.walks(of);
    let count = |kind| {
        let events = walks.iter().filter(|(_, step)| step.kind == kind);
        events.filter(|(_, step)| step.discarded).count() as u64
    };
    (count(WalkKind::Swap), count(WalkKind::Step))
}

/// An open simulation of one case.
struct Run {
    scene: Scene,
    record: Record,
    handle: SimHandle,
    regime: Regime,
}

impl Run {
    fn new(bench: &mut Bench, case: Case) -> Result<Self, Failure> {
        with_short_sweeps(bench);
        let scene = scene(case);
        scene.tree.load(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let mut regime = Regime::default().with(&scene.tree, 1);
        regime.tcr = regime.tcr.with_ha(true);
        Ok(Self {
            scene,
            record,
            handle,
            regime,
        })
    }

    /// Every core enters the regime. The core whose walks are cancelled; `None` if it takes another
    /// than the issuer and there is none.
    async fn enter(&self, issuer: &CoreHandle, by: By) -> Option<CoreHandle> {
        let all = cores_in(&self.handle, &self.regime).await;
        match by {
            By::Foreign => all.get(1).cloned(),
            By::Local | By::Own => Some(issuer.clone()),
        }
    }

    /// Everything at rest, no entry anywhere, the access flag of the leaf clear.
    async fn prepare(&self, walker: &CoreHandle) {
        self.handle.sleep(120).await;
        invalidate_all(walker).await;
        let word = self.scene.tree.word(self.scene.slot);
        self.handle.poke(self.scene.slot, word);
        self.handle.sleep(60).await;
    }

    /// The issuer's operation, and its end: what it cancelled is over then.
    async fn invalidate(
        &self,
        issuer: &CoreHandle,
        walker: &CoreHandle,
        by: By,
    ) -> Result<(u64, u64), Failure> {
        let scope = match by {
            By::Local => TlbiScope::Local,
            By::Own | By::Foreign => TlbiScope::InnerShareable,
        };
        issuer.access(CoreRequest::tlbi(Tlbi::vmalle1(scope))).await;
        issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
        let now = in_vain(&self.record, walker.index());
        let open = |record: &Record| {
            let effects = record.effects(walker.index());
            effects
                .iter()
                .map(|(_, effect)| u64::from(effect.cancelled.count_ones()))
                .sum::<u64>()
        };
        let cancelled = open(&self.record);
        self.handle.sleep(60).await;
        let later = in_vain(&self.record, walker.index());
        expect("DVM-03", now == later, || {
            format!("{by:?}: answered in vain {later:?}, before the DSB ended {now:?}")
        })?;
        Ok((cancelled, now.0))
    }
}

/// How memory behaves while prefetches are cancelled.
#[derive(Debug, Clone, Copy)]
struct Memory {
    latency: u64,
    jitter: u64,
    delay: Delays,
}

/// An even memory; one that may answer a prefetch long after the access that it came with; one that
/// may be slow to take requests.
const MEMORIES: [Memory; 3] = [
    Memory {
        latency: LATENCY,
        jitter: 0,
        delay: Delays::NONE,
    },
    Memory {
        latency: LATENCY,
        jitter: 50,
        delay: Delays::NONE,
    },
    Memory {
        latency: 1,
        jitter: 0,
        delay: Delays::MEM_REQ,
    },
];

fn prefetches(bench: &mut Bench) -> Result<(), Failure> {
    for case in CASES {
        for by in [By::Local, By::Own, By::Foreign] {
            // The deepest prefetch by its own core is the one that can be late.
            let late = case.va_bits == 48 && by != By::Foreign;
            let memories = if late { &MEMORIES[..] } else { &MEMORIES[..1] };
            for &memory in memories {
                let met = prefetch(bench, case, by, memory)
                    .map_err(|failure| within(failure, &format!("{case:?}, {by:?}, {memory:?}")))?;
                let Some(met) = met else { continue };
                expect("DVM-13", met.0 > 0 && met.1 > 0, || {
                    format!("{} walks cancelled, {} of them at an update", met.0, met.1)
                })?;
            }
        }
    }
    (1..=8).try_for_each(|seed| crowd(bench, seed))
}

/// Several accesses and the prefetches that they bring, with a memory that is slow to take requests: a
/// prefetch may have to wait for the reads of others until all accesses are done. Takes hardware with
/// four walks at a time.
fn crowd(bench: &mut Bench, seed: u16) -> Result<(), Failure> {
    bench.restart()?;
    bench.setup().straps.prefetch = true;
    bench.setup().memory.latency = 1;
    bench.setup().memory.jitter = 0;
    bench.setup().straps.delay = Delays::MEM_REQ;
    bench.setup().straps.delay_seed = seed;
    with_short_sweeps(bench);
    if bench.handle()?.info().walkers < 4 {
        return Ok(());
    }
    let mut scene = scene(CASES[0]);
    // The same some more times, each in tables of its own.
    let distance = CASES[0].offset;
    for copy in 1..4 {
        for va in [scene.warm, scene.before, scene.va] {
            let page = Descriptor(scene.tree.word(scene.tree.slot(va, 3)));
            scene.tree.map(va + copy * distance, 3, page);
        }
    }
    scene.tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&scene.tree, 1);
    let mut rng = bench.seed().child("crowd").child(&seed.to_string()).rng();
    bench.run(async move |core| {
        regime.enter(&core).await;
        let at = |va| core.issue(CoreRequest::at(va, El::El0, false, false));
        for _ in 0..60 {
            invalidate_all(&core).await;
            for copy in 0..4 {
                at(scene.warm + copy * distance).await.succeeds("WALK-11")?;
            }
            handle.sleep(200).await;
            let mut accesses = Vec::new();
            let first = rng.random_range(0..4);
            for next in 0..rng.random_range(2..=4) {
                // Not in one word of their pages: such accesses wait for each other.
                let copy = (first + next) % 4;
                let va = scene.before + copy * distance + 0x40 * next;
                accesses.push(match rng.random_bool(0.3) {
                    true => core.issue(CoreRequest::fetch(va, El::El0)),
                    false => at(va),
                });
            }
            invalidate_all(&core).await;
            for access in accesses {
                access.await.succeeds("DVM-13")?;
            }
        }
        Ok(())
    })
}

/// Prefetch walks cancelled, and those at an update; `None` if there is no core to do it.
fn prefetch(
    bench: &mut Bench,
    case: Case,
    by: By,
    memory: Memory,
) -> Result<Option<(u64, u64)>, Failure> {
    bench.restart()?;
    bench.setup().straps.prefetch = true;
    bench.setup().memory.latency = memory.latency;
    bench.setup().memory.jitter = memory.jitter;
    bench.setup().straps.delay = memory.delay;
    let run = Run::new(bench, case)?;
    bench.run(async move |issuer| {
        let Some(walker) = run.enter(&issuer, by).await else {
            return Ok(None);
        };
        let mut met = (0, 0);
        for offset in 0..110 {
            run.prepare(&walker).await;
            let at = |va| CoreRequest::at(va, El::El0, false, false);
            // With the tables above it cached, the walk that leads is short.
            let warm = walker.access(at(run.scene.warm)).await;
            warm.succeeds("WALK-11")?;
            run.handle.sleep(300).await;
            run.record.clear();
            let leading = walker.issue(at(run.scene.before));
            run.handle.sleep(offset).await;
            let (cancelled, swaps) = run.invalidate(&issuer, &walker, by).await?;
            met = (met.0 + cancelled, met.1 + swaps);
            leading.await.succeeds("WALK-11")?;
        }
        Ok(Some(met))
    })
}

fn demands(bench: &mut Bench) -> Result<(), Failure> {
    for case in CASES {
        for by in [By::Own, By::Foreign] {
            let mut met = (0, 0);
            // A broadcast comes back to its own core only before a younger walk has got far, unless
            // messages are delayed.
            let seeds = if by == By::Own { 12 } else { 1 };
            for seed in 1..=seeds {
                bench.restart()?;
                bench.setup().memory.latency = if by == By::Own { 1 } else { LATENCY };
                bench.setup().memory.jitter = 0;
                bench.setup().straps.prefetch = false;
                bench.setup().straps.delay = match by {
                    By::Own => Delays::DVM,
                    By::Local | By::Foreign => Delays::NONE,
                };
                bench.setup().straps.delay_seed = seed;
                let run = Run::new(bench, case)?;
                let situation = format!("{case:?}, {by:?}");
                let more = bench
                    .run(async move |issuer| demand(&run, &issuer, by).await)
                    .map_err(|failure| within(failure, &situation))?;
                let Some(more) = more else { break };
                met = (met.0 + more.0, met.1 + more.1);
            }
            let alone = met == (0, 0) && by == By::Foreign && bench.handle()?.cores() == 1;
            expect("DVM-13", alone || met.0 > 0 && met.1 > 0, || {
                format!(
                    "{case:?}, {by:?}: {} walks cancelled, {} of them at an update",
                    met.0, met.1
                )
            })?;
        }
    }
    Ok(())
}

/// Walks cancelled, and those at an update; `None` if there is no core to do it.
async fn demand(run: &Run, issuer: &CoreHandle, by: By) -> Result<Option<(u64, u64)>, Failure> {
    let Some(walker) = run.enter(issuer, by).await else {
        return Ok(None);
    };
    let mut met = (0, 0);
    for offset in 0..90 {
        run.prepare(&walker).await;
        run.record.clear();
        let request = CoreRequest::load(run.scene.va, 3, El::El0);
        let access = if by == By::Own {
            // Operations that come back one after the other while the younger access walks.
            let broadcast = Tlbi::vmalle1(TlbiScope::InnerShareable);
            for _ in 0..offset % 4 {
                issuer.issue(CoreRequest::tlbi(broadcast)).await;
            }
            walker.issue(request)
        } else {
            let access = walker.issue(request);
            run.handle.sleep(offset).await;
            access
        };
        let (cancelled, swaps) = run.invalidate(issuer, &walker, by).await?;
        met = (met.0 + cancelled, met.1 + swaps);
        access.await.reaches("TLBI-23", super::leaf::PA)?;
    }
    Ok(Some(met))
}
