// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A core that keeps as many accesses under way as it can, for as long as a test wants.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Expect, Failure};
use cosim::sim::{CoreHandle, SimHandle};

/// Accesses asked for ahead of the oldest one: more than a core has in flight.
const AHEAD: usize = 16;

/// Streams that run until they are told to stop, at the latest when this is dropped: a test that fails
/// between does not go on for ever.
#[derive(Debug, Default)]
pub struct Streams(Rc<Cell<bool>>);

impl Drop for Streams {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Streams {
    /// Ends all streams: what is under way is still answered.
    pub fn stop(&self) {
        self.0.set(true);
    }

    /// Has `core` make the accesses that `request` gives, counted from 0, without a pause.
    pub fn start(
        &self,
        handle: &SimHandle,
        core: CoreHandle,
        request: impl Fn(u64) -> CoreRequest + 'static,
    ) -> cosim::sim::JoinHandle<Result<(), Failure>> {
        let stopped = Rc::clone(&self.0);
        handle.spawn(async move {
            let mut pending = VecDeque::new();
            let mut next = 0;
            loop {
                while !stopped.get() && pending.len() < AHEAD {
                    pending.push_back(core.issue(request(next)));
                    next += 1;
                }
                match pending.pop_front() {
                    Some(oldest) => oldest.await.succeeds("MEM-12")?,
                    None => return Ok(()),
                }
            }
        })
    }
}
