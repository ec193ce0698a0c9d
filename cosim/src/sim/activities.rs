// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the OS is in the middle of: on each core, the activities that have begun and not ended.

use std::fmt::Write;

use sw_mm::{OsEvent, Phase};

/// An activity that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The event with which it began.
    pub begun: OsEvent,
    /// Cycle of that event.
    pub since: u64,
    /// Where it is drawn: one below the activity that it began in, as long as there is room.
    pub depth: usize,
}

/// The activities under way. Several threads of the kernel may share a core, so that what begins there
/// last need not end first: an end belongs to the innermost activity that began alike, and one that
/// belongs to none changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Activities {
    /// By core, in the order in which they began.
    cores: Vec<Vec<Running>>,
}

impl Activities {
    /// Depths that a waveform has room for. What is nested deeper takes the first one free, if any.
    pub const DEPTHS: usize = 4;

    /// Takes note of `event` at `cycle`. Returns the activity that it begins or ends, if it does.
    pub fn follow(&mut self, cycle: u64, event: &OsEvent) -> Option<Running> {
        let core = usize::from(event.core);
        if self.cores.len() <= core {
            self.cores.resize_with(core + 1, Vec::new);
        }
        let stack = &mut self.cores[core];
        match event.phase {
            Phase::Instant => None,
            Phase::Begin => {
                let running = Running {
                    begun: *event,
                    since: cycle,
                    depth: free_depth(stack),
                };
                stack.push(running);
                Some(running)
            }
            Phase::End => {
                let name = |event: &OsEvent| (event.activity, event.space, event.va);
                let alike = |running: &Running| name(&running.begun) == name(event);
                stack.iter().rposition(alike).map(|at| stack.remove(at))
            }
        }
    }

    /// What is under way on `core`, the outermost first.
    #[must_use]
    pub fn on(&self, core: u8) -> &[Running] {
        self.cores.get(usize::from(core)).map_or(&[], Vec::as_slice)
    }

    /// What is under way on any core.
    pub fn all(&self) -> impl Iterator<Item = &Running> {
        self.cores.iter().flatten()
    }

    /// One line for each core on which something is under way.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let busy = (0..)
            .zip(&self.cores)
            .filter(|(_, stack)| !stack.is_empty());
        busy.map(|(core, stack): (u32, _)| line(core, stack))
            .collect()
    }
}

fn line(core: u32, stack: &[Running]) -> String {
    let mut line = format!("core {core} was in: ");
    for (place, running) in stack.iter().enumerate() {
        let between = if place == 0 { "" } else { " > " };
        // Writing to a String cannot fail.
        let _ = write!(line, "{between}{} (since {})", running.begun, running.since);
    }
    line
}

/// One more than the deepest, or the first one free if that is too deep to be drawn.
fn free_depth(stack: &[Running]) -> usize {
    let deepest = stack.iter().map(|running| running.depth).max();
    let next = deepest.map_or(0, |depth| depth + 1);
    if next < Activities::DEPTHS {
        return next;
    }
    let taken = |depth: &usize| stack.iter().any(|running| running.depth == *depth);
    (0..Activities::DEPTHS)
        .find(|depth| !taken(depth))
        .unwrap_or(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sw_mm::Activity::{self, CopyOnWrite, Fault, Flush, HintScan};

    fn event(phase: Phase, activity: Activity, va: u64) -> OsEvent {
        OsEvent {
            core: 1,
            phase,
            activity,
            space: 2,
            va,
            pa: 0,
            bytes: 0,
        }
    }

    fn follow(activities: &mut Activities, events: &[(Phase, Activity, u64)]) {
        for (cycle, &(phase, activity, va)) in (10..).zip(events) {
            activities.follow(cycle, &event(phase, activity, va));
        }
    }

    #[test]
    fn nested_activities_read_from_the_outside_in() {
        let mut activities = Activities::default();
        let begin = |activity, va| (Phase::Begin, activity, va);
        follow(
            &mut activities,
            &[
                begin(Fault, 0x1000),
                begin(CopyOnWrite, 0x1000),
                begin(Flush, 0x1000),
            ],
        );
        follow(&mut activities, &[(Phase::End, Flush, 0x1000)]);
        assert_eq!(
            activities.lines(),
            [
                "core 1 was in: fault mm2 va 0x1000 (since 10) > copy-on-write mm2 va 0x1000 (since 11)"
            ]
        );
        assert_eq!(activities.on(0), []);
        assert_eq!(activities.on(1)[1].depth, 1);
    }

    #[test]
    fn threads_that_share_a_core_may_end_in_any_order() {
        let mut activities = Activities::default();
        follow(
            &mut activities,
            &[
                (Phase::Begin, HintScan, 0),
                (Phase::Begin, Fault, 0x1000),
                (Phase::Begin, Fault, 0x2000),
                (Phase::End, HintScan, 0),
                (Phase::End, Fault, 0x1000),
            ],
        );
        let left: Vec<_> = activities.all().map(|running| running.begun.va).collect();
        assert_eq!(left, [0x2000]);
        assert_eq!(activities.on(1)[0].depth, 2, "it stays where it is drawn");
    }

    #[test]
    fn of_two_that_began_alike_the_inner_one_ends() {
        let mut activities = Activities::default();
        let begin = (Phase::Begin, Flush, 0x1000);
        follow(
            &mut activities,
            &[begin, begin, (Phase::End, Flush, 0x1000)],
        );
        let since: Vec<_> = activities.all().map(|running| running.since).collect();
        assert_eq!(since, [10]);
    }

    #[test]
    fn an_end_of_nothing_and_an_instant_change_nothing() {
        let mut activities = Activities::default();
        follow(
            &mut activities,
            &[
                (Phase::End, Flush, 0x1000),
                (Phase::Begin, Flush, 0x1000),
                (Phase::End, Flush, 0x2000),
                (Phase::End, Fault, 0x1000),
                (Phase::Instant, Activity::FrameFreed, 0x1000),
            ],
        );
        assert_eq!(activities.all().count(), 1);
    }

    #[test]
    fn staggered_activities_find_room_again() {
        let mut activities = Activities::default();
        for va in 0..100 {
            follow(&mut activities, &[(Phase::Begin, Fault, va)]);
            if va > 0 {
                follow(&mut activities, &[(Phase::End, Fault, va - 1)]);
            }
            assert!(
                activities
                    .all()
                    .all(|running| running.depth < Activities::DEPTHS)
            );
        }
    }
}
