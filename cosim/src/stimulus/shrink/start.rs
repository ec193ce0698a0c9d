// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The first cut: nothing after the failure, and as little as possible before it. A run is taken up in
//! the middle with the memory and the registers of that cycle, and cold TLBs.

use std::collections::BTreeMap;

use vmsa::SysReg;

use super::super::{Action, Replayed, Step, Stimulus, When};
use super::Shrinker;
use crate::dut::ports::{CoreRequest, Op};

/// Distances from the failure at which the run is taken up, in cycles.
const LEADS: [u64; 9] = [
    100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000,
];
/// Room for the register writes before the first step, and for the second level to clear itself.
const PREAMBLE: u64 = 1_000;
/// Cycles kept after the failure.
const AFTER: u64 = 50;

impl Shrinker<'_> {
    /// Cuts `best`, which failed as `first` says; `commits` are the writes of the recorded run.
    pub(super) fn start(&mut self, first: &Replayed, commits: &[(u64, u64, u64)]) {
        self.begin("cutting what came after");
        let found = first.violations.iter().find(|v| self.broken.is(v));
        let failed_at = found.map_or(first.cycles, |violation| violation.cycle);
        let mut candidate = self.best.clone();
        candidate.end = 0;
        candidate.steps.retain(|step| match step.when {
            When::At(cycle) => cycle <= failed_at + AFTER,
            _ => true,
        });
        self.keep(candidate);
        self.end();

        self.begin("starting late");
        for lead in LEADS {
            let cut = failed_at.saturating_sub(lead);
            if cut == 0 {
                break;
            }
            let candidate = taken_up(&self.best, commits, cut);
            if candidate.steps.len() < self.best.steps.len() && self.keep(candidate) {
                break;
            }
        }
        self.end();
    }
}

/// `stimulus` from cycle `cut` on.
fn taken_up(stimulus: &Stimulus, commits: &[(u64, u64, u64)], cut: u64) -> Stimulus {
    let mut memory = stimulus.memory.clone();
    for &(_, address, word) in commits.iter().take_while(|&&(cycle, ..)| cycle <= cut) {
        memory.insert(address, word);
    }
    memory.retain(|_, word| *word != 0);
    let mut registers: BTreeMap<(u8, usize), (SysReg, u64)> = BTreeMap::new();
    let mut marks = BTreeMap::new();
    let mut later = Vec::new();
    for step in &stimulus.steps {
        let When::At(cycle) = step.when else {
            continue;
        };
        if cycle > cut {
            later.push(step.when(When::At(cycle - cut + PREAMBLE)));
            continue;
        }
        match step.action {
            Action::Request { core, request } => {
                if let Op::Msr(register) = request.op {
                    registers.insert((core, register as usize), (register, request.data));
                }
            }
            Action::Mark { address, .. } => {
                marks.insert(address, step.when(When::At(0)));
            }
            Action::Clear { address } => {
                marks.remove(&address);
            }
            Action::Poke { .. } => {}
        }
    }
    let mut steps: Vec<Step> = marks.into_values().collect();
    let written: Vec<_> = registers.into_iter().collect();
    for of_core in written.chunk_by(|a, b| a.0.0 == b.0.0) {
        for &((core, _), (register, value)) in of_core {
            let write = CoreRequest::msr(register, value);
            steps.push(Step::serial(core, write).when(When::Own));
        }
        if let Some(&((core, _), _)) = of_core.first() {
            steps.push(Step::serial(core, CoreRequest::isb()).when(When::Own));
        }
    }
    steps.extend(later);
    Stimulus {
        memory,
        steps,
        ..stimulus.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimConfig;
    use crate::stimulus::Setup;
    use vmsa::El;

    #[test]
    fn a_run_taken_up_in_the_middle_has_the_memory_and_registers_of_then() {
        let msr = |value| CoreRequest::msr(SysReg::Ttbr0, value);
        let load = CoreRequest::load(0x40, 3, El::El0);
        let at = |cycle, request| Step::serial(1, request).when(When::At(cycle));
        let stimulus = Stimulus {
            origin: String::new(),
            broken: None,
            setup: Setup::of(&SimConfig::default()),
            memory: [(0x10, 1), (0x18, 2)].into(),
            steps: vec![at(10, msr(5)), at(20, msr(6)), at(30, load), at(90, load)],
            end: 0,
        };
        let commits = [(15, 0x10, 7), (40, 0x18, 0), (60, 0x10, 9)];
        let late = taken_up(&stimulus, &commits, 50);
        assert_eq!(late.memory, [(0x10, 7)].into());
        let preamble =
            [msr(6), CoreRequest::isb()].map(|request| Step::serial(1, request).when(When::Own));
        assert_eq!(late.steps[..2], preamble);
        assert_eq!(late.steps[2..], [at(40 + PREAMBLE, load)]);
    }
}
