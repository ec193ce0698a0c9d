// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A load that meets every mechanism of the MMU once, without expectations of its own: what comes is
//! for the checkers to judge. Memory refuses requests at times and few TLB entries are in use.

use std::rc::Rc;

use cosim::dut::ports::{CoreRequest, Delays};
use cosim::regress::{Bench, Failure};
use cosim::sim::{CoreHandle, ErrorOn, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, DsbKind, El, Granule, Sctlr, SysReg, Tlbi, TlbiScope};

use super::place::{BEYOND, BLOCKS, KINDS, LIMITED, PA, Place, RIVAL, RUN};
use crate::stage1::regime::{DEVICE, Regime};
use crate::stage1::watch::Watch;

/// The load.
pub struct Exercise {
    places: Vec<Rc<Place>>,
}

/// Hardware set-ups under which the load runs: what one of them has to do without, another has.
pub const SETUPS: usize = 2;

impl Exercise {
    /// Straps the hardware as set-up number `setup` says and loads the tables.
    pub fn load(bench: &mut Bench, setup: usize) -> Result<Self, Failure> {
        bench.setup().straps.delay = Delays::MEM_REQ;
        bench.setup().straps.dtlb_entries = Some(3);
        bench.setup().straps.prefetch = setup == 1;
        bench.setup().straps.l2_ways = (setup == 1).then_some(1);
        bench.setup().memory.latency = 6;
        bench.setup().memory.jitter = 8;
        let mut places = Vec::new();
        for (i, granule) in (0..).zip(Granule::ALL) {
            let place = Place::load(bench, granule, 0x5_0000_0000 + (i << 28))?;
            places.push(Rc::new(place));
        }
        bench.load(PA, &[0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00])?;
        Ok(Self { places })
    }

    /// Spawns the load: everything on core 0, and what meets its invalidations on the others.
    pub fn start(self, bench: &mut Bench) -> Result<(), Failure> {
        let (core, handle) = (bench.core(0)?, bench.handle()?);
        for index in 1..handle.cores() {
            let (other, places) = (bench.core(index)?, self.places.clone());
            bench.simulation()?.spawn(async move {
                for place in places {
                    place.broadcasts(&other).await;
                }
            });
        }
        let watch = Watch::on(bench)?;
        bench.simulation()?.spawn(async move {
            for place in self.places {
                place.untranslated(&core).await;
                place.regime.enter(&core).await;
                place.broadcasts(&core).await;
                place.every_page(&core).await;
                place.several_at_once(&core).await;
                place.runs(&core).await;
                place.updates_contested(&core, &handle, &watch).await;
                place.overlaps(&core, &handle).await;
                place.address_spaces(&core).await;
                place.control(&core, &handle).await;
                place.invalidations(&core).await;
                place.errors(&core, &handle).await;
                place.swapped.enter(&core).await;
                all(&core, remove_all()).await;
                place.every_page(&core).await;
                place.regime.enter(&core).await;
                all(&core, remove_all()).await;
            }
        });
        Ok(())
    }
}

/// The load alone, under each set-up.
pub fn exercise(bench: &mut Bench) -> Result<(), Failure> {
    for setup in 0..SETUPS {
        let exercise = Exercise::load(bench, setup)?;
        exercise.start(bench)?;
        bench.run_tasks()?;
        bench.restart()?;
    }
    Ok(())
}

/// Has all of `requests` in flight at once, and waits for them.
pub async fn all(core: &CoreHandle, requests: impl IntoIterator<Item = CoreRequest>) {
    let answers: Vec<_> = requests
        .into_iter()
        .map(|request| core.issue(request))
        .collect();
    for answer in answers {
        answer.await;
    }
}

pub fn tlbi(operation: Tlbi) -> CoreRequest {
    CoreRequest::tlbi(operation)
}

/// Removes everything from the TLBs.
pub fn remove_all() -> [CoreRequest; 3] {
    [
        tlbi(Tlbi::vmalle1(TlbiScope::Local)),
        CoreRequest::dsb(DsbKind::SY),
        CoreRequest::isb(),
    ]
}

fn pan(request: CoreRequest) -> CoreRequest {
    CoreRequest {
        pan: true,
        ..request
    }
}

