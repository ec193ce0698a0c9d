// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The physical areas that a scenario names, with what their addresses have to be.

use std::collections::{BTreeMap, BTreeSet};

use crate::litmus::scenario::{
    Attribute, Condition, DescriptorSpec, Operation, Physical, Place, Scenario, Seen, Target, Value,
};

/// What one area has to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Need {
    pages: u32,
    run: bool,
    block: bool,
}

impl Need {
    /// Pages of 4 KB.
    #[must_use]
    pub fn pages(&self) -> u64 {
        u64::from(self.pages.max(1))
    }

    /// Bytes to which the area is aligned and which it takes; `None` for a single page anywhere.
    #[must_use]
    pub fn alignment(&self, page: u64, block: u64) -> Option<u64> {
        let bytes = self.pages().next_power_of_two() * page;
        match (self.block, self.run, self.pages()) {
            (true, ..) => Some(bytes.max(block)),
            (_, true, _) => Some(bytes.max(16 * page)),
            (.., 1) => None,
            _ => Some(bytes),
        }
    }
}

/// Every area that a scenario names.
#[derive(Debug, Default)]
pub struct Areas {
    areas: BTreeMap<String, Need>,
    /// Names of areas that a descriptor value leads to, and of variables with a descriptor that the
    /// scenario names.
    remapped: BTreeSet<String>,
}

impl Areas {
    /// The areas of `scenario`.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let mut areas = Self::default();
        for variable in &scenario.setup.variables {
            areas.page(&Physical {
                area: variable.name.clone(),
                page: variable.pages.max(1) - 1,
            });
        }
        for (slot, spec) in &scenario.setup.descriptors {
            areas.descriptor(spec, slot.table, 1);
            areas.remapped.insert(slot.page.variable.clone());
        }
        for (physical, _) in &scenario.setup.memory {
            areas.page(physical);
        }
        for instruction in scenario.cores.iter().flatten() {
            for place in instruction.operation.places() {
                if let Place::Descriptor(slot) = place {
                    areas.remapped.insert(slot.page.variable);
                }
            }
            let (Operation::Store { value, .. }
            | Operation::Swap { value, .. }
            | Operation::StoreExclusive { value, .. }) = &instruction.operation
            else {
                continue;
            };
            if let Value::Descriptor(spec) = value {
                let places = instruction.operation.places();
                let table = |place: &Place| matches!(place, Place::Descriptor(slot) if slot.table);
                let table = places.iter().any(table);
                areas.descriptor(spec, table, places.len() as u32);
            }
        }
        for outcome in &scenario.outcomes {
            areas.condition(&outcome.condition);
        }
        areas
    }

    /// The areas by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Need)> {
        self.areas.iter().map(|(name, need)| (name.as_str(), need))
    }

    /// Whether a level 2 block maps area `name`.
    #[must_use]
    pub fn is_block(&self, name: &str) -> bool {
        self.areas.get(name).is_some_and(|need| need.block)
    }

    /// Whether the variable called `name` maps its own area from beginning to end, and nothing else
    /// does.
    #[must_use]
    pub fn is_constant(&self, name: &str) -> bool {
        !self.remapped.contains(name)
    }

    fn page(&mut self, physical: &Physical) -> &mut Need {
        let need = self.areas.entry(physical.area.clone()).or_default();
        need.pages = need.pages.max(physical.page + 1);
        need
    }

    fn descriptor(&mut self, spec: &DescriptorSpec, table: bool, count: u32) {
        if let Target::Leaf(physical) = &spec.target {
            let last = Physical {
                page: physical.page + count - 1,
                ..physical.clone()
            };
            self.remapped.insert(physical.area.clone());
            let need = self.page(&last);
            need.block |= table;
            need.run |= spec.attributes.contains(&Attribute::Contiguous);
        }
    }

    fn seen(&mut self, seen: &Seen, table: bool) {
        match seen {
            Seen::Descriptor(spec) => self.descriptor(spec, table, 1),
            Seen::Output(physical) => {
                self.page(physical);
            }
            _ => {}
        }
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| self.condition(part));
            }
            Condition::Not(inner) => self.condition(inner),
            // Which descriptor the result is of is known to the program; a block is named there too.
            Condition::Result { is, .. } => self.seen(is, false),
            Condition::Memory(physical, _) => {
                self.page(physical);
            }
            Condition::Descriptor(slot, is) => self.seen(is, slot.table),
        }
    }
}
