// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which memory is free, and by whose doing: ranges that were given back and not handed out since.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use sw_mm::OsEvent;

/// Memory that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// The event, with the whole of what was given back with it.
    pub event: OsEvent,
    /// Its cycle.
    pub cycle: u64,
}

impl fmt::Display for Freed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OsEvent { core, space, .. } = self.event;
        write!(f, "core {core} gave it back at cycle {}", self.cycle)?;
        match space {
            0 => Ok(()),
            space => write!(f, " for mm{space}"),
        }
    }
}

/// Memory concerned by an event of the kernel about frames; at least the byte that it names.
#[must_use]
pub fn frame(event: &OsEvent) -> Range<u64> {
    event.pa..event.pa.saturating_add(event.bytes.max(1))
}

/// All of it.
#[derive(Debug, Default)]
pub struct FreeFrames {
    /// First byte, then the byte behind the last. No two overlap.
    ranges: BTreeMap<u64, (u64, Freed)>,
}

impl FreeFrames {
    /// Whether nothing is known to be free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// What part of `memory` is free, if any is: the first byte of that which was given back at once.
    #[must_use]
    pub fn within(&self, memory: &Range<u64>) -> Option<&Freed> {
        let before = self.ranges.range(..=memory.start).next_back();
        let before = before.filter(|(_, (end, _))| *end > memory.start);
        let inside = || self.ranges.range(memory.clone()).next();
        before.or_else(inside).map(|(_, (_, freed))| freed)
    }

    /// `memory` is in use.
    pub fn take(&mut self, memory: &Range<u64>) {
        let below = self.ranges.range_mut(..memory.start).next_back();
        if let Some((_, (end, freed))) = below.filter(|(_, (end, _))| *end > memory.start) {
            let rest = (*end, *freed);
            *end = memory.start;
            if rest.0 > memory.end {
                self.ranges.insert(memory.end, rest);
            }
        }
        while let Some((&start, &rest)) = self.ranges.range(memory.clone()).next() {
            self.ranges.remove(&start);
            if rest.0 > memory.end {
                self.ranges.insert(memory.end, rest);
            }
        }
    }

    /// The memory of `freed` is free.
    pub fn give(&mut self, freed: Freed) {
        let memory = frame(&freed.event);
        self.take(&memory);
        self.ranges.insert(memory.start, (memory.end, freed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sw_mm::{Activity, Phase};

    fn freed(pa: u64, bytes: u64, cycle: u64) -> Freed {
        let event = OsEvent {
            core: 0,
            phase: Phase::Instant,
            activity: Activity::FrameFreed,
            space: 0,
            va: 0,
            pa,
            bytes,
        };
        Freed { event, cycle }
    }

    #[test]
    fn what_is_taken_out_of_the_middle_leaves_both_ends() {
        let mut free = FreeFrames::default();
        free.give(freed(0x1000, 0x4000, 5));
        free.take(&(0x2000..0x3000));
        let at = |pa: u64| free.within(&(pa..pa + 1)).map(|freed| freed.cycle);
        assert_eq!(
            [0xfff, 0x1000, 0x1fff, 0x2000].map(at),
            [None, Some(5), Some(5), None]
        );
        assert_eq!(
            [0x2fff, 0x3000, 0x4fff, 0x5000].map(at),
            [None, Some(5), Some(5), None]
        );
        assert_eq!(
            free.within(&(0..0x1_0000)).map(|freed| freed.cycle),
            Some(5)
        );
    }

    proptest! {
        #[test]
        fn ranges_say_the_same_as_bytes(
            steps in prop::collection::vec((any::<bool>(), 0u64..40, 0u64..12), 0..40),
        ) {
            let mut free = FreeFrames::default();
            let mut bytes = [None; 64];
            for (cycle, &(given, start, length)) in (0..).zip(&steps) {
                // An event without a length names one byte.
                let covered = start as usize..(start + length.max(1)) as usize;
                if given {
                    free.give(freed(start, length, cycle));
                    bytes[covered].fill(Some(cycle));
                } else {
                    free.take(&(start..start + length.max(1)));
                    bytes[covered].fill(None);
                }
            }
            for (at, byte) in (0u64..).zip(bytes) {
                prop_assert_eq!(free.within(&(at..at + 1)).map(|freed| freed.cycle), byte);
                let ahead = bytes[at as usize..].iter().take(5).flatten().next();
                prop_assert_eq!(free.within(&(at..at + 5)).map(|freed| freed.cycle), ahead.copied());
            }
            prop_assert_eq!(free.is_empty(), bytes.iter().all(Option::is_none));
        }
    }
}
