// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Cores on which the kernel leaves a step out: the random runs have to notice each.

use crate::step::{Setup, Step, setup, step};
use crate::world::World;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
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
}

/// A core that runs the kernel with one mistake.
pub struct Mutant {
    core: Core,
    mistake: Mistake,
    invalidated: std::cell::Cell<bool>,
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
        self.core.store(va, s, p, value).await
    }

    async fn clear(&self, va: u64, bytes: u64) -> Result<(), AccessFault> {
        self.core.clear(va, bytes).await
    }

    async fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), AccessFault> {
        self.core.copy(to, from, bytes).await
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
        let local = op.scope == TlbiScope::Local;
        let with = |kind| Tlbi { op: kind, ..op };
        let op = match (self.mistake, op.op) {
            (Mistake::NoTlbi, _) => return,
            (Mistake::OneTlbi, _) if again => return,
            (Mistake::NoLocal, _) if local => return,
            (Mistake::OwnCore, _) => Tlbi {
                scope: TlbiScope::Local,
                ..op
            },
            (Mistake::LeafOnly, TlbiOp::Vae1) => with(TlbiOp::Vale1),
            (Mistake::LeafOnly, TlbiOp::Rvae1) => with(TlbiOp::Rvale1),
            (Mistake::PageForAsid, TlbiOp::Aside1) => Tlbi::vae1(op.scope, 0x1000, op.asid(), None),
            _ => op,
        };
        self.core.tlbi(op).await;
    }

    async fn dsb(&self, barrier: DsbKind) {
        self.invalidated.set(false);
        match (self.mistake, barrier) {
            (Mistake::NoWait, DsbKind::ISH) => self.core.dsb(DsbKind::ISHST).await,
            (Mistake::NoOrder, DsbKind::ISHST) => {}
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
        let mut world = World::new(&setup, |core| Mutant {
            core,
            mistake,
            invalidated: Default::default(),
        });
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
    ] {
        let noticed = noticed(mistake, 400);
        println!("{mistake:?}: {noticed:?}");
        assert!(noticed.is_some(), "{mistake:?} goes unnoticed");
    }
}
