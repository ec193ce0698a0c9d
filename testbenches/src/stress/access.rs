// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The accesses of one core: every kind and size, aligned or not, across pages, at both exception
//! levels, several at once, aimed at what is being edited.

use std::rc::Rc;

use cosim::dut::ports::{CoreRequest, CoreResponse, Op};
use cosim::sim::{CoreHandle, SimHandle};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::VaRange::{Lower, Upper};
use vmsa::{DsbKind, El, FaultKind};

use super::context::Contexts;
use super::figures::Figures;
use super::invalidate;
use super::region::aim;

/// Most accesses in flight at once.
const BATCH: usize = 8;
/// Data words that stores write and compare-and-swaps expect: few, so that some succeed.
const VALUES: u64 = 4;

/// The accesses.
pub struct Traffic {
    /// Address spaces and what is in force.
    pub contexts: Rc<Contexts>,
    /// The simulation.
    pub handle: SimHandle,
    /// What was done.
    pub figures: Rc<Figures>,
    /// Where they are drawn from.
    pub rng: Pcg64Mcg,
    /// Cycle at which they end.
    pub end: u64,
}

impl Traffic {
    /// Makes accesses until the end.
    pub async fn run(mut self, core: &CoreHandle) {
        while self.handle.now() < self.end {
            let answers: Vec<_> = self
                .batch(core)
                .into_iter()
                .map(|request| (request, core.issue(request)))
                .collect();
            for (request, answer) in answers {
                self.note(&request, &answer.await);
            }
            if self.rng.random_ratio(1, 8) {
                let pause = self.rng.random_range(0..200);
                self.handle.sleep(pause).await;
            }
        }
    }

    fn batch(&mut self, core: &CoreHandle) -> Vec<CoreRequest> {
        let count = self.rng.random_range(1..=BATCH);
        let mut batch: Vec<_> = (0..count).map(|_| self.draw(core)).collect();
        let rng = &mut self.rng;
        match rng.random_range(0..24) {
            0 => batch.push(CoreRequest::dsb(
                DsbKind::ALL[rng.random_range(0..DsbKind::ALL.len())],
            )),
            1 => batch.push(CoreRequest::isb()),
            2 => {
                let world = &self.contexts.world;
                let (space, region) = world.pick(rng, self.contexts.space(core));
                let operation = invalidate::any(rng, space, region.va);
                invalidate::count(&self.figures, operation);
                let place = rng.random_range(0..=count);
                batch.insert(place, CoreRequest::tlbi(operation));
            }
            _ => {}
        }
        batch
    }

    fn draw(&mut self, core: &CoreHandle) -> CoreRequest {
        let (mut va, window) = self.va(core);
        let rng = &mut self.rng;
        let size = rng.random_range(0..4u8);
        let el = if rng.random_bool(0.7) {
            El::El0
        } else {
            El::El1
        };
        if rng.random_bool(0.8) {
            va &= !((1 << size) - 1);
        }
        let data = rng.random_range(0..VALUES);
        let compare = rng.random_range(0..VALUES);
        let mut request = match rng.random_range(0..20) {
            0..7 => CoreRequest::load(va, size, el),
            // Through the window only editors write.
            7..12 if !window => CoreRequest::store(va, size, el, data),
            12..15 if !window => CoreRequest {
                size,
                ..CoreRequest::cas(va, el, compare, data)
            },
            15..18 => {
                let low = match rng.random_ratio(1, 30) {
                    true => 0,
                    false => 3,
                };
                CoreRequest::fetch(va & !low, el)
            }
            _ => CoreRequest::at(va, el, rng.random_bool(0.5), rng.random_bool(0.5)),
        };
        if !matches!(request.op, Op::At(_)) {
            request.pan = request.el == El::El1 && rng.random_bool(0.4);
        }
        request
    }

    /// A VA, and whether it is one of the window on the tables.
    fn va(&mut self, core: &CoreHandle) -> (u64, bool) {
        let world = &self.contexts.world;
        let rng = &mut self.rng;
        let (mut va, mut window) = match rng.random_range(0..100) {
            0 => (rng.random::<u64>(), true),
            1..4 => {
                let (_, region) = world.pick(rng, self.contexts.space(core));
                let slot = region.slots[rng.random_range(0..region.slots.len())];
                (world.window(slot), true)
            }
            _ => {
                let (space, region) = world.pick(rng, self.contexts.space(core));
                (region.va.wrapping_add(aim(rng, space, region)), false)
            }
        };
        let range = if va >> 55 & 1 == 1 { Upper } else { Lower };
        let tagged = self.contexts.tcr(core).tbi(range) && rng.random_bool(0.3);
        if tagged || rng.random_ratio(1, 100) {
            va ^= rng.random::<u64>() << 56;
            window |= range == Upper && !tagged;
        }
        (va, window)
    }

    fn note(&self, request: &CoreRequest, answer: &CoreResponse) {
        let figures = &self.figures;
        if !request.op.translates() {
            return;
        }
        figures.count("accesses");
        let bytes = 1u64 << request.size;
        if request.va & (bytes - 1) != 0 {
            figures.count("unaligned accesses");
        }
        if request.va & 0xfff > 0x1000 - bytes {
            figures.count("page crossings");
        }
        match answer.fault.map(|fsc| fsc.kind()) {
            None => {}
            Some(kind) => {
                figures.count("faults");
                match kind {
                    Some(FaultKind::TlbConflict) => figures.count("conflict aborts"),
                    Some(FaultKind::ExternalAbort | FaultKind::ExternalAbortOnWalk) => {
                        figures.count("external aborts");
                    }
                    _ => {}
                }
            }
        }
    }
}
