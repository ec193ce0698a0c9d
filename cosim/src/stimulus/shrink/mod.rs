// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Shrinking: the least that is left of a red run when everything is taken away without which the same
//! checker still reports the same requirement. Steps first, then cores, times, memory, straps.

mod ddmin;
mod passes;
mod start;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Broken, Recorded, Replayed, Stimulus, replay};

/// What the watchdog reports broken.
pub const HANG: &str = "HANG";
/// Watchdog for what hangs, in cycles: longer than anything takes, shorter than the usual one.
const IMPATIENT: u64 = 10_000;

/// What the shrinker tells while it works.
pub trait Progress {
    /// After each run: how many were made, of how many; what is done now; the best so far.
    fn run(&mut self, runs: u64, budget: u64, pass: &str, best: &Stimulus);

    /// A pass is over.
    fn pass(&mut self, runs: u64, pass: &str, best: &Stimulus);
}

/// A shrunk stimulus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The stimulus.
    pub stimulus: Stimulus,
    /// Runs that it took.
    pub runs: u64,
    /// Steps that there were.
    pub steps_before: usize,
    /// Whether every pass came to its end; if not, the budget was used up or Ctrl-C came.
    pub complete: bool,
}

/// Shrinks `recorded`, the recording of a run that is red for `broken`, in `budget` runs at most.
/// `interrupt` keeps the best so far.
///
/// # Errors
/// When the recording does not fail again when it is replayed, or the hardware cannot be opened.
pub fn shrink(
    recorded: Recorded,
    broken: Broken,
    budget: u64,
    interrupt: Arc<AtomicBool>,
    progress: &mut dyn Progress,
) -> Result<Shrunk, String> {
    let Recorded { stimulus, commits } = recorded;
    let steps_before = stimulus.steps.len();
    let mut best = Stimulus {
        broken: Some(broken.clone()),
        ..stimulus
    };
    if broken.requirement == HANG {
        best.setup.watchdog = best.setup.watchdog.min(IMPATIENT);
    }
    let mut shrinker = Shrinker {
        best,
        broken,
        budget,
        runs: 0,
        interrupt,
        pass: "replaying",
        progress,
        trouble: None,
    };
    let first = shrinker.attempt(&shrinker.best.clone());
    if let Some(trouble) = shrinker.trouble {
        return Err(trouble);
    }
    let Some(first) = first else {
        return Err(format!(
            "the recorded stimulus, replayed, does not break {}",
            shrinker.broken
        ));
    };
    shrinker.start(&first, &commits);
    shrinker.passes();
    if let Some(trouble) = shrinker.trouble {
        return Err(trouble);
    }
    Ok(Shrunk {
        complete: !shrinker.spent(),
        stimulus: shrinker.best,
        runs: shrinker.runs,
        steps_before,
    })
}

/// The work in progress.
struct Shrinker<'a> {
    best: Stimulus,
    broken: Broken,
    budget: u64,
    runs: u64,
    interrupt: Arc<AtomicBool>,
    pass: &'static str,
    progress: &'a mut dyn Progress,
    /// Why nothing can be replayed at all.
    trouble: Option<String>,
}

impl Shrinker<'_> {
    /// Whether no further run is to be made.
    fn spent(&self) -> bool {
        self.runs >= self.budget || self.trouble.is_some() || self.interrupt.load(Ordering::Relaxed)
    }

    /// Replays `candidate`; what came, if it is the failure that is looked for.
    fn attempt(&mut self, candidate: &Stimulus) -> Option<Replayed> {
        if self.spent() {
            return None;
        }
        self.runs += 1;
        let replayed = match replay(candidate, Some(Arc::clone(&self.interrupt)), |_| ()) {
            Ok(replayed) => replayed,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return None;
            }
        };
        let same = replayed.violations.iter().any(|v| self.broken.is(v));
        self.progress
            .run(self.runs, self.budget, self.pass, &self.best);
        same.then_some(replayed)
    }

    /// Makes `candidate` the best if it still fails; whether it does.
    fn keep(&mut self, candidate: Stimulus) -> bool {
        let holds = self.attempt(&candidate).is_some();
        if holds {
            self.best = candidate;
        }
        holds
    }

    fn begin(&mut self, pass: &'static str) {
        self.pass = pass;
    }

    fn end(&mut self) {
        self.progress.pass(self.runs, self.pass, &self.best);
    }
}
