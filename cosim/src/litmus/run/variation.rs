// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What differs from run to run: state of the TLBs, delays, prefetching, and when each core begins.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::dut::ports::{Delays, Straps};
use crate::sim::{MemoryTiming, Seed};

/// In which state and under which disturbance a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing of the scenario is in a TLB.
    Cold,
    /// Each core has used some of the pages before, where the first descriptors let it.
    Touched,
    /// Random delays on the channels of the hardware and of memory; half of the runs as `Touched`.
    Delay,
    /// The prefetcher is on, and each core uses pages next to those of the scenario at random times.
    Prefetch,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cold, Self::Touched, Self::Delay, Self::Prefetch];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Touched => "touched",
            Self::Delay => "delay",
            Self::Prefetch => "prefetch",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = Self::ALL.into_iter().find(|mode| mode.name() == text);
        mode.ok_or_else(|| format!("`{text}` is none of cold, touched, delay, prefetch"))
    }
}

/// What holds for a whole simulation.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Straps.
    pub straps: Straps,
    /// How long memory takes.
    pub memory: MemoryTiming,
}

impl Surroundings {
    /// Draws what `mode` leaves open.
    #[must_use]
    pub fn draw(mode: Mode, ets: u8, bbml: Option<u8>, seed: Seed) -> Self {
        let mut rng = seed.child("surroundings").rng();
        let mut straps = Straps {
            ets,
            prefetch: mode == Mode::Prefetch,
            ..Straps::default()
        };
        straps.bbml = bbml.unwrap_or(straps.bbml);
        let mut memory = MemoryTiming::default();
        if mode == Mode::Delay {
            straps.delay = match rng.random_bool(0.5) {
                true => Delays::ALL,
                false => Delays::from_bits(rng.random()),
            };
            straps.delay_seed = rng.random();
            memory.latency = rng.random_range(2..=60);
            memory.jitter = rng.random_range(0..=80);
        } else if rng.random_bool(0.5) {
            memory.latency = rng.random_range(2..=40);
            memory.jitter = rng.random_range(0..=20);
        }
        if matches!(mode, Mode::Delay | Mode::Prefetch) && rng.random_bool(0.3) {
            // Pressure: what a core used a moment ago is gone.
            straps.dtlb_entries = Some(rng.random_range(1..=3));
            straps.l2_ways = Some(rng.random_range(0..=1));
            straps.l2_sets_log2 = Some(rng.random_range(0..=2));
        }
        if rng.random_bool(0.1) {
            straps.walk_caches = false;
        }
        // Hardware that ignores the contiguous hint caches the pages of a run one by one.
        straps.contiguous = !rng.random_bool(0.2);
        Self { straps, memory }
    }
}

/// What one core does besides its program, in one run.
#[derive(Debug, Clone)]
pub struct Pace {
    rng: Pcg64Mcg,
    /// Cycles before its first instruction.
    pub start: u64,
    pause: u64,
    pauses: f64,
}

impl Pace {
    /// Draws the pace of one core. Scales differ from run to run, so that short races and long ones
    /// both come.
    #[must_use]
    pub fn draw(mut rng: Pcg64Mcg, scale: u64) -> Self {
        let start = rng.random_range(0..=scale);
        let pause = [4, 16, 64, 256][rng.random_range(0..4)];
        let pauses = [0.0, 0.0, 0.2, 0.5][rng.random_range(0..4)];
        Self {
            rng,
            start,
            pause,
            pauses,
        }
    }

    /// Cycles before the next instruction.
    pub fn pause(&mut self) -> u64 {
        match self.rng.random_bool(self.pauses) {
            true => self.rng.random_range(1..=self.pause),
            false => 0,
        }
    }

    /// Whether the core now uses a page of its own choosing, and which of `count`.
    pub fn distraction(&mut self, count: usize) -> Option<usize> {
        (count > 0 && self.rng.random_bool(0.4)).then(|| self.rng.random_range(0..count))
    }
}

/// Cycles within which the cores of one run begin.
pub fn scale(rng: &mut Pcg64Mcg) -> u64 {
    [0, 8, 40, 120, 300, 800][rng.random_range(0..6)]
}

/// Which core of the configuration runs each program: `programs` different ones of `cores`.
pub fn assignment(rng: &mut Pcg64Mcg, programs: usize, cores: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..cores).collect();
    all.shuffle(rng);
    all.truncate(programs);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_called_by_its_name() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert!(
            "warm"
                .parse::<Mode>()
                .is_err_and(|text| text.contains("`warm`"))
        );
    }

    #[test]
    fn programs_run_on_different_cores() {
        let mut rng = Seed::new(1).rng();
        let mut first = [false; 4];
        for _ in 0..100 {
            let cores = assignment(&mut rng, 3, 4);
            first[cores[0]] = true;
            let mut sorted = cores.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!((cores.len(), sorted.len()), (3, 3));
        }
        assert_eq!(first, [true; 4]);
    }

    #[test]
    fn only_the_modes_that_say_so_delay_and_prefetch() {
        for seed in 0..50 {
            let seed = Seed::new(seed);
            let drawn = |mode| Surroundings::draw(mode, 0, Some(1), seed).straps;
            for mode in Mode::ALL {
                let straps = drawn(mode);
                assert_eq!((straps.ets, straps.bbml), (0, 1));
                assert_eq!(straps.prefetch, mode == Mode::Prefetch);
                assert!(mode == Mode::Delay || straps.delay == Delays::NONE);
            }
        }
    }
}
