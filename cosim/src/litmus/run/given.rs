// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What instructions come to, and how the answers of the socket say it.

use vmsa::Fsc;

use crate::dut::ports::CoreResponse;

/// What an instruction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Its guard did not hold.
    NotExecuted,
    /// It was executed, and gives no value.
    Done,
    /// It gave a value.
    Number(u64),
    /// AT gave that physical address.
    Address(u64),
    /// It took a fault.
    Fault(Fsc),
}

impl Given {
    /// What it leaves in its register. A faulting load leaves the register as it was: 0.
    #[must_use]
    pub fn value(self) -> Option<u64> {
        match self {
            Self::NotExecuted => None,
            Self::Number(value) | Self::Address(value) => Some(value),
            Self::Done | Self::Fault(_) => Some(0),
        }
    }
}

/// How an answer is to be read.
#[derive(Debug, Clone, Copy)]
pub enum Sense {
    /// The data is the result.
    Load,
    /// Nothing but a fault is of interest.
    Done,
    /// AT: the output address is the result.
    Translate,
    /// Store-exclusive that expected this value.
    Exclusive(u64),
}

impl Sense {
    /// What the instruction came to that got `answer`.
    #[must_use]
    pub fn of(self, answer: CoreResponse) -> Given {
        match (answer.fault, self) {
            (Some(fault), _) => Given::Fault(fault),
            (None, Self::Load) => Given::Number(answer.data),
            (None, Self::Done) => Given::Done,
            (None, Self::Translate) => Given::Address(answer.pa),
            (None, Self::Exclusive(expected)) => Given::Number((answer.data != expected).into()),
        }
    }
}
