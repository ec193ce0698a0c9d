// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Spreads jobs over worker threads. Results come in the order of the jobs, whatever the number of
//! workers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// What is told while jobs run.
pub enum Told<R> {
    /// The result of the job of that number; these come in the order of the jobs.
    Result(usize, R),
    /// A second went by; so many jobs have ended.
    Alive(usize),
}

/// Does `work` on each of `jobs` with `workers` threads, and tells `tell` in this thread.
pub fn spread<J: Sync, R: Send>(
    jobs: &[J],
    workers: usize,
    work: impl Fn(&J) -> R + Sync,
    mut tell: impl FnMut(Told<R>),
) {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let workers = workers.clamp(1, jobs.len().max(1));
    let (mut waiting, mut told) = (BTreeMap::new(), 0);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    if sender.send((index, work(job))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut ended = 0;
        loop {
            match receiver.recv_timeout(Duration::from_secs(1)) {
                Ok((index, result)) => {
                    ended += 1;
                    waiting.insert(index, result);
                    while let Some(result) = waiting.remove(&told) {
                        tell(Told::Result(told, result));
                        told += 1;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => tell(Told::Alive(ended)),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}
