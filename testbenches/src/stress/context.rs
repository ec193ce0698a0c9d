// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What is in force on each core, and how it changes: other address spaces, of another granule too;
//! other ASIDs for them, after the invalidation that this needs and without it; other control bits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cosim::dut::ports::CoreRequest;
use cosim::sim::CoreHandle;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, Granule, Sctlr, SysReg, Tcr, Tlbi, TlbiScope};

use super::figures::Figures;
use super::invalidate;
use super::world::{SPACES, World};
use crate::random::control;

/// What is in force on one core.
#[derive(Debug)]
struct InForce {
    space: Cell<usize>,
    tcr: Cell<Tcr>,
    sctlr: Cell<Sctlr>,
}

/// An ASID that no space has.
#[derive(Debug, Clone, Copy)]
struct Asid {
    asid: u16,
    /// Granule of the space that had it last, of which entries may be left.
    stale: Option<Granule>,
}

fn never_used(&asid: &u16) -> Asid {
    Asid { asid, stale: None }
}

/// The contexts of all cores.
#[derive(Debug)]
pub struct Contexts {
    /// What the cores share.
    pub world: Rc<World>,
    cores: Vec<InForce>,
    free: RefCell<Vec<Asid>>,
    figures: Rc<Figures>,
}

async fn write(core: &CoreHandle, register: SysReg, value: u64) {
    core.access(CoreRequest::msr(register, value)).await;
}

async fn isb(core: &CoreHandle) {
    core.access(CoreRequest::isb()).await;
}

impl Contexts {
    /// Cores out of reset.
    pub fn new(world: Rc<World>, cores: usize, figures: Rc<Figures>) -> Self {
        let in_force = || InForce {
            space: Cell::new(0),
            tcr: Cell::new(world.tcr),
            sctlr: Cell::new(world.sctlr),
        };
        Self {
            cores: (0..cores).map(|_| in_force()).collect(),
            free: RefCell::new(world.asids.iter().map(never_used).collect()),
            world,
            figures,
        }
    }

    /// The lower space that `core` is in.
    pub fn space(&self, core: &CoreHandle) -> usize {
        self.cores[usize::from(core.index())].space.get()
    }

    /// TCR_EL1 of `core`.
    pub fn tcr(&self, core: &CoreHandle) -> Tcr {
        self.cores[usize::from(core.index())].tcr.get()
    }

    /// Turns the MMU of `core` on, in one of the spaces.
    pub async fn enter(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) {
        let world = &self.world;
        write(core, SysReg::Mair, world.mair.0).await;
        write(core, SysReg::Ttbr1, world.ttbr1().0).await;
        write(core, SysReg::Tcr, world.tcr.0).await;
        write(core, SysReg::Sctlr, world.sctlr.0).await;
        isb(core).await;
        self.go(core, rng.random_range(0..SPACES)).await;
    }

    /// Has `core` go on in another space.
    pub async fn switch(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) {
        let next = rng.random_range(0..SPACES);
        let old = self.world.lower[self.space(core)].granule();
        self.figures.count("context switches");
        if self.world.lower[next].granule() != old {
            self.figures.count("granule switches");
        }
        let place = &self.cores[usize::from(core.index())];
        let users = &self.world.lower[place.space.get()].users;
        users.set(users.get() - 1);
        self.go(core, next).await;
    }

    /// Enters a space. Its granule may be another one, so no walk of the lower range starts until both
    /// registers are those of the new space.
    async fn go(&self, core: &CoreHandle, next: usize) {
        let place = &self.cores[usize::from(core.index())];
        let space = &self.world.lower[next];
        space.users.set(space.users.get() + 1);
        place.space.set(next);
        let closed = place.tcr.get().with_epd(Lower, true);
        let tcr = self.world.tcr_for(place.tcr.get(), space);
        // The first time, the lower range is disabled since boot.
        let open = tcr.with_epd(Lower, false);
        place.tcr.set(open);
        core.access(CoreRequest::dsb(DsbKind::ISH)).await;
        write(core, SysReg::Tcr, closed.0).await;
        isb(core).await;
        write(core, SysReg::Ttbr0, space.tree.ttbr(space.asid.get()).0).await;
        isb(core).await;
        write(core, SysReg::Tcr, open.0).await;
        isb(core).await;
    }

    /// Gives a space that no core is in another ASID, which some other space may have had: after the
    /// invalidation that this needs, or [without it](Self::without_invalidation).
    pub async fn recycle(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) {
        let space = &self.world.lower[rng.random_range(0..SPACES)];
        if space.users.get() > 0 {
            return;
        }
        let taken = {
            let mut free = self.free.borrow_mut();
            let place = rng.random_range(0..free.len());
            free.swap_remove(place)
        };
        // Entries of another granule under one ASID would be no stale ones, but nonsense.
        let kin = taken.stale.is_none_or(|granule| granule == space.granule());
        if !kin || rng.random_bool(0.6) {
            self.invalidate(core, rng, taken.asid).await;
            self.figures.count("ASIDs reused after invalidation");
        } else {
            self.without_invalidation();
        }
        let mut free = self.free.borrow_mut();
        if space.users.get() > 0 {
            // Somebody has entered it meanwhile.
            free.push(taken);
            return;
        }
        free.push(Asid {
            asid: space.asid.replace(taken.asid),
            stale: Some(space.granule()),
        });
    }

    async fn invalidate(&self, core: &CoreHandle, rng: &mut Pcg64Mcg, asid: u16) {
        let scope = match rng.random_ratio(1, 2) {
            true => TlbiScope::InnerShareable,
            false => TlbiScope::OuterShareable,
        };
        let operation = match rng.random_ratio(3, 4) {
            true => Tlbi::aside1(scope, asid),
            false => Tlbi::vmalle1(scope),
        };
        invalidate::count(&self.figures, operation);
        core.access(CoreRequest::tlbi(operation)).await;
        core.access(CoreRequest::dsb(DsbKind::SY)).await;
        isb(core).await;
    }

    /// The one place where an ASID goes to another table although entries of the old one may be left.
    fn without_invalidation(&self) {
        self.figures.count("ASIDs reused without invalidation");
    }

    /// New control bits of `core`, and everything cached under the old ones removed.
    pub async fn control(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) {
        let place = &self.cores[usize::from(core.index())];
        let (tcr, sctlr) = control::draw(rng, place.tcr.get(), place.sctlr.get());
        // A range that stays disabled would be no load at all.
        let tcr = tcr.with_epd(Lower, false);
        place.tcr.set(tcr);
        place.sctlr.set(sctlr);
        control::change(core, tcr, sctlr).await;
        self.figures.count("control changes");
    }

    /// Turns translation of `core` off for a moment, accesses under way or not.
    pub async fn off_and_on(&self, core: &CoreHandle) {
        let sctlr = self.cores[usize::from(core.index())].sctlr.get();
        write(core, SysReg::Sctlr, sctlr.with_m(false).0).await;
        isb(core).await;
        write(core, SysReg::Sctlr, sctlr.0).await;
        isb(core).await;
        self.figures.count("MMU off and on");
    }
}
