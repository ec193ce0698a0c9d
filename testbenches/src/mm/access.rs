// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! User accesses with everything that hardware answered on the way: the faults and the answer that
//! came in the end.

use cosim::dut::ports::{CoreRequest, CoreResponse, Op};
use cosim::sim::CoreHandle;
use sw_mm::mm::Error;
use sw_mm::thread::Thread;
use vmsa::{AccessFault, El, FaultKind};

/// What an access came to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The answer without a fault.
    pub response: CoreResponse,
    /// Kinds of the faults that were handled before.
    pub faults: Vec<FaultKind>,
}

/// An aligned load of 8 bytes at EL0.
#[must_use]
pub fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// An aligned store of 8 bytes at EL0.
#[must_use]
pub fn store(va: u64, data: u64) -> CoreRequest {
    CoreRequest::store(va, 3, El::El0, data)
}

/// The fault of a user access, if it took one.
#[must_use]
pub fn fault_of(request: &CoreRequest, response: &CoreResponse) -> Option<AccessFault> {
    Some(AccessFault {
        fsc: response.fault?,
        va: response.va,
        write: response.wnr,
        el: request.el,
        instruction: request.op == Op::Fetch,
    })
}

/// Makes a user access; has the kernel handle its faults and makes it again.
///
/// # Errors
/// What the kernel answers to a fault.
pub async fn access(thread: &Thread<CoreHandle>, request: CoreRequest) -> Result<Answer, Error> {
    let mut faults = Vec::new();
    loop {
        let response = thread.cpu.access(request).await;
        let Some(fault) = fault_of(&request, &response) else {
            return Ok(Answer { response, faults });
        };
        faults.extend(fault.fsc.kind());
        thread.handle_fault(&fault).await?;
    }
}
