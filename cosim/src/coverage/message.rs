// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Messages between cores: INVs and SYNCs that cross, wait or come together.

use super::axis::meeting;
use super::collector::Collector;
use super::group::GroupId;
use super::state::Operation;
use crate::dut::ports::DvmEvent;

impl Collector {
    pub(super) fn message(&mut self, cycle: u64, number: u8, event: &DvmEvent) {
        if let Some(tag) = event.inv_sent {
            self.inv_sent(cycle, number, tag);
        }
        if event.sync_sent {
            self.sync_sent(cycle, number);
        }
        if let Some(source) = event.answered {
            self.sync_answered(cycle, number, source);
        }
        if event.sync_done {
            self.core(number).sync_open = false;
        }
    }

    fn others(&self, number: u8) -> impl Iterator<Item = &super::state::Core> {
        let cores = self.cores.iter().enumerate();
        cores
            .filter(move |(place, _)| *place != usize::from(number))
            .map(|(_, core)| core)
    }

    fn inv_sent(&mut self, cycle: u64, number: u8, tag: u8) {
        let crosses = self.others(number).any(|core| core.on_way > 0);
        let together = self.others(number).any(|core| core.inv_at == Some(cycle));
        let core = self.core(number);
        core.inv_at = Some(cycle);
        core.on_way += 1;
        let outstanding = match core.on_way {
            0 | 1 => 0,
            2 | 3 => 1,
            _ => 2,
        };
        if let Some(operation) = core.operation(tag) {
            operation.sent = cycle;
        }
        self.hit(GroupId::Dvm, &[meeting::OUTSTANDING + outstanding]);
        if crosses {
            self.hit(GroupId::Dvm, &[meeting::INV_CROSSES_INV]);
        }
        if together {
            self.hit(GroupId::Dvm, &[meeting::INV_WITH_INV]);
        }
    }

    fn sync_sent(&mut self, cycle: u64, number: u8) {
        let crosses = self.others(number).any(|core| core.sync_open);
        let together = self.others(number).any(|core| core.sync_at == Some(cycle));
        let meets_inv = self.others(number).any(|core| core.on_way > 0);
        let core = self.core(number);
        core.syncs += 1;
        core.sync_at = Some(cycle);
        core.sync_open = true;
        core.answers = (0, 0);
        let meetings = [
            (crosses, meeting::SYNC_CROSSES_SYNC),
            (together, meeting::SYNC_WITH_SYNC),
            (meets_inv, meeting::SYNC_CROSSES_INV),
        ];
        for (_, meeting) in meetings.into_iter().filter(|(met, _)| *met) {
            self.hit(GroupId::Dvm, &[meeting]);
        }
    }

    fn sync_answered(&mut self, cycle: u64, number: u8, source: u8) {
        let walking = self.core(number).open_walks().any(|walk| !walk.prefetch);
        if walking {
            self.hit(GroupId::Dvm, &[meeting::ANSWER_BESIDE_OWN_WALK]);
        }
        let cores = self.cores.len();
        let sender = self.core(source);
        let (before, last) = sender.answers;
        sender.answers = (before + 1, cycle);
        let took = cycle - sender.sync_at.unwrap_or(cycle);
        let waits = match took <= meeting::SOON {
            true => meeting::ANSWER_AT_ONCE,
            false => meeting::ANSWER_WAITS,
        };
        self.hit(GroupId::Dvm, &[waits]);
        if before + 1 == cores && cores > 1 && last < cycle {
            let last = match number == source {
                true => meeting::OWN_ANSWER_LAST,
                false => meeting::OTHER_ANSWER_LAST,
            };
            self.hit(GroupId::Dvm, &[last]);
        }
    }

    /// Operation `tag` of `source` takes effect on core `number`.
    pub(super) fn takes_effect(
        &mut self,
        cycle: u64,
        number: u8,
        source: u8,
        tag: u8,
    ) -> Option<Operation> {
        if self.core(number).sync_open && source != number {
            self.hit(GroupId::Dvm, &[meeting::INV_MEETS_OWN_SYNC]);
        }
        let cores = self.cores.len() as u32;
        let issuer = self.core(source);
        let operation = issuer.operation(tag)?;
        if operation.effects == 0 {
            operation.first = cycle;
        }
        operation.effects |= 1 << (number & 63);
        let found = *operation;
        let everywhere = found.effects.count_ones() == cores;
        if everywhere {
            issuer.on_way = issuer.on_way.saturating_sub(1);
        }
        if everywhere && cores > 1 {
            let how = match found.first == cycle {
                true => meeting::EFFECTS_TOGETHER,
                false => meeting::EFFECTS_APART,
            };
            self.hit(GroupId::Dvm, &[how]);
        }
        if cycle - found.sent.min(cycle) > meeting::SOON {
            self.hit(GroupId::Dvm, &[meeting::EFFECT_WAITS]);
        }
        Some(found)
    }
}
