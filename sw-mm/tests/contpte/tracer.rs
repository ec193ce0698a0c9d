// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A core that writes down what it does to the world.

use std::cell::RefCell;
use std::rc::Rc;
use sw_mm::functional::Core;
use sw_mm::{AccessSize, Cpu, Par, Privilege};
use vmsa::{AccessFault, AtOp, DsbKind, SysReg, Tlbi};

/// One instruction that others can notice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// A store, or a compare-and-swap that stored: where and what.
    Write(u64, u64),
    Tlbi(Tlbi),
    Dsb(DsbKind),
}

/// The core. Clones write to the same list.
#[derive(Clone, Debug)]
pub struct Tracer {
    pub core: Core,
    pub ops: Rc<RefCell<Vec<Op>>>,
}

#[allow(dead_code, reason = "not every test binary traces")]
impl Tracer {
    pub fn new(core: Core) -> Self {
        let ops = Rc::default();
        Self { core, ops }
    }

    /// What it did since the last time.
    pub fn take(&self) -> Vec<Op> {
        self.ops.take()
    }

    fn write_down(&self, op: Op) {
        self.ops.borrow_mut().push(op);
    }
}

impl Cpu for Tracer {
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
        self.core.store(va, s, p, value).await?;
        self.write_down(Op::Write(va, value));
        Ok(())
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        let seen = self.core.compare_and_swap(va, s, p, expected, new).await?;
        if seen == expected {
            self.write_down(Op::Write(va, new));
        }
        Ok(seen)
    }

    async fn fetch(&self, va: u64, p: Privilege) -> Result<u32, AccessFault> {
        self.core.fetch(va, p).await
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.core.address_translate(op, va).await
    }

    async fn tlbi(&self, op: Tlbi) {
        self.write_down(Op::Tlbi(op));
        self.core.tlbi(op).await;
    }

    async fn dsb(&self, kind: DsbKind) {
        self.write_down(Op::Dsb(kind));
        self.core.dsb(kind).await;
    }

    async fn isb(&self) {
        self.core.isb().await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.core.write_sysreg(register, value).await;
    }
}
