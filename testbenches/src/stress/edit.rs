// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The editor of one core: changes of descriptors that all cores translate with, made through the
//! window on the tables.

mod plan;

use std::rc::Rc;

use cosim::dut::ports::CoreRequest;
use cosim::sim::{CoreHandle, SimHandle};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::{Descriptor, DsbKind, El};

use self::plan::Plan;
use super::context::Contexts;
use super::figures::Figures;
use super::invalidate::{self, complete, covering};
use super::region::{Region, Space, aim};

/// Longest pause between two edits, in cycles.
const PAUSE: u64 = 400;
/// Stores in flight at once.
const AT_ONCE: usize = 8;

/// An editor.
pub struct Editor {
    /// Address spaces and what is in force.
    pub contexts: Rc<Contexts>,
    /// The simulation.
    pub handle: SimHandle,
    /// What was done.
    pub figures: Rc<Figures>,
    /// The core that it runs on.
    pub core: CoreHandle,
    /// Cycle at which the edits wind up.
    pub end: u64,
}

impl Editor {
    /// Edits until the end.
    pub async fn run(&self, mut rng: Pcg64Mcg) {
        while self.handle.now() < self.end {
            self.handle.sleep(rng.random_range(0..PAUSE)).await;
            match rng.random_range(0..100) {
                0..55 => self.edit(&mut rng).await,
                55..70 => self.invalidate(&mut rng).await,
                70..88 => self.contexts.switch(&self.core, &mut rng).await,
                88..94 => self.contexts.recycle(&self.core, &mut rng).await,
                94..98 => self.contexts.control(&self.core, &mut rng).await,
                98 => self.contexts.off_and_on(&self.core).await,
                _ => {
                    self.core.access(CoreRequest::isb()).await;
                }
            }
        }
    }

    /// An invalidation by itself, completed or not.
    async fn invalidate(&self, rng: &mut Pcg64Mcg) {
        let current = self.contexts.space(&self.core);
        let (space, region) = self.contexts.world.pick(rng, current);
        let va = region.va.wrapping_add(aim(rng, space, region));
        let operation = invalidate::any(rng, space, va);
        invalidate::count(&self.figures, operation);
        self.core.access(CoreRequest::tlbi(operation)).await;
        let kind = DsbKind::ALL[rng.random_range(0..DsbKind::ALL.len())];
        self.core.access(CoreRequest::dsb(kind)).await;
    }

    /// One edit, of the space that the core is in or of the upper one.
    async fn edit(&self, rng: &mut Pcg64Mcg) {
        let world = Rc::clone(&self.contexts.world);
        // Mostly one that accesses go to.
        let current = match rng.random_ratio(4, 5) {
            true => self.contexts.space(&self.core),
            false => rng.random_range(0..super::world::SPACES),
        };
        let (space, region) = world.pick(rng, current);
        let read = |slot: u64| world.descriptor(self.handle.peek(slot));
        if rng.random_bool(0.8) {
            if !region.take() {
                return;
            }
            let plan = Plan::draw(rng, space, region, read);
            self.figures.count(plan.name);
            if !plan.breaks {
                self.in_place(rng, space, region, &plan).await;
            } else if rng.random_bool(0.7) {
                self.with_break(rng, space, region, &plan).await;
            } else {
                self.without_break(rng, space, region, &plan).await;
            }
            region.held.set(false);
        } else {
            // A race: whoever holds the region goes on.
            let plan = Plan::draw(rng, space, region, read);
            self.figures.count(plan.name);
            self.figures.count("edits in races");
            self.without_break(rng, space, region, &plan).await;
        }
    }

    /// Break-before-make: invalid, invalidation, new.
    async fn with_break(&self, rng: &mut Pcg64Mcg, space: &Space, region: &Region, plan: &Plan) {
        self.figures.count("edits with break");
        let invalid = [0, 0, 0, 0xffff_ffff_ffff_fffe][rng.random_range(0..4)];
        let invalid = plan
            .writes
            .iter()
            .map(|&(slot, _)| (slot, Descriptor(invalid)));
        self.store(invalid).await;
        let alone = self.contexts.world.alone;
        let operations = covering(rng, (space, region), plan.broken(space, region), alone);
        complete(&self.core, &self.figures, rng, &operations).await;
        self.store(plan.writes.iter().copied()).await;
        self.publish(rng).await;
    }

    /// A change that needs no break; what it takes away is removed now or some time.
    async fn in_place(&self, rng: &mut Pcg64Mcg, space: &Space, region: &Region, plan: &Plan) {
        self.figures.count("edits in place");
        match plan.writes[..] {
            [(slot, new)] if rng.random_bool(0.5) => self.swap(slot, new).await,
            _ => self.store(plan.writes.iter().copied()).await,
        }
        if rng.random_bool(0.6) {
            let alone = self.contexts.world.alone;
            let operations = covering(rng, (space, region), plan.broken(space, region), alone);
            complete(&self.core, &self.figures, rng, &operations).await;
        } else {
            self.publish(rng).await;
        }
    }

    /// The one place where a live descriptor is replaced without break-before-make, and where several
    /// cores may write one at once: what section 12 of the VMSA contract tells software not to do, and
    /// bounds nevertheless (BBM-03, BBM-04).
    async fn without_break(&self, rng: &mut Pcg64Mcg, space: &Space, region: &Region, plan: &Plan) {
        self.figures.count("edits without break");
        match plan.writes[..] {
            [(slot, new)] if rng.random_bool(0.5) => self.swap(slot, new).await,
            _ => self.store(plan.writes.iter().copied()).await,
        }
        if rng.random_bool(0.4) {
            let alone = self.contexts.world.alone;
            let operations = covering(rng, (space, region), plan.broken(space, region), alone);
            complete(&self.core, &self.figures, rng, &operations).await;
        }
    }

    /// Writes descriptors, several at once. A long run that the end of the load meets stays half done.
    async fn store(&self, writes: impl Iterator<Item = (u64, Descriptor)>) {
        let world = &self.contexts.world;
        let mut writes = writes.peekable();
        while writes.peek().is_some() && self.handle.now() < self.end {
            let answers: Vec<_> = writes
                .by_ref()
                .take(AT_ONCE)
                .map(|(slot, new)| {
                    let (va, word) = (world.window(slot), world.word(new));
                    self.figures.count("descriptors stored");
                    self.core.issue(CoreRequest::store(va, 3, El::El1, word))
                })
                .collect();
            for answer in answers {
                answer.await;
            }
        }
    }

    /// Reads a descriptor and replaces it if it still is as read.
    async fn swap(&self, slot: u64, new: Descriptor) {
        let world = &self.contexts.world;
        let va = world.window(slot);
        let old = self.core.access(CoreRequest::load(va, 3, El::El1)).await;
        let request = CoreRequest::cas(va, El::El1, old.data, world.word(new));
        let found = self.core.access(request).await;
        self.figures
            .count(match found.fault.is_none() && found.data == old.data {
                true => "descriptors swapped",
                false => "descriptor swaps failed",
            });
    }

    /// Makes what was written act on this core.
    async fn publish(&self, rng: &mut Pcg64Mcg) {
        let kind = [DsbKind::ISHST, DsbKind::ISH, DsbKind::SY][rng.random_range(0..3)];
        self.core.access(CoreRequest::dsb(kind)).await;
        if rng.random_bool(0.8) {
            self.core.access(CoreRequest::isb()).await;
        }
    }
}
