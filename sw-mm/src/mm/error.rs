// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Why the kernel could not do something.

use thiserror::Error;
use vmsa::AccessFault;

/// What a user thread gets instead of the result of its access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// No area, or one that does not permit the access.
    Segv,
    /// The area permits it, but there is nothing behind it.
    Bus,
}

/// Why an operation failed. What it did before it failed is in good order.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// No frame, or no frame where one was asked for.
    #[error("out of memory")]
    OutOfMemory,
    /// An argument makes no sense.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// Something is there already.
    #[error("address range in use")]
    Exists,
    /// Nothing is there.
    #[error("nothing is mapped there")]
    NotMapped,
    /// Somebody else is at it; the same may work later.
    #[error("try again")]
    Again,
    /// Somebody holds it where it is.
    #[error("busy")]
    Busy,
    /// Nobody uses the address space any more.
    #[error("the address space is gone")]
    Gone,
    /// The access is refused for good.
    #[error("{signal:?} at {va:#x}")]
    Signal {
        /// Which.
        signal: Signal,
        /// Address of the access.
        va: u64,
    },
    /// An access faulted again and again although each fault was handled (G10).
    #[error("no progress at {va:#x}: the last of {faults} faults was {last}")]
    Livelock {
        /// Address of the access.
        va: u64,
        /// Faults so far.
        faults: u32,
        /// The last of them.
        last: AccessFault,
    },
    /// An access of the kernel itself faulted.
    #[error("the kernel faulted: {0}")]
    Kernel(#[from] AccessFault),
    /// A physical address that the linear map does not show.
    #[error("physical address {pa:#x} outside the linear map")]
    OutsideLinearMap {
        /// Which.
        pa: u64,
    },
    /// A table holds something that the kernel did not put there.
    #[error("unexpected entry {entry:#018x} for {va:#x}")]
    Corrupt {
        /// The entry.
        entry: u64,
        /// What it translates.
        va: u64,
    },
    /// The configuration cannot be.
    #[error("configuration: {0}")]
    Config(String),
}