/// Every kind of access to `va`.
fn every_access(va: u64) -> Vec<CoreRequest> {
    let mut requests = Vec::new();
    for el in [El::El0, El::El1] {
        requests.extend([
            CoreRequest::load(va, 3, el),
            CoreRequest::load(va + 3, 1, el),
            CoreRequest::load(va + 1, 0, el),
            CoreRequest::fetch(va, el),
            CoreRequest::at(va, el, false, false),
            CoreRequest::at(va, el, true, false),
            CoreRequest::store(va + 9, 0, el, 0x5a),
            CoreRequest::store(va + 17, 2, el, 0x1234_5678),
            CoreRequest::store(va + 13, 3, el, 0x0102_0304_0506_0708),
            CoreRequest::cas(va + 8, el, 0, 7),
            CoreRequest::load(va + 13, 3, el),
            CoreRequest::cas(va + 4, el, 0, 7),
        ]);
    }
    requests.extend([
        pan(CoreRequest::load(va, 3, El::El1)),
        pan(CoreRequest::store(va, 3, El::El1, 1)),
        CoreRequest::at(va, El::El1, true, true),
    ]);
    requests
}

impl Place {
    async fn untranslated(&self, core: &CoreHandle) {
        Regime {
            sctlr: Sctlr(0),
            ..self.regime
        }
        .enter(core)
        .await;
        all(core, every_access(PA)).await;
        all(
            core,
            [
                CoreRequest::load(1 << 50, 3, El::El1),
                CoreRequest::dsb(DsbKind::SY),
            ],
        )
        .await;
    }

    async fn every_page(&self, core: &CoreHandle) {
        for n in 0..KINDS {
            for request in every_access(self.page(n)) {
                core.access(request).await;
            }
        }
        // Across pages: both writable, clean and old, read-only behind writable.
        for n in [0, 1, 2, 5, 6] {
            let end = self.page(n + 1) - 3;
            all(
                core,
                [
                    CoreRequest::store(end, 3, El::El0, u64::MAX),
                    CoreRequest::load(end, 3, El::El0),
                ],
            )
            .await;
        }
        for va in [LIMITED, BEYOND, self.upper_page, 1 << 40, 1 << 50] {
            all(core, every_access(va)).await;
            all(core, every_access(va | 0xa5 << 56)).await;
        }
        all(core, every_access(self.page(0) | 0x5a << 56)).await;
    }

    async fn several_at_once(&self, core: &CoreHandle) {
        for round in 0..3 {
            let hit = |i: u64| self.page(i % 2) + 8 * i;
            let stores = (0..6).map(|i| CoreRequest::store(hit(i), 3, El::El0, round << 8 | i));
            let loads = (0..6).map(|i| CoreRequest::load(hit(i) + 1, 1, El::El0));
            all(
                core,
                stores
                    .clone()
                    .chain(loads.clone())
                    .chain([CoreRequest::dsb(DsbKind::SY)]),
            )
            .await;
            // A miss right behind a store, and a swap in the middle of loads.
            let missing = [CoreRequest::load(self.page(6 + round), 3, El::El0)];
            all(
                core,
                stores.chain(missing).chain([CoreRequest::dsb(DsbKind::SY)]),
            )
            .await;
            let swap = [CoreRequest::cas(hit(0), El::El0, round << 8, 9)];
            all(
                core,
                loads
                    .clone()
                    .chain(swap)
                    .chain(loads)
                    .chain([CoreRequest::dsb(DsbKind::SY)]),
            )
            .await;
        }
    }

    async fn runs(&self, core: &CoreHandle) {
        let leaf = self.granule.bytes();
        let block = vmsa::geometry::level_bytes(self.granule, 2);
        for (run, leaf, members) in [
            (RUN, leaf, vmsa::geometry::contiguous_run(self.granule, 3)),
            (
                BLOCKS,
                block,
                vmsa::geometry::contiguous_run(self.granule, 2),
            ),
        ] {
            let last = u64::from(members.unwrap_or(1)) - 1;
            for i in [3, 0, last, last + 1, 5, last + 2, 1] {
                let va = run + i * leaf + 0x18;
                all(
                    core,
                    [
                        CoreRequest::load(va, 3, El::El0),
                        CoreRequest::fetch(va, El::El0),
                    ],
                )
                .await;
            }
        }
    }

    /// An observer writes the descriptor between the walker's read and its update. The back door may
    /// not come between the read and the write of the update itself, which are one.
    async fn updates_contested(&self, core: &CoreHandle, handle: &SimHandle, watch: &Watch) {
        let va = self.page(7);
        let slot = self.lower.slot(va, 3);
        let word = Descriptor(self.lower.word(slot));
        let changes = [
            Descriptor(word.0 + (32 << 20)),
            word.with_ap_el0(false),
            word.with_valid(false),
            word.with_attr_index(DEVICE),
        ];
        for change in changes {
            handle.poke(slot, word.0);
            all(core, remove_all()).await;
            watch.clear();
            let (observer, seen) = (handle.clone(), watch.clone());
            let task = handle.spawn(async move {
                while !seen.seen().reads.iter().any(|read| read.address == slot) {
                    observer.sleep(1).await;
                }
                observer.poke(slot, change.0);
            });
            core.access(CoreRequest::load(va, 3, El::El0)).await;
            task.await;
        }
        handle.poke(slot, word.0);
        all(core, remove_all()).await;
    }

