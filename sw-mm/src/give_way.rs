// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The point where a task lets others run.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Waits until whoever polls tasks has had the chance to run another task.
///
/// For host-side operations that the contract wants to be interleaved although they execute no
/// instruction: taking and releasing a lock.
pub fn yield_now() -> YieldNow {
    YieldNow { due: true }
}

/// Future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    due: bool,
}

impl YieldNow {
    /// Yields if `due`, otherwise is ready at once.
    pub(crate) const fn when(due: bool) -> Self {
        Self { due }
    }
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.due) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}
