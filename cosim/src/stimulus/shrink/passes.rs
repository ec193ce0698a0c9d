// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What is tried, in order, again and again until nothing more goes: fewer steps, no cycle numbers,
//! less memory, plainer hardware, plainer requests.

use super::super::{Action, Stimulus, When};
use super::Shrinker;
use super::ddmin::ddmin;
use crate::dut::ports::{Delays, Op, Straps};
use crate::sim::MemoryTiming;

impl Shrinker<'_> {
    /// Every pass, until one round of them changes nothing.
    pub(super) fn passes(&mut self) {
        self.cores();
        self.steps();
        loop {
            let before = self.best.clone();
            self.times();
            self.steps();
            self.memory();
            self.hardware();
            self.requests();
            if self.best == before || self.spent() {
                return;
            }
        }
    }

    /// Leaves out one core after the other, and what happens behind the hardware's back.
    fn cores(&mut self) {
        self.begin("removing cores");
        let actors: Vec<_> = (0..self.best.cores() as u8).map(Some).collect();
        for actor in actors.into_iter().chain([None]) {
            let mut candidate = self.best.clone();
            candidate.steps.retain(|step| step.core() != actor);
            if candidate.steps.len() < self.best.steps.len() {
                self.keep(candidate);
            }
        }
        self.end();
    }

    fn steps(&mut self) {
        self.begin("removing steps");
        let frame = self.best.clone();
        let with = |steps: &[_]| Stimulus {
            steps: steps.to_vec(),
            ..frame.clone()
        };
        let steps = ddmin(frame.steps.clone(), |steps| {
            self.attempt(&with(steps)).is_some()
        });
        self.best = with(&steps);
        self.end();
    }

    /// Replaces cycle numbers by order.
    fn times(&mut self) {
        self.begin("replacing cycles by order");
        for when in [When::Serial, When::Own] {
            let mut candidate = self.best.clone();
            for step in &mut candidate.steps {
                step.when = when;
            }
            if candidate == self.best || self.keep(candidate) {
                break;
            }
        }
        for index in 0..self.best.steps.len() {
            for when in [When::Serial, When::Own, When::Behind] {
                if self.best.steps[index].when == when {
                    break;
                }
                let mut candidate = self.best.clone();
                candidate.steps[index].when = when;
                if self.keep(candidate) {
                    break;
                }
            }
        }
        self.earlier();
        self.end();
    }

    /// Moves what still has a cycle number closer to what comes before it.
    fn earlier(&mut self) {
        for index in 0..self.best.steps.len() {
            let cycle_of = |when| match when {
                When::At(cycle) => Some(cycle),
                _ => None,
            };
            let Some(own) = cycle_of(self.best.steps[index].when) else {
                continue;
            };
            let earlier = self.best.steps[..index].iter().rev();
            let before = earlier.filter_map(|step| cycle_of(step.when)).next();
            let mut gap = own.saturating_sub(before.unwrap_or(0));
            while gap > 32 {
                gap /= 2;
                let mut candidate = self.best.clone();
                for step in &mut candidate.steps[index..] {
                    if let Some(cycle) = cycle_of(step.when) {
                        step.when = When::At(cycle.saturating_sub(gap));
                    }
                }
                if !self.keep(candidate) {
                    break;
                }
            }
        }
    }

    /// Clears words: first those that hardware never reads.
    fn memory(&mut self) {
        self.begin("clearing memory");
        let now = self.best.clone();
        let Some(replayed) = self.attempt(&now) else {
            return;
        };
        let mut candidate = now;
        candidate
            .memory
            .retain(|word, _| replayed.read.contains(word));
        self.keep(candidate);
        let frame = self.best.clone();
        let with = |words: &[(u64, u64)]| Stimulus {
            memory: words.iter().copied().collect(),
            ..frame.clone()
        };
        let words: Vec<_> = frame.memory.iter().map(|(&a, &w)| (a, w)).collect();
        let words = ddmin(words, |words| self.attempt(&with(words)).is_some());
        self.best = with(&words);
        self.end();
    }

    /// Puts straps and memory back to their defaults.
    fn hardware(&mut self) {
        self.begin("plainer hardware");
        type Change = fn(&mut Straps, &Straps);
        let changes: [Change; 14] = [
            |straps, default| straps.itlb_entries = default.itlb_entries,
            |straps, default| straps.dtlb_entries = default.dtlb_entries,
            |straps, default| straps.contiguous = default.contiguous,
            |straps, default| straps.hafdbs = default.hafdbs,
            |straps, default| straps.asid8 = default.asid8,
            |straps, default| straps.l2_ways = default.l2_ways,
            |straps, default| straps.l2_sets_log2 = default.l2_sets_log2,
            |straps, default| straps.walk_caches = default.walk_caches,
            |straps, default| straps.walkers = default.walkers,
            |straps, default| straps.prefetch = default.prefetch,
            |straps, default| straps.ets = default.ets,
            |straps, default| straps.bbml = default.bbml,
            |straps, default| straps.conflict_abort = default.conflict_abort,
            |straps, default| straps.delay_seed = default.delay_seed,
        ];
        let default = Straps::default();
        for change in changes {
            self.try_setup(|stimulus| change(&mut stimulus.setup.straps, &default));
        }
        self.try_setup(|stimulus| stimulus.setup.straps.delay = Delays::NONE);
        for (_, channel) in Delays::CHANNELS {
            self.try_setup(|stimulus| {
                let bits = stimulus.setup.straps.delay.bits() & !channel.bits();
                stimulus.setup.straps.delay = Delays::from_bits(bits);
            });
        }
        self.try_setup(|stimulus| stimulus.setup.memory.jitter = 0);
        self.try_setup(|stimulus| stimulus.setup.memory = MemoryTiming::default());
        self.try_setup(|stimulus| stimulus.setup.seed = 1);
        self.end();
    }

    fn try_setup(&mut self, change: impl FnOnce(&mut Stimulus)) {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        if candidate != self.best {
            self.keep(candidate);
        }
    }

    /// Plainer operands: no PAN, no tag, no data, whole words.
    fn requests(&mut self) {
        self.begin("plainer requests");
        let mut candidate = self.best.clone();
        for step in &mut candidate.steps {
            if let Action::Request { request, .. } = &mut step.action {
                request.id = 0;
            }
        }
        if candidate != self.best {
            self.keep(candidate);
        }
        for index in 0..self.best.steps.len() {
            for plain in 0..5 {
                let mut candidate = self.best.clone();
                let Action::Request { request, .. } = &mut candidate.steps[index].action else {
                    break;
                };
                let access = request.op.translates();
                match plain {
                    0 => request.pan = false,
                    1 if access => request.data = 0,
                    2 if access => request.compare = 0,
                    3 if access => request.va = ((request.va << 8) as i64 >> 8) as u64,
                    4 if access && !matches!(request.op, Op::Fetch | Op::At(_)) => {
                        request.size = 3;
                        request.va &= !7;
                    }
                    _ => {}
                }
                if candidate != self.best {
                    self.keep(candidate);
                }
            }
        }
        self.end();
    }
}