    /// Pages and a block that map the same, in turn, without invalidation in between (BBM level 2).
    async fn overlaps(&self, core: &CoreHandle, handle: &SimHandle) {
        let (slot, table, block) = self.rival;
        for _ in 0..2 {
            for word in [table, block, table] {
                handle.poke(slot, word);
                for offset in [0, self.granule.bytes(), 8] {
                    let va = RIVAL + offset;
                    all(
                        core,
                        [
                            CoreRequest::load(va, 3, El::El0),
                            CoreRequest::fetch(va, El::El0),
                        ],
                    )
                    .await;
                }
            }
            let far = RIVAL + 2 * self.granule.bytes();
            handle.poke(slot, block);
            all(
                core,
                [
                    CoreRequest::load(far, 3, El::El0),
                    CoreRequest::load(RIVAL, 3, El::El0),
                ],
            )
            .await;
            handle.poke(slot, table);
        }
    }

    async fn address_spaces(&self, core: &CoreHandle) {
        let regimes = [self.regime, self.other].into_iter().cycle().take(5);
        for regime in regimes.clone() {
            self.switch(core, regime, None).await;
        }
        // Behind a miss, whose prefetch may be under way.
        for regime in regimes {
            all(core, remove_all()).await;
            self.switch(core, regime, Some(self.page(2))).await;
        }
    }

    async fn switch(&self, core: &CoreHandle, regime: Regime, miss: Option<u64>) {
        let miss = miss.map(|va| CoreRequest::load(va, 3, El::El0));
        let write = CoreRequest::msr(SysReg::Ttbr0, regime.ttbr0.0);
        all(core, miss.into_iter().chain([write, CoreRequest::isb()])).await;
        let (a, b) = (self.page(0), self.page(1));
        all(
            core,
            [
                CoreRequest::load(a, 3, El::El0),
                CoreRequest::store(b, 3, El::El0, 3),
            ],
        )
        .await;
    }

    /// EPD, HPD, WXN and translation off and on again.
    async fn control(&self, core: &CoreHandle, handle: &SimHandle) {
        let [old, clean] = [7, 3].map(|n| self.lower.slot(self.page(n), 3));
        let Regime { tcr, sctlr, .. } = self.regime;
        for regime in [
            Regime {
                tcr: tcr.with_hpd(Lower, true),
                ..self.regime
            },
            Regime {
                tcr: tcr.with_epd(Lower, true),
                ..self.regime
            },
            Regime {
                tcr: tcr.with_ha(false),
                ..self.regime
            },
            Regime {
                sctlr: sctlr.with_wxn(true).with_epan(true),
                ..self.regime
            },
            Regime {
                sctlr: sctlr.with_c(false).with_i(false).with_a(true),
                ..self.regime
            },
            self.regime,
        ] {
            // An access behind each write before anything synchronises.
            let write = CoreRequest::msr(SysReg::Tcr, regime.tcr.0);
            let misses = [2, 3].map(|n| CoreRequest::load(self.page(n), 3, El::El0));
            all(core, remove_all().into_iter().chain([write]).chain(misses)).await;
            regime.enter(core).await;
            // Hardware set access flag and dirty state under other registers.
            for slot in [old, clean] {
                handle.poke(slot, self.lower.word(slot));
            }
            all(core, remove_all()).await;
            let pages = [0, 3, 7].map(|n| self.page(n));
            for va in pages.into_iter().chain([LIMITED, self.upper_page]) {
                all(core, every_access(va)).await;
            }
        }
    }

    async fn errors(&self, core: &CoreHandle, handle: &SimHandle) {
        let va = self.page(0);
        for level in self.lower.start_level()..=3 {
            handle.mark_error(self.lower.slot(va, level), ErrorOn::Reads, Some(2));
            let loads = [CoreRequest::load(va, 3, El::El0); 3];
            all(core, remove_all().into_iter().chain(loads)).await;
            handle.clear_error(self.lower.slot(va, level));
        }
        // The read and the write of an update; the words of data.
        for on in [ErrorOn::Reads, ErrorOn::Writes] {
            let slot = self.lower.slot(self.page(7), 3);
            handle.poke(slot, self.lower.word(slot));
            all(core, remove_all()).await;
            handle.mark_error(slot, on, Some(1));
            all(core, [CoreRequest::load(self.page(7), 3, El::El0); 2]).await;
            handle.clear_error(slot);
            handle.mark_error(PA, on, None);
            all(core, every_access(va)).await;
            handle.clear_error(PA);
        }
    }
}
