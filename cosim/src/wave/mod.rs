// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Waveforms of what software saw: accesses, walks, TLB changes and commits as transactions, and what
//! the OS was doing meanwhile, on the time axis of the RTL waveform.

mod core_lanes;
mod lane;
mod os_lanes;
#[cfg(test)]
mod os_tests;
mod transactions;

pub use transactions::TransactionWriter;

/// Time of cycle `cycle` in waveform files, in nanoseconds.
#[must_use]
pub fn time_of(cycle: u64) -> u64 {
    cycle * 10
}

/// Cycles before a failure that its waveform shows.
pub const BEFORE_FAILURE: u64 = 2000;
/// Cycles after a failure that its waveform shows.
pub const AFTER_FAILURE: u64 = 100;
