// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Runs a future of a machine that never waits.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls `future` until it is done.
///
/// Meant for the functional machine, whose futures are ready at the first poll; on a future that
/// waits for something else this spins.
///
/// ```
/// assert_eq!(sw_mm::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
