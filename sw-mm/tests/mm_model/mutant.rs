// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Cores on which the kernel leaves a step out, always or once: the random runs have to notice each.

use crate::step::{Setup, Step, setup, step};
use crate::world::World;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
use std::cell::Cell;
use std::rc::Rc;
use sw_mm::functional::Core;
use sw_mm::{AccessSize, Cpu, Par, Privilege};
use vmsa::{AccessFault, AtOp, DsbKind, SysReg, Tlbi, TlbiOp, TlbiScope};

/// A step of the kernel that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// No TLBI is executed.
    NoTlbi,
    /// Only the first TLBI after a barrier is executed.
    OneTlbi,
    /// Every TLBI by address removes leaf entries only.
    LeafOnly,
    /// A TLBI of all cores is executed on its own core only.
    OwnCore,
    /// No TLBI of the own core is executed.
    NoLocal,
    /// A TLBI of an address space removes one page.
    PageForAsid,
    /// The barrier after a TLBI waits for stores only.
    NoWait,
    /// The barrier before a TLBI is left out.
    NoOrder,
    /// A copy leaves its first line out.
    ShortCopy,
    /// A store of the kernel is not made.
    NoStore,
}

/// A core that runs the kernel with one mistake.
pub struct Mutant {
    core: Core,
    mistake: Mistake,
    /// Occasions of all cores to let pass before it is made, once; `None`: it is made always.
    once: Option<Rc<Cell<u32>>>,
    invalidated: Cell<bool>,
}

impl Mutant {
    pub fn new(core: Core, mistake: Mistake, once: Option<Rc<Cell<u32>>>) -> Self {
        Self {
            core,
            mistake,
            once,
            invalidated: Cell::new(false),
        }
    }

    /// An occasion for the mistake: whether it is made.
    fn errs(&self) -> bool {
        let Some(left) = &self.once else {
            return true;
        };
        left.replace(left.get().wrapping_sub(1)) == 0
    }

    fn altered(&self, op: Tlbi, again: bool) -> Option<Tlbi> {
        let local = op.scope == TlbiScope::Local;
        let with = |kind| Some(Tlbi { op: kind, ..op });
        let wrong = match (self.mistake, op.op) {
            (Mistake::NoTlbi, _) => None,
            (Mistake::OneTlbi, _) if again => None,
            (Mistake::NoLocal, _) if local => None,
            (Mistake::OwnCore, _) if !local => Some(Tlbi {
                scope: TlbiScope::Local,
                ..op
            }),
            (Mistake::LeafOnly, TlbiOp::Vae1) => with(TlbiOp::Vale1),
            (Mistake::LeafOnly, TlbiOp::Rvae1) => with(TlbiOp::Rvale1),
            (Mistake::PageForAsid, TlbiOp::Aside1) => {
                Some(Tlbi::vae1(op.scope, 0x1000, op.asid(), None))
            }
            _ => return Some(op),
        };
        match self.errs() {
            true => wrong,
            false => Some(op),
        }
    }
}

impl Cpu for Mutant {
    async fn load(&self, va: u64, s: AccessSize, p: Privilege) -> Result<u64, AccessFault> {
        self.core.load(va, s, p).await
    }

    async fn store(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        let kernel = p == Privilege::Privileged;
        if kernel && self.mistake == Mistake::NoStore && self.errs() {
            return Ok(());
        }
        self.core.store(va, s, p, value).await
    }

    async fn clear(&self, va: u64, bytes: u64) -> Result<(), AccessFault> {
        self.core.clear(va, bytes).await
    }

    async fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), AccessFault> {
        let left_out = match self.mistake {
            Mistake::ShortCopy if self.errs() => 64.min(bytes),
            _ => 0,
        };
        let (to, from) = (to + left_out, from + left_out);
        self.core.copy(to, from, bytes - left_out).await
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.core.compare_and_swap(va, s, p, expected, new).await
    }

    async fn fetch(&self, va: u64, p: Privilege) -> Result<u32, AccessFault> {
        self.core.fetch(va, p).await
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.core.address_translate(op, va).await
    }

    async fn tlbi(&self, op: Tlbi) {
        let again = self.invalidated.replace(true);
        if let Some(op) = self.altered(op, again) {
            self.core.tlbi(op).await;
        }
    }

    async fn dsb(&self, barrier: DsbKind) {
        let after = self.invalidated.replace(false);
        match (self.mistake, barrier) {
            (Mistake::NoWait, DsbKind::ISH) if after && self.errs() => {
                self.core.dsb(DsbKind::ISHST).await;
            }
            (Mistake::NoOrder, DsbKind::ISHST) if self.errs() => {}
            _ => self.core.dsb(barrier).await,
        }
    }

    async fn isb(&self) {
        self.core.isb().await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.core.write_sysreg(register, value).await;
    }
}

/// What is noticed of a mistake, if anything is, in so many random runs.
fn noticed(mistake: Mistake, cases: u32) -> Option<String> {
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5eed),
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec(step(), 1..200);
    let run = |(setup, steps): (Setup, Vec<Step>)| {
        let mut world = World::new(&setup, |core| Mutant::new(core, mistake, None));
        let done = steps.iter().try_for_each(|step| world.step(step));
        let done = done.and_then(|()| world.check());
        done.and_then(|()| world.check_end())
            .map_err(|failure| TestCaseError::fail(failure.to_string()))
    };
    match runner.run(&(setup(), steps), run) {
        Err(TestError::Fail(reason, _)) => Some(reason.to_string()),
        _ => None,
    }
}

#[test]
fn every_mistake_of_the_kernel_is_noticed() {
    for mistake in [
        Mistake::NoTlbi,
        Mistake::OneTlbi,
        Mistake::LeafOnly,
        Mistake::OwnCore,
        Mistake::NoLocal,
        Mistake::PageForAsid,
        Mistake::NoWait,
        Mistake::NoOrder,
        Mistake::ShortCopy,
    ] {
        let noticed = noticed(mistake, 400);
        println!("{mistake:?}: {noticed:?}");
        assert!(noticed.is_some(), "{mistake:?} goes unnoticed");
    }
}
