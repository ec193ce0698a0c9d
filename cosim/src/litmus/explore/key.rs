// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What makes two states of an exploration the same.

use super::state::{Settled, Stage, State};
use crate::arch::fingerprint::Fingerprint;
use crate::litmus::run::given::Given;

impl State {
    /// What distinguishes this state from others for all that is to come.
    #[must_use]
    pub fn key(&self) -> Vec<u64> {
        let mut print = Fingerprint::default();
        print.judge(&self.judge);
        for (address, value) in self.memory.changed() {
            print.value(*address);
            print.value(*value);
        }
        print.value(self.prompt.map_or(u64::MAX, |pe| pe as u64));
        for core in &self.cores {
            print.value(core.next as u64 | u64::from(core.pan) << 8);
            print.value(u64::from(core.invalidating));
            print.value(core.monitor.unwrap_or(u64::MAX));
            for owed in &core.owed {
                print.value(owed.address);
                print.value(owed.from ^ owed.to << 1);
            }
            for (at, pa) in &core.reached {
                print.value(*at as u64);
                print.value(*pa);
            }
            for (stage, given) in core.stages.iter().zip(&core.given) {
                let (stage, used) = match stage {
                    Stage::Waiting => (0, 0),
                    Stage::Issued => (1, 0),
                    Stage::Done => (2, 0),
                    Stage::Skipped => (3, 0),
                    Stage::Bound(Settled::Faults(fsc), used) => (u64::from(fsc.0) << 8 | 4, *used),
                    Stage::Bound(Settled::Reaches { pa, .. }, used) => (*pa << 8 | 5, *used),
                };
                print.value(stage);
                print.instant(used);
                let (kind, value) = match given {
                    Given::NotExecuted => (0, 0),
                    Given::Done => (1, 0),
                    Given::Number(value) => (2, *value),
                    Given::Address(value) => (3, *value),
                    Given::Fault(fsc) => (4, u64::from(fsc.0)),
                };
                print.value(kind);
                print.value(value);
            }
        }
        print.ranked()
    }
}
