// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A simulated core as the operating-system side sees it: each call is one request to the socket.

use sw_mm::{AccessSize, Cpu, Par, Privilege};
use vmsa::{AccessFault, AtOp, DsbKind, El, FaultKind, Fsc, SysReg, Tlbi};

use super::core::CoreHandle;
use crate::dut::ports::{CoreRequest, CoreResponse, Op};

impl CoreHandle {
    async fn explicit(
        &self,
        op: Op,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        compare: u64,
        data: u64,
    ) -> Result<CoreResponse, AccessFault> {
        let (el, pan) = match privilege {
            Privilege::Privileged => (El::El1, self.pan()),
            Privilege::Unprivileged => (El::El0, false),
        };
        let size = size.log2() as u8;
        let request = CoreRequest {
            va,
            size,
            el,
            pan,
            data,
            compare,
            ..CoreRequest::new(op)
        };
        fault_of(&request, self.access(request).await)
    }
}

fn fault_of(request: &CoreRequest, response: CoreResponse) -> Result<CoreResponse, AccessFault> {
    match response.fault {
        None => Ok(response),
        Some(fsc) => Err(AccessFault {
            fsc,
            va: response.va,
            write: response.wnr,
            el: request.el,
            instruction: request.op == Op::Fetch,
        }),
    }
}

fn external(fsc: Fsc) -> bool {
    matches!(
        fsc.kind(),
        Some(FaultKind::ExternalAbort | FaultKind::ExternalAbortOnWalk)
    )
}

impl Cpu for CoreHandle {
    async fn load(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
    ) -> Result<u64, AccessFault> {
        let response = self.explicit(Op::Load, va, size, privilege, 0, 0).await?;
        Ok(response.data & size.mask())
    }

    async fn store(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.explicit(Op::Store, va, size, privilege, 0, value)
            .await?;
        Ok(())
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        let response = self
            .explicit(Op::Cas, va, size, privilege, expected, new)
            .await?;
        Ok(response.data & size.mask())
    }

    async fn fetch(&self, va: u64, privilege: Privilege) -> Result<u32, AccessFault> {
        let response = self
            .explicit(Op::Fetch, va, AccessSize::Word, privilege, 0, 0)
            .await?;
        Ok(response.data as u32)
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        let request = CoreRequest::at(va, op.el(), op.write(), op.pan());
        let response = self.access(request).await;
        match response.fault {
            // VMSA-55: an external abort is taken as an exception, anything else is in PAR.
            Some(fsc) if !external(fsc) => Ok(Par::Faulted(fsc)),
            _ => fault_of(&request, response).map(|r| Par::Translated {
                pa: r.pa,
                attr: r.attr,
                sh: r.sh,
            }),
        }
    }

    async fn tlbi(&self, op: Tlbi) {
        self.access(CoreRequest::tlbi(op)).await;
    }

    async fn dsb(&self, kind: DsbKind) {
        self.access(CoreRequest::dsb(kind)).await;
    }

    async fn isb(&self) {
        self.access(CoreRequest::isb()).await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.access(CoreRequest::msr(register, value)).await;
    }
}
