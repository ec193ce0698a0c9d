// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How a run ended, and which tasks hang.

use std::fmt;
use std::rc::Rc;

/// Number of a task, in the order of spawning, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u64);

/// A task that waits for something that never came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub id: TaskId,
    /// The name it was spawned with; empty if it has none.
    pub name: Rc<str>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.name {
            "" => write!(f, "task {}", self.id.0),
            name => write!(f, "task {} ({name})", self.id.0),
        }
    }
}

/// Why [`Scheduler::run`](super::Scheduler::run) came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every task is done.
    Done,
    /// No task is ready and these are not done, in the order of spawning: a deadlock, or a wake that
    /// was lost.
    Stuck(Vec<Waiting>),
    /// All steps are used up: a livelock, or too few of them.
    StepLimit,
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunEnd::Done => f.write_str("every task is done"),
            RunEnd::StepLimit => f.write_str("the steps are used up"),
            RunEnd::Stuck(waiting) => {
                let tasks: Vec<_> = waiting.iter().map(ToString::to_string).collect();
                write!(f, "nothing is ready and these wait: {}", tasks.join(", "))
            }
        }
    }
}
