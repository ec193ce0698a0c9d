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

const WORD: AccessSize = AccessSize::Double;
const KERNEL: Privilege = Privilege::Privileged;

/// Bytes of a line, whose eight words an unrolled loop has under way at a time.
const LINE: u64 = 64;

/// Starts of the lines that fit into `bytes` bytes from `start` on.
fn lines(start: u64, bytes: u64) -> impl Iterator<Item = u64> {
    (0..bytes / LINE).map(move |line| start + line * LINE)
}

/// The words behind the last line.
fn rest(start: u64, bytes: u64) -> impl Iterator<Item = u64> {
    let done = bytes / LINE * LINE;
    (done..bytes & !7)
        .step_by(8)
        .map(move |offset| start + offset)
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

    async fn clear(&self, va: u64, bytes: u64) -> Result<(), AccessFault> {
        for line in lines(va, bytes) {
            let store = |word: u64| self.store(line + word * 8, WORD, KERNEL, 0);
            tokio::try_join!(
                store(0),
                store(1),
                store(2),
                store(3),
                store(4),
                store(5),
                store(6),
                store(7)
            )?;
        }
        for word in rest(va, bytes) {
            self.store(word, WORD, KERNEL, 0).await?;
        }
        Ok(())
    }

    async fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), AccessFault> {
        let first = from;
        let copy = async |from: u64| {
            let value = self.load(from, WORD, KERNEL).await?;
            let to = to.wrapping_add(from.wrapping_sub(first));
            self.store(to, WORD, KERNEL, value).await
        };
        for line in lines(from, bytes) {
            tokio::try_join!(
                copy(line),
                copy(line + 8),
                copy(line + 16),
                copy(line + 24),
                copy(line + 32),
                copy(line + 40),
                copy(line + 48),
                copy(line + 56)
            )?;
        }
        for word in rest(from, bytes) {
            copy(word).await?;
        }
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
