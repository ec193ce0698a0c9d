// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A core whose answers come late: what a load found may be of the past when its thread looks at it.

use sw_mm::functional::{Core, yield_now};
use sw_mm::{AccessSize, Cpu, Par, Privilege};
use vmsa::{AccessFault, AtOp, DsbKind, SysReg, Tlbi};

/// Gives way after each load, so many times.
pub struct Late(pub Core, pub u32);

impl Cpu for Late {
    async fn load(&self, va: u64, s: AccessSize, p: Privilege) -> Result<u64, AccessFault> {
        let answer = self.0.load(va, s, p).await;
        for _ in 0..self.1 {
            yield_now().await;
        }
        answer
    }

    async fn store(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.0.store(va, s, p, value).await
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.0.compare_and_swap(va, s, p, expected, new).await
    }

    async fn fetch(&self, va: u64, p: Privilege) -> Result<u32, AccessFault> {
        self.0.fetch(va, p).await
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.0.address_translate(op, va).await
    }

    async fn tlbi(&self, op: Tlbi) {
        self.0.tlbi(op).await;
    }

    async fn dsb(&self, kind: DsbKind) {
        self.0.dsb(kind).await;
    }

    async fn isb(&self) {
        self.0.isb().await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.0.write_sysreg(register, value).await;
    }
}
