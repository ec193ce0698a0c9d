// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Walks and results on their way while an invalidation takes effect, and entries of one core next to
//! those of another (WALK-30, TLB-28).
//!
//! On a configuration of one core the accesses of the core itself are the ones under way: they follow
//! the invalidation in program order and begin before it takes effect.

use std::collections::BTreeMap;

use cosim::dut::ports::{CoreRequest, Delays, HitPlace, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::event::{Event, EventKind};
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use super::record::Record;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "walk-results-dropped",
        purpose: "an invalidation at every instant of walks, fills and answers on their way: nothing from before it enters any structure",
        requirements: &["WALK-30", "TLBI-07", "TLBI-23", "DVM-13"],
        run: dropped,
    },
    Testbench {
        name: "tlb-private",
        purpose: "with CnP = 0 a core uses its own entries only, of tables and leaves",
        requirements: &["TLB-28", "TLB-23"],
        run: private,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x4000_0000;
const OLD: u64 = 0x8000_0000;
const NEW: u64 = 0x9000_0000;
const MEGA: u64 = 1 << 20;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// What the last invalidation of everything leaves behind on one core: nothing. Followed through the
/// events, every later entry must come from a walk begun after it, or from such an entry.
#[derive(Default)]
struct Cleared {
    /// Cycle of the last invalidation of each core.
    at: BTreeMap<u8, u64>,
    /// Begin of the walk of each slot, by core and slot.
    begun: BTreeMap<(u8, u8), u64>,
    /// Second-level entries by core, VA and ASID: since when.
    second: BTreeMap<(u8, u64, u16), u64>,
    /// Ends of walks of each core in the current cycles: VA and begin.
    ended: Vec<(u8, u64, u64)>,
    cancelled: u64,
    filled: u64,
}

impl Cleared {
    fn event(&mut self, event: &Event) -> Result<(), String> {
        match &event.kind {
            EventKind::Invalidate { core, change } => {
                self.at.insert(*core, event.cycle);
                self.second.retain(|key, _| key.0 != *core);
                self.ended.retain(|ended| ended.0 != *core);
                self.cancelled += u64::from(change.cancelled.count_ones());
            }
            EventKind::Walk { core, step } => match step.kind {
                cosim::dut::ports::WalkKind::Begin => {
                    self.begun.insert((*core, step.slot), event.cycle);
                }
                cosim::dut::ports::WalkKind::End if step.fault.is_none() => {
                    let begun = self.begun.get(&(*core, step.slot)).copied().unwrap_or(0);
                    self.ended.push((*core, step.va & !0xfff, begun));
                }
                _ => {}
            },
            EventKind::Fill { core, change } => {
                let since = self.at.get(core).copied().unwrap_or(0);
                self.filled += 1;
                let key = (*core, change.va, change.asid);
                match change.structure {
                    // Tables are decoded by a walk under way, of any slot.
                    TlbStructure::WalkCache => {
                        let young = self
                            .begun
                            .iter()
                            .any(|(slot, &at)| slot.0 == *core && at >= since);
                        if !young {
                            return Err(format!("{event}: no walk begun after cycle {since}"));
                        }
                    }
                    _ if change.from_l2 => {
                        if !self.second.contains_key(&key) {
                            return Err(format!("{event}: not in the second level since {since}"));
                        }
                    }
                    structure => {
                        let walk = self
                            .ended
                            .iter()
                            .rfind(|walk| (walk.0, walk.1) == (*core, change.va));
                        if walk.is_none_or(|walk| walk.2 < since) {
                            return Err(format!("{event}: walk {walk:?}, invalidation at {since}"));
                        }
                        if structure == TlbStructure::L2 {
                            self.second.insert(key, event.cycle);
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn dropped(bench: &mut Bench) -> Result<(), Failure> {
    let (mut cancelled, mut filled) = (0, 0);
    for (latency, jitter, prefetch) in [(20, 0, false), (6, 0, true), (10, 40, true)] {
        bench.restart()?;
        bench.setup().memory.latency = latency;
        bench.setup().memory.jitter = jitter;
        bench.setup().straps.prefetch = prefetch;
        bench.setup().straps.dtlb_entries = Some(2);
        // Messages that take their time find more under way.
        bench.setup().straps.delay = Delays::DVM;
        let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
        let mut slots = Vec::new();
        for i in 0..4u64 {
            // Two pages next to each other below each of four tables.
            for page in 0..2 {
                let at = i * 4 * MEGA + (page << 12);
                slots.push((tree.map(VA + at, 3, user_rw(Granule::K4, 3, OLD + at)), at));
            }
        }
        tree.load(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let cores = handle.cores();
        let reader = bench.core(cores - 1)?;
        let regime = Regime::default().with(&tree, 1);
        let counts = bench.run(async move |core| {
            regime.enter(&core).await;
            if cores > 1 {
                regime.enter(&reader).await;
            }
            let mut cleared = Cleared::default();
            let mut made_new = false;
            for round in 0..120u64 {
                let base = if made_new { NEW } else { OLD };
                let other = if made_new { OLD } else { NEW };
                record.clear();
                let ask =
                    |i: u64| load(VA + (i % 4) * 4 * MEGA + ((i / 4 % 2) << 12) + 8 * (i % 7));
                let pa = |request: &CoreRequest, base: u64| base + (request.va - VA);
                let mut accesses = Vec::new();
                let ask_now = |request: CoreRequest| {
                    let (access, clock) = (reader.issue(request), handle.clone());
                    let answer = handle.spawn(async move { (access.await, clock.now()) });
                    (request, answer)
                };
                // Another core's accesses are under way when the change is made; the core's own come
                // between invalidation and DSB.
                if cores > 1 {
                    accesses.extend((0..4).map(|i| ask_now(ask(round + i))));
                    handle.sleep(round % 60).await;
                }
                for &(slot, at) in &slots {
                    handle.poke(slot, user_rw(Granule::K4, 3, other + at).0);
                }
                core.access(CoreRequest::dsb(DsbKind::ISHST)).await;
                let tlbi = core.issue(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::InnerShareable)));
                if cores == 1 {
                    handle.sleep(round % 12).await;
                }
                accesses.extend((4..8).map(|i| ask_now(ask(round + i))));
                tlbi.await;
                let dsb = core.issue(CoreRequest::dsb(DsbKind::ISH));
                dsb.await;
                let complete = handle.now();
                for (request, answer) in accesses {
                    let (answer, given) = answer.await;
                    let new = answer.pa == pa(&request, other);
                    let old = answer.pa == pa(&request, base);
                    let met = answer.fault.is_none() && (new || (old && given <= complete));
                    on(
                        request,
                        expect("WALK-30", met, || {
                            format!(
                                "{answer} given at {given}; the invalidation ended at {complete}"
                            )
                        }),
                    )?;
                }
                for i in 0..8 {
                    let request = ask(i);
                    let answer = reader.access(request).await;
                    on(request, answer.reaches("WALK-30", pa(&request, other)))?;
                }
                handle.sleep(300).await;
                let complaints = std::cell::RefCell::new(&mut cleared);
                let first = record
                    .select(|event| complaints.borrow_mut().event(event).err())
                    .into_iter()
                    .next();
                expect("WALK-30", first.is_none(), || {
                    first.clone().unwrap_or_default()
                })?;
                made_new = !made_new;
            }
            Ok((cleared.cancelled, cleared.filled))
        })?;
        cancelled += counts.0;
        filled += counts.1;
    }
    bench.count("walks cancelled", cancelled);
    expect("WALK-30", cancelled > 20 && filled > 1000, || {
        format!("{cancelled} walks cancelled, {filled} entries: too few to show anything")
    })
}

fn private(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().straps.dtlb_entries = Some(2);
    let handle = bench.handle()?;
    let cores = handle.cores();
    // One tree a core, all for the same addresses and ASID.
    let mut trees: Vec<Tree> = (0..cores as u64)
        .map(|core| Tree::new(Lower, Granule::K4, 39, TABLES + core * 0x100_0000))
        .collect();
    let out = |core: usize| OLD + core as u64 * 0x1000_0000;
    for (core, tree) in trees.iter_mut().enumerate() {
        for i in 0..8u64 {
            let leaf = user_rw(Granule::K4, 3, out(core) + (i << 12)).with_ng(i % 2 == 0);
            tree.map(VA + (i << 12), 3, leaf);
        }
        // A page that only this core has.
        tree.map(
            VA + 4 * MEGA * (core as u64 + 1),
            3,
            user_rw(Granule::K4, 3, out(core)),
        );
        tree.load(bench)?;
    }
    let handles: Vec<_> = (0..cores)
        .map(|core| bench.core(core))
        .collect::<Result<_, _>>()?;
    let record = Record::on(bench)?;
    bench.run(async move |_| {
        for cnp in [false, true] {
            // CnP says that others may use an entry: nothing is lost when they do not.
            for (core, tree) in handles.iter().zip(&trees) {
                let mut regime = Regime::default().with(tree, 1);
                regime.ttbr0 = regime.ttbr0.with_cnp(cnp && cores == 1);
                regime.enter(core).await;
                flush(core).await;
            }
            // While the operation is at work in it, the second level takes no fill.
            handle.sleep(1000).await;
            record.clear();
            for round in 0..3u64 {
                for i in 0..8u64 {
                    // Side by side, so that the structures of all are filled at once.
                    let request = load(VA + (i << 12) + 8 * round);
                    let accesses: Vec<_> = handles.iter().map(|core| core.issue(request)).collect();
                    for (core, access) in accesses.into_iter().enumerate() {
                        let answer = access.await;
                        on(
                            request,
                            answer.reaches("TLB-28", out(core) + (i << 12) + 8 * round),
                        )?;
                        let place = if round == 0 {
                            HitPlace::Walk
                        } else {
                            HitPlace::L2
                        };
                        // Own entries are found again, so that the above is not for want of any.
                        on(request, answer.comes_from("TLB-28", place))?;
                    }
                }
            }
            for (core, handle) in handles.iter().enumerate() {
                for other in 0..cores.max(2) {
                    let request = load(VA + 4 * MEGA * (other as u64 + 1));
                    let answer = handle.access(request).await;
                    on(
                        request,
                        match other == core {
                            true => answer.reaches("TLB-28", out(core)),
                            false => answer.faults("TLB-28", vmsa::Fsc(0x06)),
                        },
                    )?;
                }
            }
            // Each core walked its own tables, the first time from the root.
            for (core, tree) in trees.iter().enumerate() {
                let walks: Vec<_> = record
                    .walks()
                    .into_iter()
                    .filter(|walk| usize::from(walk.core) == core)
                    .collect();
                let own = walks.iter().all(|walk| {
                    walk.reads
                        .iter()
                        .all(|read| read.address >> 24 == tree.root() >> 24)
                });
                let first = walks.first().is_some_and(|walk| !walk.cached_start);
                expect("TLB-23", own && first, || {
                    format!("core {core}: {walks:x?}")
                })?;
            }
        }
        Ok(())
    })
}
