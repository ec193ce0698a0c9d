// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Why an edit of a page table failed.

use thiserror::Error;
use vmsa::{AccessFault, Granule};

/// Error of an edit. What was done before the failure stands and is flushed by the next edit that
/// succeeds, or by [`crate::flush::flush_all`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MmError {
    /// The granule has no tree of that VA size.
    #[error("no {granule} tables for {va_bits} bits of virtual address")]
    Format {
        /// Granule asked for.
        granule: Granule,
        /// VA bits asked for.
        va_bits: u32,
    },
    /// The address, or the end of the range, is not one that the tree translates.
    #[error("address {va:#018x} outside the range of {va_bits} bits")]
    OutOfRange {
        /// Virtual address.
        va: u64,
        /// VA bits of the tree.
        va_bits: u32,
    },
    /// An address or length is not a multiple of the size it has to be.
    #[error("{value:#x} is not a multiple of {bytes:#x} bytes")]
    Misaligned {
        /// Address or length given.
        value: u64,
        /// Alignment needed, in bytes.
        bytes: u64,
    },
    /// The output address has more than 48 bits.
    #[error("output address {pa:#x} has more than 48 bits")]
    OutputAddress {
        /// Physical address given.
        pa: u64,
    },
    /// The level holds no leaves, or lies above the start level.
    #[error("no {granule} leaf at level {level} in this tree")]
    NoLeafAtLevel {
        /// Granule of the tree.
        granule: Granule,
        /// Level asked for.
        level: u8,
    },
    /// The contiguous hint means nothing there (TLB-04), or its run is larger than the range.
    #[error("no {granule} contiguous run at level {level} in this tree")]
    NoRunAtLevel {
        /// Granule of the tree.
        granule: Granule,
        /// Level asked for.
        level: u8,
    },
    /// No frame for a table page.
    #[error("no frame left for a table page")]
    OutOfFrames,
    /// A table page lies where the linear map does not reach.
    #[error("physical address {pa:#x} outside the linear map")]
    OutsideLinearMap {
        /// Physical address.
        pa: u64,
    },
    /// An access to a table took a fault.
    #[error("table access: {0}")]
    Fault(#[from] AccessFault),
}
